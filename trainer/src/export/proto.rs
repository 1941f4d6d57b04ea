//! The few ONNX messages that a feed-forward network needs, written by hand so that no `protoc` is needed.
//!
//! Field numbers are those of onnx.proto3 (IR version 8). A message read with these types loses what they do
//! not know; the importer therefore refuses every operator and attribute it cannot account for.

/// A whole file.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Model {
    /// Version of the container.
    #[prost(int64, tag = "1")]
    pub ir_version: i64,
    /// Program that wrote the file.
    #[prost(string, tag = "2")]
    pub producer_name: String,
    /// The network.
    #[prost(message, optional, tag = "7")]
    pub graph: Option<Graph>,
    /// Versions of the operators.
    #[prost(message, repeated, tag = "8")]
    pub opset_import: Vec<Opset>,
}

/// Version of a family of operators.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Opset {
    /// Empty for ONNX's own operators.
    #[prost(string, tag = "1")]
    pub domain: String,
    /// Version of the family.
    #[prost(int64, tag = "2")]
    pub version: i64,
}

/// Nodes in running order, with weights.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Graph {
    /// The steps.
    #[prost(message, repeated, tag = "1")]
    pub node: Vec<Node>,
    /// Name of the network.
    #[prost(string, tag = "2")]
    pub name: String,
    /// Weights.
    #[prost(message, repeated, tag = "5")]
    pub initializer: Vec<TensorData>,
    /// What the network reads (old files list the weights here too).
    #[prost(message, repeated, tag = "11")]
    pub input: Vec<ValueInfo>,
    /// What the network hands out.
    #[prost(message, repeated, tag = "12")]
    pub output: Vec<ValueInfo>,
}

/// One step.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Node {
    /// Names of the values it reads; an empty name is an input left out.
    #[prost(string, repeated, tag = "1")]
    pub input: Vec<String>,
    /// Names of the values it makes.
    #[prost(string, repeated, tag = "2")]
    pub output: Vec<String>,
    /// Name of the step.
    #[prost(string, tag = "3")]
    pub name: String,
    /// Name of the operator.
    #[prost(string, tag = "4")]
    pub op_type: String,
    /// Its settings.
    #[prost(message, repeated, tag = "5")]
    pub attribute: Vec<Attribute>,
    /// Family of the operator; empty for ONNX's own.
    #[prost(string, tag = "7")]
    pub domain: String,
}

/// One setting of a step.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Attribute {
    /// Name of the setting.
    #[prost(string, tag = "1")]
    pub name: String,
    /// A number.
    #[prost(float, optional, tag = "2")]
    pub f: Option<f32>,
    /// An integer.
    #[prost(int64, optional, tag = "3")]
    pub i: Option<i64>,
    /// A string.
    #[prost(bytes = "vec", optional, tag = "4")]
    pub s: Option<Vec<u8>>,
    /// A tensor (of a Constant).
    #[prost(message, optional, tag = "5")]
    pub t: Option<TensorData>,
    /// Integers; proto3 of ONNX does not pack them.
    #[prost(int64, repeated, packed = "false", tag = "8")]
    pub ints: Vec<i64>,
    /// Which of the fields counts: see the constants below.
    #[prost(int32, tag = "20")]
    pub r#type: i32,
}

/// [`Attribute::type`] of an integer.
pub const ATTRIBUTE_INT: i32 = 2;
/// [`Attribute::type`] of a list of integers.
pub const ATTRIBUTE_INTS: i32 = 7;
/// [`TensorData::data_type`] and [`TensorType::elem_type`] of f32.
pub const FLOAT: i32 = 1;
/// [`TensorData::data_type`] of i8.
pub const INT8: i32 = 3;
/// [`TensorData::data_type`] of i32.
pub const INT32: i32 = 6;
/// [`TensorData::data_type`] of i64.
pub const INT64: i32 = 7;
/// [`TensorData::data_type`] of IEEE half precision.
pub const FLOAT16: i32 = 10;

/// Numbers with a shape and a name.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TensorData {
    /// Length of each axis.
    #[prost(int64, repeated, tag = "1")]
    pub dims: Vec<i64>,
    /// Kind of number.
    #[prost(int32, tag = "2")]
    pub data_type: i32,
    /// The values, one way.
    #[prost(float, repeated, tag = "4")]
    pub float_data: Vec<f32>,
    /// The values of [`INT64`], one way.
    #[prost(int64, repeated, tag = "7")]
    pub int64_data: Vec<i64>,
    /// Name of the weights.
    #[prost(string, tag = "8")]
    pub name: String,
    /// The values, the other way: little endian.
    #[prost(bytes = "vec", tag = "9")]
    pub raw_data: Vec<u8>,
    /// 1 when the values lie in another file.
    #[prost(int32, tag = "14")]
    pub data_location: i32,
}

/// Name and type of an input or output.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ValueInfo {
    /// Name of the value.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Its type.
    #[prost(message, optional, tag = "2")]
    pub r#type: Option<ValueType>,
}

/// Type of a value; only tensors are known here.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ValueType {
    /// The tensor.
    #[prost(message, optional, tag = "1")]
    pub tensor_type: Option<TensorType>,
}

/// Kind of number and shape.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TensorType {
    /// Kind of number.
    #[prost(int32, tag = "1")]
    pub elem_type: i32,
    /// Length of each axis.
    #[prost(message, optional, tag = "2")]
    pub shape: Option<TensorShape>,
}

/// Length of each axis.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TensorShape {
    /// Outermost axis first.
    #[prost(message, repeated, tag = "1")]
    pub dim: Vec<Dimension>,
}

/// One length: a number, a name for a free one, or neither when unknown.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Dimension {
    /// A fixed length.
    #[prost(int64, optional, tag = "1")]
    pub dim_value: Option<i64>,
    /// Name of a free length.
    #[prost(string, optional, tag = "2")]
    pub dim_param: Option<String>,
}

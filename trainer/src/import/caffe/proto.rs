//! The few messages of caffe.proto that hold weights, written by hand.
//!
//! The structure of the network is read from the prototxt; of the `.caffemodel` only names, types and blobs
//! matter. Field numbers are those of BVLC Caffe's caffe.proto.

/// A whole `.caffemodel`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Net {
    /// Layers as they were written before 2014 ("V1").
    #[prost(message, repeated, tag = "2")]
    pub layers: Vec<LayerV1>,
    /// Layers as they are written since.
    #[prost(message, repeated, tag = "100")]
    pub layer: Vec<Layer>,
}

/// A layer with its weights.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Layer {
    /// Name of the layer.
    #[prost(string, tag = "1")]
    pub name: String,
    /// "Convolution" and so on.
    #[prost(string, tag = "2")]
    pub r#type: String,
    /// Weights, then biases.
    #[prost(message, repeated, tag = "7")]
    pub blobs: Vec<Blob>,
}

/// A layer of the old kind.
#[derive(Clone, PartialEq, prost::Message)]
pub struct LayerV1 {
    /// A still older layer ("V0") inside this one.
    #[prost(bytes = "vec", optional, tag = "1")]
    pub v0: Option<Vec<u8>>,
    /// Name of the layer.
    #[prost(string, tag = "4")]
    pub name: String,
    /// Number of the type: see [`super::V1_TYPES`].
    #[prost(int32, tag = "5")]
    pub r#type: i32,
    /// Weights, then biases.
    #[prost(message, repeated, tag = "6")]
    pub blobs: Vec<Blob>,
}

/// Numbers with a shape.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Blob {
    /// Old shape: [num, channels, height, width].
    #[prost(int32, optional, tag = "1")]
    pub num: Option<i32>,
    /// Old shape.
    #[prost(int32, optional, tag = "2")]
    pub channels: Option<i32>,
    /// Old shape.
    #[prost(int32, optional, tag = "3")]
    pub height: Option<i32>,
    /// Old shape.
    #[prost(int32, optional, tag = "4")]
    pub width: Option<i32>,
    /// The values.
    #[prost(float, repeated, tag = "5")]
    pub data: Vec<f32>,
    /// New shape.
    #[prost(message, optional, tag = "7")]
    pub shape: Option<BlobShape>,
    /// The values of a network in double precision.
    #[prost(double, repeated, tag = "8")]
    pub double_data: Vec<f64>,
}

/// Length of each axis.
#[derive(Clone, PartialEq, prost::Message)]
pub struct BlobShape {
    /// Outermost axis first.
    #[prost(int64, repeated, tag = "1")]
    pub dim: Vec<i64>,
}

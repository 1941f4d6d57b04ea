//! Quantised network -> ONNX bytes: QLinearConv and QLinearMatMul, everything else in f32 between DequantizeLinear and
//! QuantizeLinear.
//!
//! Before each QuantizeLinear stands a product with 1 / scale, and its own scale is 1: ONNX divides by the scale, tract
//! multiplies by the inverse, and one number in some hundred thousand would be rounded to the other side, which a deep
//! network makes much of. So both give the same bits.
//!
//! tract 0.23.9 loads exactly this much: QGemm is unknown to it, and a convolution between DequantizeLinear and
//! QuantizeLinear (QDQ) would run in f32. A value goes by two names, one a form, and is brought from one form to the
//! other where it is first read in that form.

use prost::Message;

use super::onnx::{Writer, conv_attributes, int, unique};
use super::proto;
use super::quantise::graph::{Layer, Quantised};
use super::quantise::scheme::Affine;
use crate::graph::{GraphError, Node, Op, ValueId};

/// The network as an ONNX file.
///
/// # Errors
/// When the network is not well formed, or still has a batch normalisation in it.
pub fn to_bytes(quantised: &Quantised) -> Result<Vec<u8>, GraphError> {
    Ok(to_model(quantised)?.encode_to_vec())
}

/// The network as ONNX messages.
///
/// # Errors
/// As [`to_bytes`].
pub fn to_model(quantised: &Quantised) -> Result<proto::Model, GraphError> {
    let network = &quantised.network;
    network.check()?;
    let shapes = network.shapes()?;
    let values = network.nodes().len() + 1;
    let mut writer = Int8Writer {
        base: Writer::new(network),
        quantised,
        in_f32: vec![false; values],
        in_int8: vec![None; values],
    };
    writer.in_f32[ValueId::INPUT.index()] = true;
    for (i, node) in network.nodes().iter().enumerate() {
        match (&quantised.layers[i], &node.op) {
            (Some(layer), Op::Conv2d(_)) => writer.convolution(i, node, layer)?,
            (Some(layer), Op::Gemm(_)) => writer.fully_connected(i, node, layer)?,
            // A flattened int8 value stays one; nothing is gained by going through f32.
            (_, Op::Flatten) if writer.only_int8(node) => writer.flatten(i, node)?,
            _ => {
                for &input in &node.inputs {
                    writer.f32_form(input)?;
                }
                writer.base.node(i, node, shapes[i + 1])?;
                writer.in_f32[i + 1] = true;
            }
        }
    }
    for output in &network.outputs {
        writer.f32_form(output.value)?;
    }
    Ok(writer.base.finish(network, &shapes))
}

struct Int8Writer<'a> {
    /// Its names are those of the f32 forms.
    base: Writer,
    quantised: &'a Quantised,
    /// Is the f32 form of the value written?
    in_f32: Vec<bool>,
    /// Name of its int8 form, once written.
    in_int8: Vec<Option<String>>,
}

impl Int8Writer<'_> {
    fn only_int8(&self, node: &Node) -> bool {
        node.inputs.iter().all(|v| !self.in_f32[v.index()] && self.in_int8[v.index()].is_some())
    }

    fn affine(&self, value: usize) -> Result<Affine, GraphError> {
        self.quantised.values[value].ok_or_else(|| GraphError::Network {
            network: self.quantised.network.name.clone(),
            what: format!("`{}` is read as int8 but has no range", self.base.values[value]),
        })
    }

    /// Sees to it that the f32 form of `value` is written.
    fn f32_form(&mut self, value: ValueId) -> Result<(), GraphError> {
        let v = value.index();
        if self.in_f32[v] {
            return Ok(());
        }
        let Some(source) = self.in_int8[v].clone() else {
            return Err(GraphError::Network {
                network: self.quantised.network.name.clone(),
                what: format!("`{}` is read before it is made", self.base.values[v]),
            });
        };
        let name = self.base.values[v].clone();
        let [scale, zero] = self.parameters(&name, self.affine(v)?);
        self.push("DequantizeLinear", vec![source, scale, zero], name, vec![]);
        self.in_f32[v] = true;
        Ok(())
    }

    /// Name of the int8 form of `value`, which is written if it is not yet.
    fn int8_form(&mut self, value: ValueId) -> Result<String, GraphError> {
        let v = value.index();
        if let Some(name) = &self.in_int8[v] {
            return Ok(name.clone());
        }
        let source = self.base.values[v].clone();
        let affine = self.affine(v)?;
        let steps_per_unit = affine.scale.recip().to_le_bytes().to_vec();
        let inverse = self.base.constant(&format!("{source}.inverse"), &[], proto::FLOAT, steps_per_unit);
        let steps = unique(format!("{source}.steps"), &mut self.base.taken);
        self.push("Mul", vec![source.clone(), inverse], steps.clone(), vec![]);
        let [one, zero] = self.parameters(&steps, Affine { scale: 1.0, ..affine });
        let name = self.new_int8(v);
        self.push("QuantizeLinear", vec![steps, one, zero], name.clone(), vec![]);
        Ok(name)
    }

    /// Names the int8 form of a value that is about to be made.
    fn new_int8(&mut self, value: usize) -> String {
        let name = unique(format!("{}.int8", self.base.values[value]), &mut self.base.taken);
        self.in_int8[value] = Some(name.clone());
        name
    }

    fn convolution(&mut self, index: usize, node: &Node, layer: &Layer) -> Result<(), GraphError> {
        let Op::Conv2d(conv) = &node.op else { return Ok(()) };
        let x = self.int8_form(node.inputs[0])?;
        let [x_scale, x_zero] = self.parameters(&format!("{}.x", node.name), layer.input);
        let shape = layer.weight.shape.clone();
        let [w, w_scale] = self.weights(node, layer, &shape, layer.weight.data.clone());
        let w_zero = self.base.constant(&format!("{}.weight.zero", node.name), &[], proto::INT8, vec![0]);
        let [y_scale, y_zero] = self.parameters(&format!("{}.y", node.name), layer.output);
        let bias = layer.bias.iter().flat_map(|v| v.to_le_bytes()).collect();
        let bias =
            self.base.constant(&format!("{}.bias", node.name), &[layer.bias.len()], proto::INT32, bias);
        let y = self.new_int8(index + 1);
        let inputs = vec![x, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero, bias];
        self.push_named(&node.name, "QLinearConv", inputs, y, conv_attributes(conv));
        Ok(())
    }

    fn fully_connected(&mut self, index: usize, node: &Node, layer: &Layer) -> Result<(), GraphError> {
        let Op::Gemm(gemm) = &node.op else { return Ok(()) };
        let &[outputs, inputs] = gemm.weight.shape() else { return Ok(()) }; // check() has refused this
        let x = self.int8_form(node.inputs[0])?;
        let [x_scale, x_zero] = self.parameters(&format!("{}.x", node.name), layer.input);
        // [out, in] to [in, out]: QLinearMatMul knows no transposed weights.
        let by_input = |i: usize| (0..outputs).map(move |o| o * inputs + i);
        let data = (0..inputs).flat_map(by_input).map(|at| layer.weight.data[at]).collect();
        let [w, w_scale] = self.weights(node, layer, &[inputs, outputs], data);
        // Scale and zero point have one shape here.
        let zeros = vec![0; outputs];
        let w_zero =
            self.base.constant(&format!("{}.weight.zero", node.name), &[outputs], proto::INT8, zeros);
        let [y_scale, y_zero] = self.parameters(&format!("{}.y", node.name), layer.output);
        let operands = vec![x, x_scale, x_zero, w, w_scale, w_zero, y_scale.clone(), y_zero.clone()];
        let Some(bias) = &gemm.bias else {
            let y = self.new_int8(index + 1);
            self.push_named(&node.name, "QLinearMatMul", operands, y, vec![]);
            return Ok(());
        };
        let sums = unique(format!("{}.sums.int8", node.name), &mut self.base.taken);
        self.push_named(&node.name, "QLinearMatMul", operands, sums.clone(), vec![]);
        let in_f32 = unique(format!("{}.sums", node.name), &mut self.base.taken);
        self.push("DequantizeLinear", vec![sums, y_scale, y_zero], in_f32.clone(), vec![]);
        let bytes = bias.iter().flat_map(|v| v.to_le_bytes()).collect();
        // [1, out], so that no engine has to guess the axis.
        let bias = self.base.constant(&format!("{}.bias", node.name), &[1, outputs], proto::FLOAT, bytes);
        let y = self.base.values[index + 1].clone();
        self.push("Add", vec![in_f32, bias], y, vec![]);
        self.in_f32[index + 1] = true;
        Ok(())
    }

    fn flatten(&mut self, index: usize, node: &Node) -> Result<(), GraphError> {
        let x = self.int8_form(node.inputs[0])?;
        let y = self.new_int8(index + 1);
        self.push_named(&node.name, "Flatten", vec![x], y, vec![int("axis", 1)]);
        Ok(())
    }

    /// Weights and their scales, one an output channel.
    fn weights(&mut self, node: &Node, layer: &Layer, shape: &[usize], data: Vec<i8>) -> [String; 2] {
        let bytes = data.into_iter().map(i8::cast_unsigned).collect();
        let scales = layer.weight.scales.iter().flat_map(|v| v.to_le_bytes()).collect();
        let base = &mut self.base;
        [
            base.constant(&format!("{}.weight", node.name), shape, proto::INT8, bytes),
            base.constant(
                &format!("{}.weight.scale", node.name),
                &[layer.weight.scales.len()],
                proto::FLOAT,
                scales,
            ),
        ]
    }

    /// Scale and zero point as constants.
    fn parameters(&mut self, of: &str, affine: Affine) -> [String; 2] {
        let scale = affine.scale.to_le_bytes().to_vec();
        let zero = affine.zero_point.to_le_bytes().to_vec();
        [
            self.base.constant(&format!("{of}.scale"), &[], proto::FLOAT, scale),
            self.base.constant(&format!("{of}.zero"), &[], proto::INT8, zero),
        ]
    }

    /// A node named after what it makes.
    fn push(&mut self, op: &str, input: Vec<String>, output: String, attribute: Vec<proto::Attribute>) {
        let name = format!("{output}.{op}");
        self.push_named(&name, op, input, output, attribute);
    }

    fn push_named(
        &mut self,
        name: &str,
        op: &str,
        input: Vec<String>,
        output: String,
        attribute: Vec<proto::Attribute>,
    ) {
        self.base.graph.node.push(proto::Node {
            input,
            output: vec![output],
            name: name.to_owned(),
            op_type: op.to_owned(),
            attribute,
            domain: String::new(),
        });
    }
}

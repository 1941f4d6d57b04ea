//! The int8 layers of ONNX's QLinear kind, with the f32 operations between them.

use tract_onnx::prelude::*;
use tract_onnx::tract_core::ops::binary::TypedBinOp;
use tract_onnx::tract_core::ops::cnn::Conv;
use tract_onnx::tract_core::ops::cnn::conv::KernelFormat;
use tract_onnx::tract_core::ops::einsum::EinSum;
use tract_onnx::tract_core::ops::element_wise::ElementWiseOp;
use tract_onnx::tract_core::ops::quant::{DequantizeLinearF32, QuantizeLinearI8};

use super::{Reader, Window};
use crate::kernels::frame::Plane;
use crate::kernels::int8::{Int8, Over};
use crate::kernels::program::{Image, Kind, Layer, Value};
use crate::kernels::quantise::{Quantise, Steps};

impl Reader<'_> {
    /// Makes of a node an int8 layer, or the step from or to one; `None` where it is none.
    pub(super) fn int8(&mut self, node: &TypedNode, plane: Plane) -> TractResult<Option<Value>> {
        if let Some(op) = node.op_as::<ElementWiseOp>().and_then(|op| op.0.downcast_ref::<QuantizeLinearI8>())
        {
            return self.quantised(node, op, plane);
        }
        if let Some(op) = node.op_as::<DequantizeLinearF32>() {
            let Some(&from) = self.known.get(&node.inputs[0]) else { return Ok(None) };
            return Ok(self.layers.iter().find_map(|layer| match layer {
                Layer::Int8(c)
                    if c.own == from && c.scale == op.scale && i32::from(c.zero) == op.zero_point =>
                {
                    // Once: what follows the first may have become part of the layer.
                    Some(c.to).filter(|to| !self.known.values().any(|v| v == to))
                }
                _ => None,
            }));
        }
        if node.inputs.len() != 9 {
            return Ok(None);
        }
        if let Some(op) = node.op_as::<Conv>() {
            let fits = op.q_params.is_some() && op.kernel_fmt == KernelFormat::OIHW;
            let Some(window) = Window::of(&op.pool_spec).filter(|w| fits && w.pad.iter().all(|p| *p <= 1))
            else {
                return Ok(None);
            };
            let Some(&from) = self.known.get(&node.inputs[0]) else { return Ok(None) };
            let before = self.images[from.0].plane;
            if self.plane(node.inputs[0])? != Some(before) {
                return Ok(None);
            }
            let over = match op.group {
                1 => Over::All,
                n if n == before.channels && n == plane.channels => Over::Own,
                _ => return Ok(None),
            };
            return self.layer_of_int8(node, &window, over, None, plane);
        }
        if let Some(op) = node.op_as::<EinSum>() {
            return self.product_of_int8(node, op, plane);
        }
        Ok(None)
    }

    /// f32 to int8, with the product with 1 / scale that the trainer writes before it.
    fn quantised(
        &mut self,
        node: &TypedNode,
        op: &QuantizeLinearI8,
        plane: Plane,
    ) -> TractResult<Option<Value>> {
        let input = node.inputs[0];
        let (from, inverse) = match self.known.get(&input) {
            Some(&from) => (from, op.scale),
            None => {
                let product = self.model.node(input.node);
                let alone =
                    self.model.outlet_successors(input).len() == 1 && !self.model.outputs.contains(&input);
                if !product.op_as::<TypedBinOp>().is_some_and(|op| op.0.name() == "Mul" && op.1.is_none())
                    || !alone
                    || op.scale != 1.0
                {
                    return Ok(None);
                }
                let of = |at: usize| self.known.get(&product.inputs[at]).copied();
                let by = |at: usize| self.constant(product.inputs[at]);
                let (from, by) = match (of(0), of(1)) {
                    (Some(from), None) => (from, by(1)?),
                    (None, Some(from)) => (from, by(0)?),
                    _ => return Ok(None),
                };
                let Some(&[inverse]) = by.as_deref() else { return Ok(None) };
                (from, inverse)
            }
        };
        // The value may be a flattened one: what counts is the image that it is.
        let image = self.images[from.0];
        if image.kind != Kind::F32 || image.plane.numbers() != plane.numbers() {
            return Ok(None);
        }
        let steps = Steps { inverse, zero: op.zero_point };
        let zero = (i16::from(op.zero_point) + 128) as u8;
        let to = self.value(Image { plane: image.plane, kind: Kind::U8 { zero } });
        let maker = self.layers.iter_mut().find_map(|layer| match layer {
            Layer::Int8(c) if c.to == from && c.next.is_none() => Some(&mut c.next),
            _ => None,
        });
        match maker {
            Some(next) => {
                *next = Some((to, steps));
            }
            None => self.layers.push(Layer::Quantise(Quantise { from, to, steps })),
        }
        self.inner.extend((!self.known.contains_key(&input)).then_some(input));
        Ok(Some(to))
    }

    /// A product of each pixel or of the whole image.
    fn product_of_int8(&mut self, node: &TypedNode, op: &EinSum, plane: Plane) -> TractResult<Option<Value>> {
        let Some(&from) = self.known.get(&node.inputs[0]) else { return Ok(None) };
        let before = self.images[from.0].plane;
        let Some(product) = self.product_of(node, op, before)?.filter(|_| op.q_params.is_some()) else {
            return Ok(None);
        };
        let window = Window { kernel: product.window, stride: [1, 1], pad: [0, 0] };
        self.layer_of_int8(node, &window, Over::All, Some(product.order), plane)
    }

    /// A layer with tract's nine inputs; `order` are the weights' axes, outputs first, where they are none of a
    /// convolution.
    fn layer_of_int8(
        &mut self,
        node: &TypedNode,
        window: &Window,
        over: Over,
        order: Option<Vec<usize>>,
        plane: Plane,
    ) -> TractResult<Option<Value>> {
        let Some(&from) = self.known.get(&node.inputs[0]) else { return Ok(None) };
        // u8 outputs, and sums that are handed on as they are, have other bounds.
        if node.outputs[0].fact.datum_type.unquantized() != i8::datum_type() {
            return Ok(None);
        }
        let before = self.images[from.0];
        let one = |at: usize| self.whole_number(node.inputs[at]);
        let (Some(x_zero), Some(y_zero)) = (one(3)?, one(7)?) else { return Ok(None) };
        let weights_zero = self.whole_numbers(node.inputs[5])?.is_some_and(|z| z.iter().all(|z| *z == 0));
        let numbers = |at: usize| self.constant(node.inputs[at]);
        let (Some(x_scale), Some(k_scale), Some(y_scale)) = (numbers(4)?, numbers(6)?, numbers(8)?) else {
            return Ok(None);
        };
        let (&[x_scale], &[y_scale]) = (&x_scale[..], &y_scale[..]) else { return Ok(None) };
        let Some(weights) = self.weights(node.inputs[1], order)? else { return Ok(None) };
        let outputs = plane.channels;
        let k_scale = if k_scale.len() == 1 { vec![k_scale[0]; outputs] } else { k_scale };
        let Some(bias) = self.whole_numbers(node.inputs[2])? else { return Ok(None) };
        let bias = if bias.len() == 1 { vec![bias[0]; outputs] } else { bias };
        let channels = if over == Over::All { before.plane.channels } else { 1 };
        let terms = channels * window.kernel[0] * window.kernel[1];
        let (Ok(x_zero), Ok(y_zero)) = (i8::try_from(x_zero), i8::try_from(y_zero)) else { return Ok(None) };
        let fits = before.kind == Kind::U8 { zero: (i16::from(x_zero) + 128) as u8 }
            && weights_zero
            && weights.len() == outputs * terms
            && k_scale.len() == outputs
            && bias.len() == outputs;
        if !fits {
            return Ok(None);
        }
        let own = self.value(Image { plane, kind: Kind::U8 { zero: (i16::from(y_zero) + 128) as u8 } });
        let to = self.value(Image::f32(plane));
        self.layers.push(Layer::Int8(Int8 {
            from,
            over,
            weights,
            kernel: window.kernel,
            stride: window.stride,
            pad: window.pad,
            bias,
            // As onnxruntime and tract reckon it.
            factors: k_scale.iter().map(|k| k * x_scale / y_scale).collect(),
            zero: y_zero,
            own,
            scale: y_scale,
            shift: None,
            slope: None,
            residual: None,
            to,
            next: None,
        }));
        Ok(Some(own))
    }

    fn weights(&self, outlet: OutletId, order: Option<Vec<usize>>) -> TractResult<Option<Vec<i8>>> {
        let Some(konst) = &self.model.outlet_fact(outlet)?.konst else { return Ok(None) };
        if konst.datum_type().unquantized() != i8::datum_type() {
            return Ok(None);
        }
        let konst = konst.cast_to::<i8>()?;
        let view = konst.to_plain_array_view::<i8>()?;
        Ok(match order {
            Some(order) if order.len() != view.ndim() => None,
            Some(order) => Some(view.permuted_axes(order).iter().copied().collect()),
            None => Some(view.iter().copied().collect()),
        })
    }

    /// The numbers of a constant that are whole.
    fn whole_numbers(&self, outlet: OutletId) -> TractResult<Option<Vec<i32>>> {
        let Some(konst) = &self.model.outlet_fact(outlet)?.konst else { return Ok(None) };
        if ![i32::datum_type(), i8::datum_type()].contains(&konst.datum_type().unquantized()) {
            return Ok(None);
        }
        let konst = konst.cast_to::<i32>()?;
        Ok(Some(konst.to_plain_array_view::<i32>()?.iter().copied().collect()))
    }

    fn whole_number(&self, outlet: OutletId) -> TractResult<Option<i32>> {
        Ok(self.whole_numbers(outlet)?.filter(|n| n.len() == 1).map(|n| n[0]))
    }
}

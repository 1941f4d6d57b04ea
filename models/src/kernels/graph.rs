//! Reads a network's first layers out of tract's graph, from the input on as far as our kernels can do them.

mod int8;

use std::collections::{HashMap, HashSet};

use tract_onnx::prelude::*;
use tract_onnx::tract_core::ops::binary::TypedBinOp;
use tract_onnx::tract_core::ops::cnn::conv::KernelFormat;
use tract_onnx::tract_core::ops::cnn::{Conv, MaxPool, PaddingSpec, PoolSpec};
use tract_onnx::tract_core::ops::einsum::EinSum;
use tract_onnx::tract_core::ops::nn::{DataFormat, Softmax as TractSoftmax, SoftmaxKind};
use tract_onnx::tract_hir::internal::*;

use super::activate::Activation;
use super::convolution::Convolution;
use super::dense::Dense;
use super::depthwise::Depthwise;
use super::frame::Plane;
use super::pool::Pool;
use super::prelu::PRelu;
use super::program::{Image, Kind, Layer, Program, Value};
use super::simd::Level;
use super::softmax::Softmax;

/// What was read: the program and which of the graph's values its outputs are.
#[derive(Debug)]
pub struct Read {
    /// The layers, laid out.
    pub program: Program,
    /// The graph's values that others want of them, in the order of the program's outputs.
    pub outlets: Vec<OutletId>,
}

/// Reads `model`, whose one input is `[n, c, h, w]`; `None` where its first layer is none of ours.
pub fn read(model: &TypedModel, level: Level) -> TractResult<Option<Read>> {
    let source = model.input_outlets()?[0];
    let mut reader = Reader::new(model);
    let Some(plane) = reader.plane(source)? else { return Ok(None) };
    if model.outlet_fact(source)?.datum_type != f32::datum_type() {
        return Ok(None);
    }
    let input = reader.value(Image::f32(plane));
    reader.known.insert(source, input);
    for id in model.eval_order()? {
        if id != source.node {
            reader.node(id)?;
        }
    }
    if reader.layers.is_empty() {
        return Ok(None);
    }
    // Wanted are the network's outputs and what a layer that stays with tract reads.
    let stays = |node: usize| {
        (0..model.node(node).outputs.len()).map(|slot| OutletId::new(node, slot)).any(|o| !reader.done(o))
    };
    let outside = |outlet: &OutletId| {
        model.outputs.contains(outlet) || model.outlet_successors(*outlet).iter().any(|s| stays(s.node))
    };
    let mut outlets: Vec<OutletId> =
        reader.known.keys().filter(|o| **o != source && outside(o)).copied().collect();
    outlets.sort_unstable();
    let values: Vec<Value> = outlets.iter().map(|o| reader.known[o]).collect();
    // What is handed over is f32; a network that wants int8 values of ours elsewhere stays with tract.
    if values.iter().any(|v| reader.images[v.0].kind != Kind::F32) {
        return Ok(None);
    }
    let program = Program::new(level, &reader.images, input, reader.layers, &values);
    Ok(Some(Read { program, outlets }))
}

/// Most numbers of a value, all images together: a gigabyte. What is larger is a mistake, and stays with tract.
const MOST: usize = 1 << 28;

struct Reader<'a> {
    model: &'a TypedModel,
    images: Vec<Image>,
    /// Of values of f32, how many layers there were when each was made: the later one is greater.
    made: Vec<usize>,
    layers: Vec<Layer>,
    known: HashMap<OutletId, Value>,
    /// Steps inside a layer of ours that nobody else reads.
    inner: HashSet<OutletId>,
}

/// A product of an image with weights.
struct Product {
    /// The weights' axes: outputs first, then the terms in the order of the image.
    order: Vec<usize>,
    /// Whether each pixel is one, or the whole image.
    by_pixel: bool,
    /// What one is of the image, px.
    window: [usize; 2],
}

/// A layer's bias, slope and residual, wherever it keeps them.
struct Tail<'a> {
    bias: &'a mut Option<Vec<f32>>,
    slope: &'a mut Option<Vec<f32>>,
    most: Option<&'a mut Option<f32>>,
    residual: Option<&'a mut Option<Value>>,
}

impl<'a> Tail<'a> {
    fn of(activation: &'a mut Activation, residual: Option<&'a mut Option<Value>>) -> Self {
        let Activation { bias, slope, most } = activation;
        Self { bias, slope, most: Some(most), residual }
    }

    /// Whether nothing but a bias was added yet.
    fn is_open(&self) -> bool {
        self.slope.is_none() && self.is_unbounded()
    }

    /// Whether neither a bound nor a residual was added yet.
    fn is_unbounded(&self) -> bool {
        self.most.as_ref().is_none_or(|m| m.is_none()) && self.residual.as_ref().is_none_or(|r| r.is_none())
    }
}

impl<'a> Reader<'a> {
    fn new(model: &'a TypedModel) -> Self {
        let (images, made, layers) = (Vec::new(), Vec::new(), Vec::new());
        Self { model, images, made, layers, known: HashMap::new(), inner: HashSet::new() }
    }

    /// Whether a value of the graph is ours, or a step inside a layer of ours.
    fn done(&self, outlet: OutletId) -> bool {
        self.known.contains_key(&outlet) || self.inner.contains(&outlet)
    }

    /// Size of a value `[n, c, h, w]` or `[n, c]`; `None` for another.
    fn plane(&self, outlet: OutletId) -> TractResult<Option<Plane>> {
        let fact = self.model.outlet_fact(outlet)?;
        let Some(shape) = fact.shape.as_concrete() else { return Ok(None) };
        let numbers = shape.iter().try_fold(1usize, |all, n| all.checked_mul(*n));
        Ok(match *shape {
            _ if numbers.is_none_or(|n| n == 0 || n > MOST) => None,
            [_, channels, height, width] => Some(Plane { height, width, channels }),
            [_, channels] => Some(Plane { height: 1, width: 1, channels }),
            _ => None,
        })
    }

    fn value(&mut self, image: Image) -> Value {
        self.images.push(image);
        self.made.push(self.layers.len());
        Value(self.images.len() - 1)
    }

    /// Makes a layer of a node, adds it to the layer before, or leaves it.
    fn node(&mut self, id: usize) -> TractResult<()> {
        let node = self.model.node(id);
        if node.outputs.len() != 1 || node.inputs.is_empty() {
            return Ok(());
        }
        if let Some(value) = self.reshaped(node)? {
            self.known.insert(id.into(), value);
            return Ok(());
        }
        let Some(plane) = self.plane(id.into())? else { return Ok(()) };
        let value = match self.int8(node, plane)? {
            Some(value) => Some(value),
            None if node.outputs[0].fact.datum_type != f32::datum_type() => None,
            None => match self.added(node, plane)? {
                Some(value) => Some(value),
                None => self.f32(node, plane)?,
            },
        };
        if let Some(value) = value {
            self.known.insert(id.into(), value);
        }
        Ok(())
    }

    /// The same numbers in the same order under another shape, image by image.
    fn reshaped(&self, node: &TypedNode) -> TractResult<Option<Value>> {
        let (Some(op), Some(&value)) = (node.op_as::<AxisOp>(), self.known.get(&node.inputs[0])) else {
            return Ok(None);
        };
        let [before, after] = [node.inputs[0], node.id.into()].map(|o| self.model.outlet_fact(o));
        let (before, after) = (before?.shape.as_concrete(), after?.shape.as_concrete());
        let images = before.zip(after).is_some_and(|(b, a)| b.first() == a.first());
        Ok((images && !matches!(op, AxisOp::Move(..))).then_some(value))
    }

    /// A layer of f32 of its own.
    fn f32(&mut self, node: &TypedNode, plane: Plane) -> TractResult<Option<Value>> {
        let Some(&from) = self.known.get(&node.inputs[0]) else { return Ok(None) };
        let to = Value(self.images.len());
        let image = self.images[from.0];
        // A value that goes by another shape is no image any more; products of whole images do not mind.
        let fits = self.plane(node.inputs[0])?.is_some_and(|seen| {
            let flat = node.op_is::<EinSum>() && seen.height * seen.width == 1;
            seen == image.plane || (flat && seen.numbers() == image.plane.numbers())
        });
        if image.kind != Kind::F32 || !fits {
            return Ok(None);
        }
        Ok(self.layer(node, from, to, plane)?.map(|layer| {
            self.layers.push(layer);
            self.value(Image::f32(plane))
        }))
    }

    /// A layer of its own.
    fn layer(&self, node: &TypedNode, from: Value, to: Value, after: Plane) -> TractResult<Option<Layer>> {
        let before = self.images[from.0].plane;
        if let Some(op) = node.op_as::<Conv>() {
            return self.convolution(node, op, from, to, before, after);
        }
        if let Some(op) = node.op_as::<EinSum>() {
            return self.product(node, op, from, to, before, after);
        }
        if let Some(op) = node.op_as::<MaxPool>() {
            let Some(window) = Window::of(&op.pool_spec) else { return Ok(None) };
            let fits = op.with_index_outputs.is_none()
                && window.pad == [0, 0]
                && before.channels == after.channels
                && (after.height - 1) * window.stride[0] < before.height
                && (after.width - 1) * window.stride[1] < before.width;
            let pool = Pool { from, to, kernel: window.kernel, stride: window.stride };
            return Ok(fits.then_some(Layer::Pool(pool)));
        }
        if let Some(op) = node.op_as::<TractSoftmax>() {
            let fits = op.axes[..] == [1]
                && op.quant_output_dt.is_none()
                && op.kind == SoftmaxKind::Softmax
                && before == after;
            return Ok(fits.then_some(Layer::Softmax(Softmax { from, to })));
        }
        Ok(None)
    }

    fn convolution(
        &self,
        node: &TypedNode,
        op: &Conv,
        from: Value,
        to: Value,
        before: Plane,
        after: Plane,
    ) -> TractResult<Option<Layer>> {
        let Some(window) = Window::of(&op.pool_spec) else { return Ok(None) };
        let fits = op.q_params.is_none()
            && op.kernel_fmt == KernelFormat::OIHW
            && window.pad.iter().all(|p| *p <= 1);
        let (Some(weights), Some(bias)) = (self.constant(node.inputs[1])?, self.constant(node.inputs[2])?)
        else {
            return Ok(None);
        };
        let Some(bias) = spread(bias, after.channels) else { return Ok(None) };
        let activation = Activation { bias, ..Activation::default() };
        let taps = window.kernel[0] * window.kernel[1];
        let Window { kernel, stride, pad } = window;
        if !fits {
            return Ok(None);
        }
        if op.group == 1 && weights.len() == before.channels * after.channels * taps {
            let residual = None;
            let layer = Convolution { from, to, weights, kernel, stride, pad, activation, residual };
            return Ok(Some(Layer::Convolution(layer)));
        }
        let by_channel = op.group == before.channels && before.channels == after.channels;
        if by_channel && weights.len() == after.channels * taps {
            let layer = Depthwise { from, to, weights, kernel, stride, pad, activation, residual: None };
            return Ok(Some(Layer::Depthwise(layer)));
        }
        Ok(None)
    }

    /// A product with constant weights: of each pixel (a convolution by 1x1) or of the whole image.
    fn product(
        &self,
        node: &TypedNode,
        op: &EinSum,
        from: Value,
        to: Value,
        before: Plane,
        after: Plane,
    ) -> TractResult<Option<Layer>> {
        if node.inputs.len() != 2 || op.q_params.is_some() || op.operating_dt != f32::datum_type() {
            return Ok(None);
        }
        let Some(konst) = self.model.outlet_fact(node.inputs[1])?.konst.clone() else { return Ok(None) };
        if konst.datum_type() != f32::datum_type() {
            return Ok(None);
        }
        let Some(product) = self.product_of(node, op, before)? else { return Ok(None) };
        if product.order.len() != konst.rank() {
            return Ok(None);
        }
        let view = konst.to_plain_array_view::<f32>()?;
        let weights: Vec<f32> = view.permuted_axes(product.order).iter().copied().collect();
        let [height, width] = product.window;
        if weights.len() != after.channels * before.channels * height * width {
            return Ok(None);
        }
        Ok(Some(if product.by_pixel {
            let (kernel, stride, pad) = (product.window, [1, 1], [0, 0]);
            let (activation, residual) = (Activation::default(), None);
            let layer = Convolution { from, to, weights, kernel, stride, pad, activation, residual };
            Layer::Convolution(layer)
        } else {
            Layer::Dense(Dense { from, to, weights, activation: Activation::default() })
        }))
    }

    /// What a product of an image, as the node sees it, with its second input goes over; `None` for another kind.
    fn product_of(&self, node: &TypedNode, op: &EinSum, before: Plane) -> TractResult<Option<Product>> {
        let rank = self.model.outlet_fact(node.inputs[0])?.rank();
        let out_rank = self.model.outlet_fact(node.id.into())?.rank();
        let axis = |slot: InOut, at: usize| op.axes.axis((slot, at)).ok();
        // Where an axis of the input stands in the weights, and in the output; once in each at most.
        let weight_at = |a: &Axis| (a.inputs[1].len() == 1).then(|| a.inputs[1][0]);
        let Some(own) = axis(InOut::Out(0), 1) else { return Ok(None) };
        let Some(output) = weight_at(own).filter(|_| own.inputs[0].is_empty()) else { return Ok(None) };
        let kept = |at: usize| {
            axis(InOut::In(0), at).is_some_and(|a| {
                a.inputs[0][..] == [at] && a.inputs[1].is_empty() && a.outputs[0][..] == [at]
            })
        };
        let by_pixel = rank == 4 && out_rank == 4 && kept(2) && kept(3);
        if !kept(0) || (!by_pixel && out_rank != 2) {
            return Ok(None);
        }
        let summed = |at: usize| {
            axis(InOut::In(0), at)
                .filter(|a| a.inputs[0][..] == [at] && a.outputs[0].is_empty())
                .and_then(weight_at)
        };
        // tract leaves out of the weights what has one row or column only.
        let single = |at: usize| {
            let one = [1, before.channels, before.height, before.width].get(at) == Some(&1);
            let a = axis(InOut::In(0), at);
            one && a.is_some_and(|a| a.inputs[1].is_empty() && a.outputs[0].is_empty())
        };
        let mut order = vec![output];
        for at in if by_pixel { 1..2 } else { 1..rank } {
            match summed(at) {
                Some(at) => order.push(at),
                None if single(at) => {}
                None => return Ok(None),
            }
        }
        let window = if by_pixel { [1, 1] } else { [before.height, before.width] };
        Ok(Some(Product { order, by_pixel, window }))
    }

    /// Makes the node, a bias, a PReLU or a sum with another value, a part of the layer before it.
    fn added(&mut self, node: &TypedNode, plane: Plane) -> TractResult<Option<Value>> {
        if node.inputs.len() != 2 {
            return Ok(None);
        }
        let inputs = [node.inputs[0], node.inputs[1]];
        if node.op_is::<PRelu>() {
            let slope = match self.constant(inputs[1])? {
                Some(slope) if self.is_by_channel(inputs[1])? => spread(slope, plane.channels).flatten(),
                _ => None,
            };
            let Some((value, tail)) = self.tail(inputs[0], plane) else { return Ok(None) };
            return Ok(slope.filter(|_| tail.is_open()).map(|slope| {
                *tail.slope = Some(slope);
                value
            }));
        }
        let Some(op) = node.op_as::<TypedBinOp>().filter(|op| op.1.is_none()) else { return Ok(None) };
        match op.0.name() {
            "Max" | "Min" => return self.bounded(inputs, op.0.name() == "Min", plane),
            "Add" => {}
            _ => return Ok(None),
        }
        for [of, with] in [inputs, [inputs[1], inputs[0]]] {
            if let Some(constant) = self.constant(with)? {
                let by_channel = self.is_by_channel(with)?;
                let Some(bias) = spread(constant, plane.channels).flatten().filter(|_| by_channel) else {
                    return Ok(None);
                };
                let Some((value, tail)) = self.tail(of, plane) else { return Ok(None) };
                if !tail.is_open() {
                    return Ok(None);
                }
                match tail.bias {
                    Some(old) => old.iter_mut().zip(bias).for_each(|(a, b)| *a += b),
                    None => *tail.bias = Some(bias),
                }
                return Ok(Some(value));
            }
        }
        let (Some(&a), Some(&b)) = (self.known.get(&inputs[0]), self.known.get(&inputs[1])) else {
            return Ok(None);
        };
        if [a, b].iter().any(|v| self.images[v.0] != Image::f32(plane)) || self.made[a.0] == self.made[b.0] {
            return Ok(None);
        }
        // The sum belongs to the later of the two, when the other is there already.
        let (of, with) = if self.made[a.0] > self.made[b.0] { (inputs[0], b) } else { (inputs[1], a) };
        let Some((value, tail)) = self.tail(of, plane) else { return Ok(None) };
        Ok(tail.residual.filter(|r| r.is_none()).map(|residual| {
            *residual = Some(with);
            value
        }))
    }

    /// A ReLU, which is a maximum with 0, or its upper bound.
    fn bounded(&mut self, inputs: [OutletId; 2], above: bool, plane: Plane) -> TractResult<Option<Value>> {
        for [of, with] in [inputs, [inputs[1], inputs[0]]] {
            let Some(&[bound]) = self.constant(with)?.as_deref() else { continue };
            let Some((value, tail)) = self.tail(of, plane) else { return Ok(None) };
            if above && tail.is_unbounded() {
                return Ok(tail.most.map(|most| {
                    *most = Some(bound);
                    value
                }));
            }
            if !above && bound == 0.0 && tail.is_open() {
                *tail.slope = Some(vec![0.0; plane.channels]);
                return Ok(Some(value));
            }
            return Ok(None);
        }
        Ok(None)
    }

    /// The end of the layer that makes `outlet`, an image of this size, when nobody else reads that: what follows may
    /// become part of it.
    fn tail(&mut self, outlet: OutletId, plane: Plane) -> Option<(Value, Tail<'_>)> {
        let value = *self.known.get(&outlet)?;
        // A value may go by several names (reshaped, or two steps of one layer): all of them have this one way on.
        let mut names = self.known.iter().filter(|(_, v)| **v == value).map(|(o, _)| *o);
        let alone =
            |o: OutletId| self.model.outlet_successors(o).len() == 1 && !self.model.outputs.contains(&o);
        if self.images[value.0] != Image::f32(plane) || !names.all(alone) {
            return None;
        }
        self.layers.iter_mut().find_map(|layer| match layer {
            Layer::Convolution(c) if c.to == value => {
                Some((value, Tail::of(&mut c.activation, Some(&mut c.residual))))
            }
            Layer::Depthwise(d) if d.to == value => {
                Some((value, Tail::of(&mut d.activation, Some(&mut d.residual))))
            }
            Layer::Dense(d) if d.to == value => Some((value, Tail::of(&mut d.activation, None))),
            Layer::Int8(c) if c.to == value => {
                let residual = Some(&mut c.residual);
                Some((value, Tail { bias: &mut c.shift, slope: &mut c.slope, most: None, residual }))
            }
            _ => None,
        })
    }

    /// Whether a constant has one number for all or one a channel.
    fn is_by_channel(&self, outlet: OutletId) -> TractResult<bool> {
        let shape = &self.model.outlet_fact(outlet)?.shape;
        Ok(shape.iter().enumerate().all(|(axis, size)| axis == 1 || size.is_one()))
    }

    /// The numbers of a constant of f32.
    fn constant(&self, outlet: OutletId) -> TractResult<Option<Vec<f32>>> {
        let Some(konst) = &self.model.outlet_fact(outlet)?.konst else { return Ok(None) };
        if konst.datum_type() != f32::datum_type() {
            return Ok(None);
        }
        Ok(Some(konst.to_plain_array_view::<f32>()?.iter().copied().collect()))
    }
}

/// One number a channel from one a channel or one for all; `Some(None)` where that is nothing but zero.
#[allow(clippy::option_option, reason = "not fitting and nothing to add are two answers")]
fn spread(numbers: Vec<f32>, channels: usize) -> Option<Option<Vec<f32>>> {
    match numbers.len() {
        1 if numbers[0] == 0.0 => Some(None),
        1 => Some(Some(vec![numbers[0]; channels])),
        n if n == channels => Some(Some(numbers)),
        _ => None,
    }
}

/// A two-dimensional window as our kernels know it.
struct Window {
    kernel: [usize; 2],
    stride: [usize; 2],
    /// Zeros before.
    pad: [usize; 2],
}

impl Window {
    fn of(spec: &PoolSpec) -> Option<Self> {
        let [kh, kw] = spec.kernel_shape[..] else { return None };
        let pad = match &spec.padding {
            PaddingSpec::Valid => [0, 0],
            PaddingSpec::Explicit(before, _) | PaddingSpec::ExplicitOnnxPool(before, _, _) => {
                [*before.first()?, *before.get(1)?]
            }
            PaddingSpec::SameUpper | PaddingSpec::SameLower => return None,
        };
        let some = kh > 0 && kw > 0 && spec.strides().iter().all(|s| *s > 0);
        let plain = some && spec.data_format == DataFormat::NCHW && spec.dilations().iter().all(|d| *d == 1);
        plain.then(|| Self { kernel: [kh, kw], stride: [spec.stride(0), spec.stride(1)], pad })
    }
}

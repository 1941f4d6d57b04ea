//! Our program as one of tract's operations: the layers that were read from a graph, in the graph again.

use std::collections::HashSet;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::TypedModelPatch;
use tract_onnx::tract_hir::internal::*;

use super::entry::{Rows, planar_row};
use super::graph;
use super::program::{Memory, Program};
use super::simd::Level;

/// A program and the memory that runs of it left.
#[derive(Debug)]
struct Inner {
    program: Program,
    left: Mutex<Vec<Memory>>,
}

/// A program that any thread may run, which is also an operation of tract.
#[derive(Debug, Clone)]
pub struct Fused {
    inner: Arc<Inner>,
    /// Of each output.
    shapes: Vec<Vec<usize>>,
}

impl Fused {
    /// Runs it on `count` images by `threads` threads; outputs are written as they lie in the graph.
    ///
    /// # Panics
    /// When outputs have another size ([`Program::run`]).
    pub fn run(&self, threads: usize, count: usize, rows: Rows<'_>, outputs: &mut [&mut [f32]]) {
        let lock = || self.inner.left.lock().unwrap_or_else(PoisonError::into_inner);
        let left = lock().pop().filter(|m| m.threads() == threads);
        let mut memory = left.unwrap_or_else(|| self.inner.program.memory(threads));
        self.inner.program.run(&mut memory, count, rows, outputs);
        lock().push(memory);
    }

    /// Shape of each output.
    pub fn shapes(&self) -> &[Vec<usize>] {
        &self.shapes
    }
}

impl PartialEq for Fused {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }
}
impl Eq for Fused {}
impl Hash for Fused {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.inner).hash(state);
    }
}

impl Op for Fused {
    fn name(&self) -> StaticName {
        "LimenLayers".into()
    }
    op_as_typed_op!();
}

impl EvalOp for Fused {
    op_out_of_plan!();

    fn eval(&self, _ctx: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let images = args_1!(inputs);
        let empty = |shape: &Vec<usize>| vec![0.0; shape.iter().product()];
        let mut outputs: Vec<Vec<f32>> = self.shapes.iter().map(empty).collect();
        let images = images.to_plain_array_view::<f32>()?;
        let images = images.as_slice().context("images that do not lie in a row")?;
        let mut slices: Vec<&mut [f32]> = outputs.iter_mut().map(Vec::as_mut_slice).collect();
        let one = self.inner.program.image();
        let rows = &mut |n: usize, y: usize, row: &mut [f32]| {
            planar_row(images, one.height, (n, y), row, one.channels)
        };
        self.run(1, images.len() / one.numbers(), rows, &mut slices);
        outputs
            .iter()
            .zip(&self.shapes)
            .map(|(numbers, shape)| Ok(Tensor::from_shape(shape, numbers)?.into_tvalue()))
            .collect()
    }
}

impl TypedOp for Fused {
    fn output_facts(&self, _inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(self.shapes.iter().map(f32::fact).collect())
    }
    as_op!();
}

/// Replaces the layers of `model` that are ours by one operation; the model is as it was where none is.
pub fn fuse(mut model: TypedModel, level: Level) -> TractResult<TypedModel> {
    let Some(read) = graph::read(&model, level)? else { return Ok(model) };
    let shapes = read
        .outlets
        .iter()
        .map(|o| {
            let shape = model.outlet_fact(*o)?.shape.as_concrete().context("a shape that is not known")?;
            Ok(shape.to_vec())
        })
        .collect::<TractResult<_>>()?;
    let op = Fused { inner: Arc::new(Inner { program: read.program, left: Mutex::default() }), shapes };
    let mut patch = TypedModelPatch::default();
    let source = patch.tap_model(&model, model.input_outlets()?[0])?;
    let wires = patch.wire_node("limen", op, &[source])?;
    for (outlet, wire) in read.outlets.iter().zip(wires) {
        patch.shunt_outside(&model, *outlet, wire)?;
    }
    patch.apply(&mut model)?;
    model.compact()?;
    Ok(model)
}

/// The program and the number of its output that each of the model's outputs is, when it is the whole of `model`.
pub fn whole(model: &TypedModel) -> Option<(Fused, Vec<usize>)> {
    let node = model.outputs.first()?.node;
    let fused = model.node(node).op_as::<Fused>()?;
    let from_source = model.node(node).inputs[..] == *model.input_outlets().ok()?;
    let slots: Vec<usize> =
        model.outputs.iter().map(|o| (o.node == node).then_some(o.slot)).collect::<Option<_>>()?;
    let once = slots.iter().collect::<HashSet<_>>().len() == slots.len();
    (from_source && once).then(|| (fused.clone(), slots))
}

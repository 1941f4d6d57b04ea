//! The update of a weight on the CPU back end, in its own memory where nobody else holds it.

use burn::backend::Flex;
use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;

use super::{memory, tape};
use crate::ops::SgdRule;

/// Weight, gradient and velocity once more, where this back end has nothing for them.
type Declined<const D: usize> = Box<(Tensor<D>, Tensor<D>, Option<Tensor<D>>)>;

/// Whether the tensor is its whole memory in row-major order.
fn is_whole(t: &FlexTensor) -> bool {
    t.layout().contiguous_offsets() == Some((0, t.storage::<f32>().len()))
}

/// The new weight and velocity, or the operands back where the operands do not lie on the CPU back end (off the tape) in f32.
pub fn sgd_step<const D: usize>(
    weight: Tensor<D>,
    gradient: Tensor<D>,
    velocity: Option<Tensor<D>>,
    rule: &SgdRule,
) -> Result<(Tensor<D>, Tensor<D>), Declined<D>> {
    let found = (
        tape::primitive::<Flex, D>(&weight),
        tape::primitive::<Flex, D>(&gradient),
        tape::optional::<Flex, D>(&velocity),
    );
    let (Some(mut w), Some(g), Some(v)) = found else {
        return Err(Box::new((weight, gradient, velocity)));
    };
    let fits = g.layout().shape() == w.layout().shape()
        && v.as_ref().is_none_or(|v| v.layout().shape() == w.layout().shape() && is_whole(v));
    if !fits || !is_whole(&w) {
        return Err(Box::new((weight, gradient, velocity)));
    }
    // From here on the primitives are the only handles; storage_mut copies where there is another elsewhere.
    let shape = w.layout().shape().clone();
    drop((weight, gradient, velocity));
    let mut v = v.unwrap_or_else(|| memory::from_row_major(vec![0.0; shape.num_elements()], shape));
    rule.run(w.storage_mut::<f32>(), v.storage_mut::<f32>(), &memory::row_major(&g));
    Ok((Tensor::from_primitive::<Flex>(w), Tensor::from_primitive::<Flex>(v)))
}

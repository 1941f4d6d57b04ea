//! PReLU as one operation: tract would make a product, a comparison and a choice of it, each a pass over memory.

use tract_onnx::prelude::*;
use tract_onnx::tract_core::ops::binary::TypedBinOp;
use tract_onnx::tract_core::ops::change_axes::AxisOp;
use tract_onnx::tract_core::ops::logic::{Iff, comp_gt};
use tract_onnx::tract_hir::internal::*;

/// ONNX's PRelu in networks that tract reads from now on.
pub fn register(onnx: &mut tract_onnx::Onnx) {
    onnx.op_register.insert("PRelu", |_, _| Ok((expand(Parsed), vec![])));
}

/// PRelu as the file has it: the slope's shape broadcasts to the input's.
#[derive(Debug, Clone, Hash, PartialEq, Eq)]
struct Parsed;

impl Expansion for Parsed {
    fn name(&self) -> StaticName {
        "LimenPRelu".into()
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        s: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        check_input_arity(inputs, 2)?;
        check_output_arity(outputs, 1)?;
        s.equals(&inputs[0].datum_type, &outputs[0].datum_type)?;
        s.equals(&inputs[0].shape, &outputs[0].shape)?;
        Ok(())
    }

    fn wire(&self, name: &str, model: &mut TypedModel, inputs: &[OutletId]) -> TractResult<TVec<OutletId>> {
        let (x, mut slope) = (inputs[0], inputs[1]);
        let fact = model.outlet_fact(x)?.clone();
        while model.outlet_fact(slope)?.rank() < fact.rank() {
            let rank = model.outlet_fact(slope)?.rank();
            slope = model.wire_node(format!("{name}.axis-{rank}"), AxisOp::Add(0), &[slope])?[0];
        }
        if fact.datum_type == f32::datum_type() {
            return model.wire_node(name, PRelu, &[x, slope]);
        }
        // In other numbers as tract itself does it.
        let zero =
            tensor0(0f32).cast_to_dt(fact.datum_type)?.into_owned().broadcast_into_rank(fact.rank())?;
        let zero = model.add_const(format!("{name}.zero"), zero)?;
        let scaled = model.wire_node(format!("{name}.mul"), tract_core::ops::math::mul(), &[x, slope])?[0];
        let below = model.wire_node(format!("{name}.test"), TypedBinOp(comp_gt(), None), &[zero, x])?[0];
        model.wire_node(format!("{name}.iff"), Iff, &[below, scaled, x])
    }
}

/// `x` where it is not negative, else `x` times the slope: inputs `x` and a slope of the same rank, both f32.
#[derive(Debug, Clone, Hash, PartialEq, Eq)]
pub struct PRelu;

impl Op for PRelu {
    fn name(&self) -> StaticName {
        "LimenPRelu".into()
    }
    op_as_typed_op!();
}

impl EvalOp for PRelu {
    op_out_of_plan!();

    fn eval(&self, _ctx: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let (x, slope) = args_2!(inputs);
        let mut x = x.into_tensor();
        let slope = slope.to_plain_array_view::<f32>()?;
        let mut view = x.to_plain_array_view_mut::<f32>()?;
        let slope = slope.broadcast(view.raw_dim()).context("a slope of another shape")?;
        tract_ndarray::Zip::from(&mut view).and(&slope).for_each(|v, s| {
            if *v < 0.0 {
                *v *= s;
            }
        });
        Ok(tvec!(x.into_tvalue()))
    }
}

impl TypedOp for PRelu {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec!(inputs[0].without_value()))
    }
    as_op!();
}

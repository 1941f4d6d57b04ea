//! Folds constants that tract leaves in the plan for their size, so that no run computes with weights alone.

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::TypedModelPatch;
use tract_onnx::tract_core::ops::konst::Const;
use tract_onnx::tract_core::ops::source::TypedSource;

/// Times the size of its inputs that a folded constant may have: f32 or i32 from int8.
const FOLD_GROWTH: usize = 4;

/// Computes once what only weights go into: f16 and int8 weights as f32, sums over int8 weights, weights in the order
/// of a kernel. tract does so itself only while the result stays below 4 MiB (`CONST_FOLD_MEM_BUDGET`) and would
/// compute the rest anew in every run.
pub(super) fn with_constants_folded(mut model: TypedModel) -> TractResult<TypedModel> {
    for id in model.eval_order()? {
        let node = model.node(id);
        if node.inputs.is_empty() || node.op_is::<Const>() || node.op_is::<TypedSource>() {
            continue;
        }
        let inputs: Option<TVec<TValue>> = model
            .node_input_facts(id)?
            .iter()
            .map(|fact| fact.konst.clone().map(IntoTValue::into_tvalue))
            .collect();
        let Some(inputs) = inputs else { continue };
        let size = |t: &Tensor| t.volume() * t.datum_type().size_of();
        let before: usize = inputs.iter().map(|v| size(v)).sum();
        // Some operations want to know the whole plan, or more than they are given here: those stay.
        let Ok(Some(values)) = node.op.eval_out_of_plan(inputs) else { continue };
        if values.len() != 1 || size(&values[0]) > FOLD_GROWTH * before.max(1024) {
            continue; // A value spread over a picture is cheaper to spread than to keep.
        }
        let fact = node.outputs[0].fact.exotic_fact.clone();
        let mut patch = TypedModelPatch::default();
        let value = Const::new_with_opt_exotic_fact(values[0].clone().into_arc_tensor(), fact)?;
        let wire = patch.wire_node(node.name.clone(), value, &[])?[0];
        patch.shunt_outside(&model, id.into(), wire)?;
        patch.apply(&mut model)?;
    }
    model.compact()?;
    Ok(model)
}

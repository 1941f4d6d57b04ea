//! Blocks of every size against softmax as burn's autodiff computes it.

use burn::tensor::activation::log_softmax;
use proptest::prelude::*;

use super::*;
use crate::head::surrogate::{dot_rows, length};
use crate::head::testing::{Case, assert_close, numbers};

/// Value and gradients to x and w.
type Outcome = (f64, Vec<f64>, Vec<f64>);

fn outcome(input: &HeadInput, loss: Tensor<1>) -> Outcome {
    let value = numbers(loss.clone())[0];
    let grads = loss.backward();
    let of = |t: &Tensor<2>| numbers(t.grad(&grads).unwrap());
    (value, of(&input.x), of(&input.weight))
}

/// Logits with a target that depends on x and w in its own way: t + 0.3 |x| - 1.
fn logits(input: &HeadInput, narrowed: bool) -> Logits {
    let plain = dot_rows(input.x.clone(), input.own());
    let scale = length(input.x.clone());
    let target = plain.clone() + scale.clone() * 0.3 - 1.0;
    let others = if narrowed { Others::Narrowed { scale, divisor: 1.4 } } else { Others::Plain };
    Logits { feature: input.x.clone(), weight: input.weight.clone(), target, plain, others }
}

fn ours(case: &Case, narrowed: bool) -> Outcome {
    let input = case.input();
    let loss = cross_entropy(logits(&input, narrowed), &input.labels, case.chunk);
    outcome(&input, loss.value)
}

/// The same by autodiff over the whole matrix.
fn autodiff(case: &Case, narrowed: bool) -> Outcome {
    let input = case.input();
    let n = case.x.len();
    let Logits { feature, weight, target, others, .. } = logits(&input, narrowed);
    let at = input.labels.clone().reshape([n, 1]);
    let mut all = feature.matmul(weight.transpose());
    if let Others::Narrowed { scale, divisor } = others {
        let c = constant(&all) / constant(&scale);
        all = all + scale * ((c.clone().acos() / divisor).cos() - c);
    }
    let change = target - all.clone().gather(1, at.clone());
    let all = all.scatter(1, at.clone(), change, IndexingUpdateOp::Add);
    let loss = log_softmax(all, 1).gather(1, at).mean().neg();
    outcome(&input, loss)
}

#[test]
fn blocks_of_any_size_are_the_whole() {
    for narrowed in [false, true] {
        let expected = autodiff(&Case::unit(), narrowed);
        for chunk in [1, 2, 4, 5, 6, 100] {
            let got = ours(&Case::unit().chunked(chunk), narrowed);
            assert_close(&[got.0], &[expected.0], 1e-12);
            assert_close(&got.1, &expected.1, 1e-12);
            assert_close(&got.2, &expected.2, 1e-12);
        }
        let got = ours(&Case::unit(), narrowed);
        assert_close(&got.1, &expected.1, 1e-12);
    }
}

/// Logits of some thousands, as a diverging run has them, stay finite and right.
#[test]
fn large_logits_do_not_overflow() {
    let mut case = Case { dtype: burn::tensor::DType::F32, ..Case::free() };
    case.x.iter_mut().flatten().for_each(|v| *v *= 3000.0);
    let expected = autodiff(&case, false);
    for chunk in [2, 6] {
        let got = ours(&case.clone().chunked(chunk), false);
        assert!(got.1.iter().chain(&got.2).all(|g| g.is_finite()));
        assert_close(&[got.0 / expected.0], &[1.0], 1e-6);
        assert_close(&got.1, &expected.1, 1e-5);
    }
}

/// What is not a number does not hide.
#[test]
fn nan_comes_through() {
    let mut case = Case::unit();
    case.x[2][1] = f64::NAN;
    assert!(ours(&case.chunked(4), false).0.is_nan());
}

/// On a device without autodiff (validation) the value is the same.
#[test]
fn no_graph_is_needed() {
    let case = Case::unit();
    let input = case.input();
    let bare = HeadInput {
        x: constant(&input.x),
        weight: constant(&input.weight),
        labels: input.labels.clone().without_autodiff(),
        ..input
    };
    let loss = cross_entropy(logits(&bare, false), &bare.labels, None);
    assert_close(&numbers(loss.value), &[ours(&case, false).0], 1e-14);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn any_batch_in_any_blocks(
        x in prop::collection::vec(prop::collection::vec(-9.0..9.0f64, 3), 1..5),
        w in prop::collection::vec(prop::collection::vec(-2.0..2.0f64, 3), 2..9),
        at in prop::collection::vec(0..1000usize, 5),
        chunk in 1..10usize,
    ) {
        let labels = (0..x.len()).map(|i| at[i] % w.len()).collect();
        let case = Case { x, w, labels, ..Case::free() };
        let (expected, got) = (autodiff(&case, false), ours(&case.chunked(chunk), false));
        assert_close(&[got.0], &[expected.0], 1e-11);
        assert_close(&got.1, &expected.1, 1e-11);
        assert_close(&got.2, &expected.2, 1e-11);
    }
}

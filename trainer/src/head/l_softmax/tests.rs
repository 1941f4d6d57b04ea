//! The value by hand and its true gradient.

use super::*;
use crate::head::softmax::Softmax;
use crate::head::testing::{Case, assert_close, norm};

fn fixed(m: Margin, lambda: f64) -> LSoftmax {
    LSoftmax { m, lambda: Annealing { base: lambda, gamma: 0.0, power: 1.0, min: 0.0, start: 0 } }
}

/// |w| |x| psi(theta) with the arc cosine.
#[test]
fn the_loss_by_hand() {
    let case = Case::free();
    for m in Margin::ALL {
        let factor = f64::from(u8::from(m));
        let logit = |i: usize, j: usize, c: f64| {
            let lengths = norm(&case.x[i]) * norm(&case.w[j]);
            if case.labels[i] != j {
                return lengths * c;
            }
            let k = (factor * c.acos() / std::f64::consts::PI).floor();
            let psi = (1.0 - 2.0 * k.rem_euclid(2.0)) * (factor * c.acos()).cos() - 2.0 * k;
            lengths * (3.0 * c + psi) / 4.0
        };
        assert_close(&[case.loss(&fixed(m, 3.0), 1)], &[case.entropy(logit)], 1e-12);
    }
}

#[test]
fn the_gradient_is_the_slope_of_the_loss() {
    for m in Margin::ALL {
        for lambda in [0.0, 2.0] {
            Case::free().assert_gradients(&fixed(m, lambda), 1, 1e-8);
        }
    }
}

#[test]
fn an_endless_lambda_is_softmax() {
    let case = Case::free();
    let (got, expected) =
        (case.gradients(&fixed(Margin::Quadruple, 1e14), 1), case.gradients(&Softmax {}, 1));
    assert_close(&got.x, &expected.x, 1e-12);
    assert_close(&got.weight, &expected.weight, 1e-12);
}

#[test]
fn an_all_zero_embedding_is_no_nan() {
    let mut case = Case { dtype: burn::tensor::DType::F32, ..Case::free() };
    case.x = vec![vec![0.0; 4]; 5];
    let got = case.gradients(&LSoftmax::default(), 1);
    assert!(got.x.iter().chain(&got.weight).all(|g| g.is_finite()), "{:?}", got.x);
}

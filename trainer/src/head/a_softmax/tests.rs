//! Gradients against the published table, against slopes, and against each other.

use super::*;
use crate::head::modified_softmax::ModifiedSoftmax;
use crate::head::testing::{Case, add, assert_close, dot, norm, numbers};

/// A lambda that stays.
fn fixed(lambda: f64) -> Annealing {
    Annealing { base: lambda, gamma: 0.0, power: 1.0, min: 0.0, start: 0 }
}

fn head(m: Margin, lambda: f64, gradient: Gradient) -> ASoftmax {
    ASoftmax { m, lambda: fixed(lambda), gradient, scale: None }
}

fn sign(v: f64) -> f64 {
    if v == 0.0 { 0.0 } else { v.signum() }
}

/// psi, cw and cx of tables 4.1 and 4.4, letter by letter.
fn table(m: Margin, c: f64, length: f64) -> (f64, f64, f64) {
    let s0 = sign(c);
    match m {
        Margin::Single => (c, 1.0, 0.0),
        Margin::Double => (2.0 * s0 * c * c - 1.0, 4.0 * s0 * c, -(2.0 * s0 * c * c + 1.0) / length),
        Margin::Triple => {
            let s1 = sign(c.abs() - 0.5);
            let s2 = s0 * (1.0 + s1) - 2.0;
            let psi = s1 * (4.0 * c.powi(3) - 3.0 * c) + s2;
            (psi, s1 * (12.0 * c * c - 3.0), -(8.0 * s1 * c.powi(3) - s2) / length)
        }
        Margin::Quadruple => {
            let s3 = s0 * sign(2.0 * c * c - 1.0);
            let s4 = 2.0 * s0 + s3 - 3.0;
            let psi = s3 * (8.0 * c.powi(4) - 8.0 * c * c + 1.0) + s4;
            let cx = -(s3 * (24.0 * c.powi(4) - 8.0 * c * c - 1.0) - s4) / length;
            (psi, s3 * (32.0 * c.powi(3) - 16.0 * c), cx)
        }
    }
}

/// Loss and gradients of the layer as section 4.4 writes them, unit weights.
fn by_hand(case: &Case, m: Margin, lambda: f64, gradient: Gradient) -> (f64, Vec<f64>, Vec<f64>) {
    let logit = |i: usize, j: usize, c: f64| {
        let length = norm(&case.x[i]);
        if case.labels[i] != j {
            return length * c;
        }
        (lambda * length * c + length * table(m, c, length).0) / (1.0 + lambda)
    };
    let g = case.residuals(logit);
    let mut dx = vec![vec![0.0; 4]; case.x.len()];
    let mut dw = vec![vec![0.0; 4]; case.w.len()];
    for (i, x) in case.x.iter().enumerate() {
        for (j, w) in case.w.iter().enumerate() {
            let own = case.labels[i] == j;
            let (c, length) = (case.cos_to(i, j), norm(x));
            let (_, cw, cx) = table(m, c, length);
            let pair = (cw * cw + cx * cx).sqrt();
            // With the roles of x and w exchanged, |w| = 1: cw stays, cx loses 1/|x| and gains |x|.
            let (tx, tw) = (cw, cx * length * length);
            let turned = (tx * tx + tw * tw).sqrt();
            let (plain, margin) = (lambda / (1.0 + lambda), 1.0 / (1.0 + lambda));
            let g = g[i][j];
            if own {
                add(&mut dx[i], g * (plain + margin * cw / pair), w);
                add(&mut dx[i], g * margin * cx / pair, x);
            } else {
                add(&mut dx[i], g, w);
            }
            if own && gradient == Gradient::Readme {
                add(&mut dw[j], g * (plain + margin * tx / turned), x);
                add(&mut dw[j], g * margin * tw / turned, w);
            } else {
                add(&mut dw[j], g, x);
            }
        }
    }
    (case.entropy(logit), dx.concat(), dw.concat())
}

/// Property (b), the code's gradients.
#[test]
fn reference_and_readme_are_the_published_formula() {
    let case = Case::unit();
    for m in Margin::ALL {
        for lambda in [0.0, 5.0, 1000.0] {
            for gradient in [Gradient::Reference, Gradient::Readme] {
                let head = head(m, lambda, gradient);
                let (loss, dx, dw) = by_hand(&case, m, lambda, gradient);
                assert_close(&[case.loss(&head, 1)], &[loss], 1e-12);
                let got = case.gradients(&head, 1);
                assert_close(&got.x, &dx, 1e-12);
                assert_close(&got.weight, &dw, 1e-12);
            }
        }
    }
}

/// The batch reaches every piece of psi at m = 4, else the test above shows less than it says.
#[test]
fn the_batch_reaches_all_pieces() {
    let case = Case::unit();
    let own = |i: usize| case.cos_to(i, case.labels[i]).acos();
    let mut pieces: Vec<usize> =
        (0..5).map(|i| (4.0 * own(i) / std::f64::consts::PI).floor() as usize).collect();
    pieces.sort_unstable();
    pieces.dedup();
    assert_eq!(pieces, [0, 1, 2, 3]);
}

/// Property (b), table 4.4 without its division is the derivative of |x| psi.
#[test]
fn the_table_is_the_derivative() {
    let case = Case::unit();
    let h = 1e-6;
    for m in Margin::ALL {
        for (x, y) in case.x.iter().zip(&case.labels) {
            let w = &case.w[*y];
            let value = |x: &[f64]| norm(x) * table(m, dot(x, w) / norm(x), norm(x)).0;
            let (_, cw, cx) = table(m, dot(x, w) / norm(x), norm(x));
            let mut written = vec![0.0; 4];
            add(&mut written, cw, w);
            add(&mut written, cx, x);
            let slope = |k: usize| {
                let at = |by: f64| {
                    let mut moved = x.clone();
                    moved[k] += by;
                    value(&moved)
                };
                (at(h) - at(-h)) / (2.0 * h)
            };
            assert_close(&written, &(0..4).map(slope).collect::<Vec<_>>(), 1e-8);
        }
    }
}

/// Exact is the slope of the loss in every number of x and w, weights of any length.
#[test]
fn exact_is_the_slope_of_the_loss() {
    for m in Margin::ALL {
        for lambda in [0.0, 5.0] {
            Case::free().assert_gradients(&head(m, lambda, Gradient::Exact), 1, 1e-8);
        }
    }
    let scaled = ASoftmax { scale: Some(7.0), ..head(Margin::Quadruple, 1.0, Gradient::Exact) };
    Case::free().assert_gradients(&scaled, 1, 1e-7);
}

/// The value does not depend on what is propagated back.
#[test]
fn one_loss_three_gradients() {
    let case = Case::unit();
    let losses = [Gradient::Reference, Gradient::Readme, Gradient::Exact]
        .map(|g| case.loss(&head(Margin::Quadruple, 5.0, g), 1));
    assert_close(&losses[1..], &[losses[0]; 2], 1e-12);
}

/// Property (d): with lambda without end the loss and both gradients are modified softmax's.
#[test]
fn an_endless_lambda_is_modified_softmax() {
    let case = Case::unit();
    let plain = ModifiedSoftmax::default();
    let expected = case.gradients(&plain, 1);
    for gradient in [Gradient::Reference, Gradient::Readme, Gradient::Exact] {
        let head = head(Margin::Quadruple, 1e14, gradient);
        assert_close(&[case.loss(&head, 1)], &[case.loss(&plain, 1)], 1e-12);
        let got = case.gradients(&head, 1);
        assert_close(&got.x, &expected.x, 1e-12);
        if gradient != Gradient::Exact {
            assert_close(&got.weight, &expected.weight, 1e-12);
        }
    }
    // m = 1 is it at any lambda.
    for gradient in [Gradient::Reference, Gradient::Readme] {
        let got = case.gradients(&head(Margin::Single, 0.0, gradient), 1);
        assert_close(&got.x, &expected.x, 1e-12);
        assert_close(&got.weight, &expected.weight, 1e-12);
    }
}

/// Exact leaves w on its sphere: no gradient along w.
#[test]
fn exact_has_no_gradient_along_a_weight() {
    let case = Case::unit();
    let got = case.gradients(&head(Margin::Quadruple, 1.0, Gradient::Exact), 1);
    for (w, g) in case.w.iter().zip(got.weight.chunks(4)) {
        assert!(dot(w, g).abs() < 1e-12);
    }
}

/// Caffe gives NaN for an all-zero embedding; here gradients are finite and the loss is ln 6, that of equal logits.
#[test]
fn an_all_zero_embedding_is_no_nan() {
    for dtype in [burn::tensor::DType::F32, burn::tensor::DType::F64] {
        let mut case = Case { dtype, ..Case::unit() };
        case.x = vec![vec![0.0; 4]; 5];
        for gradient in [Gradient::Reference, Gradient::Readme, Gradient::Exact] {
            for m in Margin::ALL {
                for scale in [None, Some(30.0)] {
                    let head = ASoftmax { scale, ..head(m, 5.0, gradient) };
                    let got = case.gradients(&head, 1);
                    let finite = got.x.iter().chain(&got.weight).all(|g| g.is_finite());
                    assert!(finite, "{head:?} {dtype:?}: {:?} {:?}", got.x, got.weight);
                    assert_close(&[case.loss(&head, 1)], &[6f64.ln()], 1e-6);
                }
            }
        }
    }
}

/// The lambda used is that of the step, and reported.
#[test]
fn lambda_follows_the_step() {
    let case = Case::unit();
    let annealed = ASoftmax::default();
    let later = head(Margin::Quadruple, Annealing::SPHEREFACE.at(500), Gradient::Reference);
    assert_close(&[case.loss(&annealed, 500)], &[case.loss(&later, 1)], 1e-14);
    assert!(case.loss(&annealed, 1659) > case.loss(&annealed, 1));
    assert_eq!(Head::lambda(&annealed, 1659), Some(5.0));
}

/// With a scale only the direction of x counts.
#[test]
fn a_scale_forgets_the_length() {
    let case = Case::unit();
    let mut doubled = case.clone();
    doubled.x.iter_mut().flatten().for_each(|v| *v *= 2.0);
    let head = ASoftmax { scale: Some(12.0), ..head(Margin::Quadruple, 5.0, Gradient::Reference) };
    assert_close(&[case.loss(&head, 1)], &[doubled.loss(&head, 1)], 1e-12);
    for (x, g) in case.x.iter().zip(case.gradients(&head, 1).x.chunks(4)) {
        assert!(dot(x, g).abs() < 1e-12, "a gradient along x");
    }
}

/// f32 is what training runs in: close to f64, and all metrics are there.
#[test]
fn f32_agrees_with_f64() {
    let case = Case::unit();
    let single = Case { dtype: burn::tensor::DType::F32, ..case.clone() };
    let head = head(Margin::Quadruple, 5.0, Gradient::Reference);
    assert_close(&[single.loss(&head, 1)], &[case.loss(&head, 1)], 1e-6);
    assert_close(&single.gradients(&head, 1).x, &case.gradients(&head, 1).x, 1e-6);
    let loss = head.loss(single.input(), 1);
    assert_eq!(numbers(loss.value.clone()), numbers(loss.classification));
    // Samples whose own class has the greatest inner product.
    let right =
        (0..5).filter(|i| (0..6).all(|j| case.cos_to(*i, j) <= case.cos_to(*i, case.labels[*i]))).count();
    assert_close(&numbers(loss.accuracy), &[right as f64 / 5.0], 1e-7);
}

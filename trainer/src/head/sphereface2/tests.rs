//! Loss, gradients and starting bias against plain Rust.

use super::*;
use crate::head::testing::{Case, add, assert_close, norm};

const HEAD: SphereFace2 = SphereFace2 { alpha: 0.7, r: 6.0, m: 0.4, t: 3.0, lw: 50.0 };

fn case() -> Case {
    Case { bias: Some(-0.8), ..Case::unit() }
}

fn logistic(v: f64) -> f64 {
    1.0 / (1.0 + (-v).exp())
}

/// Loss and gradients to x, w and b, as `sphereface2.py` L44-62 computes them over the whole matrix.
fn by_hand(case: &Case) -> (f64, Vec<f64>, Vec<f64>, f64) {
    let b = case.bias.unwrap();
    let (n, classes) = (case.x.len(), case.w.len());
    let (mut loss, mut db) = (0.0, 0.0);
    let (mut dx, mut dw) = (vec![vec![0.0; 4]; n], vec![vec![0.0; 4]; classes]);
    for (i, x) in case.x.iter().enumerate() {
        for (j, w) in case.w.iter().enumerate() {
            let c = case.cos_to(i, j);
            let own = case.labels[i] == j;
            let g = 2.0 * ((c + 1.0) / 2.0).powf(HEAD.t) - 1.0;
            let logit = HEAD.r * (g - if own { HEAD.m } else { -HEAD.m }) + b;
            let weight = HEAD.lw * classes as f64 / HEAD.r * if own { HEAD.alpha } else { 1.0 - HEAD.alpha };
            let share = weight / (n * classes) as f64;
            let p = logistic(logit);
            loss -= share * if own { p.ln() } else { (1.0 - p).ln() };
            let residual = share * (p - if own { 1.0 } else { 0.0 });
            db += residual;
            let along = residual * HEAD.r / norm(x);
            add(&mut dx[i], along, w);
            add(&mut dx[i], -along * c / norm(x), x);
            add(&mut dw[j], along, x);
        }
    }
    (loss, dx.concat(), dw.concat(), db)
}

#[test]
fn loss_and_gradients_by_hand() {
    for chunk in [1, 4, 6] {
        let case = case().chunked(chunk);
        let (loss, dx, dw, db) = by_hand(&case);
        assert_close(&[case.loss(&HEAD, 1)], &[loss], 1e-11);
        let got = case.gradients(&HEAD, 1);
        assert_close(&got.x, &dx, 1e-11);
        assert_close(&got.weight, &dw, 1e-11);
        assert_close(&[got.bias.unwrap()], &[db], 1e-11);
    }
}

/// With all cosines 0 the starting bias balances the two sides.
#[test]
fn the_start_has_no_slope() {
    for classes in [2, 3, 100, 10_572, 1_000_000] {
        for head in [SphereFace2::default(), HEAD] {
            let b = head.initial_bias(classes).unwrap();
            let middle = head.r * (2.0 * 0.5f64.powf(head.t) - 1.0);
            let yes = head.alpha * logistic(-(middle - head.r * head.m + b));
            let no = (1.0 - head.alpha) * (classes - 1) as f64 * logistic(middle + head.r * head.m + b);
            assert!((yes - no).abs() < 1e-9 * yes, "{classes} classes: {b}, {yes} against {no}");
        }
    }
}

/// The published formula where its digits hold: 10,572 classes, alpha 0.7, r 40, m 0.4, t 3.
#[test]
fn the_start_is_the_published_number() {
    let z: f64 = 0.7 / (0.3 * 10_571.0);
    let (ay, ai): (f64, f64) = (40.0 * (0.25 - 1.4), 40.0 * (0.25 - 0.6));
    let root = ((1.0 - z).powi(2) + 4.0 * z * (ay - ai).exp()).sqrt();
    let b = (2.0 * z).ln() - ai - (1.0 - z + root).ln();
    assert_close(&[SphereFace2::default().initial_bias(10_572).unwrap()], &[b], 1e-12);
}

/// Without a bias the start's is used, as a constant.
#[test]
fn no_bias_is_the_start() {
    let without = Case { bias: None, ..case() };
    let with = Case { bias: HEAD.initial_bias(6), ..case() };
    assert_close(&[without.loss(&HEAD, 1)], &[with.loss(&HEAD, 1)], 1e-12);
    assert!(without.gradients(&HEAD, 1).bias.is_none());
}

/// Extreme logits are finite in f32.
#[test]
fn large_logits_do_not_overflow() {
    let head = SphereFace2 { r: 1000.0, ..HEAD };
    let case = Case { dtype: burn::tensor::DType::F32, ..case() };
    let got = case.gradients(&head, 1);
    assert!(case.loss(&head, 1).is_finite() && got.x.iter().chain(&got.weight).all(|g| g.is_finite()));
}

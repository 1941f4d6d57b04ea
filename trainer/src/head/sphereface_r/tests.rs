//! The three versions and norms against their formulas in plain Rust.

use std::f64::consts::PI;

use super::*;
use crate::head::testing::{Case, add, assert_close, norm, numbers};

const VERSIONS: [Version; 3] = [Version::V0, Version::V1, Version::V2];

/// What `get_d_theta` makes of a cosine.
fn target(version: Version, own: bool, c: f64, m: f64) -> f64 {
    let theta = c.acos();
    match (version, own) {
        (Version::V0, true) => {
            let k = (m * theta / PI).floor();
            (1.0 - 2.0 * k.rem_euclid(2.0)) * (m * theta).cos() - 2.0 * k
        }
        (Version::V1, true) => (m * theta).min(PI).cos(),
        (Version::V2, false) => (theta / m).cos(),
        _ => c,
    }
}

#[test]
fn hard_normalisation_by_hand() {
    let case = Case::unit();
    for version in VERSIONS {
        let head = SphereFaceR { version, norm: Norm::Hfn { s: 6.0, m: 1.4, lw: 50.0 } };
        let logit = |i: usize, j: usize, c: f64| 6.0 * target(version, case.labels[i] == j, c, 1.4);
        assert_close(&[case.loss(&head, 1)], &[50.0 / 6.0 * case.entropy(logit)], 1e-9);
        // CGD: the gradient of s cos theta at the probabilities of the margin's logits.
        let (dx, dw) = case.cos_gradients(logit, 6.0);
        let got = case.gradients(&head, 1);
        let weighted = |g: Vec<f64>| g.into_iter().map(|g| g * 50.0 / 6.0).collect::<Vec<_>>();
        assert_close(&got.x, &weighted(dx), 1e-9);
        assert_close(&got.weight, &weighted(dw), 1e-9);
    }
}

/// Without normalisation: logits x.w + |x| d with d a constant, so dx gains d x / |x|.
#[test]
fn no_normalisation_by_hand() {
    let case = Case::unit();
    let norm_rule = Norm::Nfn { dm: 0.2, steps: vec![10, 20], lw: 2.0 };
    for version in VERSIONS {
        let head = SphereFaceR { version, norm: norm_rule.clone() };
        // At step 21 both steps have passed: m = 1.4.
        let phi = |i: usize, j: usize, c: f64| target(version, case.labels[i] == j, c, 1.4);
        let logit = |i: usize, j: usize, c: f64| norm(&case.x[i]) * phi(i, j, c);
        assert_close(&[case.loss(&head, 21)], &[2.0 * case.entropy(logit)], 1e-9);
        let g = case.residuals(logit);
        let (mut dx, mut dw) = (vec![vec![0.0; 4]; 5], vec![vec![0.0; 4]; 6]);
        for (i, x) in case.x.iter().enumerate() {
            for (j, w) in case.w.iter().enumerate() {
                let (c, g) = (case.cos_to(i, j), 2.0 * g[i][j]);
                add(&mut dx[i], g, w);
                add(&mut dx[i], g * (phi(i, j, c) - c) / norm(x), x);
                add(&mut dw[j], g, x);
            }
        }
        let got = case.gradients(&head, 21);
        assert_close(&got.x, &dx.concat(), 1e-9);
        assert_close(&got.weight, &dw.concat(), 1e-9);
    }
}

#[test]
fn the_margin_grows_after_its_steps() {
    let norm = Norm::Nfn { dm: 0.1, steps: vec![10, 20], lw: 1.0 };
    assert_eq!([1, 10, 11, 20, 21].map(|s| norm.margin(s)), [1.0, 1.0, 1.1, 1.1, 1.2]);
    assert_eq!(Norm::default().margin(1), 1.5);
}

/// Soft normalisation adds t mean | |x| - s | and its gradient t sign(|x| - s) x / |x| / n.
#[test]
fn soft_normalisation_by_hand() {
    let case = Case::unit();
    let (s, t) = (1.3, 0.5);
    let soft = Norm::Sfn { s, dm: 0.4, steps: vec![0], t, lw: 3.0 };
    let free = Norm::Nfn { dm: 0.4, steps: vec![0], lw: 3.0 / s };
    for version in VERSIONS {
        let soft = SphereFaceR { version, norm: soft.clone() };
        let free = SphereFaceR { version, norm: free.clone() };
        let off: f64 = case.x.iter().map(|x| (norm(x) - s).abs()).sum::<f64>() / 5.0;
        assert_close(&[case.loss(&soft, 1)], &[case.loss(&free, 1) + t * off], 1e-12);
        let extra = soft.loss(case.input(), 1).extra.unwrap();
        assert_close(&numbers(extra.value), &[off], 1e-12);
        let (got, mut expected) = (case.gradients(&soft, 1), case.gradients(&free, 1));
        for (i, x) in case.x.iter().enumerate() {
            add(&mut expected.x[4 * i..4 * i + 4], t / 5.0 * (norm(x) - s).signum() / norm(x), x);
        }
        assert_close(&got.x, &expected.x, 1e-12);
        assert_close(&got.weight, &expected.weight, 1e-12);
    }
}

#[test]
fn blocks_change_nothing() {
    for norm in [Norm::default(), Norm::Nfn { dm: 0.2, steps: vec![0], lw: 1.0 }] {
        let head = SphereFaceR { version: Version::V2, norm };
        let (whole, blocks) = (Case::unit(), Case::unit().chunked(4));
        assert_close(&[blocks.loss(&head, 1)], &[whole.loss(&head, 1)], 1e-12);
        let (whole, blocks) = (whole.gradients(&head, 1), blocks.gradients(&head, 1));
        assert_close(&blocks.x, &whole.x, 1e-11);
        assert_close(&blocks.weight, &whole.weight, 1e-11);
    }
}

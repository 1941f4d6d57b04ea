//! Energies of four classes by hand.

use super::*;
use crate::head::testing::{Case, add, assert_close, dot, norm, numbers};

/// Gradient to the weights, row by row.
fn gradient(energy: Energy, case: &Case, step: u64) -> Vec<f64> {
    let input = case.input();
    let grads = energy.term(input.weight.clone(), input.labels, step).0.backward();
    numbers(input.weight.grad(&grads).unwrap())
}

fn value(energy: Energy, case: &Case) -> f64 {
    let input = case.input();
    numbers(energy.term(input.weight, input.labels, 1).0)[0]
}

/// Labels 0, 1, 2, 1, 4: four classes, six pairs, whatever the repeated one.
#[test]
fn angular_is_the_mean_over_pairs_of_classes() {
    let case = Case::unit();
    let mut sum = 0.0;
    for (i, j) in [(0, 1), (0, 2), (0, 4), (1, 2), (1, 4), (2, 4)] {
        sum += dot(&case.w[i], &case.w[j]).acos().powi(-2);
    }
    let energy = Energy::Angular { strength: 0.3 };
    assert_close(&[value(energy, &case)], &[0.3 * sum / 6.0], 1e-10);
}

#[test]
fn angular_has_its_true_gradient() {
    let (case, energy, h) = (Case::unit(), Energy::Angular { strength: 0.3 }, 1e-6);
    let got = gradient(energy, &case, 1);
    for j in 0..6 {
        for k in 0..4 {
            let at = |by: f64| {
                let mut moved = case.clone();
                moved.w[j][k] += by;
                value(energy, &moved)
            };
            assert_close(&[got[4 * j + k]], &[(at(h) - at(-h)) / (2.0 * h)], 1e-8);
        }
    }
}

/// A batch of one person, and two classes in one place: no infinity.
#[test]
fn angular_is_finite_at_its_edges() {
    let energy = Energy::Angular { strength: 1.0 };
    let mut alone = Case::unit();
    alone.labels = vec![3; 5];
    assert_eq!(value(energy, &alone), 0.0);
    assert!(gradient(energy, &alone, 1).iter().all(|g| *g == 0.0));
    let mut equal = Case::unit();
    equal.w[1] = equal.w[0].clone();
    assert!(value(energy, &equal).is_finite());
    assert!(gradient(energy, &equal, 1).iter().all(|g| g.is_finite()));
}

/// Section 6: D over all classes and samples, and the gradient of the layer with its weights added up.
#[test]
fn inter_class_is_the_caffe_layer() {
    let (case, alpha) = (Case::unit(), 10.0);
    let (n, classes) = (5.0, 6.0);
    let mut distance = 0.0;
    for y in &case.labels {
        for w in &case.w {
            distance += w.iter().zip(&case.w[*y]).map(|(a, b)| (a - b) * (a - b)).sum::<f64>();
        }
    }
    distance /= classes;
    let mut mean: Vec<f64> = (0..4).map(|k| case.w.iter().map(|w| w[k]).sum::<f64>() / classes).collect();
    let length = (norm(&mean).powi(2) + 1e-5).sqrt();
    mean.iter_mut().for_each(|m| *m /= length);
    let factor = -4.0 * alpha / (n * distance * distance + 1e-5);
    let mut expected = vec![0.0; 24];
    for y in &case.labels {
        add(&mut expected[4 * y..4 * y + 4], factor, &case.w[*y]);
        add(&mut expected[4 * y..4 * y + 4], -factor, &mean);
    }
    let energy = Energy::InterClass { alpha, start: 3 };
    assert_close(&gradient(energy, &case, 3), &expected, 1e-12);
    assert!(gradient(energy, &case, 2).iter().all(|g| *g == 0.0), "it acts before its start");
    assert_eq!(value(energy, &case), 0.0);
    let input = case.input();
    assert_close(&numbers(energy.term(input.weight, input.labels, 1).1.value), &[distance], 1e-12);
}

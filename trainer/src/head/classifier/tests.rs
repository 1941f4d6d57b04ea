//! Length, draw and identity of the class weights.

use burn::optim::{GradientsParams, ModuleOptimizer, SgdConfig, momentum::MomentumConfig};
use burn::tensor::Int;

use super::*;
use crate::head::testing::{assert_close, norm, numbers};
use crate::head::{HeadConfig, HeadInput};

fn lengths(classifier: &Classifier) -> Vec<f64> {
    let (_, d) = classifier.size();
    numbers(classifier.weight.val()).chunks(d).map(norm).collect()
}

fn config(kind: &str) -> Box<dyn Head> {
    serde_json::from_str::<HeadConfig>(&format!(r#"{{"kind": "{kind}"}}"#)).unwrap().build().unwrap()
}

#[test]
fn xavier_by_the_seed() {
    let device = Device::flex();
    let free = Classifier::new(&*config("softmax"), 300, 48, 7, &device).unwrap();
    let drawn = numbers(free.weight.val());
    // a = sqrt(3/48) = 0.25: all inside, variance a^2/3 = 1/48 within 3 %.
    let variance = drawn.iter().map(|v| v * v).sum::<f64>() / drawn.len() as f64;
    assert!(drawn.iter().all(|v| v.abs() <= 0.25));
    assert!((variance * 48.0 - 1.0).abs() < 0.03, "{variance}");
    let again = Classifier::new(&*config("softmax"), 300, 48, 7, &device.clone().autodiff()).unwrap();
    assert_eq!(drawn, numbers(again.weight.val()));
    let other = Classifier::new(&*config("softmax"), 300, 48, 8, &device).unwrap();
    assert_ne!(drawn, numbers(other.weight.val()));
}

#[test]
fn a_bias_for_those_that_learn_one() {
    let device = Device::flex();
    assert!(Classifier::new(&*config("a-softmax"), 10, 4, 1, &device).unwrap().bias.is_none());
    let two = config("sphereface2");
    let bias = Classifier::new(&*two, 10, 4, 1, &device).unwrap().bias.unwrap();
    assert_close(&numbers(bias.val()), &[two.initial_bias(10).unwrap()], 1e-5);
}

#[test]
fn too_small_is_named() {
    let device = Device::flex();
    let error = Classifier::new(&*config("softmax"), 1, 4, 1, &device).unwrap_err().to_string();
    assert!(error.contains("classes = 1"), "{error}");
    assert!(Classifier::new(&*config("softmax"), 2, 0, 1, &device).is_err());
}

/// Property (e), over real steps: rows are of unit length after each, the momentum is that of one parameter.
#[test]
fn unit_after_every_step_with_its_momentum() {
    let device = Device::flex().autodiff();
    let head = config("a-softmax");
    let mut classifier = Classifier::new(&*head, 5, 4, 3, &device).unwrap();
    let id = classifier.weight.id;
    let momentum = MomentumConfig { momentum: 0.9, dampening: 0.0, nesterov: false };
    let mut optimizer: ModuleOptimizer = SgdConfig::new().with_momentum(Some(momentum)).init();
    let x = Tensor::<2>::from_floats([[3.0, 1.0, 0.0, -1.0], [0.5, -2.0, 1.0, 0.0]], &device);
    let mut before = numbers(classifier.weight.val());
    for step in 1..=5 {
        let labels = Tensor::<1, Int>::from_ints([1, 4], &device);
        let loss = head.loss(HeadInput::new(x.clone(), classifier.weight.val(), labels), step);
        let grads = GradientsParams::from_grads(loss.value.backward(), &classifier);
        classifier = optimizer.step(0.1, classifier, grads);
        assert!(lengths(&classifier).iter().any(|l| (l - 1.0).abs() > 1e-4), "the step moves off the sphere");
        classifier = classifier.following(head.weight_rule());
        assert_close(&lengths(&classifier), &[1.0; 5], 1e-6);
        assert_eq!(classifier.weight.id, id);
        assert!(classifier.weight.val().is_require_grad());
        let after = numbers(classifier.weight.val());
        assert_ne!(before, after);
        before = after;
    }
    // No gradient at all: what still moves is the momentum, found under the parameter's id.
    let zero =
        HeadInput::new(x.zeros_like(), classifier.weight.val(), Tensor::<1, Int>::from_ints([1, 4], &device));
    let grads = GradientsParams::from_grads(head.loss(zero, 6).value.backward(), &classifier);
    let moved = numbers(optimizer.step(0.1, classifier, grads).weight.val());
    let distance: f64 = moved.iter().zip(&before).map(|(a, b)| (a - b).abs()).sum();
    assert!(distance > 0.05, "{distance}");
}

/// A head that keeps lengths is left alone, and a module without autodiff can be put back too.
#[test]
fn rules_are_followed() {
    let device = Device::flex().autodiff();
    let free = Classifier::new(&*config("l-softmax"), 4, 3, 1, &device).unwrap();
    let before = numbers(free.weight.val());
    let after = free.following(WeightRule::Free);
    assert_eq!(before, numbers(after.weight.val()));
    let bare = after.valid().renormalised();
    assert_close(&lengths(&bare), &[1.0; 4], 1e-6);
    let mut zero = Classifier::new(&*config("l-softmax"), 2, 3, 1, &device).unwrap();
    zero.weight = zero.weight.map(|w| w.zeros_like());
    assert_eq!(lengths(&zero.renormalised()), [0.0, 0.0], "a row of zeros is no NaN");
}

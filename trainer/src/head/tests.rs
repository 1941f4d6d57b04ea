//! What holds for every head: blocks change nothing, zeros are no NaN, and it learns.

use burn::module::{Module, Param};
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::{DType, Device};

use crate::backbone::init::Init;

use super::testing::{Case, assert_close, numbers};
use super::*;

/// Every head and its larger options, with scales that keep small batches sensitive.
fn all() -> Vec<HeadConfig> {
    let configs = [
        r#"{"kind": "softmax"}"#,
        r#"{"kind": "modified-softmax"}"#,
        r#"{"kind": "modified-softmax", "scale": 8}"#,
        r#"{"kind": "a-softmax"}"#,
        r#"{"kind": "a-softmax", "gradient": "readme", "m": 3}"#,
        r#"{"kind": "a-softmax", "gradient": "exact", "m": 2}"#,
        r#"{"kind": "a-softmax", "scale": 8}"#,
        r#"{"kind": "l-softmax", "m": 2}"#,
        r#"{"kind": "sphereface", "s": 8}"#,
        r#"{"kind": "sphereface", "s": 8, "gradient": "exact"}"#,
        r#"{"kind": "sphereface-r", "norm": {"kind": "hfn", "s": 8}}"#,
        r#"{"kind": "sphereface-r", "version": "v1", "norm": {"kind": "hfn", "s": 8}}"#,
        r#"{"kind": "sphereface-r", "version": "v2", "norm": {"kind": "hfn", "s": 8}}"#,
        r#"{"kind": "sphereface-r", "version": "v2", "norm": {"kind": "sfn", "s": 8, "dm": 0.2, "steps": [3]}}"#,
        r#"{"kind": "sphereface-r", "version": "v1", "norm": {"kind": "nfn", "steps": [3]}}"#,
        r#"{"kind": "sphereface2", "r": 8}"#,
        r#"{"kind": "sphereface-plus"}"#,
        r#"{"kind": "sphereface-plus", "base": {"kind": "a-softmax"}, "energy": {"kind": "inter-class"}}"#,
        r#"{"kind": "cosface", "s": 8}"#,
        r#"{"kind": "arcface", "s": 8}"#,
        r#"{"kind": "arcface", "s": 8, "gradient": "exact"}"#,
    ];
    configs.into_iter().map(|text| serde_json::from_str(text).unwrap()).collect()
}

#[test]
fn blocks_change_nothing() {
    for config in all() {
        let head = config.build().unwrap();
        let bias = head.initial_bias(6);
        let whole = Case { bias, ..Case::unit() };
        let blocks = whole.clone().chunked(4);
        assert_close(&[blocks.loss(&*head, 7)], &[whole.loss(&*head, 7)], 1e-11);
        let (blocks, whole) = (blocks.gradients(&*head, 7), whole.gradients(&*head, 7));
        assert_close(&blocks.x, &whole.x, 1e-10);
        assert_close(&blocks.weight, &whole.weight, 1e-10);
    }
}

#[test]
fn zeros_and_embeddings_on_their_weight_are_no_nan() {
    for config in all() {
        let head = config.build().unwrap();
        let mut zeros = Case { dtype: DType::F32, ..Case::unit() };
        zeros.x = vec![vec![0.0; 4]; 5];
        let mut on = Case { dtype: DType::F32, ..Case::unit() };
        on.x = on.labels.iter().map(|y| on.w[*y].iter().map(|w| 20.0 * w).collect()).collect();
        let mut opposite = on.clone();
        opposite.x.iter_mut().flatten().for_each(|v| *v = -*v);
        for case in [zeros, on, opposite] {
            let got = case.gradients(&*head, 2000);
            assert!(case.loss(&*head, 2000).is_finite(), "{config:?}");
            assert!(got.x.iter().chain(&got.weight).all(|g| g.is_finite()), "{config:?}: {:?}", got.x);
        }
    }
}

/// The accuracy is before any margin: all samples right on their own weights, none opposite.
#[test]
fn accuracy_is_of_the_plain_logits() {
    for config in all() {
        let head = config.build().unwrap();
        let mut case = Case::unit();
        case.x = case.labels.iter().map(|y| case.w[*y].clone()).collect();
        assert_eq!(numbers(head.loss(case.input(), 1).accuracy), [1.0], "{config:?}");
        case.x.iter_mut().flatten().for_each(|v| *v = -*v);
        assert_eq!(numbers(head.loss(case.input(), 1).accuracy), [0.0], "{config:?}");
    }
}

/// A linear map and a classifier.
#[derive(Module, Debug)]
struct Toy {
    map: Param<Tensor<2>>,
    weight: Param<Tensor<2>>,
    bias: Option<Param<Tensor<1>>>,
}

impl Toy {
    /// What the head wants after every step of the optimizer.
    fn following(self, rule: WeightRule) -> Self {
        match rule {
            WeightRule::Unit => {
                let unit = |w: Tensor<2>| unit_rows(w.inner()).autodiff().require_grad();
                Self { weight: self.weight.map(unit), ..self }
            }
            WeightRule::Free => self,
        }
    }
}

/// Six people in eight numbers, four noisy samples each, learned through a map to four: Adam, 150 steps.
#[test]
fn every_head_learns() {
    let device = Device::flex().autodiff();
    let (people, samples) = (6, 24);
    let noise = |i: usize, k: usize| ((i * 37 + k * 101 + i * k * 13) % 97) as f32 / 97.0 - 0.5;
    let data: Vec<f32> = (0..samples)
        .flat_map(|i| (0..8).map(move |k| 2.0 * noise(1000 + i % people, 7 * k) + 0.2 * noise(i, k)))
        .collect();
    let data = Tensor::<2>::from_data(burn::tensor::TensorData::new(data, [samples, 8]), &device);
    let labels: Vec<i64> = (0..samples).map(|i| (i % people) as i64).collect();
    let labels = Tensor::<1, Int>::from_data(burn::tensor::TensorData::new(labels, [samples]), &device);
    for config in all() {
        let head = config.build().unwrap();
        let map: Vec<f32> = (0..32).map(|i| noise(i, 3)).collect();
        let mut toy = Toy {
            map: Param::from_data(burn::tensor::TensorData::new(map, [8, 4]), &device),
            weight: {
                let drawn = Init::Xavier.values(5, "classifier", &[people, 4]);
                Param::from_data(burn::tensor::TensorData::new(drawn, [people, 4]), &device)
            },
            bias: head
                .initial_bias(people)
                .map(|b| Param::from_data(burn::tensor::TensorData::new(vec![b as f32], [1]), &device)),
        }
        .following(head.weight_rule());
        let mut optimizer = AdamConfig::new().init();
        let at = |toy: &Toy, step: u64| {
            let x = data.clone().matmul(toy.map.val());
            let bias = toy.bias.as_ref().map(Param::val);
            let input = HeadInput::new(x, toy.weight.val(), labels.clone()).with_bias(bias);
            head.loss(input, step)
        };
        let first = numbers(at(&toy, 150).value)[0];
        for step in 1..=150 {
            let grads = GradientsParams::from_grads(at(&toy, step).value.backward(), &toy);
            toy = optimizer.step(0.05, toy, grads).following(head.weight_rule());
        }
        let last = at(&toy, 150);
        let (loss, accuracy) = (numbers(last.value)[0], numbers(last.accuracy)[0]);
        assert!(loss < 0.7 * first, "{config:?}: loss {first} to {loss}, accuracy {accuracy}");
        assert!(accuracy > 0.95, "{config:?}: loss {first} to {loss}, accuracy {accuracy}");
    }
}

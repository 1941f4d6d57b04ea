//! Which classes are drawn, and what a step over them trains.

use proptest::prelude::*;

use super::*;
use crate::head::cosface::CosFace;
use crate::head::testing::{Case, assert_close, numbers};
use crate::head::{Head, WeightRule};

proptest! {
    #[test]
    fn all_of_the_batch_and_no_class_twice(
        classes in 2..400usize,
        raw in prop::collection::vec(0..100_000usize, 0..60),
        rate in 0.01..=1.0f64,
        seed: u64,
        step: u64,
    ) {
        let labels: Vec<usize> = raw.into_iter().map(|l| l % classes).collect();
        let partial = PartialFc { rate, seed };
        let sample = partial.draw(&labels, classes, step);
        let present: BTreeSet<usize> = labels.iter().copied().collect();
        prop_assert!(sample.classes.windows(2).all(|c| c[0] < c[1]));
        prop_assert!(sample.classes.iter().all(|c| *c < classes));
        prop_assert_eq!(sample.classes.len(), partial.size(classes).max(present.len()));
        for (label, place) in labels.iter().zip(&sample.labels) {
            prop_assert_eq!(sample.classes[*place], *label);
        }
        prop_assert_eq!(sample, partial.draw(&labels, classes, step));
    }
}

#[test]
fn steps_and_seeds_differ() {
    let partial = PartialFc { rate: 0.1, seed: 1 };
    let one = partial.draw(&[5, 900], 1000, 1);
    assert_ne!(one.classes, partial.draw(&[5, 900], 1000, 2).classes);
    assert_ne!(one.classes, PartialFc { seed: 2, ..partial }.draw(&[5, 900], 1000, 1).classes);
}

/// Over many steps every class is drawn about as often: 98 of 998 absent ones, 2000 steps, expected 196 +- 13.
#[test]
fn every_absent_class_has_its_turn() {
    let partial = PartialFc { rate: 0.1, seed: 9 };
    let mut count = vec![0; 1000];
    for step in 0..2000 {
        partial.draw(&[0, 999], 1000, step).classes.into_iter().for_each(|c| count[c] += 1);
    }
    assert_eq!((count[0], count[999]), (2000, 2000));
    let (least, most) = (count[1..999].iter().min().unwrap(), count[1..999].iter().max().unwrap());
    assert!(*least > 130 && *most < 265, "{least} to {most}");
}

#[test]
fn the_whole_is_a_draw_too() {
    let sample = PartialFc { rate: 1.0, seed: 0 }.draw(&[2, 0], 4, 7);
    assert_eq!((sample.classes, sample.labels), (vec![0, 1, 2, 3], vec![2, 0]));
}

/// The loss is that of the drawn classes alone; the others' rows have no gradient.
#[test]
fn a_step_trains_the_drawn_rows() {
    let case = Case::unit();
    let head = CosFace { s: 5.0, m: 0.2 };
    let sample = PartialFc { rate: 0.7, seed: 3 }.draw(&case.labels, 6, 1);
    assert_eq!(sample.classes, [0, 1, 2, 4], "the batch has four classes, 0.7 x 6 rounds to four");
    let input = case.input();
    let loss = head.loss(sample.of(input.clone()), 1);
    let narrow = Case {
        w: sample.classes.iter().map(|c| case.w[*c].clone()).collect(),
        labels: sample.labels.clone(),
        ..case.clone()
    };
    assert_close(&numbers(loss.value.clone()), &[narrow.loss(&head, 1)], 1e-12);
    let grads = loss.value.backward();
    let got = numbers(input.weight.grad(&grads).unwrap());
    let expected = narrow.gradients(&head, 1).weight;
    for (place, class) in sample.classes.iter().enumerate() {
        assert_close(&got[4 * class..4 * class + 4], &expected[4 * place..4 * place + 4], 1e-12);
    }
    assert_eq!((&got[12..16], &got[20..24]), (&[0.0; 4][..], &[0.0; 4][..]));
    assert_eq!(head.weight_rule(), WeightRule::Unit);
}

#[test]
fn a_rate_out_of_range_is_named() {
    for rate in [0.0, 1.1, f64::NAN] {
        let error = PartialFc { rate, seed: 0 }.validate().unwrap_err().to_string();
        assert!(error.contains("partial_fc.rate"), "{error}");
    }
    assert!(PartialFc { rate: 0.1, seed: 0 }.validate().is_ok());
}

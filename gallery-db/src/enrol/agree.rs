//! Which samples show the same face, and which of those to keep. Pure arithmetic on unit vectors.

use crate::score::{Score, Threshold, cosine};

/// Takes out of `pool` (positions in `vectors`), one by one, the sample least similar to the mean of the others, until
/// each agrees; returns those taken out with their scores. The vectors `old` vouch, and are not judged.
///
/// One by one, because a stray pulls the mean and makes good samples look poor. A sample that has nobody left to vouch
/// for it goes too, unless it was alone from the beginning: then there is nothing to compare.
pub(super) fn strays(
    vectors: &[Vec<f32>],
    old: &[Vec<f32>],
    pool: &mut Vec<usize>,
    least: Threshold,
) -> Vec<(usize, Score)> {
    let mut out: Vec<(usize, Score)> = Vec::new();
    if pool.len() + old.len() < 2 {
        return out;
    }
    loop {
        let others = |i: usize| pool.iter().filter(move |j| **j != i).map(|j| &vectors[*j]).chain(old);
        // Of two equally poor the later in the pool, which is the one of lesser quality.
        let worst = pool
            .iter()
            .rev()
            .map(|&i| (i, mean(others(i)).map_or(Score::MIN, |mean| cosine(&vectors[i], &mean))))
            .min_by_key(|(_, score)| *score);
        match worst {
            Some((i, score)) if !score.reaches(least) => {
                // The last of a pool is alone only because the others were taken out: it disagreed with the one before
                // as much as that one with it.
                let score =
                    if pool.len() + old.len() == 1 { out.last().map_or(score, |o| o.1) } else { score };
                out.push((i, score));
                pool.retain(|j| *j != i);
            }
            _ => return out,
        }
    }
}

/// Sum of vectors of one length, which has the direction of their mean; `None` of none.
fn mean<'a>(mut vectors: impl Iterator<Item = &'a Vec<f32>>) -> Option<Vec<f32>> {
    let mut sum = vectors.next()?.clone();
    for v in vectors {
        sum.iter_mut().zip(v).for_each(|(s, x)| *s += x);
    }
    Some(sum)
}

/// Chooses at most `room` of `pool`, good and varied: first the best, then each time the one that is best by quality
/// times distance to the nearest template already there. Returns positions in `vectors`, rising.
pub(super) fn spread(
    vectors: &[Vec<f32>],
    qualities: &[f32],
    old: &[Vec<f32>],
    pool: &[usize],
    room: usize,
) -> Vec<usize> {
    let mut left = pool.to_vec();
    left.sort_unstable();
    let mut chosen: Vec<usize> = Vec::new();
    while chosen.len() < room && !left.is_empty() {
        let worth = |i: usize| {
            let there = old.iter().chain(chosen.iter().map(|j| &vectors[*j]));
            let nearest = there.map(|v| cosine(v, &vectors[i]).value()).reduce(f32::max);
            qualities[i] * nearest.map_or(1.0, |n| 1.0 - n)
        };
        // Of two of equal worth the earlier one.
        let best = (0..left.len()).max_by(|a, b| worth(left[*a]).total_cmp(&worth(left[*b])).then(b.cmp(a)));
        let Some(at) = best else { break };
        chosen.push(left.remove(at));
    }
    chosen.sort_unstable();
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A unit vector in the plane, `degrees` from the first axis.
    fn at(degrees: f32) -> Vec<f32> {
        let (sin, cos) = degrees.to_radians().sin_cos();
        vec![cos, sin]
    }

    fn threshold(value: f32) -> Threshold {
        Threshold::new(value).unwrap()
    }

    #[test]
    fn one_stray_goes_and_the_good_ones_it_spoiled_stay() {
        // 0 and 10 degrees against a stray at 180: the mean of {0, 180} is 0 exactly, so in the first round 10 scores
        // poorly as well.
        let vectors = [at(0.0), at(10.0), at(180.0)];
        let mut pool = vec![0, 1, 2];
        let out = strays(&vectors, &[], &mut pool, threshold(0.5));
        assert_eq!(pool, [0, 1]);
        assert_eq!(out.len(), 1);
        // cos(180 - 5): the stray against the mean of the other two.
        assert!(out[0].0 == 2 && (out[0].1.value() - 175f32.to_radians().cos()).abs() < 1e-5);
    }

    #[test]
    fn two_that_disagree_both_go() {
        let vectors = [at(0.0), at(90.0)];
        let mut pool = vec![0, 1];
        let out = strays(&vectors, &[], &mut pool, threshold(0.5));
        assert!(pool.is_empty());
        assert_eq!(out.iter().map(|o| o.0).collect::<Vec<_>>(), [1, 0], "the one of lesser quality first");
        assert!(out.iter().all(|o| o.1.value().abs() < 1e-6), "{out:?}");
    }

    #[test]
    fn one_alone_has_nothing_to_agree_with_but_old_templates() {
        let vectors = [at(90.0)];
        let mut pool = vec![0];
        assert!(strays(&vectors, &[], &mut pool, threshold(0.5)).is_empty());
        assert_eq!(strays(&vectors, &[at(0.0), at(2.0)], &mut pool, threshold(0.5)).len(), 1);
        assert!(pool.is_empty());
        let mut pool = vec![0];
        assert!(strays(&vectors, &[at(60.0)], &mut pool, threshold(0.86)).is_empty(), "cos 30 = 0.866");
    }

    #[test]
    fn the_best_and_then_the_farthest() {
        let vectors = [at(0.0), at(5.0), at(60.0), at(30.0)];
        let q = [0.9, 1.0, 0.5, 0.5];
        // 1 first (quality 1); then 0: 0.9 * (1 - cos 5) = 0.003, 2: 0.5 * (1 - cos 55) = 0.21, 3: 0.5 * (1 - cos 25)
        // = 0.05.
        assert_eq!(spread(&vectors, &q, &[], &[0, 1, 2, 3], 1), [1]);
        assert_eq!(spread(&vectors, &q, &[], &[0, 1, 2, 3], 2), [1, 2]);
        assert_eq!(spread(&vectors, &q, &[], &[0, 1, 2, 3], 3), [1, 2, 3]);
        assert_eq!(spread(&vectors, &q, &[], &[3, 0], 9), [0, 3]);
        // Beside an old template at 60 the first choice is 0: 0.9 * 0.5 against 1.0 * (1 - cos 55) = 0.43.
        assert_eq!(spread(&vectors, &q, &[at(60.0)], &[0, 1, 2, 3], 1), [0]);
        assert!(spread(&vectors, &q, &[], &[0, 1], 0).is_empty());
    }
}

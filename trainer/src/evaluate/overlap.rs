//! Do two sets share people? Each identity of one set and the identity of another that looks most like it.

use limen_gallery_db::score::cosine;

/// Vectors of one identity, one a picture; not normalised.
pub type Person = Vec<Vec<f32>>;

/// How two identities are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Rule {
    /// The means of their pictures' unit vectors: robust against a single odd picture.
    Mean,
    /// The most similar pair of pictures: finds a person who is in one set by mistake too.
    Pair,
}

/// The most similar identity of the other set.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Match {
    /// Place in the other set.
    pub other: usize,
    /// Cosine.
    pub score: f32,
}

/// One or many vectors of an identity, as the rule wants them; of any length, since only their angles count.
fn vectors(person: &Person, rule: Rule) -> Person {
    match rule {
        Rule::Pair => person.clone(),
        Rule::Mean => {
            let mut mean: Vec<f32> = vec![0.0; person.first().map_or(0, Vec::len)];
            for v in person {
                let norm = v.iter().map(|x| x * x).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
                mean.iter_mut().zip(v).for_each(|(m, x)| *m += x / norm);
            }
            if person.is_empty() { vec![] } else { vec![mean] }
        }
    }
}

/// For each identity of `a` the best of `b`; `None` where one has no usable picture. With `same`, both are the same
/// set and an identity is not compared with itself.
pub fn best_matches(a: &[Person], b: &[Person], rule: Rule, same: bool) -> Vec<Option<Match>> {
    let prepare = |set: &[Person]| set.iter().map(|p| vectors(p, rule)).collect::<Vec<_>>();
    let (a, b) = (prepare(a), prepare(b));
    let similarity = |p: &Person, q: &Person| {
        p.iter().flat_map(|v| q.iter().map(|w| cosine(v, w).value())).max_by(f32::total_cmp)
    };
    let best = |(i, p): (usize, &Person)| {
        let others = b.iter().enumerate().filter(|(j, _)| !(same && *j == i));
        others
            .filter_map(|(other, q)| similarity(p, q).map(|score| Match { other, score }))
            .max_by(|x, y| x.score.total_cmp(&y.score))
    };
    a.iter().enumerate().map(best).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_is_found_by_mean_and_by_pair() {
        let a = vec![vec![vec![1.0, 0.0], vec![0.0, 2.0]], vec![]];
        let b = vec![vec![vec![3.0, 3.0]], vec![vec![5.0, 0.0], vec![-5.0, 0.1]], vec![]];
        // Mean of a0 is (1, 1): the same direction as b0. By pairs b1's first picture equals a0's first.
        let mean = best_matches(&a, &b, Rule::Mean, false);
        assert_eq!(mean[0].map(|m| m.other), Some(0));
        assert!((mean[0].unwrap().score - 1.0).abs() < 1e-6);
        let pair = best_matches(&a, &b, Rule::Pair, false);
        assert_eq!(pair[0], Some(Match { other: 1, score: 1.0 }));
        assert_eq!((mean[1], pair[1]), (None, None));
    }

    #[test]
    fn a_set_against_itself_leaves_out_the_identity_itself() {
        let a = vec![vec![vec![1.0, 0.0]], vec![vec![0.6, 0.8]], vec![vec![0.0, 1.0]]];
        let m = best_matches(&a, &a, Rule::Mean, true);
        assert_eq!(m.iter().map(|m| m.unwrap().other).collect::<Vec<_>>(), [1, 2, 1]);
        assert!((m[0].unwrap().score - 0.6).abs() < 1e-6);
    }
}

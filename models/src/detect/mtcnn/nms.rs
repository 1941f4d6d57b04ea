//! Non-maximum suppression in its two kinds (MTCNN `nms.m`; areas count both ends of a box).

use crate::geometry::BBox;

/// By what the shared area is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overlap {
    /// The union of the two boxes.
    Union,
    /// The smaller of the two boxes.
    Min,
}

/// A box with a score.
pub trait Scored {
    /// The box.
    fn bbox(&self) -> &BBox;
    /// Higher is better.
    fn score(&self) -> f32;
}

/// Keeps, best first, each item whose overlap with every better kept one is at most `threshold`.
pub fn suppress<T: Scored>(items: &mut Vec<T>, threshold: f32, overlap: Overlap) {
    items.sort_unstable_by(|a, b| b.score().total_cmp(&a.score()));
    let mut kept = 0;
    for i in 0..items.len() {
        let b = *items[i].bbox();
        let free = items[..kept].iter().all(|k| {
            let k = k.bbox();
            let shared = k.intersection(&b);
            let whole = match overlap {
                Overlap::Union => k.area() + b.area() - shared,
                Overlap::Min => k.area().min(b.area()),
            };
            // An empty box overlaps nothing.
            whole <= 0.0 || shared / whole <= threshold
        });
        if free {
            items.swap(kept, i);
            kept += 1;
        }
    }
    items.truncate(kept);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone, PartialEq)]
    struct S(BBox, f32);
    impl Scored for S {
        fn bbox(&self) -> &BBox {
            &self.0
        }
        fn score(&self) -> f32 {
            self.1
        }
    }

    fn s(x1: f32, x2: f32, score: f32) -> S {
        S(BBox { x1, y1: 0.0, x2, y2: 9.0 }, score)
    }

    #[test]
    fn union_and_min_differ_for_a_box_inside_another() {
        // 20 px wide and 5 px wide inside it: union overlap 50/200 = 0.25, min overlap 50/50 = 1.
        let (big, small) = (s(0.0, 19.0, 0.9), s(5.0, 9.0, 0.8));
        let mut u = vec![small.clone(), big.clone()];
        suppress(&mut u, 0.7, Overlap::Union);
        assert_eq!(u, vec![big.clone(), small.clone()]);
        let mut m = vec![small, big.clone()];
        suppress(&mut m, 0.7, Overlap::Min);
        assert_eq!(m, vec![big]);
    }

    #[test]
    fn a_suppressed_box_suppresses_nothing() {
        // b overlaps a, c overlaps b but not a: c stays.
        let (a, b, c) = (s(0.0, 9.0, 0.9), s(5.0, 14.0, 0.8), s(10.0, 19.0, 0.7));
        let mut all = vec![c.clone(), b, a.clone()];
        suppress(&mut all, 0.3, Overlap::Union);
        assert_eq!(all, vec![a, c]);
    }
}

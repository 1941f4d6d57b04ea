//! Pictures made smaller or larger for a panel or a sheet, and where their points go.

use limen_models::geometry::BBox;
use limen_models::image::{ImageError, RgbImage};

/// Where a scaled picture's points lie: scaled first, then moved.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Placement {
    /// Target px for one source px.
    pub scale: f32,
    /// Source column at the target's left edge.
    pub left: f32,
    /// Source row at the target's top edge.
    pub top: f32,
}

impl Placement {
    /// A box of the source in the target.
    pub fn place(&self, b: &BBox) -> BBox {
        // A pixel's middle is at +0.5; the last column of a box is a pixel, so its far edge is one further.
        let x = |v: f32| (v - self.left) * self.scale;
        let y = |v: f32| (v - self.top) * self.scale;
        BBox { x1: x(b.x1), y1: y(b.y1), x2: x(b.x2 + 1.0) - 1.0, y2: y(b.y2 + 1.0) - 1.0 }
    }
}

/// Fills `width` x `height` px with the middle of `image`: as much of it as has that shape.
pub fn cover(image: &RgbImage, width: usize, height: usize) -> Result<(RgbImage, Placement), ImageError> {
    let (w, h) = (image.width() as f32, image.height() as f32);
    let scale = (width as f32 / w).max(height as f32 / h);
    let (cw, ch) = (width as f32 / scale, height as f32 / scale);
    let place = Placement { scale, left: (w - cw) / 2.0, top: (h - ch) / 2.0 };
    let columns = taps(image.width(), width, place.left, 1.0 / scale);
    let rows = taps(image.height(), height, place.top, 1.0 / scale);
    Ok((resample(image, &columns, &rows)?, place))
}

/// Scales the whole of `image` to exactly `width` x `height` px.
pub fn resize(image: &RgbImage, width: usize, height: usize) -> Result<RgbImage, ImageError> {
    let columns = taps(image.width(), width, 0.0, image.width() as f32 / width.max(1) as f32);
    let rows = taps(image.height(), height, 0.0, image.height() as f32 / height.max(1) as f32);
    resample(image, &columns, &rows)
}

/// The source pixels that make one target pixel: the first of them, and a weight for each; weights sum to 1.
type Tap = (usize, Vec<f32>);

/// A triangle filter, widened when the picture shrinks so that every source pixel counts (as Pillow's BILINEAR).
fn taps(source: usize, target: usize, offset: f32, step: f32) -> Vec<Tap> {
    let reach = step.max(1.0);
    (0..target)
        .map(|i| {
            let centre = offset + (i as f32 + 0.5) * step;
            let first = (centre - reach).floor().max(0.0) as usize;
            let last = ((centre + reach).ceil().max(1.0) as usize).min(source);
            let first = first.min(last - 1);
            let mut weights: Vec<f32> =
                (first..last).map(|s| (1.0 - ((s as f32 + 0.5 - centre) / reach).abs()).max(0.0)).collect();
            let sum: f32 = weights.iter().sum();
            if sum > 0.0 {
                weights.iter_mut().for_each(|w| *w /= sum);
            } else if let Some(w) = weights.first_mut() {
                *w = 1.0;
            }
            (first, weights)
        })
        .collect()
}

/// Columns first, then rows.
fn resample(image: &RgbImage, columns: &[Tap], rows: &[Tap]) -> Result<RgbImage, ImageError> {
    let (source_row, target_row) = (image.width() * 3, columns.len() * 3);
    // Only rows that are used, [rows][columns][3] as f32.
    let first = rows.iter().map(|r| r.0).min().unwrap_or(0);
    let end = rows.iter().map(|r| r.0 + r.1.len()).max().unwrap_or(0);
    let mut narrow = Vec::with_capacity((end - first) * target_row);
    for row in image.data().chunks_exact(source_row).take(end).skip(first) {
        for (start, weights) in columns {
            let mut sum = [0f32; 3];
            for (px, w) in row[start * 3..].chunks_exact(3).zip(weights) {
                for c in 0..3 {
                    sum[c] += f32::from(px[c]) * w;
                }
            }
            narrow.extend_from_slice(&sum);
        }
    }
    let mut out = Vec::with_capacity(rows.len() * target_row);
    let mut sums = vec![0f32; target_row];
    for (start, weights) in rows {
        sums.fill(0.0);
        for (row, w) in narrow[(start - first) * target_row..].chunks_exact(target_row.max(1)).zip(weights) {
            sums.iter_mut().zip(row).for_each(|(s, v)| *s += v * w);
        }
        out.extend(sums.iter().map(|s| (s + 0.5) as u8));
    }
    RgbImage::new(columns.len(), rows.len(), out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn grey(width: usize, values: &[u8]) -> RgbImage {
        let data = values.iter().flat_map(|v| [*v; 3]).collect();
        RgbImage::new(width, values.len() / width, data).unwrap()
    }

    fn values(im: &RgbImage) -> Vec<u8> {
        im.data().chunks(3).map(|p| p[0]).collect()
    }

    #[test]
    fn the_same_size_is_the_same_picture() {
        let im = grey(3, &[1, 2, 3, 40, 50, 60]);
        assert!(resize(&im, 3, 2).unwrap() == im);
    }

    #[test]
    fn doubling_interpolates_between_middles() {
        // Middles at 0.5 and 1.5; targets at 0.25, 0.75, 1.25, 1.75: 0, 25 %, 75 %, 100 % of the second.
        assert_eq!(values(&resize(&grey(2, &[0, 100]), 4, 1).unwrap()), [0, 25, 75, 100]);
    }

    #[test]
    fn shrinking_counts_every_pixel() {
        // Middle at 1.0, reach 2: the sources at 0.5, 1.5, 2.5 weigh 3, 3 and 1; none lies beyond the border.
        let im = grey(4, &[0, 80, 80, 0]);
        assert_eq!(values(&resize(&im, 2, 1).unwrap()), [46, 46]); // (3 * 0 + 3 * 80 + 1 * 80) / 7 = 45.7
    }

    #[test]
    fn covering_keeps_the_middle_and_says_where_boxes_go() {
        let im = grey(4, &[1, 2, 3, 4, 1, 2, 3, 4]);
        let (out, place) = cover(&im, 2, 2).unwrap();
        assert_eq!(values(&out), [2, 3, 2, 3]);
        let b = place.place(&BBox { x1: 1.0, y1: 0.0, x2: 2.0, y2: 1.0 });
        assert_eq!(b, BBox { x1: 0.0, y1: 0.0, x2: 1.0, y2: 1.0 });
        // Twice the size: a box of 2x2 px becomes 4x4 px.
        let (_, place) = cover(&im, 8, 4).unwrap();
        let b = place.place(&BBox { x1: 1.0, y1: 0.0, x2: 2.0, y2: 1.0 });
        assert_eq!(b, BBox { x1: 2.0, y1: 0.0, x2: 5.0, y2: 3.0 });
    }

    proptest! {
        #[test]
        fn any_size_becomes_any_size(w in 1usize..20, h in 1usize..20, tw in 1usize..30, th in 1usize..30, g: u8) {
            let im = RgbImage::filled(w, h, [g, 7, 255]).unwrap();
            for out in [resize(&im, tw, th).unwrap(), cover(&im, tw, th).unwrap().0] {
                prop_assert_eq!((out.width(), out.height()), (tw, th));
                // One colour stays one colour.
                prop_assert!(out.data().chunks(3).all(|p| p == [g, 7, 255]));
            }
        }
    }

    #[test]
    fn no_size_is_refused() {
        assert!(resize(&grey(1, &[1]), 0, 4).is_err());
        assert!(cover(&grey(1, &[1]), 4, 0).is_err());
    }
}

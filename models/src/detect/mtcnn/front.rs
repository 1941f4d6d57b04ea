//! The first two stages: P-Net over a pyramid of the frame or of what surrounds a face, R-Net on what it lets through.

use crate::detect::mtcnn::boxes::{Candidate, region, shifted, square};
use crate::detect::mtcnn::nms::{self, Overlap};
use crate::detect::mtcnn::stage::{Stage, View};
use crate::detect::mtcnn::{CELL, Pyramid, Scratch, Settings};
use crate::error::ModelError;
use crate::geometry::{BBox, Detection};
use crate::image::RgbView;
use crate::manifest::{Manifest, ModelEntry};
use crate::resample::Region;
use crate::session::Output;

/// Distance of P-Net's cells, px.
const STRIDE: f32 = 2.0;
/// Sides of the levels around a face that is followed, px; each shows twice the face's width, so that faces of 0.7, 1
/// and 1.4 times its size fill a cell.
const NEAR: [usize; 3] = [34, 24, 17];
/// Most candidates that go from one stage to the next, best first: bounds time and memory on a hostile frame.
const MOST_CANDIDATES: usize = 2_000;

/// The cascade's first stages, P-Net alone or with R-Net: what they let through is what the next stage is taught on.
#[derive(Debug)]
pub struct Front {
    pub(super) propose: Stage,
    pub(super) refine: Option<Stage>,
}

/// One level of a pyramid: a part of the frame, or all of its half, made smaller.
#[derive(Debug, Clone, Copy)]
struct Level {
    region: Region,
    /// Width and height that it is made, px.
    size: (usize, usize),
    /// Of these to the frame's.
    scale: f32,
}

impl Front {
    /// Loads P-Net and, where given, R-Net.
    pub fn load(
        manifest: &Manifest,
        propose: &ModelEntry,
        refine: Option<&ModelEntry>,
    ) -> Result<Self, ModelError> {
        let refine = refine.map(|entry| Stage::load(manifest, entry)).transpose()?;
        Ok(Self { propose: Stage::load(manifest, propose)?, refine })
    }

    /// The squares of `frame` that the next stage would be shown.
    pub fn candidates(&self, frame: RgbView<'_>, settings: &Settings) -> Result<Vec<BBox>, ModelError> {
        let mut scratch = Scratch::default();
        self.propose(frame, settings, &mut scratch)?;
        self.refine(frame, &mut scratch)?;
        Ok(scratch.candidates.iter().map(|c| c.bbox).collect())
    }

    /// Stage 1: P-Net over the pyramid (`detect_face.m` L17-56); leaves what passes in the candidates of `scratch`.
    pub(super) fn propose(
        &self,
        frame: RgbView<'_>,
        settings: &Settings,
        scratch: &mut Scratch,
    ) -> Result<(), ModelError> {
        scratch.candidates.clear();
        let scales = || scales(frame.width(), frame.height(), settings);
        // They leave the scratch while it is lent to the levels.
        let mut halves = std::mem::take(&mut scratch.halves);
        // Of a picture of the frame's own size no half can be made.
        let least = if settings.pyramid == Pyramid::Halves { scales().last() } else { None };
        halves.set(frame, least.unwrap_or(1.0));
        for scale in scales() {
            let w = (frame.width() as f32 * scale).ceil() as usize;
            let h = (frame.height() as f32 * scale).ceil() as usize;
            let of = halves.of(frame, scale);
            self.propose_level(of, Level { region: Region::whole(of), size: (w, h), scale }, scratch)?;
        }
        scratch.halves = halves;
        squares(&mut scratch.candidates);
        Ok(())
    }

    /// Stage 1 around `faces`, for faces of about their size.
    pub(super) fn propose_near(
        &self,
        frame: RgbView<'_>,
        faces: &[Detection],
        scratch: &mut Scratch,
    ) -> Result<(), ModelError> {
        scratch.candidates.clear();
        for face in faces {
            let (region, side) = surroundings(face.bbox);
            for size in NEAR {
                let scale = size as f32 / side;
                self.propose_level(frame, Level { region, size: (size, size), scale }, scratch)?;
            }
        }
        squares(&mut scratch.candidates);
        Ok(())
    }

    /// Adds what P-Net lets through of one level of a pyramid of `frame`, or of its half, to the candidates of `scratch`.
    fn propose_level(&self, frame: RgbView<'_>, at: Level, scratch: &mut Scratch) -> Result<(), ModelError> {
        let Scratch { resampler, outputs, level, candidates, .. } = scratch;
        let stage = &self.propose;
        let outputs = &mut outputs[stage.number];
        let (w, h) = at.size;
        resampler.aim(frame, at.region, at.size);
        let rows = &mut |_: usize, y: usize, row: &mut [f32]| resampler.row(frame, &stage.input, y, row);
        stage.net.run_rows([1, 3, h, w], rows, outputs)?;
        let [prob, reg] = stage.outputs(outputs, 1, [2, 4])?;
        cells(prob, reg, &at, stage.threshold, level);
        nms::suppress(level, 0.5, Overlap::Union);
        candidates.append(level);
        Ok(())
    }

    /// Stage 2 on the candidates of `scratch`, where it is there: R-Net (L57-79).
    pub(super) fn refine(&self, frame: RgbView<'_>, scratch: &mut Scratch) -> Result<(), ModelError> {
        let Some(stage) = &self.refine else { return Ok(()) };
        scratch.show_candidates();
        stage.look(frame, View::Straight, scratch)?;
        let Scratch { candidates, boxes, looks, .. } = scratch;
        candidates.clear();
        for (bbox, look) in boxes.iter().zip(looks) {
            if look.score > stage.threshold {
                candidates.push(Candidate { bbox: *bbox, score: look.score, shift: look.shift });
            }
        }
        nms::suppress(candidates, 0.7, Overlap::Union);
        for c in candidates {
            c.bbox = square(shifted(c.bbox, c.shift, c.bbox.width(), c.bbox.height())).truncated();
        }
        Ok(())
    }
}

/// The square of twice the width of a face about its middle, and its side, px.
fn surroundings(face: BBox) -> (Region, f32) {
    let face = square(face);
    let (half, side) = (face.width() / 2.0, face.width() * 2.0);
    let (x1, y1) = (face.x1 - half, face.y1 - half);
    (region(&BBox { x1, y1, x2: x1 + side - 1.0, y2: y1 + side - 1.0 }), side)
}

/// What P-Net's candidates of all levels become for the next stage.
fn squares(candidates: &mut Vec<Candidate>) {
    nms::suppress(candidates, 0.7, Overlap::Union);
    for c in candidates {
        // Here, and only here, the width goes without + 1 (L50-52).
        let (w, h) = (c.bbox.x2 - c.bbox.x1, c.bbox.y2 - c.bbox.y1);
        c.bbox = square(shifted(c.bbox, c.shift, w, h)).truncated();
    }
}

/// The pyramid's scales: 12 / min face x factor^k while the shorter side stays at least 12 px (L17-25).
fn scales(width: usize, height: usize, settings: &Settings) -> impl Iterator<Item = f32> {
    let m = CELL / settings.min_face.px(width, height);
    let side = width.min(height) as f32 * m;
    let factor = settings.factor.clamp(0.1, 0.95);
    let levels = std::iter::successors(Some((m, side)), move |(m, side)| Some((m * factor, side * factor)));
    levels.take_while(|(_, side)| *side >= CELL).map(|(scale, _)| scale)
}

/// Cells of one level at or above `threshold` as boxes in the frame (`generateBoundingBox.m`), written over `found`.
fn cells(prob: &Output, reg: &Output, level: &Level, threshold: f32, found: &mut Vec<Candidate>) {
    found.clear();
    let plane = prob.data.len() / 2;
    // Caffe's pooling rounds up, so the map's width is the network's to say.
    let width = prob.shape.get(3).copied().unwrap_or(level.size.0).max(1);
    if reg.data.len() != 4 * plane {
        return;
    }
    let (left, top) = (level.region.x as f32, level.region.y as f32);
    for (i, &score) in prob.data[plane..].iter().enumerate() {
        if score >= threshold {
            let (x, y) = ((i % width) as f32, (i / width) as f32);
            let first = |v: f32| ((STRIDE * v + 1.0) / level.scale).trunc();
            let last = |v: f32| ((STRIDE * v + CELL) / level.scale).trunc();
            found.push(Candidate {
                bbox: BBox { x1: left + first(x), y1: top + first(y), x2: left + last(x), y2: top + last(y) },
                score,
                shift: [0, 1, 2, 3].map(|c| reg.data[c * plane + i]),
            });
        }
    }
    if found.len() > MOST_CANDIDATES {
        found.sort_unstable_by(|a, b| b.score.total_cmp(&a.score));
        found.truncate(MOST_CANDIDATES);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pyramid_of_the_reference_settings() {
        // 182 px, min face 20: 12/20 = 0.6; 182 * 0.6 * 0.85^k >= 12 while k <= 13 (109.2 * 0.1209 = 13.2).
        let s: Vec<f32> = scales(182, 182, &Settings::training_data()).collect();
        assert_eq!(s.len(), 14);
        assert!((s[0] - 0.6).abs() < 1e-6 && (s[1] - 0.51).abs() < 1e-6);
        // Door, 640x480: 60 px, 0.2 * 480 = 96; 96 * 0.709^k >= 12 while k <= 6 (12.19).
        assert_eq!(scales(640, 480, &Settings::door()).count(), 7);
        assert_eq!(scales(11, 11, &Settings::training_data()).count(), 0);
    }

    #[test]
    fn the_surroundings_are_twice_as_wide_about_the_same_middle() {
        // 100 px wide and 80 high: the square is columns 101 to 200, rows 41 to 140 (Matlab's); half of 100 before it.
        let face = BBox { x1: 101.0, y1: 51.0, x2: 200.0, y2: 130.0 };
        let (region, side) = surroundings(face);
        assert_eq!((region, side), (Region { x: 50, y: -10, width: 200, height: 200 }, 200.0));
    }

    #[test]
    fn cells_become_boxes_as_in_matlab() {
        // A 2x1 map, the second cell fires. Matlab: fix((2*1+1)/0.5) = 6, fix((2*1+12)/0.5) = 28; row: 2, 24.
        let prob = Output { shape: vec![1, 2, 1, 2], data: vec![0.9, 0.2, 0.1, 0.8] };
        let reg = Output { shape: vec![1, 4, 1, 2], data: vec![0.0, 0.1, 0.0, 0.2, 0.0, 0.3, 0.0, 0.4] };
        let mut c = Vec::new();
        let region = Region { x: 0, y: 0, width: 28, height: 24 };
        cells(&prob, &reg, &Level { region, size: (14, 12), scale: 0.5 }, 0.6, &mut c);
        assert_eq!(c.len(), 1);
        assert_eq!(c[0].bbox, BBox { x1: 6.0, y1: 2.0, x2: 28.0, y2: 24.0 });
        assert_eq!(c[0].shift, [0.1, 0.2, 0.3, 0.4]);
    }
}

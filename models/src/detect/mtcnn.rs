//! MTCNN exactly as SphereFace calls it: pyramid, three networks, official box arithmetic and NMS kinds.
//!
//! Source: kpzhang93 `code/codes/MTCNNv1/detect_face.m` and its helpers, SphereFace
//! `preprocess/code/face_detect_demo.m`; reference section 2.1. Box numbers are the Matlab ones, as every port keeps
//! them: pixel 1 is the first column.

use crate::detect::mtcnn::nms::Overlap;
use crate::error::ModelError;
use crate::geometry::{BBox, Detection, Landmarks, Point};
use crate::image::RgbView;
use crate::manifest::{Input, Kind, Manifest, ModelEntry};
use crate::resample::{Region, Scratch, resample};
use crate::session::{Output, Session};

pub mod nms;

/// Side of P-Net's cell, px.
const CELL: f32 = 12.0;
/// Distance of P-Net's cells, px.
const STRIDE: f32 = 2.0;
/// Most candidates that go from one stage to the next, best first: bounds time and memory on a hostile frame.
const MOST_CANDIDATES: usize = 2_000;
/// Crops per run of R-Net and O-Net; the rest of a batch runs one by one, so that two plans serve every count.
const BATCH: usize = 16;

/// Smallest face that is looked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum MinFace {
    /// A side in px.
    Px(f32),
    /// A share of the frame's shorter side, but at least 20 px (the networks' own limit).
    OfFrame(f32),
}

impl MinFace {
    /// In px for a frame of `width` x `height`.
    pub fn px(self, width: usize, height: usize) -> f32 {
        match self {
            Self::Px(px) => px.max(CELL),
            Self::OfFrame(share) => (share * width.min(height) as f32).max(20.0),
        }
    }
}

/// How O-Net finds landmarks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LandmarkPasses {
    /// One pass.
    Single,
    /// A second pass on the mirrored crop, averaged (`detect_face.m` L104-110).
    Mirrored,
}

/// How the cascade is run.
///
/// The face probabilities from which windows pass are no setting: they belong to the networks
/// ([`ModelEntry::face_threshold`]).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// Smallest face.
    pub min_face: MinFace,
    /// Ratio of one pyramid level to the one before, below 1.
    pub factor: f32,
    /// Landmark passes.
    pub landmarks: LandmarkPasses,
}

impl Settings {
    /// As SphereFace prepares training and test data (`face_detect_demo.m` L31-33).
    pub fn training_data() -> Self {
        Self { min_face: MinFace::Px(20.0), factor: 0.85, landmarks: LandmarkPasses::Mirrored }
    }

    /// For a door: a face worth recognising fills an eighth of the frame's shorter side (60 px of 480), and the
    /// pyramid takes MTCNN's own coarser steps of half the area.
    pub fn door() -> Self {
        Self { min_face: MinFace::OfFrame(0.125), factor: 0.709, ..Self::training_data() }
    }

    /// For pictures that one face fills, as loose crops of a training set are: the first levels of the pyramid, which
    /// take most of the time, could find only faces that nobody wants there.
    pub fn close_up() -> Self {
        Self { min_face: MinFace::OfFrame(0.35), ..Self::door() }
    }
}

/// Lengths of O-Net's outputs: probabilities, box, landmarks.
const OUTPUTS: [usize; 3] = [2, 4, 10];
/// What O-Net said of one crop.
type Looks = [Vec<f32>; OUTPUTS.len()];

/// How a crop is shown to a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum View {
    Straight,
    Mirrored,
}

/// A candidate between stages.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    bbox: BBox,
    score: f32,
    shift: [f32; 4],
}

/// The cascade, loaded once.
#[derive(Debug)]
pub struct Mtcnn {
    front: Front,
    output: Stage,
    /// Whether O-Net looks for the landmarks again, in the box that it found.
    looks_again: bool,
}

/// The cascade's first stages, P-Net alone or with R-Net: what they let through is what the next stage is taught on.
#[derive(Debug)]
pub struct Front {
    propose: Stage,
    refine: Option<Stage>,
}

/// One network of the cascade.
#[derive(Debug)]
struct Stage {
    net: Session,
    /// Face probability above which a window passes.
    threshold: f32,
    input: Input,
    name: &'static str,
}

impl Mtcnn {
    /// Loads the three networks of [`Manifest::cascade`].
    pub fn load(manifest: &Manifest, [p, r, o]: [&ModelEntry; 3]) -> Result<Self, ModelError> {
        Ok(Self {
            front: Front::load(manifest, p, Some(r))?,
            output: Stage::load(manifest, o)?,
            looks_again: o.landmark_looks == Some(2),
        })
    }

    /// Face probabilities above which windows pass P-, R- and O-Net.
    pub fn thresholds(&self) -> [f32; 3] {
        let Front { propose, refine } = &self.front;
        [propose.threshold, refine.as_ref().map_or(0.0, |r| r.threshold), self.output.threshold]
    }

    /// All faces of `frame`, most certain first. A frame smaller than a cell has none.
    pub fn detect(&self, frame: RgbView<'_>, settings: &Settings) -> Result<Vec<Detection>, ModelError> {
        let mut scratch = Scratch::default();
        let candidates = self.front.pass(frame, settings, &mut scratch)?;
        self.output(frame, candidates, settings, &mut scratch)
    }

    /// Stage 3: O-Net, landmarks, box regression before the last NMS (L80-120).
    fn output(
        &self,
        frame: RgbView<'_>,
        candidates: Vec<Candidate>,
        settings: &Settings,
        scratch: &mut Scratch,
    ) -> Result<Vec<Detection>, ModelError> {
        let candidates: Vec<BBox> = candidates.iter().map(|c| c.bbox).collect();
        let runs = self.output.run_crops(frame, &candidates, View::Straight, OUTPUTS, scratch)?;
        let passing = candidates.into_iter().zip(runs).filter(|(_, look)| look[0][1] > self.output.threshold);
        let (boxes, looks): (Vec<BBox>, Vec<Looks>) = passing.unzip();
        let points = self.landmarks(frame, &boxes, &looks, settings, scratch)?;
        let mut faces: Vec<Detection> = Vec::new();
        for ((b, [prob, shift, _]), landmarks) in boxes.into_iter().zip(&looks).zip(points) {
            let bbox = shifted(b, four(shift), b.width(), b.height());
            faces.push(Detection { bbox, landmarks, confidence: prob[1] });
        }
        nms::suppress(&mut faces, 0.7, Overlap::Min);
        if self.looks_again {
            self.look_again(frame, &mut faces, settings, scratch)?;
        }
        Ok(faces)
    }

    /// Landmarks by the third output of `looks`, O-Net's at `boxes`, and by a look at their mirror images where
    /// the settings ask for it.
    fn landmarks(
        &self,
        frame: RgbView<'_>,
        boxes: &[BBox],
        looks: &[Looks],
        settings: &Settings,
        scratch: &mut Scratch,
    ) -> Result<Vec<Landmarks>, ModelError> {
        let mirrored = match settings.landmarks {
            LandmarkPasses::Single => None,
            LandmarkPasses::Mirrored => {
                Some(self.output.run_crops(frame, boxes, View::Mirrored, OUTPUTS, scratch)?)
            }
        };
        let mut all = Vec::with_capacity(boxes.len());
        for (k, (b, look)) in boxes.iter().zip(looks).enumerate() {
            let mut points = unit_points(&look[2]);
            if let Some(m) = &mirrored {
                let flipped = unit_points(&m[k][2]);
                // Mirrored back and left swapped with right: order 2, 1, 3, 5, 4.
                for (p, q) in points.iter_mut().zip([1, 0, 2, 4, 3].map(|j| flipped[j])) {
                    *p = Point::new((p.x + 1.0 - q.x) / 2.0, (p.y + q.y) / 2.0);
                }
            }
            let (w, h) = (b.width(), b.height());
            let place = |p: Point| Point::new(w * p.x + b.x1 - 1.0, h * p.y + b.y1 - 1.0);
            all.push(Landmarks(points.map(place)));
        }
        Ok(all)
    }

    /// Shows O-Net the boxes that it made, and takes the mean of the landmarks that it sees now and those it saw.
    fn look_again(
        &self,
        frame: RgbView<'_>,
        faces: &mut [Detection],
        settings: &Settings,
        scratch: &mut Scratch,
    ) -> Result<(), ModelError> {
        let boxes: Vec<BBox> = faces.iter().map(|f| square(f.bbox).truncated()).collect();
        let looks = self.output.run_crops(frame, &boxes, View::Straight, OUTPUTS, scratch)?;
        let points = self.landmarks(frame, &boxes, &looks, settings, scratch)?;
        for (face, seen) in faces.iter_mut().zip(points) {
            for (p, q) in face.landmarks.0.iter_mut().zip(seen.0) {
                *p = Point::new((p.x + q.x) / 2.0, (p.y + q.y) / 2.0);
            }
        }
        Ok(())
    }
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
        let passed = self.pass(frame, settings, &mut Scratch::default())?;
        Ok(passed.into_iter().map(|c| c.bbox).collect())
    }

    fn pass(
        &self,
        frame: RgbView<'_>,
        settings: &Settings,
        scratch: &mut Scratch,
    ) -> Result<Vec<Candidate>, ModelError> {
        let proposals = self.propose(frame, settings, scratch)?;
        match &self.refine {
            Some(stage) => refine(stage, frame, proposals, scratch),
            None => Ok(proposals),
        }
    }

    /// Stage 1: P-Net over the pyramid (`detect_face.m` L17-56).
    fn propose(
        &self,
        frame: RgbView<'_>,
        settings: &Settings,
        scratch: &mut Scratch,
    ) -> Result<Vec<Candidate>, ModelError> {
        let mut all = Vec::new();
        let mut input = Vec::new();
        for scale in scales(frame.width(), frame.height(), settings) {
            let w = (frame.width() as f32 * scale).ceil() as usize;
            let h = (frame.height() as f32 * scale).ceil() as usize;
            input.resize(3 * w * h, 0.0);
            resample(frame, Region::whole(frame), (w, h), &self.propose.input, &mut input, scratch);
            let out = self.propose.net.run([1, 3, h, w], &input)?;
            let [prob, reg] = self.propose.outputs(out, 1, [2, 4])?;
            let mut level = cells(&prob, &reg, w, scale, self.propose.threshold);
            nms::suppress(&mut level, 0.5, Overlap::Union);
            all.append(&mut level);
        }
        nms::suppress(&mut all, 0.7, Overlap::Union);
        for c in &mut all {
            // Here, and only here, the width goes without + 1 (L50-52).
            let (w, h) = (c.bbox.x2 - c.bbox.x1, c.bbox.y2 - c.bbox.y1);
            c.bbox = square(shifted(c.bbox, c.shift, w, h)).truncated();
        }
        Ok(all)
    }
}

/// Stage 2: R-Net (L57-79).
fn refine(
    stage: &Stage,
    frame: RgbView<'_>,
    candidates: Vec<Candidate>,
    scratch: &mut Scratch,
) -> Result<Vec<Candidate>, ModelError> {
    let boxes: Vec<BBox> = candidates.iter().map(|c| c.bbox).collect();
    let runs = stage.run_crops(frame, &boxes, View::Straight, [2, 4], scratch)?;
    let mut kept = Vec::new();
    for (bbox, run) in boxes.into_iter().zip(&runs) {
        if run[0][1] > stage.threshold {
            kept.push(Candidate { bbox, score: run[0][1], shift: four(&run[1]) });
        }
    }
    nms::suppress(&mut kept, 0.7, Overlap::Union);
    for c in &mut kept {
        c.bbox = square(shifted(c.bbox, c.shift, c.bbox.width(), c.bbox.height())).truncated();
    }
    Ok(kept)
}

impl Stage {
    fn load(manifest: &Manifest, entry: &ModelEntry) -> Result<Self, ModelError> {
        let (outputs, published): (&[&str], f32) = match entry.kind {
            Kind::MtcnnO => (&["prob", "box", "landmarks"], 0.9),
            Kind::MtcnnR => (&["prob", "box"], 0.7),
            _ => (&["prob", "box"], 0.6),
        };
        Ok(Self {
            net: Session::load(manifest, entry, outputs)?,
            threshold: entry.face_threshold.unwrap_or(published),
            input: entry.input,
            name: entry.kind.word(),
        })
    }

    /// Runs on the crop of every box; one list of output rows a box.
    fn run_crops<const N: usize>(
        &self,
        frame: RgbView<'_>,
        boxes: &[BBox],
        view: View,
        lengths: [usize; N],
        scratch: &mut Scratch,
    ) -> Result<Vec<[Vec<f32>; N]>, ModelError> {
        let input = &self.input;
        let side = input.width;
        let one = 3 * side * side;
        let mut rows = Vec::with_capacity(boxes.len());
        let mut batch = vec![0.0; one * BATCH.min(boxes.len())];
        let mut rest = boxes;
        while !rest.is_empty() {
            let n = if rest.len() >= BATCH { BATCH } else { 1 };
            let (now, later) = rest.split_at(n);
            for (bbox, out) in now.iter().zip(batch.chunks_exact_mut(one)) {
                resample(frame, region(bbox), (side, side), input, out, scratch);
                if view == View::Mirrored {
                    out.chunks_exact_mut(side).for_each(<[f32]>::reverse);
                }
            }
            let outputs = self.net.run([n, 3, side, side], &batch[..n * one])?;
            let outputs = self.outputs(outputs, n, lengths)?;
            for k in 0..n {
                rows.push(std::array::from_fn(|o| {
                    outputs[o].data[k * lengths[o]..(k + 1) * lengths[o]].to_vec()
                }));
            }
            rest = later;
        }
        Ok(rows)
    }

    /// Checks that the outputs are `[n, length]` (and for P-Net `[n, length, h, w]`) as MTCNN's are.
    fn outputs<const N: usize>(
        &self,
        outputs: Vec<Output>,
        n: usize,
        lengths: [usize; N],
    ) -> Result<[Output; N], ModelError> {
        let shapes: Vec<_> = outputs.iter().map(|o| o.shape.clone()).collect();
        let fits = outputs.iter().zip(lengths).all(|(o, l)| {
            o.shape.first() == Some(&n)
                && o.shape.get(1) == Some(&l)
                && o.shape[2..].iter().product::<usize>() * n * l == o.data.len()
                && (self.name == Kind::MtcnnP.word()) == (o.shape.len() == 4)
        });
        match <[Output; N]>::try_from(outputs) {
            Ok(outputs) if fits => Ok(outputs),
            _ => Err(ModelError::Run {
                model: self.name.into(),
                why: format!("its outputs are {shapes:?}, MTCNN's are {n} x {lengths:?}"),
            }),
        }
    }
}

/// The pyramid's scales: 12 / min face x factor^k while the shorter side stays at least 12 px (L17-25).
fn scales(width: usize, height: usize, settings: &Settings) -> Vec<f32> {
    let m = CELL / settings.min_face.px(width, height);
    let mut side = width.min(height) as f32 * m;
    let factor = settings.factor.clamp(0.1, 0.95);
    let mut scales = Vec::new();
    let mut scale = m;
    while side >= CELL {
        scales.push(scale);
        scale *= factor;
        side *= factor;
    }
    scales
}

/// Cells of one level at or above `threshold` as boxes in the frame (`generateBoundingBox.m`).
fn cells(prob: &Output, reg: &Output, level_width: usize, scale: f32, threshold: f32) -> Vec<Candidate> {
    let plane = prob.data.len() / 2;
    // Caffe's pooling rounds up, so the map's width is the network's to say.
    let width = prob.shape.get(3).copied().unwrap_or(level_width).max(1);
    if reg.data.len() != 4 * plane {
        return Vec::new();
    }
    let mut found: Vec<Candidate> = Vec::new();
    for (i, &score) in prob.data[plane..].iter().enumerate() {
        if score >= threshold {
            let (x, y) = ((i % width) as f32, (i / width) as f32);
            let first = |v: f32| ((STRIDE * v + 1.0) / scale).trunc();
            let last = |v: f32| ((STRIDE * v + CELL) / scale).trunc();
            found.push(Candidate {
                bbox: BBox { x1: first(x), y1: first(y), x2: last(x), y2: last(y) },
                score,
                shift: [0, 1, 2, 3].map(|c| reg.data[c * plane + i]),
            });
        }
    }
    if found.len() > MOST_CANDIDATES {
        found.sort_by(|a, b| b.score.total_cmp(&a.score));
        found.truncate(MOST_CANDIDATES);
    }
    found
}

/// Box regression with the given width and height (`bbreg.m`).
fn shifted(b: BBox, shift: [f32; 4], w: f32, h: f32) -> BBox {
    BBox {
        x1: b.x1 + shift[0] * w,
        y1: b.y1 + shift[1] * h,
        x2: b.x2 + shift[2] * w,
        y2: b.y2 + shift[3] * h,
    }
}

/// The square of the longer side about the same middle (`rerec.m`).
fn square(b: BBox) -> BBox {
    let (w, h) = (b.x2 - b.x1, b.y2 - b.y1);
    let side = w.max(h);
    let (x1, y1) = (b.x1 + w * 0.5 - side * 0.5, b.y1 + h * 0.5 - side * 0.5);
    BBox { x1, y1, x2: x1 + side, y2: y1 + side }
}

impl BBox {
    /// Every corner cut to whole px toward zero (Matlab `fix`).
    fn truncated(self) -> Self {
        Self { x1: self.x1.trunc(), y1: self.y1.trunc(), x2: self.x2.trunc(), y2: self.y2.trunc() }
    }
}

/// The pixels a box covers; Matlab counts from 1.
pub fn region(b: &BBox) -> Region {
    // A far-fetched box stays far outside instead of overflowing.
    let limit = |v: f32| v.clamp(-1e6, 1e6) as i32;
    Region {
        x: limit(b.x1) - 1,
        y: limit(b.y1) - 1,
        width: limit(b.width()).clamp(1, 100_000) as u32,
        height: limit(b.height()).clamp(1, 100_000) as u32,
    }
}

fn four(v: &[f32]) -> [f32; 4] {
    std::array::from_fn(|i| v.get(i).copied().unwrap_or(0.0))
}

/// O-Net's ten numbers (x1..x5, y1..y5) as points of the unit square.
fn unit_points(v: &[f32]) -> [Point; 5] {
    std::array::from_fn(|i| {
        Point::new(v.get(i).copied().unwrap_or(0.5), v.get(5 + i).copied().unwrap_or(0.5))
    })
}

impl nms::Scored for Candidate {
    fn bbox(&self) -> &BBox {
        &self.bbox
    }
    fn score(&self) -> f32 {
        self.score
    }
}

impl nms::Scored for Detection {
    fn bbox(&self) -> &BBox {
        &self.bbox
    }
    fn score(&self) -> f32 {
        self.confidence
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pyramid_of_the_reference_settings() {
        // 182 px, min face 20: 12/20 = 0.6; 182 * 0.6 * 0.85^k >= 12 while k <= 13 (109.2 * 0.1209 = 13.2).
        let s = scales(182, 182, &Settings::training_data());
        assert_eq!(s.len(), 14);
        assert!((s[0] - 0.6).abs() < 1e-6 && (s[1] - 0.51).abs() < 1e-6);
        // Door, 640x480: 60 px, 0.2 * 480 = 96; 96 * 0.709^k >= 12 while k <= 6 (12.19).
        assert_eq!(scales(640, 480, &Settings::door()).len(), 7);
        assert!(scales(11, 11, &Settings::training_data()).is_empty());
    }

    #[test]
    fn cells_become_boxes_as_in_matlab() {
        // A 2x1 map, the second cell fires. Matlab: fix((2*1+1)/0.5) = 6, fix((2*1+12)/0.5) = 28; row: 2, 24.
        let prob = Output { shape: vec![1, 2, 1, 2], data: vec![0.9, 0.2, 0.1, 0.8] };
        let reg = Output { shape: vec![1, 4, 1, 2], data: vec![0.0, 0.1, 0.0, 0.2, 0.0, 0.3, 0.0, 0.4] };
        let c = cells(&prob, &reg, 14, 0.5, 0.6);
        assert_eq!(c.len(), 1);
        assert_eq!(c[0].bbox, BBox { x1: 6.0, y1: 2.0, x2: 28.0, y2: 24.0 });
        assert_eq!(c[0].shift, [0.1, 0.2, 0.3, 0.4]);
    }

    #[test]
    fn a_box_is_shifted_squared_and_truncated() {
        // bbreg with w = h = 10 + 1: x1 = 10 + 1.1, y1 = 20, x2 = 20 - 1.1, y2 = 40.
        let b = BBox { x1: 10.0, y1: 20.0, x2: 20.0, y2: 40.0 };
        let s = shifted(b, [0.1, 0.0, -0.1, 0.0], b.width(), b.height());
        assert!((s.x1 - 11.1).abs() < 1e-5 && (s.x2 - 18.9).abs() < 1e-5 && s.y2 == 40.0);
        // rerec: width 10, height 20 about (15, 30): side 20, from 5 to 25.
        assert_eq!(square(b), BBox { x1: 5.0, y1: 20.0, x2: 25.0, y2: 40.0 });
        let t = BBox { x1: -3.7, y1: 2.9, x2: 5.0, y2: 6.2 }.truncated();
        assert_eq!(t, BBox { x1: -3.0, y1: 2.0, x2: 5.0, y2: 6.0 });
        assert_eq!(region(&b), Region { x: 9, y: 19, width: 11, height: 21 });
    }
}

//! One network of the cascade: P-Net, R-Net or O-Net, and what the last two say of crops.

use crate::detect::mtcnn::Scratch;
use crate::detect::mtcnn::boxes::{four, region, unit_points};
use crate::error::ModelError;
use crate::geometry::Point;
use crate::image::RgbView;
use crate::manifest::{Input, Kind, Manifest, ModelEntry};
use crate::resample::mirrored;
use crate::session::{Output, Session};

/// What R-Net or O-Net said of one crop.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    /// Face probability.
    pub(super) score: f32,
    /// Of the box.
    pub(super) shift: [f32; 4],
    /// In the unit square; R-Net's lie in the middle.
    pub(super) points: [Point; 5],
}

/// How a crop is shown to a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum View {
    Straight,
    Mirrored,
}

/// One network of the cascade.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) net: Session,
    /// Face probability above which a window passes.
    pub(super) threshold: f32,
    pub(super) input: Input,
    name: &'static str,
    /// 0 for P-Net, 1 for R-Net, 2 for O-Net.
    pub(super) number: usize,
}

impl Stage {
    pub(super) fn load(manifest: &Manifest, entry: &ModelEntry) -> Result<Self, ModelError> {
        let (number, outputs, published): (_, &[&str], f32) = match entry.kind {
            Kind::MtcnnO => (2, &["prob", "box", "landmarks"], 0.9),
            Kind::MtcnnR => (1, &["prob", "box"], 0.7),
            _ => (0, &["prob", "box"], 0.6),
        };
        Ok(Self {
            net: Session::load(manifest, entry, outputs)?,
            threshold: entry.face_threshold.unwrap_or(published),
            input: entry.input,
            name: entry.kind.word(),
            number,
        })
    }

    pub(super) fn with_threads(self, threads: usize) -> Self {
        Self { net: self.net.with_threads(threads), ..self }
    }

    /// Runs R-Net or O-Net on the crops of all boxes of `scratch`; what it says goes to the looks of that view.
    pub(super) fn look(
        &self,
        frame: RgbView<'_>,
        view: View,
        scratch: &mut Scratch,
    ) -> Result<(), ModelError> {
        let Scratch { resampler, outputs, boxes, looks, mirrored: flipped, .. } = scratch;
        let looks = if view == View::Straight { looks } else { flipped };
        let outputs = &mut outputs[self.number];
        looks.clear();
        if boxes.is_empty() {
            return Ok(());
        }
        let side = self.input.width;
        let rows = &mut |n: usize, y: usize, row: &mut [f32]| {
            if y == 0 {
                resampler.aim(frame, region(&boxes[n]), (side, side));
            }
            resampler.row(frame, &self.input, y, row);
            if view == View::Mirrored {
                mirrored(row);
            }
        };
        self.net.run_rows([boxes.len(), 3, side, side], rows, outputs)?;
        let points = outputs.len() > 2;
        if points {
            self.outputs(outputs, boxes.len(), [2, 4, 10])?;
        } else {
            self.outputs(outputs, boxes.len(), [2, 4])?;
        }
        looks.extend((0..boxes.len()).map(|k| Look {
            score: outputs[0].data[2 * k + 1],
            shift: four(&outputs[1].data[4 * k..]),
            points: unit_points(if points { &outputs[2].data[10 * k..] } else { &[] }),
        }));
        Ok(())
    }

    /// Checks that the outputs are `[n, length]` (and for P-Net `[n, length, h, w]`) as MTCNN's are.
    pub(super) fn outputs<'o, const N: usize>(
        &self,
        outputs: &'o [Output],
        n: usize,
        lengths: [usize; N],
    ) -> Result<&'o [Output; N], ModelError> {
        let fits = outputs.iter().zip(lengths).all(|(o, l)| {
            o.shape.first() == Some(&n)
                && o.shape.get(1) == Some(&l)
                && o.shape[2..].iter().product::<usize>() * n * l == o.data.len()
                && (self.number == 0) == (o.shape.len() == 4)
        });
        match <&[Output; N]>::try_from(outputs) {
            Ok(outputs) if fits => Ok(outputs),
            _ => {
                let shapes: Vec<_> = outputs.iter().map(|o| &o.shape).collect();
                Err(ModelError::Run {
                    model: self.name.into(),
                    why: format!("its outputs are {shapes:?}, MTCNN's are {n} x {lengths:?}"),
                })
            }
        }
    }
}

//! What the pictures of a set are: aligned crops of one size, with or without a margin, and how they were made.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use limen_models::align::Aligner;
use limen_models::geometry::{Landmarks, Point};
use limen_models::image::RgbImage;
use limen_models::manifest::Alignment;
use serde::{Deserialize, Serialize};

/// What the networks take, columns (SphereFace `face_align_demo.m` L21).
pub const WIDTH: usize = 96;
/// What the networks take, rows.
pub const HEIGHT: usize = 112;
/// Most pixels of margin: a crop of twice the size.
pub const MAX_MARGIN: usize = 48;
/// Name of the description beside a set.
pub const FILE_NAME: &str = "crops.toml";
/// The description's format that this program writes and reads.
const FORMAT: u32 = 1;

/// `crops.toml`: how the crops of a set were made. Two sets with different descriptions do not mix.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Crops {
    /// Format of this file.
    pub format: u32,
    /// Columns of a stored crop, px: 96 and twice the margin.
    pub width: usize,
    /// Rows of a stored crop, px: 112 and twice the margin.
    pub height: usize,
    /// Pixels on each side around what the networks take.
    pub margin: usize,
    /// Where the five landmarks lie in a stored crop, (x, y) in px from its top left corner.
    pub template: [[f32; 2]; 5],
    /// How they were made; missing where another program made them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made: Option<Made>,
}

/// How crops were made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Made {
    /// The detector's three networks, by hash.
    pub detector: String,
    /// Smallest face looked for, in words.
    pub min_face: String,
    /// Step of the detector's pyramid.
    pub factor: f32,
    /// Face probabilities of its three stages.
    pub thresholds: [f32; 3],
    /// Landmark passes: `single` or `mirrored`.
    pub landmarks: String,
    /// Which face of a picture: `central`.
    pub face: String,
    /// How a crop is stored, as `jpeg 92`, `webp lossless` or `png`.
    pub stored_as: String,
    /// Program and version.
    pub tool: String,
}

impl Crops {
    /// Where the landmarks of every face in a stored crop lie: on the template.
    pub fn landmarks(&self) -> Landmarks {
        Landmarks(self.template.map(|[x, y]| Point::new(x, y)))
    }

    /// Crops of the SphereFace template with `margin` px around them.
    pub fn with_margin(margin: usize) -> Self {
        let shift = margin as f32;
        Self {
            format: FORMAT,
            width: WIDTH + 2 * margin,
            height: HEIGHT + 2 * margin,
            margin,
            template: Alignment::SPHEREFACE_112X96.points.map(|[x, y]| [x + shift, y + shift]),
            made: None,
        }
    }

    /// The crops that have this size, if there are such.
    pub fn of_size(width: usize, height: usize) -> Option<Self> {
        let margin = width.checked_sub(WIDTH)? / 2;
        let crops = Self::with_margin(margin);
        (crops.width == width && crops.height == height && margin <= MAX_MARGIN).then_some(crops)
    }

    /// Cuts such crops.
    pub fn aligner(&self) -> Aligner {
        Aligner::new(self.width, self.height, self.template.map(|[x, y]| Point::new(x, y)))
    }

    /// Where the description of the set at `path` stands: in the folder, or beside a file.
    pub fn path_for(path: &Path) -> PathBuf {
        if path.is_dir() { path.join(FILE_NAME) } else { path.with_file_name(FILE_NAME) }
    }

    /// The description of the set at `path`, if it has one.
    ///
    /// # Errors
    /// When it is there but cannot be read or contradicts itself.
    pub fn find(path: &Path) -> Result<Option<Self>> {
        let file = Self::path_for(path);
        match std::fs::read_to_string(&file) {
            Ok(text) => Self::parse(&text).with_context(|| format!("{}", file.display())).map(Some),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e).with_context(|| format!("{}: cannot be read", file.display())),
        }
    }

    /// Reads the description.
    ///
    /// # Errors
    /// When it is no TOML of this format, or size, margin and template do not fit together.
    pub fn parse(text: &str) -> Result<Self> {
        let crops: Self = toml::from_str(text)?;
        ensure!(
            crops.format == FORMAT,
            "format {} is not known here (this program reads {FORMAT}): update Limen",
            crops.format
        );
        ensure!(crops.margin <= MAX_MARGIN, "margin: at most {MAX_MARGIN} px");
        let expected = Self::with_margin(crops.margin);
        ensure!(
            (crops.width, crops.height) == (expected.width, expected.height),
            "width, height: a margin of {} px gives {}x{}",
            crops.margin,
            expected.width,
            expected.height
        );
        let moved = crops.template.as_flattened().iter().zip(expected.template.as_flattened());
        ensure!(
            moved.into_iter().all(|(a, b)| (a - b).abs() < 0.01),
            "template: not SphereFace's 112x96 points with the margin added; make the crops with `limen-train preprocess`"
        );
        Ok(crops)
    }

    /// The description as TOML.
    ///
    /// # Errors
    /// When it cannot be written as TOML, which does not happen.
    pub fn to_toml(&self) -> Result<String> {
        Ok(format!(
            "# How the pictures beside this file were made; `limen-train preprocess` wrote it, `train` checks it.\n{}",
            toml::to_string(self)?
        ))
    }
}

/// The 96x112 px of `image` whose top left corner is at column `x`, row `y`; `None` where it does not reach so far.
pub fn cut(image: &RgbImage, x: usize, y: usize) -> Option<RgbImage> {
    if image.width() < x + WIDTH || image.height() < y + HEIGHT {
        return None;
    }
    let mut data = Vec::with_capacity(WIDTH * HEIGHT * 3);
    for row in y..y + HEIGHT {
        data.extend_from_slice(&image.view().row(row)[x * 3..(x + WIDTH) * 3]);
    }
    RgbImage::new(WIDTH, HEIGHT, data).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_margin_moves_the_template() {
        let crops = Crops::with_margin(8);
        assert_eq!((crops.width, crops.height), (112, 128));
        assert_eq!(crops.template[0], [38.2946, 59.6963]);
        assert_eq!(Crops::of_size(112, 128), Some(crops));
        assert_eq!(Crops::of_size(96, 112).map(|c| c.margin), Some(0));
        assert_eq!(Crops::of_size(136, 156), None);
        assert_eq!(Crops::of_size(97, 112), None);
        assert_eq!(Crops::of_size(20, 36), None);
    }

    #[test]
    fn what_is_written_reads_back_and_contradictions_are_named() {
        let made = Made {
            detector: "mtcnn@0".into(),
            min_face: "20 px".into(),
            factor: 0.85,
            thresholds: [0.6, 0.7, 0.9],
            landmarks: "mirrored".into(),
            face: "central".into(),
            stored_as: "jpeg 92".into(),
            tool: "limen-train".into(),
        };
        let crops = Crops { made: Some(made), ..Crops::with_margin(8) };
        let text = crops.to_toml().unwrap();
        assert_eq!(Crops::parse(&text).unwrap(), crops);
        let bad = |from: &str, to: &str, word: &str| {
            let error = format!("{:#}", Crops::parse(&text.replace(from, to)).unwrap_err());
            assert!(error.contains(word), "{error}");
        };
        bad("width = 112", "width = 113", "width, height");
        bad("format = 1", "format = 2", "format 2");
        bad("margin = 8", "margin = 800", "margin");
        bad("margin = 8", "margin = 8\nmargin2 = 1", "margin2");
        bad("38.294", "18.294", "template");
    }

    #[test]
    fn a_cut_begins_where_it_is_told_and_never_leaves_the_picture() {
        let mut image = RgbImage::filled(98, 115, [0; 3]).unwrap();
        image.set_pixel(2, 3, [1, 2, 3]);
        image.set_pixel(97, 114, [4, 5, 6]);
        let face = cut(&image, 2, 3).unwrap();
        assert_eq!((face.pixel(0, 0), face.pixel(95, 111)), ([1, 2, 3], [4, 5, 6]));
        assert!(cut(&image, 3, 3).is_none() && cut(&image, 2, 4).is_none());
    }
}

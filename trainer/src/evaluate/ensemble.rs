//! Several networks as one: the features of each picture one after the other, as in the paper's three-patch ensemble
//! (reference section 11), and patches: other cuts of the face than the model's own template.

use std::collections::HashMap;
use std::path::Path;
use std::str::FromStr;

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use limen_gallery_db::score::unit;
use limen_models::geometry::Point;
use limen_models::manifest::Mirror;

use crate::evaluate::extract::{Feature, Outcome};
use crate::evaluate::store::{Store, header};

/// How parts of different length of vector are weighed against each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Weighing {
    /// As the networks give them: the paper's concatenation. A network with longer vectors weighs more.
    Raw,
    /// Each part of unit length: all weigh the same.
    Unit,
}

/// The features of all `parts`, concatenated picture by picture. A picture without a face in one part has none.
///
/// # Errors
/// When the parts are not of the same pictures, or a feature has no direction.
pub fn join(parts: Vec<Store>, weighing: Weighing) -> Result<Store> {
    let mut parts = parts.into_iter();
    let first = parts.next().context("no features are given")?;
    let others: Vec<Store> = parts.collect();
    if others.is_empty() {
        return Ok(first);
    }
    let places: Vec<HashMap<&Path, usize>> = others
        .iter()
        .map(|s| s.entries.iter().enumerate().map(|(i, e)| (e.path.as_path(), i)).collect())
        .collect();
    let model = std::iter::once(&first)
        .chain(&others)
        .map(|s| s.header.model.as_str())
        .collect::<Vec<_>>()
        .join(" + ");
    let mut outcomes = Vec::with_capacity(first.entries.len());
    for (i, entry) in first.entries.iter().enumerate() {
        let mut features = vec![first.feature(i)];
        for (other, places) in others.iter().zip(&places) {
            let at = places.get(entry.path.as_path()).with_context(|| {
                format!(
                    "{}: it has features of {} but not of {}",
                    entry.path.display(),
                    first.header.model,
                    other.header.model
                )
            })?;
            features.push(other.feature(*at));
        }
        let face = entry.face;
        outcomes.push(match features.into_iter().collect::<Option<Vec<_>>>() {
            Some(features) => Outcome::Found {
                feature: concatenated(features, weighing)
                    .with_context(|| format!("{}", entry.path.display()))?,
                face,
            },
            None => {
                Outcome::Failed(entry.error.clone().unwrap_or_else(|| "no face in one of the parts".into()))
            }
        });
    }
    for other in &others {
        ensure!(
            other.entries.len() == first.entries.len(),
            "{} has features of {} pictures, {} of {}: extract both from the same pictures",
            first.header.model,
            first.entries.len(),
            other.header.model,
            other.entries.len()
        );
    }
    let length = first.header.length + others.iter().map(|s| s.header.length).sum::<usize>();
    // Mirror images are concatenated too: 3 x 1,024 numbers in the paper.
    let header = header(model, Mirror::Concat, length, first.header.root.clone());
    let pictures = first.entries.iter().map(|e| (e.path.clone(), e.identity.clone())).collect();
    Store::new(header, pictures, outcomes)
}

fn concatenated(parts: Vec<Feature>, weighing: Weighing) -> Result<Feature> {
    let mut whole = Feature { plain: vec![], mirrored: vec![] };
    for mut part in parts {
        if weighing == Weighing::Unit {
            unit(&mut part.plain)?;
            unit(&mut part.mirrored)?;
        }
        whole.plain.append(&mut part.plain);
        whole.mirrored.append(&mut part.mirrored);
    }
    Ok(whole)
}

/// A cut of the face other than the model's template: the template scaled about the crop's middle, then shifted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Patch {
    /// Above 1 the face is larger in the crop.
    pub scale: f32,
    /// To the right, crop px.
    pub right: f32,
    /// Down, crop px.
    pub down: f32,
}

impl FromStr for Patch {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers: Vec<f32> = text.split(',').map(|n| n.trim().parse().unwrap_or(f32::NAN)).collect();
        match numbers[..] {
            [scale, right, down]
                if (0.2..=5.0).contains(&scale) && right.abs() <= 200.0 && down.abs() <= 200.0 =>
            {
                Ok(Self { scale, right, down })
            }
            _ => Err("SCALE,RIGHT,DOWN as in 1.3,0,-8: scale 0.2 to 5, the shifts in px of the crop".into()),
        }
    }
}

impl std::fmt::Display for Patch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{},{},{}", self.scale, self.right, self.down)
    }
}

impl Patch {
    /// Where the landmarks of `template` lie in this cut, in a crop of `width` x `height` px.
    pub fn template(&self, template: [Point; 5], width: usize, height: usize) -> [Point; 5] {
        // Pixel numbers from 0: the middle of 96 columns lies between 47 and 48.
        let (cx, cy) = ((width as f32 - 1.0) / 2.0, (height as f32 - 1.0) / 2.0);
        template.map(|p| {
            Point::new(cx + self.scale * (p.x - cx) + self.right, cy + self.scale * (p.y - cy) + self.down)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::lfw::Fusion;
    use crate::evaluate::store::tests::store;

    #[test]
    fn parts_are_joined_by_path_and_mirror_images_too() {
        let a = store("a", &[("1", "x", &[3.0, 4.0], &[0.0, 2.0]), ("2", "y", &[1.0, 0.0], &[1.0, 0.0])]);
        let b = || store("b", &[("2", "y", &[], &[]), ("1", "x", &[10.0], &[20.0])]);
        let j = join(vec![a, b()], Weighing::Raw).unwrap();
        assert_eq!(j.header.model, "a + b");
        assert_eq!(j.vector(0, Fusion::Concat).unwrap(), [3.0, 4.0, 10.0, 0.0, 2.0, 20.0]);
        assert!(j.feature(1).is_none(), "no face in one part is no face");
        let a = store("a", &[("1", "x", &[3.0, 4.0], &[0.0, 2.0]), ("2", "y", &[1.0, 0.0], &[1.0, 0.0])]);
        let j = join(vec![a, b()], Weighing::Unit).unwrap();
        assert_eq!(j.vector(0, Fusion::Single).unwrap(), [0.6, 0.8, 1.0]);
    }

    #[test]
    fn parts_of_other_pictures_are_refused() {
        let part = |paths: &[&str]| {
            store(
                "m",
                &paths
                    .iter()
                    .map(|p| (*p, "x", [1.0f32].as_slice(), [1.0f32].as_slice()))
                    .collect::<Vec<_>>(),
            )
        };
        assert!(join(vec![part(&["1"]), part(&["2"])], Weighing::Raw).is_err());
        assert!(join(vec![part(&["1"]), part(&["1", "2"])], Weighing::Raw).is_err());
        assert!(join(vec![], Weighing::Raw).is_err());
    }

    #[test]
    fn a_patch_scales_about_the_middle_and_shifts() {
        let p: Patch = "2,10,-1".parse().unwrap();
        let t = p.template(
            [
                Point::new(47.5, 55.5),
                Point::new(57.5, 45.5),
                Point::default(),
                Point::default(),
                Point::default(),
            ],
            96,
            112,
        );
        assert_eq!((t[0], t[1]), (Point::new(57.5, 54.5), Point::new(77.5, 34.5)));
        for bad in ["", "1,2", "0,0,0", "1,nan,0", "1,0,0,0"] {
            assert!(bad.parse::<Patch>().is_err(), "{bad}");
        }
    }
}

//! The angular picture of the SphereFace paper: a 2-d embedding's points on the plane, its class directions, and all
//! angles on the unit circle.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use super::axes::shortened;
use super::{Anchor, Colour, Dash, GREY, GRID, INK, Place, Scene, Shape, font, series_colour};
use crate::evaluate::store::Store;
use crate::import::numpy::read_npy;

/// Points of a 2-d embedding with their classes.
#[derive(Debug, Clone, PartialEq)]
pub struct Cloud {
    /// Embeddings as the network gives them, not normalised.
    pub points: Vec<[f64; 2]>,
    /// For each point the index of its class in `names`.
    pub classes: Vec<usize>,
    /// The classes.
    pub names: Vec<String>,
    /// A direction for each class: the classifier's weights, or the means of the points.
    pub directions: Vec<[f64; 2]>,
}

impl Cloud {
    /// Brings points and labels together; classes in the order of their names (numbers by value). Without `weights` a
    /// class' direction is that of the mean of its points.
    ///
    /// # Errors
    /// When there is nothing to draw, the counts do not agree, or a number is not finite.
    pub fn new(points: Vec<[f64; 2]>, labels: &[String], weights: Option<Vec<[f64; 2]>>) -> Result<Self> {
        ensure!(!points.is_empty(), "there are no points to draw");
        ensure!(
            points.len() == labels.len(),
            "{} points and {} labels: each point needs one",
            points.len(),
            labels.len()
        );
        ensure!(
            points.iter().chain(weights.iter().flatten()).flatten().all(|v| v.is_finite()),
            "the points hold numbers that are not finite: the network diverged"
        );
        let mut names = labels.to_vec();
        names.sort_by(|a, b| match (a.parse::<i64>(), b.parse::<i64>()) {
            (Ok(a), Ok(b)) => a.cmp(&b),
            _ => a.cmp(b),
        });
        names.dedup();
        let classes: Vec<usize> =
            labels.iter().map(|l| names.iter().position(|n| n == l).unwrap_or_default()).collect();
        let directions = match weights {
            Some(w) => {
                ensure!(
                    w.len() == names.len(),
                    "{} class directions and {} classes among the labels",
                    w.len(),
                    names.len()
                );
                w
            }
            None => {
                let mut sums = vec![[0.0; 2]; names.len()];
                for (p, c) in points.iter().zip(&classes) {
                    sums[*c][0] += p[0];
                    sums[*c][1] += p[1];
                }
                sums
            }
        };
        Ok(Self { points, classes, names, directions })
    }
}

/// Reads the points (`[n, 2]`) and one label a line; `weights` (`[classes, 2]`) where the classes' directions are known.
///
/// # Errors
/// When a file cannot be read, has another shape, or they do not fit together.
pub fn load(points: &Path, labels: &Path, weights: Option<&Path>) -> Result<Cloud> {
    let text =
        std::fs::read_to_string(labels).with_context(|| format!("{}: cannot be read", labels.display()))?;
    let names: Vec<String> =
        text.lines().map(str::trim).filter(|l| !l.is_empty()).map(str::to_owned).collect();
    let weights = weights.map(plane_points).transpose()?;
    Cloud::new(plane_points(points)?, &names, weights).with_context(|| format!("{}", points.display()))
}

/// The same of features that `extract` wrote: each face as it stands, its person the label.
///
/// # Errors
/// When the network gives other than two numbers, or the weights cannot be read or do not fit.
pub fn of_store(store: &Store, weights: Option<&Path>) -> Result<Cloud> {
    ensure!(
        store.header.length == 2,
        "{} numbers a face, 2 are needed: the embedding of a toy network with two outputs",
        store.header.length
    );
    let (mut points, mut names) = (Vec::new(), Vec::new());
    for (i, entry) in store.entries.iter().enumerate() {
        if let Some([x, y]) = store.feature(i).map(|f| [f64::from(f.plain[0]), f64::from(f.plain[1])]) {
            points.push([x, y]);
            names.push(entry.identity.clone());
        }
    }
    Cloud::new(points, &names, weights.map(plane_points).transpose()?)
}

fn plane_points(path: &Path) -> Result<Vec<[f64; 2]>> {
    let bytes = std::fs::read(path).with_context(|| format!("{}: cannot be read", path.display()))?;
    let tensor = read_npy(&bytes).with_context(|| format!("{}", path.display()))?;
    let [_, 2] = tensor.shape()[..] else {
        bail!(
            "{}: its shape is {:?}, [n, 2] is needed: the embedding of a toy network with two outputs",
            path.display(),
            tensor.shape()
        )
    };
    Ok(tensor.data().chunks_exact(2).map(|p| [f64::from(p[0]), f64::from(p[1])]).collect())
}

/// Half the side of a panel's square, px.
const HALF: f32 = 210.0;
/// Middles of the two panels.
const LEFT: Place = (250.0, 298.0);
const RIGHT: Place = (750.0, 298.0);
/// Radius of the unit circle, px: points are scattered outside of it, names stand beyond them.
const CIRCLE: f32 = 150.0;

/// The plot.
pub fn angular(title: &str, cloud: &Cloud) -> Scene {
    let mut scene = Scene::new(1000.0, 570.0);
    scene.heading((40.0, 34.0), &shortened(title, 920.0, 18.0), 18.0);
    plane(&mut scene, cloud);
    circle(&mut scene, cloud);
    let legend_top = LEFT.1 + HALF + 40.0;
    let caption = "lines: class directions; points in the colour of their class, on the right spread outside of the circle";
    scene.text((500.0, legend_top + 10.0), caption, 13.0, Anchor::Middle, GREY);
    scene
}

/// Dots of many points are small and pale, so that their density shows.
fn dot_style(count: usize) -> (f32, f32) {
    if count > 2000 { (1.4, 0.35) } else { (2.6, 0.7) }
}

fn class_colour(c: usize) -> Colour {
    // The paper's toy sets have up to ten classes: two more than the series' colours.
    const MORE: [Colour; 2] = [Colour(0x8e, 0x1c, 0x1c), Colour(0x1a, 0x1a, 0x6e)];
    match c % 10 {
        8 => MORE[0],
        9 => MORE[1],
        c => series_colour(c),
    }
}

fn plane(scene: &mut Scene, cloud: &Cloud) {
    // One unit for both axes, so that angles on the paper are the angles of the space.
    let reach = cloud.points.iter().flatten().fold(0.0f64, |m, v| m.max(v.abs()));
    let reach = if reach > 0.0 { reach * 1.06 } else { 1.0 };
    let at = |p: [f64; 2]| (LEFT.0 + (p[0] / reach) as f32 * HALF, LEFT.1 - (p[1] / reach) as f32 * HALF);
    let (x0, x1, y0, y1) = (LEFT.0 - HALF, LEFT.0 + HALF, LEFT.1 - HALF, LEFT.1 + HALF);
    scene.line(vec![(x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)], GREY, 1.0);
    scene.line(vec![(x0, LEFT.1), (x1, LEFT.1)], GRID, 1.2);
    scene.line(vec![(LEFT.0, y0), (LEFT.0, y1)], GRID, 1.2);
    scene.text((LEFT.0, y0 - 14.0), "features on the plane", 14.0, Anchor::Middle, INK);
    scene.text((LEFT.0, y1 + 20.0), "first feature", 13.0, Anchor::Middle, INK);
    // Three digits that count.
    let decimals = (2.0 - reach.log10().floor()).clamp(0.0, 9.0) as usize;
    let end = format!("{reach:.decimals$}");
    scene.text((x1, y1 + 20.0), &end, 12.0, Anchor::End, GREY);
    scene.text((x0, y1 + 20.0), &format!("-{end}"), 12.0, Anchor::Start, GREY);
    scene.shapes.push(Shape::Text(super::Text {
        at: (x0 - 12.0, LEFT.1),
        text: "second feature".into(),
        size: 13.0,
        anchor: Anchor::Middle,
        weight: font::Weight::Regular,
        colour: INK,
        direction: super::Direction::Up,
    }));
    let (radius, opacity) = dot_style(cloud.points.len());
    for (p, c) in cloud.points.iter().zip(&cloud.classes) {
        scene.shapes.push(Shape::Dot { at: at(*p), radius, colour: class_colour(*c), opacity });
    }
    for (c, d) in cloud.directions.iter().enumerate() {
        // To the edge of the square.
        let far = d[0].abs().max(d[1].abs());
        if far > 0.0 {
            let end = at([d[0] / far * reach, d[1] / far * reach]);
            ray(scene, LEFT, end, c);
        }
    }
}

fn ray(scene: &mut Scene, from: Place, to: Place, class: usize) {
    // White below, so that the line is seen on its own points.
    scene.line(vec![from, to], super::PAPER, 3.4);
    let colour = class_colour(class);
    scene.shapes.push(Shape::Line {
        points: vec![from, to],
        colour,
        width: 1.6,
        opacity: 1.0,
        dash: Dash::Solid,
    });
}

fn circle(scene: &mut Scene, cloud: &Cloud) {
    let at = |angle: f64, radius: f32| {
        (RIGHT.0 + radius * angle.cos() as f32, RIGHT.1 - radius * angle.sin() as f32)
    };
    scene.text((RIGHT.0, RIGHT.1 - HALF - 14.0), "angles on the unit circle", 14.0, Anchor::Middle, INK);
    for (c, d) in cloud.directions.iter().enumerate().filter(|(_, d)| d[0] != 0.0 || d[1] != 0.0) {
        ray(scene, RIGHT, at(d[1].atan2(d[0]), CIRCLE), c);
    }
    scene.shapes.push(Shape::Circle { at: RIGHT, radius: CIRCLE, colour: GREY, width: 1.0 });
    let (radius, opacity) = dot_style(cloud.points.len());
    for (i, (p, c)) in
        cloud.points.iter().zip(&cloud.classes).enumerate().filter(|(_, (p, _))| p[0] != 0.0 || p[1] != 0.0)
    {
        // Spread over a band outside of the circle by the golden ratio, so that equal angles do not hide each other.
        let spread = (i as f32 * 0.618_034).fract();
        let place = at(p[1].atan2(p[0]), CIRCLE + 4.0 + 22.0 * spread);
        scene.shapes.push(Shape::Dot { at: place, radius, colour: class_colour(*c), opacity });
    }
    // Names in the order of their angles, each moved on where it would lie on the one before.
    let size = 12.0;
    let mut taken: Vec<[f32; 4]> = Vec::new();
    let common = common_start(&cloud.names);
    for (c, d) in cloud.directions.iter().enumerate() {
        let name = shortened(&cloud.names[c][common..], 44.0, size);
        let width = font::width(&name, size, font::Weight::Regular);
        let middle = at(d[1].atan2(d[0]), CIRCLE + 44.0);
        let boxed =
            [middle.0 - width / 2.0, middle.1 - size / 2.0, middle.0 + width / 2.0, middle.1 + size / 2.0];
        let free = taken
            .iter()
            .all(|t| boxed[2] + 3.0 < t[0] || t[2] + 3.0 < boxed[0] || boxed[3] < t[1] || t[3] < boxed[1]);
        if free {
            scene.text((middle.0, middle.1 + size * 0.36), &name, size, Anchor::Middle, class_colour(c));
            taken.push(boxed);
        }
    }
}

/// Bytes that all names begin with, up to the last `-`, `_` or `/` among them: the name of a collection, which tells
/// nobody apart.
fn common_start(names: &[String]) -> usize {
    let Some((first, others)) = names.split_first().filter(|(_, others)| !others.is_empty()) else {
        return 0;
    };
    let ends = first.char_indices().filter(|(_, c)| ['-', '_', '/'].contains(c)).map(|(at, _)| at + 1);
    let shared = |end: &usize| others.iter().all(|name| name.starts_with(&first[..*end]));
    ends.take_while(shared).last().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::tests::assert_legible;

    #[test]
    fn names_lose_what_they_share() {
        let start = |names: &[&str]| common_start(&labels(names));
        assert_eq!(start(&["set-a-Ann", "set-a-Bob"]), 6);
        assert_eq!(start(&["set-Ann", "set-Anton"]), 4, "not in the midst of a word");
        assert_eq!(start(&["é-1", "é-2"]), 3, "bytes");
        assert_eq!(start(&["1", "10"]), 0);
        assert_eq!(start(&["a-1", "b-1"]), 0);
        assert_eq!(start(&["a-1"]), 0, "one alone keeps its name");
        assert_eq!(start(&[]), 0);
    }

    fn labels(names: &[&str]) -> Vec<String> {
        names.iter().map(|&n| n.to_owned()).collect()
    }

    #[test]
    fn a_direction_without_weights_is_that_of_the_mean() {
        let points = vec![[1.0, 0.0], [3.0, 2.0], [0.0, -5.0]];
        let c = Cloud::new(points, &labels(&["10", "10", "9"]), None).unwrap();
        assert_eq!(c.names, ["9", "10"], "numbers by value");
        assert_eq!(c.classes, [1, 1, 0]);
        assert_eq!(c.directions, [[0.0, -5.0], [4.0, 2.0]]);
    }

    #[test]
    fn extracted_features_need_no_labels() {
        use crate::evaluate::extract::{Feature, Outcome};
        use crate::evaluate::store::header;
        use limen_models::manifest::Mirror;
        let store = |length: usize| {
            let face = |x: f32| Outcome::Found {
                feature: Feature { plain: vec![x; length], mirrored: vec![-x; length] },
                face: None,
            };
            let pictures = ["a", "b", "b"].map(|name| (format!("{name}/1.jpg").into(), name.to_owned()));
            let outcomes = vec![face(1.0), Outcome::Failed("no face".into()), face(3.0)];
            Store::new(header("toy".into(), Mirror::Sum, length, ".".into()), pictures.into(), outcomes)
                .unwrap()
        };
        let cloud = of_store(&store(2), None).unwrap();
        assert_eq!((cloud.points, cloud.names), (vec![[1.0; 2], [3.0; 2]], labels(&["a", "b"])));
        let error = of_store(&store(3), None).unwrap_err().to_string();
        assert!(error.contains("3 numbers a face, 2 are needed"), "{error}");
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        assert!(Cloud::new(vec![], &[], None).is_err());
        assert!(Cloud::new(vec![[0.0, 1.0]], &labels(&["a", "b"]), None).is_err());
        assert!(Cloud::new(vec![[f64::NAN, 1.0]], &labels(&["a"]), None).is_err());
        assert!(Cloud::new(vec![[1.0, 1.0]], &labels(&["a"]), Some(vec![])).is_err());
    }

    #[test]
    fn the_plane_keeps_angles_and_the_picture_is_legible() {
        let points: Vec<[f64; 2]> = (0..200)
            .map(|i| {
                let a = f64::from(i) * 0.0314;
                [9.0 * a.cos(), 9.0 * a.sin()]
            })
            .collect();
        let names: Vec<String> = (0..200).map(|i| (i / 20).to_string()).collect();
        let scene = angular("toy", &Cloud::new(points, &names, None).unwrap());
        assert_legible(&scene);
        let dots: Vec<Place> = scene
            .shapes
            .iter()
            .filter_map(|s| if let Shape::Dot { at, .. } = s { Some(*at) } else { None })
            .collect();
        // All at one distance from the middle of the left panel.
        let far = |p: &Place| (p.0 - LEFT.0).hypot(p.1 - LEFT.1);
        assert!(dots[..200].iter().all(|p| (far(p) - far(&dots[0])).abs() < 0.1));
        assert_eq!(dots.len(), 400);
    }

    #[test]
    fn classes_that_point_the_same_way_leave_one_name() {
        let points = vec![[1.0, 0.0], [2.0, 0.0], [0.0, 0.0]];
        assert_legible(&angular(
            "toy",
            &Cloud::new(points, &labels(&["first", "second", "third"]), None).unwrap(),
        ));
    }
}

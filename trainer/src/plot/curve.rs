//! Curves over a number: loss, learning rate, lambda and validation over steps, rank-1 over distractors.

use super::axes::{Axis, Legend, Panel, Scale, Unit};
use super::{Dash, Scene, Shape, series_colour};

/// How a series is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// A line.
    Line,
    /// A line with a dot at each value, for few values.
    Marked,
    /// Pale values with a bold running mean over this many of them, for noisy ones.
    Smoothed(usize),
}

/// One named curve.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// For the legend.
    pub name: String,
    /// By rising first number. A value that is not finite breaks the line.
    pub points: Vec<(f64, f64)>,
    /// Drawing.
    pub style: Style,
}

/// Name, spread and writing of an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measure<'a> {
    /// What is measured, with its unit.
    pub label: &'a str,
    /// Spread.
    pub scale: Scale,
    /// Writing.
    pub unit: Unit,
}

/// Points drawn of one series: more than there are pixels in a row tell nothing.
const MOST_POINTS: usize = 1500;

/// The plot; `None` where no series has a value that can stand on the axes. One series alone gets no legend: the title
/// and the axis name it.
pub fn curve(title: &str, x: Measure<'_>, y: Measure<'_>, series: &[Series]) -> Option<Scene> {
    let values = || series.iter().flat_map(|s| &s.points).filter(|(a, b)| a.is_finite() && b.is_finite());
    let horizontal = Axis::around(x.label, x.scale, x.unit, values().map(|p| p.0))?;
    let vertical = Axis::around(y.label, y.scale, y.unit, values().map(|p| p.1))?;
    let mut scene = Scene::new(900.0, 540.0);
    let legend: Vec<Legend> = if series.len() > 1 {
        let named = series.iter().enumerate();
        named
            .map(|(i, s)| Legend { name: s.name.clone(), colour: series_colour(i), dash: Dash::Solid })
            .collect()
    } else {
        vec![]
    };
    let panel = Panel::draw(&mut scene, title, &legend, horizontal, vertical);
    for (i, s) in series.iter().enumerate() {
        let colour = series_colour(i);
        let points = thinned(&s.points);
        let (bold, pale) = match s.style {
            Style::Smoothed(window) => (thinned(&running_mean(&s.points, window)), Some(points)),
            Style::Line | Style::Marked => (points, None),
        };
        for (points, width, opacity) in pale.iter().map(|p| (p, 1.2, 0.3)).chain([(&bold, 2.4, 1.0)]) {
            for part in points.split(|p| !p.0.is_finite() || !p.1.is_finite()).filter(|p| !p.is_empty()) {
                let line = part.iter().map(|p| panel.at(p.0, p.1)).collect();
                scene.shapes.push(Shape::Line { points: line, colour, width, opacity, dash: Dash::Solid });
            }
        }
        if s.style == Style::Marked || bold.len() == 1 {
            for p in bold.iter().filter(|p| p.0.is_finite() && p.1.is_finite()) {
                scene.shapes.push(Shape::Dot { at: panel.at(p.0, p.1), radius: 4.0, colour, opacity: 1.0 });
            }
        }
    }
    Some(scene)
}

/// Every k-th point and the last, so that about [`MOST_POINTS`] are left.
fn thinned(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let every = points.len().div_ceil(MOST_POINTS).max(1);
    let last = points.last().filter(|_| !points.len().saturating_sub(1).is_multiple_of(every));
    points.iter().step_by(every).chain(last).copied().collect()
}

/// At each point the mean of the last `window` finite values up to it; a value that is not finite stays one.
pub fn running_mean(points: &[(f64, f64)], window: usize) -> Vec<(f64, f64)> {
    let mut recent = std::collections::VecDeque::new();
    points
        .iter()
        .map(|&(x, y)| {
            if !y.is_finite() {
                return (x, y);
            }
            recent.push_back(y);
            if recent.len() > window.max(1) {
                recent.pop_front();
            }
            (x, recent.iter().sum::<f64>() / recent.len() as f64)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::tests::assert_legible;

    const STEP: Measure<'_> = Measure { label: "step", scale: Scale::Linear, unit: Unit::Plain };
    const LOSS: Measure<'_> = Measure { label: "loss", scale: Scale::Linear, unit: Unit::Plain };

    fn lines(scene: &Scene) -> Vec<&Vec<(f32, f32)>> {
        let coloured = |s: &&Shape| matches!(s, Shape::Line { colour, .. } if *colour == series_colour(0));
        scene
            .shapes
            .iter()
            .filter(coloured)
            .filter_map(|s| if let Shape::Line { points, .. } = s { Some(points) } else { None })
            .collect()
    }

    #[test]
    fn the_line_goes_through_its_points_and_breaks_at_nan() {
        let points = vec![(0.0, 10.0), (10.0, 0.0), (20.0, f64::NAN), (30.0, 5.0), (40.0, 5.0)];
        let s = Series { name: "a".into(), points, style: Style::Line };
        let scene = curve("loss", STEP, LOSS, &[s]).unwrap();
        let lines = lines(&scene);
        assert_eq!(lines.iter().map(|l| l.len()).collect::<Vec<_>>(), [2, 2]);
        // The axes end at 0 and 40, 0 and 10: the first point is the upper left corner, 5 lies half way up.
        let (first, second, third) = (lines[0][0], lines[0][1], lines[1][0]);
        assert!(first.0 < second.0 && first.1 < second.1);
        assert!(((first.1 + second.1) / 2.0 - third.1).abs() < 1e-3);
        assert_legible(&scene);
    }

    #[test]
    fn the_running_mean_is_of_the_last_values() {
        let p = [(0.0, 1.0), (1.0, 3.0), (2.0, f64::NAN), (3.0, 5.0), (4.0, 1.0)];
        let m = running_mean(&p, 2);
        assert_eq!((m[0].1, m[1].1, m[3].1, m[4].1), (1.0, 2.0, 4.0, 3.0));
        assert!(m[2].1.is_nan());
    }

    #[test]
    fn long_runs_are_thinned_and_keep_their_ends() {
        let points: Vec<_> = (0..100_000).map(|i| (f64::from(i), 1.0)).collect();
        let t = thinned(&points);
        assert!(t.len() <= MOST_POINTS + 1 && t[0].0 == 0.0 && t[t.len() - 1].0 == 99_999.0, "{}", t.len());
        assert_eq!(thinned(&points[..3]), points[..3]);
    }

    #[test]
    fn many_names_stay_legible_and_nothing_is_no_plot() {
        let all: Vec<Series> = (0..12)
            .map(|i| Series {
                name: format!("run number {i} with a name"),
                points: vec![(1.0, 1e-4), (28_000.0, f64::from(i) + 0.5)],
                style: Style::Smoothed(10),
            })
            .collect();
        let log = Measure {
            label: "a rather long name of a measure, per second",
            scale: Scale::Log,
            unit: Unit::Plain,
        };
        assert_legible(&curve("a title that is far too long for the width of the plot, and goes on and on and on, without end", STEP, log, &all).unwrap());
        let none = Series { name: "x".into(), points: vec![(1.0, f64::NAN)], style: Style::Marked };
        assert!(curve("x", STEP, LOSS, &[none]).is_none());
    }
}

//! The two pictures of a verification figure: DET (misses over false matches, both logarithmic) and ROC.

use super::axes::{Axis, Legend, Panel, Scale, Unit};
use super::{Colour, Dash, GREY, Scene, Shape, series_colour};
use crate::evaluate::rates::DetPoint;

/// One system's trade-off.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    /// For the legend.
    pub name: String,
    /// By rising threshold.
    pub points: Vec<DetPoint>,
}

/// Which axes the trade-off is drawn on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// False non-match rate over false match rate, both logarithmic: low rates can be read off.
    Det,
    /// True accept rate over false match rate.
    Roc,
}

/// The plot; `None` where no curve has both rates above zero.
pub fn trade_off(kind: Kind, title: &str, curves: &[Curve]) -> Option<Scene> {
    // Where a rate is zero nothing was observed; a logarithm cannot show it, and a ROC ends there.
    let seen = |p: &&DetPoint| p.fmr > 0.0 && (kind == Kind::Roc || p.fnmr > 0.0);
    let points = || curves.iter().flat_map(|c| &c.points).filter(seen);
    let x = Axis::around("false match rate (FMR)", Scale::Log, Unit::Plain, points().map(|p| p.fmr))?;
    let height = |p: &DetPoint| if kind == Kind::Det { p.fnmr } else { 1.0 - p.fnmr };
    let y = match kind {
        Kind::Det => {
            Axis::around("false non-match rate (FNMR)", Scale::Log, Unit::Percent, points().map(height))?
        }
        Kind::Roc => {
            let ends = points().map(height).chain([1.0]);
            Axis::around("true accept rate (1 - FNMR)", Scale::Linear, Unit::Percent, ends)?
        }
    };
    let mut scene = Scene::new(760.0, 600.0);
    let mut legend: Vec<Legend> = curves
        .iter()
        .enumerate()
        .map(|(i, c)| Legend { name: c.name.clone(), colour: series_colour(i), dash: Dash::Solid })
        .collect();
    if kind == Kind::Det {
        legend.push(Legend { name: "equal error rates".into(), colour: GREY, dash: Dash::Dashed });
    }
    let (low, high) = (x.low.max(y.low), x.high.min(y.high));
    let panel = Panel::draw(&mut scene, title, &legend, x, y);
    if kind == Kind::Det && low < high {
        line(&mut scene, vec![panel.at(low, low), panel.at(high, high)], GREY, 1.2, Dash::Dashed);
    }
    for (i, c) in curves.iter().enumerate() {
        let points = c.points.iter().filter(seen).map(|p| panel.at(p.fmr, height(p))).collect();
        line(&mut scene, points, series_colour(i), 2.4, Dash::Solid);
    }
    Some(scene)
}

fn line(scene: &mut Scene, points: Vec<(f32, f32)>, colour: Colour, width: f32, dash: Dash) {
    scene.shapes.push(Shape::Line { points, colour, width, opacity: 1.0, dash });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::tests::assert_legible;

    fn curve() -> Curve {
        let points = [(1.0, 0.0), (0.1, 0.01), (0.001, 0.1), (0.0, 1.0)];
        let point = |(fmr, fnmr)| DetPoint { threshold: 0.0, fmr, fnmr };
        Curve { name: "toy".into(), points: points.map(point).to_vec() }
    }

    fn data(scene: &Scene) -> Vec<(f32, f32)> {
        let found = scene.shapes.iter().find_map(|s| match s {
            Shape::Line { points, colour, width, .. } if *colour == series_colour(0) && *width < 3.0 => {
                Some(points.clone())
            }
            _ => None,
        });
        found.unwrap()
    }

    #[test]
    fn zero_rates_are_left_out_of_logarithms() {
        let scene = trade_off(Kind::Det, "toy", &[curve()]).unwrap();
        let d = data(&scene);
        assert_eq!(d.len(), 2, "of four points two have both rates above zero");
        assert!(d[0].0 > d[1].0 && d[0].1 > d[1].1, "fewer false matches, more misses: {d:?}");
        assert_legible(&scene);
        let scene = trade_off(Kind::Roc, "toy", &[curve()]).unwrap();
        assert_eq!(data(&scene).len(), 3);
        assert_legible(&scene);
    }

    #[test]
    fn a_perfect_system_has_no_det_plot() {
        let mut c = curve();
        c.points.iter_mut().for_each(|p| p.fnmr = 0.0);
        assert!(trade_off(Kind::Det, "perfect", &[c.clone()]).is_none());
        assert!(trade_off(Kind::Roc, "perfect", &[c]).is_some());
    }
}

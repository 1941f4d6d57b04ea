//! Genuine and impostor scores as two histograms, with the thresholds that part them.

use super::axes::{Axis, Legend, Panel, Scale, Unit, shortened};
use super::{Anchor, Dash, GREY, INK, Scene, Shape, series_colour};
use crate::evaluate::rates::Histogram;

/// The plot: each kind as shares of its own comparisons, so that few genuine ones can be seen beside many impostors.
/// Thresholds come with a short name, as `FMR 1e-3`. `None` where there is no score.
pub fn histogram(title: &str, h: &Histogram, thresholds: &[(String, f64)]) -> Option<Scene> {
    let share = |counts: &[u64]| {
        let all: u64 = counts.iter().sum();
        counts.iter().map(|c| *c as f64 / all.max(1) as f64).collect::<Vec<f64>>()
    };
    let kinds = [
        ("impostors", share(&h.impostor), series_colour(1)),
        ("genuine", share(&h.genuine), series_colour(0)),
    ];
    let edges = |i: usize| h.low + (h.high - h.low) * i as f64 / h.genuine.len().max(1) as f64;
    // From the first bin with a score to the last.
    let used = |i: &usize| kinds.iter().any(|(_, s, _)| s.get(*i).is_some_and(|v| *v > 0.0));
    let bins = h.genuine.len().max(h.impostor.len());
    let (first, last) = ((0..bins).find(used)?, (0..bins).rfind(used)?);
    let x = Axis::around("score (cosine)", Scale::Linear, Unit::Plain, [edges(first), edges(last + 1)])?;
    let highest = kinds.iter().flat_map(|(_, s, _)| s).copied().fold(0.0, f64::max);
    // A sixth of room above, for the thresholds' names.
    let y = Axis::around("share of comparisons", Scale::Linear, Unit::Percent, [0.0, highest * 1.17])?;
    let mut scene = Scene::new(900.0, 540.0);
    let legend: Vec<Legend> = kinds
        .iter()
        .zip([&h.impostor, &h.genuine])
        .map(|((name, _, colour), counts)| {
            let count = super::axes::grouped(&counts.iter().sum::<u64>().to_string());
            Legend { name: format!("{name} ({count})"), colour: *colour, dash: Dash::Solid }
        })
        .collect();
    let panel = Panel::draw(&mut scene, title, &legend, x, y);
    for (_, shares, colour) in &kinds {
        let mut top = vec![];
        for (i, s) in shares.iter().enumerate().take(last + 1).skip(first) {
            top.extend([panel.at(edges(i), *s), panel.at(edges(i + 1), *s)]);
        }
        let ground = [panel.at(edges(last + 1), 0.0), panel.at(edges(first), 0.0)];
        let points = top.iter().copied().chain(ground).collect();
        scene.shapes.push(Shape::Area { points, colour: *colour, opacity: 0.25 });
        scene.line(top, *colour, 1.6);
    }
    mark(&mut scene, &panel, thresholds);
    Some(scene)
}

/// Em of the thresholds' names, px.
const NAME: f32 = 12.0;

/// A dashed line for each threshold, its name beside it; names go down a line where they would meet another.
fn mark(scene: &mut Scene, panel: &Panel, thresholds: &[(String, f64)]) {
    let (top, right) = (panel.origin.1, panel.origin.0 + panel.size.0);
    let mut sorted: Vec<_> = thresholds.iter().collect();
    sorted.sort_by(|a, b| a.1.total_cmp(&b.1));
    for (row, (name, value)) in sorted.into_iter().enumerate() {
        let x = panel.at(*value, 0.0).0;
        let y = top + 14.0 + row as f32 * 16.0;
        let points = vec![(x, y - 12.0), (x, top + panel.size.1)];
        scene.shapes.push(Shape::Line { points, colour: GREY, width: 1.4, opacity: 1.0, dash: Dash::Dashed });
        let name = shortened(name, panel.size.0 / 2.0, NAME);
        let width = super::font::width(&name, NAME, super::font::Weight::Regular);
        let (at, anchor) =
            if x + 6.0 + width < right { (x + 6.0, Anchor::Start) } else { (x - 6.0, Anchor::End) };
        scene.text((at, y), &name, NAME, anchor, INK);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::tests::assert_legible;

    #[test]
    fn shares_and_thresholds_are_drawn_where_they_are() {
        let h = Histogram { low: -1.0, high: 1.0, genuine: vec![0, 0, 1, 3], impostor: vec![0, 9, 1, 0] };
        let marks =
            [("FMR 1e-2".to_owned(), 0.3), ("FMR 1e-3".to_owned(), 0.31), ("FMR 1e-4".to_owned(), 0.99)];
        let scene = histogram("scores", &h, &marks).unwrap();
        assert_legible(&scene);
        let tops: Vec<f32> = scene
            .shapes
            .iter()
            .filter_map(|s| if let Shape::Area { points, .. } = s { Some(points) } else { None })
            .map(|p| p.iter().map(|q| q.1).fold(f32::INFINITY, f32::min))
            .collect();
        // Impostors reach 90 %, genuine 75 %: the highest point of the first lies above that of the second.
        assert_eq!(tops.len(), 2);
        assert!(tops[0] < tops[1]);
        let empty = Histogram { low: -1.0, high: 1.0, genuine: vec![0; 4], impostor: vec![0; 4] };
        assert!(histogram("none", &empty, &[]).is_none());
    }
}

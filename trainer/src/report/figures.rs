//! The plots of a run, each written as SVG and PNG.

use std::path::Path;

use anyhow::{Context, Result};

use super::Run;
use crate::evaluate::result::Evaluation;
use crate::metrics::{Metrics, Step};
use crate::plot::Scene;
use crate::plot::angular::angular;
use crate::plot::axes::{Scale, Unit};
use crate::plot::curve::{Measure, Series, Style, curve};
use crate::plot::det::{Curve, Kind, trade_off};
use crate::plot::histogram::histogram;

/// A plot that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plot {
    /// What it shows.
    pub title: String,
    /// File name without the ending.
    pub stem: String,
}

/// The axis of training steps.
pub(super) const STEP: Measure<'static> = Measure { label: "step", scale: Scale::Linear, unit: Unit::Plain };

/// Draws all there is to draw of `run` into `folder`, which is made.
///
/// # Errors
/// When a file cannot be written.
pub fn draw(run: &Run, folder: &Path) -> Result<Vec<Plot>> {
    std::fs::create_dir_all(folder).with_context(|| format!("{}: cannot be made", folder.display()))?;
    let mut plots = Vec::new();
    let mut keep = |stem: String, title: String, scene: Option<Scene>| -> Result<()> {
        if let Some(scene) = scene {
            scene.save(&folder.join(&stem))?;
            plots.push(Plot { title, stem });
        }
        Ok(())
    };
    if let Some(metrics) = &run.metrics {
        for (stem, title, scene) in of_training(metrics, &run.name) {
            keep(stem.to_owned(), title.to_owned(), scene)?;
        }
    }
    for (file, result) in &run.results {
        let system = [Curve { name: result.model.clone(), points: result.det.clone() }];
        let of = format!("{} on {}", result.model, short(&result.data));
        keep(
            format!("det-{file}"),
            format!("{file}: DET"),
            trade_off(Kind::Det, &format!("DET, {of}"), &system),
        )?;
        keep(
            format!("roc-{file}"),
            format!("{file}: ROC"),
            trade_off(Kind::Roc, &format!("ROC, {of}"), &system),
        )?;
        if let Some(h) = &result.histogram {
            let mut marks: Vec<(String, f64)> =
                result.thresholds.iter().map(|(n, t)| (n.clone(), *t)).collect();
            marks.truncate(6);
            let title = format!("{file}: scores");
            keep(format!("histogram-{file}"), title, histogram(&format!("Scores, {of}"), h, &marks))?;
        }
        let title = format!("{file}: identification");
        keep(
            format!("identification-{file}"),
            title,
            identification(result, &format!("Closed-set identification, {of}")),
        )?;
    }
    if let Some(cloud) = &run.angular {
        let scene = angular(&format!("Angular picture, {}", run.name), cloud);
        keep("angular".into(), "angular picture".into(), Some(scene))?;
    }
    Ok(plots)
}

/// The last two parts of a path are enough to know a set by; of several sets, those of each.
fn short(data: &str) -> String {
    let ends = data.split(" + ").map(|path| {
        let parts: Vec<&str> = path.split('/').collect();
        parts[parts.len().saturating_sub(2)..].join("/")
    });
    ends.collect::<Vec<_>>().join(" + ")
}

type Drawn = (&'static str, &'static str, Option<Scene>);

/// Loss, learning rate, lambda, speed, gradient norm and validation over steps.
fn of_training(metrics: &Metrics, run: &str) -> Vec<Drawn> {
    // A fiftieth of the run smooths noise and keeps the shape.
    let smooth = Style::Smoothed((metrics.steps.len() / 50).max(1));
    let series = |name: &str, style: Style, value: &dyn Fn(&Step) -> Option<f64>| Series {
        name: name.to_owned(),
        points: metrics.steps.iter().filter_map(|s| Some((s.step as f64, value(s)?))).collect(),
        style,
    };
    let y = |label, scale| Measure { label, scale, unit: Unit::Plain };
    let one = |title: &str, measure, s: Series| curve(&format!("{title}, {run}"), STEP, measure, &[s]);
    let mut losses = vec![series("loss", smooth, &|s| Some(s.loss))];
    let teacher = series("teacher's loss", smooth, &|s| s.teacher_loss);
    if !teacher.points.is_empty() {
        losses.push(teacher);
    }
    vec![
        ("loss", "loss", curve(&format!("Loss, {run}"), STEP, y("loss, nats", Scale::Linear), &losses)),
        (
            "lr",
            "learning rate",
            one("Learning rate", y("learning rate", Scale::Log), series("lr", Style::Line, &|s| Some(s.lr))),
        ),
        (
            "lambda",
            "lambda",
            one("Lambda", y("lambda", Scale::Log), series("lambda", Style::Line, &|s| s.lambda)),
        ),
        (
            "speed",
            "speed",
            one(
                "Speed",
                y("images per second", Scale::Linear),
                series("images/s", smooth, &|s| s.images_per_s),
            ),
        ),
        (
            "gradient-norm",
            "gradient norm",
            one(
                "Gradient norm",
                y("norm of all gradients", Scale::Log),
                series("norm", smooth, &|s| s.gradient_norm),
            ),
        ),
        ("validation", "validation", validation(&format!("Validation, {run}"), &[("", metrics)])),
    ]
}

/// All validation figures of one or more runs over steps; rates as percent.
pub(super) fn validation(title: &str, runs: &[(&str, &Metrics)]) -> Option<Scene> {
    let mut series: Vec<Series> = Vec::new();
    for (run, metrics) in runs {
        for figure in metrics.last_validations().keys() {
            let of_figure = metrics.validations.iter().filter(|v| v.figure == *figure);
            series.push(Series {
                name: if run.is_empty() { (*figure).to_owned() } else { format!("{run}: {figure}") },
                points: of_figure.map(|v| (v.step as f64, v.value)).collect(),
                style: Style::Marked,
            });
        }
    }
    let rates = series.iter().flat_map(|s| &s.points).all(|p| !(p.1 < 0.0 || p.1 > 1.0));
    let (unit, several) = (if rates { Unit::Percent } else { Unit::Plain }, series.len() != 1);
    let label = if several { "validation".to_owned() } else { series[0].name.clone() };
    curve(title, STEP, Measure { label: &label, scale: Scale::Linear, unit }, &series)
}

/// Rates over numbers of distractors, from the figures named `rankK@n=N`.
fn identification(result: &Evaluation, title: &str) -> Option<Scene> {
    let mut ranks = std::collections::BTreeMap::<u32, Vec<(f64, f64)>>::new();
    for (name, value) in &result.figures {
        let parsed = name.strip_prefix("rank").and_then(|r| r.split_once("@n="));
        if let Some((Ok(rank), Ok(n))) = parsed.map(|(k, n)| (k.parse(), n.parse::<f64>())) {
            ranks.entry(rank).or_default().push((n, *value));
        }
    }
    let series: Vec<Series> = ranks
        .into_iter()
        .map(|(rank, mut points)| {
            points.sort_by(|a, b| a.0.total_cmp(&b.0));
            Series { name: format!("rank {rank}"), points, style: Style::Marked }
        })
        .collect();
    let x = Measure { label: "distractors", scale: Scale::Log, unit: Unit::Plain };
    let y = Measure { label: "mates found", scale: Scale::Linear, unit: Unit::Percent };
    curve(title, x, y, &series)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_named_by_the_end_of_their_paths() {
        assert_eq!(short("/work/data/lfw + /home/me/crops"), "data/lfw + me/crops");
        assert_eq!(short("lfw"), "lfw");
    }
}

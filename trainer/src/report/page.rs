//! `report.md`: a run's configuration, figures and plots on one page.

use std::fmt::Write;

use super::Run;
use super::figures::Plot;
use crate::evaluate::bootstrap::Interval;
use crate::plot::axes::grouped;

/// The page; plots lie in the folder `plots` beside it.
pub fn page(run: &Run, plots: &[Plot]) -> String {
    let mut out = format!("# {}\n\n", escaped(&run.name));
    training(run, &mut out);
    results(run, &mut out);
    if !plots.is_empty() {
        out.push_str("## Plots\n\n");
        for Plot { title, stem } in plots {
            let (title, stem) = (escaped(title), stem.replace(' ', "%20"));
            line(
                &mut out,
                format_args!("### {title}\n\n![{title}](plots/{stem}.png)\n\n[SVG](plots/{stem}.svg)\n"),
            );
        }
    }
    if let Some(config) = &run.config {
        line(&mut out, format_args!("## Configuration\n\n```toml\n{}\n```", config.trim_end()));
    }
    out
}

fn training(run: &Run, out: &mut String) {
    let Some((metrics, last)) = run.metrics.as_ref().and_then(|m| Some((m, m.steps.last()?))) else { return };
    out.push_str("## Training\n\n| | |\n|---|---|\n");
    line(out, format_args!("| steps | {} |", grouped(&last.step.to_string())));
    line(out, format_args!("| pictures | {} |", grouped(&last.samples.to_string())));
    let loss = if last.loss.is_finite() {
        format!("{:.4}", last.loss)
    } else {
        "not a number: training diverged".into()
    };
    line(out, format_args!("| last loss | {loss} |"));
    let mut speeds: Vec<f64> =
        metrics.steps.iter().filter_map(|s| s.images_per_s).filter(|v| v.is_finite()).collect();
    speeds.sort_by(f64::total_cmp);
    if let Some(median) = speeds.get(speeds.len() / 2) {
        line(out, format_args!("| images/s (median) | {median:.1} |"));
    }
    for (figure, value) in metrics.last_validations() {
        let best = metrics.validations.iter().filter(|v| v.figure == figure && v.value.is_finite());
        let best = best.max_by(|a, b| a.value.total_cmp(&b.value));
        let best =
            best.map(|b| format!(" (highest {} at step {})", number(b.value), grouped(&b.step.to_string())));
        line(
            out,
            format_args!(
                "| validation {} | {}{} |",
                escaped(figure),
                number(value),
                best.unwrap_or_default()
            ),
        );
    }
    out.push('\n');
}

fn results(run: &Run, out: &mut String) {
    for (file, r) in &run.results {
        line(
            out,
            format_args!(
                "## {}: {}\n\nModel {}, on {}: {} pictures, {} without a usable face.\n\n| figure | value | 95 % interval |\n|---|---|---|",
                escaped(file),
                escaped(&r.evaluation),
                escaped(&r.model),
                escaped(&r.data),
                grouped(&r.pictures.to_string()),
                r.failed_to_acquire
            ),
        );
        for (name, value) in &r.figures {
            let interval = r.intervals.get(name).map_or(String::new(), |i| self::interval(*i));
            line(out, format_args!("| {} | {} | {interval} |", escaped(name), number(*value)));
        }
        if !r.thresholds.is_empty() {
            out.push_str("\n| threshold | score |\n|---|---|\n");
            for (name, value) in &r.thresholds {
                line(out, format_args!("| {} | {value:.4} |", escaped(name)));
            }
        }
        out.push('\n');
    }
}

/// A figure as it stands in tables: four digits of a rate, five of anything else.
pub(super) fn number(value: f64) -> String {
    if value != 0.0 && value.abs() < 1e-3 { format!("{value:.2e}") } else { format!("{value:.4}") }
}

fn interval(i: Interval) -> String {
    format!("{} to {}", number(i.low), number(i.high))
}

/// Text that cannot end a table's cell or begin markup.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '|' | '*' | '_' | '`' | '[' | ']' | '<' | '#' | '\\') {
            out.push('\\');
        }
        out.push(if c.is_control() { ' ' } else { c });
    }
    out
}

pub(super) fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a String does not fail.
    let _ = writeln!(out, "{text}");
}

//! Several runs side by side: runs of one recipe that differ in the seed alone become mean and spread.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result};

use super::Run;
use super::figures::{Plot, STEP, validation};
use super::page::{escaped, line, number};
use crate::evaluate::seeds::{Spread, spread};
use crate::metrics::Metrics;
use crate::plot::axes::{Scale, Unit};
use crate::plot::curve::{Measure, Series, Style, curve};

/// Runs of one recipe.
#[derive(Debug, Clone, PartialEq)]
pub struct Recipe<'a> {
    /// The names of its runs.
    pub name: String,
    /// Its runs.
    pub runs: Vec<&'a Run>,
}

/// Puts runs with the same configuration but for `seed` together, in the order of their first. A run without a
/// configuration stands alone: nothing says what it shares.
pub fn recipes(runs: &[Run]) -> Vec<Recipe<'_>> {
    let mut found: Vec<(Option<toml::Table>, Vec<&Run>)> = Vec::new();
    for run in runs {
        let config = run.config.as_deref().and_then(|c| c.parse::<toml::Table>().ok()).map(without_seed);
        match found.iter_mut().find(|(c, _)| c.is_some() && *c == config) {
            Some((_, same)) => same.push(run),
            None => found.push((config, vec![run])),
        }
    }
    let name = |runs: &[&Run]| runs.iter().map(|r| r.name.as_str()).collect::<Vec<_>>().join(", ");
    found.into_iter().map(|(_, runs)| Recipe { name: name(&runs), runs }).collect()
}

/// The configuration without what tells the runs of one recipe apart, at whatever depth.
fn without_seed(mut table: toml::Table) -> toml::Table {
    table.retain(|key, _| key != "seed" && key != "name");
    for (_, value) in &mut table {
        if let toml::Value::Table(inner) = value {
            *inner = without_seed(std::mem::take(inner));
        }
    }
    table
}

/// Draws the runs' losses and validations together into `folder`, which is made.
///
/// # Errors
/// When a file cannot be written.
pub fn draw(runs: &[Run], folder: &Path) -> Result<Vec<Plot>> {
    std::fs::create_dir_all(folder).with_context(|| format!("{}: cannot be made", folder.display()))?;
    let trained: Vec<(&str, &Metrics)> =
        runs.iter().filter_map(|r| Some((r.name.as_str(), r.metrics.as_ref()?))).collect();
    let losses: Vec<Series> = trained
        .iter()
        .map(|(name, m)| Series {
            name: (*name).to_owned(),
            points: m.steps.iter().map(|s| (s.step as f64, s.loss)).collect(),
            style: Style::Smoothed((m.steps.len() / 50).max(1)),
        })
        .collect();
    let loss = Measure { label: "loss, nats", scale: Scale::Linear, unit: Unit::Plain };
    let drawn =
        [("loss", curve("Loss", STEP, loss, &losses)), ("validation", validation("Validation", &trained))];
    let mut plots = Vec::new();
    for (stem, scene) in drawn {
        if let Some(scene) = scene {
            scene.save(&folder.join(stem))?;
            plots.push(Plot { title: stem.into(), stem: stem.into() });
        }
    }
    Ok(plots)
}

/// The comparison's page; plots lie in the folder `plots` beside it.
pub fn page(runs: &[Run], plots: &[Plot]) -> String {
    let mut out = String::from("# Comparison\n\n");
    by_run(runs, &mut out);
    by_recipe(&recipes(runs), &mut out);
    for Plot { title, stem } in plots {
        line(&mut out, format_args!("## {title}\n\n![{title}](plots/{stem}.png)\n"));
    }
    out
}

/// A line a run: the loss, LFW and the angular Fisher score.
fn by_run(runs: &[Run], out: &mut String) {
    let figures: Vec<_> = runs.iter().map(Run::figures).collect();
    let wanted = |n: &&String| n.contains("lfw-") || n.ends_with("afs");
    let columns: BTreeSet<&String> = figures.iter().flat_map(BTreeMap::keys).filter(wanted).collect();
    out.push_str("| run | steps | last loss |");
    columns.iter().for_each(|c| out.push_str(&format!(" {} |", escaped(c))));
    out.push_str("\n|---|---|---|");
    columns.iter().for_each(|_| out.push_str("---|"));
    out.push('\n');
    for (run, figures) in runs.iter().zip(&figures) {
        let last = run.metrics.as_ref().and_then(|m| m.steps.last());
        let (steps, loss) = last.map_or(("-".into(), "-".into()), |s| (s.step.to_string(), number(s.loss)));
        out.push_str(&format!("| {} | {steps} | {loss} |", escaped(&run.name)));
        for c in &columns {
            out.push_str(&format!(" {} |", figures.get(*c).map_or("-".into(), |(v, _)| number(*v))));
        }
        out.push('\n');
    }
    out.push('\n');
}

/// A column a recipe, a line a figure.
fn by_recipe(recipes: &[Recipe<'_>], out: &mut String) {
    let spreads: Vec<BTreeMap<String, Spread>> = recipes.iter().map(spreads).collect();
    let names: BTreeSet<&String> = spreads.iter().flat_map(BTreeMap::keys).collect();
    out.push_str("Mean and standard deviation over the runs of one recipe (the same configuration but for the seed):\n\n| figure |");
    recipes.iter().for_each(|r| out.push_str(&format!(" {} |", escaped(&r.name))));
    out.push_str("\n|---|");
    recipes.iter().for_each(|_| out.push_str("---|"));
    out.push('\n');
    for name in names {
        out.push_str(&format!("| {} |", escaped(name)));
        for s in &spreads {
            let text = s.get(name).map_or("-".into(), |s| {
                let deviation = s.deviation.map_or(String::new(), |d| format!(" +- {}", number(d)));
                format!("{}{deviation} ({})", number(s.mean), s.runs)
            });
            out.push_str(&format!(" {text} |"));
        }
        out.push('\n');
    }
    out.push('\n');
}

/// The spread of each figure over a recipe's runs.
fn spreads(recipe: &Recipe<'_>) -> BTreeMap<String, Spread> {
    let mut values = BTreeMap::<String, Vec<f64>>::new();
    for run in &recipe.runs {
        for (name, (value, _)) in run.figures() {
            values.entry(name).or_default().push(value);
        }
    }
    values.into_iter().filter_map(|(name, v)| Some((name, spread(&v)?))).collect()
}

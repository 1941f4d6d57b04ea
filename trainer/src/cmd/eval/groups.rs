//! `limen-train eval groups`: does one threshold treat all groups of people alike?

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde_json::json;

use super::pairs::rate;
use super::source::{Resampling, Source, Wanted, percent, text};
use crate::evaluate::comparisons::Comparisons;
use crate::evaluate::groups::{Table, figures};
use crate::evaluate::lfw::Fusion;
use crate::evaluate::rates;
use crate::evaluate::result::{Evaluation, rate_name};

/// Arguments of the command.
#[derive(Debug, Args)]
pub struct Groups {
    #[command(flatten)]
    source: Source,
    /// CSV with a header: the person's name (its folder), then one or more columns of groups
    #[arg(long, value_name = "FILE")]
    table: PathBuf,
    /// How face and mirror image become one vector; the model's own way otherwise
    #[arg(long, value_enum)]
    fusion: Option<Fusion>,
    /// The false match rate, over all people of the table, that sets the threshold
    #[arg(long, default_value = "1e-3", value_parser = rate)]
    fmr: f64,
    /// This threshold instead
    #[arg(long, value_name = "SCORE", allow_hyphen_values = true)]
    threshold: Option<f32>,
    /// Most impostor comparisons; of more, so many are drawn
    #[arg(long, value_name = "N", default_value_t = 5_000_000)]
    impostors: usize,
    #[command(flatten)]
    resampling: Resampling,
    /// Write the result there
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Runs the command.
pub fn run(args: &Groups) -> Result<()> {
    let table = Table::parse(&text(&args.table)?).with_context(|| format!("{}", args.table.display()))?;
    let store = args.source.store(Wanted::All)?;
    let (mut faces, names) = store.labelled(args.fusion.unwrap_or(store.fusion()));
    let people = names.len();
    let known: Vec<bool> = names.iter().map(|n| table.rows.contains_key(n)).collect();
    faces.retain(|f| known.get(f.subject as usize) == Some(&true));
    let unknown = known.iter().filter(|k| !**k).count();
    ensure!(
        unknown < people,
        "{}: it names none of the {people} people of the features; its first column is the folders' names",
        args.table.display()
    );
    let plan = args.resampling.plan();
    let all = Comparisons::all_pairs(&faces, args.impostors, args.resampling.seed, args.source.workers)?;
    let (genuine, impostor) = all.scores();
    let threshold = match args.threshold {
        Some(t) => t,
        None => rates::threshold(&impostor, args.fmr).with_context(|| {
            format!(
                "{} impostor comparisons support no FMR of {}; ask for a higher --fmr",
                impostor.len(),
                rate_name(args.fmr)
            )
        })?,
    };
    let common = rates::at(&genuine, &impostor, args.fmr, threshold);
    let groups = figures(&all, &names, &table, args.fmr, threshold, plan);
    crate::say!(
        "{people} people, {unknown} of them not in the table and left out; model {}",
        store.header.model
    );
    crate::say!(
        "threshold {threshold:.4}: over all FMR {:.2e}, FNMR {}",
        common.reached_fmr().unwrap_or(0.0),
        percent(common.fnmr().unwrap_or(0.0), None)
    );
    let width = groups.iter().map(|g| g.column.len() + g.group.len() + 1).max().unwrap_or(0).max(5);
    crate::say!(
        "{:<width$}  people    impostors       FMR    genuine  FNMR (95 % by people)    own threshold, FNMR",
        "group"
    );
    for g in &groups {
        let fmr = match (g.fmr, g.common.false_matches) {
            (None, _) => "-".into(),
            (Some(_), 0) => format!("<{:.1e}", rates::rule_of_three(g.common.impostors)),
            (Some(f), _) => format!("{f:.2e}"),
        };
        let fnmr = g.fnmr.map_or("-".into(), |f| percent(f, g.fnmr_interval));
        let own = g.own.map_or("not supported".into(), |o| {
            format!("{:.4}, {}", o.threshold, o.fnmr().map_or("-".into(), |f| percent(f, None)))
        });
        let name = format!("{}={}", g.column, g.group);
        crate::say!(
            "{name:<width$}  {:>6}  {:>11}  {fmr:>8}  {:>9}  {fnmr:<23}  {own}",
            g.subjects,
            g.common.impostors,
            g.common.genuine
        );
    }
    if let Some(path) = &args.json {
        let data = args.table.display().to_string();
        let mut result =
            Evaluation::new("groups", &store.header.model, &data, store.entries.len(), store.failures());
        for g in &groups {
            let name = format!("{}={}", g.column, g.group);
            result.figure(format!("fmr[{name}]"), g.fmr.unwrap_or(f64::NAN), None);
            result.figure(format!("fnmr[{name}]"), g.fnmr.unwrap_or(f64::NAN), g.fnmr_interval);
        }
        result.thresholds.insert(format!("FMR {}", rate_name(args.fmr)), f64::from(threshold));
        result.details = json!({ "common": common, "groups": groups, "people_without_a_line": unknown });
        result.save(path)?;
    }
    Ok(())
}

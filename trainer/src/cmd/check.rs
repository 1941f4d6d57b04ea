//! `limen-train check`: is the data fit to train on?

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::json;

use crate::cmd::data::{Data, all_cores};
use crate::dataset::cache;
use crate::dataset::index::Index;
use crate::dataset::set::described;
use crate::dataset::source::Kind;
use crate::dataset::survey::{Limits, Report, survey};

/// Arguments of the command.
#[derive(Debug, Args)]
#[command(after_help = "\
Decodes every picture. Ends with 1 where a picture cannot be used or fewer than two identities are left; the rest is
told and does not stop a training.")]
pub struct Check {
    #[command(flatten)]
    data: Data,
    /// A picture with a shorter side is tiny
    #[arg(long, value_name = "PX", default_value_t = 64)]
    min_side: usize,
    /// An identity with fewer pictures is poor
    #[arg(long, value_name = "N", default_value_t = 2)]
    min_images: usize,
    /// Most findings of each kind that are named
    #[arg(long, value_name = "N", default_value_t = 20)]
    most: usize,
    /// Write what should be left out there, for `--exclude @FILE`
    #[arg(long, value_name = "FILE")]
    write_exclude: Option<PathBuf>,
    /// Print one JSON object instead
    #[arg(long)]
    json: bool,
    /// Threads
    #[arg(long, default_value_t = all_cores())]
    workers: usize,
}

/// Runs the command.
pub fn run(args: &Check) -> Result<()> {
    for path in &args.data.data {
        if Kind::of(path)? == Kind::Cache {
            cache::verify(path)?;
        }
    }
    let crops = described(&args.data.data)?;
    let index = args.data.index()?;
    let limits = Limits { min_side_px: args.min_side, min_pictures: args.min_images };
    let report = survey(&index, crops.as_ref(), limits, args.workers)?;
    if let Some(path) = &args.write_exclude {
        let lines: String =
            report.to_leave_out(&index).iter().map(|(name, why)| format!("{name}\t{why}\n")).collect();
        write(path, &format!("# what `limen-train check` would leave out of {}\n{lines}", index.digest()))?;
    }
    if args.json {
        say_json(&index, &report);
    } else {
        say_text(&index, &report, args);
    }
    let bad = report.unreadable.len() + report.other_size.len();
    if bad > 0 {
        bail!(
            "{bad} pictures cannot be used: mend them, or leave them out (--write-exclude FILE, --exclude @FILE)"
        );
    }
    if index.identities().len() < 2 {
        bail!("only one identity: at least two are needed to tell people apart");
    }
    Ok(())
}

/// Writes a small file at once or not at all.
pub fn write(path: &Path, text: &str) -> Result<()> {
    let part = PathBuf::from(format!("{}.part", path.display()));
    std::fs::write(&part, text)
        .and_then(|()| std::fs::rename(&part, path))
        .with_context(|| format!("{}: cannot be written", path.display()))
}

fn say_text(index: &Index, report: &Report, args: &Check) {
    let place = |i: u32| index.place(&index.samples()[i as usize]);
    let groups = |g: &[Vec<u32>]| -> Vec<String> {
        g.iter().map(|g| g.iter().map(|i| place(*i)).collect::<Vec<_>>().join("  =  ")).collect()
    };
    let [least, median, most] = report.per_identity;
    crate::say!("digest {}", index.digest());
    crate::say!("{} pictures of {} identities", index.samples().len(), index.identities().len());
    crate::say!("{least} to {most} readable pictures an identity, half of them have {median} or more");
    let mut sizes: Vec<_> = report.sizes.iter().collect();
    sizes.sort_by_key(|(size, n)| (std::cmp::Reverse(**n), **size));
    let shown: Vec<_> = sizes.iter().take(3).map(|((w, h), n)| format!("{n} of {w}x{h} px")).collect();
    crate::say!("{} sizes: {}{}", sizes.len(), shown.join(", "), if sizes.len() > 3 { ", ..." } else { "" });
    let say = |what: &str, list: Vec<String>| {
        crate::say!("{} {what}", list.len());
        list.iter().take(args.most).for_each(|l| crate::say!("  {l}"));
        if list.len() > args.most {
            crate::say!("  ... and {} more (--most)", list.len() - args.most);
        }
    };
    say("unreadable", report.unreadable.iter().map(|(_, why)| why.clone()).collect());
    say("of another size than the set's crops", report.other_size.iter().map(|i| place(*i)).collect());
    say("groups of the same picture under several identities", groups(&report.contradictions));
    say("groups of the same picture in one identity", groups(&report.duplicates));
    say(&format!("with a side below {} px", args.min_side), report.tiny.iter().map(|i| place(*i)).collect());
    let poor =
        report.poor.iter().map(|(i, n)| format!("{} ({n})", index.identities()[*i as usize])).collect();
    say(&format!("identities with fewer than {} pictures", args.min_images), poor);
}

fn say_json(index: &Index, report: &Report) {
    let place = |i: &u32| index.place(&index.samples()[*i as usize]);
    let groups =
        |g: &[Vec<u32>]| -> Vec<Vec<String>> { g.iter().map(|g| g.iter().map(place).collect()).collect() };
    let sizes: Vec<_> =
        report.sizes.iter().map(|((w, h), n)| json!({ "width": w, "height": h, "pictures": n })).collect();
    let unreadable: Vec<_> =
        report.unreadable.iter().map(|(i, why)| json!({ "picture": place(i), "why": why })).collect();
    let poor: Vec<_> = report
        .poor
        .iter()
        .map(|(i, n)| json!({ "identity": index.identities()[*i as usize], "pictures": n }))
        .collect();
    crate::say!(
        "{}",
        json!({
            "digest": index.digest(), "pictures": index.samples().len(), "identities": index.identities().len(),
            "per_identity": report.per_identity, "sizes": sizes, "unreadable": unreadable,
            "other_size": report.other_size.iter().map(place).collect::<Vec<_>>(),
            "contradictions": groups(&report.contradictions), "duplicates": groups(&report.duplicates),
            "tiny": report.tiny.iter().map(place).collect::<Vec<_>>(), "poor": poor,
        })
    );
}

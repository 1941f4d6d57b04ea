//! `limen-train list`: paths and labels of a set, as SphereFace's `get_list.m` writes them.

use anyhow::{Result, ensure};
use clap::Args;
use serde_json::json;

use crate::cmd::data::Data;

/// Arguments of the command.
#[derive(Debug, Args)]
#[command(after_help = "\
A line a picture on stdout: PATH, tab, LABEL; a picture in a shard is SHARD.tar:IDENTITY/IMAGE. The result can be
given wherever a set is asked for, as long as its paths stay right from where it lies.

  limen-train list CASIA-WebFace --exclude casia > casia.txt      10,572 classes")]
pub struct List {
    #[command(flatten)]
    data: Data,
    /// Print identities with their labels and numbers of pictures instead
    #[arg(long)]
    identities: bool,
    /// Print one JSON object with the counts and the digest instead
    #[arg(long, conflicts_with = "identities")]
    json: bool,
}

/// Runs the command.
pub fn run(args: &List) -> Result<()> {
    let index = args.data.index()?;
    let (people, pictures) = (index.identities().len(), index.samples().len());
    if args.json {
        crate::say!("{}", json!({ "identities": people, "pictures": pictures, "digest": index.digest() }));
        return Ok(());
    }
    if args.identities {
        for (label, (name, range)) in index.identities().iter().zip(index.ranges()).enumerate() {
            crate::say!("{label}\t{name}\t{}", range.len());
        }
    } else {
        for sample in index.samples() {
            let place = index.place(sample);
            ensure!(
                !place.contains(['\n', '\t']),
                "{place:?}: a name with a tab or a new line cannot be listed"
            );
            crate::say!("{place}\t{}", sample.identity);
        }
    }
    eprintln!("{people} identities, {pictures} pictures, digest {}", index.digest());
    Ok(())
}

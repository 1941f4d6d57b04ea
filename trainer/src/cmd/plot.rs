//! `limen-train plot`: a single picture from files.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Subcommand;

use crate::evaluate::store::Store;
use crate::plot::angular::{angular, load, of_store};

/// The pictures.
#[derive(Debug, Subcommand)]
pub enum Plot {
    /// The SphereFace paper's angular picture of a 2-d embedding
    Angular {
        /// The embedding: what `extract` wrote of a network with two outputs, or with --labels an array of [n, 2]
        #[arg(long, value_name = "FILE.npy")]
        features: PathBuf,
        /// One label a line, in the array's order
        #[arg(long, value_name = "FILE")]
        labels: Option<PathBuf>,
        /// The classifier's weights, [classes, 2], classes in the labels' order; otherwise the means of the points
        #[arg(long, value_name = "FILE.npy")]
        classes: Option<PathBuf>,
        /// The picture's heading
        #[arg(long, default_value = "Angular picture")]
        title: String,
        /// Name without ending: NAME.svg and NAME.png are written
        #[arg(long, value_name = "NAME")]
        out: PathBuf,
    },
}

/// Runs the command.
///
/// # Errors
/// When a file cannot be read or written.
pub fn run(plot: &Plot) -> Result<()> {
    let Plot::Angular { features, labels, classes, title, out } = plot;
    let cloud = match labels {
        Some(labels) => load(features, labels, classes.as_deref())?,
        None => of_store(&Store::load(features)?, classes.as_deref())
            .with_context(|| features.display().to_string())?,
    };
    for file in angular(title, &cloud).save(out)? {
        crate::say!("{}", file.display());
    }
    Ok(())
}

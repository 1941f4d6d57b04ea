//! `limen-train plot`: a single picture from files.

use std::path::PathBuf;

use anyhow::Result;
use clap::Subcommand;

use crate::plot::angular::{angular, load};

/// The pictures.
#[derive(Debug, Subcommand)]
pub enum Plot {
    /// The SphereFace paper's angular picture of a 2-d embedding
    Angular {
        /// The embedding: an array of [n, 2]
        #[arg(long, value_name = "FILE.npy")]
        features: PathBuf,
        /// One label a line, in the array's order
        #[arg(long, value_name = "FILE")]
        labels: PathBuf,
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
    let cloud = load(features, labels, classes.as_deref())?;
    for file in angular(title, &cloud).save(out)? {
        crate::say!("{}", file.display());
    }
    Ok(())
}

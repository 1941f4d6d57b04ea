//! `limen check`: is this configuration file right? Offline, nothing is opened.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use crate::cmd::{Exit, shown};
use crate::config::{Config, DEFAULT_TOML};

/// Arguments of the command.
#[derive(Debug, Args)]
pub struct Check {
    /// The file
    #[arg(long, value_name = "FILE", required_unless_present = "print_default")]
    config: Option<PathBuf>,
    /// Print the commented default file instead
    #[arg(long)]
    print_default: bool,
}

/// Runs the command.
pub fn run(args: &Check) -> Result<Exit> {
    if args.print_default {
        crate::say!("{}", DEFAULT_TOML.trim_end());
    }
    if let Some(path) = &args.config {
        Config::load(path)?;
        crate::say!("{}: good", shown(path));
    }
    Ok(Exit::Yes)
}

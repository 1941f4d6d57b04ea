//! `limen check`: is this configuration file right? Offline; of all it names, the words and the font are read.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use crate::cmd::{Exit, shown};
use crate::config::{Config, DEFAULT_TOML};
use crate::display::LanguageSource;

/// Arguments of the command.
#[derive(Debug, Args)]
pub struct Check {
    /// The file
    #[arg(long, value_name = "FILE", required_unless_present_any = ["print_default", "print_language"])]
    config: Option<PathBuf>,
    /// Print the commented default file instead
    #[arg(long)]
    print_default: bool,
    /// Print the words of a built-in language instead, to be translated: en, de, es or zh
    #[arg(long, value_name = "LANGUAGE")]
    print_language: Option<LanguageSource>,
}

/// Runs the command.
pub fn run(args: &Check) -> Result<Exit> {
    if args.print_default {
        crate::say!("{}", DEFAULT_TOML.trim_end());
    }
    if let Some(language) = &args.print_language {
        crate::say!("{}", language.text()?.trim_end());
    }
    if let Some(path) = &args.config {
        Config::load(path)?.language()?;
        crate::say!("{}: good", shown(path));
    }
    Ok(Exit::Yes)
}

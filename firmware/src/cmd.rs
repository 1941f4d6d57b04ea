//! The commands, one a file, and the exit codes they share (docs/reference/cli.md).

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, CommandFactory, Parser, Subcommand};
use limen_gallery_db::GalleryError;
use limen_gallery_db::error::Remedy;
use limen_models::error::ModelError;
use limen_models::photo::PhotoError;

use crate::camera::{CameraError, Cure};
use crate::config::{Config, ConfigError};
use crate::people::ListError;
use crate::relay::RelayError;

pub mod annotate;
pub mod bench;
pub mod card;
pub mod check;
pub mod demo;
pub mod doctor;
pub mod door;
pub mod edit;
pub mod enrol;
pub mod enrol_many;
pub mod events;
pub mod gallery;
pub mod identify;
pub mod pass;
pub mod pick;
pub mod pin;
pub mod probe;
pub mod release;
pub mod replay;
pub mod rules;
pub mod run;
pub mod verify;

/// What a command came to; the number is the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done; every question was answered with yes.
    Yes = 0,
    /// Done; the answer is no: not that person, unknown, something for `doctor` to complain about.
    No = 1,
    /// Something given cannot be used: photograph, configuration, model, gallery file. (2 is clap's: wrong usage.)
    BadInput = 3,
    /// The surroundings fail: a file that cannot be read or written, a full disk, a locked gallery, a lost camera.
    Environment = 4,
    /// Enrolment was refused.
    Refused = 5,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Limen, the doorkeeper: enrols people, recognises them at the door, opens it, and keeps the journal. Offline always.
#[derive(Debug, Parser)]
#[command(
    name = "limen",
    version,
    max_term_width = 100,
    after_help = "\
First steps:
  limen doctor                                   what is here and what is missing
  limen enrol --id 7 --name \"Ada\" ada1.jpg ada2.jpg
  limen identify somebody.jpg                    who is it?
  limen run --config limen.toml                  watch the door
Exit codes: 0 yes, 1 no, 2 wrong usage, 3 bad input, 4 surroundings, 5 enrolment refused."
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Enrol a person from photographs
    Enrol(enrol::Enrol),
    /// Enrol many people from a list with photographs, in a folder or a ZIP
    EnrolMany(enrol_many::EnrolMany),
    /// Say who is on photographs (1:N)
    Identify(identify::Identify),
    /// Check whether a photograph shows a given person (1:1)
    Verify(verify::Verify),
    /// Look after the people enrolled
    #[command(subcommand)]
    Gallery(gallery::Command),
    /// Read the journal, or check it
    Events(events::Events),
    /// Decide once more on what an event of the journal rested on
    Replay(replay::Replay),
    /// Watch the door
    Run(run::Run),
    /// Take the current from the door's relay and end: the door is in its fail state
    Release(release::Release),
    /// Mark every face of a clip with its identity
    Annotate(annotate::Annotate),
    /// Check a configuration file without starting anything
    Check(check::Check),
    /// Say who may pass, when, and by what
    #[command(subcommand)]
    Rules(rules::Command),
    /// Open a running door, lock it down, or say how it stands
    #[command(subcommand)]
    Door(door::Command),
    /// Set the PIN of the service menu, or a person's
    Pin(pin::Pin),
    /// Give people cards, and take them back
    #[command(subcommand)]
    Card(card::Command),
    /// Issue passes (QR codes), and take them back
    #[command(subcommand)]
    Pass(pass::Command),
    /// Open a simulated door, from photographs
    Demo(demo::Demo),
    /// Look at models, gallery, camera, door and storage, and say what to do
    Doctor(doctor::Doctor),
    /// Time each stage
    Bench(bench::Bench),
    /// Print shell completions
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
}

/// Which installation a command works on.
#[derive(Debug, Args)]
pub struct Site {
    /// Configuration file; the defaults otherwise
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Model folder, in place of the configuration's
    #[arg(long, value_name = "DIR")]
    pub models: Option<PathBuf>,
    /// Gallery file, in place of the configuration's
    #[arg(long, value_name = "FILE")]
    pub gallery: Option<PathBuf>,
    /// Score threshold, -1 to 1, in place of the configuration's
    #[arg(long, allow_negative_numbers = true, value_parser = score_argument)]
    pub threshold: Option<f32>,
}

impl Site {
    /// The configuration with what stands on the command line.
    pub fn config(&self) -> Result<Config> {
        let mut config = match &self.config {
            Some(path) => Config::load(path)?,
            None => Config::default(),
        };
        if let Some(folder) = &self.models {
            config.models.folder.clone_from(folder);
        }
        if let Some(file) = &self.gallery {
            config.gallery.file.clone_from(file);
        }
        if let Some(threshold) = self.threshold {
            anyhow::ensure!(
                (-1.0..=1.0).contains(&threshold),
                "--threshold {threshold}: it lies between -1 and 1"
            );
            config.decision.threshold = threshold;
        }
        Ok(config)
    }
}

/// A score on the command line.
pub fn score_argument(text: &str) -> Result<f32, String> {
    let score = text.parse().ok().filter(|s: &f32| (-1.0..=1.0).contains(s));
    score.ok_or_else(|| "a cosine, -1 to 1".into())
}

/// Runs what the command line says.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match &cli.command {
        Command::Enrol(c) => enrol::run(c),
        Command::EnrolMany(c) => enrol_many::run(c),
        Command::Identify(c) => identify::run(c),
        Command::Verify(c) => verify::run(c),
        Command::Gallery(c) => gallery::run(c),
        Command::Events(c) => events::run(c),
        Command::Run(c) => run::run(c),
        Command::Release(c) => release::run(c),
        Command::Annotate(c) => annotate::run(c),
        Command::Check(c) => check::run(c),
        Command::Replay(c) => replay::run(c),
        Command::Rules(c) => rules::run(c),
        Command::Door(c) => door::run(c),
        Command::Pin(c) => pin::run(c),
        Command::Card(c) => card::run(c),
        Command::Pass(c) => pass::run(c),
        Command::Demo(c) => demo::run(c),
        Command::Doctor(c) => doctor::run(c),
        Command::Bench(c) => bench::run(c),
        Command::Completions { shell } => {
            clap_complete::generate(*shell, &mut Cli::command(), "limen", &mut std::io::stdout());
            Ok(Exit::Yes)
        }
    };
    match result {
        Ok(exit) => exit.into(),
        Err(e) => {
            crate::tell!(Failure, "{}", told(&e));
            exit_of(&e).into()
        }
    }
}

/// The error and its causes; a cause that the message before it quotes already is not said twice.
fn told(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if !text.contains(&cause) {
            text = if text.is_empty() { cause } else { format!("{text}: {cause}") };
        }
    }
    text
}

/// The exit code of an error, by what the caller can do about it.
fn exit_of(error: &anyhow::Error) -> Exit {
    for cause in error.chain() {
        if let Some(e) = cause.downcast_ref::<PhotoError>() {
            return photo_exit(e);
        }
        if let Some(e) = cause.downcast_ref::<ListError>() {
            return if matches!(e, ListError::Read { .. }) { Exit::Environment } else { Exit::BadInput };
        }
        if let Some(e) = cause.downcast_ref::<ConfigError>() {
            return if matches!(e, ConfigError::Read { .. }) { Exit::Environment } else { Exit::BadInput };
        }
        if let Some(e) = cause.downcast_ref::<ModelError>() {
            return if matches!(e, ModelError::Read { .. }) { Exit::Environment } else { Exit::BadInput };
        }
        if let Some(e) = cause.downcast_ref::<GalleryError>() {
            return match e {
                GalleryError::ReadOnly { .. } | GalleryError::Open { .. } | GalleryError::Io { .. } => {
                    Exit::Environment
                }
                _ if e.remedy() == Remedy::Retry => Exit::Environment,
                _ => Exit::BadInput,
            };
        }
        if let Some(e) = cause.downcast_ref::<CameraError>() {
            return if e.cure() == Cure::Reopen { Exit::Environment } else { Exit::BadInput };
        }
        if let Some(e) = cause.downcast_ref::<RelayError>() {
            let is_setting = matches!(e, RelayError::Name { .. } | RelayError::NotBuilt { .. });
            return if is_setting { Exit::BadInput } else { Exit::Environment };
        }
        if cause.is::<std::io::Error>() {
            return Exit::Environment;
        }
    }
    Exit::BadInput
}

/// The exit code of a photograph that cannot be used.
pub fn photo_exit(e: &PhotoError) -> Exit {
    if matches!(e, PhotoError::Read { .. }) { Exit::Environment } else { Exit::BadInput }
}

/// A path as a person wrote it.
pub fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// Writes a line for [`crate::say!`].
pub fn say(line: std::fmt::Arguments<'_>) {
    use std::io::Write;
    if writeln!(std::io::stdout().lock(), "{line}").is_err() {
        // What a shell reports of a program that SIGPIPE ended: 128 + 13.
        std::process::exit(141);
    }
}

/// One line on standard output. Where nobody reads any more (`limen events | head`), the program ends quietly instead
/// of panicking as `println!` does.
#[macro_export]
macro_rules! say {
    ($($text:tt)*) => { $crate::cmd::say(format_args!($($text)*)) };
}

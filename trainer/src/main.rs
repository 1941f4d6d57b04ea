//! `limen-train`: from pictures to a model the firmware can run.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use limen_train::cmd;

/// From pictures to a model the firmware can run: imports networks, measures them and sets their thresholds.
#[derive(Debug, Parser)]
#[command(name = "limen-train", version, about, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Bring a network from Caffe, PyTorch, NumPy or ONNX into a model folder
    Import(cmd::import::Import),
    /// Estimate score thresholds per false match rate and write them to the manifest
    Calibrate(cmd::calibrate::Calibrate),
    /// Show a network layer by layer, as a table and drawn
    Describe(cmd::describe::Describe),
    /// Write an embedder in int8 or half precision and measure what it costs
    Quantise(cmd::quantise::Quantise),
    /// Run one network of a model folder on an array
    Run(cmd::run::Run),
    /// Print boxes and landmarks of photographs as JSON lines
    Detect(cmd::detect::Detect),
    /// Teach a face detector
    #[command(subcommand)]
    Detector(cmd::detector::Detector),
    /// Print paths and labels of a set
    List(cmd::list::List),
    /// Turn photographs into aligned crops
    Preprocess(cmd::preprocess::Preprocess),
    /// Look for pictures and identities that are unfit to train on
    Check(cmd::check::Check),
    /// Find identities of one set in another
    Overlap(cmd::overlap::Overlap),
    /// Write a set's crops as raw pixels into one file
    Cache(cmd::cache::Cache),
    /// Measure how fast samples are loaded
    BenchLoader(cmd::bench_loader::BenchLoader),
    /// Features of a folder of pictures, to a file that `eval` takes
    Extract(cmd::extract::Extract),
    /// Train a network as a configuration file says
    Train(cmd::train::Train),
    /// Train on from somebody's weights
    Finetune(cmd::finetune::Finetune),
    /// Write a run's network as ONNX into a model folder
    Export(cmd::export::Export),
    /// Measure the speed of a training step on this CPU, with our kernels and with burn's in turn
    BenchStep(cmd::bench_step::BenchStep),
    /// Measure a model
    #[command(subcommand)]
    Eval(cmd::eval::Eval),
    /// A run's folder as a page with plots, several as a comparison
    Report(cmd::report::Report),
    /// Draw a single picture
    #[command(subcommand)]
    Plot(cmd::plot::Plot),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Import(args) => cmd::import::run(&args),
        Command::Calibrate(args) => cmd::calibrate::run(&args),
        Command::Describe(args) => cmd::describe::run(&args),
        Command::Quantise(args) => cmd::quantise::run(&args),
        Command::Run(args) => cmd::run::run(&args),
        Command::Detect(args) => cmd::detect::run(&args),
        Command::Detector(command) => cmd::detector::run(&command),
        Command::List(args) => cmd::list::run(&args),
        Command::Preprocess(args) => cmd::preprocess::run(&args),
        Command::Check(args) => cmd::check::run(&args),
        Command::Overlap(args) => cmd::overlap::run(&args),
        Command::Cache(args) => cmd::cache::run(&args),
        Command::BenchLoader(args) => cmd::bench_loader::run(&args),
        Command::Extract(args) => cmd::extract::run(&args),
        Command::Train(args) => cmd::train::run(&args),
        Command::Finetune(args) => cmd::finetune::run(&args),
        Command::Export(args) => cmd::export::run(&args),
        Command::BenchStep(args) => cmd::bench_step::run(&args),
        Command::Eval(eval) => cmd::eval::run(&eval),
        Command::Report(args) => cmd::report::run(&args),
        Command::Plot(plot) => cmd::plot::run(&plot),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            // A cause that the message before it quotes already is not said twice.
            let mut text = String::new();
            for cause in e.chain().map(ToString::to_string).filter(|c| !c.is_empty()) {
                if !text.contains(&cause) {
                    text = if text.is_empty() { cause } else { format!("{text}: {cause}") };
                }
            }
            eprintln!("limen-train: {text}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Cli;

    const PAGE: &str = include_str!("../../docs/reference/cli.md");

    fn options(command: &clap::Command) -> Vec<String> {
        let own = command.get_arguments().filter_map(|a| a.get_long()).map(str::to_owned);
        own.chain(command.get_subcommands().flat_map(options)).collect()
    }

    #[test]
    fn every_command_and_option_is_on_the_page() {
        for command in Cli::command().get_subcommands() {
            let name = command.get_name();
            let heading = format!("\n## limen-train {name}\n");
            let section = PAGE.split_once(&heading).map(|(_, rest)| rest.split("\n## ").next().unwrap());
            let section = section.unwrap_or_else(|| panic!("docs/reference/cli.md: no section {name}"));
            for option in options(command) {
                let there = section.match_indices(&format!("--{option}")).any(|(i, m)| {
                    !section[i + m.len()..].starts_with(|c: char| c == '-' || c.is_ascii_alphanumeric())
                });
                assert!(there, "docs/reference/cli.md, limen-train {name}: no --{option}");
            }
            for sub in command.get_subcommands() {
                assert!(section.contains(&format!("{name} {}", sub.get_name())), "{name} {}", sub.get_name());
            }
        }
    }
}

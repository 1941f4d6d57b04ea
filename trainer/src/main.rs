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
    /// Print boxes and landmarks of photographs as JSON lines
    Detect(cmd::detect::Detect),
    /// Measure the speed of a training step on this CPU, with our kernels and with burn's in turn
    BenchStep(cmd::bench_step::BenchStep),
    /// Measure a model
    #[command(subcommand)]
    Eval(cmd::eval::Eval),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Import(args) => cmd::import::run(&args),
        Command::Calibrate(args) => cmd::calibrate::run(&args),
        Command::Detect(args) => cmd::detect::run(&args),
        Command::BenchStep(args) => cmd::bench_step::run(&args),
        Command::Eval(eval) => cmd::eval::run(&eval),
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

//! `limen`, the doorkeeper.

use std::process::ExitCode;

fn main() -> ExitCode {
    limen::cmd::main()
}

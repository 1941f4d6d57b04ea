//! This test program once more, as another process; `cross/setup` names what runs programs of another processor here.

use std::process::Command;

/// The command that starts it.
pub fn myself() -> Command {
    let me = std::env::current_exe().unwrap();
    let runner = std::env::var("LIMEN_RUNNER").unwrap_or_default();
    let mut words = runner.split_whitespace();
    let Some(program) = words.next() else { return Command::new(me) };
    let mut command = Command::new(program);
    command.args(words).arg(me);
    command
}

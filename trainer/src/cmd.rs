//! The commands, one a file.

pub mod bench_loader;
pub mod bench_step;
pub mod cache;
pub mod calibrate;
pub mod check;
pub mod data;
pub mod describe;
pub mod detect;
pub mod detector;
pub mod eval;
pub mod export;
pub mod extract;
pub mod finetune;
pub mod import;
pub mod list;
pub mod overlap;
pub mod plot;
pub mod preprocess;
pub mod quantise;
pub mod report;
pub mod run;
pub mod train;

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

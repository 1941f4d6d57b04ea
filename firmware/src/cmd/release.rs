//! `limen release`: the door into its fail state. For the service manager, before the program starts and after it ended.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use crate::cmd::Exit;
use crate::config::Config;
use crate::relay;

/// Arguments of the command.
#[derive(Debug, Args)]
pub struct Release {
    /// Configuration file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

/// Runs the command. Errors while another program, such as `limen run`, holds the relay's line.
pub fn run(args: &Release) -> Result<Exit> {
    let door = Config::load(&args.config)?.door;
    // Opening takes the current from the coil; closing gives the line back to the kernel as it is then.
    let relay = relay::open(&door.relay.parse()?, door.active_level, door.gpio_driver)?;
    crate::say!("{}: the coil has no current", relay.describe());
    Ok(Exit::Yes)
}

//! `limen pin`: sets the PIN of the service menu. It is asked for twice on a terminal, without being shown, and only its
//! hash is written.

use std::io::{self, IsTerminal, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use rustix::termios::{self, LocalModes, OptionalActions, SpecialCodeIndex, Termios};

use crate::cmd::edit::{self, Field};
use crate::cmd::{Exit, shown};
use crate::pin::{self, PinHash};

/// Ctrl-C, which ends the line here: a signal would leave the terminal as it is not to be.
const GIVE_UP: u8 = 3;

/// Arguments of the command.
#[derive(Debug, Args)]
pub struct Pin {
    /// Configuration file, which keeps the PIN's hash
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

/// Runs the command.
pub fn run(args: &Pin) -> Result<Exit> {
    let pin = pin::chosen(&ask()?)?;
    let hash = PinHash::of(&pin).context("the PIN cannot be hashed")?;
    let field = Field { name: "pin", value: hash.as_str().into(), is_default: false };
    edit::set(&args.config, "controls", vec![field])?;
    eprintln!("{}: the PIN is set; a running door takes it at SIGHUP", shown(&args.config));
    if let Some(cure) = readable_by_all(&args.config) {
        crate::tell!(Warning, "{cure}");
    }
    Ok(Exit::Yes)
}

/// What to do about a file with a PIN's hash that everybody on this machine can read.
pub fn readable_by_all(path: &Path) -> Option<String> {
    let open = std::fs::metadata(path).is_ok_and(|m| m.mode() & 0o004 != 0);
    open.then(|| {
        format!(
            "{}: everybody on this machine can read the PIN's hash, and find the PIN by trying all of them; chmod 0640, and \
             give it to a group that limen is in (docs/guide/controls.md)",
            path.display()
        )
    })
}

/// Asks on the terminal, twice; one line where standard input is none.
fn ask() -> Result<String> {
    if !io::stdin().is_terminal() {
        return line();
    }
    let _hidden = Hidden::begin()?;
    let asked = |question: &str| {
        eprint!("{question}");
        io::stderr().flush()?;
        let answer = line()?;
        eprintln!();
        anyhow::Ok(answer)
    };
    let first = asked("New PIN, 4 to 8 digits, which are not shown: ")?;
    // What may be none need not be typed twice.
    pin::chosen(&first)?;
    if asked("The same again: ")? != first {
        bail!("these were two different PINs; nothing was changed");
    }
    Ok(first)
}

fn line() -> Result<String> {
    let mut line = Vec::new();
    for byte in io::stdin().lock().bytes() {
        match byte.context("no PIN can be read")? {
            b'\n' => break,
            GIVE_UP => bail!("given up; nothing was changed"),
            byte => line.push(byte),
        }
    }
    Ok(String::from_utf8_lossy(&line).trim_end_matches('\r').to_owned())
}

/// A terminal that shows nothing of what is typed, until this is dropped.
struct Hidden(Termios);

impl Hidden {
    fn begin() -> Result<Self> {
        let before = termios::tcgetattr(io::stdin()).context("the terminal does not answer")?;
        let mut hidden = before.clone();
        hidden.local_modes -= LocalModes::ECHO | LocalModes::ISIG;
        hidden.special_codes[SpecialCodeIndex::VEOL] = GIVE_UP;
        termios::tcsetattr(io::stdin(), OptionalActions::Flush, &hidden)
            .context("the terminal shows what is typed")?;
        Ok(Self(before))
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        // There is nobody left to tell.
        let _ = termios::tcsetattr(io::stdin(), OptionalActions::Flush, &self.0);
    }
}

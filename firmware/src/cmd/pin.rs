//! `limen pin`: sets the PIN of the service menu, or forgets it. It is asked for twice on a terminal, without being shown, and
//! only its hash is kept, in the gallery's file.

use std::io::{self, IsTerminal, Read, Write};
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use jiff::Timestamp;
use limen_gallery_db::{EventKind, Gallery, NewEvent};
use rustix::termios::{self, LocalModes, OptionalActions, SpecialCodeIndex, Termios};

use crate::cmd::{Exit, shown};
use crate::config::Config;
use crate::pin::{self, PinHash, Tries};

/// Ctrl-C, which ends the line here: a signal would leave the terminal as it is not to be.
const GIVE_UP: u8 = 3;

/// Arguments of the command.
#[derive(Debug, Args)]
pub struct Pin {
    /// Configuration file, which names the gallery that keeps the PIN's hash
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Forget the PIN and the wrong tries: whoever touches the device next chooses a new one
    #[arg(long)]
    clear: bool,
}

/// Runs the command.
pub fn run(args: &Pin) -> Result<Exit> {
    let config = Config::load(&args.config)?;
    if config.controls.pin.is_set() {
        bail!(
            "{}: controls.pin is a PIN's hash already, and comes before the gallery's; set it to \"\" first; nothing was changed",
            shown(&args.config)
        );
    }
    let hash = if args.clear {
        None
    } else {
        let pin = pin::chosen(&ask()?)?;
        Some(PinHash::of(&pin).context("the PIN cannot be hashed")?)
    };
    let mut gallery = Gallery::open(&config.gallery.file)?;
    // Whoever may write the gallery need not wait for a lock to end.
    gallery.unset::<Tries>()?;
    let event = NewEvent::new(Timestamp::now(), EventKind::Service);
    let file = shown(&config.gallery.file);
    match hash {
        Some(hash) => {
            gallery.noting(event.because("pin-set")).set(&hash)?;
            eprintln!("{file}: the PIN is set; a running door takes it at once");
        }
        None => {
            gallery.noting(event.because("pin-cleared")).unset::<PinHash>()?;
            eprintln!("{file}: there is no PIN any more; whoever touches the device next chooses one");
        }
    }
    Ok(Exit::Yes)
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

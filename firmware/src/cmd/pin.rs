//! `limen pin`: sets the PIN of the service menu, or forgets it; or a person's. It is asked for twice on a terminal, without
//! being shown, and only what finds it again is kept, in the gallery's file.

use std::io::{self, IsTerminal, Read, Write};
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use jiff::Timestamp;
use limen_gallery_db::{CredentialKind, EventKind, Gallery, NewEvent};
use rustix::termios::{self, LocalModes, OptionalActions, SpecialCodeIndex, Termios};

use crate::cmd::{Exit, card, gallery, shown};
use crate::config::Config;
use crate::pin::{self, BadPin, Digits, PinHash, Tries};

/// Ctrl-C, which ends the line here: a signal would leave the terminal as it is not to be.
const GIVE_UP: u8 = 3;

/// Arguments of the command.
#[derive(Debug, Args)]
pub struct Pin {
    /// Configuration file, which names the gallery that keeps PINs
    #[arg(long, value_name = "FILE", required_unless_present_any = ["gallery"])]
    config: Option<PathBuf>,
    /// Gallery file, in place of the configuration's
    #[arg(long, value_name = "FILE", requires = "person")]
    gallery: Option<PathBuf>,
    /// Forget the PIN and the wrong tries: whoever touches the device next chooses a new one
    #[arg(long, conflicts_with = "person")]
    clear: bool,
    /// Give a person a PIN of their own, by which they are known, in place of the one they had
    #[arg(long = "for", value_name = "ID", group = "person")]
    give: Option<String>,
    /// The PIN by which they say that they are forced to
    #[arg(long, requires = "person")]
    duress: bool,
    /// Take a person's PIN back
    #[arg(long, value_name = "ID", group = "person")]
    remove: Option<String>,
}

/// Runs the command.
pub fn run(args: &Pin) -> Result<Exit> {
    let kind = if args.duress { CredentialKind::DuressPin } else { CredentialKind::Pin };
    if let Some(id) = &args.remove {
        let mut gallery = args.gallery()?;
        card::take(&mut gallery, id, |c| c.kind == kind)?.with_context(|| format!("{id} has no {kind}"))?;
        eprintln!("{id} has no {kind} any more");
        return Ok(Exit::Yes);
    }
    if let Some(id) = &args.give {
        let mut gallery = args.gallery()?;
        let subject = gallery::find(&gallery, id)?;
        let pin = asked_twice("New PIN, 6 to 8 digits, which are not shown: ", pin::chosen_for_person)?;
        let key = pin::key(&pin, &gallery.secret()?).context("the PIN cannot be hashed")?;
        card::give(&mut gallery, &subject, kind, &key)?;
        eprintln!("{id} has a new {kind}");
        return Ok(Exit::Yes);
    }
    let path = args
        .config
        .as_deref()
        .context("--config FILE is missing: it names the gallery that keeps the PIN")?;
    let config = Config::load(path)?;
    if config.controls.pin.is_set() {
        bail!(
            "{}: controls.pin is a PIN's hash already, and comes before the gallery's; set it to \"\" first; nothing was changed",
            shown(path)
        );
    }
    let hash = if args.clear {
        None
    } else {
        let pin = asked_twice("New PIN, 4 to 8 digits, which are not shown: ", pin::chosen)?;
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

impl Pin {
    fn gallery(&self) -> Result<Gallery> {
        gallery::File { config: self.config.clone(), gallery: self.gallery.clone() }.open()
    }
}

/// Asks on the terminal for a PIN that may be one, twice; one line where standard input is none.
fn asked_twice(question: &str, chosen: fn(&str) -> Result<Digits, BadPin>) -> Result<Digits> {
    let first = asked_once(question)?;
    // What may be none need not be typed twice.
    let pin = chosen(&first)?;
    if io::stdin().is_terminal() && asked_once("The same again: ")? != first {
        bail!("these were two different PINs; nothing was changed");
    }
    Ok(pin)
}

/// Asks on the terminal, and shows nothing of the answer; one line where standard input is none.
pub fn asked_once(question: &str) -> Result<String> {
    if !io::stdin().is_terminal() {
        return line();
    }
    let _hidden = Hidden::begin()?;
    eprint!("{question}");
    io::stderr().flush()?;
    let answer = line()?;
    eprintln!();
    Ok(answer)
}

fn line() -> Result<String> {
    let mut line = Vec::new();
    for byte in io::stdin().lock().bytes() {
        match byte.context("nothing can be read")? {
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

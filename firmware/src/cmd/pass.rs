//! `limen pass`: QR codes that open the door for a while, issued, listed and taken back.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Subcommand;
use jiff::Timestamp;
use limen_gallery_db::{EventKind, Gallery, NewEvent, NewPass, Pass, PassId, Use};
use limen_models::image::RgbImage;
use qrcode::render::unicode::Dense1x2;
use qrcode::{Color, EcLevel, QrCode};
use serde_json::json;

use crate::cmd::gallery::{self, File, open_to_read};
use crate::cmd::{Exit, shown};
use crate::display::sheet::write_png;

/// Width of a module in a PNG, px.
const MODULE_PX: usize = 8;
/// Light modules around the code, as the standard demands.
const QUIET: usize = 4;

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Issue a pass: whoever shows its code may pass as that person, in its time
    Issue {
        /// Which gallery.
        #[command(flatten)]
        file: File,
        /// It opens nothing before
        #[arg(long, value_name = "TIME")]
        from: Option<Timestamp>,
        /// It opens nothing from here on
        #[arg(long, value_name = "TIME")]
        until: Timestamp,
        /// It opens once
        #[arg(long)]
        once: bool,
        /// Write the code to a picture, and not to the terminal
        #[arg(long, value_name = "FILE")]
        png: Option<PathBuf>,
        /// Print one JSON object with the code's text, and no code
        #[arg(long, conflicts_with = "png")]
        json: bool,
        /// The person's id
        id: String,
    },
    /// The passes that were issued, without their codes
    List {
        /// Which gallery.
        #[command(flatten)]
        file: File,
        /// One JSON object a pass, a line each
        #[arg(long)]
        json: bool,
        /// The person's id; everybody, if left out
        id: Option<String>,
    },
    /// Take a pass back: it opens nothing any more
    Revoke {
        /// Which gallery.
        #[command(flatten)]
        file: File,
        /// Which one, as `limen pass list` names it
        pass: PassId,
    },
}

/// Runs the command.
pub fn run(command: &Command) -> Result<Exit> {
    match command {
        Command::Issue { file, from, until, once, png, json, id } => {
            let usage = if *once { Use::Once } else { Use::Often };
            issue(&file.path()?, id, (*from, *until), usage, png.as_deref(), *json)
        }
        Command::List { file, json, id } => list(&file.path()?, id.as_deref(), *json),
        Command::Revoke { file, pass } => {
            let mut gallery = file.open()?;
            let whose = gallery.passes(None)?.into_iter().find(|p| p.id == *pass).map(|p| p.subject);
            let event = NewEvent { subject: whose, ..event(Timestamp::now(), "taken") };
            gallery.noting(event).revoke_pass(*pass)?;
            crate::say!("pass {pass} opens nothing any more");
            Ok(Exit::Yes)
        }
    }
}

fn event(now: Timestamp, reason: &str) -> NewEvent {
    let event = NewEvent::new(now, EventKind::Credential).because(reason);
    NewEvent { detail: Some(json!({ "what": "pass" })), ..event }
}

fn issue(
    file: &Path,
    id: &str,
    (from, until): (Option<Timestamp>, Timestamp),
    usage: Use,
    png: Option<&Path>,
    as_json: bool,
) -> Result<Exit> {
    let now = Timestamp::now();
    anyhow::ensure!(until > now, "--until {until}: that is over; name a time to come");
    let mut gallery = Gallery::open(file)?;
    let subject = gallery::find(&gallery, id)?;
    let new =
        NewPass { subject: subject.id, valid_from: from.unwrap_or(now), valid_until: until, usage, at: now };
    let (pass, text) = gallery.noting(event(now, "given").about(subject.id)).issue_pass(&new)?;
    if as_json {
        let mut object = to_json(&pass, id);
        object["text"] = text.as_str().into();
        crate::say!("{object}");
        return Ok(Exit::Yes);
    }
    let code = picture(text.as_str())?;
    match png {
        Some(path) => {
            let written = draw(&code).and_then(|image| Ok(write_png(&image, path)?));
            if written.is_err() {
                // Nobody has its code.
                gallery.noting(event(now, "taken").about(subject.id)).revoke_pass(pass.id)?;
            }
            written.with_context(|| format!("{}: cannot be written, so no pass was issued", shown(path)))?;
            crate::say!("{}: pass {} of {id}, {}", shown(path), pass.id, told(&pass));
        }
        None => {
            // Dark on light also where a terminal writes light on dark.
            let mut picture = code.render::<Dense1x2>();
            crate::say!("{}", picture.dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).build());
            crate::say!("pass {} of {id}, {}", pass.id, told(&pass));
        }
    }
    Ok(Exit::Yes)
}

/// The code of a pass's text, of which a seventh may be spoiled.
pub fn picture(text: &str) -> Result<QrCode> {
    QrCode::with_error_correction_level(text, EcLevel::M).context("the code cannot be drawn")
}

fn draw(code: &QrCode) -> Result<RgbImage> {
    let side = (code.width() + 2 * QUIET) * MODULE_PX;
    let mut image = RgbImage::filled(side, side, [255; 3])?;
    let module = |at: usize| (at / MODULE_PX).checked_sub(QUIET).filter(|at| *at < code.width());
    for (x, y) in (0..side).flat_map(|y| (0..side).map(move |x| (x, y))) {
        if let (Some(u), Some(v)) = (module(x), module(y))
            && code[(u, v)] == Color::Dark
        {
            image.set_pixel(x, y, [0; 3]);
        }
    }
    Ok(image)
}

fn told(pass: &Pass) -> String {
    let once = match (pass.usage, pass.used) {
        (Use::Once, None) => ", once",
        (Use::Once, Some(_)) => ", once, used",
        (Use::Often, _) => "",
    };
    format!("{} to {}{once}", pass.valid_from, pass.valid_until)
}

fn to_json(pass: &Pass, id: &str) -> serde_json::Value {
    json!({
        "pass": pass.id, "id": id, "from": pass.valid_from, "until": pass.valid_until, "use": pass.usage,
        "used": pass.used, "issued": pass.created,
    })
}

fn list(file: &Path, id: Option<&str>, as_json: bool) -> Result<Exit> {
    let gallery = open_to_read(file)?;
    let of = id.map(|id| gallery::find(&gallery, id)).transpose()?;
    for pass in gallery.passes(of.map(|s| s.id))? {
        let whose = gallery.subject(pass.subject)?.map_or_else(String::new, |s| s.external_id);
        if as_json {
            crate::say!("{}", to_json(&pass, &whose));
        } else {
            crate::say!("{}  {whose:<16} {}", pass.id, told(&pass));
        }
    }
    Ok(Exit::Yes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::qr;

    #[test]
    fn the_picture_of_a_pass_is_small_and_is_read_again() {
        let text = format!("LIMEN1:{}", "0123456789ABCDEF".repeat(5));
        let code = picture(&text).unwrap();
        // As bytes it would be of version 6.
        assert!(matches!(code.version(), qrcode::Version::Normal(4 | 5)), "{:?}", code.version());
        let image = draw(&code).unwrap();
        assert_eq!(image.width(), (code.width() + 8) * MODULE_PX);
        assert_eq!(qr::read(&image).unwrap().as_str(), text);
    }
}

//! What people show at the readers, until it is known whose it is: cards, PINs and passes become a name or nobody's, and
//! wrong ones in a row lock what they were shown to and what was shown.

use anyhow::{Context, Result};
use jiff::Timestamp;
use limen_gallery_db::{CredentialKey, CredentialKind, Gallery, GalleryError, PassText};

use crate::decide::Duress;
use crate::gate::{Named, Shown};
use crate::input::{self, Reader, What};
use crate::pin::Question;
use crate::rules::factors::Factor;
use crate::time::Millis;
use crate::tries::Tries;

/// What may be tried so often only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Tried {
    Reader(Reader),
    Key(CredentialKey),
}

/// What was shown comes to this.
pub enum Read {
    /// It is known whose it is, or that it is nobody's.
    Shown(Shown),
    /// That has to be found out elsewhere, since it takes a second.
    Ask(Question),
    /// Another is being found out: it is not read.
    Busy,
}

/// Where things are shown.
#[derive(Debug, Default)]
pub struct Desk {
    tries: Tries<Tried>,
    /// What was shown since somebody was let in or kept out.
    recent: Vec<Tried>,
    /// A PIN is out to be hashed.
    out: bool,
    /// The newest pass that was shown.
    pass: Option<PassText>,
}

impl Desk {
    /// Something was shown.
    pub fn read(
        &mut self,
        shown: &input::Shown,
        now: Millis,
        wall: Timestamp,
        gallery: &mut Gallery,
    ) -> Result<Read> {
        let factor = match shown.what {
            What::Card(_) => Factor::Card,
            What::Pin(_) => Factor::Pin,
            What::Pass(_) => Factor::Pass,
        };
        let reader = Tried::Reader(shown.from);
        if self.tries.locked([&reader], now).is_some() {
            return Ok(Read::Shown(Shown { factor, named: Named::Locked }));
        }
        match &shown.what {
            What::Card(number) => {
                let key = number.key(&gallery.secret()?);
                Ok(Read::Shown(self.found(factor, &key, shown.from, now, gallery)?))
            }
            What::Pin(_) if self.out => Ok(Read::Busy),
            What::Pin(digits) => {
                self.out = true;
                Ok(Read::Ask(Question::Find(digits.clone(), gallery.secret()?, shown.from)))
            }
            What::Pass(text) => {
                self.note(reader);
                let named = match gallery.check_pass(text, wall) {
                    Ok(pass) => {
                        self.pass = Some(text.clone());
                        Named::Subject { subject: pass.subject, duress: Duress::None }
                    }
                    Err(GalleryError::Pass(_)) => Named::Nobody,
                    Err(e) => return Err(e).context("the gallery cannot be asked for a pass"),
                };
                Ok(Read::Shown(Shown { factor, named }))
            }
        }
    }

    /// A PIN was hashed; `None` where the system failed at it.
    pub fn hashed(
        &mut self,
        key: Option<&CredentialKey>,
        from: Reader,
        now: Millis,
        gallery: &Gallery,
    ) -> Result<Shown> {
        self.out = false;
        match key {
            Some(key) => self.found(Factor::Pin, key, from, now, gallery),
            None => Ok(Shown { factor: Factor::Pin, named: Named::Nobody }),
        }
    }

    fn found(
        &mut self,
        factor: Factor,
        key: &CredentialKey,
        from: Reader,
        now: Millis,
        gallery: &Gallery,
    ) -> Result<Shown> {
        let tried = Tried::Key(*key);
        if self.tries.locked([&tried], now).is_some() {
            return Ok(Shown { factor, named: Named::Locked });
        }
        self.note(Tried::Reader(from));
        self.note(tried);
        let found = gallery.find_credential(key)?;
        let duress = match found.as_ref().map(|c| (c.kind, factor)) {
            Some((CredentialKind::Card, Factor::Card) | (CredentialKind::Pin, Factor::Pin)) => {
                Some(Duress::None)
            }
            Some((CredentialKind::DuressPin, Factor::Pin)) => Some(Duress::Told),
            _ => None,
        };
        let named = match (found, duress) {
            (Some(c), Some(duress)) => Named::Subject { subject: c.subject, duress },
            _ => Named::Nobody,
        };
        Ok(Shown { factor, named })
    }

    fn note(&mut self, tried: Tried) {
        if !self.recent.contains(&tried) {
            self.recent.push(tried);
        }
    }

    /// Somebody was let in on what was shown.
    pub fn right(&mut self) {
        for tried in self.recent.drain(..) {
            self.tries.right(&tried);
        }
    }

    /// Somebody was kept out.
    pub fn wrong(&mut self, now: Millis) {
        for tried in std::mem::take(&mut self.recent) {
            self.tries.wrong(&tried, now);
        }
        self.pass = None;
    }

    /// The pass on which somebody is let in.
    pub fn take_pass(&mut self) -> Option<PassText> {
        self.pass.take()
    }
}

//! What was shown at the readers lately, and whom it names.

use limen_gallery_db::subject::SubjectId;

use crate::decide::Duress;
use crate::rules::factors::{Factor, Factors};
use crate::time::Millis;

/// What was shown counts for so long, ms: time enough to type a PIN and to look up.
pub const COUNTS_MS: u64 = 20_000;

/// Something that was shown at a reader. `Debug` shows no number: there is none in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// What.
    pub factor: Factor,
    /// Whose it is.
    pub named: Named,
}

/// Whose something is that was shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Named {
    /// This person's.
    Subject {
        /// Identity inside the gallery.
        subject: SubjectId,
        /// Whether it says that they are forced to.
        duress: Duress,
    },
    /// Nobody's, or it is not valid any more.
    Nobody,
    /// It was not looked at: there were too many wrong ones.
    Locked,
}

/// All that was shown lately.
#[derive(Debug, Default)]
pub(super) struct Claims(Vec<(Shown, Millis)>);

/// What it comes to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum All {
    Nobody,
    One { subject: SubjectId, shown: Factors, duress: Duress },
    Several,
    Unknown,
    Locked,
}

impl Claims {
    /// Something was shown. The same kind again takes the place of the one before: a wrong card is put right.
    pub(super) fn show(&mut self, shown: Shown, now: Millis) {
        self.0.retain(|(s, at)| s.factor != shown.factor && now.since(*at) < COUNTS_MS);
        self.0.push((shown, now));
    }

    /// Whether anything counts.
    pub(super) fn any(&self, now: Millis) -> bool {
        self.fresh(now).next().is_some()
    }

    /// Nothing counts any more.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// What all that counts comes to. One that names nobody spoils the others: whoever has a good card and a wrong PIN has
    /// found the card.
    pub(super) fn all(&self, now: Millis) -> All {
        let mut all = All::Nobody;
        for shown in self.fresh(now) {
            let (subject, duress) = match &shown.named {
                Named::Subject { subject, duress } => (subject, duress),
                Named::Nobody => return All::Unknown,
                Named::Locked => return All::Locked,
            };
            all = match all {
                All::Nobody => {
                    All::One { subject: *subject, shown: Factors::one(shown.factor), duress: *duress }
                }
                All::One { subject: other, shown: before, duress: told } if other == *subject => {
                    let duress = if told == Duress::Told { told } else { *duress };
                    All::One { subject: other, shown: before.and(shown.factor), duress }
                }
                All::One { .. } => All::Several,
                All::Several | All::Unknown | All::Locked => all,
            };
        }
        all
    }

    fn fresh(&self, now: Millis) -> impl Iterator<Item = &Shown> {
        self.0.iter().filter(move |(_, at)| now.since(*at) < COUNTS_MS).map(|(s, _)| s)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(factor: Factor, who: Option<u8>) -> Shown {
        let named = who.map_or(Named::Nobody, |n| Named::Subject {
            subject: SubjectId::from_bytes([n; 16]),
            duress: Duress::None,
        });
        Shown { factor, named }
    }

    fn one(n: u8, shown: &[Factor], duress: Duress) -> All {
        let shown = shown.iter().fold(Factors::NONE, |s, f| s.and(*f));
        All::One { subject: SubjectId::from_bytes([n; 16]), shown, duress }
    }

    #[test]
    fn what_was_shown_adds_up_for_its_time_if_all_of_it_names_one_person() {
        let mut claims = Claims::default();
        assert_eq!(claims.all(Millis(0)), All::Nobody);
        claims.show(shown(Factor::Card, Some(1)), Millis(0));
        assert_eq!(claims.all(Millis(0)), one(1, &[Factor::Card], Duress::None));
        claims.show(shown(Factor::Pin, Some(1)), Millis(5000));
        assert_eq!(claims.all(Millis(19_999)), one(1, &[Factor::Card, Factor::Pin], Duress::None));
        assert_eq!(claims.all(Millis(20_000)), one(1, &[Factor::Pin], Duress::None));
        assert!(claims.any(Millis(24_999)) && !claims.any(Millis(25_000)));
        // Another card takes the place of the first.
        claims.show(shown(Factor::Card, Some(2)), Millis(6000));
        assert_eq!(claims.all(Millis(6000)), All::Several);
        claims.show(shown(Factor::Card, Some(1)), Millis(7000));
        assert_eq!(claims.all(Millis(7000)), one(1, &[Factor::Card, Factor::Pin], Duress::None));
        claims.show(shown(Factor::Pass, None), Millis(8000));
        assert_eq!(claims.all(Millis(8000)), All::Unknown);
        claims.clear();
        assert_eq!(claims.all(Millis(8000)), All::Nobody);
    }

    #[test]
    fn duress_is_not_taken_back_by_what_is_shown_after_it() {
        let mut claims = Claims::default();
        let mut pin = shown(Factor::Pin, Some(1));
        if let Named::Subject { duress, .. } = &mut pin.named {
            *duress = Duress::Told;
        }
        claims.show(pin, Millis(0));
        claims.show(shown(Factor::Card, Some(1)), Millis(1));
        assert_eq!(claims.all(Millis(1)), one(1, &[Factor::Card, Factor::Pin], Duress::Told));
    }
}

//! What a list gives a person besides a face: a PIN, a card. It is in no `Debug` and in no message.

use std::fmt;

use crate::people::Refusal;
use crate::pin::{self, Digits};

/// Most digits of a card's number: those of 64 bits.
const MAX_CARD_DIGITS: usize = 20;

/// A card's number, 1 to 20 digits, with the zeros that stand before it.
#[derive(Clone, PartialEq, Eq)]
pub struct CardNumber(String);

impl CardNumber {
    /// Takes digits alone.
    fn new(text: &str) -> Option<Self> {
        let fits = (1..=MAX_CARD_DIGITS).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        fits.then(|| Self(text.to_owned()))
    }

    /// Its digits.
    pub fn digits(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for CardNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CardNumber(..)")
    }
}

/// What a line of the list gives.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Credentials {
    /// Column `pin`.
    pub pin: Option<Digits>,
    /// Column `card`.
    pub card: Option<CardNumber>,
}

impl Credentials {
    /// From the two cells, each empty for none.
    pub fn of(pin: &str, card: &str) -> Result<Self, Refusal> {
        let bad = |column: &str, why: &dyn fmt::Display| Refusal::new("bad-data", format!("{column}: {why}"));
        let pin = match pin {
            "" => None,
            digits => Some(pin::chosen(digits).map_err(|e| bad("pin", &e))?),
        };
        let card = match card {
            "" => None,
            digits => {
                let why = format!("a card's number is 1 to {MAX_CARD_DIGITS} digits and nothing else");
                Some(CardNumber::new(digits).ok_or_else(|| bad("card", &why))?)
            }
        };
        Ok(Self { pin, card })
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.pin.is_none() && self.card.is_none()
    }
}

/// Whether they can be kept together with the person; who has one that cannot is refused, so that none is lost.
pub fn admit(credentials: &Credentials) -> Result<(), Refusal> {
    if credentials.is_empty() {
        return Ok(());
    }
    Err(Refusal::new(
        "credentials",
        "this limen keeps no PINs and cards of people yet; leave the columns pin and card empty",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_alone_are_taken_and_never_shown() {
        let both = Credentials::of("258025", "0012345678").unwrap();
        assert_eq!(both.card.as_ref().unwrap().digits(), "0012345678");
        let shown = format!("{both:?}");
        assert!(!shown.contains("258025") && !shown.contains("12345678"), "{shown}");
        assert!(Credentials::of("", "").unwrap().is_empty());
        for (pin, card, column) in [
            ("1234", "", "pin: "),
            ("25 80", "", "pin: "),
            ("", "12a", "card: "),
            ("", "123456789012345678901", "card: "),
            ("", "１２", "card: "),
        ] {
            let refusal = Credentials::of(pin, card).unwrap_err();
            assert!(refusal.why.starts_with(column), "{refusal:?}");
            assert!(pin.is_empty() || !refusal.why.contains(pin), "{refusal:?}");
            assert!(card.is_empty() || !refusal.why.contains(card), "{refusal:?}");
        }
        assert_eq!(admit(&both).unwrap_err().code, "credentials");
        assert!(admit(&Credentials::default()).is_ok());
    }
}

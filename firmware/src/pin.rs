//! The PIN that opens the service menu: what may be one, its hash in the gallery's file or in the configuration, and whether
//! digits are it; and a person's own, which says who they are. Digits are in no log, in no journal and in no `Debug`.

use std::fmt;

use argon2::{Algorithm, Argon2, Params, PasswordHash, PasswordHasher, PasswordVerifier, Version};
use limen_gallery_db::{CredentialKey, Secret, Setting};
use serde::{Deserialize, Deserializer, Serialize, de};
use thiserror::Error;

use crate::decide::PinMatch;
use crate::input::Reader;

mod tries;

pub use tries::Tries;

/// Fewest digits of a PIN.
pub const SHORTEST: usize = 4;
/// Most digits of a PIN.
pub const LONGEST: usize = 8;

/// Fewest digits of a person's PIN, which is looked for among everybody's: where 100 people have one, a guess of 4 digits is
/// somebody's once in 100 times, of 6 once in 10,000.
pub const PERSONS_SHORTEST: usize = 6;

/// What a hash costs: 19 MiB and two passes, as OWASP advises at least; a good second on a Raspberry Pi 3.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
/// What a hash in the configuration may cost: a Raspberry Pi 3 has 1 GiB, and somebody waits at the door.
const MOST_MEMORY_KIB: u32 = 64 * 1024;
const MOST_PASSES: u32 = 10;
const MOST_LANES: u32 = 4;

/// Digits as they are typed, no more than [`LONGEST`].
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Digits(String);

impl Digits {
    /// One more, 0 to 9; none where there are [`LONGEST`] already.
    pub fn push(&mut self, digit: u8) {
        if let Some(digit) = char::from_digit(digit.into(), 10).filter(|_| self.len() < LONGEST) {
            self.0.push(digit);
        }
    }

    /// Takes the last one away.
    pub fn pop(&mut self) {
        self.0.pop();
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Why they may not be somebody's PIN, if so.
    pub fn fault(&self) -> Option<BadPin> {
        chosen(&self.0).err()
    }
}

impl fmt::Debug for Digits {
    /// Not even how many.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digits(..)")
    }
}

/// Why that is not taken for a PIN. It does not repeat it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BadPin {
    /// Something else than digits, or too few or too many.
    #[error("a PIN has 4 to 8 digits and nothing else")]
    Form,
    /// Likewise, of a person's.
    #[error("a person's PIN has 6 to 8 digits and nothing else")]
    PersonsForm,
    /// `1111`.
    #[error("all of its digits are the same, which is tried first; take another PIN")]
    OneDigit,
    /// `1234`, `8765`, `7890`.
    #[error("its digits stand in a row, which is tried first; take another PIN")]
    Row,
}

/// A PIN that somebody chose, if it may be one.
pub fn chosen(text: &str) -> Result<Digits, BadPin> {
    let digits: Vec<u8> = text.bytes().map(|b| b.wrapping_sub(b'0')).collect();
    if !(SHORTEST..=LONGEST).contains(&digits.len()) || digits.iter().any(|d| *d > 9) {
        return Err(BadPin::Form);
    }
    // From each digit to the next, upwards, with 0 behind 9.
    let mut steps = digits.windows(2).map(|pair| (10 + pair[1] - pair[0]) % 10);
    let first = steps.next();
    match first.filter(|first| steps.all(|step| step == *first)) {
        Some(0) => Err(BadPin::OneDigit),
        Some(1 | 9) => Err(BadPin::Row),
        _ => Ok(Digits(text.to_owned())),
    }
}

/// A PIN that is to say who somebody is, if it may be one.
pub fn chosen_for_person(text: &str) -> Result<Digits, BadPin> {
    match chosen(text) {
        Ok(digits) if digits.len() >= PERSONS_SHORTEST => Ok(digits),
        Ok(_) | Err(BadPin::Form) => Err(BadPin::PersonsForm),
        Err(bad) => Err(bad),
    }
}

fn argon2() -> Result<Argon2<'static>, argon2::Error> {
    let params = Params::new(MEMORY_KIB, PASSES, 1, None)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

/// What the gallery finds a person's PIN by. It takes its time, as the hash does: that is what keeps whoever has stolen the
/// file, and so its secret, from trying out all PINs at once.
pub fn key(pin: &Digits, secret: &Secret) -> Result<CredentialKey, argon2::Error> {
    let mut key = [0; 32];
    argon2()?.hash_password_into(pin.0.as_bytes(), &secret.mac("limen pin 1", &[]), &mut key)?;
    Ok(CredentialKey::new(key))
}

/// A PIN's hash as the gallery's file and the configuration have it: a PHC string of Argon2id, or empty for none.
#[derive(Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct PinHash(String);

impl PinHash {
    /// Of a PIN, with a salt of its own.
    pub fn of(pin: &Digits) -> Result<Self, argon2::password_hash::Error> {
        Ok(Self(argon2()?.hash_password(pin.0.as_bytes())?.to_string()))
    }

    /// Whether there is one.
    pub fn is_set(&self) -> bool {
        !self.0.is_empty()
    }

    /// Why it cannot be used, if it cannot. It does not repeat it: it may be a PIN as it is.
    pub fn fault(&self) -> Option<&'static str> {
        if !self.is_set() {
            return None;
        }
        let usable = PasswordHash::new(&self.0).is_ok_and(|hash| {
            let params = Params::try_from(&hash);
            hash.algorithm.as_str() == Algorithm::Argon2id.as_str()
                && hash.hash.is_some()
                && hash.salt.is_some()
                && params.is_ok_and(|p| {
                    p.m_cost() <= MOST_MEMORY_KIB && p.t_cost() <= MOST_PASSES && p.p_cost() <= MOST_LANES
                })
        });
        (!usable).then_some(
            "is no hash of a PIN that this program takes (Argon2id, at most 64 MiB, 10 passes, 4 lanes); \
             leave it empty, and `limen pin --config FILE` keeps one in the gallery's file",
        )
    }

    /// Compares typed digits with it, which takes its time: a second or more on a small board. Where there is no hash, or
    /// none that can be used, nothing is right.
    pub fn compare(&self, typed: &Digits) -> PinMatch {
        let right = self.is_set()
            && self.fault().is_none()
            && PasswordHash::new(&self.0)
                .is_ok_and(|hash| Argon2::default().verify_password(typed.0.as_bytes(), &hash).is_ok());
        if right { PinMatch::Right } else { PinMatch::Wrong }
    }
}

/// The admin's PIN.
impl Setting for PinHash {
    const KEY: &'static str = "admin-pin";
}

/// What is asked of the thread that hashes, which takes a second on a small board: the act thread has a door to shut.
#[derive(Debug)]
pub enum Question {
    /// Whether these digits are the PIN of that hash.
    Compare(Digits, PinHash),
    /// The hash of these digits.
    Hash(Digits),
    /// What the gallery with this secret finds a person's PIN by, that was typed there.
    Find(Digits, Secret, Reader),
}

/// What that thread says.
#[derive(Debug)]
pub enum Answer {
    /// Whether they are.
    Compared(PinMatch),
    /// The hash; none where the system failed at it.
    Hashed(PinHash),
    /// That, and where it was typed; none where the system failed at it.
    Found(Option<CredentialKey>, Reader),
}

impl Question {
    /// Takes its time.
    pub fn answer(self) -> Answer {
        match self {
            Self::Compare(typed, hash) => Answer::Compared(hash.compare(&typed)),
            Self::Find(typed, secret, from) => Answer::Found(
                key(&typed, &secret).map_err(|e| crate::tell!(Warning, "a PIN cannot be hashed: {e}")).ok(),
                from,
            ),
            Self::Hash(typed) => Answer::Hashed(PinHash::of(&typed).unwrap_or_else(|e| {
                crate::tell!(Warning, "the PIN cannot be hashed: {e}; nothing was changed");
                PinHash::default()
            })),
        }
    }
}

impl fmt::Debug for PinHash {
    /// A short PIN can be found by its hash.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_set() { "PinHash(..)" } else { "PinHash(none)" })
    }
}

impl<'de> Deserialize<'de> for PinHash {
    /// Whoever writes the PIN itself, as text or as a number, gets the cure and not an error that quotes it.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl de::Visitor<'_> for Any {
            type Value = PinHash;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a hash as `limen pin` writes it")
            }

            fn visit_str<E>(self, text: &str) -> Result<PinHash, E> {
                Ok(PinHash(text.to_owned()))
            }

            fn visit_i64<E>(self, _: i64) -> Result<PinHash, E> {
                Ok(PinHash("a number".into()))
            }

            fn visit_f64<E>(self, _: f64) -> Result<PinHash, E> {
                Ok(PinHash("a number".into()))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(digits: &[u8]) -> Digits {
        let mut typed = Digits::default();
        digits.iter().for_each(|d| typed.push(*d));
        typed
    }

    #[test]
    fn what_is_tried_first_is_no_pin() {
        for form in ["", "258", "258025802", "25 80", "2580\n", "zwei", "２５８０", "-258"] {
            assert_eq!(chosen(form), Err(BadPin::Form), "{form:?}");
        }
        for same in ["0000", "99999999"] {
            assert_eq!(chosen(same), Err(BadPin::OneDigit));
        }
        for row in ["1234", "0123", "7890", "4321", "3210", "0987", "12345678"] {
            assert_eq!(chosen(row), Err(BadPin::Row), "{row}");
        }
        for good in ["2580", "1235", "1357", "11112222", "0258"] {
            assert!(chosen(good).is_ok(), "{good}");
        }
    }

    #[test]
    fn its_own_digits_alone_are_the_pin_and_no_two_hashes_are_alike() {
        let pin = chosen("2580").unwrap();
        let hash = PinHash::of(&pin).unwrap();
        assert!(hash.0.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", hash.0);
        assert_eq!(hash.fault(), None);
        assert_eq!(hash.compare(&typed(&[2, 5, 8, 0])), PinMatch::Right);
        for wrong in [&[2u8, 5, 8][..], &[2, 5, 8, 0, 0], &[2, 5, 8, 1], &[]] {
            assert_eq!(hash.compare(&typed(wrong)), PinMatch::Wrong);
        }
        assert_ne!(PinHash::of(&pin).unwrap(), hash);
    }

    #[test]
    fn it_is_hashed_and_compared_by_the_thread_that_is_asked() {
        let Answer::Hashed(hash) = Question::Hash(chosen("2580").unwrap()).answer() else { panic!() };
        let compared = |digits| match Question::Compare(typed(digits), hash.clone()).answer() {
            Answer::Compared(found) => found,
            Answer::Hashed(_) | Answer::Found(..) => panic!("another answer"),
        };
        assert_eq!((compared(&[2, 5, 8, 0]), compared(&[2, 5, 8, 1])), (PinMatch::Right, PinMatch::Wrong));
    }

    #[test]
    fn a_persons_pin_is_longer_and_is_found_again_in_its_own_gallery_alone() {
        for form in ["2580", "25801", "258013479", "25801x"] {
            assert_eq!(chosen_for_person(form), Err(BadPin::PersonsForm), "{form}");
        }
        assert_eq!(chosen_for_person("123456"), Err(BadPin::Row));
        let secret = |digits: &str| Secret::try_from(digits.repeat(32)).unwrap();
        let pin = chosen_for_person("258013").unwrap();
        let one = key(&pin, &secret("01")).unwrap();
        assert_eq!(key(&typed(&[2, 5, 8, 0, 1, 3]), &secret("01")).unwrap(), one);
        assert_ne!(key(&pin, &secret("02")).unwrap(), one);
        assert_ne!(key(&typed(&[2, 5, 8, 0, 1, 4]), &secret("01")).unwrap(), one);
    }

    #[test]
    fn no_hash_or_a_bad_one_is_never_right() {
        for text in [
            "",
            "2580",
            "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ",
            "$argon2i$v=19$m=64,t=2,p=1$bGltZW4tc2FsdA$AAAAAAAAAAAAAAAAAAAAAA",
            "$argon2id$v=19$m=4194304,t=2,p=1$bGltZW4tc2FsdA$AAAAAAAAAAAAAAAAAAAAAA",
            "$argon2id$v=19$m=64,t=9999,p=1$bGltZW4tc2FsdA$AAAAAAAAAAAAAAAAAAAAAA",
        ] {
            let hash = PinHash(text.into());
            assert_eq!(hash.compare(&typed(&[2, 5, 8, 0])), PinMatch::Wrong, "{text}");
            assert_eq!(hash.fault().is_some(), !text.is_empty(), "{text}");
        }
    }

    #[test]
    fn typing_stops_at_eight_digits_and_is_never_shown() {
        let mut digits = typed(&[1, 2, 3, 4, 5, 6, 7, 8, 9]);
        assert_eq!(digits.len(), LONGEST);
        digits.push(10);
        digits.pop();
        assert_eq!(digits.len(), 7);
        assert_eq!(format!("{digits:?}"), "Digits(..)");
        let hash = PinHash("$argon2id$".into());
        assert_eq!(format!("{hash:?} {:?}", PinHash::default()), "PinHash(..) PinHash(none)");
    }
}

//! From keys to what was typed, up to Enter. A pure state machine; time comes in.

use crate::input::{CARD_DIGITS, CardNumber, What};
use crate::pin::{Digits, PERSONS_SHORTEST};
use crate::time::Millis;

/// A key that was pressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// A hex digit, 0 to 15.
    Digit(u8),
    /// Ends what was typed.
    Enter,
    /// Takes the last digit away.
    Delete,
    /// Shift and its like, which say nothing by themselves.
    Nothing,
    /// Any other: what was typed is nothing of ours.
    Other,
}

/// What types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Typist {
    /// A reader of cards: quick, and it never corrects itself.
    Machine,
    /// A person at keys for digits.
    Person,
}

impl Typist {
    /// The longest time from one key to the next, ms: what comes later begins anew. Readers type a key in 1 to 20 ms.
    const fn pause_ms(self) -> u64 {
        match self {
            Self::Machine => 500,
            Self::Person => 10_000,
        }
    }
}

/// What was typed so far.
#[derive(Debug, Clone)]
pub struct Typed {
    typist: Typist,
    line: Line,
    last: Millis,
}

#[derive(Clone, Default)]
struct Line {
    digits: Vec<u8>,
    /// Too long, or not of digits: all up to Enter is dropped, so that no part of it is taken for a number.
    spoiled: bool,
}

impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Line(..)")
    }
}

impl Typed {
    /// Nothing yet.
    pub fn new(typist: Typist) -> Self {
        Self { typist, line: Line::default(), last: Millis::ZERO }
    }

    /// A key at `now`; what was typed, if it was the last one of a number.
    pub fn press(&mut self, key: Key, now: Millis) -> Option<What> {
        if now.since(self.last) > self.typist.pause_ms() {
            self.line = Line::default();
        }
        self.last = now;
        match (key, self.typist) {
            (Key::Nothing, _) => {}
            (Key::Digit(digit @ 0..=15), _) => {
                self.line.digits.push(digit);
                // One more than can be a number, so that a key that never comes up fills no memory.
                self.line.spoiled |= self.line.digits.len() > CARD_DIGITS.1;
                self.line.digits.truncate(CARD_DIGITS.1);
            }
            (Key::Delete, Typist::Person) => {
                self.line.digits.pop();
            }
            (Key::Digit(_) | Key::Delete | Key::Other, _) => self.line.spoiled = true,
            (Key::Enter, _) => return std::mem::take(&mut self.line).read(self.typist),
        }
        None
    }
}

impl Line {
    fn read(self, typist: Typist) -> Option<What> {
        if self.spoiled {
            return None;
        }
        match typist {
            Typist::Machine => {
                let digits = self.digits.iter().filter_map(|d| char::from_digit((*d).into(), 16));
                digits.collect::<String>().parse::<CardNumber>().ok().map(What::Card)
            }
            Typist::Person => {
                let mut pin = Digits::default();
                self.digits.iter().for_each(|d| pin.push(*d));
                // Digits drop what is none, and what is too much.
                (pin.len() == self.digits.len() && pin.len() >= PERSONS_SHORTEST).then_some(What::Pin(pin))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Keys `step` ms apart.
    fn typed(typist: Typist, keys: &[Key], step: u64) -> Vec<What> {
        let mut typed = Typed::new(typist);
        let at = |i: usize| Millis(1000 + i as u64 * step);
        keys.iter().enumerate().filter_map(|(i, key)| typed.press(*key, at(i))).collect()
    }

    fn digits(text: &str) -> Vec<Key> {
        text.chars().map(|c| c.to_digit(16).map_or(Key::Other, |d| Key::Digit(d as u8))).collect()
    }

    fn line(text: &str) -> Vec<Key> {
        [digits(text), vec![Key::Enter]].concat()
    }

    fn card(text: &str) -> What {
        What::Card(text.parse().unwrap())
    }

    fn pin(text: &str) -> What {
        What::Pin(crate::pin::chosen_for_person(text).unwrap())
    }

    #[test]
    fn a_reader_types_cards() {
        let two = [line("0012345678"), line("04a2b3")].concat();
        assert_eq!(typed(Typist::Machine, &two, 5), [card("0012345678"), card("04A2B3")]);
        let shifted = [vec![Key::Nothing], digits("AB"), vec![Key::Nothing], line("12")].concat();
        assert_eq!(typed(Typist::Machine, &shifted, 5), [card("AB12")]);
        for none in ["", "123", &"1".repeat(33)] {
            assert_eq!(typed(Typist::Machine, &line(none), 5), [], "{none}");
        }
        // Nothing of a line that is too long or has other letters is left for the next.
        let bad = [line("12345x678"), line(&"7".repeat(40)), line("1111")].concat();
        assert_eq!(typed(Typist::Machine, &bad, 5), [card("1111")]);
        let corrected = [digits("1234"), vec![Key::Delete], line("5678")].concat();
        assert_eq!(typed(Typist::Machine, &corrected, 5), []);
    }

    #[test]
    fn a_pause_begins_anew() {
        assert_eq!(typed(Typist::Machine, &line("12345678"), 500), [card("12345678")]);
        assert_eq!(typed(Typist::Machine, &line("12345678"), 501), []);
        let mut typed = Typed::new(Typist::Machine);
        for (i, key) in digits("999").into_iter().enumerate() {
            typed.press(key, Millis(i as u64));
        }
        let later = line("4711").into_iter().map(|key| typed.press(key, Millis(9000)));
        assert_eq!(later.flatten().collect::<Vec<_>>(), [card("4711")]);
    }

    #[test]
    fn a_person_types_a_pin_and_corrects_it() {
        let keys = [digits("258013"), vec![Key::Delete, Key::Delete], line("47")].concat();
        assert_eq!(typed(Typist::Person, &keys, 2000), [pin("258047")]);
        assert_eq!(typed(Typist::Person, &line("25801347"), 2000), [pin("25801347")]);
        for none in ["25801", "258013479", "25801A"] {
            assert_eq!(typed(Typist::Person, &line(none), 2000), [], "{none}");
        }
    }

    proptest! {
        #[test]
        fn a_number_comes_out_as_it_was_typed_and_nothing_else_does(
            before in proptest::collection::vec(0..20u8, 0..50),
            number in "[0-9A-F]{4,32}",
            step in 0..=500u64,
        ) {
            let key = |n: u8| match n {
                0..=15 => Key::Digit(n),
                16 => Key::Delete,
                17 => Key::Nothing,
                18 => Key::Other,
                _ => Key::Enter,
            };
            let before: Vec<Key> = before.into_iter().map(key).chain([Key::Enter]).collect();
            let ends = before.iter().filter(|k| **k == Key::Enter).count();
            let told = typed(Typist::Machine, &[before, line(&number)].concat(), step);
            prop_assert!(told.len() <= ends + 1);
            prop_assert_eq!(told.last(), Some(&card(&number)));
            let said = format!("{told:?}");
            prop_assert!(!said.contains(&number), "{}", said);
        }
    }
}

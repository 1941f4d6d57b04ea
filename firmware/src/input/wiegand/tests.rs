//! Hand-made cards, every card there and back, and pulses by chance.

use std::time::Instant;

use proptest::prelude::*;

use super::*;

fn frame(text: &str) -> Frame {
    text.parse().unwrap()
}

/// The pulses of a text of zeros and ones, `period` µs apart.
fn pulses(bits: &str, start: u64, period: u64) -> Vec<(Bit, u64)> {
    let bit = |c| if c == '1' { Bit::One } else { Bit::Zero };
    bits.chars().enumerate().map(|(i, c)| (bit(c), start + i as u64 * period)).collect()
}

fn text(frame: Frame) -> String {
    let width = frame.format.bits() as usize;
    format!("{:0width$b}", frame.bits())
}

/// What a decoder makes of the pulses, and of the rest after them.
fn decoded(pulses: &[(Bit, u64)]) -> Vec<Result<Frame, FrameFault>> {
    let mut decoder = Decoder::default();
    let mut told: Vec<_> = pulses.iter().filter_map(|(bit, at)| decoder.pulse(*bit, *at)).collect();
    told.extend(decoder.rest());
    assert!(!decoder.is_busy());
    told
}

#[test]
fn cards_worked_out_by_hand() {
    // 12 = 0000 1100, 345 = 0000 0001 0101 1001. First half 0000 1100 0000: two ones, even already, so 0.
    // Second half 0001 0101 1001: five ones, odd already, so 0.
    assert_eq!(text(frame("26:12:345")), "0 00001100 0000000101011001 0".replace(' ', ""));
    // 1 = 0000 0001, 1 = ... 0001: one each. Even wants a one more, odd none.
    assert_eq!(text(frame("26:1:1")), "1 00000001 0000000000000001 0".replace(' ', ""));
    assert_eq!(text(frame("26:0:0")), "0 00000000 0000000000000000 1".replace(' ', ""));
    // 4097 has two ones, 7 three.
    assert_eq!(text(frame("34:4097:7")), "0 0001000000000001 0000000000000111 0".replace(' ', ""));
    assert_eq!(text(frame("34:0:65535")), "0 0000000000000000 1111111111111111 1".replace(' ', ""));
    for card in ["26:12:345", "26:255:65535", "34:4097:7", "34:65535:0"] {
        assert_eq!(decoded(&pulses(&text(frame(card)), 5, 2000)), [Ok(frame(card))], "{card}");
    }
    assert_eq!(format!("{:?}", frame("26:12:345")), "Frame(..)");
}

#[test]
fn cards_follow_each_other_after_a_rest() {
    let (one, two) = (frame("26:12:345"), frame("34:4097:7"));
    let last = 1000 + 25 * 20_000;
    let follow = |rest| [pulses(&text(one), 1000, 20_000), pulses(&text(two), last + rest, 200)].concat();
    assert_eq!(decoded(&follow(GAP_US + 1)), [Ok(one), Ok(two)]);
    assert_eq!(decoded(&follow(GAP_US)), [Err(FrameFault::Length(60))], "26 and 34 without a rest");
}

#[test]
fn what_is_no_card_is_told() {
    assert_eq!(decoded(&[]), []);
    assert_eq!(decoded(&pulses("1011", 0, 2000)), [Err(FrameFault::Length(4))]);
    assert_eq!(decoded(&pulses(&"1".repeat(500), 0, 2000)), [Err(FrameFault::Length(64))]);
    let mut shorted = pulses(&text(frame("26:12:345")), 0, 2000);
    shorted.insert(3, (Bit::One, shorted[2].1 + 10));
    assert_eq!(shorted[2].0, Bit::Zero);
    assert_eq!(decoded(&shorted), [Err(FrameFault::Noise)]);
    // The echo of a pulse on its own line is none.
    let mut echo = pulses(&text(frame("26:12:345")), 0, 2000);
    echo.insert(3, (Bit::Zero, echo[2].1 + GLITCH_US - 1));
    assert_eq!(decoded(&echo), [Ok(frame("26:12:345"))]);
}

/// Pulses in their order; when there are no more, everybody is told to stop.
struct Script<'a>(std::vec::IntoIter<(Bit, u64)>, &'a AtomicBool);

impl Pulses for Script<'_> {
    fn next(&mut self, limit: Duration) -> Result<Option<(Bit, u64)>, RelayError> {
        // A rest is told by a pulse that is none, at 0.
        match self.0.next() {
            Some((_, 0)) => Ok(None),
            Some(pulse) => Ok(Some(pulse)),
            None => {
                self.1.store(true, Ordering::SeqCst);
                assert!(limit <= NAP);
                Ok(None)
            }
        }
    }
}

#[test]
fn each_card_is_handed_on_when_its_rest_has_come() {
    let (one, two) = (frame("26:12:345"), frame("34:4097:7"));
    let rest = [(Bit::Zero, 0)];
    let script = [
        &rest[..],
        &pulses(&text(one), 1000, 2000),
        &rest,
        &pulses("10110", 900_000, 2000),
        &rest,
        &rest,
        // The kernel kept these two while nobody asked.
        &pulses(&text(two), 2_000_000, 2000),
        &pulses(&text(one), 3_000_000, 2000),
        &rest,
    ];
    let stop = AtomicBool::new(false);
    let mut cards = Vec::new();
    let mut hand_on = |card| {
        cards.push(card);
        true
    };
    watch(&mut Script(script.concat().into_iter(), &stop), &stop, &mut hand_on).unwrap();
    assert_eq!(cards, [one, two, one]);
    let (stop, mut heard) = (AtomicBool::new(false), 0);
    let mut nobody = |_| {
        heard += 1;
        false
    };
    watch(&mut Script(script.concat().into_iter(), &stop), &stop, &mut nobody).unwrap();
    assert_eq!(heard, 1, "nobody listens any more");
}

/// Lines that write down when they are pulsed.
struct Paper(Vec<(Bit, Instant, Duration)>);

impl Lines for Paper {
    fn pulse(&mut self, bit: Bit, width: Duration) -> Result<(), RelayError> {
        self.0.push((bit, Instant::now(), width));
        Ok(())
    }
}

#[test]
fn what_is_sent_is_read_again_and_keeps_its_times() {
    let mut paper = Paper(Vec::new());
    let card = frame("34:4097:7");
    let begun = Instant::now();
    send(card, &mut paper).unwrap();
    send(card, &mut paper).unwrap();
    let us = |at: Instant| at.duration_since(begun).as_micros() as u64;
    let pulses: Vec<_> = paper.0.iter().map(|(bit, at, _)| (*bit, us(*at))).collect();
    assert_eq!(decoded(&pulses), [Ok(card), Ok(card)]);
    assert!(paper.0.iter().all(|(.., width)| *width == PULSE));
    // A busy machine is late, and never early.
    for pair in pulses.windows(2) {
        assert!(pair[1].1 - pair[0].1 >= 1999, "{pair:?}");
    }
}

fn card() -> impl Strategy<Value = Frame> {
    (any::<bool>(), any::<u16>(), any::<u16>()).prop_map(|(wide, facility, number)| {
        let format = if wide { Format::Bits34 } else { Format::Bits26 };
        Frame::new(format, facility & format.most(), number).unwrap()
    })
}

proptest! {
    #[test]
    fn every_card_comes_back_and_no_single_bit_may_turn(card in card(), period in 200..=20_000u64, turned in any::<u32>()) {
        let bits = text(card);
        prop_assert_eq!(decoded(&pulses(&bits, 77, period)), [Ok(card)]);
        prop_assert_eq!(card.to_string().parse(), Ok(card));
        let place = (turned % card.format.bits()) as usize;
        let other = if &bits[place..=place] == "1" { "0" } else { "1" };
        let mut bent = bits.clone();
        bent.replace_range(place..=place, other);
        prop_assert_eq!(decoded(&pulses(&bent, 0, period)), [Err(FrameFault::Parity)]);
        bent.remove(place);
        prop_assert_eq!(decoded(&pulses(&bent, 0, period)), [Err(FrameFault::Length(card.format.bits() - 1))]);
    }

    #[test]
    fn any_pulses_are_answered_and_a_card_after_a_rest_is_read(
        noise in proptest::collection::vec((any::<bool>(), 0..70_000u64), 0..200),
        card in card(),
    ) {
        let (mut at, mut all) = (0, Vec::new());
        for (one, after) in noise {
            at += after;
            all.push((if one { Bit::One } else { Bit::Zero }, at));
        }
        all.extend(pulses(&text(card), at + GAP_US + 1, 300));
        prop_assert_eq!(decoded(&all).pop(), Some(Ok(card)));
    }

    #[test]
    fn a_card_is_written_as_it_was_read(
        text in prop_oneof!["[0-9:+-]{0,20}", "(26|34|37):0{0,2}[0-9]{1,5}:0{0,2}[0-9]{1,5}"],
    ) {
        let parts: Vec<u64> = text.split(':').map(|part| part.parse().unwrap_or(u64::MAX)).collect();
        let fits = match parts[..] {
            [26, facility, number] => facility < 256 && number < 65_536,
            [34, facility, number] => facility < 65_536 && number < 65_536,
            _ => false,
        };
        let card = text.parse::<Frame>().ok();
        prop_assert_eq!(card.is_some(), fits && !text.contains('+'));
        if let Some(card) = card {
            prop_assert_eq!(card.to_string(), format!("{}:{}:{}", parts[0], parts[1], parts[2]));
        }
    }
}

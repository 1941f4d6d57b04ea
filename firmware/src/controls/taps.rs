//! From what a touch screen says to taps on the panel: pure, one step an event.
//!
//! Two kinds of device are understood. A plain one (and a tablet, or a mouse that points absolutely) says where by one pair of
//! axes and whether by a button. One of many fingers says both by slots, one a finger; the finger that came first counts.

use crate::controls::Input;

/// Fingers that are told apart.
const SLOTS: usize = 10;

/// The range of an axis, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// What the left or upper edge says.
    pub low: i32,
    /// What the right or lower edge says.
    pub high: i32,
}

impl Range {
    /// The pixel, 0 to `size` - 1, of a value; each pixel has an equal share of the range. Values beyond it are at its edge.
    pub fn pixel(self, value: i32, size: u32) -> u32 {
        let steps = (i64::from(self.high) - i64::from(self.low) + 1).max(1);
        let from_edge = (i64::from(value) - i64::from(self.low)).clamp(0, steps - 1);
        u32::try_from(from_edge * i64::from(size) / steps).unwrap_or(0)
    }
}

/// What the device says, as far as it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// `ABS_X`.
    X(i32),
    /// `ABS_Y`.
    Y(i32),
    /// `BTN_TOUCH` or `BTN_LEFT`: whether it is down.
    Button(bool),
    /// `ABS_MT_SLOT`: which finger the next words are of.
    Slot(i32),
    /// `ABS_MT_TRACKING_ID`: whether the finger is there.
    Finger(bool),
    /// `ABS_MT_POSITION_X`.
    FingerX(i32),
    /// `ABS_MT_POSITION_Y`.
    FingerY(i32),
    /// `SYN_REPORT`: all of that was at one moment.
    Moment,
}

/// Where a pointer or a finger is; an axis that has not changed is not told again, not even of a new finger.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    x: Option<i32>,
    y: Option<i32>,
}

/// The state of one device.
#[derive(Debug)]
pub struct Taps {
    axes: (Range, Range),
    size: (u32, u32),
    pointer: Place,
    button: bool,
    fingers: [Place; SLOTS],
    /// Which of them are on the screen.
    there: [bool; SLOTS],
    /// Which of them is spoken of; one too many is listened to and forgotten.
    slot: Option<usize>,
    /// Whether the tap of this touch has been told.
    told: bool,
}

impl Taps {
    /// A device with those ranges, in front of a panel of `size` px, that points to `at` now.
    pub fn new(axes: (Range, Range), size: (u32, u32), at: (i32, i32)) -> Self {
        let pointer = Place { x: Some(at.0), y: Some(at.1) };
        Self {
            axes,
            size,
            pointer,
            button: false,
            fingers: [Place::default(); SLOTS],
            there: [false; SLOTS],
            slot: Some(0),
            told: false,
        }
    }

    /// The device said something. A touch is one tap, where it began, however long it lasts and wherever it goes.
    pub fn step(&mut self, told: Told) -> Option<Input> {
        let finger = self.slot.and_then(|slot| self.fingers.get_mut(slot));
        match told {
            Told::X(x) => self.pointer.x = Some(x),
            Told::Y(y) => self.pointer.y = Some(y),
            Told::Button(down) => self.button = down,
            Told::Slot(slot) => self.slot = usize::try_from(slot).ok().filter(|slot| *slot < SLOTS),
            Told::Finger(there) => {
                if let Some(finger) = self.slot.and_then(|slot| self.there.get_mut(slot)) {
                    *finger = there;
                }
            }
            Told::FingerX(x) => finger.into_iter().for_each(|f| f.x = Some(x)),
            Told::FingerY(y) => finger.into_iter().for_each(|f| f.y = Some(y)),
            Told::Moment => return self.moment(),
        }
        None
    }

    fn moment(&mut self) -> Option<Input> {
        let finger = self.there.iter().position(|there| *there);
        if finger.is_none() && !self.button {
            self.told = false;
            return None;
        }
        if self.told {
            return None;
        }
        let finger = finger.and_then(|slot| self.fingers.get(slot)).copied().unwrap_or_default();
        let (x, y) = (finger.x.or(self.pointer.x)?, finger.y.or(self.pointer.y)?);
        self.told = true;
        Some(Input::Tap { x: self.axes.0.pixel(x, self.size.0), y: self.axes.1.pixel(y, self.size.1) })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ranges_are_scaled_to_pixels() {
        let tablet = Range { low: 0, high: 32_767 };
        // 32768 values on 480 px: 68.27 values a pixel.
        for (value, pixel) in [(0, 0), (68, 0), (69, 1), (16_383, 239), (16_384, 240), (32_767, 479)] {
            assert_eq!(tablet.pixel(value, 480), pixel, "{value}");
        }
        // A resistive screen does not reach its converter's ends.
        let resistive = Range { low: 200, high: 3999 };
        // 3800 values on 320 px: 11.875 values a pixel; 2099 is 1899 from the edge, 159.9 px.
        for (value, pixel) in
            [(0, 0), (200, 0), (211, 0), (212, 1), (2099, 159), (2100, 160), (3999, 319), (4095, 319)]
        {
            assert_eq!(resistive.pixel(value, 320), pixel, "{value}");
        }
        // One to one.
        assert_eq!(Range { low: 0, high: 799 }.pixel(123, 800), 123);
        assert_eq!(Range { low: 5, high: 5 }.pixel(5, 800), 0);
        assert_eq!(Range { low: i32::MIN, high: i32::MAX }.pixel(i32::MAX, 800), 799);
    }

    fn taps() -> Taps {
        let range = Range { low: 0, high: 99 };
        Taps::new((range, range), (100, 100), (50, 60))
    }

    fn told(taps: &mut Taps, all: &[Told]) -> Vec<(u32, u32)> {
        let taps = all.iter().filter_map(|t| taps.step(*t));
        taps.map(|t| if let Input::Tap { x, y } = t { (x, y) } else { panic!("{t:?}") }).collect()
    }

    #[test]
    fn a_button_taps_once_where_the_pointer_is() {
        use Told::{Button, Moment, X, Y};
        let mut taps = taps();
        assert_eq!(told(&mut taps, &[X(10), Y(20), Moment]), []);
        assert_eq!(told(&mut taps, &[Button(true), Moment, X(30), Moment, X(31), Moment]), [(10, 20)]);
        assert_eq!(told(&mut taps, &[Button(false), Moment]), []);
        // Where and whether in one moment, in either order; an axis that stays is not told again.
        assert_eq!(told(&mut taps, &[Button(true), Y(7), Moment, Button(false), Moment]), [(31, 7)]);
    }

    #[test]
    fn the_first_finger_counts_and_the_others_do_not() {
        use Told::{Finger, FingerX, FingerY, Moment, Slot};
        let mut taps = taps();
        assert_eq!(told(&mut taps, &[Finger(true), FingerX(11), FingerY(12), Moment]), [(11, 12)]);
        let second = [Slot(1), Finger(true), FingerX(80), FingerY(81), Moment, FingerX(82), Moment];
        assert_eq!(told(&mut taps, &second), []);
        assert_eq!(told(&mut taps, &[Slot(0), Finger(false), Moment]), [], "the second is still there");
        assert_eq!(told(&mut taps, &[Slot(1), Finger(false), Moment]), []);
        // The kernel keeps what a slot said last: a finger at the same place is told without one.
        assert_eq!(told(&mut taps, &[Slot(0), Finger(true), Moment]), [(11, 12)]);
        // Slots beyond those that are told apart.
        let beyond = [Slot(0), Finger(false), Moment, Slot(99), Finger(true), FingerX(1), Moment];
        assert_eq!(told(&mut taps, &beyond), []);
        assert_eq!(told(&mut taps, &[Slot(-1), Finger(true), Moment]), []);
    }

    #[test]
    fn a_screen_that_says_both_taps_once() {
        use Told::{Button, Finger, FingerX, FingerY, Moment, X, Y};
        let mut taps = taps();
        let both = [Finger(true), FingerX(5), FingerY(6), Button(true), X(5), Y(6), Moment, Moment];
        assert_eq!(told(&mut taps, &both), [(5, 6)]);
        assert_eq!(told(&mut taps, &[Finger(false), Button(false), Moment]), []);
        // A finger whose place was never told is where the device points.
        let mut fresh = self::taps();
        assert_eq!(told(&mut fresh, &[Finger(true), Moment]), [(50, 60)]);
    }

    fn anything() -> impl Strategy<Value = Told> {
        prop_oneof![
            any::<i32>().prop_map(Told::X),
            any::<i32>().prop_map(Told::Y),
            any::<bool>().prop_map(Told::Button),
            (-2..14i32).prop_map(Told::Slot),
            any::<bool>().prop_map(Told::Finger),
            any::<i32>().prop_map(Told::FingerX),
            any::<i32>().prop_map(Told::FingerY),
            Just(Told::Moment),
        ]
    }

    proptest! {
        /// Whatever a device says, a tap is on the panel, and between two taps all was let go.
        #[test]
        fn taps_are_on_the_panel_and_apart(
            low in any::<i32>(), high in any::<i32>(), w in 1..5000u32, h in 1..5000u32,
            all in prop::collection::vec(anything(), 0..200),
        ) {
            let range = Range { low, high };
            let mut taps = Taps::new((range, range), (w, h), (low, high));
            let mut held = false;
            for event in all {
                let tap = taps.step(event);
                if let Some(Input::Tap { x, y }) = tap {
                    prop_assert!(x < w && y < h && !held);
                    held = true;
                }
                if event == Told::Moment && !taps.button && !taps.there.contains(&true) {
                    held = false;
                }
            }
        }
    }
}

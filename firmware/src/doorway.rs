//! What the door contact, the exit button, the tamper switch and the fire alarm mean: a pure state machine; time comes in.

use crate::time::Millis;

/// A door that is opened so shortly after the bolt fell was opened by who was let in, ms: contacts bounce, and bolts are slow.
pub const GRACE_MS: u64 = 1000;

/// What a switch at the door says. The first word of each is how it was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// The door contact.
    Contact {
        /// Whether the door stands open.
        open: bool,
    },
    /// The exit button.
    Exit {
        /// Whether it is held down.
        pressed: bool,
    },
    /// The switch in the housing.
    Tamper {
        /// Whether the housing is open.
        alarm: bool,
    },
    /// The contact of the fire alarm.
    Fire {
        /// Whether it asks for an open door.
        alarm: bool,
    },
}

/// What must be done about it, or written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// Somebody inside wants out.
    LetOut,
    /// The door opened and nobody had been let in.
    Forced,
    /// The door stands open for too long.
    Held,
    /// The housing was opened.
    Tampered,
    /// The housing is closed again.
    Untampered,
    /// The fire alarm asks for an open door.
    Fire,
    /// No more.
    FireOver,
}

/// What is wrong for as long as it lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alarm {
    /// The door was forced, and still stands open.
    Forced,
    /// The door was open for too long, and still is.
    Held,
    /// The housing is open.
    Tampered,
    /// The fire alarm asks for an open door.
    Fire,
}

/// One door as its switches show it.
#[derive(Debug, Clone)]
pub struct Doorway {
    held_open_ms: u64,
    /// Whether the bolt is drawn.
    unlocked: bool,
    /// When the bolt fell, once it did.
    locked_at: Option<Millis>,
    /// `None` until the contact has said anything.
    open: Option<bool>,
    /// Since when the door stands open, while nothing was said of it.
    untold_since: Option<Millis>,
    /// What was said of the door that stands open.
    told: Option<Alarm>,
    pressed: bool,
    tampered: bool,
    fire: bool,
}

impl Doorway {
    /// A locked door whose switches are not known yet. One that stands open for `held_open_ms` with its bolt out is held.
    pub fn new(held_open_ms: u64) -> Self {
        Self {
            held_open_ms,
            unlocked: false,
            locked_at: None,
            open: None,
            untold_since: None,
            told: None,
            pressed: false,
            tampered: false,
            fire: false,
        }
    }

    /// The bolt was drawn, or fell.
    pub fn bolt(&mut self, now: Millis, unlocked: bool) {
        if self.unlocked && !unlocked {
            self.locked_at = Some(now);
        }
        self.unlocked = unlocked;
    }

    /// A switch changed.
    pub fn step(&mut self, now: Millis, change: Change) -> Option<News> {
        match change {
            Change::Contact { open } => {
                let before = self.open.replace(open);
                if !open {
                    self.untold_since = None;
                    self.told = None;
                    return None;
                }
                if before == Some(true) {
                    return None;
                }
                let just_locked = self.locked_at.is_some_and(|at| now < at.plus(GRACE_MS));
                if before.is_some() && !self.unlocked && !just_locked {
                    // Told once, and not as held as well: it stays out of `untold_since`.
                    self.told = Some(Alarm::Forced);
                    return Some(News::Forced);
                }
                self.untold_since = Some(now);
                None
            }
            Change::Exit { pressed } => {
                let before = std::mem::replace(&mut self.pressed, pressed);
                (pressed && !before).then_some(News::LetOut)
            }
            Change::Tamper { alarm } => {
                let before = std::mem::replace(&mut self.tampered, alarm);
                (alarm != before).then_some(if alarm { News::Tampered } else { News::Untampered })
            }
            Change::Fire { alarm } => {
                let before = std::mem::replace(&mut self.fire, alarm);
                (alarm != before).then_some(if alarm { News::Fire } else { News::FireOver })
            }
        }
    }

    /// When [`Doorway::tick`] has something to say; `None` while nothing is due.
    pub fn deadline(&self) -> Option<Millis> {
        let since = self.untold_since.filter(|_| !self.unlocked)?;
        Some(self.locked_at.map_or(since, |at| at.max(since)).plus(self.held_open_ms))
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Millis) -> Option<News> {
        self.deadline().filter(|due| *due <= now)?;
        self.untold_since = None;
        self.told = Some(Alarm::Held);
        Some(News::Held)
    }

    /// What is wrong now: a fire before an open housing before an open door.
    pub fn alarm(&self) -> Option<Alarm> {
        match () {
            () if self.fire => Some(Alarm::Fire),
            () if self.tampered => Some(Alarm::Tampered),
            () => self.told,
        }
    }

    /// Whether the housing is open.
    pub fn is_tampered(&self) -> bool {
        self.tampered
    }

    /// Whether the fire alarm asks for an open door.
    pub fn is_on_fire(&self) -> bool {
        self.fire
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OPEN: Change = Change::Contact { open: true };
    const SHUT: Change = Change::Contact { open: false };

    fn door() -> Doorway {
        let mut door = Doorway::new(5000);
        assert_eq!(door.step(Millis(0), SHUT), None);
        door
    }

    #[test]
    fn a_door_that_opens_unasked_is_forced_and_that_is_told_once() {
        let mut door = door();
        assert_eq!(door.step(Millis(100), OPEN), Some(News::Forced));
        assert_eq!(door.step(Millis(110), OPEN), None);
        assert_eq!(door.tick(Millis(900_000)), None, "forced is not held as well");
        assert_eq!(door.alarm(), Some(Alarm::Forced));
        assert_eq!(door.step(Millis(900_100), SHUT), None);
        assert_eq!(door.alarm(), None);
        assert_eq!(door.step(Millis(900_200), OPEN), Some(News::Forced));
    }

    #[test]
    fn who_was_let_in_may_open_it_and_a_moment_later_too() {
        let mut door = door();
        door.bolt(Millis(1000), true);
        assert_eq!(door.step(Millis(2000), OPEN), None);
        assert_eq!(door.step(Millis(2500), SHUT), None);
        door.bolt(Millis(4000), false);
        assert_eq!(door.step(Millis(4999), OPEN), None);
        assert_eq!(door.step(Millis(4999), SHUT), None);
        assert_eq!(door.step(Millis(5000), OPEN), Some(News::Forced));
    }

    #[test]
    fn a_door_is_held_when_it_stands_open_too_long_after_its_bolt_fell() {
        let mut door = door();
        door.bolt(Millis(1000), true);
        assert_eq!(door.step(Millis(1500), OPEN), None);
        assert_eq!((door.deadline(), door.tick(Millis(60_000))), (None, None), "unlocked it may stand open");
        door.bolt(Millis(61_000), false);
        assert_eq!(door.deadline(), Some(Millis(66_000)));
        assert_eq!(door.tick(Millis(65_999)), None);
        assert_eq!(door.tick(Millis(66_000)), Some(News::Held));
        assert_eq!((door.tick(Millis(99_000)), door.alarm()), (None, Some(Alarm::Held)));
    }

    #[test]
    fn a_door_found_open_is_not_forced_but_held() {
        let mut door = Doorway::new(5000);
        assert_eq!(door.step(Millis(10), OPEN), None);
        assert_eq!(door.tick(Millis(5010)), Some(News::Held));
    }

    #[test]
    fn a_fire_is_told_of_both_ways_and_before_all_else() {
        let mut door = door();
        assert_eq!(door.step(Millis(0), Change::Fire { alarm: false }), None);
        assert_eq!(door.step(Millis(1), Change::Tamper { alarm: true }), Some(News::Tampered));
        assert_eq!(door.step(Millis(2), Change::Fire { alarm: true }), Some(News::Fire));
        assert_eq!(door.step(Millis(3), Change::Fire { alarm: true }), None);
        assert_eq!((door.alarm(), door.is_on_fire()), (Some(Alarm::Fire), true));
        assert_eq!(door.step(Millis(4), Change::Fire { alarm: false }), Some(News::FireOver));
        assert_eq!(door.alarm(), Some(Alarm::Tampered));
    }

    #[test]
    fn a_button_lets_out_once_a_press_and_a_housing_is_told_of_both_ways() {
        let mut door = door();
        assert_eq!(door.step(Millis(1), Change::Exit { pressed: true }), Some(News::LetOut));
        assert_eq!(door.step(Millis(2), Change::Exit { pressed: true }), None);
        assert_eq!(door.step(Millis(3), Change::Exit { pressed: false }), None);
        assert_eq!(door.step(Millis(4), Change::Tamper { alarm: false }), None);
        assert_eq!(door.step(Millis(5), Change::Tamper { alarm: true }), Some(News::Tampered));
        assert_eq!(door.alarm(), Some(Alarm::Tampered));
        assert_eq!(door.step(Millis(6), Change::Tamper { alarm: false }), Some(News::Untampered));
        assert_eq!(door.alarm(), None);
    }

    proptest! {
        /// Whatever happens: an opening is told at most once, never as forced while the bolt is drawn or was a moment ago,
        /// and never as held before its time.
        #[test]
        fn alarms_are_for_openings_alone(acts in prop::collection::vec((0..5u8, 0..3000u64), 1..80)) {
            let mut door = door();
            let (mut now, mut unlocked, mut open, mut told, mut since) = (Millis(0), false, false, false, Millis(0));
            let mut locked_at = None::<Millis>;
            for (act, wait) in acts {
                now = now.plus(wait);
                let news = match act {
                    0 | 1 => {
                        if unlocked && act == 0 { locked_at = Some(now); }
                        unlocked = act == 1;
                        door.bolt(now, unlocked);
                        None
                    }
                    2 | 3 => {
                        if !open || act == 2 { told = false; }
                        if !open && act == 3 { since = now; }
                        open = act == 3;
                        door.step(now, Change::Contact { open })
                    }
                    _ => door.tick(now),
                };
                match news {
                    None => {}
                    Some(News::Forced) => {
                        prop_assert!(act == 3 && !unlocked && !told);
                        prop_assert!(locked_at.is_none_or(|at| now.since(at) >= GRACE_MS));
                        told = true;
                    }
                    Some(News::Held) => {
                        prop_assert!(open && !unlocked && !told && now.since(since) >= 5000);
                        told = true;
                    }
                    Some(other) => prop_assert!(false, "{other:?}"),
                }
            }
        }
    }
}

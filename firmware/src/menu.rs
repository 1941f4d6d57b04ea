//! The way from a touch to the service menu and back: closed, PIN, items. A pure state machine; time comes in.
//!
//! Digits are compared, and hashed, elsewhere, since that takes a second: [`Menu::input`] hands them out, [`Menu::answer`] and
//! [`Menu::chosen`] take what came of it.

use embedded_graphics::geometry::Size;

use crate::controls::Input;
use crate::controls::focus::{Focus, Order};
use crate::decide::{self, PinAnswer, PinMatch};
use crate::display::screens::pin_pad::{self, Key};
use crate::display::screens::service_menu;
use crate::pin::{Digits, SHORTEST};
use crate::time::Millis;

/// Whoever goes away leaves nothing open: so long after the last input it closes, ms.
pub const CLOSES_AFTER_MS: u64 = 30_000;

/// What the service menu offers, from above. A new one is a variant here with its deed in [`Menu::take`], and its word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Item {
    /// To enrol somebody, or to look after somebody enrolled.
    People,
    /// Back to the door.
    Close,
}

impl Item {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::People, Self::Close];
}

/// What stands above the keys of the PIN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Note {
    /// A PIN is asked for.
    Enter,
    /// It is being compared, or hashed.
    Comparing,
    /// It was wrong.
    Wrong {
        /// So many more, before none is taken for a while.
        left: u32,
    },
    /// None is taken.
    Locked {
        /// For so long, s.
        left_s: u64,
    },
    /// There is no PIN yet: whoever is here chooses one.
    Choose(Choice),
}

/// How far somebody is who chooses a PIN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// At the beginning.
    First,
    /// The same is asked for again.
    Again,
    /// The second was another: from the beginning.
    Differs,
    /// What is tried first is no PIN: another one.
    Simple,
}

/// What is known of the PIN when somebody comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// There is none yet.
    None,
    /// There is one.
    Pin {
        /// Wrong ones in a row before.
        wrong: u32,
        /// No PIN is taken for so long, ms.
        locked_ms: u64,
    },
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deed {
    /// To compare the digits with the PIN: [`Menu::answer`].
    Compare(Digits),
    /// To make the digits the PIN: [`Menu::chosen`].
    Choose(Digits),
    /// To turn to the people. The menu stays as it is until [`Menu::back`].
    People,
}

/// What is to be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// The keys for a PIN.
    Pin {
        /// How many digits stand there.
        typed: usize,
        /// What is said.
        note: Note,
        /// The key that the ok button presses, once buttons are used.
        focus: Option<Key>,
    },
    /// The service menu.
    Items {
        /// The item that the ok button takes, likewise.
        focus: Option<Item>,
    },
}

/// What is to be written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// The service menu was opened.
    Opened,
    /// A wrong PIN.
    Wrong {
        /// So many in a row.
        wrong: u32,
    },
    /// No PIN is taken for a while.
    Locked {
        /// Wrong ones in a row.
        wrong: u32,
        /// For so long, ms.
        for_ms: u64,
    },
}

#[derive(Debug)]
enum Page {
    Closed,
    Pin { typed: Digits, note: Asked, focus: Focus },
    Items { focus: Focus },
}

/// As [`Note`], but for the lock, which outlives the page.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Asked {
    Enter,
    Comparing,
    Wrong {
        left: u32,
    },
    /// With what was typed first.
    Choose(Choice, Option<Digits>),
}

/// The way in and out of the service menu.
#[derive(Debug)]
pub struct Menu {
    /// Of the screens, px.
    size: Size,
    page: Page,
    /// Of the last input, or of the right PIN.
    since: Millis,
    /// Digits are out to be compared or hashed, be their page still open or not.
    out: bool,
    /// Whether there is a PIN.
    is_guarded: bool,
    /// Wrong PINs in a row.
    wrong: u32,
    /// No PIN is taken before.
    locked_until: Millis,
}

impl Menu {
    /// Closed, on screens of `size` px, with a PIN of which nothing wrong was typed.
    pub fn new(size: Size) -> Self {
        Self {
            size,
            page: Page::Closed,
            since: Millis::ZERO,
            out: false,
            is_guarded: true,
            wrong: 0,
            locked_until: Millis::ZERO,
        }
    }

    /// Whether it is closed: then it is to be told what guards it before the next input.
    pub fn is_closed(&self) -> bool {
        matches!(self.page, Page::Closed)
    }

    /// What guards it from now on.
    pub fn guarded(&mut self, guard: Guard, now: Millis) {
        (self.is_guarded, self.wrong, self.locked_until) = match guard {
            Guard::None => (false, 0, Millis::ZERO),
            Guard::Pin { wrong, locked_ms } => (true, wrong, now.plus(locked_ms)),
        };
    }

    /// Somebody did something; what is to be done.
    pub fn input(&mut self, input: Input, now: Millis) -> Option<Deed> {
        self.tick(now);
        self.since = now;
        let size = self.size;
        match &mut self.page {
            Page::Closed => {
                self.ask(Focus::after(input), now);
                None
            }
            Page::Pin { focus, .. } => {
                let key = focus.take(input, Key::ALL.len(), Order::Keys, |at| pin_pad::hit(size, at))?;
                self.press(*Key::ALL.get(key)?, now)
            }
            Page::Items { focus } => {
                let all = Item::ALL.len();
                let item = focus.take(input, all, Order::List, |at| service_menu::hit(size, all, at))?;
                self.take(*Item::ALL.get(item)?)
            }
        }
    }

    /// Shows the keys, whatever was there: the PIN is asked for.
    pub fn ask(&mut self, focus: Focus, now: Millis) {
        let note = if self.is_guarded { Asked::Enter } else { Asked::Choose(Choice::First, None) };
        self.page = Page::Pin { typed: Digits::default(), note, focus };
        self.since = now;
    }

    /// A key of the PIN's. While none is taken, or one is compared, closing is all there is.
    fn press(&mut self, key: Key, now: Millis) -> Option<Deed> {
        if key == Key::Close {
            self.page = Page::Closed;
            return None;
        }
        let locked = now < self.locked_until;
        let Page::Pin { typed, note, .. } = &mut self.page else { return None };
        if locked || *note == Asked::Comparing {
            return None;
        }
        match key {
            Key::Digit(digit) => typed.push(digit),
            Key::Delete => typed.pop(),
            // Digits of a page that was closed may still be out.
            Key::Enter if typed.len() < SHORTEST || self.out => return None,
            Key::Enter => {
                let digits = std::mem::take(typed);
                let (next, deed) = entered(note, digits);
                (*note, self.out) = (next, deed.is_some());
                return deed;
            }
            Key::Close => {}
        }
        if let Asked::Wrong { .. } = note {
            *note = Asked::Enter;
        }
        None
    }

    /// An item of the service menu.
    fn take(&mut self, item: Item) -> Option<Deed> {
        match item {
            Item::People => Some(Deed::People),
            Item::Close => {
                self.page = Page::Closed;
                None
            }
        }
    }

    /// What came of the digits that were out. A wrong PIN counts, also where nobody waits for the answer any more; a right one
    /// opens nothing then.
    pub fn answer(&mut self, typed: PinMatch, now: Millis) -> Option<News> {
        let waits = self.waits(now)?;
        let answer = decide::pin(typed, self.wrong);
        if answer == PinAnswer::Open {
            return waits.then(|| {
                self.wrong = 0;
                self.open(now)
            });
        }
        self.wrong = self.wrong.saturating_add(1);
        let wrong = self.wrong;
        let left = if let PinAnswer::Again { left } = answer { left } else { 0 };
        if let Page::Pin { note: note @ Asked::Comparing, .. } = &mut self.page {
            *note = if left > 0 { Asked::Wrong { left } } else { Asked::Enter };
        }
        let PinAnswer::Locked { for_ms } = answer else { return Some(News::Wrong { wrong }) };
        self.locked_until = now.plus(for_ms);
        Some(News::Locked { wrong, for_ms })
    }

    /// The digits that were out are the PIN from now on; whoever chose it is let in, if still there.
    pub fn chosen(&mut self, now: Millis) -> Option<News> {
        let waits = self.waits(now)?;
        self.guarded(Guard::Pin { wrong: 0, locked_ms: 0 }, now);
        waits.then(|| self.open(now))
    }

    /// The digits that were out are not the PIN: it could not be kept, or there is one by now. It is asked for again.
    pub fn not_chosen(&mut self, guard: Guard, now: Millis) {
        let waits = self.waits(now);
        self.guarded(guard, now);
        if let (Some(true), Page::Pin { focus, .. }) = (waits, &self.page) {
            self.ask(*focus, now);
        }
    }

    /// Whether anybody waits for what comes back now; `None` where nothing was out.
    fn waits(&mut self, now: Millis) -> Option<bool> {
        self.tick(now);
        std::mem::take(&mut self.out).then_some(matches!(self.page, Page::Pin { note: Asked::Comparing, .. }))
    }

    fn open(&mut self, now: Millis) -> News {
        let mut at = if let Page::Pin { focus, .. } = self.page { focus } else { Focus::default() };
        at.begin();
        (self.page, self.since) = (Page::Items { focus: at }, now);
        News::Opened
    }

    /// Whoever turned to something else is back.
    pub fn back(&mut self, now: Millis) {
        self.since = now;
    }

    /// Nothing is open any more.
    pub fn close(&mut self) {
        self.page = Page::Closed;
    }

    /// Lets time pass.
    pub fn tick(&mut self, now: Millis) {
        if now.since(self.since) >= CLOSES_AFTER_MS {
            self.page = Page::Closed;
        }
    }

    /// When [`Menu::tick`] closes it, or what is seen changes by itself.
    pub fn deadline(&self, now: Millis) -> Option<Millis> {
        let closes = self.since.plus(CLOSES_AFTER_MS);
        match self.page {
            Page::Closed => None,
            Page::Pin { .. } if now < self.locked_until => {
                let in_second = (self.locked_until.since(now) - 1) % 1000 + 1;
                Some(closes.min(now.plus(in_second)))
            }
            Page::Pin { .. } | Page::Items { .. } => Some(closes),
        }
    }

    /// What is to be seen of it; `None` while it is closed.
    pub fn view(&self, now: Millis) -> Option<View> {
        match &self.page {
            Page::Closed => None,
            Page::Pin { typed, note, focus } => {
                let left_ms = self.locked_until.since(now);
                let note = match note {
                    _ if left_ms > 0 => Note::Locked { left_s: left_ms.div_ceil(1000) },
                    Asked::Enter => Note::Enter,
                    Asked::Comparing => Note::Comparing,
                    Asked::Wrong { left } => Note::Wrong { left: *left },
                    Asked::Choose(choice, _) => Note::Choose(*choice),
                };
                Some(View::Pin { typed: typed.len(), note, focus: focus.of(&Key::ALL) })
            }
            Page::Items { focus } => Some(View::Items { focus: focus.of(&Item::ALL) }),
        }
    }
}

/// What follows on digits that were entered.
fn entered(asked: &mut Asked, digits: Digits) -> (Asked, Option<Deed>) {
    let Asked::Choose(_, first) = asked else { return (Asked::Comparing, Some(Deed::Compare(digits))) };
    match first.take() {
        None if digits.fault().is_some() => (Asked::Choose(Choice::Simple, None), None),
        None => (Asked::Choose(Choice::Again, Some(digits)), None),
        Some(first) if first == digits => (Asked::Comparing, Some(Deed::Choose(digits))),
        Some(_) => (Asked::Choose(Choice::Differs, None), None),
    }
}

#[cfg(test)]
mod tests;

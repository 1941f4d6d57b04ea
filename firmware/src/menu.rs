//! The way from a touch to the service menu and back: closed, PIN, items. A pure state machine; time comes in.
//!
//! Digits are compared elsewhere, since that takes a second: [`Menu::input`] hands them out, [`Menu::answer`] takes what came
//! of it.

use embedded_graphics::geometry::Size;

use crate::controls::Input;
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
    /// Back to the door.
    Close,
}

impl Item {
    /// All of them.
    pub const ALL: [Self; 1] = [Self::Close];
}

/// What stands above the keys of the PIN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Note {
    /// A PIN is asked for.
    Enter,
    /// It is being compared.
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
    Pin { typed: Digits, note: Asked, focus: Option<usize> },
    Items { focus: Option<usize> },
}

/// As [`Note`], but for the lock, which outlives the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Enter,
    Comparing,
    Wrong { left: u32 },
}

/// The way in and out of the service menu.
#[derive(Debug)]
pub struct Menu {
    /// Of the screens, px.
    size: Size,
    page: Page,
    /// Of the last input, or of the right PIN.
    since: Millis,
    /// Digits are out to be compared, be their page still open or not.
    out: bool,
    /// Wrong PINs in a row.
    wrong: u32,
    /// No PIN is taken before.
    locked_until: Millis,
}

impl Menu {
    /// Closed, on screens of `size` px.
    pub fn new(size: Size) -> Self {
        let (since, locked_until) = (Millis::ZERO, Millis::ZERO);
        Self { size, page: Page::Closed, since, out: false, wrong: 0, locked_until }
    }

    /// Somebody did something. Digits that come out are to be compared with the PIN.
    pub fn input(&mut self, input: Input, now: Millis) -> Option<Digits> {
        self.tick(now);
        self.since = now;
        let first = (!matches!(input, Input::Tap { .. })).then_some(0);
        match &mut self.page {
            Page::Closed => {
                self.page = Page::Pin { typed: Digits::default(), note: Asked::Enter, focus: first };
                None
            }
            Page::Pin { focus, .. } => {
                let key = match input {
                    Input::Tap { x, y } => {
                        *focus = None;
                        pin_pad::hit(self.size, (x, y))
                    }
                    Input::Up => moved(focus, Step::On, Key::ALL.len()),
                    Input::Down => moved(focus, Step::Back, Key::ALL.len()),
                    Input::Ok => moved(focus, Step::Take, Key::ALL.len()),
                };
                self.press(*Key::ALL.get(key?)?, now)
            }
            Page::Items { focus } => {
                let item = match input {
                    Input::Tap { x, y } => {
                        *focus = None;
                        service_menu::hit(self.size, Item::ALL.len(), (x, y))
                    }
                    // The next item stands below.
                    Input::Down => moved(focus, Step::On, Item::ALL.len()),
                    Input::Up => moved(focus, Step::Back, Item::ALL.len()),
                    Input::Ok => moved(focus, Step::Take, Item::ALL.len()),
                };
                if let Some(item) = item.and_then(|at| Item::ALL.get(at)) {
                    self.take(*item);
                }
                None
            }
        }
    }

    /// A key of the PIN's. While none is taken, or one is compared, closing is all there is.
    fn press(&mut self, key: Key, now: Millis) -> Option<Digits> {
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
                (*note, self.out) = (Asked::Comparing, true);
                return Some(std::mem::take(typed));
            }
            Key::Close => {}
        }
        *note = Asked::Enter;
        None
    }

    /// An item of the service menu.
    fn take(&mut self, item: Item) {
        match item {
            Item::Close => self.page = Page::Closed,
        }
    }

    /// What came of the digits that were out. A wrong PIN counts, also where nobody waits for the answer any more; a right one
    /// opens nothing then.
    pub fn answer(&mut self, typed: PinMatch, now: Millis) -> Option<News> {
        self.tick(now);
        if !std::mem::take(&mut self.out) {
            return None;
        }
        let waits = matches!(self.page, Page::Pin { note: Asked::Comparing, .. });
        let answer = decide::pin(typed, self.wrong);
        if answer == PinAnswer::Open {
            if !waits {
                return None;
            }
            (self.wrong, self.since) = (0, now);
            let focus = if let Page::Pin { focus: Some(_), .. } = self.page { Some(0) } else { None };
            self.page = Page::Items { focus };
            return Some(News::Opened);
        }
        self.wrong = self.wrong.saturating_add(1);
        let left = if let PinAnswer::Again { left } = answer { left } else { 0 };
        if let Page::Pin { note: note @ Asked::Comparing, .. } = &mut self.page {
            *note = if left > 0 { Asked::Wrong { left } } else { Asked::Enter };
        }
        let PinAnswer::Locked { for_ms } = answer else { return None };
        self.locked_until = now.plus(for_ms);
        Some(News::Locked { wrong: self.wrong, for_ms })
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
                };
                let focus = focus.and_then(|at| Key::ALL.get(at)).copied();
                Some(View::Pin { typed: typed.len(), note, focus })
            }
            Page::Items { focus } => {
                Some(View::Items { focus: focus.and_then(|at| Item::ALL.get(at)).copied() })
            }
        }
    }
}

/// What a button does with the focus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    On,
    Back,
    Take,
}

/// Moves the focus on a ring of `all`, or gives where it is. The first button after a touch only shows it.
fn moved(focus: &mut Option<usize>, step: Step, all: usize) -> Option<usize> {
    let Some(at) = focus else {
        *focus = Some(0);
        return None;
    };
    match step {
        Step::On => *at = (*at + 1) % all,
        Step::Back => *at = (*at + all - 1) % all,
        Step::Take => return Some(*at),
    }
    None
}

#[cfg(test)]
mod tests;

//! An admin and a person at the device: who it is, consent, poses, what came of them; and looking after somebody enrolled.
//! A pure state machine. Nothing is written before its end: samples are in memory alone, and go with it.

use embedded_graphics::geometry::Size;
use limen_gallery_db::{DuplicateRule, EnrolRefusal, Existing, Standing};

use super::poses::{Face, Poses, Progress};
use crate::controls::Input;
use crate::controls::focus::{Focus, Order};
use crate::display::screens::pin_pad::{self, Key};
use crate::display::screens::{choice, enrol as ring};
use crate::time::Millis;

/// Without an input, or a frame that was taken, for so long it is given up, ms.
pub const GIVES_UP_MS: u64 = 60_000;
/// Most digits of an id typed here.
pub const LONGEST_ID: usize = 12;

/// Somebody enrolled.
#[derive(Clone, PartialEq, Eq)]
pub struct Known {
    /// The id that people use.
    pub id: String,
    /// The name.
    pub name: String,
    /// In force or suspended.
    pub standing: Standing,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Enrolled, with so many templates.
    Enrolled(usize),
    /// Suspended, or no more.
    Stands(Standing),
    /// Removed.
    Removed,
    /// The samples do not show one face clearly enough.
    Unclear,
    /// There is no room for more templates.
    Full,
    /// The gallery did not take it.
    Failed,
}

/// What is said and asked, with keys below.
#[derive(Clone, PartialEq, Eq)]
pub enum Asked {
    /// What to do with somebody enrolled.
    Person(Known),
    /// Whether to remove somebody.
    Remove(Known),
    /// Whether the person agrees.
    Consent {
        /// Under which id.
        id: String,
    },
    /// The face is like that of somebody enrolled: an admin is needed.
    Alike,
    /// Like whose, for the admin alone; whether to enrol all the same.
    AlikeTo(Known),
    /// What came of it.
    Told {
        /// Of whom.
        id: String,
        /// What.
        what: Outcome,
    },
}

/// A key below what is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// More samples to those there are.
    Add,
    /// New samples in place of those there are.
    Renew,
    /// Deny from now on.
    Suspend,
    /// Deny no more.
    Resume,
    /// Forget the person.
    Remove,
    /// To what was before.
    Back,
    /// The person agrees.
    Agree,
    /// No more of it.
    Cancel,
    /// To the PIN.
    Pin,
    /// Enrol all the same.
    Anyway,
    /// It was read.
    Close,
}

impl Asked {
    /// The keys, from above or from the left.
    pub fn keys(&self) -> &'static [Answer] {
        match self {
            Self::Person(Known { standing: Standing::Active, .. }) => {
                &[Answer::Add, Answer::Renew, Answer::Suspend, Answer::Remove, Answer::Back]
            }
            Self::Person(Known { standing: Standing::Suspended, .. }) => {
                &[Answer::Add, Answer::Renew, Answer::Resume, Answer::Remove, Answer::Back]
            }
            Self::Remove(_) => &[Answer::Back, Answer::Remove],
            Self::Consent { .. } => &[Answer::Cancel, Answer::Agree],
            Self::Alike => &[Answer::Cancel, Answer::Pin],
            Self::AlikeTo(_) => &[Answer::Cancel, Answer::Anyway],
            Self::Told { .. } => &[Answer::Close],
        }
    }
}

/// What is to be seen.
#[derive(Clone, PartialEq, Eq)]
pub enum View {
    /// The keys for an id.
    Id {
        /// What stands there.
        typed: String,
        /// The key that the ok button presses, once buttons are used.
        focus: Option<Key>,
    },
    /// Words with keys below.
    Ask {
        /// Which.
        asked: Asked,
        /// The key that the ok button presses, likewise.
        focus: Option<usize>,
    },
    /// The camera's picture in a ring that fills.
    Poses {
        /// How far it is.
        progress: Progress,
        /// Whether the ok button cancels.
        is_focused: bool,
    },
    /// The samples are being compared with the gallery.
    Checking,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Deed {
    /// To look who has that id: [`Enrol::found`].
    Find(String),
    /// To suspend or resume somebody: [`Enrol::did`].
    Stand(String, Standing),
    /// To remove somebody: [`Enrol::did`].
    Remove(String),
    /// To begin with the poses: [`Enrol::begin`].
    Begin,
    /// To enrol: [`Enrol::did`], or [`Enrol::alike`].
    Enrol(Wanted),
    /// To ask for the PIN: [`Enrol::admitted`].
    Pin,
}

/// Somebody to be enrolled.
#[derive(Clone, PartialEq)]
pub struct Wanted {
    /// Under which id.
    pub id: String,
    /// Whether samples are added to somebody, or take the place of theirs.
    pub existing: Existing,
    /// Whether being like somebody else is no reason not to.
    pub duplicates: DuplicateRule,
    /// Embeddings and qualities.
    pub samples: Vec<(Vec<f32>, f32)>,
}

/// Where it leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Back to the service menu: the admin is still there.
    Menu,
    /// To the door: somebody else may be there by now.
    Door,
}

enum Page {
    Id {
        typed: String,
        focus: Focus,
    },
    Ask {
        asked: Asked,
        focus: Focus,
    },
    Poses {
        poses: Poses,
        focus: Focus,
    },
    /// The samples are out to be compared.
    Checking,
    /// The PIN is asked for.
    Waiting,
    Over(End),
}

/// The way of an enrolment.
pub struct Enrol {
    /// Of the screens, px.
    size: Size,
    page: Page,
    /// Who is to be enrolled, once an id is known; with the samples, once they are there.
    wanted: Wanted,
    /// Of the last input, or of the last frame that was taken.
    since: Millis,
}

impl Enrol {
    /// Asks for an id, on screens of `size` px.
    pub fn new(size: Size, focus: Focus, now: Millis) -> Self {
        let wanted = Wanted {
            id: String::new(),
            existing: Existing::Refuse,
            duplicates: DuplicateRule::Refuse,
            samples: Vec::new(),
        };
        Self { size, page: Page::Id { typed: String::new(), focus }, wanted, since: now }
    }

    /// Somebody did something; what is to be done.
    pub fn input(&mut self, input: Input, now: Millis) -> Option<Deed> {
        self.tick(now);
        self.since = now;
        let size = self.size;
        match &mut self.page {
            Page::Id { typed, focus } => {
                let key = focus.take(input, Key::ALL.len(), Order::Keys, |at| pin_pad::hit(size, at))?;
                match *Key::ALL.get(key)? {
                    Key::Digit(digit) if typed.len() < LONGEST_ID => {
                        typed.extend(char::from_digit(digit.into(), 10))
                    }
                    Key::Delete => drop(typed.pop()),
                    Key::Enter if !typed.is_empty() => return Some(Deed::Find(typed.clone())),
                    Key::Close => self.page = Page::Over(End::Menu),
                    Key::Digit(_) | Key::Enter => {}
                }
                None
            }
            Page::Ask { asked, focus } => {
                let keys = asked.keys();
                let key =
                    focus.take(input, keys.len(), Order::List, |at| choice::hit(size, keys.len(), at))?;
                let (asked, answer, mut focus) = (asked.clone(), *keys.get(key)?, *focus);
                focus.begin();
                self.answered(asked, answer, focus)
            }
            Page::Poses { focus, .. } => {
                focus.take(input, 1, Order::List, |at| ring::hit(size, at))?;
                self.cancel();
                None
            }
            Page::Checking | Page::Waiting | Page::Over(_) => None,
        }
    }

    fn answered(&mut self, asked: Asked, answer: Answer, focus: Focus) -> Option<Deed> {
        let ask = |asked| Page::Ask { asked, focus };
        match (asked, answer) {
            (Asked::Person(known), Answer::Add | Answer::Renew) => {
                self.wanted.existing =
                    if answer == Answer::Add { Existing::AddSamples } else { Existing::Replace };
                self.page = ask(Asked::Consent { id: known.id });
            }
            (Asked::Person(known), Answer::Suspend) => {
                return Some(Deed::Stand(known.id, Standing::Suspended));
            }
            (Asked::Person(known), Answer::Resume) => return Some(Deed::Stand(known.id, Standing::Active)),
            (Asked::Person(known), Answer::Remove) => self.page = ask(Asked::Remove(known)),
            (Asked::Remove(known), Answer::Remove) => return Some(Deed::Remove(known.id)),
            (Asked::Remove(known), _) => self.page = ask(Asked::Person(known)),
            (Asked::Person(_), _) => self.page = Page::Id { typed: String::new(), focus },
            (Asked::Consent { .. }, Answer::Agree) => return Some(Deed::Begin),
            (Asked::Alike, Answer::Pin) => {
                self.page = Page::Waiting;
                return Some(Deed::Pin);
            }
            (Asked::AlikeTo(_), Answer::Anyway) => {
                self.wanted.duplicates = DuplicateRule::Allow;
                self.page = Page::Checking;
                return Some(Deed::Enrol(self.wanted.clone()));
            }
            // The admin is still there.
            (Asked::Told { what: Outcome::Stands(_) | Outcome::Removed, .. }, _) => {
                self.page = Page::Over(End::Menu)
            }
            (Asked::Consent { .. } | Asked::Alike | Asked::AlikeTo(_) | Asked::Told { .. }, _) => {
                self.cancel()
            }
        }
        None
    }

    /// Who has the id that was looked for.
    pub fn found(&mut self, id: String, known: Option<Known>) {
        let Page::Id { focus, .. } = &mut self.page else { return };
        focus.begin();
        self.wanted.id.clone_from(&id);
        self.wanted.existing = Existing::Refuse;
        let asked = known.map_or(Asked::Consent { id }, Asked::Person);
        self.page = Page::Ask { asked, focus: *focus };
    }

    /// The person agreed: the poses begin. A frame before this is not even looked at.
    pub fn begin(&mut self, poses: Poses) {
        if let Page::Ask { asked: Asked::Consent { .. }, .. } = self.page {
            self.page = Page::Poses { poses, focus: Focus::default() };
        }
    }

    /// Whether frames are looked at.
    pub fn is_looking(&self) -> bool {
        matches!(self.page, Page::Poses { .. })
    }

    /// A frame with its largest face, if it has one; what is to be done.
    pub fn look(&mut self, face: Option<&Face<'_>>, now: Millis) -> Option<Deed> {
        self.tick(now);
        let Page::Poses { poses, .. } = &mut self.page else { return None };
        if poses.look(face, now) {
            self.since = now;
        }
        if !poses.is_done() {
            return None;
        }
        let Page::Poses { poses, .. } = std::mem::replace(&mut self.page, Page::Checking) else {
            return None;
        };
        self.wanted.samples = poses.into_samples();
        Some(Deed::Enrol(self.wanted.clone()))
    }

    /// What came of a deed.
    pub fn did(&mut self, what: Outcome, now: Millis) {
        if !matches!(self.page, Page::Over(_)) {
            self.wanted.samples.clear();
            let asked = Asked::Told { id: self.wanted.id.clone(), what };
            (self.page, self.since) = (Page::Ask { asked, focus: Focus::default() }, now);
        }
    }

    /// The face is like that of somebody enrolled.
    pub fn alike(&mut self, now: Millis) {
        if matches!(self.page, Page::Checking) {
            (self.page, self.since) = (Page::Ask { asked: Asked::Alike, focus: Focus::default() }, now);
        }
    }

    /// An admin is here, and may see whose face it is like.
    pub fn admitted(&mut self, like: Known, now: Millis) {
        if matches!(self.page, Page::Waiting) {
            (self.page, self.since) =
                (Page::Ask { asked: Asked::AlikeTo(like), focus: Focus::default() }, now);
        }
    }

    /// No more of it: what was taken is gone.
    pub fn cancel(&mut self) {
        self.wanted.samples.clear();
        self.page = Page::Over(End::Door);
    }

    /// Lets time pass.
    pub fn tick(&mut self, now: Millis) {
        if now.since(self.since) >= GIVES_UP_MS {
            self.cancel();
        }
    }

    /// When [`Enrol::tick`] gives it up.
    pub fn deadline(&self) -> Millis {
        self.since.plus(GIVES_UP_MS)
    }

    /// Where it leads to, once it is over.
    pub fn end(&self) -> Option<End> {
        if let Page::Over(end) = self.page { Some(end) } else { None }
    }

    /// What is to be seen of it; `None` while the PIN is asked for, and once it is over.
    pub fn view(&self) -> Option<View> {
        match &self.page {
            Page::Id { typed, focus } => Some(View::Id { typed: typed.clone(), focus: focus.of(&Key::ALL) }),
            Page::Ask { asked, focus } => Some(View::Ask { asked: asked.clone(), focus: focus.at() }),
            Page::Poses { poses, focus } => {
                Some(View::Poses { progress: poses.progress(), is_focused: focus.at().is_some() })
            }
            Page::Checking => Some(View::Checking),
            Page::Waiting | Page::Over(_) => None,
        }
    }
}

impl From<&EnrolRefusal> for Outcome {
    fn from(refusal: &EnrolRefusal) -> Self {
        match refusal {
            EnrolRefusal::TooFewSamples { .. } => Self::Unclear,
            EnrolRefusal::NoRoom { .. } => Self::Full,
            // Somebody took the id meanwhile.
            EnrolRefusal::AlreadyEnrolled { .. } | EnrolRefusal::DuplicatePerson { .. } => Self::Failed,
        }
    }
}

impl std::fmt::Debug for Known {
    /// No name.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Known({})", self.id)
    }
}

impl std::fmt::Debug for Wanted {
    /// No vector.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Wanted({}, {} samples)", self.id, self.samples.len())
    }
}

impl std::fmt::Debug for Enrol {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Enrol({:?})", self.wanted)
    }
}

#[cfg(test)]
mod tests;

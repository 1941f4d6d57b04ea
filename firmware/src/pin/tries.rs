//! Wrong PINs in a row, kept in the gallery's file: who pulls the plug, or sets the clock, wins no further tries.

use jiff::{SignedDuration, Timestamp};
use limen_gallery_db::Setting;
use serde::{Deserialize, Serialize};

/// Wrong PINs in a row, and the lock that they brought.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tries {
    /// How many.
    pub wrong: u32,
    lock: Option<Lock>,
}

/// No PIN is taken for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Lock {
    /// By the clock on the wall, which alone goes on over a restart.
    since: Timestamp,
    for_ms: u64,
}

impl Setting for Tries {
    const KEY: &'static str = "admin-pin-tries";
}

impl Tries {
    /// `wrong` in a row, none of them with a lock.
    pub fn of(wrong: u32) -> Self {
        Self { wrong, lock: None }
    }

    /// `wrong` in a row, the last of which locked the menu at `since`.
    pub fn locked(wrong: u32, since: Timestamp, for_ms: u64) -> Self {
        Self { wrong, lock: Some(Lock { since, for_ms }) }
    }

    /// For how much longer no PIN is taken, ms.
    pub fn left_ms(&self, now: Timestamp) -> u64 {
        self.lock.as_ref().map_or(0, |lock| {
            // Before the clock was set back.
            let gone = u64::try_from(now.duration_since(lock.since).as_millis()).unwrap_or(0);
            lock.for_ms.saturating_sub(gone)
        })
    }

    /// What is to be kept in its place at `now`, if anything else. Where the clock was set back behind the lock's beginning,
    /// the lock begins anew: it lasts no longer than it was meant to, and no less. One that is over is forgotten, so that no
    /// clock brings it back.
    pub fn noticed(&self, now: Timestamp) -> Option<Self> {
        let lock = self.lock.as_ref()?;
        if now.duration_since(lock.since) < SignedDuration::ZERO {
            return Some(Self::locked(self.wrong, now, lock.for_ms));
        }
        (self.left_ms(now) == 0).then(|| Self::of(self.wrong))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).unwrap()
    }

    #[test]
    fn a_lock_ends_when_its_time_is_over_by_the_clock() {
        let tries = Tries::locked(5, at(0), 60_000);
        assert_eq!([0, 59, 60, 3600].map(|s| tries.left_ms(at(s))), [60_000, 1000, 0, 0]);
        assert_eq!(Tries::of(4).left_ms(at(0)), 0);
        assert_eq!(serde_json::from_str::<Tries>(&serde_json::to_string(&tries).unwrap()).unwrap(), tries);
    }

    #[test]
    fn a_clock_that_is_set_back_makes_it_no_longer_than_it_was() {
        let tries = Tries::locked(5, at(0), 60_000);
        assert_eq!((tries.left_ms(at(-86_400)), tries.noticed(at(0))), (60_000, None));
        let anew = tries.noticed(at(-86_400)).unwrap();
        assert_eq!([-86_400, -86_341, -86_340].map(|s| anew.left_ms(at(s))), [60_000, 1000, 0]);
        assert_eq!((anew.wrong, anew.noticed(at(-86_400))), (5, None));
        assert_eq!((anew.noticed(at(-86_341)), anew.noticed(at(-86_340))), (None, Some(Tries::of(5))));
        assert_eq!(Tries::of(5).noticed(at(-86_400)), None);
    }
}

//! Time inside the appliance: monotonic milliseconds since the camera first opened, never the wall clock.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Monotonic milliseconds since the camera first opened. A replayed clip counts them from its frame rate, so a test of an
/// hour at the door needs no hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Millis(pub u64);

impl Millis {
    /// The moment the camera opened.
    pub const ZERO: Self = Self(0);

    /// This moment plus `ms` milliseconds; stays at the end of time instead of wrapping.
    #[must_use]
    pub const fn plus(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to this moment; 0 if `earlier` is later.
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl From<std::time::Duration> for Millis {
    fn from(d: std::time::Duration) -> Self {
        Self(u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
    }
}

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_stops_at_both_ends() {
        assert_eq!(Millis(40).plus(2), Millis(42));
        assert_eq!(Millis(u64::MAX).plus(1), Millis(u64::MAX));
        assert_eq!(Millis(42).since(Millis(40)), 2);
        assert_eq!(Millis(40).since(Millis(42)), 0);
        assert_eq!(Millis::from(std::time::Duration::from_micros(2500)), Millis(2));
    }
}

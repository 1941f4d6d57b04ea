//! What an admin tells a running door from elsewhere: open once, lock down, no more. The gallery file carries it, so that it
//! is there after the next start, and whoever may write that file may say it.

use jiff::Timestamp;
use limen_gallery_db::Setting;
use serde::{Deserialize, Serialize};

/// An order to open is for now: one that is older is not obeyed, ms.
pub const FRESH_MS: i64 = 10_000;

/// The orders.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct DoorOrders {
    /// Nobody is to come in.
    pub lockdown: bool,
    /// The last order to open.
    pub open: Option<OpenOrder>,
}

/// An order to open once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenOrder {
    /// Rises with each.
    pub number: u64,
    /// When it was given.
    pub at: Timestamp,
    /// Why, in the admin's words.
    pub why: String,
}

impl Setting for DoorOrders {
    const KEY: &'static str = "door-orders";
}

impl OpenOrder {
    /// Whether it is for now.
    pub fn is_fresh(&self, now: Timestamp) -> bool {
        // A clock that was set back meanwhile makes no old order new.
        (0..FRESH_MS).contains(&now.duration_since(self.at).as_millis().try_into().unwrap_or(i64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_to_open_is_for_now() {
        let at: Timestamp = "2026-11-30T09:00:00Z".parse().unwrap();
        let order = OpenOrder { number: 1, at, why: "parcel".into() };
        for (ms, fresh) in
            [(0, true), (9_999, true), (10_000, false), (-1, false), (i64::MAX / 2_000_000, false)]
        {
            let now = at.checked_add(jiff::SignedDuration::from_millis(ms)).unwrap();
            assert_eq!(order.is_fresh(now), fresh, "{ms}");
        }
    }
}

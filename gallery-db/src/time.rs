//! Points in time as the file holds them: whole milliseconds since 1970 UTC, so that what is read equals what was
//! written.

use jiff::Timestamp;

use crate::error::Fault;

/// The column value of `t`; what is finer than a millisecond is dropped.
pub(crate) fn to_ms(t: Timestamp) -> i64 {
    t.as_millisecond()
}

/// `t` as it will be read back.
pub(crate) fn whole_ms(t: Timestamp) -> Timestamp {
    // A timestamp's own milliseconds are always in its range.
    from_ms(to_ms(t)).unwrap_or(t)
}

/// The time of a column value.
pub(crate) fn from_ms(ms: i64) -> Result<Timestamp, Fault> {
    // By seconds, because `Timestamp::from_millisecond` refuses the last second of `Timestamp::MAX`. The remainder
    // is below 1e9 nanoseconds, which fits an i32.
    let (second, nanosecond) = (ms.div_euclid(1000), ms.rem_euclid(1000) as i32 * 1_000_000);
    Timestamp::new(second, nanosecond).map_err(|_| Fault::Damaged(format!("{ms} is no time in milliseconds")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_survives_to_the_millisecond() {
        let t: Timestamp = "2025-03-01T08:15:30.123456789Z".parse().unwrap();
        assert_eq!(to_ms(t), 1_740_816_930_123);
        assert_eq!(from_ms(to_ms(t)).unwrap(), whole_ms(t));
        assert_eq!(whole_ms(t).to_string(), "2025-03-01T08:15:30.123Z");
        let before: Timestamp = "1969-12-31T23:59:59.5Z".parse().unwrap();
        assert_eq!((to_ms(before), from_ms(-500).unwrap()), (-500, before));
        for end in [Timestamp::MIN, Timestamp::MAX] {
            assert_eq!(from_ms(to_ms(end)).unwrap(), whole_ms(end));
        }
        assert!(from_ms(i64::MAX).is_err());
    }
}

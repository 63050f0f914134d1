//! Points in time as people write them, by integers alone: the core has no clock, and a calendar is a few divisions.

use crate::time::UtcNanos;
use core::fmt;

const DAY_SECONDS: u64 = 24 * 60 * 60;

/// Days from 0000-03-01 to 1970-01-01. A year that begins in March has its leap day at its end.
const EPOCH_DAY: u64 = 719_468;

/// Days in 400 years, after which the Gregorian calendar repeats itself.
const ERA_DAYS: u64 = 146_097;

/// `2026-11-22T11:29:11.573Z` (RFC 3339 §5.6), cut to the millisecond.
pub(crate) fn rfc3339(utc: UtcNanos) -> String {
    let Civil { year, month, day, hour, minute, second } = Civil::new(utc);
    let millis = utc.0 / 1_000_000 % 1000;
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

/// Date and time of day in the Gregorian calendar, UTC. `Display` is ISO 8601's basic format, which a file may be
/// named by: `20261122T112911Z`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Civil {
    year: u64,
    month: u64,
    day: u64,
    hour: u64,
    minute: u64,
    second: u64,
}

impl Civil {
    pub(super) const fn new(utc: UtcNanos) -> Self {
        let seconds = utc.0 / 1_000_000_000;
        let (year, month, day) = civil(seconds / DAY_SECONDS);
        let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
        Self { year, month, day, hour, minute, second }
    }

    /// Reads what `Display` writes, and nothing else.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let number = |at: core::ops::Range<usize>| {
            let digits = text.get(at).filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))?;
            digits.parse::<u64>().ok()
        };
        let (year, month, day) = (number(0..4)?, number(4..6)?, number(6..8)?);
        let (hour, minute, second) = (number(9..11)?, number(11..13)?, number(13..15)?);
        let read = Self { year, month, day, hour, minute, second };
        // What is no date (or has something else between its digits) is written otherwise.
        (year >= 1970 && month > 0 && day > 0)
            .then(|| Self::new(UtcNanos(read.since_epoch().saturating_mul(1_000_000_000))))
            .filter(|written| *written == read && written.to_string() == text)
    }

    /// Seconds since the Unix epoch.
    pub(super) const fn since_epoch(self) -> u64 {
        let Self { year, month, day, hour, minute, second } = self;
        days(year, month, day).saturating_mul(DAY_SECONDS) + hour * 3600 + minute * 60 + second
    }
}

impl fmt::Display for Civil {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { year, month, day, hour, minute, second } = self;
        write!(f, "{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
    }
}

/// Year, month and day of the day so many days after 1970-01-01 (H. Hinnant, "chrono-Compatible Low-Level Date
/// Algorithms", `civil_from_days`).
const fn civil(days: u64) -> (u64, u64, u64) {
    let day = days + EPOCH_DAY;
    let (era, of_era) = (day / ERA_DAYS, day % ERA_DAYS);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

/// The way back (`days_from_civil`). Month and day count from 1; a year before 1970 gives zero.
const fn days(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year.saturating_sub(1) } else { year };
    let (era, year_of_era) = (year / 400, year % 400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day.saturating_sub(1);
    let of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year;
    (era * ERA_DAYS + of_era).saturating_sub(EPOCH_DAY)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(seconds: u64) -> UtcNanos {
        UtcNanos(seconds * 1_000_000_000)
    }

    #[test]
    fn known_moments_are_written_as_everybody_else_writes_them() {
        // The seconds are those of `date -u -d … +%s` (GNU coreutils).
        for (seconds, text, stamp) in [
            (0, "1970-01-01T00:00:00.000Z", "19700101T000000Z"),
            (951_782_399, "2000-02-28T23:59:59.000Z", "20000228T235959Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z", "20000229T000000Z"),
            (951_868_800, "2000-03-01T00:00:00.000Z", "20000301T000000Z"),
            (1_709_210_096, "2024-02-29T12:34:56.000Z", "20240229T123456Z"),
            (1_735_689_599, "2024-12-31T23:59:59.000Z", "20241231T235959Z"),
            (1_772_323_199, "2026-02-28T23:59:59.000Z", "20260228T235959Z"),
            (1_772_323_200, "2026-03-01T00:00:00.000Z", "20260301T000000Z"),
            (4_107_542_399, "2100-02-28T23:59:59.000Z", "21000228T235959Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z", "21000301T000000Z"),
        ] {
            assert_eq!(rfc3339(at(seconds)), text);
            assert_eq!(Civil::new(at(seconds)).to_string(), stamp);
            assert_eq!(Civil::parse(stamp).map(Civil::since_epoch), Some(seconds), "{stamp}");
        }
        assert_eq!(rfc3339(UtcNanos(1_795_346_951_573_999_999)), "2026-11-22T11:29:11.573Z");
        assert_eq!(rfc3339(UtcNanos(u64::MAX)), "2554-07-21T23:34:33.709Z");
    }

    #[test]
    fn what_is_no_stamp_is_not_read() {
        for text in [
            "",
            "2026-11-22T11:29:11Z",
            "20261122T112911",
            "20261122T112911ZZ",
            "20261122t112911Z",
            "20260229T000000Z",
            "20261301T000000Z",
            "20260001T000000Z",
            "20260100T000000Z",
            "20260101T240000Z",
            "20260101T006000Z",
            "+0260101T000000Z",
            "19691231T235959Z",
            "２0261122T112911Z",
        ] {
            assert_eq!(Civil::parse(text), None, "{text}");
        }
    }

    proptest! {
        /// Every second is written and read back, and a later one never reads as an earlier one.
        #[test]
        fn stamps_are_read_back_and_sort_as_time_does(a in 0u64..18_000_000_000, b in 0u64..18_000_000_000) {
            let (first, second) = (Civil::new(at(a)).to_string(), Civil::new(at(b)).to_string());
            prop_assert_eq!(Civil::parse(&first).map(Civil::since_epoch), Some(a));
            prop_assert_eq!(first.cmp(&second), a.cmp(&b));
        }
    }
}

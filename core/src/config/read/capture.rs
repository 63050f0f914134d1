//! `CAPTURE` and what belongs to it.

use super::super::reader::{Reader, is_plain};
use super::super::{CaptureConfig, CaptureMode};

const MB: u64 = 1024 * 1024;

pub(super) fn capture(reader: &mut Reader<'_>) -> Option<CaptureConfig> {
    let mode = reader.parse(
        "CAPTURE",
        "off, blackbox, all, or sample:N with N from 1 to 1000000",
        CaptureMode::from_name,
    );
    let dir = reader.parse("CAPTURE_DIR", "a path without control characters", |text| {
        is_plain(text).then(|| text.to_owned())
    });
    let max = reader.number("CAPTURE_MAX_MB", 1..=100_000_000, " MB");
    let days = reader.number("CAPTURE_MAX_DAYS", 1..=3650, " days");
    let min_free = reader.number("CAPTURE_MIN_FREE_MB", 0..=100_000_000, " MB");
    let black_box = reader.number("CAPTURE_BLACKBOX_MB", 1..=1024, " MB");
    Some(CaptureConfig {
        mode: mode?,
        dir: dir?,
        max_bytes: max? * MB,
        days: days?,
        min_free_bytes: min_free? * MB,
        black_box_bytes: usize::try_from(black_box? * MB).ok()?,
    })
}

//! What is said of captures that are lost.

use ari_bridge_core::metrics::{CaptureLoss, Captures};
use std::collections::BTreeMap;
use std::fmt::Display;
use std::time::{Duration, Instant};

/// How often the same is said, at the most.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// Counts lost captures, and logs of each kind the first one and not more than one a minute.
pub(super) struct Losses {
    counts: Captures,
    told: BTreeMap<CaptureLoss, Instant>,
}

impl Losses {
    pub(super) const fn new(counts: Captures) -> Self {
        Self { counts, told: BTreeMap::new() }
    }

    pub(super) fn one(&mut self, why: CaptureLoss, words: &dyn Display) {
        self.counts.dropped(why);
        let now = Instant::now();
        if self.told.get(&why).is_none_or(|told| now.duration_since(*told) >= TELL_EVERY) {
            self.told.insert(why, now);
            tracing::warn!(
                "a capture is lost or breaks off ({}): {words}; further ones are counted in the metrics",
                why.label()
            );
        }
    }
}

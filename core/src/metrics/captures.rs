//! What is counted about captures.

use super::{Labels, bump};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// Counts captures. It is made for other threads: what it counts is in the [`Metrics`](super::Metrics) that it is of.
#[derive(Clone, Debug)]
pub struct Captures {
    written: Counter,
    bytes: Counter,
    dropped: Family<Labels, Counter>,
}

/// Why a capture was not made, or ends before its end.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum CaptureLoss {
    /// What is to be written waits, and more of it may not.
    Queue,
    /// There is too little free disk.
    Disk,
    /// It is larger than it may be.
    Bound,
    /// It cannot be written, or a fault of our own.
    Error,
}

impl CaptureLoss {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Queue, Self::Disk, Self::Bound, Self::Error];

    /// The value of the label `reason` in the metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Disk => "disk",
            Self::Bound => "bound",
            Self::Error => "error",
        }
    }
}

impl Captures {
    pub(super) fn new() -> Self {
        let (written, bytes, dropped) = (Counter::default(), Counter::default(), Family::default());
        for reason in CaptureLoss::ALL.map(CaptureLoss::label) {
            drop(Family::<Labels, Counter>::get_or_create(&dropped, &[("reason", reason)]));
        }
        Self { written, bytes, dropped }
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "captures_written",
            "Captures that are in CAPTURE_DIR as a whole",
            self.written.clone(),
        );
        registry.register("capture_bytes", "What was written to CAPTURE_DIR, compressed", self.bytes.clone());
        registry.register(
            "captures_dropped",
            "Captures that were not made, or that break off, by why",
            self.dropped.clone(),
        );
    }

    /// One is in its file as a whole.
    pub fn written(&self) {
        bump(&self.written, 1);
    }

    /// So many bytes were written.
    pub fn bytes(&self, bytes: u64) {
        self.bytes.inc_by(bytes);
    }

    /// One is lost, or breaks off.
    pub fn dropped(&self, why: CaptureLoss) {
        bump(&self.dropped.get_or_create(&[("reason", why.label())]), 1);
    }
}

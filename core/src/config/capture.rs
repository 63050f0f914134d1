//! What is captured of calls, where, and how much of it is kept.

use core::num::NonZeroU64;

/// What is captured of calls, where, and how much of it is kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CaptureConfig {
    /// Of which calls.
    pub mode: CaptureMode,
    /// The folder.
    pub dir: String,
    /// How large the folder may become, in bytes; the oldest captures go first.
    pub max_bytes: u64,
    /// For how many days captures are kept.
    pub days: u64,
    /// With less free space than this nothing is written, in bytes.
    pub min_free_bytes: u64,
    /// How much memory the black box of a call may take, in bytes.
    pub black_box_bytes: usize,
}

/// Of which calls captures are made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CaptureMode {
    /// Of none.
    Off,
    /// Of each call in memory; written only if it ends badly or is asked for.
    BlackBox,
    /// Of one call out of so many.
    Sample(NonZeroU64),
    /// Of all.
    All,
}

impl CaptureMode {
    /// As it stands in `CAPTURE`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "off" => Some(Self::Off),
            "blackbox" => Some(Self::BlackBox),
            "all" => Some(Self::All),
            _ => {
                let number = name.strip_prefix("sample:")?;
                number.parse().ok().filter(|n: &NonZeroU64| n.get() <= MAX_SAMPLE).map(Self::Sample)
            }
        }
    }
}

/// The sparsest sample is one call out of so many.
const MAX_SAMPLE: u64 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_read_and_others_are_refused() {
        let sample = |n| Some(CaptureMode::Sample(NonZeroU64::new(n).unwrap()));
        assert_eq!(CaptureMode::from_name("off"), Some(CaptureMode::Off));
        assert_eq!(CaptureMode::from_name("blackbox"), Some(CaptureMode::BlackBox));
        assert_eq!(CaptureMode::from_name("all"), Some(CaptureMode::All));
        assert_eq!(CaptureMode::from_name("sample:1"), sample(1));
        assert_eq!(CaptureMode::from_name("sample:1000000"), sample(1_000_000));
        for bad in
            ["", "on", "All", "sample", "sample:", "sample:0", "sample:-1", "sample:1000001", "sample:x"]
        {
            assert_eq!(CaptureMode::from_name(bad), None, "{bad}");
        }
    }
}

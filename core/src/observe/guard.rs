//! What there is to tell of the switchboard's guards: the circuit breaker, and the limit on what a day may cost.

use super::Severity;
use core::fmt;

/// A guard has something to tell.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Guard {
    /// The Realtime side has failed for so many calls in a row that new ones do not try it.
    BreakerOpened {
        /// How many.
        calls: u32,
    },
    /// A call tries whether it is well again.
    BreakerProbe,
    /// It is.
    BreakerClosed,
    /// A good part of what a day may cost is spent.
    CostWarning {
        /// How much of it, in percent.
        percent: u32,
    },
    /// All of it is; new calls go on in the dialplan until the next day (UTC).
    CostReached,
}

impl Guard {
    /// How loud the line in the log is.
    #[must_use]
    pub const fn severity(&self) -> Severity {
        match self {
            Self::BreakerProbe | Self::BreakerClosed => Severity::Info,
            Self::CostWarning { .. } => Severity::Warn,
            Self::BreakerOpened { .. } | Self::CostReached => Severity::Error,
        }
    }
}

impl fmt::Display for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BreakerOpened { calls } => write!(
                f,
                "the Realtime side has failed for {calls} calls in a row; new ones go on in the dialplan, \
                 and one at a time tries it again"
            ),
            Self::BreakerProbe => f.write_str("this call tries whether the Realtime side is well again"),
            Self::BreakerClosed => f.write_str("the Realtime side is well again"),
            Self::CostWarning { percent } => write!(f, "{percent} % of MAX_COST_PER_DAY is spent"),
            Self::CostReached => f.write_str(
                "MAX_COST_PER_DAY is spent; new calls go on in the dialplan until the next day (UTC)",
            ),
        }
    }
}

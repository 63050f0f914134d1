//! Why a call is not taken on.

use core::fmt;

/// Why a call is not taken on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Refusal {
    /// As many calls as allowed are under way.
    TooManyCalls,
    /// The bridge is stopping.
    Stopping,
    /// The Realtime side has failed for every call of late.
    RealtimeDown,
    /// What a day may cost is spent.
    CostLimit,
    /// Every media port is in use, or rests after a call.
    NoPort,
    /// The caller was found waiting for a call that is lost, and callers are not to be adopted.
    NotAdopted,
}

impl Refusal {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::TooManyCalls,
        Self::Stopping,
        Self::RealtimeDown,
        Self::CostLimit,
        Self::NoPort,
        Self::NotAdopted,
    ];

    /// The value of the label `status` in the metrics, and of `ARI_BRIDGE_STATUS` on a channel that goes on in the
    /// dialplan.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::TooManyCalls => "refused_too_many_calls",
            Self::Stopping => "refused_stopping",
            Self::RealtimeDown => "refused_realtime_down",
            Self::CostLimit => "refused_cost_limit",
            Self::NoPort => "refused_no_port",
            Self::NotAdopted => "refused_not_adopted",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooManyCalls => "call sent on in the dialplan: as many calls as allowed are under way",
            Self::Stopping => "call sent on in the dialplan: the bridge is stopping",
            Self::RealtimeDown => {
                "call sent on in the dialplan: the Realtime side has failed for every call of late"
            }
            Self::CostLimit => "call sent on in the dialplan: MAX_COST_PER_DAY is spent",
            Self::NoPort => {
                "call sent on in the dialplan: every port of RTP_PORT_START..RTP_PORT_END is in use or rests; \
                 widen the range"
            }
            Self::NotAdopted => "a caller whose call is lost was sent on in the dialplan: ADOPT=off",
        })
    }
}

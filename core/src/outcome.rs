//! How and why calls end.

use crate::time::Duration;
use core::fmt;

/// How a call went.
#[derive(Clone, Copy, PartialEq, Debug, Hash)]
pub struct Outcome {
    /// Why it ended.
    pub ended: EndReason,
    /// Whether the caller was answered.
    pub answered: bool,
    /// From `StasisStart` until the end was decided.
    pub duration: Duration,
    /// Whether something may have been left on Asterisk: a clean-up was given up.
    pub left_behind: bool,
}

impl Outcome {
    /// Whether something went wrong that somebody may want to look into: the call did not end as its people wanted, or
    /// something may have been left. That Asterisk was restarted is no fault of a call, and the call knows nothing of why.
    #[must_use]
    pub const fn is_bad(&self) -> bool {
        self.left_behind || self.ended.is_fault()
    }
}

/// The status of a call whose task panicked, in the place of [`EndReason::label`].
pub(crate) const PANICKED: &str = "panicked";

/// Why a call ended. The first cause counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum EndReason {
    /// The caller hung up, or Asterisk took the channel away.
    CallerHungUp,
    /// The agent has ended the call.
    AgentHungUp,
    /// The caller was sent to a place in the dialplan, by the agent or by a key.
    Transferred,
    /// The caller said nothing for too long, also when asked.
    CallerIdle,
    /// The longest allowed time was reached.
    MaxDuration,
    /// The process is stopping.
    Shutdown,
    /// The set-up took longer than the caller is kept ringing.
    NotReadyInTime,
    /// Asterisk refused or lost something that the call needs.
    AriFault,
    /// No media socket could be had, or it broke.
    MediaFault,
    /// The Realtime side refused us: key, model, credit.
    RealtimeRefused,
    /// The Realtime side could not be reached, or broke off.
    RealtimeLost,
    /// The caller spoke, and nothing happened for too long.
    DeadAir,
    /// The agent's answers failed again and again.
    AnswersFailed,
    /// Asterisk was restarted, and its channels went with it.
    AsteriskRestarted,
}

impl EndReason {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::CallerHungUp,
        Self::AgentHungUp,
        Self::Transferred,
        Self::CallerIdle,
        Self::MaxDuration,
        Self::Shutdown,
        Self::NotReadyInTime,
        Self::AriFault,
        Self::MediaFault,
        Self::RealtimeRefused,
        Self::RealtimeLost,
        Self::DeadAir,
        Self::AnswersFailed,
        Self::AsteriskRestarted,
    ];

    /// Whether it is a fault, of whomsoever.
    #[must_use]
    pub const fn is_fault(self) -> bool {
        match self {
            Self::NotReadyInTime
            | Self::AriFault
            | Self::MediaFault
            | Self::RealtimeRefused
            | Self::RealtimeLost
            | Self::DeadAir
            | Self::AnswersFailed => true,
            Self::CallerHungUp
            | Self::AgentHungUp
            | Self::Transferred
            | Self::CallerIdle
            | Self::MaxDuration
            | Self::Shutdown
            | Self::AsteriskRestarted => false,
        }
    }

    /// Whether it is the Realtime side's.
    #[must_use]
    pub const fn is_of_realtime(self) -> bool {
        matches!(self, Self::RealtimeRefused | Self::RealtimeLost | Self::DeadAir | Self::AnswersFailed)
    }

    /// The value of the label `status` in the metrics, and of `ARI_BRIDGE_STATUS` on a channel that goes on in the
    /// dialplan.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::CallerHungUp => "caller_hung_up",
            Self::AgentHungUp => "agent_hung_up",
            Self::Transferred => "transferred",
            Self::CallerIdle => "caller_idle",
            Self::MaxDuration => "max_duration",
            Self::Shutdown => "shutdown",
            Self::NotReadyInTime => "not_ready_in_time",
            Self::AriFault => "ari_fault",
            Self::MediaFault => "media_fault",
            Self::RealtimeRefused => "realtime_refused",
            Self::RealtimeLost => "realtime_lost",
            Self::DeadAir => "dead_air",
            Self::AnswersFailed => "answers_failed",
            Self::AsteriskRestarted => "asterisk_restarted",
        }
    }
}

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CallerHungUp => "the caller hung up",
            Self::AgentHungUp => "the agent hung up",
            Self::Transferred => "the caller was transferred",
            Self::CallerIdle => "the caller said nothing any more",
            Self::MaxDuration => "the longest allowed time was reached",
            Self::Shutdown => "the bridge is stopping",
            Self::NotReadyInTime => "the set-up took too long",
            Self::AriFault => "Asterisk refused or lost something that the call needs",
            Self::MediaFault => "no media socket could be had",
            Self::RealtimeRefused => "the Realtime side refused the session",
            Self::RealtimeLost => "the Realtime side could not be reached or broke off",
            Self::DeadAir => "the caller spoke and nothing happened",
            Self::AnswersFailed => "the agent's answers failed again and again",
            Self::AsteriskRestarted => "Asterisk was restarted",
        })
    }
}

/// Why the driver ends a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum StopReason {
    /// The process is going away: the caller is told goodbye, and goes on or is hung up.
    Shutdown,
    /// The process is going away at once, without a word.
    AtOnce,
    /// Asterisk was restarted: nothing of the call is left there.
    AsteriskRestarted,
    /// The caller's channel left without our being told: it has come in anew, as another call.
    CallerLeft,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_went_badly_if_a_fault_has_ended_it_or_something_is_left() {
        let outcome = |ended, left_behind| Outcome {
            ended,
            answered: true,
            duration: Duration::from_secs(1),
            left_behind,
        };
        let faults: Vec<_> = EndReason::ALL.into_iter().filter(|end| outcome(*end, false).is_bad()).collect();
        assert_eq!(faults.len(), 7, "{faults:?}");
        assert!(EndReason::ALL.into_iter().all(|end| !end.is_of_realtime() || faults.contains(&end)));
        assert!(EndReason::ALL.into_iter().all(|end| outcome(end, true).is_bad()));
    }
}

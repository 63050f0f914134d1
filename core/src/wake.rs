//! The reasons of a call's deadlines.

/// The reason of a deadline.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Wake {
    /// Pacing: the next frame for the caller is due.
    Playout,
    /// Pacing: the model is due audio, and the caller has sent none.
    UplinkSilence,
    /// Pacing: a packet that others overtook has been waited for long enough.
    JitterRelease,
    /// Peer: the set-up takes too long.
    AnswerWithin,
    /// Peer: the call has lasted as long as it may.
    MaxCall,
    /// Peer: the goodbye takes too long.
    Goodbye,
    /// Peer: a clean-up request is to be repeated.
    CleanUp,
}

impl Wake {
    /// Whether the deadline paces media. Pacing fires before the input of a step, time-outs of peers only on
    /// [`Input::Timer`].
    #[must_use]
    pub const fn is_pacing(self) -> bool {
        matches!(self, Self::Playout | Self::UplinkSilence | Self::JitterRelease)
    }
}

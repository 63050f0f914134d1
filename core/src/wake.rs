//! The reasons of a call's deadlines.

/// The reason of a deadline.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub enum Wake {
    /// Pacing: the next frame for the caller is due.
    Playout,
    /// Peer: the caller has sent nothing for so long that the model is given silence.
    UplinkSilence,
    /// Peer: a packet that others overtook has been waited for long enough.
    JitterRelease,
    /// Peer: the set-up takes too long.
    AnswerWithin,
    /// Peer: the call has lasted as long as it may.
    MaxCall,
    /// Peer: the goodbye takes too long.
    Goodbye,
    /// Peer: the caller has pressed no further key.
    Keys,
    /// Peer: the caller has said nothing for long.
    Idle,
    /// Peer: whether the caller is still there is to be asked again.
    Look,
    /// Peer: an answer that failed may be asked for again.
    Again,
    /// Peer: nothing has happened since the caller spoke.
    DeadAir,
    /// Peer: a Realtime session is to be opened, to be given up, or to be replaced.
    Session,
    /// Peer: the caller is to hear that something goes on.
    Filler,
    /// Peer: the last prompt takes too long.
    Parting,
    /// Peer: a clean-up request is to be repeated.
    CleanUp,
}

impl Wake {
    /// Whether the deadline paces what we send. Pacing fires before the input of a step; what waits for a peer
    /// fires on `Input::Timer` only, because after a stall what the peer sent may lie unread.
    #[must_use]
    pub const fn is_pacing(self) -> bool {
        matches!(self, Self::Playout)
    }
}

//! What can go wrong around a bridge: the names of all the faults that a [`scene`](crate::scene) can cause by chance and a
//! [`simulation`](crate::simulation) does, and how often each has happened.

use core::fmt;

/// Writes the list once: the variants, their names and their order.
macro_rules! faults {
    ($($(#[$doc:meta])* $variant:ident = $name:literal),+ $(,)?) => {
        /// Something that goes wrong.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        pub enum Fault {
            $($(#[$doc])* $variant),+
        }

        impl Fault {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// Its name on the command line and in a count.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name),+
                }
            }
        }
    };
}

faults! {
    /// A packet is lost, now and then.
    Loss = "loss",
    /// Many packets in a row are lost.
    BurstLoss = "burst-loss",
    /// A packet comes behind later ones.
    Reorder = "reorder",
    /// A packet comes twice.
    Duplicate = "duplicate",
    /// A packet comes with other bytes than it was sent with, or cut short.
    Corruption = "corruption",
    /// Packets come early and late, by tens of milliseconds.
    Jitter = "jitter",
    /// The clock of Asterisk's sound card is not that of the bridge.
    ClockDrift = "clock-drift",
    /// The bridge's machine stands still, and for it the clock jumps.
    ClockJump = "clock-jump",
    /// No packet comes in one direction.
    OneWay = "one-way",
    /// The caller's packets come with another SSRC.
    NewSsrc = "new-ssrc",
    /// The caller's packets come from another port.
    NewPort = "new-port",
    /// Packets come from somebody else.
    Stranger = "stranger",
    /// A reply of ARI comes late.
    ReplyLate = "reply-late",
    /// A reply of ARI never comes.
    ReplyLost = "reply-lost",
    /// A request to ARI never arrives.
    RequestLost = "request-lost",
    /// A request to ARI is refused with 4xx.
    Refused4xx = "refused-4xx",
    /// A request to ARI is refused with 5xx.
    Refused5xx = "refused-5xx",
    /// A reply of ARI comes twice.
    ReplyTwice = "reply-twice",
    /// A request to ARI is overtaken by later ones.
    Overtaken = "overtaken",
    /// The events that a request causes come before its reply.
    EventsFirst = "events-first",
    /// Events come late, long after the replies.
    EventsLate = "events-late",
    /// The event socket breaks.
    AriReset = "ari-reset",
    /// The event socket is half open.
    AriHalfOpen = "ari-half-open",
    /// Nobody gets through to ARI for a while.
    AriAway = "ari-away",
    /// Asterisk is restarted.
    AsteriskRestart = "asterisk-restart",
    /// Another client takes the application away.
    Replaced = "replaced",
    /// A channel is gone before the next request about it.
    ChannelGone = "channel-gone",
    /// A Realtime socket breaks at any byte.
    RealtimeReset = "realtime-reset",
    /// The Realtime server cannot be reached, or refuses.
    RealtimeRefused = "realtime-refused",
    /// Nothing passes to the Realtime server and back for a while.
    RealtimeVanished = "realtime-vanished",
    /// The Realtime server tells of an error.
    RealtimeError = "realtime-error",
    /// A rate limit is reached.
    RateLimit = "rate-limit",
    /// A response fails, is broken off, or does not come.
    ResponseRefused = "response-refused",
    /// Audio comes of an item that was cancelled.
    DeltaAfterCancel = "delta-after-cancel",
    /// A delta of minutes comes at once.
    HugeDelta = "huge-delta",
    /// An event comes that nobody knows.
    UnknownEvent = "unknown-event",
    /// A session expires.
    Expiry = "expiry",
    /// The Realtime server says nothing any more.
    RealtimeSilent = "realtime-silent",
    /// The Realtime server does not read what it is sent.
    SlowReading = "slow-reading",
    /// A function that the model calls fails.
    ToolFails = "tool-fails",
    /// No media port is free.
    NoPort = "no-port",
    /// The bridge is told to stop, and lets its calls end.
    Drain = "drain",
    /// The bridge is told to stop at once.
    StopNow = "stop-now",
    /// The bridge is killed and started again.
    Crash = "crash",
    /// The disk is full on which a call is captured.
    CaptureFull = "capture-full",
    /// The queue to the workers that send requests is full.
    QueueFull = "queue-full",
    /// The operator's prompts have nothing in them.
    PromptMissing = "prompt-missing",
}

impl Fault {
    /// Whether it happens by chance all the time, or is how a life begins; the others happen at a moment.
    #[must_use]
    pub const fn is_weather(self) -> bool {
        matches!(
            self,
            Self::Loss
                | Self::BurstLoss
                | Self::Reorder
                | Self::Duplicate
                | Self::Corruption
                | Self::Jitter
                | Self::ClockDrift
                | Self::ReplyLate
                | Self::ReplyLost
                | Self::RequestLost
                | Self::Refused4xx
                | Self::Refused5xx
                | Self::ReplyTwice
                | Self::Overtaken
                | Self::EventsFirst
                | Self::CaptureFull
                | Self::QueueFull
                | Self::PromptMissing
        )
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of faults.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FaultSet(u64);

impl FaultSet {
    /// None.
    pub const NONE: Self = Self(0);
    /// All.
    pub const ALL: Self = Self((1 << Fault::ALL.len()) - 1);

    /// Whether it is one of them.
    #[must_use]
    pub const fn has(self, fault: Fault) -> bool {
        self.0 >> fault as u64 & 1 == 1
    }

    /// With this one too.
    #[must_use]
    pub const fn with(self, fault: Fault) -> Self {
        Self(self.0 | 1 << fault as u64)
    }

    /// Those that are in both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Those of these names, with commas between them.
    ///
    /// # Errors
    ///
    /// The name that none has.
    pub fn parse(names: &str) -> Result<Self, String> {
        names.split(',').try_fold(Self::NONE, |set, name| {
            let named = Fault::ALL.iter().find(|fault| fault.name() == name.trim());
            named.map(|fault| set.with(*fault)).ok_or_else(|| name.to_owned())
        })
    }
}

/// How often each fault has happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tally([u64; Fault::ALL.len()]);

impl Default for Tally {
    fn default() -> Self {
        Self([0; Fault::ALL.len()])
    }
}

impl Tally {
    /// It has happened.
    pub fn add(&mut self, fault: Fault) {
        self.0[fault as usize] += 1;
    }

    /// How often.
    #[must_use]
    pub const fn of(&self, fault: Fault) -> u64 {
        self.0[fault as usize]
    }

    /// What another one has counted, too.
    pub fn merge(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(sum, more)| *sum += more);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_named_on_the_command_line() {
        let all: Vec<_> = Fault::ALL.iter().map(|fault| fault.name()).collect();
        assert_eq!(FaultSet::parse(&all.join(",")), Ok(FaultSet::ALL));
        let two = FaultSet::parse("loss, drain").expect("both are known");
        assert!(two.has(Fault::Loss) && two.has(Fault::Drain) && !two.has(Fault::Jitter));
        assert_eq!(FaultSet::parse("loss,weather"), Err("weather".to_owned()));
    }

    #[test]
    fn a_tally_counts_each_for_itself() {
        let (mut one, mut other) = (Tally::default(), Tally::default());
        one.add(Fault::Loss);
        other.add(Fault::Loss);
        other.add(Fault::PromptMissing);
        one.merge(&other);
        assert_eq!((one.of(Fault::Loss), one.of(Fault::PromptMissing), one.of(Fault::Drain)), (2, 1, 0));
    }
}

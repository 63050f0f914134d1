//! What goes wrong between us and a peer, as far as a decision needs to know.

use core::fmt;

/// Why something between us and a peer failed, as far as a decision needs to know.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum IoFault {
    /// The name could not be resolved.
    Resolve,
    /// Nobody listens there.
    Refused,
    /// It took too long.
    TimedOut,
    /// The connection broke.
    Reset,
    /// TLS was not agreed: certificate, name or version.
    Tls,
    /// The peer does not speak the protocol.
    Protocol,
    /// Our queue to the peer is full: it does not read fast enough.
    Backlog,
    /// No port in the range is free.
    NoPort,
    /// Anything else that the system reports.
    Other,
}

impl IoFault {
    /// Whether a request that failed so cannot have reached the peer: there was no connection, or it never left us.
    #[must_use]
    pub const fn is_before_sending(self) -> bool {
        matches!(self, Self::Resolve | Self::Refused | Self::Backlog)
    }

    /// Its name in the record of a call.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Resolve => "resolve",
            Self::Refused => "refused",
            Self::TimedOut => "timed_out",
            Self::Reset => "reset",
            Self::Tls => "tls",
            Self::Protocol => "protocol",
            Self::Backlog => "backlog",
            Self::NoPort => "no_port",
            Self::Other => "other",
        }
    }
}

impl fmt::Display for IoFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Resolve => "the name could not be resolved",
            Self::Refused => "nobody listens there",
            Self::TimedOut => "no answer in time",
            Self::Reset => "the connection broke",
            Self::Tls => "TLS was not agreed (certificate, name or version)",
            Self::Protocol => "the peer does not speak the protocol",
            Self::Backlog => "the peer does not read fast enough",
            Self::NoPort => "no port in the range is free",
            Self::Other => "the system reported an error",
        })
    }
}

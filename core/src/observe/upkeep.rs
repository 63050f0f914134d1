//! What there is to tell of the switchboard's housekeeping: the event socket, what it finds on Asterisk when that comes
//! back, and the end of the process.

use super::Severity;
use crate::fault::IoFault;
use crate::time::Duration;
use core::fmt;

/// The switchboard keeps the house.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Upkeep {
    /// Asterisk has not answered a ping: the event socket is taken for dead.
    LinkSilent,
    /// Asterisk was restarted; its calls are gone.
    AsteriskRestarted {
        /// How many of ours.
        calls: usize,
    },
    /// It was asked what there is on Asterisk, and that is settled.
    Resynced {
        /// How many calls were under way when it was asked.
        kept: usize,
        /// How many callers were found whom no call owned.
        callers: usize,
        /// How many channels and bridges of ours were found that no call owned.
        orphans: usize,
    },
    /// Asterisk did not tell what there is, and is asked again.
    ResyncAgain {
        /// The HTTP status, if there was an answer.
        status: Option<u16>,
        /// What broke, if there was none.
        fault: Option<IoFault>,
        /// The wait before that.
        wait: Duration,
    },
    /// A caller who was waiting for a call that is lost is taken on.
    Adopted,
    /// No new calls; those under way may go on for a while.
    Draining {
        /// How many there are.
        calls: usize,
        /// How long they may.
        within: Duration,
    },
    /// That time is over; the calls are ended.
    DrainOver {
        /// How many there still are.
        calls: usize,
    },
    /// The process ends although something of its calls is left on Asterisk.
    GaveUp {
        /// How many calls have not ended.
        calls: usize,
    },
}

impl Upkeep {
    /// How loud the line in the log is.
    #[must_use]
    pub const fn severity(&self) -> Severity {
        match self {
            Self::Resynced { .. } | Self::Adopted | Self::Draining { .. } => Severity::Info,
            Self::LinkSilent | Self::ResyncAgain { .. } | Self::DrainOver { .. } => Severity::Warn,
            Self::AsteriskRestarted { .. } | Self::GaveUp { .. } => Severity::Error,
        }
    }
}

impl fmt::Display for Upkeep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::LinkSilent => f.write_str("Asterisk answers no ping: the event socket is given up"),
            Self::AsteriskRestarted { calls } => {
                write!(f, "Asterisk was restarted: {calls} calls are gone with it")
            }
            Self::Resynced { kept, callers, orphans } => write!(
                f,
                "Asterisk was asked what there is: {kept} calls go on, {callers} callers without a call and {orphans} \
                 other things of ours were found"
            ),
            Self::ResyncAgain { status, fault, wait } => {
                f.write_str("Asterisk does not tell what there is:")?;
                if let Some(status) = status {
                    write!(f, " HTTP {status}")?;
                }
                if let Some(fault) = fault {
                    write!(f, " {fault}")?;
                }
                write!(f, "; it is asked again in {} ms", wait.as_millis())
            }
            Self::Adopted => f.write_str("a caller whose call was lost is taken on again"),
            Self::Draining { calls, within } => write!(
                f,
                "stopping: no new calls; {calls} under way may go on for {} s, and a second signal ends them now",
                within.as_secs()
            ),
            Self::DrainOver { calls } => write!(f, "{calls} calls have not ended in time and are ended"),
            Self::GaveUp { calls } => write!(
                f,
                "stopped although {calls} calls have not ended: what they made is left on Asterisk to the next start"
            ),
        }
    }
}

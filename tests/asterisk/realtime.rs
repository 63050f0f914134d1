//! The model that the bridge talks to: a Realtime server on loopback that repeats what it hears.

use crate::process::Outcome;

/// How the server behaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Agent {
    /// Says each of the caller's turns back to him.
    Parrot,
    /// Knows no key: closes with 3000 (`invalid_api_key`).
    WrongKey,
}

/// A server that is up.
pub(crate) struct RealtimeStandIn {
    /// The TCP port on loopback.
    pub(crate) port: u16,
    appends: fn() -> u64,
}

impl RealtimeStandIn {
    /// How many `input_audio_buffer.append` events it has received.
    pub(crate) fn appends(&self) -> u64 {
        (self.appends)()
    }
}

/// Starts the server.
pub(crate) fn start_realtime(agent: Agent) -> Outcome<RealtimeStandIn> {
    Err(format!("there is no Realtime server in this build to play {agent:?}"))
}

//! The model that the bridge talks to: a Realtime server on loopback that repeats what it hears.

use ari_bridge_core::sim::realtime::Settings;
use ari_bridge_smol::standin::{RealtimeServer, parrot, serve_realtime};

use crate::process::Outcome;

/// The bridge's `OPENAI_API_KEY`.
pub(crate) const KEY: &str = "sk-harness";

/// How the server behaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Agent {
    /// Says each of the caller's turns back to him.
    Parrot,
    /// Does not know the bridge's key: closes with 3000 (`invalid_api_key`).
    WrongKey,
}

/// A server that is up until this is dropped.
pub(crate) struct RealtimeStandIn(RealtimeServer);

impl RealtimeStandIn {
    /// The bridge's `OPENAI_REALTIME_URL`.
    pub(crate) fn url(&self) -> String {
        self.0.url()
    }

    /// How many `input_audio_buffer.append` events it has received.
    pub(crate) fn appends(&self) -> u64 {
        self.0.seen().appends
    }

    /// Breaks off every session, as a server that restarts does.
    pub(crate) fn breaks_off(&self) {
        self.0.close_all(1012, "");
    }
}

/// Starts the server.
pub(crate) fn start_realtime(agent: Agent) -> Outcome<RealtimeStandIn> {
    let key = match agent {
        Agent::Parrot => KEY,
        Agent::WrongKey => "sk-another",
    };
    let settings = Settings { key: key.to_owned(), ..Settings::default() };
    let server = serve_realtime(settings, parrot).map_err(|e| format!("the Realtime stand-in: {e}"))?;
    Ok(RealtimeStandIn(server))
}

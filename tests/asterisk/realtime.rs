//! The model that the bridge talks to: a Realtime server on loopback that repeats what it hears.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use ari_bridge_core::sim::realtime::{
    Agent as Speaker, Answer, FunctionCall, Parrot, Prompt, Settings, Speech, two_tones,
};
use ari_bridge_host::standin::{RealtimeServer, serve_realtime};
use ari_bridge_tests::measure::{self, RATE};
use serde_json::Value;

use crate::process::Outcome;

/// The bridge's `OPENAI_API_KEY`.
pub(crate) const KEY: &str = "sk-harness";

/// How the server behaves.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Agent {
    /// Says each of the caller's turns back to him.
    Parrot,
    /// The same, after greeting him with these samples at [`RATE`].
    Greets(Vec<i16>),
    /// Puts the caller through to the operator at his first turn, and says something to keys.
    Clerk,
    /// Does not know the bridge's key: closes with 3000 (`invalid_api_key`).
    WrongKey,
}

/// What the agent heard between two silences.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Turn {
    /// Whose it was: sessions count from 0, in the order in which they were opened.
    pub(crate) session: usize,
    pub(crate) seconds: f64,
    pub(crate) level_dbfs: f64,
}

/// A `conversation.item.truncate` of the bridge.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Truncation {
    pub(crate) session: usize,
    pub(crate) audio_end_ms: usize,
}

type Turns = Arc<Mutex<Vec<Turn>>>;

/// A server that is up until this is dropped.
pub(crate) struct RealtimeStandIn {
    server: RealtimeServer,
    turns: Turns,
    greets: bool,
}

impl RealtimeStandIn {
    /// Whether it has something to say when it is asked to begin.
    pub(crate) const fn greets(&self) -> bool {
        self.greets
    }

    /// The bridge's `OPENAI_REALTIME_URL`.
    pub(crate) fn url(&self) -> String {
        self.server.url()
    }

    /// How many `input_audio_buffer.append` events it has received.
    pub(crate) fn appends(&self) -> u64 {
        self.server.seen().appends
    }

    /// All that callers said so far.
    pub(crate) fn turns(&self) -> Vec<Turn> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Every message of the bridge but for audio.
    pub(crate) fn messages(&self) -> Vec<String> {
        self.server.seen().messages
    }

    /// All truncations so far.
    pub(crate) fn truncations(&self) -> Vec<Truncation> {
        self.server.seen().messages.iter().filter_map(|message| truncation(message)).collect()
    }

    /// How many sessions there were so far.
    pub(crate) fn sessions(&self) -> u64 {
        self.server.seen().opened
    }

    /// Breaks every connection, as a network does.
    pub(crate) fn breaks(&self) {
        self.server.break_all();
    }

    /// Breaks off every session, as a server that restarts does.
    pub(crate) fn breaks_off(&self) {
        self.server.close_all(1012, "");
    }
}

/// The stand-in names its items after the session, which it counts from 1: `item_<session>n<number>`.
fn truncation(message: &str) -> Option<Truncation> {
    let event: Value = serde_json::from_str(message).ok()?;
    let (session, _) = event["item_id"].as_str()?.strip_prefix("item_")?.split_once('n')?;
    (event["type"] == "conversation.item.truncate").then_some(Truncation {
        session: usize::from_str_radix(session, 16).ok()?.checked_sub(1)?,
        audio_end_ms: usize::try_from(event["audio_end_ms"].as_u64()?).ok()?,
    })
}

/// An agent that notes what it hears.
#[derive(Debug)]
struct Listening {
    agent: Parrot,
    is_clerk: bool,
    session: usize,
    turns: Turns,
}

impl Speaker for Listening {
    fn answer(&mut self, prompt: Prompt<'_>) -> Answer {
        if let Prompt::Turn { samples, rate } = prompt {
            self.turns.lock().unwrap_or_else(PoisonError::into_inner).push(Turn {
                session: self.session,
                seconds: samples.len() as f64 / f64::from(rate),
                level_dbfs: measure::level_dbfs(samples),
            });
        }
        let answer = self.agent.answer(prompt);
        match (prompt, answer) {
            (Prompt::Turn { .. }, Answer::Speech(_)) if self.is_clerk => Answer::Calls {
                speech: Some(Speech { samples: two_tones(), rate: 24_000, transcript: "One moment.".into() }),
                calls: vec![FunctionCall {
                    name: "transfer".into(),
                    arguments: r#"{"destination":"operator"}"#.into(),
                }],
            },
            (_, answer) => answer,
        }
    }
}

/// Starts the server.
pub(crate) fn start_realtime(agent: Agent) -> Outcome<RealtimeStandIn> {
    let key = if agent == Agent::WrongKey { "sk-another" } else { KEY };
    let is_clerk = agent == Agent::Clerk;
    let greets = matches!(agent, Agent::Greets(_));
    let parrot = match agent {
        Agent::Greets(greeting) => Parrot::greeting_with(greeting, RATE as u32),
        Agent::Parrot | Agent::Clerk | Agent::WrongKey => Parrot::new(),
    };
    let turns = Turns::default();
    let (sessions, heard) = (AtomicUsize::new(0), turns.clone());
    let listening = move || -> Box<dyn Speaker> {
        let session = sessions.fetch_add(1, Ordering::Relaxed);
        Box::new(Listening { agent: parrot.clone(), is_clerk, session, turns: heard.clone() })
    };
    let settings = Settings { key: key.to_owned(), ..Settings::default() };
    let server = serve_realtime(settings, listening).map_err(|e| format!("the Realtime stand-in: {e}"))?;
    Ok(RealtimeStandIn { server, turns, greets })
}

//! How a scene is set up.

use super::Sabotage;
use crate::taped::{LIMIT_BYTES, Shelf};
use ari_bridge_core::call::IoFault;
use ari_bridge_core::settings::{Breaker, CallSettings, MediaPlan};
use ari_bridge_core::sim::asterisk as pbx;
use ari_bridge_core::sim::realtime::{self as server, Agent};
use ari_bridge_core::time::Duration;
use std::collections::VecDeque;

/// What comes of a function that the model calls.
#[derive(Clone, Debug)]
pub struct Performance {
    /// The name of the function, or of the tool that must be approved.
    pub name: &'static str,
    /// After how long.
    pub after: Duration,
    /// Status and body, or what broke.
    pub reply: Result<(u16, &'static str), IoFault>,
}

/// How an attempt to open a Realtime link goes.
#[derive(Debug)]
pub enum Attempt {
    /// The server of the [`Stage`] serves.
    Serve,
    /// Another server serves.
    ServeWith {
        /// How it is set up, if not as the others are; its clock, its dialect and what its ids begin with are the
        /// scene's to say.
        settings: Option<Box<server::Settings>>,
        /// Who speaks behind it, if not who else would.
        agent: Option<Box<dyn Agent>>,
    },
    /// The upgrade is answered with another status than 101.
    Http {
        /// The status.
        status: u16,
        /// The `Retry-After`.
        retry_after: Option<Duration>,
        /// The body.
        body: &'static str,
    },
    /// There is no connection, and the driver knows it at once.
    Refused(IoFault),
    /// There is no connection, and the driver hears nothing.
    Hang,
    /// The link opens. Pings are answered, and nothing is said.
    Silent,
    /// The link opens. Nothing is said, and pings are not answered.
    Mute,
}

impl Attempt {
    /// The server of the [`Stage`] serves, with somebody else behind it.
    #[must_use]
    pub fn agent(agent: impl Agent + 'static) -> Self {
        Self::ServeWith { settings: None, agent: Some(Box::new(agent)) }
    }

    /// The upgrade is answered with this status and nothing more.
    #[must_use]
    pub const fn http(status: u16) -> Self {
        Self::Http { status, retry_after: None, body: "" }
    }
}

/// How a scene is set up.
#[derive(Debug)]
pub struct Stage {
    /// The settings of the calls.
    pub call: CallSettings,
    /// How media is carried.
    pub media: MediaPlan,
    /// How many calls are taken.
    pub max_calls: usize,
    /// How many media ports there are.
    pub ports: usize,
    /// Whether callers who wait while no call is theirs are taken on.
    pub adopt: bool,
    /// How long calls may go on when the process is to stop.
    pub drain: Duration,
    /// After how many failed calls nobody is taken for a while.
    pub breaker: Option<Breaker>,
    /// What the calls of a day may cost, in millionths of a dollar.
    pub max_cost_per_day: Option<u64>,
    /// Asterisk.
    pub asterisk: pbx::Settings,
    /// The password that the bridge uses.
    pub password: String,
    /// The key that the bridge uses.
    pub api_key: String,
    /// The model that the bridge asks for.
    pub model: String,
    /// Nobody listens where Asterisk should be, until [`super::Scene::asterisk_comes_up`].
    pub no_asterisk: bool,
    /// No media port is free.
    pub no_ports: bool,
    /// How the first attempts to open a Realtime link go.
    pub attempts: VecDeque<Attempt>,
    /// How all others go.
    pub realtime: fn() -> Attempt,
    /// How the Realtime servers are set up; the dialect is that of the calls. `utc` is the wall clock at
    /// [`Instant::START`](ari_bridge_core::time::Instant::START), for the bridge as well.
    pub server: server::Settings,
    /// How much longer what the Realtime server says is under way.
    pub server_lag: Duration,
    /// What the agent says when it is told to speak, instead of two tones: 24 kHz.
    pub greeting: Option<Vec<i16>>,
    /// Who speaks behind the next Realtime link that is served, instead of the parrot.
    pub agent: Option<Box<dyn Agent>>,
    /// What comes of the functions that the model calls; the others fail.
    pub functions: Vec<Performance>,
    /// Whether the Realtime server is told who calls: the number itself, in place of its hash.
    pub safety: bool,
    /// Where the captures of the switchboards and the calls go once they are over.
    pub shelf: Option<Shelf>,
    /// How much of a life such a capture holds, in bytes; nothing is recorded, where that is 0.
    pub tape_bytes: usize,
    /// What is broken on purpose between the machines and the world.
    pub sabotage: Option<Sabotage>,
}

impl Default for Stage {
    fn default() -> Self {
        let asterisk = pbx::Settings::default();
        Self {
            call: CallSettings { volume_boost: 1.0, ..CallSettings::default() },
            media: MediaPlan::default(),
            max_calls: 10,
            ports: 101,
            adopt: true,
            drain: Duration::from_secs(60),
            breaker: Some(Breaker::default()),
            max_cost_per_day: None,
            password: asterisk.password.clone(),
            asterisk,
            api_key: "sk-sim".into(),
            model: "gpt-realtime-2.1-mini".into(),
            no_asterisk: false,
            no_ports: false,
            attempts: VecDeque::new(),
            realtime: || Attempt::Serve,
            server: server::Settings::default(),
            server_lag: Duration::ZERO,
            greeting: None,
            agent: None,
            safety: false,
            shelf: None,
            tape_bytes: LIMIT_BYTES,
            sabotage: None,
            functions: Vec::new(),
        }
    }
}

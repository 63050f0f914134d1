//! How a scene is set up.

use ari_bridge_core::call::IoFault;
use ari_bridge_core::settings::{CallSettings, MediaPlan};
use ari_bridge_core::sim::asterisk as pbx;
use ari_bridge_core::sim::realtime::{Agent, G711};
use ari_bridge_core::time::Duration;

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

/// How a scene is set up.
#[derive(Debug)]
pub struct Stage {
    /// The settings of the calls.
    pub call: CallSettings,
    /// How media is carried.
    pub media: MediaPlan,
    /// How many calls are taken.
    pub max_calls: usize,
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
    /// Nobody listens where the Realtime server should be.
    pub no_realtime: bool,
    /// The Realtime server takes the connection and never says a word.
    pub mute_realtime: bool,
    /// How much longer what the Realtime server says is under way.
    pub server_lag: Duration,
    /// What the agent says when it is told to speak, instead of two tones: 24 kHz.
    pub greeting: Option<Vec<i16>>,
    /// Who speaks behind the Realtime socket of the next call, instead of the parrot.
    pub agent: Option<Box<dyn Agent>>,
    /// What comes of the functions that the model calls; the others fail.
    pub functions: Vec<Performance>,
    /// Whether the Realtime server is told who calls: the number itself, in place of its hash.
    pub safety: bool,
    /// How the Realtime server takes the request to speak G.711.
    pub g711: G711,
}

impl Default for Stage {
    fn default() -> Self {
        let asterisk = pbx::Settings::default();
        Self {
            call: CallSettings { volume_boost: 1.0, ..CallSettings::default() },
            media: MediaPlan::default(),
            max_calls: 10,
            password: asterisk.password.clone(),
            asterisk,
            api_key: "sk-sim".into(),
            model: "gpt-realtime-2.1-mini".into(),
            no_asterisk: false,
            no_ports: false,
            no_realtime: false,
            mute_realtime: false,
            server_lag: Duration::ZERO,
            greeting: None,
            agent: None,
            safety: false,
            functions: Vec::new(),
            g711: G711::default(),
        }
    }
}

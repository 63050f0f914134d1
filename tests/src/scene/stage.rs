//! How a scene is set up.

use ari_bridge_core::settings::{CallSettings, MediaPlan};
use ari_bridge_core::sim::asterisk as pbx;
use ari_bridge_core::sim::realtime::G711;
use ari_bridge_core::time::Duration;

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
            g711: G711::default(),
        }
    }
}

//! Text to settings: what stands in the environment becomes a checked [`Config`].
//!
//! The environment itself is the runtime's; it hands in what is set. A value that cannot be is refused with one
//! line that names the variable, the value and what is allowed, and all such lines come at once. Values of
//! variables that hold a secret are never repeated, neither in a fault nor by `Debug`.

mod capture;
mod fixed;
mod key_files;
mod prompts;
mod read;
mod reader;
mod secret;
mod url;
mod variables;

pub use capture::{CaptureConfig, CaptureMode};
pub use key_files::MAX_KEY_FILE_BYTES;
pub use prompts::{
    MAX_PROMPT_FILE_BYTES, PromptFault, PromptFaultKind, PromptFiles, decode_prompt, prompt_variable,
};
pub use reader::{ConfigFaults, Fault};
pub use secret::Secret;
pub use url::Endpoint;
pub use variables::{Preset, VARIABLES, Variable, env_example, help_text, markdown_table, near_misses};

use crate::settings::{
    CallSettings, DeadAir, DeadAirStep, Dialect, Fallback, MediaPlan, Place, ServerVad, SwitchboardSettings,
    TurnDetection,
};
use crate::time::Duration;
use crate::uri::Encoded;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use core::fmt;
use core::net::{IpAddr, SocketAddr};
use core::num::NonZeroUsize;

/// Everything that the operator decides.
#[derive(Clone, PartialEq, Debug)]
pub struct Config {
    /// For each call. Its prompts are the built-in ones until the runtime has read [`Config::prompts`].
    pub call: CallSettings,
    /// For the switchboard.
    pub switchboard: SwitchboardSettings,
    /// How media is carried.
    pub media: MediaPlan,
    /// How Asterisk is reached.
    pub ari: AriConfig,
    /// How the Realtime server is reached.
    pub realtime: RealtimeConfig,
    /// The key of the hash by which the server is told who calls; without it nothing is told.
    pub safety_key: Option<Secret>,
    /// Where media sockets are bound.
    pub rtp: RtpConfig,
    /// The files of the prompts.
    pub prompts: PromptFiles,
    /// What is kept of the calls.
    pub record: RecordConfig,
    /// What is captured of them.
    pub capture: CaptureConfig,
    /// Where `/metrics`, `/healthz` and `/readyz` are served, and `/captures`.
    pub admin_bind: SocketAddr,
    /// How many threads serve the calls; `None` means as many as the machine has cores.
    pub worker_threads: Option<NonZeroUsize>,
}

/// How Asterisk is reached.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AriConfig {
    /// Asterisk's HTTP server. Its path is the prefix of `http.conf` without `/ari` (mostly empty); no query.
    pub base: Endpoint,
    /// The user in `ari.conf`.
    pub user: String,
    /// Its password.
    pub password: Secret,
    /// A PEM file with the CA to trust instead of the public ones.
    pub ca_file: Option<String>,
    /// The application name.
    pub app: String,
}

/// How the Realtime server is reached.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RealtimeConfig {
    /// The server.
    pub url: Endpoint,
    /// The model.
    pub model: String,
    /// The key.
    pub api_key: Secret,
    /// Further headers; their names are tokens, and each stands once.
    pub headers: Vec<(String, Secret)>,
    /// The proxy to go through: set only if `HTTPS_PROXY` is and [`RealtimeConfig::url`] is `wss://` to
    /// another machine, as the variable is understood elsewhere.
    pub proxy: Option<ProxyConfig>,
}

/// An HTTP proxy that is asked to `CONNECT`; it is itself reached without TLS.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProxyConfig {
    /// A DNS name or an IP address; an IPv6 address stands without brackets.
    pub host: String,
    /// Its TCP port.
    pub port: u16,
    /// `user:password`, if it wants one.
    pub credentials: Option<Secret>,
}

/// Where media sockets are bound.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RtpConfig {
    /// The address.
    pub bind: IpAddr,
    /// The first UDP port.
    pub port_start: u16,
    /// The last UDP port; not below the first.
    pub port_end: u16,
}

/// What is kept of the calls in files.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RecordConfig {
    /// The directory; `None` means that nothing is.
    pub dir: Option<String>,
    /// For how many days, one or more.
    pub days: u64,
}

impl Default for RecordConfig {
    fn default() -> Self {
        Self { dir: None, days: 30 }
    }
}

impl Config {
    /// Reads the settings from `variables`: the environment and whatever stands behind it. If a name comes twice,
    /// the later value counts; names that the bridge does not know may be among them. Variables that name a file of
    /// a key are refused: [`Config::from_variables_and_files`] reads those.
    ///
    /// # Errors
    ///
    /// All values that cannot be, at once.
    pub fn from_variables<N, V>(variables: impl IntoIterator<Item = (N, V)>) -> Result<Self, ConfigFaults>
    where
        N: Into<String>,
        V: Into<String>,
    {
        Self::from_variables_and_files(variables, |_| Err("files are not read here"))
    }

    /// As [`Config::from_variables`]; `read` gives the bytes of the file at a path, of which those beyond
    /// [`MAX_KEY_FILE_BYTES`] and one do not matter.
    ///
    /// # Errors
    ///
    /// All values and files that cannot be, at once, and nothing of what stands in a file.
    pub fn from_variables_and_files<N, V, E>(
        variables: impl IntoIterator<Item = (N, V)>,
        read: impl FnMut(&str) -> Result<Vec<u8>, E>,
    ) -> Result<Self, ConfigFaults>
    where
        N: Into<String>,
        V: Into<String>,
        E: fmt::Display,
    {
        let variables = variables.into_iter().map(|(name, value)| (name.into(), value.into()));
        let mut variables = variables.collect();
        let faults = key_files::resolve(&mut variables, read);
        read::config(&variables, faults)
    }

    /// What is allowed but probably not meant, one line each.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut warn = |yes: bool, line: &str| {
            if yes {
                lines.push(line.to_owned());
            }
        };
        let Self { call, switchboard, ari, realtime, rtp, .. } = self;
        let dialect = call.session.dialect;
        let plain = |url: &Endpoint| !url.tls && !url.is_loopback();
        warn(
            plain(&realtime.url),
            "OPENAI_REALTIME_URL is not encrypted: the key and the caller's voice travel in the clear",
        );
        warn(plain(&ari.base), "ARI_URL is not encrypted: ARI_PASSWORD travels in the clear");
        warn(ari.password.expose() == CHANGE_ME, "ARI_PASSWORD is still CHANGE_ME");
        warn(ari.ca_file.is_some() && !ari.base.tls, "ARI_CA_FILE is of no use: ARI_URL is not https://");
        warn(
            rtp.bind.is_loopback() && !ari.base.is_loopback(),
            "RTP_BIND_HOST is a loopback address, but ARI_URL names another machine: its media cannot come in",
        );
        warn(
            switchboard.max_calls.is_some_and(|most| most > switchboard.ports),
            "MAX_CALLS is more than there are ports from RTP_PORT_START to RTP_PORT_END: each call takes one",
        );
        warn(
            realtime.model.contains("realtime-preview"),
            "OPENAI_MODEL is a preview model; OpenAI shut those down in 2026",
        );
        warn(
            realtime.model_in_url().is_some_and(|model| model != Encoded(&realtime.model).to_string()),
            "OPENAI_REALTIME_URL names a model; it is used, and OPENAI_MODEL is not",
        );
        warn(
            dialect == Dialect::OpenAi && realtime.is_azure(),
            "OPENAI_REALTIME_URL is a server of Azure's: REALTIME_DIALECT=azure may be meant, or the key is not told as it wants it",
        );
        warn(
            dialect == Dialect::Azure && realtime.in_query("api-version").is_some(),
            "OPENAI_REALTIME_URL has an api-version: Azure's GA interface answers 401 to it",
        );
        let returns = |fallback: &Fallback| {
            matches!(
                fallback,
                Fallback::Dialplan(Place { context: None, extension: None, priority: Some(_) })
            )
        };
        warn(
            returns(&call.fallback),
            "FALLBACK_PRIORITY stands alone: it must lie behind Stasis(...) in the extension, or the caller comes round in a circle",
        );
        let server_idle = match &call.session.turn_detection {
            TurnDetection::Server(ServerVad { idle_timeout_ms, .. }) => *idle_timeout_ms,
            TurnDetection::Semantic { .. } => None,
        };
        warn(
            server_idle.is_some() && call.idle.is_some(),
            "VAD_IDLE_TIMEOUT_MS and IDLE_SECONDS are both set: an idle caller is spoken to by the server and by the bridge",
        );
        let DeadAir { after: silence, steps } = &call.dead_air;
        warn(
            silence.is_some() && steps.contains(&DeadAirStep::Reconnect) && call.recovery.retry_for.is_zero(),
            "DEAD_AIR_STEPS contains reconnect, but with REALTIME_RETRY_SECONDS=0 a call ends with its session",
        );
        warn(
            silence.is_some_and(|silence| silence < SHORT_SILENCE),
            "DEAD_AIR_MS is below 2000: a model that thinks before it answers needs longer",
        );
        lines
    }
}

/// Dead air that a healthy model, too, leaves between a question and its answer.
const SHORT_SILENCE: Duration = Duration::from_millis(2000);

const CHANGE_ME: &str = "CHANGE_ME";

/// The header that tells the server who calls, by a name that is nobody's.
pub const SAFETY_HEADER: &str = "OpenAI-Safety-Identifier";

impl AriConfig {
    /// The URL of a REST request; `path` is the one below `/ari`, with its query: `/channels/…?…`.
    #[must_use]
    pub fn rest_url(&self, path: &str) -> String {
        let scheme = if self.base.tls { "https" } else { "http" };
        format!("{scheme}://{}{}/ari{path}", self.base.authority(), self.base.path)
    }

    /// The request target of the event socket.
    #[must_use]
    pub fn events_target(&self) -> String {
        format!("{}/ari/events?app={}", self.base.path, Encoded(&self.app))
    }

    /// The URL of the event socket.
    #[must_use]
    pub fn events_url(&self) -> String {
        let scheme = if self.base.tls { "wss" } else { "ws" };
        format!("{scheme}://{}{}", self.base.authority(), self.events_target())
    }

    /// The value of the `Authorization` header (RFC 7617).
    #[must_use]
    pub fn authorization(&self) -> Secret {
        basic(&format!("{}:{}", self.user, self.password.expose()))
    }
}

impl RealtimeConfig {
    /// The request target of the socket: the path and the query of the URL, with `model=` unless a model is
    /// there already. Log [`Endpoint::authority`] instead: the query may hold a key.
    #[must_use]
    pub fn request_target(&self) -> String {
        let path = if self.url.path.is_empty() { "/" } else { &self.url.path };
        let model = Encoded(&self.model);
        match &self.url.query {
            None => format!("{path}?model={model}"),
            Some(query) if self.model_in_url().is_some() => format!("{path}?{}", query.expose()),
            Some(query) => format!("{path}?{}&model={model}", query.expose()),
        }
    }

    /// The URL of the socket: scheme, authority and [`RealtimeConfig::request_target`].
    #[must_use]
    pub fn request_url(&self) -> String {
        let scheme = if self.url.tls { "wss" } else { "ws" };
        format!("{scheme}://{}{}", self.url.authority(), self.request_target())
    }

    /// The headers that the server wants beside those of the upgrade: the key, as its dialect has it, and those that
    /// the operator gave. A header of the operator's that is the key's own takes its place.
    #[must_use]
    pub fn request_headers(&self, dialect: Dialect) -> Vec<(String, Secret)> {
        let (name, value) = match dialect {
            Dialect::Azure => ("api-key", self.api_key.clone()),
            Dialect::OpenAi | Dialect::Xai | Dialect::Beta | Dialect::Qwen => {
                // RFC 6750 §2.1.
                ("Authorization", Secret::new(format!("Bearer {}", self.api_key.expose())))
            }
        };
        let key = (!self.names(name)).then(|| (name.to_owned(), value));
        key.into_iter().chain(self.headers.iter().cloned()).collect()
    }

    /// Whether the operator gave this header.
    fn names(&self, header: &str) -> bool {
        self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(header))
    }

    /// The model that is asked for: that in the URL, if there is one there.
    #[must_use]
    pub fn effective_model(&self) -> String {
        match self.model_in_url() {
            Some(model) => url::percent_decode(model).unwrap_or_else(|| model.to_owned()),
            None => self.model.clone(),
        }
    }

    /// The model in the query of the URL, still encoded.
    fn model_in_url(&self) -> Option<&str> {
        self.in_query("model")
    }

    /// A value in the query of the URL, still encoded.
    fn in_query(&self, name: &str) -> Option<&str> {
        let mut pairs = self.url.query.as_ref()?.expose().split('&');
        pairs.find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    }

    fn is_azure(&self) -> bool {
        self.url.host.to_ascii_lowercase().ends_with(".openai.azure.com")
    }
}

impl ProxyConfig {
    /// The value of the `Proxy-Authorization` header, if the proxy wants one.
    #[must_use]
    pub fn authorization(&self) -> Option<Secret> {
        self.credentials.as_ref().map(|credentials| basic(credentials.expose()))
    }
}

impl RtpConfig {
    /// How many ports there are; a call takes one.
    #[must_use]
    pub fn ports(&self) -> usize {
        usize::from(self.port_end.saturating_sub(self.port_start)) + 1
    }
}

fn basic(user_and_password: &str) -> Secret {
    Secret::new(format!("Basic {}", STANDARD.encode(user_and_password)))
}

#[cfg(test)]
mod tests;

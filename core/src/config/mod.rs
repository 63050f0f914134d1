//! Text to settings: what stands in the environment becomes a checked [`Config`].
//!
//! The environment itself is the runtime's; it hands in a lookup. A value that cannot be is refused with one
//! line that names the variable, the value and what is allowed, and all such lines come at once. Values of
//! variables that hold a secret are never repeated, neither in a fault nor by `Debug`.

mod read;
mod reader;
mod secret;
mod url;
mod variables;

pub use reader::{ConfigFaults, Fault};
pub use secret::Secret;
pub use url::Endpoint;
pub use variables::{Preset, VARIABLES, Variable, env_example, help_text, markdown_table, near_misses};

use crate::settings::{CallSettings, MediaPlan, SwitchboardSettings};
use crate::uri::Encoded;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use core::net::{IpAddr, SocketAddr};

/// Everything that the operator decides.
#[derive(Clone, PartialEq, Debug)]
pub struct Config {
    /// For each call.
    pub call: CallSettings,
    /// For the switchboard.
    pub switchboard: SwitchboardSettings,
    /// How media is carried.
    pub media: MediaPlan,
    /// How Asterisk is reached.
    pub ari: AriConfig,
    /// How the Realtime server is reached.
    pub realtime: RealtimeConfig,
    /// Where media sockets are bound.
    pub rtp: RtpConfig,
    /// Where `/metrics`, `/healthz` and `/readyz` are served.
    pub admin_bind: SocketAddr,
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

impl Config {
    /// Reads every variable through `lookup`.
    ///
    /// # Errors
    ///
    /// All values that cannot be, at once.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigFaults> {
        read::config(&lookup)
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
        let Self { ari, realtime, rtp, .. } = self;
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
            realtime.model.contains("realtime-preview"),
            "OPENAI_MODEL is a preview model; OpenAI shut those down in 2026",
        );
        warn(
            realtime.model_in_url().is_some_and(|model| model != Encoded(&realtime.model).to_string()),
            "OPENAI_REALTIME_URL names a model; it is used, and OPENAI_MODEL is not",
        );
        lines
    }
}

const CHANGE_ME: &str = "CHANGE_ME";

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

    /// The value of the `Authorization` header (RFC 6750).
    #[must_use]
    pub fn authorization(&self) -> Secret {
        Secret::new(format!("Bearer {}", self.api_key.expose()))
    }

    /// The model in the query of the URL, still encoded.
    fn model_in_url(&self) -> Option<&str> {
        self.url.query.as_ref()?.expose().split('&').find_map(|pair| pair.strip_prefix("model="))
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
mod tests {
    use super::*;

    fn with(set: &[(&str, &str)]) -> Config {
        let lookup = |name: &str| {
            let found = set.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
            found.or_else(|| (name == "OPENAI_API_KEY").then(|| "sk-secret-1".to_owned()))
        };
        Config::from_lookup(lookup).unwrap_or_else(|faults| panic!("{faults}"))
    }

    #[test]
    fn ari_is_addressed_as_asterisk_serves_it() {
        let ari = with(&[("ARI_PASSWORD", "pässword")]).ari;
        assert_eq!(ari.rest_url("/channels/1?x=y"), "http://localhost:8088/ari/channels/1?x=y");
        assert_eq!(ari.events_url(), "ws://localhost:8088/ari/events?app=voice-agent");
        // base64 of "voiceapp:pässword" in UTF-8, made with coreutils.
        assert_eq!(ari.authorization().expose(), "Basic dm9pY2VhcHA6cMOkc3N3b3Jk");
    }

    #[test]
    fn the_prefix_of_http_conf_stands_before_ari_however_it_is_written() {
        for url in [
            "https://pbx/asterisk",
            "https://pbx/asterisk/",
            "https://pbx/asterisk/ari",
            "https://pbx/asterisk/ari/",
        ] {
            let ari = with(&[("ARI_URL", url)]).ari;
            assert_eq!(ari.events_target(), "/asterisk/ari/events?app=voice-agent", "{url}");
            assert_eq!(ari.rest_url("/bridges"), "https://pbx:443/asterisk/ari/bridges", "{url}");
        }
    }

    #[test]
    fn the_model_goes_into_the_query() {
        let target = |url: &str, model: &str| {
            with(&[("OPENAI_REALTIME_URL", url), ("OPENAI_MODEL", model)]).realtime.request_target()
        };
        assert_eq!(
            with(&[]).realtime.request_url(),
            "wss://api.openai.com:443/v1/realtime?model=gpt-realtime-2.1-mini"
        );
        assert_eq!(target("ws://127.0.0.1:9000", "my/model"), "/?model=my%2Fmodel");
        assert_eq!(target("wss://a.b/rt?api-version=1", "m"), "/rt?api-version=1&model=m");
        assert_eq!(target("wss://a.b/rt?model=other&x=1", "m"), "/rt?model=other&x=1");
    }

    #[test]
    fn the_key_is_a_bearer_token() {
        assert_eq!(with(&[]).realtime.authorization().expose(), "Bearer sk-secret-1");
    }

    #[test]
    fn a_proxy_gets_its_credentials_decoded() {
        let proxy = with(&[("HTTPS_PROXY", "http://me:p%40ss%3A1@10.0.0.9:3128")]).realtime.proxy.unwrap();
        assert_eq!((proxy.host.as_str(), proxy.port), ("10.0.0.9", 3128));
        assert_eq!(proxy.credentials.as_ref().unwrap().expose(), "me:p@ss:1");
        // base64 of "me:p@ss:1", made with coreutils.
        assert_eq!(proxy.authorization().unwrap().expose(), "Basic bWU6cEBzczox");
        let open = with(&[("HTTPS_PROXY", "http://proxy:8080/")]).realtime.proxy.unwrap();
        assert_eq!(open.authorization(), None);
    }

    #[test]
    fn a_proxy_is_not_asked_for_what_needs_none() {
        for url in ["ws://model.example/v1", "wss://localhost:9000", "wss://[::1]:9000"] {
            let config = with(&[("HTTPS_PROXY", "http://proxy:8080"), ("OPENAI_REALTIME_URL", url)]);
            assert_eq!(config.realtime.proxy, None, "{url}");
        }
    }

    #[test]
    fn a_secret_is_in_no_debug_output() {
        let config = with(&[
            ("OPENAI_API_KEY", "hidden-1"),
            ("ARI_PASSWORD", "hidden-2"),
            ("HTTPS_PROXY", "http://hidden-3:hidden-4@proxy:3128"),
            ("OPENAI_REALTIME_URL", "wss://a.b/rt?api-key=hidden-5"),
        ]);
        let shown =
            format!("{config:?} {config:#?} {:?} {:?}", config.ari.authorization(), config.warnings());
        assert!(shown.contains("voiceapp") && !shown.contains("hidden"), "{shown}");
        assert!(!shown.contains(&STANDARD.encode("voiceapp:hidden-2")));
    }

    #[test]
    fn what_is_probably_not_meant_is_said() {
        assert_eq!(with(&[]).warnings(), ["ARI_PASSWORD is still CHANGE_ME"]);
        assert!(with(&[("ARI_PASSWORD", "x")]).warnings().is_empty());
        let config = with(&[
            ("ARI_PASSWORD", "x"),
            ("ARI_URL", "http://pbx.example:8088"),
            ("ARI_CA_FILE", "ca.pem"),
            ("OPENAI_REALTIME_URL", "ws://model.example/v1?model=other"),
            ("OPENAI_MODEL", "gpt-4o-realtime-preview"),
        ]);
        let lines = config.warnings();
        let about = |word: &str| lines.iter().filter(|line| line.contains(word)).count();
        assert_eq!(lines.len(), 6, "{lines:#?}");
        assert_eq!(
            (about("in the clear"), about("ARI_CA_FILE"), about("loopback"), about("model")),
            (2, 1, 1, 2)
        );
    }
}

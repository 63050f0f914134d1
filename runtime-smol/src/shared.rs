//! What all calls of a process have in common.

use ari_bridge_core::admin::{self, Health};
use ari_bridge_core::call::{Actions, IoFault, Record};
use ari_bridge_core::config::{
    Config, MAX_PROMPT_FILE_BYTES, SAFETY_HEADER, Secret, decode_prompt, prompt_variable,
};
use ari_bridge_core::id::{CallId, LegId};
use ari_bridge_core::metrics::Metrics;
use ari_bridge_core::observe::{Observation, Severity};
use ari_bridge_core::ports::PortPool;
use async_tungstenite::tungstenite::http::header::{AUTHORIZATION, HeaderName};
use futures_rustls::rustls::ClientConfig;
use smol::{Async, Executor};
use std::fs::File;
use std::io::{self, Read};
use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::leg::Leg;
use crate::record::Records;
use crate::requests::Requests;
use crate::service::RunError;
use crate::socket::{Proxy, Target, tls_config};
use crate::tool::{ToolAnswer, ToolCall};

/// Sees what happens, beside logs and metrics. It is called from the tasks of the calls and must not wait.
pub trait Watch: Send + Sync {
    /// Something happened in a call, or, without one, in the switchboard.
    fn observe(&self, call: Option<CallId>, observation: &Observation);

    /// A line of the record of a conversation: what people said. Its spans lie in `out`.
    fn record(&self, call: CallId, record: &Record, out: &Actions) {
        let _ = (call, record, out);
    }

    /// The model calls a function that the settings describe, or an MCP server's tool that must be approved. Take
    /// the work elsewhere: this is called from the task of the call. Without an answer in time the model is told
    /// that it failed.
    fn tool(&self, tool: ToolCall, answer: ToolAnswer) {
        let _ = (tool, answer);
    }
}

/// The common ground.
pub(crate) struct Shared {
    pub(crate) config: Config,
    /// Not a strong reference: the executor owns the tasks that own this, and ends them with the service.
    executor: Weak<Executor<'static>>,
    pub(crate) requests: Requests,
    realtime: Arc<Target>,
    pub(crate) events: Arc<Target>,
    /// None if `CALL_RECORD_DIR` is not set.
    pub(crate) records: Option<Records>,
    metrics: Metrics,
    health: Mutex<Health>,
    ports: Arc<Mutex<PortPool>>,
    watch: Option<Arc<dyn Watch>>,
}

/// A port of the range that nobody else takes as long as this lives.
pub(crate) struct Lease {
    pool: Arc<Mutex<PortPool>>,
    port: u16,
}

impl Drop for Lease {
    fn drop(&mut self) {
        lock(&self.pool).release(self.port);
    }
}

impl Shared {
    /// Reads the CA file and the prompts, starts the threads for requests and records, and opens nothing yet.
    pub(crate) fn new(
        mut config: Config,
        watch: Option<Arc<dyn Watch>>,
        executor: &Arc<Executor<'static>>,
    ) -> Result<Self, RunError> {
        let private_ca = read_ca(&config)?;
        load_prompts(&mut config)?;
        let requests = Requests::start(config.ari.authorization().expose().to_owned(), private_ca.as_deref())
            .map_err(RunError::Threads)?;
        let public = tls_config(None).map_err(RunError::Tls)?;
        let trusted = match &private_ca {
            Some(pem) => tls_config(Some(pem)).map_err(RunError::Tls)?,
            None => public.clone(),
        };
        let metrics = Metrics::new();
        let records = Records::start(&config.record, metrics.count_lost_records())?;
        let (first, last) = (config.rtp.port_start, config.rtp.port_end);
        Ok(Self {
            executor: Arc::downgrade(executor),
            requests,
            realtime: Arc::new(realtime_target(&config, public)),
            events: Arc::new(events_target(&config, trusted)),
            records,
            metrics,
            health: Mutex::default(),
            ports: Arc::new(Mutex::new(PortPool::new(first, last))),
            watch,
            config,
        })
    }

    /// Binds a media socket to a free port of the range. A port that is free here but not in the system
    /// belongs to another program: it is passed over, and counted.
    pub(crate) fn bind_media(&self, leg: LegId) -> Result<(Leg, SocketAddr), IoFault> {
        let mut pool = lock(&self.ports);
        while let Some(port) = pool.next() {
            let local = SocketAddr::new(self.config.rtp.bind, port);
            match Async::<UdpSocket>::bind(local) {
                Ok(socket) => {
                    pool.taken(port);
                    return Ok((Leg::new(leg, socket, Lease { pool: self.ports.clone(), port }), local));
                }
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                    pool.busy(port);
                    self.metrics.port_busy();
                }
                Err(error) => {
                    pool.release(port);
                    return Err(crate::socket::fault(&error));
                }
            }
        }
        Err(IoFault::NoPort)
    }

    /// Logs, counts, and tells who watches.
    pub(crate) fn observe(&self, call: Option<CallId>, observation: &Observation) {
        self.metrics.observe(observation);
        if call.is_none() {
            lock(&self.health).observe(observation);
        }
        match observation.severity() {
            Severity::Count => {}
            Severity::Debug => tracing::debug!("{observation}"),
            Severity::Info => tracing::info!("{observation}"),
            Severity::Warn => tracing::warn!("{observation}"),
            Severity::Error => tracing::error!("{observation}"),
        }
        if let Some(watch) = &self.watch {
            watch.observe(call, observation);
        }
    }

    /// Hands a line of the record to who watches. It goes nowhere else: it is what people said.
    pub(crate) fn record(&self, call: CallId, record: &Record, out: &Actions) {
        if let Some(watch) = &self.watch {
            watch.record(call, record, out);
        }
    }

    /// Hands a function that the model calls to who can perform it, for so long.
    pub(crate) fn call_tool(&self, call: ToolCall, answer: ToolAnswer) {
        let (late, timeout) = (answer.late(), call.timeout);
        self.spawn(async move {
            smol::Timer::after(timeout).await;
            late();
        });
        if let Some(watch) = &self.watch {
            watch.tool(call, answer);
        }
    }

    /// Where the Realtime server is, for a caller with this pseudonym.
    pub(crate) fn realtime_for(&self, safety_identifier: &str) -> Arc<Target> {
        if safety_identifier.is_empty() {
            return self.realtime.clone();
        }
        let mut target = Target::clone(&self.realtime);
        if let Ok(name) = HeaderName::from_bytes(SAFETY_HEADER.as_bytes()) {
            target.headers.push((name, safety_identifier.to_owned()));
        }
        Arc::new(target)
    }

    /// The pseudonym of a caller, if the operator wants one.
    pub(crate) fn caller_tag(&self, number: &str) -> Option<[u8; 32]> {
        let key = self.config.safety_key.as_ref()?;
        (!number.is_empty()).then(|| crate::safety::tag(key, number))
    }

    /// Runs `task` in the background, until its end or that of the service.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        if let Some(executor) = self.executor.upgrade() {
            executor.spawn(task).detach();
        }
    }

    /// From now on no calls are taken.
    pub(crate) fn stopping(&self) {
        lock(&self.health).stopping();
    }

    /// Answers a request to the admin listener.
    pub(crate) fn respond(&self, method: &str, path: &str) -> Vec<u8> {
        admin::respond(method, path, &lock(&self.health), &self.metrics).encode(method)
    }
}

/// The PEM text of `ARI_CA_FILE`.
pub(crate) fn read_ca(config: &Config) -> Result<Option<Vec<u8>>, RunError> {
    let Some(path) = &config.ari.ca_file else { return Ok(None) };
    std::fs::read(path).map(Some).map_err(|error| RunError::CaFile(path.clone(), error))
}

/// Puts the sounds of the files that the operator named in the place of the built-in ones.
fn load_prompts(config: &mut Config) -> Result<(), RunError> {
    for (prompt, path) in config.prompts.iter() {
        let file = read_prompt(path)
            .map_err(|error| RunError::PromptFile(prompt_variable(prompt), path.to_owned(), error))?;
        let samples = decode_prompt(prompt, path, &file).map_err(RunError::Prompt)?;
        Arc::make_mut(&mut config.call.prompts).set(prompt, &samples);
    }
    Ok(())
}

/// The bytes of a prompt's file; of one that is too large no more than it takes to see that.
pub(crate) fn read_prompt(path: &str) -> io::Result<Vec<u8>> {
    let mut file = Vec::new();
    File::open(path)?.take(MAX_PROMPT_FILE_BYTES as u64 + 1).read_to_end(&mut file)?;
    Ok(file)
}

/// Where the Realtime server is, and what it wants to be told.
pub(crate) fn realtime_target(config: &Config, tls: Arc<ClientConfig>) -> Target {
    let realtime = &config.realtime;
    Target {
        tls: realtime.url.tls.then_some(tls),
        host: realtime.url.host.clone(),
        port: realtime.url.port,
        host_header: realtime.url.host_header(),
        path: realtime.request_target(),
        headers: realtime
            .request_headers(config.call.session.dialect)
            .into_iter()
            .filter_map(header)
            .collect(),
        proxy: realtime.proxy.as_ref().map(|proxy| Proxy {
            host: proxy.host.clone(),
            port: proxy.port,
            authorization: proxy.authorization().map(|secret| secret.expose().to_owned()),
        }),
    }
}

/// A header as the WebSocket takes it. A name that cannot be one was refused when the settings were read.
fn header((name, value): (String, Secret)) -> Option<(HeaderName, String)> {
    Some((HeaderName::from_bytes(name.as_bytes()).ok()?, value.expose().to_owned()))
}

/// Where Asterisk's event socket is.
pub(crate) fn events_target(config: &Config, tls: Arc<ClientConfig>) -> Target {
    let ari = &config.ari;
    Target {
        tls: ari.base.tls.then_some(tls),
        host: ari.base.host.clone(),
        port: ari.base.port,
        host_header: ari.base.host_header(),
        path: ari.events_target(),
        headers: vec![(AUTHORIZATION, ari.authorization().expose().to_owned())],
        proxy: None,
    }
}

/// A panic elsewhere leaves these values whole: nothing is half done under the lock.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ari_bridge_core::settings::{Prompt, Prompts};
    use ari_bridge_core::wav;

    #[test]
    fn the_realtime_server_gets_every_header_that_the_settings_allow() {
        let config = Config::from_variables([
            ("OPENAI_API_KEY", "k"),
            ("REALTIME_DIALECT", "azure"),
            ("OPENAI_HEADERS", "X-09!#$%&'*+-.^_`|~=a,OpenAI-Project=p%20q"),
        ]);
        let target = realtime_target(&config.unwrap(), tls_config(None).unwrap());
        let told: Vec<_> =
            target.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(told, [("api-key", "k"), ("x-09!#$%&'*+-.^_`|~", "a"), ("openai-project", "p q")]);
    }
    /// Settings with this file for the prompt that is heard when an answer has failed.
    fn with_sorry(path: &str) -> Config {
        Config::from_variables([("OPENAI_API_KEY", "k"), ("PROMPT_SORRY", path)]).unwrap()
    }

    #[test]
    fn a_prompt_out_of_a_file_takes_the_place_of_the_built_in_one() {
        let path = std::env::temp_dir().join(format!("ari-bridge-prompt-{}.wav", std::process::id()));
        std::fs::write(&path, wav::write(8_000, &[1_000; 4_000])).unwrap();
        let mut config = with_sorry(path.to_str().unwrap());
        let loaded = load_prompts(&mut config);
        std::fs::remove_file(&path).unwrap();
        loaded.unwrap();
        let (prompts, built_in) = (&config.call.prompts, Prompts::default());
        assert_eq!(prompts.get(Prompt::Sorry).len(), 12_000);
        assert_eq!(prompts.get(Prompt::Moment), built_in.get(Prompt::Moment));
    }

    #[test]
    fn a_prompt_that_cannot_be_read_or_used_is_told_with_its_variable_and_its_file() {
        let line = |path: &str| load_prompts(&mut with_sorry(path)).unwrap_err().to_string();
        let missing = line("/nowhere/sorry.wav");
        assert!(missing.starts_with("PROMPT_SORRY: cannot read /nowhere/sorry.wav: "), "{missing}");
        let endless = line("/dev/zero");
        assert!(endless.starts_with("PROMPT_SORRY: /dev/zero cannot be used: it has more than"), "{endless}");
    }
}

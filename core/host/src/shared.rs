//! What all calls of a process have in common.

use ari_bridge_core::admin::{self, Asker, Health};
use ari_bridge_core::call::{Actions, IoFault, Record};
use ari_bridge_core::config::Config;
use ari_bridge_core::id::CallId;
use ari_bridge_core::metrics::Metrics;
use ari_bridge_core::observe::{Observation, Severity};
use ari_bridge_core::settings::{Function, SwitchboardSettings};
use async_tungstenite::tungstenite::http::header::AUTHORIZATION;
use futures_rustls::rustls::ClientConfig;
use std::fmt;
use std::sync::{Arc, Mutex};

use crate::error::RunError;
use crate::lock;
use crate::media::{Bound, Ports};
use crate::record::Records;
use crate::recorder::Recorder;
use crate::requests::Requests;
use crate::runtime::{Options, offer};
use crate::socket::Target;
use crate::terms::{Terms, load_prompts};
use crate::tls::tls_config;
use crate::tool::{ToolAnswer, ToolCall};
use crate::watch::Watch;

/// The common ground.
pub struct Shared {
    /// What the service was started with. Only what cannot change without a restart is read out of it
    /// ([`Config::keep_fixed`]); the rest is in `terms` and with the switchboard.
    pub(crate) fixed: Config,
    pub(crate) requests: Requests,
    /// What calls that begin now go by.
    terms: Mutex<Arc<Terms>>,
    /// Where the event socket is opened next.
    events: Mutex<Arc<Target>>,
    /// For servers with a public certificate.
    tls: Arc<ClientConfig>,
    /// None if `CALL_RECORD_DIR` is not set.
    pub(crate) records: Option<Records>,
    pub(crate) recorder: Recorder,
    metrics: Metrics,
    health: Mutex<Health>,
    ports: Ports,
    watch: Option<Arc<dyn Watch>>,
    log_bytes: Option<usize>,
    functions: Vec<Function>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl Shared {
    /// Reads the CA file and the prompts, starts the threads for requests, records and captures, and opens nothing yet.
    pub(crate) fn new(mut config: Config, options: Options) -> Result<Self, RunError> {
        let private_ca = read_ca(&config)?;
        load_prompts(&mut config)?;
        offer(&options.functions, &mut config);
        let requests =
            Requests::start(config.ari.authorization(), private_ca.as_deref()).map_err(RunError::Threads)?;
        let tls = tls_config(None).map_err(RunError::Tls)?;
        let trusted = match &private_ca {
            Some(pem) => tls_config(Some(pem)).map_err(RunError::Tls)?,
            None => tls.clone(),
        };
        let metrics = Metrics::new();
        let records = Records::start(&config.record, metrics.count_lost_records())?;
        let recorder = Recorder::start(&config.capture, metrics.captures())?;
        Ok(Self {
            requests,
            terms: Mutex::new(Arc::new(Terms::new(&config, tls.clone()))),
            events: Mutex::new(Arc::new(events_target(&config, trusted))),
            tls,
            records,
            recorder,
            metrics,
            health: Mutex::default(),
            ports: Ports::new(&config.rtp),
            watch: options.watch,
            log_bytes: options.log_bytes,
            functions: options.functions,
            fixed: config,
        })
    }

    /// Takes other settings for what begins from now on: calls, requests, event sockets. What is left to do is to
    /// tell the switchboard its own, which are returned.
    ///
    /// # Errors
    ///
    /// If a prompt cannot be read or used, or nothing be written where captures are wanted; the old settings then stay in
    /// force as a whole.
    pub(crate) fn reload(&self, mut config: Config) -> Result<SwitchboardSettings, RunError> {
        load_prompts(&mut config)?;
        offer(&self.functions, &mut config);
        let kept = config.keep_fixed(&self.fixed);
        if !kept.is_empty() {
            tracing::warn!("not changed, because it takes a restart: {}", kept.join(", "));
        }
        self.recorder.set(&config.capture)?;
        let authorization = config.ari.authorization();
        let terms = Arc::new(Terms::new(&config, self.tls.clone()));
        *lock(&self.terms) = terms;
        {
            let mut events = lock(&self.events);
            let headers = vec![(AUTHORIZATION, authorization.expose().to_owned())];
            *events = Arc::new(Target { headers, ..Target::clone(&events) });
        }
        self.requests.authorize(authorization);
        Ok(config.switchboard)
    }

    /// What a call that begins now goes by.
    pub(crate) fn terms(&self) -> Arc<Terms> {
        lock(&self.terms).clone()
    }

    /// Where the event socket is.
    pub(crate) fn events(&self) -> Arc<Target> {
        lock(&self.events).clone()
    }

    /// Binds a media socket to a free port of the range.
    pub(crate) fn bind_media(&self) -> Result<Bound, IoFault> {
        self.ports.bind(|| self.metrics.port_busy())
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

    /// How much of what a machine is given is kept, if any.
    pub(crate) const fn log_bytes(&self) -> Option<usize> {
        self.log_bytes
    }

    /// Hands the log of a machine to who watches.
    pub(crate) fn keep_log(&self, call: Option<CallId>, log: Vec<u8>) {
        if let Some(watch) = &self.watch {
            watch.log(call, log);
        }
    }

    /// Hands a function that the model calls to who can perform it.
    pub(crate) fn call_tool(&self, call: ToolCall, answer: ToolAnswer) {
        if let Some(watch) = &self.watch {
            watch.tool(call, answer);
        }
    }

    /// A task that is counted among those of the process as long as it lives.
    pub fn counted<F: Future<Output = ()>>(&self, task: F) -> impl Future<Output = ()> + use<F> {
        let counted = self.metrics.task();
        async move {
            task.await;
            drop(counted);
        }
    }

    /// Writes the records and the captures that wait, and takes no more.
    pub(crate) fn close(&self) {
        self.recorder.close();
        if let Some(records) = &self.records {
            records.close();
        }
    }

    /// Why calls cannot be taken, in one line; `None` if they can.
    pub(crate) fn not_ready(&self) -> Option<String> {
        lock(&self.health).not_ready().map(str::to_owned)
    }

    /// From now on no calls are taken.
    pub(crate) fn stopping(&self) {
        lock(&self.health).stopping();
    }

    /// Answers a request to the admin listener.
    pub(crate) fn respond(&self, method: &str, path: &str, asker: Asker) -> Vec<u8> {
        let capture = |ask| self.recorder.ask(ask);
        admin::respond(method, path, asker, &lock(&self.health), &self.metrics, capture).encode(method)
    }
}

/// The PEM text of `ARI_CA_FILE`.
pub(crate) fn read_ca(config: &Config) -> Result<Option<Vec<u8>>, RunError> {
    let Some(path) = &config.ari.ca_file else { return Ok(None) };
    std::fs::read(path).map(Some).map_err(|error| RunError::CaFile(path.clone(), error))
}

/// Where Asterisk's event socket is.
fn events_target(config: &Config, tls: Arc<ClientConfig>) -> Target {
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

//! What all calls of a process have in common.

use ari_bridge_core::admin::{self, Health};
use ari_bridge_core::call::{Actions, IoFault, Record};
use ari_bridge_core::config::Config;
use ari_bridge_core::id::{CallId, LegId};
use ari_bridge_core::metrics::Metrics;
use ari_bridge_core::observe::{Observation, Severity};
use ari_bridge_core::ports::PortPool;
use ari_bridge_core::settings::SwitchboardSettings;
use async_tungstenite::tungstenite::http::header::AUTHORIZATION;
use futures_rustls::rustls::ClientConfig;
use smol::{Async, Executor};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::clock::Clock;
use crate::leg::Leg;
use crate::record::Records;
use crate::requests::Requests;
use crate::service::RunError;
use crate::socket::{Target, tls_config};
use crate::terms::{Terms, load_prompts};
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
    /// What the service was started with. Only what cannot change without a restart is read out of it
    /// ([`Config::keep_fixed`]); the rest is in `terms` and with the switchboard.
    pub(crate) fixed: Config,
    /// Not a strong reference: the executor owns the tasks that own this, and ends them with the service.
    executor: Weak<Executor<'static>>,
    pub(crate) requests: Requests,
    /// What calls that begin now go by.
    terms: Mutex<Arc<Terms>>,
    /// Where the event socket is opened next.
    events: Mutex<Arc<Target>>,
    /// For servers with a public certificate.
    tls: Arc<ClientConfig>,
    /// None if `CALL_RECORD_DIR` is not set.
    pub(crate) records: Option<Records>,
    metrics: Metrics,
    health: Mutex<Health>,
    ports: Arc<Mutex<Ports>>,
    watch: Option<Arc<dyn Watch>>,
}

/// The ports for media, and the clock by which they rest.
struct Ports {
    pool: PortPool,
    clock: Clock,
}

/// A port of the range that nobody else takes as long as this lives, and for a while after.
pub(crate) struct Lease {
    ports: Arc<Mutex<Ports>>,
    port: u16,
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Ports { pool, clock } = &mut *lock(&self.ports);
        pool.release(self.port, clock.tick());
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
        let requests =
            Requests::start(config.ari.authorization(), private_ca.as_deref()).map_err(RunError::Threads)?;
        let tls = tls_config(None).map_err(RunError::Tls)?;
        let trusted = match &private_ca {
            Some(pem) => tls_config(Some(pem)).map_err(RunError::Tls)?,
            None => tls.clone(),
        };
        let metrics = Metrics::new();
        let records = Records::start(&config.record, metrics.count_lost_records())?;
        let pool = PortPool::new(config.rtp.port_start, config.rtp.port_end);
        Ok(Self {
            executor: Arc::downgrade(executor),
            requests,
            terms: Mutex::new(Arc::new(Terms::new(&config, tls.clone()))),
            events: Mutex::new(Arc::new(events_target(&config, trusted))),
            tls,
            records,
            metrics,
            health: Mutex::default(),
            ports: Arc::new(Mutex::new(Ports { pool, clock: Clock::start() })),
            watch,
            fixed: config,
        })
    }

    /// Takes other settings for what begins from now on: calls, requests, event sockets. What is left to do is to
    /// tell the switchboard its own, which are returned.
    ///
    /// # Errors
    ///
    /// If a prompt cannot be read or used; the old settings then stay in force as a whole.
    pub(crate) fn reload(&self, mut config: Config) -> Result<SwitchboardSettings, RunError> {
        load_prompts(&mut config)?;
        let kept = config.keep_fixed(&self.fixed);
        if !kept.is_empty() {
            tracing::warn!("not changed, because it takes a restart: {}", kept.join(", "));
        }
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

    /// Binds a media socket to a free port of the range. A port that is free here but not in the system
    /// belongs to another program: it is passed over, and counted.
    pub(crate) fn bind_media(&self, leg: LegId) -> Result<(Leg, SocketAddr), IoFault> {
        let Ports { pool, clock } = &mut *lock(&self.ports);
        let now = clock.tick();
        while let Some(port) = pool.next(now) {
            let local = SocketAddr::new(self.fixed.rtp.bind, port);
            match Async::<UdpSocket>::bind(local) {
                Ok(socket) => {
                    pool.taken(port);
                    return Ok((Leg::new(leg, socket, Lease { ports: self.ports.clone(), port }), local));
                }
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                    pool.busy(port);
                    self.metrics.port_busy();
                }
                Err(error) => {
                    pool.unused(port);
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

    /// Runs `task` in the background, until its end or that of the service.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        if let Some(executor) = self.executor.upgrade() {
            let counted = self.metrics.task();
            let task = async move {
                task.await;
                drop(counted);
            };
            executor.spawn(task).detach();
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
    pub(crate) fn respond(&self, method: &str, path: &str) -> Vec<u8> {
        admin::respond(method, path, &lock(&self.health), &self.metrics).encode(method)
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

/// A panic elsewhere leaves these values whole: nothing is half done under the lock.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

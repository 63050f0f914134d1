//! What all calls of a process have in common.

use ari_bridge_core::call::IoFault;
use ari_bridge_core::config::Config;
use ari_bridge_core::id::{CallId, LegId};
use ari_bridge_core::metrics::Metrics;
use ari_bridge_core::observe::{Observation, Severity};
use ari_bridge_core::ports::PortPool;
use async_tungstenite::tungstenite::http::header::AUTHORIZATION;
use futures_rustls::rustls::ClientConfig;
use smol::Executor;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use crate::leg::Leg;
use crate::requests::Requests;
use crate::service::RunError;
use crate::socket::{Proxy, Target, tls_config};

/// Sees every observation of every call (and of the switchboard: no call), beside logs and metrics.
pub type Watch = Arc<dyn Fn(Option<CallId>, &Observation) + Send + Sync>;

/// The common ground.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) executor: Arc<Executor<'static>>,
    pub(crate) requests: Requests,
    pub(crate) realtime: Arc<Target>,
    pub(crate) events: Arc<Target>,
    pub(crate) metrics: Arc<Metrics>,
    ports: Arc<Mutex<PortPool>>,
    watch: Option<Watch>,
}

/// A port of the range that nobody else takes as long as this lives.
pub(crate) struct Lease {
    pool: Arc<Mutex<PortPool>>,
    port: u16,
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner).give_back(self.port);
    }
}

impl Shared {
    /// Reads the CA file, starts the request threads and opens nothing yet.
    pub(crate) fn new(config: Config, watch: Option<Watch>) -> Result<Self, RunError> {
        let private_ca = read_ca(&config)?;
        let requests = Requests::start(config.ari.authorization().expose().to_owned(), private_ca.as_deref())
            .map_err(RunError::Threads)?;
        let public = tls_config(None).map_err(RunError::Tls)?;
        let trusted = match &private_ca {
            Some(pem) => tls_config(Some(pem)).map_err(RunError::Tls)?,
            None => public.clone(),
        };
        let (first, last) = (config.rtp.port_start, config.rtp.port_end);
        Ok(Self {
            executor: Arc::default(),
            requests,
            realtime: Arc::new(realtime_target(&config, public)),
            events: Arc::new(events_target(&config, trusted)),
            metrics: Arc::new(Metrics::new()),
            ports: Arc::new(Mutex::new(PortPool::new(first, last))),
            watch,
            config,
        })
    }

    /// Binds a media socket to a free port of the range. A port that the pool holds free but the system does
    /// not belongs to another program: it is passed over, and counted.
    pub(crate) fn bind_media(&self, leg: LegId) -> Result<(Leg, SocketAddr), IoFault> {
        // Kept until a socket is bound, so that the pool gives another one each time.
        let mut passed_over = Vec::new();
        for _ in 0..self.config.rtp.ports() {
            let lease = self.lease().ok_or(IoFault::NoPort)?;
            let local = SocketAddr::new(self.config.rtp.bind, lease.port);
            match Leg::bind(leg, local, lease) {
                Ok(bound) => return Ok((bound, local)),
                Err((error, lease)) if error.kind() == io::ErrorKind::AddrInUse => {
                    self.metrics.port_busy();
                    passed_over.push(lease);
                }
                Err((error, _)) => return Err(crate::socket::fault(&error)),
            }
        }
        Err(IoFault::NoPort)
    }

    fn lease(&self) -> Option<Lease> {
        let port = self.ports.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        Some(Lease { pool: self.ports.clone(), port })
    }

    /// Logs, counts, and tells who watches.
    pub(crate) fn observe(&self, call: Option<CallId>, observation: &Observation) {
        self.metrics.observe(observation);
        match observation.severity() {
            Severity::Count => {}
            Severity::Debug => tracing::debug!("{observation}"),
            Severity::Info => tracing::info!("{observation}"),
            Severity::Warn => tracing::warn!("{observation}"),
            Severity::Error => tracing::error!("{observation}"),
        }
        if let Some(watch) = &self.watch {
            watch(call, observation);
        }
    }
}

/// The PEM text of `ARI_CA_FILE`.
pub(crate) fn read_ca(config: &Config) -> Result<Option<Vec<u8>>, RunError> {
    let Some(path) = &config.ari.ca_file else { return Ok(None) };
    std::fs::read(path).map(Some).map_err(|error| RunError::CaFile(path.clone(), error))
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
        headers: vec![(AUTHORIZATION, realtime.authorization().expose().to_owned())],
        proxy: realtime.proxy.as_ref().map(|proxy| Proxy {
            host: proxy.host.clone(),
            port: proxy.port,
            authorization: proxy.authorization().map(|secret| secret.expose().to_owned()),
        }),
    }
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

impl Shared {
    pub(crate) fn respond(&self, _request: &ari_bridge_core::http::Request<'_>, out: &mut Vec<u8>) {
        ari_bridge_core::http::write_response(200, "text/plain", self.metrics.encode().as_bytes(), true, out);
    }
}

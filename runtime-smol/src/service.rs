//! The whole service: threads, switchboard, admin listener, signals.

use ari_bridge_core::config::{Config, PromptFault};
use async_signal::{Signal, Signals};
use smol::Executor;
use smol::channel::Receiver;
use smol::stream::StreamExt;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

use crate::admin;
use crate::mailbox::{Post, mailbox};
use crate::notify::Supervisor;
use crate::shared::{Shared, Watch};
use crate::switchboard::{Driver, Notice};

/// How many calls a thread is meant to carry. 80 calls, half of the time in speech, took 21 % of a core on one
/// thread, and 25 % on two, measured without TLS.
const CALLS_PER_THREAD: usize = 150;

/// Why the service could not be started.
#[derive(Debug)]
pub enum RunError {
    /// The file that `ARI_CA_FILE` names cannot be read.
    CaFile(String, io::Error),
    /// The certificates of that file cannot be used.
    Tls(String),
    /// The file that this variable names for a prompt cannot be read.
    PromptFile(&'static str, String, io::Error),
    /// That file cannot be used.
    Prompt(PromptFault),
    /// No file can be written in the directory that `CALL_RECORD_DIR` names.
    RecordDir(String, io::Error),
    /// The address of `ADMIN_BIND` cannot be bound.
    Admin(SocketAddr, io::Error),
    /// The system gives no thread.
    Threads(io::Error),
    /// The system gives no signals.
    Signals(io::Error),
    /// The service died of a fault of its own.
    Panicked,
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CaFile(path, error) => write!(f, "ARI_CA_FILE: cannot read {path}: {error}"),
            Self::Tls(error) => write!(f, "ARI_CA_FILE: {error}"),
            Self::PromptFile(variable, path, error) => write!(f, "{variable}: cannot read {path}: {error}"),
            Self::Prompt(fault) => fault.fmt(f),
            Self::RecordDir(path, error) => {
                write!(f, "CALL_RECORD_DIR: no file can be written in {path}: {error}")
            }
            Self::Admin(address, error) => write!(f, "ADMIN_BIND: cannot listen on {address}: {error}"),
            Self::Threads(error) => write!(f, "the system gives no thread: {error}"),
            Self::Signals(error) => write!(f, "cannot listen for signals: {error}"),
            Self::Panicked => f.write_str("the service died of a fault of its own; see the lines above"),
        }
    }
}

impl std::error::Error for RunError {}

/// A running service. It runs until it is drained, whether or not this handle lives.
pub struct Service {
    post: Post<Notice>,
    shared: Arc<Shared>,
    admin: SocketAddr,
    thread: JoinHandle<()>,
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").field("admin", &self.admin).finish_non_exhaustive()
    }
}

impl Service {
    /// Starts the service on threads of its own.
    ///
    /// # Errors
    ///
    /// What the machine that it runs on refuses; an Asterisk or Realtime server that cannot be reached is not
    /// an error but is tried again.
    pub fn start(config: Config) -> Result<Self, RunError> {
        Self::launch(config, None, None)
    }

    /// As [`Service::start`]; `watch` sees what happens.
    ///
    /// # Errors
    ///
    /// As [`Service::start`].
    pub fn start_watched(config: Config, watch: Option<Arc<dyn Watch>>) -> Result<Self, RunError> {
        Self::launch(config, watch, None)
    }

    fn launch(
        config: Config,
        watch: Option<Arc<dyn Watch>>,
        supervisor: Option<Arc<Supervisor>>,
    ) -> Result<Self, RunError> {
        let admin_bind = config.admin_bind;
        let threads = threads(config.switchboard.max_calls.unwrap_or(config.switchboard.ports));
        let executor: Arc<Executor<'static>> = Arc::default();
        let shared = Arc::new(Shared::new(config, watch, &executor)?);
        let listener = admin::bind(admin_bind).map_err(|error| RunError::Admin(admin_bind, error))?;
        let admin = listener.get_ref().local_addr().map_err(|error| RunError::Admin(admin_bind, error))?;
        let (post, mailbox) = mailbox();
        let driver = Driver::new(shared.clone(), post.clone(), mailbox, supervisor);
        let listening = executor.spawn(admin::serve(listener, shared.clone()));
        // Closed when the switchboard is done, which ends the threads of the calls.
        let (running, ended) = smol::channel::bounded::<()>(1);
        let calls = (0..threads).map(|n| serve_calls(n, executor.clone(), ended.clone()));
        let calls = calls.collect::<Result<Vec<_>, _>>().map_err(RunError::Threads)?;
        let ending = shared.clone();
        let main = move || {
            // It only waits to be woken: the threads of the calls see to the sockets and timers of all.
            smol::future::block_on(driver.run());
            if let Some(records) = &ending.records {
                records.close();
            }
            drop((listening, running, executor));
            for thread in calls {
                let _ = thread.join();
            }
        };
        let thread = std::thread::Builder::new()
            .name("ari-bridge".to_owned())
            .spawn(main)
            .map_err(RunError::Threads)?;
        Ok(Self { post, shared, admin, thread })
    }

    /// Where the admin listener is bound.
    #[must_use]
    pub const fn admin_addr(&self) -> SocketAddr {
        self.admin
    }

    /// Takes other settings for the calls that begin from now on; those under way keep theirs. What cannot change
    /// without a restart stays as it is, and is named in the log.
    ///
    /// # Errors
    ///
    /// If a prompt cannot be read or used; the old settings then stay in force.
    pub fn reload(&self, config: Config) -> Result<(), RunError> {
        let settings = self.shared.reload(config)?;
        self.post.send(Notice::Settings(Box::new(settings)));
        Ok(())
    }

    /// Takes no new calls, and ends those that are still under way when they have had the time of
    /// `DRAIN_SECONDS`; the service ends when nothing is left to clean up.
    pub fn drain(&self) {
        self.post.send(Notice::Drain);
    }

    /// As [`Service::drain`], but ends the calls at once.
    pub fn stop_now(&self) {
        self.post.send(Notice::StopNow);
    }

    /// Waits for the end.
    ///
    /// # Errors
    ///
    /// [`RunError::Panicked`] if it came by a fault of our own.
    pub fn join(self) -> Result<(), RunError> {
        self.thread.join().map_err(|_| RunError::Panicked)
    }
}

/// Runs the service until SIGTERM or SIGINT has drained it. A second signal ends the calls at once, a third one the
/// process. At SIGHUP `read_again` reads the settings anew; its error is what is wrong with them, in lines, and leaves
/// the old ones in force. If there is a `NOTIFY_SOCKET`, its owner is told (sd_notify(3)).
///
/// # Errors
///
/// As [`Service::start`] and [`Service::join`].
pub fn run(
    config: Config,
    mut read_again: impl FnMut() -> Result<Config, String> + Send + 'static,
) -> Result<(), RunError> {
    let signals = Signals::new([Signal::Term, Signal::Int, Signal::Hup]).map_err(RunError::Signals)?;
    let supervisor = Supervisor::from_env().map(Arc::new);
    let service = Service::launch(config, None, supervisor.clone())?;
    if let Some(supervisor) = &supervisor {
        supervisor.ready();
    }
    let (post, shared) = (service.post.clone(), service.shared.clone());
    let reload = move || {
        if let Some(supervisor) = &supervisor {
            supervisor.reloading();
        }
        let read = read_again().and_then(|config| shared.reload(config).map_err(|fault| fault.to_string()));
        match read {
            Ok(settings) => {
                post.send(Notice::Settings(Box::new(settings)));
                tracing::info!("settings read again; they hold for new calls");
            }
            Err(faults) => {
                faults.lines().for_each(|line| tracing::error!("{line}"));
                tracing::error!("the settings cannot be used; the old ones stay in force");
            }
        }
        if let Some(supervisor) = &supervisor {
            supervisor.ready();
        }
    };
    let post = service.post.clone();
    std::thread::Builder::new()
        .name("ari-bridge-sig".to_owned())
        .spawn(move || smol::future::block_on(obey(signals, &post, reload)))
        .map_err(RunError::Threads)?;
    service.join()
}

/// Does what signals say, for ever.
async fn obey(mut signals: Signals, post: &Post<Notice>, mut reload: impl FnMut()) {
    let mut stops = 0;
    while let Some(signal) = signals.next().await {
        match signal {
            Ok(Signal::Hup) if stops == 0 => reload(),
            Ok(Signal::Hup) => tracing::warn!("the settings are not read again: the bridge is stopping"),
            Ok(_) => {
                stops += 1;
                match stops {
                    1 => post.send(Notice::Drain),
                    2 => post.send(Notice::StopNow),
                    _ => {
                        tracing::error!("stopped at once: what is left of the calls stays on Asterisk");
                        std::process::exit(1);
                    }
                }
            }
            Err(error) => tracing::error!("a signal was lost: {error}"),
        }
    }
}

/// How many threads serve so many calls. More than are needed cost CPU, because they wake each other.
fn threads(max_calls: usize) -> usize {
    std::thread::available_parallelism()
        .map_or(1, usize::from)
        .min(max_calls.div_ceil(CALLS_PER_THREAD))
        .max(1)
}

/// A thread for the calls.
fn serve_calls(
    n: usize,
    executor: Arc<Executor<'static>>,
    ended: Receiver<()>,
) -> io::Result<JoinHandle<()>> {
    let main = move || {
        let _ = smol::block_on(executor.run(ended.recv()));
    };
    std::thread::Builder::new().name(format!("ari-bridge-{n}")).spawn(main)
}

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
#[derive(Debug)]
pub struct Service {
    post: Post<Notice>,
    admin: SocketAddr,
    thread: JoinHandle<()>,
}

impl Service {
    /// Starts the service on threads of its own.
    ///
    /// # Errors
    ///
    /// What the machine that it runs on refuses; an Asterisk or Realtime server that cannot be reached is not
    /// an error but is tried again.
    pub fn start(config: Config) -> Result<Self, RunError> {
        Self::start_watched(config, None)
    }

    /// As [`Service::start`]; `watch` sees what happens.
    ///
    /// # Errors
    ///
    /// As [`Service::start`].
    pub fn start_watched(config: Config, watch: Option<Arc<dyn Watch>>) -> Result<Self, RunError> {
        let admin_bind = config.admin_bind;
        let threads = threads(config.switchboard.max_calls.unwrap_or(config.switchboard.ports));
        let executor: Arc<Executor<'static>> = Arc::default();
        let shared = Arc::new(Shared::new(config, watch, &executor)?);
        let listener = admin::bind(admin_bind).map_err(|error| RunError::Admin(admin_bind, error))?;
        let admin = listener.get_ref().local_addr().map_err(|error| RunError::Admin(admin_bind, error))?;
        let (post, mailbox) = mailbox();
        let driver = Driver::new(shared.clone(), post.clone(), mailbox);
        // Closed when the switchboard is done, which ends the threads that help.
        let (running, ended) = smol::channel::bounded::<()>(1);
        for n in 1..threads {
            help(n, executor.clone(), ended.clone()).map_err(RunError::Threads)?;
        }
        let main = move || {
            let listening = executor.spawn(admin::serve(listener, shared.clone()));
            smol::block_on(executor.run(driver.run()));
            if let Some(records) = &shared.records {
                records.close();
            }
            drop((listening, running));
        };
        let thread = std::thread::Builder::new()
            .name("ari-bridge-0".to_owned())
            .spawn(main)
            .map_err(RunError::Threads)?;
        Ok(Self { post, admin, thread })
    }

    /// Where the admin listener is bound.
    #[must_use]
    pub const fn admin_addr(&self) -> SocketAddr {
        self.admin
    }

    /// Takes no new calls and ends the running ones; the service ends when nothing is left to clean up.
    pub fn drain(&self) {
        self.post.send(Notice::Drain);
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

/// Runs the service until SIGTERM or SIGINT has drained it. A second signal ends the process at once.
///
/// # Errors
///
/// As [`Service::start`] and [`Service::join`].
pub fn run(config: Config) -> Result<(), RunError> {
    let mut signals = Signals::new([Signal::Term, Signal::Int]).map_err(RunError::Signals)?;
    let service = Service::start(config)?;
    let post = service.post.clone();
    let watch_signals = move || {
        smol::block_on(async {
            if signals.next().await.is_some() {
                tracing::info!(
                    "stopping: no new calls, running ones are ended; a second signal stops at once"
                );
                post.send(Notice::Drain);
            }
            if signals.next().await.is_some() {
                tracing::error!("stopped at once: what the running calls made is left on Asterisk");
                std::process::exit(1);
            }
        });
    };
    std::thread::Builder::new()
        .name("ari-bridge-sig".to_owned())
        .spawn(watch_signals)
        .map_err(RunError::Threads)?;
    service.join()
}

/// How many threads serve so many calls. More than are needed cost CPU, because they wake each other.
fn threads(max_calls: usize) -> usize {
    std::thread::available_parallelism()
        .map_or(1, usize::from)
        .min(max_calls.div_ceil(CALLS_PER_THREAD))
        .max(1)
}

/// One more thread for the calls.
fn help(n: usize, executor: Arc<Executor<'static>>, ended: Receiver<()>) -> io::Result<()> {
    let main = move || {
        let _ = smol::block_on(executor.run(ended.recv()));
    };
    std::thread::Builder::new().name(format!("ari-bridge-{n}")).spawn(main).map(drop)
}

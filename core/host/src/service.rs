//! A running service, and how a runtime makes one.

use ari_bridge_core::config::Config;
use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread::JoinHandle;

use crate::admin;
use crate::error::RunError;
use crate::mailbox::{Mailbox, Post, mailbox};
use crate::notify::Supervisor;
use crate::runtime::{Options, ReadAgain, threads};
use crate::shared::Shared;
use crate::switchboard::{self, Desk, Machine, Notice};

/// A running service. It runs until it is drained, whether or not this handle lives.
pub struct Service {
    post: Post<Notice>,
    shared: Arc<Shared>,
    admin: SocketAddr,
    supervisor: Option<Arc<Supervisor>>,
    thread: JoinHandle<()>,
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").field("admin", &self.admin).finish_non_exhaustive()
    }
}

impl Service {
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
        reload(&self.shared, &self.post, config)
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

    /// What signals do to this service. Its supervisor is told that it has started.
    #[must_use]
    pub fn signals(&self, read_again: ReadAgain) -> Signals {
        let supervisor = self.supervisor.clone();
        if let Some(supervisor) = &supervisor {
            supervisor.ready();
        }
        Signals { post: self.post.clone(), shared: self.shared.clone(), supervisor, read_again, stops: 0 }
    }
}

fn reload(shared: &Shared, post: &Post<Notice>, config: Config) -> Result<(), RunError> {
    let settings = shared.reload(config)?;
    post.send(Notice::Settings(Box::new(settings)));
    Ok(())
}

/// A service that is about to start, for a runtime to give threads to.
#[derive(Debug)]
pub struct Launch {
    /// What its calls have in common.
    pub shared: Arc<Shared>,
    /// How many threads are to serve the calls.
    pub threads: NonZeroUsize,
    admin: (TcpListener, SocketAddr),
    supervisor: Option<Arc<Supervisor>>,
}

impl Launch {
    /// Reads the files that the settings name, binds the admin listener and starts the threads that block.
    ///
    /// # Errors
    ///
    /// What the machine that it runs on refuses; an Asterisk or Realtime server that cannot be reached is not
    /// an error but is tried again.
    pub fn new(config: Config, options: Options) -> Result<Self, RunError> {
        let (bind, threads) = (config.admin_bind, threads(&config));
        let supervisor = if options.is_supervised { Supervisor::from_env().map(Arc::new) } else { None };
        let shared = Arc::new(Shared::new(config, options)?);
        let listening =
            admin::bind(bind).and_then(|admin| admin.local_addr().map(|address| (admin, address)));
        let admin = listening.map_err(|error| RunError::Admin(bind, error))?;
        Ok(Self { shared, threads, admin, supervisor })
    }

    /// The admin listener, which does not block, as the runtime wants it.
    ///
    /// # Errors
    ///
    /// If the runtime cannot take it.
    pub fn admin<T>(&self, register: impl FnOnce(TcpListener) -> io::Result<T>) -> Result<T, RunError> {
        let (listener, address) = &self.admin;
        listener.try_clone().and_then(register).map_err(|error| RunError::Admin(*address, error))
    }

    /// Starts the thread of the switchboard, on which no call can keep it waiting: Asterisk cuts off a client that
    /// reads slowly. `main` drives it until it is drained, with the threads of the calls beside it.
    ///
    /// # Errors
    ///
    /// If the system gives no thread.
    pub fn spawn(
        self,
        main: impl FnOnce(Machine, Mailbox<Notice>, Desk) + Send + 'static,
    ) -> Result<Service, RunError> {
        let Self { shared, admin: (_, admin), supervisor, .. } = self;
        let (post, notices) = mailbox();
        let (machine, verdict) = switchboard::begin(&shared);
        let desk = Desk::new(shared.clone(), post.clone(), supervisor.clone(), verdict);
        let ending = Ending(shared.clone());
        let main = move || {
            let _ending = ending;
            main(machine, notices, desk);
        };
        let thread = std::thread::Builder::new().name("ari-bridge".to_owned()).spawn(main);
        let thread = thread.map_err(RunError::Threads)?;
        Ok(Service { post, shared, admin, supervisor, thread })
    }
}

/// Writes what waits when the service has ended, by a panic as well.
struct Ending(Arc<Shared>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// What signals do to a service.
pub struct Signals {
    post: Post<Notice>,
    shared: Arc<Shared>,
    supervisor: Option<Arc<Supervisor>>,
    read_again: ReadAgain,
    stops: u32,
}

impl fmt::Debug for Signals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signals").field("stops", &self.stops).finish_non_exhaustive()
    }
}

impl Signals {
    /// SIGTERM or SIGINT: the first drains, the second ends the calls, the third the process.
    pub fn stop(&mut self) {
        self.stops += 1;
        match self.stops {
            1 => self.post.send(Notice::Drain),
            2 => self.post.send(Notice::StopNow),
            _ => {
                tracing::error!("stopped at once: what is left of the calls stays on Asterisk");
                std::process::exit(1);
            }
        }
    }

    /// SIGHUP: the settings are read again. It reads files, and so it blocks.
    pub fn hang_up(&mut self) {
        if self.stops > 0 {
            tracing::warn!("the settings are not read again: the bridge is stopping");
            return;
        }
        if let Some(supervisor) = &self.supervisor {
            supervisor.reloading();
        }
        let read = (self.read_again)();
        let taken = read
            .and_then(|config| reload(&self.shared, &self.post, config).map_err(|fault| fault.to_string()));
        match taken {
            Ok(()) => tracing::info!("settings read again; they hold for new calls"),
            Err(faults) => {
                faults.lines().for_each(|line| tracing::error!("{line}"));
                tracing::error!("the settings cannot be used; the old ones stay in force");
            }
        }
        if let Some(supervisor) = &self.supervisor {
            supervisor.ready();
        }
    }
}

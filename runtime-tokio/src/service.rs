//! The whole service: threads, switchboard, admin listener, signals.

use ari_bridge_core::config::Config;
use ari_bridge_host::{Launch, Options, ReadAgain, RunError, Service};
use std::io;
use std::ops::Deref;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

use crate::admin;
use crate::switchboard::Driver;
use crate::tasks::Tasks;

/// How long the end of the service waits for a name that is being resolved: nothing can stop that.
const END_WITHIN: Duration = Duration::from_secs(1);

/// Starts the service on threads of its own.
///
/// # Errors
///
/// What the machine that it runs on refuses; an Asterisk or Realtime server that cannot be reached is not
/// an error but is tried again.
pub fn start(config: Config, options: Options) -> Result<Service, RunError> {
    let launch = Launch::new(config, options)?;
    let calls = many_threads(launch.threads.get()).map_err(RunError::Threads)?;
    let own = own_thread().map_err(RunError::Threads)?;
    let tasks = Tasks::new(calls.handle().clone(), launch.shared.clone());
    let listener = launch.admin(|listener| {
        let _registered_with = calls.enter();
        TcpListener::from_std(listener)
    })?;
    calls.spawn(admin::serve(listener, tasks.clone()));
    launch.spawn(move |machine, notices, desk| {
        own.block_on(Driver::new(machine, notices, desk, tasks).run());
        drop((own, calls));
    })
}

/// A runtime that can be dropped anywhere.
pub(crate) struct Threads(Option<Runtime>);

impl Deref for Threads {
    type Target = Runtime;

    fn deref(&self) -> &Runtime {
        self.0.as_ref().expect("it is there until it is dropped")
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        let Some(runtime) = self.0.take() else { return };
        // Inside another runtime, where a service may fail to start, nothing may wait.
        if Handle::try_current().is_ok() {
            runtime.shutdown_background();
        } else {
            runtime.shutdown_timeout(END_WITHIN);
        }
    }
}

/// A runtime for the calls.
fn many_threads(threads: usize) -> io::Result<Threads> {
    let made = AtomicUsize::new(0);
    let name = move || format!("ari-bridge-{}", made.fetch_add(1, Ordering::Relaxed));
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(threads).thread_name_fn(name).enable_all().build().map(|made| Threads(Some(made)))
}

/// A runtime on the thread that waits for it.
pub(crate) fn own_thread() -> io::Result<Threads> {
    Builder::new_current_thread().enable_all().build().map(|made| Threads(Some(made)))
}

/// Runs the service until SIGTERM or SIGINT has drained it. A second signal ends the calls at once, a third one the
/// process. At SIGHUP `read_again` reads the settings anew; its error leaves the old ones in force.
///
/// # Errors
///
/// As [`start`], and [`RunError::Panicked`] if the end came by a fault of our own.
pub fn run(config: Config, options: Options, read_again: ReadAgain) -> Result<(), RunError> {
    let waiting = own_thread().map_err(RunError::Threads)?;
    let listen = || -> io::Result<[Signal; 3]> {
        let _registered_with = waiting.enter();
        let kinds = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()];
        let [terminate, interrupt, hang_up] = kinds.map(signal);
        Ok([terminate?, interrupt?, hang_up?])
    };
    let [mut terminate, mut interrupt, mut hang_up] = listen().map_err(RunError::Signals)?;
    let service = start(config, options)?;
    let mut orders = service.signals(read_again);
    let (running, mut ended) = oneshot::channel::<()>();
    // Reading the settings again blocks.
    let obey = async move {
        loop {
            tokio::select! {
                Some(()) = terminate.recv() => orders.stop(),
                Some(()) = interrupt.recv() => orders.stop(),
                Some(()) = hang_up.recv() => orders.hang_up(),
                _ = &mut ended => return,
            }
        }
    };
    let listening = std::thread::Builder::new()
        .name("ari-bridge-sig".to_owned())
        .spawn(move || waiting.block_on(obey))
        .map_err(RunError::Threads)?;
    let result = service.join();
    drop(running);
    let _ = listening.join();
    result
}

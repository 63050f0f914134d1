//! The whole service: threads, switchboard, admin listener, signals.

use ari_bridge_core::config::Config;
use ari_bridge_host::{Launch, Options, ReadAgain, RunError, Service};
use async_signal::{Signal, Signals};
use smol::channel::Receiver;
use smol::stream::StreamExt;
use smol::{Async, Executor};
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use crate::admin;
use crate::switchboard::Driver;
use crate::tasks::Tasks;

/// Starts the service on threads of its own.
///
/// # Errors
///
/// What the machine that it runs on refuses; an Asterisk or Realtime server that cannot be reached is not
/// an error but is tried again.
pub fn start(config: Config, options: Options) -> Result<Service, RunError> {
    let launch = Launch::new(config, options)?;
    let executor: Arc<Executor<'static>> = Arc::default();
    let tasks = Tasks::new(&executor, launch.shared.clone());
    let listener = launch.admin(Async::new_nonblocking)?;
    let listening = executor.spawn(admin::serve(listener, tasks.clone()));
    // Closed when the switchboard is done, which ends the threads of the calls.
    let (running, ended) = smol::channel::bounded::<()>(1);
    let calls = (0..launch.threads.get()).map(|n| serve_calls(n, executor.clone(), ended.clone()));
    let calls = calls.collect::<Result<Vec<_>, _>>().map_err(RunError::Threads)?;
    launch.spawn(move |machine, notices, desk| {
        // It only waits to be woken: the threads of the calls see to the sockets and timers of all.
        smol::future::block_on(Driver::new(machine, notices, desk, tasks).run());
        drop((listening, running, executor));
        for thread in calls {
            let _ = thread.join();
        }
    })
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

/// Runs the service until SIGTERM or SIGINT has drained it. A second signal ends the calls at once, a third one the
/// process. At SIGHUP `read_again` reads the settings anew; its error leaves the old ones in force.
///
/// # Errors
///
/// As [`start`], and [`RunError::Panicked`] if the end came by a fault of our own.
pub fn run(config: Config, options: Options, read_again: ReadAgain) -> Result<(), RunError> {
    let mut signals = Signals::new([Signal::Term, Signal::Int, Signal::Hup]).map_err(RunError::Signals)?;
    let service = start(config, options)?;
    let mut orders = service.signals(read_again);
    let (running, ended) = smol::channel::bounded::<()>(1);
    // Reading the settings again blocks.
    let obey = async move {
        while let Some(signal) = signals.next().await {
            match signal {
                Ok(Signal::Hup) => orders.hang_up(),
                Ok(_) => orders.stop(),
                Err(error) => tracing::error!("a signal was lost: {error}"),
            }
        }
    };
    let until_the_end = async move {
        let _ = ended.recv().await;
    };
    let listening = std::thread::Builder::new()
        .name("ari-bridge-sig".to_owned())
        .spawn(move || smol::future::block_on(smol::future::or(obey, until_the_end)))
        .map_err(RunError::Threads)?;
    let result = service.join();
    drop(running);
    let _ = listening.join();
    result
}

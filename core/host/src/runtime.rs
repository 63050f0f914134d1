//! What a runtime offers.

use ari_bridge_core::config::Config;
use ari_bridge_core::settings::{Function, Tool};
use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;

use crate::check::Greeting;
use crate::error::RunError;
use crate::service::Service;
use crate::socket::Target;
use crate::watch::Watch;

/// A runtime, as far as the command line, the builder and tests have to do with it.
#[derive(Clone, Copy, Debug)]
pub struct Runtime {
    /// The name of its program.
    pub program: &'static str,
    /// Starts the service on threads of its own.
    pub start: fn(Config, Options) -> Result<Service, RunError>,
    /// Runs the service until signals have ended it.
    pub run: fn(Config, Options, ReadAgain) -> Result<(), RunError>,
    /// Opens a WebSocket and waits for the first thing that is said on it.
    pub greet: fn(&Target) -> Greeting,
}

/// Reads the settings anew, at SIGHUP. Its error is what is wrong with them, in lines.
pub type ReadAgain = Box<dyn FnMut() -> Result<Config, String> + Send>;

/// What a program around the bridge wants of it, beside the settings.
#[derive(Clone, Default)]
pub struct Options {
    /// Sees what happens.
    pub watch: Option<Arc<dyn Watch>>,
    /// Functions that the model is offered beside those of the settings, whatever those are when they are read again.
    /// One of the same name as one of the settings takes its place.
    pub functions: Vec<Function>,
    /// If it is wanted of every machine what it was given and what it did, how many bytes of that are kept at the most
    /// ([`Watch::log`]).
    pub log_bytes: Option<usize>,
    /// Whether the supervisor of the process that the environment names, if there is one, is told how the service is.
    /// For a service that is all of its process.
    pub is_supervised: bool,
}

impl Options {
    /// Nothing but somebody who watches.
    #[must_use]
    pub fn watched(watch: Arc<dyn Watch>) -> Self {
        Self { watch: Some(watch), ..Self::default() }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options").field("is_supervised", &self.is_supervised).finish_non_exhaustive()
    }
}

/// Offers the model these functions, too.
pub(crate) fn offer(functions: &[Function], config: &mut Config) {
    let tools = &mut config.call.session.tools;
    for function in functions {
        tools.retain(|tool| !matches!(tool, Tool::Function(other) if other.name == function.name));
        tools.push(Tool::Function(function.clone()));
    }
}

/// How many threads serve the calls: as many as the operator has set, or as the machine has cores.
pub(crate) fn threads(config: &Config) -> NonZeroUsize {
    let cores = || std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    config.worker_threads.unwrap_or_else(cores)
}

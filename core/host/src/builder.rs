//! The bridge inside another program.

use ari_bridge_core::call::{Actions, Record};
use ari_bridge_core::config::Config;
use ari_bridge_core::id::CallId;
use ari_bridge_core::observe::Observation;
use ari_bridge_core::settings::Function;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::cli;
use crate::error::RunError;
use crate::runtime::{Options, ReadAgain, Runtime};
use crate::service::Service;
use crate::tool::{ToolAnswer, ToolCall};
use crate::watch::Watch;

type OnObservation = Box<dyn Fn(Option<CallId>, &Observation) + Send + Sync>;
type OnLog = Box<dyn Fn(Option<CallId>, Vec<u8>) + Send + Sync>;
type OnFunction = Box<dyn Fn(ToolCall, ToolAnswer) + Send + Sync>;

/// A bridge that is being put together. Without further ado it is what the program is: settings from the environment
/// and from `.env`, logs to whichever subscriber of `tracing` there is.
pub struct Builder {
    runtime: &'static Runtime,
    settings: ReadAgain,
    functions: Vec<Function>,
    log_bytes: Option<usize>,
    hooks: Hooks,
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("runtime", &self.runtime.program).finish_non_exhaustive()
    }
}

impl Builder {
    /// A bridge on this runtime.
    #[must_use]
    pub fn new(runtime: &'static Runtime) -> Self {
        let settings = Box::new(|| cli::settings(None).inspect(cli::warn));
        Self { runtime, settings, functions: Vec::new(), log_bytes: None, hooks: Hooks::default() }
    }

    /// Takes the settings from here instead of from the environment: at the start, and again at every SIGHUP. The error
    /// is what is wrong with them, in lines.
    #[must_use]
    pub fn settings(mut self, read: impl FnMut() -> Result<Config, String> + Send + 'static) -> Self {
        self.settings = Box::new(read);
        self
    }

    /// Tells of everything that happens: in a call, or, without one, in the switchboard. It is called from the tasks of
    /// the calls and must not wait.
    #[must_use]
    pub fn on_observation(
        mut self,
        tell: impl Fn(Option<CallId>, &Observation) + Send + Sync + 'static,
    ) -> Self {
        self.hooks.observation = Some(Box::new(tell));
        self
    }

    /// Offers the model a function, and performs it; one of the same name is replaced. `perform` is called from the task of the call and must not wait:
    /// work that takes time goes elsewhere, with the answer to give. What the model wrote is untrusted input.
    #[must_use]
    pub fn function(
        mut self,
        function: Function,
        perform: impl Fn(ToolCall, ToolAnswer) + Send + Sync + 'static,
    ) -> Self {
        self.hooks.functions.insert(function.name.clone(), Box::new(perform));
        self.functions.retain(|other| other.name != function.name);
        self.functions.push(function);
        self
    }

    /// Gives the log of every call and, without one, of the switchboard, when it is over: a capture
    /// ([`ari_bridge_core::capture`]) of at most `max_bytes`, in which what people said is too.
    #[must_use]
    pub fn on_log(
        mut self,
        max_bytes: usize,
        take: impl Fn(Option<CallId>, Vec<u8>) + Send + Sync + 'static,
    ) -> Self {
        self.log_bytes = Some(max_bytes);
        self.hooks.log = Some(Box::new(take));
        self
    }

    /// Sees everything, records and approvals included, and logs if [`Builder::on_log`] asks for them. Of functions it is asked for those that [`Builder::function`]
    /// does not perform.
    #[must_use]
    pub fn watch(mut self, watch: Arc<dyn Watch>) -> Self {
        self.hooks.watch = Some(watch);
        self
    }

    /// Starts the bridge on threads of its own, and leaves signals to the program around it.
    ///
    /// # Errors
    ///
    /// [`RunError::Settings`], or what the machine that it runs on refuses. An Asterisk or Realtime server that cannot
    /// be reached is not an error but is tried again.
    pub fn start(self) -> Result<Service, RunError> {
        let (runtime, config, options, _) = self.finish()?;
        (runtime.start)(config, options)
    }

    /// Runs the bridge until SIGTERM or SIGINT has drained it. A second signal ends the calls at once, a third one the
    /// process; at SIGHUP the settings are read again. If there is a `NOTIFY_SOCKET`, its owner is told (sd_notify(3)).
    ///
    /// # Errors
    ///
    /// As [`Builder::start`], and [`RunError::Panicked`] if the end came by a fault of our own.
    pub fn run(self) -> Result<(), RunError> {
        let (runtime, config, options, read_again) = self.finish()?;
        (runtime.run)(config, Options { is_supervised: true, ..options }, read_again)
    }

    fn finish(self) -> Result<(&'static Runtime, Config, Options, ReadAgain), RunError> {
        let Self { runtime, mut settings, functions, log_bytes, hooks } = self;
        let config = settings().map_err(RunError::Settings)?;
        let options = Options { log_bytes, functions, ..Options::watched(Arc::new(hooks)) };
        Ok((runtime, config, options, settings))
    }
}

#[derive(Default)]
struct Hooks {
    observation: Option<OnObservation>,
    functions: BTreeMap<String, OnFunction>,
    log: Option<OnLog>,
    watch: Option<Arc<dyn Watch>>,
}

impl Watch for Hooks {
    fn observe(&self, call: Option<CallId>, observation: &Observation) {
        if let Some(tell) = &self.observation {
            tell(call, observation);
        }
        if let Some(watch) = &self.watch {
            watch.observe(call, observation);
        }
    }

    fn record(&self, call: CallId, record: &Record, out: &Actions) {
        if let Some(watch) = &self.watch {
            watch.record(call, record, out);
        }
    }

    fn log(&self, call: Option<CallId>, log: Vec<u8>) {
        match (&self.log, &self.watch) {
            (Some(take), Some(watch)) => {
                watch.log(call, log.clone());
                take(call, log);
            }
            (Some(take), None) => take(call, log),
            (None, Some(watch)) => watch.log(call, log),
            (None, None) => {}
        }
    }

    fn tool(&self, tool: ToolCall, answer: ToolAnswer) {
        if let Some(perform) = self.functions.get(&tool.name) {
            perform(tool, answer);
        } else if let Some(watch) = &self.watch {
            watch.tool(tool, answer);
        }
    }
}

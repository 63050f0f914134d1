//! ari-bridge on the tokio runtime.
//!
//! The machines of [`ari_bridge_core`] decide; this crate tells them the time and what arrived, and performs what
//! they say. It parses nothing and branches on no message. What it has in common with other runtimes is in
//! [`ari_bridge_host`].
//!
//! Each call is one task of a multi-threaded runtime, and owns its sockets. The switchboard has a thread and a small
//! runtime of its own, so that no call can keep it from reading what Asterisk says. Everything that is awaited here can
//! be dropped at any moment: what a call knows is in its machine, and what it holds goes with its task.
//!
//! The bridge inside a program of one's own, with a function that the model can call:
//!
//! ```no_run
//! use ari_bridge_tokio::{Bridge, Function};
//!
//! let schema = serde_json::json!({"type": "object", "properties": {"day": {"type": "string"}}});
//! let hours = Function {
//!     name: "opening_hours".into(),
//!     description: "When the shop is open on a day of the week".into(),
//!     parameters: schema,
//! };
//! Bridge::builder()
//!     .on_observation(|call, what| println!("{call:?}: {what}"))
//!     .function(hours, |asked, answer| answer.done(format!("{}: nine to five", asked.arguments)))
//!     .run()?;
//! # Ok::<(), ari_bridge_tokio::RunError>(())
//! ```
//!
//! Functions and observers are called on the bridge's own runtime: `tokio::spawn` works in them. `run` waits for the
//! end on the thread that calls it, which must not be one of another runtime's; there, [`Builder::start`] gives a
//! [`Service`] at once.

mod admin;
mod alarm;
mod call;
mod leg;
mod net;
mod service;
mod switchboard;
mod tasks;

pub use ari_bridge_core::{self, settings::Function};
pub use ari_bridge_host::{Builder, Options, RunError, Service, ToolAnswer, ToolCall, Watch};
pub use service::{run, start};

use ari_bridge_host::Runtime;

/// This runtime.
pub const RUNTIME: Runtime =
    Runtime { program: "ari-bridge-tokio", start: service::start, run: service::run, greet: net::greet };

/// The bridge.
#[derive(Debug)]
pub struct Bridge;

impl Bridge {
    /// A bridge that is what the program `ari-bridge-tokio` is, until it is told otherwise.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::new(&RUNTIME)
    }
}

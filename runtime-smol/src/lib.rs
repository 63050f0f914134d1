//! ari-bridge on the smol runtime.
//!
//! The machines of [`ari_bridge_core`] decide; this crate tells them the time and what arrived, and performs what
//! they say. It parses nothing and branches on no message. What it has in common with other runtimes is in
//! [`ari_bridge_host`].
//!
//! One task drives the switchboard, one task drives each call, and a task owns its sockets: between an RTP packet
//! and the Realtime socket there is no queue, no lock and no other task. Requests to ARI go through a few
//! threads that block.
//!
//! The bridge inside a program of one's own, with a function that the model can call:
//!
//! ```no_run
//! use ari_bridge_smol::{Bridge, Function};
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
//! # Ok::<(), ari_bridge_smol::RunError>(())
//! ```

mod admin;
mod alarm;
mod call;
mod leg;
mod net;
mod ready;
mod service;
mod switchboard;
mod tasks;

pub use ari_bridge_core::{self, settings::Function};
pub use ari_bridge_host::{Builder, Options, RunError, Service, ToolAnswer, ToolCall, Watch};
pub use service::{run, start};

use ari_bridge_host::Runtime;

/// This runtime.
pub const RUNTIME: Runtime =
    Runtime { program: "ari-bridge", start: service::start, run: service::run, greet: net::greet };

/// The bridge.
#[derive(Debug)]
pub struct Bridge;

impl Bridge {
    /// A bridge that is what the program `ari-bridge` is, until it is told otherwise.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::new(&RUNTIME)
    }
}

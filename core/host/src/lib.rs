//! What both runtimes of ari-bridge share and what touches the machine: threads that block, files, TLS, the command
//! line, the stand-ins. It has no executor, no reactor and no timers; what has to wait is a future that a runtime
//! polls.
//!
//! A runtime owns sockets and timers. It asks a [`call::Machine`] or [`switchboard::Machine`] what to do, gives each
//! action to the desk beside it, and is left with an errand where a socket or a timer is wanted. It offers itself as a
//! [`Runtime`], a handful of plain functions, to the [command line](cli), to `demo` and to [`Builder`].

pub mod admin;
mod builder;
pub mod call;
mod check;
pub mod cli;
pub mod clock;
mod demo;
mod error;
pub mod link;
pub mod machine;
pub mod mailbox;
pub mod media;
mod notify;
mod record;
pub mod recorder;
mod requests;
mod runtime;
pub mod safety;
mod service;
mod shared;
pub mod socket;
pub mod standin;
pub mod switchboard;
mod terms;
mod tls;
mod tool;
mod watch;
mod websocket;

pub use builder::Builder;
pub use check::{GREETING_TIMEOUT, Greeting, check};
pub use error::RunError;
pub use requests::Reply;
pub use runtime::{Options, ReadAgain, Runtime};
pub use service::{Launch, Service, Signals};
pub use shared::Shared;
pub use tool::{ToolAnswer, ToolCall};
pub use watch::Watch;
pub use websocket::{CLOSE_TIMEOUT, WebSocket};

use std::sync::{Mutex, MutexGuard, PoisonError};

/// A panic elsewhere leaves these values whole: nothing is half done under the lock.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

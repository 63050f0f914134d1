//! ari-bridge on the smol runtime.
//!
//! The machines of [`ari_bridge_core`] decide; this crate tells them the time and what arrived, and performs what
//! they say. It parses nothing and branches on no message.
//!
//! One task drives the switchboard, one task drives each call, and a task owns its sockets: between an RTP packet
//! and the Realtime socket there is no queue, no lock and no other task. Requests to ARI go through a few
//! threads that block. [`run`] is all that the program needs; [`Service`] is the same for tests, on threads of
//! its own.

mod admin;
mod call;
mod check;
mod clock;
pub mod demo;
mod leg;
mod link;
mod mailbox;
mod notify;
mod ready;
mod record;
mod requests;
pub mod safety;
mod service;
mod shared;
mod socket;
pub mod standin;
mod switchboard;
mod terms;
mod tool;
mod websocket;

pub use check::check;
pub use service::{RunError, Service, run};
pub use shared::Watch;
pub use tool::{ToolAnswer, ToolCall};

//! The sans-I/O core of ari-bridge: a telephone call between Asterisk and a Realtime model, decided by pure
//! state machines.
//!
//! Nothing in this crate opens a socket, reads a clock, starts a thread, looks at the environment or rolls a
//! die. A driver tells a machine the time and what arrived, and performs the actions that come back:
//!
//! ```text
//!   bytes and time ──▶ Call::step(now, Input, &mut Actions) ──▶ actions, and the next deadline
//! ```
//!
//! The modules stand in rings; a ring uses only rings below it, and a test holds it to that.
//!
//! | ring | modules |
//! |---|---|
//! | 0 values | [`time`], [`id`], [`rng`], [`actions`], [`format`](mod@format), [`settings`], [`fault`], [`outcome`], [`wake`], [`uri`], [`observe`] |
//! | 1 codecs between bytes and values, no state | [`json`], [`ari`], [`realtime`], [`rtp`], [`pcm`], [`wav`] |
//! | 2 media | [`jitter`], [`resample`], [`codec`], [`conceal`], [`echo`], [`meter`], [`transcript`], [`playout`], [`uplink`], [`downlink`] |
//! | 3 machines | [`call`], [`switchboard`] |
//! | 4 services | [`config`], [`metrics`], [`admin`], [`http`], [`ports`], [`check`], [`record`], [`capture`], [`replay`](mod@replay), [`tools`], `sim` (feature) |
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    warn(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

pub mod actions;
pub mod admin;
pub mod ari;
pub mod call;
pub mod capture;
pub mod check;
pub mod codec;
pub mod conceal;
pub mod config;
pub mod downlink;
pub mod echo;
pub mod fault;
pub mod format;
mod g711;
mod holding;
pub mod http;
pub mod id;
pub mod jitter;
pub mod json;
pub mod meter;
pub mod metrics;
pub mod observe;
pub mod outcome;
pub mod pcm;
pub mod playout;
pub mod ports;
pub mod realtime;
pub mod record;
pub mod replay;
pub mod resample;
pub mod rng;
pub mod rtp;
pub mod settings;
#[cfg(feature = "sim")]
pub mod sim;
pub mod switchboard;
pub mod time;
pub mod tools;
pub mod transcript;
pub mod uplink;
pub mod uri;
pub mod wake;
pub mod wav;

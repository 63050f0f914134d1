//! What the fuzz targets do with their bytes: one function each, which panics if something is not as it must be.
//!
//! The targets themselves are a few lines in `fuzz/`, a crate outside the workspace. Here the ordinary tests reach them too,
//! and replay the committed corpus without libFuzzer.

mod ari;
mod call;
mod capture_file;
mod config;
mod crash;
mod json;
mod realtime;
mod rtp;
mod world;

pub use ari::ari_event;
pub use call::{CHOSEN_BYTES, call};
pub use capture_file::capture_file;
pub use config::config;
pub use crash::{CALLS, to_capture};
pub use realtime::realtime_event;
pub use rtp::rtp;
pub use world::world;

/// What a target does with its bytes.
pub type Target = fn(&[u8]);

/// Every target, by the name that it has in `fuzz/`.
pub const TARGETS: [(&str, Target); 7] = [
    ("ari_event", ari_event),
    ("call", call),
    ("capture_file", capture_file),
    ("config", config),
    ("realtime_event", realtime_event),
    ("rtp", rtp),
    ("world", world),
];

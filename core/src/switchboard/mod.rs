//! One process: takes ARI's events, tells callers from the rest, and hands each event to its call.

mod io;

pub use io::*;

//! Asterisk and a Realtime server on loopback: the sans-I/O machines of `ari_bridge_core::sim` behind real
//! sockets, each on a thread of its own. A thread waits in one place, for all its sockets and for the next deadline of
//! its machine, so that the stand-ins serve the tests and the demonstration of either runtime and need none.
//!
//! ```no_run
//! let asterisk = ari_bridge_host::standin::serve_asterisk(Default::default()).unwrap();
//! asterisk.dial(1, "+4930123456", "100");
//! ```

mod asterisk;
mod http;
mod realtime;
mod server;
mod socket;
#[cfg(test)]
mod tests;
mod watched;

pub use asterisk::{AsteriskServer, CallerSeen, serve_asterisk};
pub use realtime::{Answered, RealtimeSeen, RealtimeServer, parrot, serve_realtime};

use std::sync::{Mutex, MutexGuard, PoisonError};

/// A panic of another thread leaves a machine as it was after its last whole step, which is good enough here.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

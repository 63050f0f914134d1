//! What holds of the parts of a call whatever they are given. Each part is held against something that is written here
//! in the plainest way: a list, a table, arithmetic.
//!
//! What they are given is read from bytes (`ari_bridge_tests::generators`); `PROPTEST_CASES=20000` makes a long run.

mod capture;
mod client_events;
mod codecs;
mod config;
mod downlink;
mod jitter;
mod parsers;
mod playout;
mod server_events;
mod sound;
mod switchboard;

use proptest::collection::vec;
use proptest::prelude::*;

/// So many cases at least.
fn cases(least: u32) -> ProptestConfig {
    ProptestConfig {
        cases: std::env::var("PROPTEST_CASES").map_or(least, |_| ProptestConfig::default().cases.max(least)),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// Fewer than so many bytes.
fn bytes(most: usize) -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..most)
}

//! What other people's programs make of what the tools write.
//!
//! These tests run if `ARI_BRIDGE_TOOLS=1` is set and then need the programs: a missing one is a failure. `run.sh`
//! installs them.

mod browser;
mod pcap;

use std::io::Write;

/// Whether the programs are to be run; says so if they are not.
fn is_wanted(what: &str) -> bool {
    let is_wanted = std::env::var("ARI_BRIDGE_TOOLS").as_deref() == Ok("1");
    if !is_wanted {
        // Written past the test runner, which shows what is printed only when a test fails.
        let line = format!("NOT RUN: {what} (tests/tools/run.sh runs it)\n");
        drop(std::io::stderr().write_all(line.as_bytes()));
    }
    is_wanted
}

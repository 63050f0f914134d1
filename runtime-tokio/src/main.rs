//! The program `ari-bridge-tokio`.

use std::process::ExitCode;

fn main() -> ExitCode {
    ari_bridge_host::cli::main(&ari_bridge_tokio::RUNTIME)
}

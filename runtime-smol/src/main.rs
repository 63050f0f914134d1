//! The program `ari-bridge`.

use std::process::ExitCode;

fn main() -> ExitCode {
    ari_bridge_host::cli::main(&ari_bridge_smol::RUNTIME)
}

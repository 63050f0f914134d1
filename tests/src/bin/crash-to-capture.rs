//! Turns an input that a fuzz target crashes on into a capture: `crash-to-capture TARGET INPUT OUT.capture`.
//!
//! The capture ends with what the call was given last. `ari-bridge replay`, `show` and the other tools open it.

use ari_bridge_tests::fuzz::{CALLS, to_capture};
use std::ffi::OsString;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let [target, input, out] = arguments.as_slice() else {
        eprintln!(
            "usage: crash-to-capture TARGET INPUT OUT.capture\n\nTARGET is one of {}.",
            CALLS.join(", ")
        );
        return ExitCode::from(2);
    };
    let written = std::fs::read(input)
        .map_err(|error| format!("{}: {error}", input.display()))
        .and_then(|bytes| to_capture(&target.to_string_lossy(), &bytes))
        .and_then(|capture| {
            std::fs::write(out, &capture).map_err(|error| format!("{}: {error}", out.display()))?;
            Ok(capture.len())
        });
    match written {
        Ok(len) => {
            println!("{}: {len} bytes", out.display());
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("crash-to-capture: {why}");
            ExitCode::FAILURE
        }
    }
}

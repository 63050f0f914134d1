//! The program as a child process: this one once more, on the runtime that is asked for.

use ari_bridge_host::Runtime;
use ari_bridge_tests::process::{Bridge, Scratch};
use std::path::Path;
use std::process::{Command, ExitCode};

use crate::{RUNTIMES, records};

/// The variable that names the program which this process is to be.
const PROGRAM: &str = "PARITY_PROGRAM";

/// The variable that makes it a program of somebody's own, with the bridge inside.
pub(crate) const AROUND: (&str, &str) = ("PARITY_AROUND", "on");

/// What is logged when events flow, and what there was on Asterisk before is settled.
pub(crate) const READY: &str = "Asterisk was asked what there is";

/// Is the program, if this process is to be one.
pub(crate) fn is_asked_for() -> Option<ExitCode> {
    let wanted = std::env::var(PROGRAM).ok()?;
    let runtime = RUNTIMES.iter().map(|(_, runtime)| *runtime).find(|runtime| runtime.program == wanted)?;
    Some(if std::env::var_os(AROUND.0).is_some() {
        records::around(runtime)
    } else {
        ExitCode::from(ari_bridge_host::cli::main_with(runtime, std::env::args_os()))
    })
}

/// The program, which is told this and has nothing but `set` in its environment.
fn program(on: &Runtime, arguments: &[&str], set: &[(&str, &str)]) -> Command {
    let mut program = Command::new(std::env::current_exe().unwrap());
    program.args(arguments).env_clear().env(PROGRAM, on.program).envs(set.iter().copied());
    program
}

/// What the program says that ends by itself: its exit code, and what it wrote to stdout and stderr.
pub(crate) fn says(on: &Runtime, arguments: &[&str], set: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let output = program(on, arguments, set).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// Starts the program with this file of settings, and with `set` in its environment.
pub(crate) fn start(on: &Runtime, env_file: &Path, set: &[(&str, &str)]) -> Bridge {
    start_with(on, &["--env-file", env_file.to_str().unwrap()], set)
}

/// Starts the program with these arguments, and with `set` in its environment.
pub(crate) fn start_with(on: &Runtime, arguments: &[&str], set: &[(&str, &str)]) -> Bridge {
    Bridge::spawn(program(on, arguments, set))
}

/// A directory of a story's own, on this runtime.
pub(crate) fn scratch(on: &Runtime, name: &str) -> Scratch {
    Scratch::new(&format!("{}-{name}", on.program))
}

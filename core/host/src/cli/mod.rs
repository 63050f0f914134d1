//! The command line, the same for every runtime.

mod captures;
mod settings;

pub(crate) use settings::settings;

use captures::CaptureCommand;

use ari_bridge_core::config::{self, Config};
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

use crate::check::check;
use crate::demo;
use crate::runtime::{Options, Runtime};

/// Something broke while running.
const FAILED: u8 = 1;

/// The settings cannot be used.
const MISCONFIGURED: u8 = 2;

#[derive(Parser)]
#[command(
    version,
    about = "A voice agent on a telephone line: Asterisk on one side, a Realtime model on the other"
)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// Read settings from this file instead of .env; the environment wins over both
    #[arg(long, global = true, value_name = "PATH")]
    env_file: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    /// Serve calls until SIGTERM or Ctrl-C (the default)
    Run,
    /// Place a call on this machine alone: no Asterisk, no key, no network; writes what was heard to a WAV file
    Demo {
        /// Where to write the recording: left the caller, right what the caller heard
        #[arg(long, value_name = "PATH", default_value = "ari-bridge-demo.wav")]
        out: PathBuf,
    },
    /// Ask Asterisk and the Realtime server whether a call would work, and say what to do if not
    Check,
    #[command(flatten)]
    Capture(CaptureCommand),
}

fn examples(program: &str) -> String {
    format!(
        "Examples:
  {program} demo                  hear a call without Asterisk and without a key
  {program} check                 find out what is missing before the first call
  {program}                       serve calls, with the settings in ./.env
  RUST_LOG=debug {program} run    say more
  {program} replay captures/      does this version do what was done when these calls were captured?

Settings come from the environment and from a file .env; `{program} --help` lists them."
    )
}

/// Which command of the program `name` is wanted. Ends the process where that is all to be said.
fn parse(name: &'static str, arguments: impl IntoIterator<Item = OsString>) -> Cli {
    let examples = examples(name);
    let long = format!("{examples}\n\n{}", config::help_text());
    let command = Cli::command().name(name).after_help(examples).after_long_help(long);
    Cli::from_arg_matches(&command.get_matches_from(arguments)).unwrap_or_else(|error| error.exit())
}

/// The whole program on this runtime.
#[must_use]
pub fn main(runtime: &Runtime) -> ExitCode {
    ExitCode::from(main_with(runtime, std::env::args_os()))
}

/// As [`main`], with these arguments, of which the first is the program's name; the answer is the exit code.
#[must_use]
pub fn main_with(runtime: &Runtime, arguments: impl IntoIterator<Item = OsString>) -> u8 {
    let cli = parse(runtime.program, arguments);
    let command = cli.command.unwrap_or(Command::Run);
    // The demo tells its own story, and a replay that of another run.
    init_log(if matches!(command, Command::Demo { .. } | Command::Capture(_)) { "off" } else { "info" });
    let settings = move || settings(cli.env_file.as_deref());
    let result = match command {
        Command::Run => run(runtime, settings),
        Command::Demo { out } => demo(runtime, &out),
        Command::Capture(command) => captures::run(command).map_err(failed(runtime)),
        Command::Check => settings().map_err(misconfigured).and_then(|config| look(runtime, &config)),
    };
    result.unwrap_or_else(|code| code)
}

fn run(runtime: &Runtime, settings: impl Fn() -> Result<Config, String> + Send + 'static) -> Result<u8, u8> {
    let read = move || settings().inspect(warn);
    let config = read().map_err(misconfigured)?;
    let options = Options { is_supervised: true, ..Options::default() };
    (runtime.run)(config, options, Box::new(read)).map_err(failed(runtime))?;
    Ok(0)
}

/// Logs what is allowed but probably not meant.
pub(crate) fn warn(config: &Config) {
    for line in config.warnings() {
        tracing::warn!("{line}");
    }
}

fn demo(runtime: &Runtime, out: &Path) -> Result<u8, u8> {
    let report = demo::run(runtime, out).map_err(failed(runtime))?;
    println!("{report}");
    Ok(if report.was_heard() { 0 } else { FAILED })
}

fn look(runtime: &Runtime, config: &Config) -> Result<u8, u8> {
    let report = check(runtime, config).map_err(failed(runtime))?;
    print!("{report}");
    Ok(report.exit_code())
}

fn failed<E: std::fmt::Display>(runtime: &Runtime) -> impl FnOnce(E) -> u8 {
    let program = runtime.program;
    move |error| {
        eprintln!("{program}: {error}");
        FAILED
    }
}

fn misconfigured(faults: String) -> u8 {
    eprintln!("{faults}");
    MISCONFIGURED
}

/// Logs to stderr: what `RUST_LOG` says, else `default`.
fn init_log(default: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let terminal = std::io::stderr().is_terminal();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(terminal)
        .with_target(false)
        // Who reads the log may go away; that must not end the calls.
        .log_internal_errors(false)
        .init();
}

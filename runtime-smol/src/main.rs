//! The program `ari-bridge`.

use ari_bridge_core::config::{self, Config};
use clap::{Parser, Subcommand};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

/// Something broke while running.
const FAILED: u8 = 1;

/// The settings cannot be used.
const MISCONFIGURED: u8 = 2;

#[derive(Parser)]
#[command(name = "ari-bridge", version, about = "A voice agent on a telephone line: Asterisk on one side, a Realtime model on the other", after_help = EXAMPLES, after_long_help = long_help())]
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
}

const EXAMPLES: &str = "Examples:
  ari-bridge demo                  hear a call without Asterisk and without a key
  ari-bridge check                 find out what is missing before the first call
  ari-bridge                       serve calls, with the settings in ./.env
  RUST_LOG=debug ari-bridge run    say more

Settings come from the environment and from a file .env; `ari-bridge --help` lists them.";

fn long_help() -> String {
    format!("{EXAMPLES}\n\n{}", config::help_text())
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let command = cli.command.unwrap_or(Command::Run);
    // The demo tells its own story.
    init_log(if matches!(command, Command::Demo { .. }) { "off" } else { "info" });
    let settings = move || settings(cli.env_file.as_deref());
    let result = match command {
        Command::Run => run(settings),
        Command::Demo { out } => demo(&out),
        Command::Check => settings().map_err(misconfigured).and_then(|config| check(&config)),
    };
    result.unwrap_or_else(ExitCode::from)
}

fn run(settings: impl Fn() -> Result<Config, String> + Send + 'static) -> Result<ExitCode, u8> {
    let read = move || settings().inspect(warn);
    let config = read().map_err(misconfigured)?;
    ari_bridge_smol::run(config, read).map_err(failed)?;
    Ok(ExitCode::SUCCESS)
}

/// Logs what is allowed but probably not meant.
fn warn(config: &Config) {
    for line in config.warnings() {
        tracing::warn!("{line}");
    }
}

fn demo(out: &Path) -> Result<ExitCode, u8> {
    let report = ari_bridge_smol::demo::run(out).map_err(failed)?;
    println!("{report}");
    Ok(ExitCode::from(if report.was_heard() { 0 } else { FAILED }))
}

fn check(config: &Config) -> Result<ExitCode, u8> {
    let report = ari_bridge_smol::check(config).map_err(failed)?;
    print!("{report}");
    Ok(ExitCode::from(report.exit_code()))
}

fn failed(error: impl std::fmt::Display) -> u8 {
    eprintln!("ari-bridge: {error}");
    FAILED
}

fn misconfigured(faults: String) -> u8 {
    eprintln!("{faults}");
    MISCONFIGURED
}

/// Reads `.env`, the environment and the files of keys. All faults are told at once, one per line.
fn settings(file: Option<&Path>) -> Result<Config, String> {
    let mut variables = env_file(file)?;
    // What is not UTF-8 can be none of ours, and must not hide what the file says.
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    variables.extend(environment);
    for line in config::near_misses(variables.keys()) {
        tracing::warn!("{line}");
    }
    Config::from_variables_and_files(variables, read_key).map_err(|faults| faults.to_string())
}

/// The bytes of a file that holds a key; of one that is too large no more than it takes to see that.
fn read_key(path: &str) -> io::Result<Vec<u8>> {
    let mut file = Vec::new();
    File::open(path)?.take(config::MAX_KEY_FILE_BYTES as u64 + 1).read_to_end(&mut file)?;
    Ok(file)
}

/// The variables of the file; none if there is no `.env` and no other was asked for.
fn env_file(file: Option<&Path>) -> Result<BTreeMap<String, String>, String> {
    let path = file.unwrap_or(Path::new(".env"));
    if file.is_none() && !path.exists() {
        return Ok(BTreeMap::new());
    }
    // The error of a line repeats the line, which may hold a key; its place is all that is told.
    let told = |error: dotenvy::Error| match error {
        dotenvy::Error::LineParse(_, at) => {
            format!("{}: a line cannot be read, at its byte {at}: NAME=value is wanted", path.display())
        }
        other => format!("{}: {other}", path.display()),
    };
    dotenvy::from_path_iter(path).and_then(Iterator::collect).map_err(told)
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

#[cfg(test)]
mod tests {
    use super::*;

    /// `NAME=value`, and no prose with a `=` in it.
    fn is_setting(line: &str) -> bool {
        line.split_once('=').is_some_and(|(name, _)| {
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        })
    }

    fn read(text: &str) -> BTreeMap<String, String> {
        dotenvy::from_read_iter(text.as_bytes()).collect::<Result<_, _>>().unwrap()
    }

    #[test]
    fn the_example_file_can_be_read_as_it_is_and_with_all_its_examples() {
        let example = config::env_example();
        assert_eq!(read(&example), BTreeMap::from([("OPENAI_API_KEY".to_owned(), String::new())]));
        let lines =
            example.lines().map(|line| line.strip_prefix("# ").filter(|l| is_setting(l)).unwrap_or(line));
        let mut all = read(&lines.collect::<Vec<_>>().join("\n"));
        assert_eq!(all.len(), config::VARIABLES.len());
        assert_eq!(config::near_misses(all.keys()), [""; 0]);
        all.insert("OPENAI_API_KEY".to_owned(), "sk-1".to_owned());
        let settings = Config::from_variables(all).unwrap_or_else(|faults| panic!("{faults}"));
        assert_eq!((settings.call.transfers.len(), &settings.call.keys.hot[..]), (1, &[('0', 0)][..]));
    }
}

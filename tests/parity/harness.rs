//! Runs tests as cargo's own harness does, but more at once than there are cores: these wait.

use std::any::Any;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

/// How many run at once, if `--test-threads` does not say. Each is a call in real time, and two cores have to be enough.
const AT_ONCE: usize = 16;

/// A test.
pub(crate) struct Trial {
    pub(crate) name: String,
    pub(crate) run: Box<dyn FnOnce() + Send>,
}

/// What was asked for on the command line, of what cargo's harness knows. Other options, which say how to print, change
/// nothing.
struct Wanted {
    names: Vec<String>,
    skipped: Vec<String>,
    is_exact: bool,
    is_list: bool,
    at_once: usize,
}

impl Wanted {
    fn new(arguments: impl IntoIterator<Item = String>) -> Self {
        let mut wanted =
            Self { names: vec![], skipped: vec![], is_exact: false, is_list: false, at_once: AT_ONCE };
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            let (option, value) = argument.split_once('=').unwrap_or((&argument, ""));
            let mut value = || if value.is_empty() { arguments.next() } else { Some(value.to_owned()) };
            match option {
                "--exact" => wanted.is_exact = true,
                "--list" => wanted.is_list = true,
                "--skip" => wanted.skipped.extend(value()),
                "--test-threads" => {
                    wanted.at_once = value().and_then(|n| n.parse().ok()).expect("--test-threads N");
                }
                "--color" | "--format" | "--logfile" | "-Z" => drop(value()),
                _ if option.starts_with('-') => {}
                _ => wanted.names.push(argument),
            }
        }
        wanted
    }

    fn takes(&self, name: &str) -> bool {
        let is_like = |wanted: &String| if self.is_exact { name == wanted } else { name.contains(wanted) };
        (self.names.is_empty() || self.names.iter().any(is_like)) && !self.skipped.iter().any(is_like)
    }
}

/// Runs those that are asked for. What a test panics with goes to stderr at once, under its name.
pub(crate) fn run(trials: Vec<Trial>) -> ExitCode {
    let wanted = Wanted::new(std::env::args().skip(1));
    let all = trials.len();
    let taken: VecDeque<_> = trials.into_iter().filter(|trial| wanted.takes(&trial.name)).collect();
    if wanted.is_list {
        taken.iter().for_each(|trial| println!("{}: test", trial.name));
        return ExitCode::SUCCESS;
    }
    let (began, count) = (Instant::now(), taken.len());
    println!("\nrunning {count} tests");
    let (left, failed) = (Mutex::new(taken), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..wanted.at_once.clamp(1, count.max(1)) {
            scope.spawn(|| while run_next(&left, &failed) {});
        }
    });
    let failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
    failed.iter().for_each(|(name, why)| println!("\n---- {name} ----\n{why}"));
    println!(
        "\ntest result: {}. {} passed; {} failed; 0 ignored; 0 measured; {} filtered out; finished in {:.2}s\n",
        if failed.is_empty() { "ok" } else { "FAILED" },
        count - failed.len(),
        failed.len(),
        all - count,
        began.elapsed().as_secs_f64()
    );
    ExitCode::from(u8::from(!failed.is_empty()))
}

/// Runs the next one; whether there was one.
fn run_next(left: &Mutex<VecDeque<Trial>>, failed: &Mutex<Vec<(String, String)>>) -> bool {
    let next = left.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    let Some(Trial { name, run }) = next else { return false };
    let outcome = catch_unwind(AssertUnwindSafe(run));
    println!("test {name} ... {}", if outcome.is_ok() { "ok" } else { "FAILED" });
    if let Err(panic) = outcome {
        failed.lock().unwrap_or_else(PoisonError::into_inner).push((name, message(&*panic)));
    }
    true
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}

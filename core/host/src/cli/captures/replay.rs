//! `replay`.

use ari_bridge_core::call::Outcome;
use ari_bridge_core::capture::{self, End, Kind, PROGRAM};
use ari_bridge_core::replay::Replayed;
use ari_bridge_core::tools::explain::Changes;
use ari_bridge_core::tools::show::ending;
use ari_bridge_core::tools::timings::Timings;
use ari_bridge_core::tools::verdict::{Verdict, Wish, verdict};
use std::any::Any;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use super::ReplayArgs;
use super::files::captures;
use crate::recorder;

/// How wide the bar is that shows how far many replays have come, in characters.
const BAR: usize = 30;

/// What came of one capture.
enum Came {
    Replayed(Box<Verdict>),
    /// It cannot be read, or the machine panicked.
    Failed(String),
}

/// How many of them came to what.
#[derive(Default)]
struct Sums {
    same: usize,
    different: usize,
    failed: usize,
    lasted: Duration,
}

pub(super) fn replay(args: &ReplayArgs) -> Result<u8, String> {
    let paths = captures(&args.paths)?;
    let wish = Wish { changes: args.explain, timings: args.timings };
    let (mut sums, mut changes, mut timings) = (Sums::default(), Changes::default(), Timings::default());
    let begin = Instant::now();
    each(&paths, wish, |path, came, done| {
        let mut text = String::new();
        tell(path, &came, args.explain, &mut text);
        sums.add(&came);
        if let Came::Replayed(verdict) = came {
            changes.add(verdict.changes);
            timings.add(verdict.timings);
        }
        clear_bar();
        print!("{text}");
        bar(done, paths.len());
    });
    clear_bar();
    if paths.len() > 1 {
        println!("{}", sums.line(paths.len(), begin.elapsed()));
    }
    if args.explain {
        print!("\n{changes}");
    }
    if args.timings {
        print!("\n{timings}");
    }
    Ok(u8::from(sums.different + sums.failed > 0))
}

/// Replays all of them, as many at once as there are cores, and tells of each in their order.
fn each(paths: &[PathBuf], wish: Wish, mut tell: impl FnMut(&Path, Came, usize)) {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let (next, (send, came)) = (AtomicUsize::new(0), mpsc::channel());
    thread::scope(|scope| {
        for _ in 0..cores.min(paths.len()) {
            let (send, next) = (send.clone(), &next);
            scope.spawn(move || {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    let Some(path) = paths.get(n) else { break };
                    if send.send((n, one(path, wish))).is_err() {
                        break;
                    }
                }
            });
        }
        drop(send);
        let (mut waiting, mut told) = (BTreeMap::new(), 0);
        for (n, one) in came {
            waiting.insert(n, one);
            while let Some(one) = waiting.remove(&told) {
                told += 1;
                tell(&paths[told - 1], one, told);
            }
        }
    });
}

fn one(path: &Path, wish: Wish) -> Came {
    let name = path.display().to_string();
    let replayed = catch_unwind(AssertUnwindSafe(|| {
        let read = recorder::open_file(path).map_err(|error| error.to_string())?;
        let capture = capture::read(read).map_err(|fault| fault.to_string())?;
        verdict(&name, capture, wish).map_err(|fault| fault.to_string())
    }));
    match replayed {
        Ok(Ok(verdict)) => Came::Replayed(Box::new(verdict)),
        Ok(Err(error)) => Came::Failed(error),
        Err(panic) => Came::Failed(format!("the machine panicked: {}", message(&*panic))),
    }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a word")
}

/// What is said of one capture. Writing into a string cannot fail.
fn tell(path: &Path, came: &Came, explains: bool, text: &mut String) {
    let path = path.display();
    let _ = match came {
        Came::Failed(why) => writeln!(text, "FAILED  {path}: {why}"),
        Came::Replayed(verdict) => {
            let replayed = &verdict.replayed;
            let said = if replayed.difference.is_some() { "DIFFERS" } else { "same   " };
            let _ = writeln!(text, "{said} {path}: {}", of(replayed));
            if !matches!(replayed.end, End::Whole { .. }) {
                let _ = writeln!(text, "        {}", ending(replayed.end));
            }
            if let Some(difference) = verdict.difference().filter(|_| !explains) {
                text.push_str(&difference);
                if replayed.program != PROGRAM {
                    let program = &replayed.program;
                    let _ = writeln!(
                        text,
                        "  version {program} has recorded it, and this is {PROGRAM}: --explain says what has changed"
                    );
                }
            }
            Ok(())
        }
    };
}

fn of(replayed: &Replayed) -> String {
    let machine = match replayed.machine {
        Kind::Call => "call",
        Kind::Switchboard => "switchboard",
    };
    let seconds = replayed.duration.as_secs_f64();
    let mut of = format!("{machine}, {seconds:.1} s, {} steps", replayed.steps);
    if let Some(Outcome { ended, .. }) = replayed.outcome {
        let _ = write!(of, ", {ended}");
    }
    of
}

impl Sums {
    fn add(&mut self, came: &Came) {
        match came {
            Came::Failed(_) => self.failed += 1,
            Came::Replayed(verdict) => {
                let is_same = verdict.replayed.difference.is_none();
                *(if is_same { &mut self.same } else { &mut self.different }) += 1;
                self.lasted += verdict.replayed.duration;
            }
        }
    }

    fn line(&self, all: usize, took: Duration) -> String {
        let Self { same, different, failed, lasted } = self;
        let speed = lasted.as_secs_f64() / took.as_secs_f64().max(1e-9);
        format!(
            "{all} captures: {same} the same, {different} differ, {failed} failed; {speed:.0} times real time"
        )
    }
}

/// Shows how far it has come, where somebody watches.
fn bar(done: usize, all: usize) {
    if all < 2 || !io::stderr().is_terminal() {
        return;
    }
    let full = BAR * done / all;
    eprint!("\r[{}{}] {done} of {all}", "#".repeat(full), " ".repeat(BAR - full));
    let _ = io::stderr().flush();
}

fn clear_bar() {
    if io::stderr().is_terminal() {
        eprint!("\r\x1b[K");
    }
}

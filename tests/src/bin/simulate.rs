//! Lives calls that have not happened yet, as many and as long as wanted, with every fault that there is.
//!
//! Each life has a seed of its own, which decides everything in it. Where an invariant is broken the run stops, tells the
//! seed, and leaves captures; the same command with that seed fails again.

use ari_bridge_core::time::Duration;
use ari_bridge_tests::faults::{Fault, FaultSet, Tally};
use ari_bridge_tests::scene::Sabotage;
use ari_bridge_tests::simulation::{self, Options, Place};
use ari_bridge_tests::taped::Shelf;
use std::cell::RefCell;
use std::io::{IsTerminal as _, Write as _};
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use std::{env, fs, thread};

const HELP: &str = "\
Simulates calls with faults, in virtual time, and holds every step against what holds of all calls.

Usage: cargo run --release -p ari-bridge-tests --bin simulate -- [options]

  --seed N        The seed of the first life; the next ones have N+1, N+2, …
                  Without it, one that nobody has seen, which is printed.
  --calls M       Stop after so many calls (default 20000).
  --minutes T     Stop after so long, if that is sooner; with it, calls are not counted
                  unless --calls is given too. A night: --minutes 480
  --only F,G      Only these faults, and each of them in every life. Their names: --list
  --threads N     How many lives at once (default: as many as the machine has processors).
  --once          Live each life once. Without it, each is lived twice, the second time
                  recorded, and replayed out of a file, and all three must be the same.
  --g711          Only lives in which the line and the model speak G.711.
  --out FOLDER    Where the captures go if something breaks (default: target/simulate).
  --sabotage B    Break something on purpose, to see that it is noticed: clean-up, ledger,
                  reconnect, answered-twice or sequence.
  --list          The faults and what they are called.
  --help          This text.

What is printed at the end: how many calls, how long they lasted, how many times faster than
real time they were lived (seconds of calls for each second of one processor), and how often
each fault has happened. If an invariant breaks: which, the seed, the step, what went before,
and where the captures are. `ari-bridge show FILE` and `ari-bridge replay FILE` read those.
";

#[derive(Clone, Debug)]
struct Args {
    seed: Option<u64>,
    calls: Option<u64>,
    minutes: Option<f64>,
    threads: usize,
    once: bool,
    out: PathBuf,
    options: Options,
}

fn args() -> Result<Option<Args>, String> {
    let mut args = Args {
        seed: None,
        calls: None,
        minutes: None,
        threads: thread::available_parallelism().map_or(1, usize::from),
        once: false,
        out: PathBuf::from("target/simulate"),
        options: Options::default(),
    };
    let mut given = env::args().skip(1);
    while let Some(name) = given.next() {
        let mut value = || given.next().ok_or_else(|| format!("{name} needs a value; see --help"));
        match name.as_str() {
            "--seed" => args.seed = Some(number(&name, &value()?)?),
            "--calls" => args.calls = Some(number(&name, &value()?)?),
            "--minutes" => args.minutes = Some(number(&name, &value()?)?),
            "--threads" => args.threads = number::<usize>(&name, &value()?)?.max(1),
            "--once" => args.once = true,
            "--g711" => args.options.g711 = true,
            "--out" => args.out = value()?.into(),
            "--only" => {
                let unknown = |name| format!("there is no fault {name:?}; --list shows what there is");
                args.options.faults = FaultSet::parse(&value()?).map_err(unknown)?;
            }
            "--sabotage" => {
                let name = value()?;
                let known = Sabotage::ALL.into_iter().find(|known| known.name() == name);
                let known = known.ok_or_else(|| format!("nothing is called {name:?} that can be broken"))?;
                args.options.sabotage = Some(known);
            }
            "--list" => {
                Fault::ALL.iter().for_each(|fault| println!("{fault}"));
                return Ok(None);
            }
            "--help" | "-h" => {
                print!("{HELP}");
                return Ok(None);
            }
            _ => return Err(format!("there is no option {name:?}; see --help")),
        }
    }
    Ok(Some(args))
}

fn number<T: std::str::FromStr>(name: &str, text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{name} needs a number, and {text:?} is none"))
}

/// What all threads work on.
struct Run {
    args: Args,
    first_seed: u64,
    next: AtomicU64,
    calls: AtomicU64,
    stops: AtomicBool,
    began: Instant,
    sum: Mutex<Sum>,
}

#[derive(Default)]
struct Sum {
    lives: u64,
    calls: u64,
    answered: u64,
    steps: u64,
    lived: Duration,
    /// How long the processors took for the first pass of each life.
    once: std::time::Duration,
    tally: Tally,
    failure: Option<Failure>,
}

struct Failure {
    seed: u64,
    message: String,
    place: Place,
}

thread_local! {
    static LAST_PANIC: RefCell<String> = RefCell::default();
}

fn main() -> ExitCode {
    let args = match args() {
        Ok(Some(args)) => args,
        Ok(None) => return ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            return ExitCode::from(2);
        }
    };
    // What a panic says is told once, in its place.
    panic::set_hook(Box::new(|info| LAST_PANIC.set(info.to_string())));
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let first_seed = args.seed.unwrap_or(since_1970.as_nanos() as u64 & 0xFFFF_FFFF_FFFF);
    println!("the first seed is {first_seed}");
    let run = Run {
        first_seed,
        next: AtomicU64::new(0),
        calls: AtomicU64::new(0),
        stops: AtomicBool::new(false),
        began: Instant::now(),
        sum: Mutex::default(),
        args,
    };
    thread::scope(|scope| {
        let threads: Vec<_> =
            (0..run.args.threads.min(run.args.calls.map_or(usize::MAX, |calls| calls as usize)).max(1))
                .map(|n| {
                    let run = &run;
                    thread::Builder::new().stack_size(8 << 20).spawn_scoped(scope, move || run.work(n))
                })
                .collect();
        run.show_progress(|| threads.iter().flatten().all(thread::ScopedJoinHandle::is_finished));
    });
    run.finish()
}

impl Run {
    fn is_enough(&self) -> bool {
        let limit = self.args.calls.or(self.args.minutes.is_none().then_some(20_000));
        let minutes = self.began.elapsed().as_secs_f64() / 60.0;
        self.stops.load(Ordering::Relaxed)
            || limit.is_some_and(|limit| self.calls.load(Ordering::Relaxed) >= limit)
            || self.args.minutes.is_some_and(|most| minutes >= most)
    }

    fn work(&self, number: usize) {
        let folder = env::temp_dir().join(format!("ari-bridge-simulate-{}-{number}", std::process::id()));
        let _ = fs::create_dir_all(&folder);
        while !self.is_enough() {
            let seed = self.first_seed.wrapping_add(self.next.fetch_add(1, Ordering::Relaxed));
            self.live(seed, &folder);
        }
        let _ = fs::remove_dir_all(&folder);
    }

    fn live(&self, seed: u64, folder: &Path) {
        let bytes = simulation::bytes_of(seed);
        let options = &self.args.options;
        let begin = cpu_time();
        let lived = panic::catch_unwind(AssertUnwindSafe(|| simulation::live(&bytes, options)));
        let once = cpu_time().saturating_sub(begin);
        let report = lived.and_then(|report| {
            if self.args.once {
                return Ok(report);
            }
            let again = || simulation::again_and_replayed(&report, &bytes, options, folder);
            panic::catch_unwind(AssertUnwindSafe(again)).map(|()| report)
        });
        let Ok(mut sum) = self.sum.lock() else { return };
        match report {
            Ok(report) => {
                self.calls.fetch_add(report.calls, Ordering::Relaxed);
                sum.lives += 1;
                sum.calls += report.calls;
                sum.answered += report.answered;
                sum.steps += report.steps;
                sum.lived += report.lived;
                sum.once += once;
                sum.tally.merge(&report.tally);
            }
            Err(_) => {
                self.stops.store(true, Ordering::Relaxed);
                let failure = Failure { seed, message: LAST_PANIC.take(), place: simulation::last_place() };
                sum.failure.get_or_insert(failure);
            }
        }
    }

    fn show_progress(&self, is_over: impl Fn() -> bool) {
        let is_terminal = std::io::stdout().is_terminal();
        let mut told = Instant::now();
        while !is_over() {
            thread::sleep(std::time::Duration::from_millis(100));
            let pause = if is_terminal { 1 } else { 20 };
            if told.elapsed().as_secs() >= pause {
                told = Instant::now();
                let Ok(sum) = self.sum.lock() else { return };
                let end = if is_terminal { "\r" } else { "\n" };
                print!("{}{end}", self.line(&sum));
                let _ = std::io::stdout().flush();
            }
        }
    }

    fn line(&self, sum: &Sum) -> String {
        let seconds = self.began.elapsed().as_secs_f64();
        format!(
            "{:>8} calls ({} answered) in {} lives, {:.0} s; {:.0} calls a second; {:.0} times real time",
            sum.calls,
            sum.answered,
            sum.lives,
            seconds,
            sum.calls as f64 / seconds.max(0.001),
            sum.lived.as_secs_f64() / sum.once.as_secs_f64().max(0.001)
        )
    }

    fn finish(&self) -> ExitCode {
        let Ok(sum) = self.sum.lock() else { return ExitCode::FAILURE };
        println!("{}", self.line(&sum));
        println!("{} steps, {:.0} s of calls", sum.steps, sum.lived.as_secs_f64());
        let counts: Vec<_> =
            Fault::ALL.iter().map(|fault| format!("{fault} {}", sum.tally.of(*fault))).collect();
        counts.chunks(6).for_each(|line| println!("  {}", line.join(", ")));
        let Some(failure) = &sum.failure else {
            println!("nothing is broken");
            return ExitCode::SUCCESS;
        };
        println!("\nBROKEN by seed {}: {}\n{}", failure.seed, failure.message, failure.place);
        let files = self.keep_captures(failure.seed);
        files.iter().for_each(|file| println!("  capture: {}", file.display()));
        println!("again: simulate --seed {} --calls 1{}", failure.seed, self.same_options());
        ExitCode::FAILURE
    }

    fn same_options(&self) -> String {
        let given: Vec<String> = env::args().collect();
        let g711 = if self.args.options.g711 { " --g711" } else { "" };
        let of = |name: &str| given.windows(2).find(|pair| pair[0] == name).map(|pair| pair.join(" "));
        let named = ["--only", "--sabotage"].iter().filter_map(|name| of(name));
        named.map(|option| format!(" {option}")).chain([g711.to_owned()]).collect()
    }

    /// Lives it once more, recorded, and keeps what the machines saw until it broke.
    fn keep_captures(&self, seed: u64) -> Vec<PathBuf> {
        let shelf = Shelf::default();
        let bytes = simulation::bytes_of(seed);
        let options = Options { has_room: true, ..self.args.options };
        let live = || simulation::live_recorded(&bytes, &options, &shelf);
        let _ = panic::catch_unwind(AssertUnwindSafe(live));
        if let Err(why) = fs::create_dir_all(&self.args.out) {
            eprintln!("{} cannot be made: {why}", self.args.out.display());
        }
        let mut files = Vec::new();
        for (number, recorded) in shelf.take().iter().enumerate() {
            let kind = if simulation::is_of_a_call(recorded) { "call" } else { "switchboard" };
            let file = self.args.out.join(format!("seed-{seed}-{number}-{kind}.capture"));
            match fs::write(&file, recorded) {
                Ok(()) => files.push(file),
                Err(why) => eprintln!("{} cannot be written: {why}", file.display()),
            }
        }
        files
    }
}

/// How much time of a processor this thread has taken, as Linux counts it.
fn cpu_time() -> std::time::Duration {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = text.split(' ').next().and_then(|nanos| nanos.parse().ok());
    std::time::Duration::from_nanos(nanos.unwrap_or_default())
}

//! A real Asterisk 22, SIP callers, and what they hear.
//!
//! One test, because all scenarios share one Asterisk. It runs if `ARI_BRIDGE_ASTERISK=1` is set and then needs
//! root, SIPp, ffmpeg and what `provision.sh` makes: a missing tool is a failure. `run.sh` does all of that.
//! `ARI_BRIDGE_ASTERISK_ONLY=echo,local` runs the scenarios whose names contain one of these words.
//!
//! Each call is captured, and when a scenario is over the bridge replays what it has captured: it must do the same again.
//! `ARI_BRIDGE_KEEP_CAPTURES=DIR` keeps a scrubbed capture of each scenario there, as tests/captures has them.
//!
//! Nothing is measured inside the bridge. A caller's voice is encoded by ffmpeg, sent as RTP by the harness,
//! and what comes back to the caller's port is decoded by ffmpeg and held against what was said.

mod admission;
mod barge_in;
mod bridge;
mod call;
mod captures;
mod codec;
mod crash;
mod drain;
mod events;
mod facts;
mod fallback;
mod hold;
mod keys;
mod line;
mod loss;
mod measuring;
mod network;
mod office;
mod outages;
mod pbx;
mod process;
mod proxy;
mod ptime;
mod realtime;
mod scenarios;
mod sessions;
mod talker;
mod telephone;

use std::cell::RefCell;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use pbx::Pbx;
use process::{Outcome, tail};

/// What every scenario works with.
pub(crate) struct World {
    pub(crate) pbx: Pbx,
    /// The folder of this run's files.
    pub(crate) work: PathBuf,
    /// Where the bridges of the scenario write captures of their calls.
    pub(crate) captures: RefCell<PathBuf>,
}

impl World {
    /// A path in the folder of this run that has not been used.
    pub(crate) fn file(&self, name: &str, extension: &str) -> PathBuf {
        static FILES: AtomicU32 = AtomicU32::new(1);
        self.work.join(format!("{name}-{}.{extension}", FILES.fetch_add(1, Ordering::Relaxed)))
    }
}

/// A scenario says what it measured, or what went wrong.
pub(crate) type Scenario = fn(&World) -> Outcome<String>;

#[test]
fn callers_of_a_real_asterisk_hear_what_they_should() {
    if std::env::var("ARI_BRIDGE_ASTERISK").as_deref() != Ok("1") {
        // Written past the test runner, which shows what is printed only when a test fails.
        drop(
            std::io::stderr().write_all(
                b"NOT RUN: the scenarios with a real Asterisk (tests/asterisk/run.sh runs them)\n",
            ),
        );
        return;
    }
    let work = std::env::temp_dir().join(format!("ari-bridge-asterisk-{}", std::process::id()));
    match run(&work) {
        Ok(()) => drop(std::fs::remove_dir_all(&work)),
        Err(fault) => panic!("{fault}\nfiles of this run: {}", work.display()),
    }
}

/// Runs all scenarios; the error lists those that failed.
fn run(work: &Path) -> Outcome<()> {
    std::fs::create_dir_all(work).map_err(|e| format!("{}: {e}", work.display()))?;
    for (tool, package) in [("sipp", "sip-tester"), ("ffmpeg", "ffmpeg"), ("setpriv", "util-linux")] {
        let found = Command::new("sh").args(["-c", &format!("command -v {tool}")]).output();
        if !found.is_ok_and(|found| found.status.success()) {
            return Err(format!("{tool} is missing: install the Debian package {package}"));
        }
    }
    let start = Instant::now();
    let world = World { pbx: Pbx::start(work)?, work: work.to_owned(), captures: RefCell::default() };
    println!("Asterisk {} is up after {:.1?}", world.pbx.version()?, start.elapsed());

    let only = std::env::var("ARI_BRIDGE_ASTERISK_ONLY").unwrap_or_default();
    let wanted = |name: &str| only.is_empty() || only.split(',').any(|word| name.contains(word));
    let mut failed = Vec::new();
    if !scenarios::ALL.iter().any(|(name, _)| wanted(name)) {
        return Err(format!("no scenario is called {only}"));
    }
    // Audio is measured in real time here, and the machine may stand still for a moment: up to three scenarios
    // of a run may be played again, each once, and say so. A fault of the bridge fails twice.
    let mut repeats = 3;
    let play = |scenario: Scenario| {
        scenario(&world).and_then(|figures| {
            world.pbx.nothing_left(Duration::from_secs(5))?;
            let replayed = captures::replayed(&world)?;
            captures::keep(&world)?;
            Ok(format!("{figures}{replayed}"))
        })
    };
    for (name, scenario) in scenarios::ALL.into_iter().filter(|(name, _)| wanted(name)) {
        let begin = Instant::now();
        captures::begin(&world, name)?;
        let mut outcome = play(scenario);
        if let Err(fault) = &outcome
            && repeats > 0
        {
            repeats -= 1;
            println!("AGAIN {name}\n{}", indented(fault));
            world.pbx.clear();
            captures::begin(&world, name)?;
            outcome = play(scenario);
        }
        let took = begin.elapsed().as_secs_f64();
        match outcome {
            Ok(figures) => println!("PASS {name} ({took:.1} s)\n{}", indented(&figures)),
            Err(fault) => {
                println!("FAIL {name} ({took:.1} s)\n{}", indented(&fault));
                println!("  the end of Asterisk's log:\n{}", tail(&world.pbx.log(), 25));
                failed.push(name);
                world.pbx.clear();
            }
        }
    }
    // Kept if something failed: stopping removes Asterisk's own folder.
    drop(std::fs::copy(world.pbx.log(), work.join("asterisk.log")));
    world.pbx.stop()?;
    println!("{} failed, {:.0} s in all", failed.len(), start.elapsed().as_secs_f64());
    if failed.is_empty() { Ok(()) } else { Err(format!("failed: {}", failed.join(", "))) }
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}

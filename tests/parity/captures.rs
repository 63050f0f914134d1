//! Calls are captured, as `CAPTURE` says, into files that replay equal; and what the disk does is no matter to a call.

use ari_bridge_core::call::EndReason;
use ari_bridge_core::capture::{Capture, Kind, read};
use ari_bridge_core::observe::Observation;
use ari_bridge_core::replay::{Replayed, replay_from};
use ari_bridge_core::sim::caller::Caller;
use ari_bridge_host::Runtime;
use ari_bridge_host::recorder::open_file;
use ari_bridge_tests::process::{PATIENCE, Scratch};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Instant;

use crate::line::{CALLER, LOOK_EVERY, Line, Setting, is_completed};
use crate::program::scratch;
use crate::trace::Trace;

crate::stories![
    all_calls_and_the_switchboard_are_in_files_that_replay_equal,
    a_black_box_is_written_of_a_call_that_ends_badly_and_of_no_other,
    who_asks_gets_the_black_box_of_a_call_under_way_with_the_sound_of_its_last_seconds,
    a_full_disk_costs_captures_and_no_call,
    one_of_two_calls_is_captured_as_a_sample,
    captures_are_switched_on_while_the_bridge_runs,
];

/// A folder for captures, and the settings for it.
struct Folder {
    _scratch: Scratch,
    path: String,
}

impl Folder {
    fn new(on: &Runtime, name: &str) -> Self {
        let scratch = scratch(on, name);
        let path = scratch.path("captures").to_str().unwrap().to_owned();
        Self { _scratch: scratch, path }
    }

    fn settings<'a>(&'a self, mode: &'a str) -> [(&'a str, &'a str); 3] {
        [("CAPTURE", mode), ("CAPTURE_DIR", &self.path), ("CAPTURE_MIN_FREE_MB", "0")]
    }

    /// The names in it without what is another one in each run: the time and the name of the run.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.path).into_iter().flatten();
        let mut names: Vec<_> = entries
            .map(|entry| {
                let name = entry.unwrap().file_name().into_string().unwrap();
                let (stamp, rest) = name.split_once('-').unwrap();
                assert!(stamp.len() == 16 && !name.contains("4930"), "{name}");
                let at = rest.find("arib").unwrap();
                format!("{}RUN{}", &rest[..at], &rest[at + "arib".len() + 8..])
            })
            .collect();
        names.sort();
        names
    }

    /// Waits until there is a file whose name ends so, and gives it.
    fn until(&self, ending: &str) -> std::path::PathBuf {
        let give_up = Instant::now() + PATIENCE;
        loop {
            let mut entries =
                fs::read_dir(&self.path).into_iter().flatten().map(|entry| entry.unwrap().path());
            if let Some(path) = entries.find(|path| path.to_str().unwrap().ends_with(ending)) {
                return path;
            }
            assert!(Instant::now() < give_up, "no {ending}: {:?}", self.names());
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// Replays all that is there.
    fn replays(&self) -> Vec<Replayed> {
        let paths = fs::read_dir(&self.path).unwrap().map(|entry| entry.unwrap().path());
        paths.map(|path| replays(&path)).collect()
    }
}

fn replays(path: &Path) -> Replayed {
    assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
    let replayed = replay_from(open_file(path).unwrap()).unwrap_or_else(|fault| panic!("{path:?}: {fault}"));
    assert_eq!(replayed.difference, None, "{path:?}: {replayed:?}");
    replayed
}

/// Somebody calls, says something, and is answered.
fn talks(line: &mut Line, caller: u64) {
    line.calls(caller);
    line.until(|o| matches!(o, Observation::Answered { .. }));
    line.asterisk.speak(caller, &Caller::recorded().speech()[..16_000]);
    line.until(is_completed);
}

/// What the admin listener answers: the status, and the body.
fn post(line: &Line, path: &str, header: &str) -> (String, String) {
    let mut stream = TcpStream::connect(line.service.admin_addr()).unwrap();
    write!(stream, "POST {path} HTTP/1.1\r\nHost: x\r\n{header}Content-Length: 0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().to_owned(), body.to_owned())
}

/// The value of a metric of captures.
fn counted(line: &Line, name: &str) -> u64 {
    let metrics = line.get("/metrics");
    let value = metrics.lines().find_map(|line| line.strip_prefix(&*format!("ari_bridge_{name} ")));
    value.unwrap_or_else(|| panic!("no {name}: {metrics}")).parse().unwrap()
}

fn all_calls_and_the_switchboard_are_in_files_that_replay_equal(on: &'static Runtime) -> Trace {
    let folder = Folder::new(on, "captures-all");
    fs::create_dir(&folder.path).unwrap();
    let old = |name: &str| Path::new(&folder.path).join(name);
    // One that is too old, and one that a dead process has left.
    fs::write(old("20200101T000000Z-arib00000007-1.capture"), "old").unwrap();
    fs::write(old("20500101T000000Z-arib00000007-9.capture.part"), "left").unwrap();
    let mut line = Line::with(on, Setting::set(&folder.settings("all")));
    fs::remove_file(folder.until("Z-arib00000007-9.capture")).unwrap();
    talks(&mut line, CALLER);
    talks(&mut line, CALLER + 1);
    // While the call goes on, what there is so far can be read.
    let part = folder.until("-1.capture.part");
    let so_far = replays(&part);
    assert!(so_far.steps > 50 && !so_far.is_whole(), "{so_far:?}");
    let (status, names) = post(&line, "/captures/1", "");
    assert!(status == "202" && part.to_str().unwrap().ends_with(names.trim()), "{names}");
    let mut trace = line.ends().trace;
    trace.put("files", folder.names());
    assert_eq!(folder.names(), ["RUN-1.capture", "RUN-2.capture", "switchboard-RUN.capture"]);
    let replayed = folder.replays();
    assert!(replayed.iter().all(Replayed::is_whole), "{replayed:?}");
    assert_eq!(replayed.iter().filter(|replayed| replayed.machine == Kind::Call).count(), 2);
    trace
}

fn a_black_box_is_written_of_a_call_that_ends_badly_and_of_no_other(on: &'static Runtime) -> Trace {
    let folder = Folder::new(on, "captures-box");
    let mut line = Line::with(on, Setting::set(&folder.settings("blackbox")));
    talks(&mut line, CALLER);
    let mut trace = line.ends().trace.but_for(&["metrics"]);
    assert_eq!(folder.names(), [""; 0], "all went well");

    let [mode, dir, free] = folder.settings("blackbox");
    let set = [mode, dir, free, ("OPENAI_API_KEY", "a-wrong-key")];
    let mut line = Line::with(on, Setting::set(&set));
    line.calls(CALLER);
    let outcome = line.outcome();
    assert_eq!(outcome.ended, EndReason::RealtimeRefused);
    let replayed = replays(&folder.until("-1.capture"));
    assert!(replayed.is_whole() && replayed.outcome == Some(outcome), "{replayed:?}");
    assert_eq!(counted(&line, "captures_written_total"), 1);
    line.ends();
    assert_eq!(folder.names(), ["RUN-1.capture"]);
    trace.put("files", folder.names());
    trace
}

fn who_asks_gets_the_black_box_of_a_call_under_way_with_the_sound_of_its_last_seconds(
    on: &'static Runtime,
) -> Trace {
    let folder = Folder::new(on, "captures-asked");
    let set = folder.settings("blackbox");
    // So small that the begin of the call does not stay in it with its sound.
    let small = Setting { change: |config| config.capture.black_box_bytes = 400_000, ..Setting::set(&set) };
    let mut line = Line::with(on, small);
    line.calls(CALLER);
    line.until(|o| matches!(o, Observation::Answered { .. }));
    for _ in 0..3 {
        line.asterisk.speak(CALLER, &Caller::recorded().speech()[..48_000]);
        line.until(is_completed);
    }
    let (status, name) = post(&line, "/captures/1", "");
    assert_eq!((&*status, name.ends_with("-1-asked-1.capture\n")), ("202", true), "{name}");
    let path = folder.until("-1-asked-1.capture");
    let Ok(Capture::Call(head, _)) = read(open_file(&path).unwrap()) else { panic!("not of a call") };
    let replayed = replays(&path);
    assert!(head.note.blanked_until.is_some() && replayed.steps > 100, "{:?} {replayed:?}", head.note);

    let (status, names) = post(&line, "/captures", "");
    assert_eq!((&*status, names.lines().count()), ("202", 2), "{names}");
    replays(&folder.until("-1-asked-2.capture"));
    folder.until("-asked-1.capture");
    assert_eq!(post(&line, "/captures/7", "").0, "404");
    assert_eq!(post(&line, "/captures", "Origin: http://elsewhere\r\n").0, "403");
    assert!(line.get("/captures").starts_with("HTTP/1.1 405 "));
    let mut trace = line.ends().trace;
    trace.put("files", folder.names());
    trace
}

fn a_full_disk_costs_captures_and_no_call(on: &'static Runtime) -> Trace {
    let folder = Folder::new(on, "captures-full");
    let [mode, dir, _] = folder.settings("all");
    // More than any disk has.
    let mut line = Line::with(on, Setting::set(&[mode, dir, ("CAPTURE_MIN_FREE_MB", "100000000")]));
    talks(&mut line, CALLER);
    assert_eq!(counted(&line, "captures_dropped_total{reason=\"disk\"}"), 2, "the call and the switchboard");
    let trace = line.ends().trace;
    assert_eq!(folder.names(), [""; 0]);
    trace
}

fn one_of_two_calls_is_captured_as_a_sample(on: &'static Runtime) -> Trace {
    let folder = Folder::new(on, "captures-sample");
    let mut line = Line::with(on, Setting::set(&folder.settings("sample:2")));
    talks(&mut line, CALLER);
    talks(&mut line, CALLER + 1);
    let trace = line.ends().trace;
    assert_eq!(folder.names(), ["RUN-2.capture", "switchboard-RUN.capture"]);
    trace
}

fn captures_are_switched_on_while_the_bridge_runs(on: &'static Runtime) -> Trace {
    let folder = Folder::new(on, "captures-on");
    let [_, dir, free] = folder.settings("all");
    let mut line = Line::with(on, Setting::set(&[("CAPTURE", "off"), dir, free]));
    assert_eq!(post(&line, "/captures", "").0, "409");
    talks(&mut line, CALLER);
    assert!(!Path::new(&folder.path).exists());
    let config = |mode| {
        let (asterisk, realtime) = (line.asterisk.url(), line.realtime.url());
        crate::line::config(&asterisk, &realtime, &[("CAPTURE", mode), dir, free])
    };
    let (on, off) = (config("all"), config("off"));
    line.service.reload(on).unwrap();
    talks(&mut line, CALLER + 1);
    line.service.reload(off).unwrap();
    talks(&mut line, CALLER + 2);
    let trace = line.ends().trace;
    assert_eq!(folder.names(), ["RUN-2.capture"]);
    assert!(folder.replays().iter().all(Replayed::is_whole));
    trace
}

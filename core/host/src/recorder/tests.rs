//! What becomes of pieces that are handed over; what is in them does not matter here. What the tests of this module have in
//! common is at the end.

use super::*;
use ari_bridge_core::call::{EndReason, Outcome};
use ari_bridge_core::id::{CallId, IdPrefix, InstanceNonce};
use ari_bridge_core::metrics::Metrics;
use ari_bridge_core::time::Instant;
use std::fs;
use std::io::Read;
use std::path::PathBuf;

const UTC: UtcNanos = UtcNanos(1_795_346_951_000_000_000);

fn call(number: u64) -> Captured {
    Captured::Call(IdPrefix { nonce: InstanceNonce::new(7), call: CallId(number) })
}

/// A recorder that goes by these settings, and what it counts.
fn recorder(config: &CaptureConfig) -> (Recorder, Metrics) {
    let metrics = Metrics::new();
    (Recorder::start(config, metrics.captures()).unwrap(), metrics)
}

/// A call that begins now; it is captured.
fn tape(recorder: &Recorder, number: u64) -> Tape {
    recorder.tape(call(number), now(), Some(ModelFormat::Pcmu)).unwrap()
}

/// Old captures are removed by the real time, so that the stamps here are those of today.
fn now() -> UtcNanos {
    crate::clock::utc()
}

fn ends(tape: Tape, why: EndReason) {
    let outcome =
        Outcome { ended: why, answered: true, duration: Duration::from_secs(1), left_behind: false };
    tape.verdict().call(&outcome);
    tape.end(Instant::from_millis(9000), b"end".to_vec(), false);
}

/// What of the counts is not zero.
fn counts(metrics: &Metrics) -> Vec<String> {
    let text = metrics.encode();
    let ours = text.lines().filter(|line| line.starts_with("ari_bridge_capture") && !line.contains("_bytes"));
    ours.filter(|line| !line.ends_with(" 0"))
        .map(|line| line["ari_bridge_captures_".len()..].to_owned())
        .collect()
}

fn read(path: PathBuf) -> Vec<u8> {
    let mut bytes = Vec::new();
    open_file(&path).unwrap().read_to_end(&mut bytes).unwrap();
    bytes
}

/// The names in the folder without the time that they begin with.
fn names(dir: &Dir) -> Vec<String> {
    dir.names().iter().map(|name| name.split_once('-').unwrap().1.to_owned()).collect()
}

fn only_file(dir: &Dir) -> Vec<u8> {
    let names = dir.names();
    assert_eq!(names.len(), 1, "{names:?}");
    read(dir.path(&names[0]))
}

#[test]
fn every_call_has_a_file_in_which_its_pieces_stand_one_behind_the_other() {
    let dir = Dir::new("tape-all");
    let (recorder, metrics) = recorder(&config(&dir.0));
    let (mut one, mut other) = (tape(&recorder, 1), tape(&recorder, 2));
    one.begin(b"head 1 ".to_vec());
    other.begin(b"head 2 ".to_vec());
    for piece in ["a ", "b "] {
        one.piece(Instant::from_millis(1), piece.into());
    }
    ends(one, EndReason::CallerHungUp);
    ends(other, EndReason::AriFault);
    recorder.close();
    assert_eq!(names(&dir), ["arib00000007-1.capture", "arib00000007-2.capture"]);
    let files: Vec<_> = dir.names().iter().map(|name| read(dir.path(name))).collect();
    assert_eq!(files, [b"head 1 a b end".to_vec(), b"head 2 end".to_vec()]);
    assert_eq!(counts(&metrics), ["written_total 2"]);
    assert!(recorder.tape(call(3), UTC, None).is_none(), "behind the end there is nobody to write");
}

#[test]
fn a_black_box_is_written_if_the_call_ends_badly_or_never_says_how() {
    let dir = Dir::new("tape-box");
    let (recorder, metrics) = recorder(&CaptureConfig { mode: CaptureMode::BlackBox, ..config(&dir.0) });
    for (number, why) in (1..).zip(EndReason::ALL) {
        let mut tape = tape(&recorder, number);
        tape.begin(b"head ".to_vec());
        ends(tape, why);
    }
    let mut lost = tape(&recorder, 50);
    lost.begin(b"head ".to_vec());
    drop(lost);
    let mut panicked = tape(&recorder, 51);
    panicked.begin(b"head ".to_vec());
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
        let _guard = Guard(Some(panicked));
        panic!("a fault that the test makes");
    }));
    assert!(panic.is_err());
    recorder.close();
    let bad = EndReason::ALL.iter().filter(|why| why.is_fault()).count();
    assert_eq!(dir.names().len(), bad + 2);
    assert_eq!(counts(&metrics), [format!("written_total {}", bad + 2)]);
}

/// Ends a tape as a machine does that is dropped.
struct Guard(Option<Tape>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.take().unwrap().end(Instant::from_millis(1), b"end".to_vec(), false);
    }
}

#[test]
fn who_asks_gets_what_there_is_so_far_and_the_call_goes_on() {
    let dir = Dir::new("tape-ask");
    let (recorder, metrics) = recorder(&CaptureConfig { mode: CaptureMode::BlackBox, ..config(&dir.0) });
    let (mut one, mut other) = (tape(&recorder, 1), tape(&recorder, 2));
    one.begin(b"head ".to_vec());
    other.begin(b"other ".to_vec());
    one.piece(Instant::from_millis(1), b"a ".to_vec());
    let asked = recorder.ask(Ask::Call { call: CallId(1), run: None }).unwrap();
    one.piece(Instant::from_millis(2), b"b ".to_vec());
    let again = recorder.ask(Ask::All).unwrap();
    assert_eq!((asked.len(), again.len()), (1, 2));
    assert_eq!(recorder.ask(Ask::Switchboard), Ok(vec![]));
    assert_eq!(recorder.ask(Ask::Call { call: CallId(9), run: None }), Ok(vec![]));
    ends(one, EndReason::DeadAir);
    ends(other, EndReason::CallerHungUp);
    recorder.close();
    assert_eq!(
        names(&dir),
        [
            "arib00000007-1-asked-1.capture",
            "arib00000007-1-asked-2.capture",
            "arib00000007-1.capture",
            "arib00000007-2-asked-1.capture"
        ]
    );
    assert_eq!(read(dir.path(&asked[0])), b"head a ");
    assert_eq!(read(dir.path(&again[0])), b"head a b ");
    assert_eq!(counts(&metrics), ["written_total 4"]);
}

#[test]
fn one_of_so_many_calls_is_a_sample_and_the_switchboard_always_is() {
    let dir = Dir::new("tape-sample");
    let mode = CaptureMode::from_name("sample:3").unwrap();
    let (recorder, _) = recorder(&CaptureConfig { mode, ..config(&dir.0) });
    let is_taken = |number| recorder.tape(call(number), UTC, None).is_some();
    assert_eq!((1..=9).filter(|number| is_taken(*number)).collect::<Vec<_>>(), [3, 6, 9]);
    assert!(recorder.tape(Captured::Switchboard(InstanceNonce::new(7)), UTC, None).is_some());
}

#[test]
fn a_disk_that_is_full_costs_captures_and_is_noticed_when_it_is_not_any_more() {
    let dir = Dir::new("tape-full");
    let full = CaptureConfig { min_free_bytes: u64::MAX, ..config(&dir.0) };
    let (recorder, metrics) = recorder(&full);
    let mut one = tape(&recorder, 1);
    one.begin(b"head ".to_vec());
    ends(one, EndReason::CallerHungUp);
    let mut box_ = recorder_box(&recorder, &full);
    box_.begin(b"head ".to_vec());
    ends(box_, EndReason::DeadAir);
    recorder.set(&config(&dir.0)).unwrap();
    let mut two = tape(&recorder, 2);
    two.begin(b"head ".to_vec());
    ends(two, EndReason::CallerHungUp);
    recorder.close();
    assert_eq!(names(&dir), ["arib00000007-2.capture"]);
    assert_eq!(counts(&metrics), ["written_total 1", "dropped_total{reason=\"disk\"} 2"]);
}

/// The black box of a call, under otherwise the same settings.
fn recorder_box(recorder: &Recorder, config: &CaptureConfig) -> Tape {
    recorder.set(&CaptureConfig { mode: CaptureMode::BlackBox, ..config.clone() }).unwrap();
    tape(recorder, 9)
}

#[test]
fn what_waits_too_long_is_lost_and_what_there_is_of_it_stays() {
    let dir = Dir::new("tape-queue");
    let (recorder, metrics) = recorder(&config(&dir.0));
    let mut one = tape(&recorder, 1);
    one.begin(b"head".to_vec());
    one.piece(Instant::from_millis(1), vec![0; tape::MAX_WAITING_BYTES + 1]);
    assert!(one.is_lost());
    one.piece(Instant::from_millis(2), b"nothing goes on behind a gap".to_vec());
    ends(one, EndReason::CallerHungUp);
    recorder.close();
    assert_eq!(only_file(&dir), b"head");
    assert_eq!(counts(&metrics), ["dropped_total{reason=\"queue\"} 1"]);
}

#[test]
fn what_grows_beyond_its_bounds_breaks_off() {
    let dir = Dir::new("tape-bound");
    let (recorder, metrics) = recorder(&CaptureConfig { max_bytes: 100, ..config(&dir.0) });
    let mut one = tape(&recorder, 1);
    one.begin(b"head".to_vec());
    let mut seed = 1_u32;
    let noise = std::iter::repeat_with(|| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 24) as u8
    });
    let noise: Vec<u8> = noise.take(2_000_000).collect();
    one.piece(Instant::from_millis(1), noise[..10_000].to_vec());
    ends(one, EndReason::CallerHungUp);
    // A black box in which there is no sound that could go.
    let mut other = recorder_box(&recorder, &config(&dir.0));
    other.begin(b"head".to_vec());
    other.piece(Instant::from_millis(1), noise);
    ends(other, EndReason::DeadAir);
    recorder.close();
    assert_eq!(counts(&metrics), ["dropped_total{reason=\"bound\"} 2"]);
}

#[test]
fn a_fault_of_the_writer_costs_the_capture_that_it_happens_with_and_no_other() {
    let dir = Dir::new("tape-panic");
    let (recorder, metrics) = recorder(&config(&dir.0));
    let (mut one, mut other) = (tape(&recorder, 1), tape(&recorder, 2));
    one.begin(b"head ".to_vec());
    other.begin(b"head ".to_vec());
    lock(&recorder.state).thread.as_ref().unwrap().post.send(Message::Panic { number: 1 }).unwrap();
    for tape in [one, other] {
        ends(tape, EndReason::CallerHungUp);
    }
    recorder.close();
    let files: Vec<_> = dir.names().iter().map(|name| read(dir.path(name))).collect();
    assert_eq!(files, [b"head ".to_vec(), b"head end".to_vec()]);
    assert_eq!(counts(&metrics), ["written_total 1", "dropped_total{reason=\"error\"} 1"]);
}

#[test]
fn a_folder_that_cannot_be_written_to_is_told_when_it_is_wanted() {
    let dir = Dir::new("tape-nowhere");
    fs::write(dir.path("file"), "").unwrap();
    let bad = config(&dir.path("file"));
    let fault = Recorder::start(&bad, Metrics::new().captures()).err().unwrap().to_string();
    assert!(fault.starts_with("CAPTURE_DIR: no file can be written in "), "{fault}");
    let (recorder, _) = recorder(&CaptureConfig { mode: CaptureMode::Off, ..bad.clone() });
    assert_eq!(recorder.ask(Ask::All), Err("nothing is captured: CAPTURE is off"));
    assert!(recorder.set(&bad).is_err() && recorder.tape(call(1), UTC, None).is_none());
}

/// A folder that goes when it is dropped.
pub(super) struct Dir(pub(super) PathBuf);

impl Dir {
    pub(super) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("ari-bridge-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The names in it, sorted.
    pub(super) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Settings that capture everything into this folder.
pub(super) fn config(dir: &std::path::Path) -> CaptureConfig {
    CaptureConfig {
        mode: CaptureMode::All,
        dir: dir.to_str().unwrap().to_owned(),
        max_bytes: 1 << 30,
        days: 7,
        min_free_bytes: 0,
        black_box_bytes: 1 << 20,
    }
}

//! The captures in tests/captures: calls of a real Asterisk, scrubbed. Each is replayed, and beside it lies what it shows,
//! so that a change of what a call does is seen in review.
//!
//! If such a change is meant, `ARI_BRIDGE_ACCEPT=1 cargo test -p ari-bridge-tests --test it captures` writes captures
//! and logs anew; the difference of the logs is what has changed. tests/captures/README.md says where they come from.

use ari_bridge_core::capture::{self, Capture, Head, Machine, open};
use ari_bridge_core::tools::scrub::scrub;
use ari_bridge_core::tools::show::{Style, show};
use ari_bridge_core::tools::verdict::{Wish, verdict};
use ari_bridge_host::recorder;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

/// How many lines are shown around the first that is another.
const AROUND: usize = 3;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("captures")
}

/// The captures, by their names.
fn captures() -> Vec<(PathBuf, Vec<u8>)> {
    let entries = fs::read_dir(folder()).expect("tests/captures");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let mut paths: Vec<_> = paths.filter(|path| recorder::is_capture(path)).collect();
    paths.sort();
    let read = |path: PathBuf| {
        let mut bytes = Vec::new();
        recorder::open_file(&path).and_then(|mut file| file.read_to_end(&mut bytes)).expect("a capture");
        (path, bytes)
    };
    paths.into_iter().map(read).collect()
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// What is shown of a capture.
fn log_of(bytes: &[u8]) -> String {
    let mut log = Vec::new();
    show(open(bytes).expect("a capture"), Style::default(), &mut log).expect("a whole capture");
    String::from_utf8(log).expect("text")
}

/// What a replay says that is another one than what was recorded; nothing if it is not.
fn unlike(name: &str, bytes: &[u8]) -> Option<String> {
    let verdict = verdict(name, open(bytes).expect("a capture"), Wish::default()).expect("a whole capture");
    let difference = verdict.difference()?;
    Some(format!("{name} is not replayed as it was recorded:\n{difference}"))
}

/// The first line in which two logs differ, with those around it.
fn first_other_line(is: &str, should_be: &str) -> Option<String> {
    let (is, should_be): (Vec<_>, Vec<_>) = (is.lines().collect(), should_be.lines().collect());
    let other = (0..is.len().max(should_be.len())).find(|n| is.get(*n) != should_be.get(*n))?;
    let mut told = String::new();
    for line in &should_be[other.saturating_sub(AROUND).min(should_be.len())..other.min(should_be.len())] {
        told.push_str(&format!("  {line}\n"));
    }
    told.push_str(&format!("- {}\n", should_be.get(other).unwrap_or(&"")));
    told.push_str(&format!("+ {}\n", is.get(other).unwrap_or(&"")));
    Some(told)
}

/// Writes a capture anew as this program makes it, and what it shows.
fn accept(path: &Path, bytes: &[u8]) {
    let mut again = Vec::new();
    scrub(bytes, &mut again).expect("a scrubbed capture is scrubbed again");
    fs::write(path.with_extension("log"), log_of(&again)).expect("the log");
    if again != bytes {
        fs::write(path, recorder::compress(&again).expect("zstd")).expect("the capture");
    }
}

#[test]
fn captured_calls_do_what_they_did() {
    let accepts = std::env::var("ARI_BRIDGE_ACCEPT").as_deref() == Ok("1");
    let mut wrong = Vec::new();
    let captures = captures();
    assert!(captures.len() >= 30, "there are {} captures", captures.len());
    for (path, bytes) in &captures {
        if accepts {
            accept(path, bytes);
            continue;
        }
        wrong.extend(unlike(&name(path), bytes));
        let log = fs::read_to_string(path.with_extension("log")).unwrap_or_default();
        if let Some(line) = first_other_line(&log_of(bytes), &log) {
            wrong.push(format!("{} shows something else than the log beside it:\n{line}", name(path)));
        }
    }
    assert!(
        wrong.is_empty(),
        "{}\nIf this is what should happen now: ARI_BRIDGE_ACCEPT=1 cargo test -p ari-bridge-tests --test it captures",
        wrong.join("\n")
    );
}

#[test]
fn no_capture_holds_what_people_said() {
    for (path, bytes) in captures() {
        let mut again = Vec::new();
        let scrubbed =
            scrub(bytes.as_slice(), &mut again).unwrap_or_else(|fault| panic!("{}: {fault}", name(&path)));
        let is_same = match (open(&bytes).expect("a capture"), open(&again).expect("a capture")) {
            (Capture::Call(head, _), Capture::Call(again, _)) => is_same_head(&head, &again),
            (Capture::Switchboard(head, _), Capture::Switchboard(again, _)) => is_same_head(&head, &again),
            _ => false,
        };
        assert!(
            is_same && scrubbed.changed_inputs == 0,
            "{} is not scrubbed: `ari-bridge scrub` does it",
            name(&path)
        );
    }
}

fn is_same_head<M: Machine>(one: &Head<M>, other: &Head<M>) -> bool {
    let words = |head: &Head<M>| format!("{:?} {:?} {:?}", head.note, head.start(), head.settings);
    one.note == capture::Note { is_scrubbed: true, ..one.note } && words(one) == words(other)
}

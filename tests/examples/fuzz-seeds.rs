//! Writes what discovery begins with where there is no corpus yet: `fuzz-seeds DIR`, in a folder for each target.
//!
//! All of it is what the project has: messages and calls of tests/captures, which are scrubbed, samples of what a Realtime
//! server says, settings, and calls of the simulated world.

use ari_bridge_core::call::Input;
use ari_bridge_core::capture::{Capture, Record, open};
use ari_bridge_core::config::{VARIABLES, env_example};
use ari_bridge_core::rng::Rng;
use ari_bridge_host::recorder;
use ari_bridge_tests::fuzz::{CHOSEN_BYTES, to_capture};
use ari_bridge_tests::samples::{broken, server_events};
use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The longest seed, in bytes.
const LONGEST_BYTES: usize = 16 * 1024;

/// Of how many packets and timers in a capture one is kept: a call has fifty of each in a second.
const ONE_OF: u64 = 25;

/// How many worlds.
const WORLDS: u64 = 60;

fn main() {
    let Some(dir) = std::env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("usage: fuzz-seeds DIR");
        std::process::exit(2);
    };
    let seeds = Seeds { dir };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures");
    for entry in fs::read_dir(folder).expect("tests/captures") {
        let path = entry.expect("an entry").path();
        if recorder::is_capture(&path) {
            let mut bytes = Vec::new();
            recorder::open_file(&path).and_then(|mut file| file.read_to_end(&mut bytes)).expect("a capture");
            seeds.capture(&path.file_stem().unwrap_or_default().to_string_lossy(), &bytes);
        }
    }
    for (n, event) in server_events().into_iter().enumerate() {
        seeds.write("realtime_event", &format!("event-{n}"), event.to_string().as_bytes());
    }
    for (n, message) in broken(server_events()[0].to_string().as_bytes()).into_iter().enumerate() {
        seeds.write("realtime_event", &format!("broken-{n}"), &message);
    }
    seeds.settings();
    seeds.worlds();
}

struct Seeds {
    dir: PathBuf,
}

impl Seeds {
    fn write(&self, target: &str, name: &str, bytes: &[u8]) {
        let dir = self.dir.join(target);
        fs::create_dir_all(&dir).expect("a folder");
        if bytes.len() <= LONGEST_BYTES {
            fs::write(dir.join(name), bytes).expect("a seed");
        }
    }

    /// What is in a capture: its messages, its packets, and itself without most of its sound.
    fn capture(&self, name: &str, bytes: &[u8]) {
        self.write("capture_file", name, bytes);
        let mut kinds = BTreeSet::new();
        let mut message = |target: &str, kind: String, bytes: &[u8]| {
            if kinds.insert(format!("{target} {kind} {}", bytes.len() / 64)) {
                self.write(target, &format!("{name}-{}", kinds.len()), bytes);
            }
        };
        let Ok(Capture::Call(head, mut records)) = open(bytes) else { return };
        let (mut begin, mut records_again) = (records.at(), Vec::new());
        let (mut packets, mut timers, mut passed, mut before) = (0, 0, 0, head.now);
        loop {
            let is_kept = match records.next().expect("a good capture") {
                Record::End(_) => break,
                Record::Gave(_) | Record::Digest(_) => None,
                Record::Input { now, input } => {
                    passed += now.since(before).as_nanos() as u64;
                    before = now;
                    match input {
                        Input::Ari(bytes) => message("ari_event", kind(bytes), bytes),
                        Input::AriReply { body, status, .. } => {
                            message("ari_event", status.to_string(), body)
                        }
                        Input::Realtime { bytes, .. } => message("realtime_event", kind(bytes), bytes),
                        Input::Media { bytes, .. } if packets == 0 => message("rtp", String::new(), bytes),
                        _ => {}
                    }
                    Some(match input {
                        Input::Media { .. } => {
                            packets += 1;
                            packets % ONE_OF == 1
                        }
                        Input::Timer => {
                            timers += 1;
                            timers % ONE_OF == 1
                        }
                        Input::Realtime { bytes, .. } => bytes.len() < 2_000,
                        _ => true,
                    })
                }
            };
            let end = records.at();
            if is_kept == Some(true) {
                records_again.extend(later(&bytes[begin..end], passed));
                passed = 0;
            }
            begin = end;
        }
        // The call has another name there.
        let ours = head.start().ids.to_string();
        let mut call = vec![0; CHOSEN_BYTES];
        call.extend(renamed(&records_again, &ours));
        call.truncate(LONGEST_BYTES);
        self.write("call", name, &call);
    }

    /// Good settings, each of them once more with a value of its own, and nonsense.
    fn settings(&self) {
        let example = env_example();
        self.write("config", "example", example.as_bytes());
        let set: String = example.lines().filter_map(|line| line.strip_prefix("# ")).fold(
            "OPENAI_API_KEY=sk-secret-of-many-letters\n".to_owned(),
            |set, line| {
                if line.contains('=') && !line.contains(' ') { set + line + "\n" } else { set }
            },
        );
        self.write("config", "set", set.as_bytes());
        let base = "OPENAI_API_KEY=sk-secret-of-many-letters\nARI_PASSWORD=a-password-of-many-letters\n";
        let values =
            ["on", "off", "7", "0.5", "1000", "wss://u:p@h.example/x?k=v", "a=b,c=d", "x", "strict", "-1"];
        for (n, variable) in VARIABLES.iter().enumerate() {
            let value = values[n % values.len()];
            self.write("config", variable.name, format!("{base}{}={value}\n", variable.name).as_bytes());
        }
        let families =
            "TRANSFER_sales=internal,1002\nTRANSFER_Operator=a,b,3\nDTMF_sales=1\nDTMF_operator=*\n";
        self.write("config", "families", format!("{base}{families}").as_bytes());
        let files =
            "OPENAI_API_KEY_FILE=/run/key\nARI_PASSWORD_FILE=/run/password\n@/run/key=a-key-in-a-file\n";
        self.write("config", "files", files.as_bytes());
    }

    /// Calls of the world: their bytes, and what is recorded of them.
    fn worlds(&self) {
        let mut rng = Rng::new(9);
        for n in 0..WORLDS {
            let len = 100 + 30 * n as usize;
            let mut bytes: Vec<u8> = (0..len).map(|_| rng.next_u32() as u8).collect();
            if n % 3 > 0 {
                // The settings of most calls.
                bytes[..CHOSEN_BYTES].fill(0);
                // Behind them and how the call begins stands how much goes well at first.
                bytes[21] = 250;
            }
            self.write("world", &n.to_string(), &bytes);
            self.write("rtp", &format!("stream-{n}"), &bytes);
            let capture = to_capture("world", &bytes).expect("a capture");
            self.write("capture_file", &format!("world-{n}"), &capture);
            let Ok(Capture::Call(_, records)) = open(&capture) else { continue };
            let body = &capture[records.at()..];
            self.write("call", &format!("world-{n}"), &[&bytes[..CHOSEN_BYTES], body].concat());
        }
    }
}

/// The `type` of a message, or as much as tells one from another.
fn kind(message: &[u8]) -> String {
    let value: serde_json::Value = serde_json::from_slice(message).unwrap_or_default();
    value["type"].as_str().unwrap_or_default().to_owned()
}

/// An input's record that comes so many nanoseconds after the one before.
fn later(record: &[u8], nanos: u64) -> Vec<u8> {
    let len = record[1..].iter().take_while(|byte| **byte >= 0x80).count() + 1;
    let (mut again, mut rest) = (vec![record[0]], nanos);
    while rest >= 0x80 {
        again.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    again.push(rest as u8);
    again.extend_from_slice(&record[1 + len..]);
    again
}

/// Records of a call of the name that a fuzzed one has; a name of another length stays.
fn renamed(records: &[u8], ours: &str) -> Vec<u8> {
    let mut records = records.to_vec();
    let theirs = b"arib00000007-1";
    if ours.len() == theirs.len() {
        for at in 0..records.len().saturating_sub(ours.len()) {
            if records[at..].starts_with(ours.as_bytes()) {
                records[at..at + theirs.len()].copy_from_slice(theirs);
            }
        }
    }
    records
}

//! What the command line does with captures. One that was made on a runtime is looked at with the program of the other.

use ari_bridge_core::sim::caller::Caller;
use ari_bridge_host::{Runtime, recorder};
use std::fs;
use std::path::{Path, PathBuf};

use crate::RUNTIMES;
use crate::line::{CALLER, Line, is_completed};
use crate::program::{says, scratch};
use crate::trace::Trace;

crate::stories![
    a_captured_call_is_replayed_and_looked_at_with_the_program_of_the_other_runtime,
    a_capture_that_is_replayed_otherwise_is_shown_with_both_and_the_exit_code_is_1,
    what_is_no_good_capture_is_refused_with_words_and_the_exit_code_is_1,
];

fn other(on: &Runtime) -> &'static Runtime {
    let is_other = |runtime: &&Runtime| runtime.program != on.program;
    RUNTIMES.iter().map(|(_, runtime)| *runtime).find(is_other).expect("there are two")
}

/// The captures of a call in which something was said, and of its switchboard.
fn captures(on: &'static Runtime) -> (Vec<Vec<u8>>, Trace) {
    let mut line = Line::answered(on);
    line.asterisk.speak(CALLER, &Caller::recorded().speech()[..16_000]);
    line.until(is_completed);
    line.asterisk.hang_up(CALLER);
    let _ = line.outcome();
    let ended = line.ends();
    (ended.logs.into_iter().map(|(_, log)| log).collect(), ended.trace)
}

/// A capture of a call that takes no time.
fn short() -> Vec<u8> {
    use ari_bridge_tests::scene::{Scene, Stage};
    use ari_bridge_tests::taped::Shelf;
    let shelf = Shelf::default();
    let mut scene = Scene::new(Stage { shelf: Some(shelf.clone()), ..Stage::default() });
    scene.dial(1, &[]);
    scene.run_for(std::time::Duration::from_secs(1));
    scene.hang_up(1);
    scene.run_for(std::time::Duration::from_secs(1));
    drop(scene);
    let is_of_a_call = |capture: &Vec<u8>| capture.get(9) == Some(&1);
    shelf.take().into_iter().find(is_of_a_call).expect("the call is over")
}

/// Runs the program, which must end with this code; what it says.
fn run(on: &Runtime, arguments: &[&str], code: i32) -> String {
    let (ended, out, told) = says(on, arguments, &[]);
    assert_eq!(ended, Some(code), "{arguments:?}\n{out}{told}");
    format!("{out}{told}")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path of a test")
}

fn a_captured_call_is_replayed_and_looked_at_with_the_program_of_the_other_runtime(
    on: &'static Runtime,
) -> Trace {
    let (scratch, (logs, trace), on) = (scratch(on, "tools"), captures(on), other(on));
    let folder = scratch.path("captures");
    fs::create_dir_all(&folder).unwrap();
    for (n, log) in logs.iter().enumerate() {
        fs::write(folder.join(format!("{n}.capture")), recorder::compress(log).unwrap()).unwrap();
    }
    let told = run(on, &["replay", "--timings", text(&folder)], 0);
    assert!(told.contains("2 captures: 2 the same, 0 differ, 0 failed"), "{told}");
    assert!(told.contains("caller answered") && told.contains("POST /channels/externalMedia"), "{told}");
    let call = (0..2).map(|n| folder.join(format!("{n}.capture"))).find(|path| is_of_a_call(path)).unwrap();
    let shown = run(on, &["show", text(&call)], 0);
    assert!(
        shown.contains("-> observe: answered after") && shown.contains("the capture is whole"),
        "{shown}"
    );
    for line in run(on, &["show", "--json", text(&call)], 0).lines() {
        let _: serde_json::Value = serde_json::from_str(line).unwrap();
    }
    run(on, &["pcap", text(&call)], 0);
    run(on, &["report", text(&call)], 0);
    run(on, &["wav", text(&call)], 0);
    let wav = hound::WavReader::open(call.with_extension("wav")).unwrap();
    assert!(wav.spec().channels == 2 && wav.duration() > wav.spec().sample_rate, "{:?}", wav.spec());
    let page = fs::read_to_string(call.with_extension("html")).unwrap();
    assert!(page.contains("<canvas") && page.trim_end().ends_with("</html>"));
    assert_eq!(fs::read(call.with_extension("pcapng")).unwrap()[..4], [0x0A, 0x0D, 0x0D, 0x0A]);
    run(on, &["scrub", text(&call)], 0);
    let told = run(on, &["replay", text(&call.with_extension("scrubbed.capture"))], 0);
    assert!(told.starts_with("same "), "{told}");
    let left: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(left.iter().all(|path| !text(path).ends_with(".unfinished")), "{left:?}");
    trace
}

fn is_of_a_call(path: &Path) -> bool {
    let mut capture = recorder::open_file(path).unwrap();
    let mut head = [0; 10];
    std::io::Read::read_exact(&mut capture, &mut head).unwrap();
    head[9] == 1
}

fn a_capture_that_is_replayed_otherwise_is_shown_with_both_and_the_exit_code_is_1(
    on: &'static Runtime,
) -> Trace {
    let (scratch, mut capture) = (scratch(on, "tools-otherwise"), short());
    let place =
        capture.windows(11).position(|bytes| bytes == b"voice-agent").expect("the name of the application");
    capture[place..place + 11].copy_from_slice(b"other-agent");
    let path = scratch.path("one.capture");
    fs::write(&path, &capture).unwrap();
    let told = run(on, &["replay", text(&path)], 1);
    assert!(told.starts_with("DIFFERS ") && told.contains("  the first difference is in step"), "{told}");
    let side =
        |label: &str| told.lines().find(|line| line.trim_start().starts_with(label)).map(str::to_owned);
    let (recorded, replayed) = (side("recorded:").expect("what was"), side("replayed:").expect("what is"));
    assert!(recorded.contains("voice-agent") && replayed.contains("other-agent"), "{told}");
    let told = run(on, &["replay", "--explain", text(&path)], 1);
    assert!(told.contains(" steps would do something else, in ") && told.contains("    was: "), "{told}");
    // Nobody reads it off the screen in another language: what is said is the same on both.
    let mut trace = Trace::default();
    trace.put("explained", told.lines().skip(2).map(|line| line.replace(text(&path), "PATH")));
    trace
}

fn what_is_no_good_capture_is_refused_with_words_and_the_exit_code_is_1(on: &'static Runtime) -> Trace {
    let (scratch, good) = (scratch(on, "tools-bad"), short());
    let write = |name: &str, bytes: &[u8]| -> PathBuf {
        let path = scratch.path(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let mut newer = good.clone();
    newer[8] = 99;
    let mut settings = good.clone();
    let place = settings.windows(12).position(|name| name == b"volume_boost").unwrap();
    settings[place] = b'w';
    let mut flipped = good.clone();
    let last = flipped.len() - 1;
    flipped[last] ^= 0x40;
    let mut squeezed = recorder::compress(&good).unwrap();
    let middle = squeezed.len() / 2;
    squeezed[middle] ^= 0x10;
    let gigabyte = scratch.path("gigabyte.capture");
    fs::File::create(&gigabyte).unwrap().set_len(1 << 30).unwrap();
    let bad = [
        (write("empty.capture", b""), "it is not a capture"),
        (write("text.capture", b"not one at all"), "it is not a capture"),
        (gigabyte, "it is not a capture"),
        (write("newer.capture", &newer), "it has format 99, and this program reads up to"),
        (write("settings.capture", &settings), "unknown field `wolume_boost`"),
        (write("flipped.capture", &flipped), "DIFFERS"),
        (write("squeezed.capture", &squeezed), "zstd"),
        (scratch.path("missing.capture"), "No such file"),
    ];
    for (path, words) in &bad {
        let told = run(on, &["replay", text(path)], 1);
        assert!(told.contains(words) && told.contains(text(path)), "{words}: {told}");
        if *words != "DIFFERS" {
            let told = run(on, &["wav", text(path)], 1);
            assert!(told.contains(words) && told.contains(text(path)), "{words}: {told}");
        }
    }
    let folder = scratch.path("none");
    fs::create_dir_all(&folder).unwrap();
    let told = run(on, &["replay", text(&folder)], 1);
    assert!(told.contains("no capture is in this folder"), "{told}");
    // What is torn is replayed to where it breaks off, and says so.
    let told = run(on, &["replay", text(&write("torn.capture", &good[..good.len() - 30]))], 0);
    assert!(told.contains("same ") && told.contains("the capture breaks off at byte"), "{told}");
    Trace::default()
}

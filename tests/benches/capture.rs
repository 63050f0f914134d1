//! What recording a call costs, and how fast it is replayed: `cargo bench -p ari-bridge-tests --bench capture`.
//!
//! A minute of a simulated conversation in each format is recorded once. Then its inputs are read back and given to a
//! fresh call, with and without a log, by turns; the difference of the medians is what the log costs. Machines are shared and
//! noisy, so each figure is the median of many runs.

use ari_bridge_core::call::{Actions, Call};
use ari_bridge_core::capture::{Capture, Log, PIECE_BYTES, Record, open};
use ari_bridge_core::format::{MediaFormat, ModelFormat};
use ari_bridge_core::replay::replay;
use ari_bridge_core::settings::{CallSettings, MediaPlan, SessionSettings};
use ari_bridge_core::time::Duration;
use ari_bridge_tests::scene::{Scene, Stage};
use ari_bridge_tests::speech::utterance;
use ari_bridge_tests::taped::Shelf;
use std::hint::black_box;
use std::time::Instant;

/// How many runs the median is taken of.
const RUNS: usize = 51;

/// The most that a log holds, in bytes.
const LIMIT: usize = 64 << 20;

const SECOND: Duration = Duration::from_secs(1);

/// A caller who says something every ten seconds, and hears it said back: a minute of it.
fn conversation(format: MediaFormat) -> Vec<u8> {
    let audio_format = if format == MediaFormat::Ulaw { ModelFormat::Pcmu } else { ModelFormat::Pcm24 };
    let shelf = Shelf::default();
    let mut scene = Scene::new(Stage {
        call: CallSettings {
            session: SessionSettings { audio_format, ..SessionSettings::default() },
            ..CallSettings::default()
        },
        media: MediaPlan { format, ..MediaPlan::default() },
        shelf: Some(shelf.clone()),
        ..Stage::default()
    });
    scene.dial(1, &utterance(1, 4.0));
    scene.run_for(SECOND);
    for _ in 0..6 {
        scene.speak(1);
        scene.run_for(10 * SECOND);
    }
    scene.hang_up(1);
    scene.run_for(2 * SECOND);
    drop(scene);
    let is_of_a_call = |capture: &Vec<u8>| matches!(open(capture), Ok(Capture::Call(..)));
    shelf.take().into_iter().find(is_of_a_call).expect("the call is over")
}

/// Gives a fresh call what is in the capture.
fn live(capture: &[u8], with_log: bool) {
    let Ok(Capture::Call(head, mut records)) = open(capture) else { panic!("it is of a call") };
    let mut out = Actions::new();
    let (mut log, mut call) = if with_log {
        let (log, call, _next) = Log::<Call>::begin(&head.settings, head.start(), head.now, LIMIT, &mut out);
        (Some(log), call)
    } else {
        (None, Call::new(&head.settings, head.start(), head.now, &mut out).0)
    };
    while let Ok(record) = records.next() {
        match record {
            Record::Input { now, input } => {
                out.clear();
                let next = match &mut log {
                    Some(log) => {
                        let next = log.step(&mut call, now, input, &mut out);
                        // As a recorder does.
                        if log.bytes().len() >= PIECE_BYTES {
                            black_box(log.take());
                        }
                        next
                    }
                    None => call.step(now, input, &mut out),
                };
                black_box(next.finished);
            }
            Record::Gave(_) | Record::Digest(_) => {}
            Record::End(_) => break,
        }
    }
    black_box(log.map(Log::finish));
}

fn seconds(run: impl FnOnce()) -> f64 {
    let begin = Instant::now();
    run();
    begin.elapsed().as_secs_f64()
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn main() {
    println!("a call of a minute, the median of {RUNS} runs on this machine");
    println!(
        "{:<8} {:>7} {:>9} {:>9} {:>10} {:>10} {:>12} {:>14}",
        "format", "steps", "inputs", "capture", "call, µs", "log, µs", "of the call", "replay"
    );
    for format in [MediaFormat::Slin16, MediaFormat::Ulaw] {
        let capture = conversation(format);
        let replayed = replay(&capture).expect("a good capture");
        let (mut without, mut with, mut replays) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..RUNS {
            without.push(seconds(|| live(&capture, false)));
            with.push(seconds(|| live(&capture, true)));
            replays.push(seconds(|| drop(black_box(replay(&capture)))));
        }
        let (without, with, replay) = (median(without), median(with), median(replays));
        let per_step = |seconds: f64| seconds * 1e6 / replayed.steps as f64;
        println!(
            "{:<8} {:>7} {:>9} {:>8.3}x {:>10.2} {:>10.2} {:>10.1} % {:>7.0}x of real time",
            format.name(),
            replayed.steps,
            replayed.input_bytes,
            capture.len() as f64 / replayed.input_bytes as f64,
            per_step(without),
            per_step(with - without),
            (with - without) / without * 100.0,
            replayed.duration.as_secs_f64() / replay
        );
    }
}

//! What the media path costs: `cargo bench -p ari-bridge-tests`.
//!
//! One second of a call, both directions, in each pair of formats: fifty datagrams to appends, and the deltas of
//! one second to fifty datagrams. Machines are shared and noisy, so each figure is the median of many runs, and
//! beside it stands its ratio to the cheapest, which says more than the time.

use ari_bridge_core::codec::Encoder;
use ari_bridge_core::downlink::Downlink;
use ari_bridge_core::format::{MediaFormat, ModelFormat};
use ari_bridge_core::pcm;
use ari_bridge_core::realtime::Dialect;
use ari_bridge_core::rng::Rng;
use ari_bridge_core::rtp::Packet;
use ari_bridge_core::time::{Duration, Instant};
use ari_bridge_core::uplink::Uplink;
use ari_bridge_tests::wire;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use std::hint::black_box;

/// How many runs of one second the median is taken of.
const RUNS: usize = 301;

fn slot(n: u64) -> Instant {
    Instant::START + Duration::from_millis(20 * n)
}

/// The median time of a run, in milliseconds.
fn median(mut run: impl FnMut(u64)) -> f64 {
    run(0);
    let mut times: Vec<f64> = (1..=RUNS as u64)
        .map(|n| {
            let begin = std::time::Instant::now();
            run(n);
            begin.elapsed().as_secs_f64() * 1000.0
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[RUNS / 2]
}

/// From datagrams to appends.
fn up(line: MediaFormat, model: ModelFormat, echo: bool) -> f64 {
    let encoding = line.from_asterisk();
    let payloads = wire::payloads(encoding, &wire::voice(1, encoding.sample_rate(), 1));
    let mut uplink = Uplink::new(encoding, 2.5);
    let playout = wire::voice(1, encoding.sample_rate(), 1);
    if echo {
        uplink.cancel_echo();
    }
    uplink.start(Instant::START, model);
    let (mut datagram, mut audio, mut message) = (Vec::new(), Vec::new(), Vec::new());
    median(|second| {
        for (n, payload) in payloads.iter().enumerate() {
            if echo {
                let frame = n * encoding.frame_samples();
                uplink.played(&playout[frame..frame + encoding.frame_samples()]);
            }
            let n = second * 50 + n as u64;
            let (sequence, timestamp) = (n as u16, (n as u32).wrapping_mul(encoding.frame_ticks()));
            let payload_type = encoding.payload_type();
            let packet = Packet { marker: false, payload_type, sequence, timestamp, ssrc: 1, payload };
            datagram.clear();
            packet.write(&mut datagram);
            uplink.receive(slot(n), &datagram).expect("a good packet");
            audio.clear();
            uplink.poll(slot(n), false, &mut audio);
            message.clear();
            Dialect::OpenAi.write_append(&audio, &mut message);
            black_box(&message);
        }
    })
}

/// From deltas of 200 ms to datagrams.
fn down(line: MediaFormat, model: ModelFormat) -> f64 {
    let mut audio = Vec::new();
    match model.same_on_the_line() {
        Some(encoding) => Encoder::new(encoding).encode(&wire::voice(1, 8000, 1), &mut audio),
        None => pcm::to_le_bytes(&wire::voice(1, 24_000, 1), &mut audio),
    }
    let deltas: Vec<String> =
        audio.chunks_exact(model.frame_bytes() * 10).map(|piece| BASE64_STANDARD.encode(piece)).collect();
    let mut downlink = Downlink::new(line.to_asterisk(), Duration::from_millis(40), &mut Rng::new(1));
    downlink.set_model_format(model);
    downlink.start(Instant::START);
    let mut datagram = Vec::new();
    median(|second| {
        for n in 0..50 {
            let now = slot(second * 50 + n + 1);
            if n.is_multiple_of(10) {
                let delta = &deltas[n as usize / 10];
                downlink.push_base64(now, "item", 0, delta.as_bytes());
            }
            datagram.clear();
            black_box(downlink.poll(now, &mut datagram));
        }
    })
}

fn main() {
    let mut rows = Vec::new();
    for line in MediaFormat::ALL {
        let own = match line {
            MediaFormat::Ulaw => Some(ModelFormat::Pcmu),
            MediaFormat::Alaw => Some(ModelFormat::Pcma),
            MediaFormat::Slin16 | MediaFormat::G722 => None,
        };
        for model in own.into_iter().chain([ModelFormat::Pcm24]) {
            rows.push((format!("{line} and {}", model.name()), up(line, model, false), down(line, model)));
        }
    }
    for line in [MediaFormat::Slin16, MediaFormat::Ulaw] {
        let model = if line == MediaFormat::Ulaw { ModelFormat::Pcmu } else { ModelFormat::Pcm24 };
        let name = format!("{line}, ECHO_CANCELLER");
        rows.push((name, up(line, model, true), down(line, model)));
    }
    let cheapest = rows.iter().map(|(_, up, down)| up + down).fold(f64::INFINITY, f64::min);
    println!("one second of a call, the median of {RUNS} runs, in ms of this machine");
    println!(
        "{:<24} {:>9} {:>9} {:>9} {:>8} {:>14}",
        "formats", "up", "down", "both", "ratio", "of real time"
    );
    for (name, up, down) in rows {
        let both = up + down;
        println!(
            "{name:<24} {up:>9.3} {down:>9.3} {both:>9.3} {:>7.1}x {:>12.3} %",
            both / cheapest,
            both / 10.0
        );
    }
}

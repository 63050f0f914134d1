//! How long anything waits inside the bridge, in audio time.

use crate::Report;
use crate::tone::sine;
use ari_bridge_core::codec::Decoder;
use ari_bridge_core::downlink::Downlink;
use ari_bridge_core::format::{Encoding, ModelFormat};
use ari_bridge_core::rng::Rng;
use ari_bridge_core::rtp::Packet;
use ari_bridge_core::time::{Duration, Instant};
use ari_bridge_core::uplink::Uplink;
use ari_bridge_tests::wire;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

const CUSHION: Duration = Duration::from_millis(40);

fn at(micros: u64) -> Instant {
    Instant::START + Duration::from_micros(micros)
}

/// How much of the first packet's audio is given in the step that takes it.
fn given_at_once(encoding: Encoding) -> f64 {
    let mut uplink = Uplink::new(encoding, 1.0);
    uplink.start(at(0), ModelFormat::Pcm24);
    let payloads = wire::payloads(encoding, &vec![0; encoding.frame_samples()]);
    let mut out = Vec::new();
    uplink.receive(at(1), &wire::datagram(encoding, 1, 5, &payloads[0])).expect("a good packet");
    uplink.poll(at(1), false, &mut out);
    out.len() as f64 / 48.0
}

/// The longest wait from a delta of so much audio to its first packet, whenever in a slot it comes.
fn worst_wait(audio_ms: usize) -> f64 {
    let mut worst: f64 = 0.0;
    for micros in (1..40_000).step_by(501) {
        let mut downlink = Downlink::new(Encoding::G722, CUSHION, &mut Rng::new(1));
        downlink.start(at(0));
        downlink.push_base64(at(micros), "item", 0, wire::delta(&vec![1000; audio_ms * 24]).as_bytes());
        let due = downlink.deadline().expect("something to send");
        worst = worst.max(due.since(at(micros)).as_micros() as f64 / 1000.0);
    }
    worst
}

/// What still comes after a barge-in at any moment of a loud tone: packets, and loud audio in them.
fn after_barge_in(encoding: Encoding) -> (f64, f64) {
    let tone = wire::delta(&sine(440.0, 24_000, 12_000.0, 3.0));
    let (mut packets, mut loud): (usize, usize) = (0, 0);
    for slots in 1..60 {
        let mut downlink = Downlink::new(encoding, CUSHION, &mut Rng::new(1));
        downlink.start(at(0));
        downlink.push_base64(at(1), "item", 0, tone.as_bytes());
        let (mut decoder, mut datagram) = (Decoder::new(encoding), Vec::new());
        let mut heard = Vec::new();
        for slot in 1..=slots {
            datagram.clear();
            downlink.poll(at(slot * 20_000), &mut datagram);
            decoder.decode(Packet::parse(&datagram).expect("RTP").payload, &mut heard);
        }
        let _ = downlink.barge_in();
        heard.clear();
        let mut more = 0;
        while let Some(due) = downlink.deadline() {
            datagram.clear();
            downlink.poll(due, &mut datagram);
            decoder.decode(Packet::parse(&datagram).expect("RTP").payload, &mut heard);
            more += 1;
        }
        packets = packets.max(more);
        loud =
            loud.max(heard.iter().rposition(|sample| sample.unsigned_abs() > 300).map_or(0, |last| last + 1));
    }
    (packets as f64, loud as f64 * 1000.0 / f64::from(encoding.sample_rate()))
}

/// The largest difference between what a barge-in says was heard and what had gone into packets, in either
/// direction, in milliseconds; over many stories of deltas, pauses and interruptions.
fn heard_against_sent() -> (f64, f64) {
    let (mut above, mut below): (f64, f64) = (0.0, 0.0);
    for seed in 0..300 {
        let mut rng = Rng::new(seed);
        let mut downlink = Downlink::new(Encoding::Pcmu, CUSHION, &mut Rng::new(seed));
        downlink.set_model_format(ModelFormat::Pcmu);
        downlink.start(at(0));
        let (mut now, mut waiting, mut sent) = (0, 0, 0);
        let end = u64::from(500 + rng.below(3000));
        while now < end {
            now += u64::from(1 + rng.below(30));
            if rng.below(3) == 0 {
                let audio = vec![0x2A; 1 + rng.below(900) as usize];
                waiting += audio.len();
                downlink.push_base64(at(now * 1000), "item", 0, BASE64_STANDARD.encode(audio).as_bytes());
            }
            // A packet holds 160 samples, or as many as there were.
            if downlink.poll(at(now * 1000), &mut Vec::new()).is_some() {
                let taken = waiting.min(160);
                (waiting, sent) = (waiting - taken, sent + taken);
            }
        }
        if let Some(cut) = downlink.barge_in() {
            let difference = cut.heard_ms as f64 - sent as f64 / 8.0;
            (above, below) = (above.max(difference), below.max(-difference));
        }
    }
    (above, below)
}

pub(crate) fn measure(report: &mut Report) {
    report.title("From a datagram to its append, on a clean line");
    for encoding in [Encoding::L16Wideband, Encoding::Pcmu, Encoding::G722] {
        report.at_least(
            &format!("{encoding:?}: audio given in the same step"),
            given_at_once(encoding),
            "ms",
            20.0,
        );
    }
    report.title("From a delta to its first packet, at worst");
    report.at_most("a delta as long as the cushion or longer", worst_wait(100), "ms", 20.0);
    report.at_most("a shorter one, and nothing behind it", worst_wait(10), "ms", 60.0);
    report.title("After speech_started");
    for encoding in [Encoding::Pcmu, Encoding::G722] {
        let (packets, loud) = after_barge_in(encoding);
        report.at_most(&format!("{encoding:?}: packets that still come"), packets, "", 1.0);
        report.at_most(&format!("{encoding:?}: audio in them that is not silence"), loud, "ms", 13.0);
    }
    report.title("audio_end_ms against what was in the packets");
    let (above, below) = heard_against_sent();
    report.at_most("above it by at most", above, "ms", 0.0);
    report.at_most("below it by at most", below, "ms", 20.0);
}

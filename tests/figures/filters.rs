//! What the way through the bridge does to a tone.

use crate::Report;
use crate::tone::{MINUS_ONE_DBFS, decibels, fit, middle, sine, snr};
use ari_bridge_core::codec::Decoder;
use ari_bridge_core::downlink::Downlink;
use ari_bridge_core::format::{Encoding, ModelFormat};
use ari_bridge_core::pcm;
use ari_bridge_core::resample::Resampler;
use ari_bridge_core::rng::Rng;
use ari_bridge_core::rtp::Packet;
use ari_bridge_core::time::{Duration, Instant};
use ari_bridge_core::uplink::Uplink;
use ari_bridge_tests::wire;

/// 16 kHz samples through the uplink: L16 packets in, the model's 24 kHz out.
pub(crate) fn up(encoding: Encoding, gain: f64, samples: &[i16]) -> Vec<i16> {
    let mut uplink = Uplink::new(encoding, gain);
    uplink.start(Instant::START, ModelFormat::Pcm24);
    let mut out = Vec::new();
    for (n, payload) in wire::payloads(encoding, samples).iter().enumerate() {
        let datagram = wire::datagram(encoding, n as u16, n as u32 * encoding.frame_ticks(), payload);
        let now = Instant::START + Duration::from_millis(20 * n as u64 + 1);
        uplink.receive(now, &datagram).expect("a good packet");
        uplink.poll(now, true, &mut out);
    }
    let mut samples = Vec::new();
    pcm::from_le_bytes(&out, &mut samples);
    samples
}

/// The model's 24 kHz samples through the downlink, as the caller's end decodes them.
pub(crate) fn down(encoding: Encoding, samples: &[i16]) -> Vec<i16> {
    let mut downlink = Downlink::new(encoding, Duration::from_millis(40), &mut Rng::new(1));
    downlink.start(Instant::START);
    downlink.push_base64(Instant::START, "item", 0, wire::delta(samples).as_bytes());
    let (mut decoder, mut heard) = (Decoder::new(encoding), Vec::new());
    while let Some(due) = downlink.deadline() {
        let mut datagram = Vec::new();
        downlink.poll(due, &mut datagram);
        decoder.decode(Packet::parse(&datagram).expect("RTP").payload, &mut heard);
    }
    heard
}

/// The gain of a way at this frequency, in dB.
fn gain(hertz: f64, to_hz: u32, heard: &[i16], amplitude: f64) -> f64 {
    decibels(fit(middle(heard), hertz, to_hz).0 / amplitude)
}

pub(crate) fn measure(report: &mut Report) {
    use Encoding::L16Wideband as Linear;
    report.title("A 1 kHz tone at -1 dBFS, gain 1, without codec: signal to noise");
    let tone = sine(1000.0, 16_000, MINUS_ONE_DBFS, 2.0);
    let there = up(Linear, 1.0, &tone);
    report.at_least("uplink, 16 to 24 kHz", snr(middle(&there), 1000.0, 24_000), "dB", 90.0);
    let from_model = sine(1000.0, 24_000, MINUS_ONE_DBFS, 2.0);
    let back = down(Linear, &from_model);
    report.at_least("downlink, 24 to 16 kHz", snr(middle(&back), 1000.0, 16_000), "dB", 90.0);
    let both = down(Linear, &there);
    report.at_least("both ways, one behind the other", snr(middle(&both), 1000.0, 16_000), "dB", 90.0);

    report.title("The same through the codecs, both ways");
    for (encoding, name, bound) in
        [(Encoding::G722, "G.722", 30.0), (Encoding::Pcmu, "µ-law", 35.0), (Encoding::Pcma, "A-law", 35.0)]
    {
        let tone = sine(1000.0, encoding.sample_rate(), 8000.0, 2.0);
        let heard = down(encoding, &up(encoding, 1.0, &tone));
        report.at_least(name, snr(middle(&heard), 1000.0, encoding.sample_rate()), "dB", bound);
    }

    report.title("Pass band at 16 kHz, 100 Hz to 6.8 kHz: the largest deviation");
    let frequencies = || (1..=68).map(|n| f64::from(n) * 100.0);
    let worst = |values: &mut dyn Iterator<Item = f64>| values.fold(0.0, |worst: f64, v| worst.max(v.abs()));
    let upward =
        |hertz: f64| gain(hertz, 24_000, &up(Linear, 1.0, &sine(hertz, 16_000, 8000.0, 0.4)), 8000.0);
    let downward = |hertz: f64| gain(hertz, 16_000, &down(Linear, &sine(hertz, 24_000, 8000.0, 0.4)), 8000.0);
    report.at_most("uplink", worst(&mut frequencies().map(upward)), "dB", 0.5);
    report.at_most("downlink", worst(&mut frequencies().map(downward)), "dB", 0.5);
    report.figure("uplink at 7.4 kHz, to know the slope", upward(7400.0), "dB", "", true);

    report.title("Images and aliases, the loudest");
    // 50 Hz beside the hundreds, so that none lies on half a sampling rate.
    let images = (0..=74).map(|n| f64::from(n) * 100.0 + 50.0).map(|hertz| {
        let heard = up(Linear, 1.0, &sine(hertz, 16_000, 20_000.0, 0.3));
        decibels(fit(middle(&heard), 16_000.0 - hertz, 24_000).0 / 20_000.0)
    });
    report.at_most(
        "uplink: of a tone up to 7.5 kHz, above 8 kHz",
        images.fold(-200.0, f64::max),
        "dB",
        -60.0,
    );
    let aliases = (86..=118).map(|n| f64::from(n) * 100.0).map(|hertz| {
        let heard = down(Linear, &sine(hertz, 24_000, 20_000.0, 0.3));
        decibels(fit(middle(&heard), 16_000.0 - hertz, 16_000).0 / 20_000.0)
    });
    report.at_most(
        "downlink: of a tone from 8.6 kHz, below 8 kHz",
        aliases.fold(-200.0, f64::max),
        "dB",
        -60.0,
    );

    report.title("A caller 2.5 times too loud (1 kHz at 0 dBFS after the boost of 2.5): harmonics");
    let loud = sine(1000.0, 16_000, 32_767.0, 1.0);
    let limited = up(Linear, 2.5, &loud);
    let clipped: Vec<i16> = loud.iter().map(|&s| (f64::from(s) * 2.5) as i16).collect();
    let mut clipped_up = Vec::new();
    Resampler::new(16_000, 24_000).process(&clipped, &mut clipped_up);
    let distortion = |heard: &[i16]| {
        let (first, _) = fit(middle(heard), 1000.0, 24_000);
        let harmonics =
            (2..=7).map(|n| fit(middle(heard), 1000.0 * f64::from(n), 24_000).0.powi(2)).sum::<f64>();
        100.0 * harmonics.sqrt() / first
    };
    let (soft, hard) = (distortion(&limited), distortion(&clipped_up));
    report.figure("saturated, for comparison", hard, "% THD", "", true);
    report.at_most("with the limiter", soft, "% THD", hard * 0.8);

    report.title("Delay of the filters");
    let delay = Resampler::new(16_000, 24_000).delay().as_micros() as f64 / 1000.0;
    report.at_most("each way", delay, "ms", 5.0);
}

//! What a bad network leaves of a voice.

use crate::Report;
use crate::tone::{segmental_snr, spectral_distance};
use ari_bridge_core::format::{Encoding, ModelFormat};
use ari_bridge_core::pcm;
use ari_bridge_core::rng::Rng;
use ari_bridge_core::time::{Duration, Instant};
use ari_bridge_core::uplink::Uplink;
use ari_bridge_tests::wire;

/// One packet lasts so long.
const PTIME_MS: u64 = 20;
const MODEL_RATE: u32 = 24_000;

/// How long an utterance lasts.
const SECONDS: u32 = 20;

/// When each packet of a stream arrives: its number, and the time.
type Arrivals = Vec<(usize, u64)>;

/// How a network treats the packets.
#[derive(Clone, Copy)]
enum Network {
    Clean,
    /// Loses 5 of 100, each by itself.
    Random,
    /// Loses 10 of 100, three in a row on average (Gilbert's model).
    Bursts,
    /// Delays each but the first few by up to 60 ms, so that it is overtaken by up to three.
    Reorder,
    /// Delivers 5 of 100 twice.
    Duplicates,
}

impl Network {
    fn deliver(self, packets: usize) -> Arrivals {
        let mut rng = Rng::new(42);
        let mut arrivals = Vec::new();
        let mut in_burst = false;
        for n in 0..packets {
            // The wait for the first one is too short to be filled.
            let sent = n as u64 * PTIME_MS + 100;
            match self {
                Self::Clean => arrivals.push((n, sent)),
                Self::Random if rng.below(100) < 5 => {}
                Self::Bursts => {
                    in_burst = if in_burst { rng.below(3) != 0 } else { rng.below(27) == 0 };
                    if !in_burst {
                        arrivals.push((n, sent));
                    }
                }
                Self::Reorder if n < 4 => arrivals.push((n, sent)),
                Self::Reorder => arrivals.push((n, sent + u64::from(rng.below(61)))),
                Self::Duplicates if rng.below(100) < 5 => arrivals.extend([(n, sent), (n, sent + 7)]),
                Self::Random | Self::Duplicates => arrivals.push((n, sent)),
            }
        }
        arrivals.sort_by_key(|&(n, at)| (at, n));
        arrivals
    }
}

/// What the model hears.
fn heard(encoding: Encoding, payloads: &[Vec<u8>], arrivals: &Arrivals) -> Vec<i16> {
    let mut uplink = Uplink::new(encoding, 1.0);
    uplink.start(Instant::START, ModelFormat::Pcm24);
    let mut out = Vec::new();
    let mut arrivals = arrivals.iter().peekable();
    // The clock of a driver that comes by each millisecond, until everything has been given.
    for millis in 1..payloads.len() as u64 * PTIME_MS + 300 {
        let now = Instant::START + Duration::from_millis(millis);
        while let Some(&(n, _)) = arrivals.next_if(|&&(_, at)| at <= millis) {
            // Both numbers wrap on the way.
            let sequence = 65_500u16.wrapping_add(n as u16);
            let timestamp = (n as u32 * encoding.frame_ticks()).wrapping_add(u32::MAX - 10_000);
            let datagram = wire::datagram(encoding, sequence, timestamp, &payloads[n]);
            // What comes twice or too late is refused, and that is what is measured.
            let _ = uplink.receive(now, &datagram);
            uplink.poll(now, false, &mut out);
        }
        uplink.poll(now, true, &mut out);
    }
    let mut samples = Vec::new();
    pcm::from_le_bytes(&out, &mut samples);
    samples
}

/// An utterance as packets of this encoding.
fn packets(encoding: Encoding) -> Vec<Vec<u8>> {
    wire::payloads(encoding, &wire::voice(3, encoding.sample_rate(), SECONDS))
}

/// What was heard with silence where packets were lost: what a bridge without concealment gives.
fn with_silence(heard: &[i16], packets: usize, arrivals: &Arrivals) -> Vec<i16> {
    let mut silenced = heard.to_vec();
    let samples = (u64::from(MODEL_RATE) * PTIME_MS / 1000) as usize;
    let delay = MODEL_RATE as usize / 200;
    for n in (0..packets).filter(|n| !arrivals.iter().any(|(arrived, _)| arrived == n)) {
        let start = n * samples + delay;
        let end = (start + samples).min(silenced.len());
        silenced[start.min(end)..end].fill(0);
    }
    silenced
}

/// The longest run of near silence in a voice, in milliseconds.
fn longest_gap_ms(samples: &[i16]) -> f64 {
    let runs = samples.split(|sample| sample.unsigned_abs() > 8);
    runs.map(<[i16]>::len).max().unwrap_or(0) as f64 / 24.0
}

/// The most packets lost in a row.
fn longest_loss(packets: usize, arrivals: &Arrivals) -> usize {
    let mut longest = (0, 0);
    for n in 0..packets {
        longest.1 = if arrivals.iter().any(|(arrived, _)| *arrived == n) { 0 } else { longest.1 + 1 };
        longest.0 = longest.0.max(longest.1);
    }
    longest.0
}

pub(crate) fn measure(report: &mut Report) {
    for (encoding, name) in
        [(Encoding::L16Wideband, "L16"), (Encoding::G722, "G.722"), (Encoding::Pcmu, "µ-law")]
    {
        let payloads = packets(encoding);
        let count = payloads.len();
        let clean = heard(encoding, &payloads, &Network::Clean.deliver(count));
        let speech = ..count * 480;
        report.title(&format!("{name}, 20 s of a voice over a bad network, against the clean one"));
        for (network, text) in [(Network::Random, "5 % lost"), (Network::Bursts, "10 % lost in bursts")] {
            let arrivals = network.deliver(count);
            let got = heard(encoding, &payloads, &arrivals);
            let off = got.len().abs_diff(clean.len()) as f64 / 24.0;
            report.at_most(&format!("{text}: the stream's length is off by"), off, "ms", 20.0);
            let end = got.len().min(clean.len()).min(count * 480);
            let gap = longest_gap_ms(&got[..end]);
            let allowed = longest_gap_ms(&clean[..end]) + longest_loss(count, &arrivals) as f64 * 20.0;
            report.at_most(&format!("{text}: longest gap"), gap, "ms", allowed);
            let silenced = with_silence(&got, count, &arrivals);
            let distance = |heard: &[i16]| spectral_distance(&clean[..end], &heard[..end], MODEL_RATE);
            let (without, with) = (distance(&silenced), distance(&got));
            report.figure(
                &format!("{text}: spectral distance with silence instead"),
                without,
                "dB",
                "",
                true,
            );
            report.at_most(&format!("{text}: spectral distance"), with, "dB", without * 0.8);
            let snr = segmental_snr(&clean[..end], &got[..end], MODEL_RATE);
            report.at_least(&format!("{text}: segmental SNR"), snr, "dB", 25.0);
        }
        for (network, text) in
            [(Network::Reorder, "overtaken by up to 3"), (Network::Duplicates, "5 % twice")]
        {
            let got = heard(encoding, &payloads, &network.deliver(count));
            let differ = clean[speech].iter().zip(&got).filter(|(a, b)| a != b).count();
            let missing = count.saturating_mul(480).saturating_sub(got.len());
            report.at_most(&format!("{text}: samples that differ"), (differ + missing) as f64, "", 0.0);
        }
    }
    recovery(report);
}

/// G.722 is adaptive: how soon the model hears what it would have heard, after a decoder missed a packet.
fn recovery(report: &mut Report) {
    let packets = packets(Encoding::G722);
    let clean = heard(Encoding::G722, &packets, &Network::Clean.deliver(packets.len()));
    let skipped = || (10..900).step_by(37);
    let after: Vec<Vec<i16>> = skipped()
        .map(|skipped| {
            let mut arrivals = Network::Clean.deliver(packets.len());
            arrivals.remove(skipped);
            heard(Encoding::G722, &packets, &arrivals)
        })
        .collect();
    report.title("G.722 after one lost packet: error below the signal, the median");
    for (ms, bound) in [(0, 0.0), (20, 0.0), (60, 10.0), (200, 20.0), (400, 30.0)] {
        let ratio = |(skipped, got): (usize, &Vec<i16>)| {
            // Behind the packet, and the 5 ms of the filter.
            let at = (skipped + 1) * 480 + ms * 24 + 120;
            let (wanted, got) = (&clean[at..at + 480], &got[at..at + 480]);
            let power = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>();
            let signal = power(&mut wanted.iter().map(|&v| f64::from(v)));
            let error = power(&mut wanted.iter().zip(got).map(|(&a, &b)| f64::from(a) - f64::from(b)));
            10.0 * (signal.max(1.0) / error.max(1.0)).log10()
        };
        let mut ratios: Vec<f64> = skipped().zip(&after).map(ratio).collect();
        ratios.sort_by(f64::total_cmp);
        report.at_least(&format!("{ms} to {} ms after it", ms + 20), ratios[ratios.len() / 2], "dB", bound);
    }
}

//! From the caller to the model: datagrams in, an unbroken stream of 24 kHz samples out.
//!
//! There is no playout clock on this side. The model takes audio in audio time, so a packet is passed on the
//! moment it is in order, clock drift needs no care, and silence that turns out to be too much costs nothing
//! but a longer pause. Silence is needed all the same: Asterisk sends nothing while the caller's leg sends
//! nothing, and the server's voice detection only hears the end of a turn in audio that goes on.

use crate::call::Wake;
use crate::codec::Decoder;
use crate::format::{Encoding, MODEL_RATE, PTIME_MS};
use crate::jitter::{JitterBuffer, Pop};
use crate::observe::RtpDrop;
use crate::pcm::Gain;
use crate::resample::Resampler;
use crate::rtp::{MAX_DATAGRAM_BYTES, Packet};
use crate::time::{Duration, Instant};

/// How long nothing may come from the caller before silence is put in its place, in milliseconds.
pub const SILENCE_AFTER_MS: u64 = 60;

/// The most silence that one poll adds, for lost packets or for a pause, in milliseconds.
pub const MAX_FILL_MS: u64 = 200;

/// Everything between a datagram of Asterisk and the audio of the model.
#[derive(Debug)]
pub struct Uplink {
    encoding: Encoding,
    jitter: JitterBuffer,
    decoder: Decoder,
    gain: Gain,
    resampler: Resampler,
    /// None until the model listens.
    fed: Option<Fed>,
    /// Samples of the last packet, at the line's rate: what a lost one is taken to have lasted.
    packet_samples: usize,
    payload: Vec<u8>,
    samples: Vec<i16>,
}

/// How far the model has been fed, by the wall clock.
#[derive(Clone, Copy, Debug)]
struct Fed {
    /// Until when.
    until: Instant,
    /// Samples of silence since the last packet, at the line's rate.
    silence: usize,
}

/// What a poll had to report.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct UplinkPoll {
    /// Packets that were given up.
    pub lost_packets: u32,
}

impl Uplink {
    /// An uplink for what Asterisk sends; `gain` is the factor on the caller's voice.
    #[must_use]
    pub fn new(from_asterisk: Encoding, gain: f64) -> Self {
        Self {
            encoding: from_asterisk,
            jitter: JitterBuffer::new(),
            decoder: Decoder::new(from_asterisk),
            gain: Gain::new(gain),
            resampler: Resampler::new(from_asterisk.sample_rate(), MODEL_RATE),
            fed: None,
            packet_samples: from_asterisk.frame_samples(),
            payload: Vec::with_capacity(MAX_DATAGRAM_BYTES),
            samples: Vec::with_capacity(2 * MAX_DATAGRAM_BYTES),
        }
    }

    /// The model listens from now on. A second start changes nothing.
    pub fn start(&mut self, now: Instant) {
        self.fed.get_or_insert(Fed { until: now, silence: 0 });
    }

    /// Takes a datagram; whether it comes from the right address is the caller's to know. What is in order is
    /// given by the next [`Uplink::poll`], which belongs behind this call in the same step.
    ///
    /// # Errors
    ///
    /// Why the datagram was not used.
    pub fn receive(&mut self, now: Instant, datagram: &[u8]) -> Result<(), RtpDrop> {
        let packet = Packet::parse(datagram).ok_or(RtpDrop::Malformed)?;
        if packet.payload.is_empty() {
            return Err(RtpDrop::Malformed);
        }
        if packet.payload_type != self.encoding.payload_type() {
            return Err(RtpDrop::PayloadType);
        }
        if self.fed.is_none() {
            return Err(RtpDrop::Early);
        }
        self.jitter.push(now, &packet)
    }

    /// Appends to `out` the samples at [`MODEL_RATE`] that are due: packets in order, silence for those that
    /// were lost, and silence where nothing came for [`SILENCE_AFTER_MS`]. Its work is bounded by the packets
    /// that the jitter buffer holds and [`MAX_FILL_MS`] of silence for each cause.
    pub fn poll(&mut self, now: Instant, out: &mut Vec<i16>) -> UplinkPoll {
        let mut report = UplinkPoll::default();
        let Some(mut fed) = self.fed else { return report };
        let mut room = self.line_samples(MAX_FILL_MS);
        while let Some(pop) = self.jitter.pop(now, &mut self.payload) {
            match pop {
                Pop::Packet => {
                    self.pass_on(out);
                    fed = Fed { until: now, silence: 0 };
                }
                Pop::Lost { packets } => {
                    report.lost_packets = report.lost_packets.saturating_add(packets);
                    // What a pause has been filled with already was the time of these packets.
                    let missing = (packets as usize).saturating_mul(self.packet_samples);
                    let missing = missing.saturating_sub(fed.silence).min(room);
                    room -= missing;
                    self.pass_on_silence(missing, out);
                }
            }
        }
        if self.jitter.deadline().is_none() {
            self.fill_pause(now, &mut fed, out);
        }
        self.fed = Some(fed);
        report
    }

    /// When [`Uplink::poll`] next has something to give without a further datagram, and why. After a poll it
    /// lies in the future. `None` until the start.
    #[must_use]
    pub fn deadline(&self) -> Option<(Instant, Wake)> {
        let fed = self.fed?;
        // While packets are held back for a missing one, they are what comes next, not silence.
        Some(match self.jitter.deadline() {
            Some(release) => (release, Wake::JitterRelease),
            None => (fed.due(), Wake::UplinkSilence),
        })
    }

    fn pass_on(&mut self, out: &mut Vec<i16>) {
        self.samples.clear();
        self.decoder.decode(&self.payload, &mut self.samples);
        self.packet_samples = self.samples.len();
        self.gain.apply(&mut self.samples);
        self.resampler.process(&self.samples, out);
    }

    /// Silence takes the same way as audio, so that the resampler's block and tail stay in order.
    fn pass_on_silence(&mut self, samples: usize, out: &mut Vec<i16>) {
        self.samples.clear();
        self.samples.resize(samples, 0);
        self.resampler.process(&self.samples, out);
    }

    fn fill_pause(&mut self, now: Instant, fed: &mut Fed, out: &mut Vec<i16>) {
        if now < fed.due() {
            return;
        }
        let steps = now.since(fed.until).as_millis() as u64 / PTIME_MS;
        let filled = steps.min(MAX_FILL_MS / PTIME_MS);
        let samples = self.line_samples(filled * PTIME_MS);
        self.pass_on_silence(samples, out);
        fed.silence = fed.silence.saturating_add(samples);
        // After a stall longer than what is filled, the stream goes on from now instead of catching up.
        fed.until = if filled < steps { now } else { fed.until + Duration::from_millis(filled * PTIME_MS) };
    }

    fn line_samples(&self, millis: u64) -> usize {
        (u64::from(self.encoding.sample_rate()) * millis / 1000) as usize
    }
}

impl Fed {
    /// When the next silence is due: after [`SILENCE_AFTER_MS`], and then every [`PTIME_MS`].
    fn due(&self) -> Instant {
        self.until + Duration::from_millis(if self.silence == 0 { SILENCE_AFTER_MS } else { PTIME_MS })
    }
}

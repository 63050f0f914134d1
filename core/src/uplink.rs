//! From the caller to the model: datagrams in, an unbroken stream of audio in the model's format out.
//!
//! There is no playout clock on this side. The model takes audio in audio time, so a packet is passed on the
//! moment it is in order, clock drift needs no care, and silence that turns out to be too much costs nothing
//! but a longer pause. Silence is needed all the same: Asterisk sends nothing while the caller's leg sends
//! nothing, and the server's voice detection only hears the end of a turn in audio that goes on.
//!
//! What is lost is made up by a [`Concealer`]. Where the line and the model speak the same law of G.711, a
//! payload is passed on byte for byte, and only what the concealer made or blended is encoded.

mod way;

use crate::codec::Decoder;
use crate::conceal::{Concealer, Fade};
use crate::echo::EchoCanceller;
use crate::format::{Encoding, ModelFormat, PTIME_MS};
use crate::jitter::{JitterBuffer, Pop};
use crate::meter::VoiceMeter;
use crate::observe::RtpDrop;
use crate::pcm::Gain;
use crate::rtp::{MAX_DATAGRAM_BYTES, Packet};
use crate::time::{Duration, Instant};
use crate::wake::Wake;
use way::Way;

/// How long nothing may come from the caller before silence is put in its place, in milliseconds.
///
/// The silence then makes up for the whole wait at once, so a long wait costs nothing as long as it is shorter
/// than the pause that ends a turn (`silence_duration_ms`, 500). A short one costs: when packets are only late,
/// the silence before them tears a word.
pub const SILENCE_AFTER_MS: u64 = 200;

/// The most that one poll adds, for lost packets or for a pause, in milliseconds.
pub const MAX_FILL_MS: u64 = 400;

/// Everything between a datagram of Asterisk and the audio of the model.
#[derive(Debug)]
pub struct Uplink {
    encoding: Encoding,
    gain: Gain,
    jitter: JitterBuffer,
    /// Over a loss its state stands still. To let it live through what was made up instead (G.722 Appendix IV)
    /// was tried and brought nothing: 2.8 dB more from 20 to 40 ms after a loss, 2 dB less from 60 to 80, and a
    /// spectrum that was further off. The test target `figures` prints how soon G.722 is exact again.
    decoder: Decoder,
    concealer: Concealer,
    echo: Option<EchoCanceller>,
    meter: VoiceMeter,
    agent_speaks: bool,
    is_held: bool,
    /// None until the model listens.
    model: Option<Model>,
    payload: Vec<u8>,
    samples: Vec<i16>,
    /// What the canceller has left of them.
    cleaned: Vec<i16>,
}

/// The listening model.
#[derive(Debug)]
struct Model {
    way: Way,
    fed: Fed,
}

/// How far the model has been fed, by the wall clock.
#[derive(Clone, Copy, Debug)]
struct Fed {
    /// Until when.
    until: Instant,
    /// Samples put in place of a pause since the last packet, at the line's rate.
    silence: usize,
    /// Whether silence is steady already, so that the next is due after [`PTIME_MS`].
    is_steady: bool,
}

/// What a poll had to report.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct UplinkPoll {
    /// Packets that were given up.
    pub lost_packets: u32,
    /// How much audio was made up for what was lost, in milliseconds, rounded. What fills a pause is not in it.
    pub concealed_ms: u32,
}

impl Uplink {
    /// An uplink for what Asterisk sends; `gain` is the factor on the caller's voice.
    #[must_use]
    pub fn new(from_asterisk: Encoding, gain: f64) -> Self {
        let rate = from_asterisk.sample_rate();
        let longest = line_samples(from_asterisk, MAX_FILL_MS).max(2 * MAX_DATAGRAM_BYTES);
        Self {
            encoding: from_asterisk,
            gain: Gain::new(gain),
            jitter: JitterBuffer::new(from_asterisk),
            decoder: Decoder::new(from_asterisk),
            concealer: Concealer::new(rate, Fade::LOSS),
            echo: None,
            meter: VoiceMeter::new(rate),
            agent_speaks: false,
            is_held: false,
            model: None,
            payload: Vec::with_capacity(MAX_DATAGRAM_BYTES),
            samples: Vec::with_capacity(longest),
            cleaned: Vec::new(),
        }
    }

    /// The model listens from now on, to this format. A second start changes nothing.
    pub fn start(&mut self, now: Instant, model: ModelFormat) {
        let longest = self.samples.capacity();
        self.model.get_or_insert_with(|| Model {
            way: Way::new(self.encoding, model, self.gain, longest),
            fed: Fed { until: now, silence: 0, is_steady: self.is_held },
        });
    }

    /// Whether the caller has put us on hold. Asterisk sends music then: it is not passed on, and the model is
    /// given silence in steps of [`PTIME_MS`] from now on. Afterwards the next packet is taken as the first of
    /// a stream, and fades in from the silence.
    pub fn hold(&mut self, now: Instant, is_held: bool) {
        if core::mem::replace(&mut self.is_held, is_held) == is_held {
            return;
        }
        self.jitter.reset();
        if let Some(model) = self.model.as_mut().filter(|_| is_held) {
            model.fed = Fed { until: now, silence: 0, is_steady: true };
        }
    }

    /// Takes the agent's echo out of what the caller's line sends, from now on. The uplink must be told what
    /// was played. No payload is passed on as it is then.
    pub fn cancel_echo(&mut self) {
        self.echo = Some(EchoCanceller::new(self.encoding.sample_rate()));
    }

    /// Takes what was played to the caller, as it went into the encoder: at this line's rate.
    pub fn played(&mut self, samples: &[i16]) {
        if let Some(echo) = &mut self.echo {
            echo.played(samples);
        }
    }

    /// Takes that nothing was played for so many slots of [`PTIME_MS`].
    pub fn quiet(&mut self, slots: u64) {
        if let Some(echo) = &mut self.echo {
            let samples = slots.saturating_mul(self.encoding.frame_samples() as u64);
            echo.quiet(usize::try_from(samples).unwrap_or(usize::MAX));
        }
    }

    /// Whether the caller hears the agent from now on.
    pub fn agent_speaks(&mut self, speaks: bool) {
        self.agent_speaks = speaks;
    }

    /// Whether what came just now is loud and long enough to be the caller and not the agent's echo.
    #[must_use]
    pub fn caller_is_loud(&self) -> bool {
        self.meter.confirms()
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
        if self.encoding == Encoding::L16Wideband && !packet.payload.len().is_multiple_of(2) {
            return Err(RtpDrop::Malformed);
        }
        if self.model.is_none() {
            return Err(RtpDrop::Early);
        }
        if self.is_held {
            return Err(RtpDrop::Held);
        }
        self.jitter.push(now, &packet)
    }

    /// Appends to `out` the audio that is due, in the model's format: packets in order, stand-ins for those that
    /// were lost, and silence where nothing came for [`SILENCE_AFTER_MS`]. Its work is bounded by the packets
    /// that the jitter buffer holds and [`MAX_FILL_MS`] for each cause.
    ///
    /// Nothing is given up and no pause is filled unless `timer` says that every datagram that had arrived was
    /// received: after a stall of this machine, the caller's words lie unread and must not follow a silence
    /// that never was.
    pub fn poll(&mut self, now: Instant, timer: bool, out: &mut Vec<u8>) -> UplinkPoll {
        let mut report = UplinkPoll::default();
        let Some(mut model) = self.model.take() else { return report };
        let room = line_samples(self.encoding, MAX_FILL_MS);
        let mut concealed = 0;
        while let Some(pop) = self.jitter.pop(now, timer, &mut self.payload) {
            match pop {
                Pop::Packet => {
                    self.pass_on(&mut model.way, out);
                    model.fed = Fed { until: now, silence: 0, is_steady: false };
                }
                Pop::Missing { packets, ticks } => {
                    report.lost_packets = report.lost_packets.saturating_add(packets);
                    // What a pause has been filled with already was the time of these packets.
                    let missing = self.samples_of(ticks).saturating_sub(model.fed.silence);
                    let missing = missing.min(room - concealed);
                    self.make_up(missing, &mut model.way, out);
                    concealed += missing;
                }
            }
        }
        if timer && self.jitter.deadline().is_none() {
            self.fill_pause(now, &mut model, out);
        }
        self.model = Some(model);
        let rate = self.encoding.sample_rate() as usize;
        report.concealed_ms = ((concealed * 1000 + rate / 2) / rate) as u32;
        report
    }

    /// When [`Uplink::poll`] next has something to give without a further datagram, and why. After a poll with
    /// `timer` it lies in the future. `None` until the start.
    #[must_use]
    pub fn deadline(&self) -> Option<(Instant, Wake)> {
        let model = self.model.as_ref()?;
        // While packets are held back for a missing one, they are what comes next, not silence.
        Some(match self.jitter.deadline() {
            Some(release) => (release, Wake::JitterRelease),
            None => (model.fed.due(), Wake::UplinkSilence),
        })
    }

    fn pass_on(&mut self, way: &mut Way, out: &mut Vec<u8>) {
        self.samples.clear();
        self.decoder.decode(&self.payload, &mut self.samples);
        let is_blended = self.concealer.is_concealing();
        self.concealer.hear(&mut self.samples);
        if self.echo.is_some() {
            return self.pass_on_cleaned(way, out);
        }
        self.meter.hear(&self.samples, self.agent_speaks);
        way.packet(&self.payload, &mut self.samples, is_blended, out);
    }

    /// Takes the echo out of the samples, if that is wanted, and passes them on.
    fn pass_on_cleaned(&mut self, way: &mut Way, out: &mut Vec<u8>) {
        if let Some(echo) = &mut self.echo {
            self.cleaned.clear();
            echo.cancel(&self.samples, &mut self.cleaned);
            core::mem::swap(&mut self.samples, &mut self.cleaned);
        }
        self.meter.hear(&self.samples, self.agent_speaks);
        way.samples(&mut self.samples, out);
    }

    /// What is made up takes the same way as audio, so that the resampler's block and tail stay in order.
    fn make_up(&mut self, samples: usize, way: &mut Way, out: &mut Vec<u8>) {
        self.samples.clear();
        self.concealer.conceal(samples, &mut self.samples);
        self.pass_on_cleaned(way, out);
    }

    fn fill_pause(&mut self, now: Instant, model: &mut Model, out: &mut Vec<u8>) {
        let fed = &mut model.fed;
        if now < fed.due() {
            return;
        }
        let steps = now.since(fed.until).as_millis() as u64 / PTIME_MS;
        let filled = steps.min(MAX_FILL_MS / PTIME_MS);
        let samples = line_samples(self.encoding, filled * PTIME_MS);
        fed.silence = fed.silence.saturating_add(samples);
        fed.is_steady = true;
        // After a stall longer than what is filled, the stream goes on from now instead of catching up.
        fed.until = if filled < steps { now } else { fed.until + Duration::from_millis(filled * PTIME_MS) };
        self.make_up(samples, &mut model.way, out);
    }

    /// Samples in so many units of the RTP clock.
    fn samples_of(&self, ticks: u32) -> usize {
        let (rate, clock) = (u64::from(self.encoding.sample_rate()), u64::from(self.encoding.clock_rate()));
        (u64::from(ticks) * rate / clock) as usize
    }
}

impl Fed {
    /// When the next silence is due: after [`SILENCE_AFTER_MS`], and then every [`PTIME_MS`].
    fn due(&self) -> Instant {
        self.until + Duration::from_millis(if self.is_steady { PTIME_MS } else { SILENCE_AFTER_MS })
    }
}

fn line_samples(encoding: Encoding, millis: u64) -> usize {
    (u64::from(encoding.sample_rate()) * millis / 1000) as usize
}

#[cfg(test)]
mod tests;

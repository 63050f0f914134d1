//! From the caller to the model: datagrams in, an unbroken stream of audio in the model's format out.
//!
//! There is no playout clock on this side. The model takes audio in audio time, so a packet is passed on the
//! moment it is in order, and clock drift needs no care. Silence is needed all the same: Asterisk sends nothing
//! while the caller's leg sends nothing, and the server's voice detection only hears the end of a turn in audio
//! that goes on. Silence that turns out to be too much, because the caller's words were only late, makes the
//! model's audio run ahead of the clock. It may do so by [`MAX_AHEAD_MS`], and the next long pause is shorter
//! by it, so that the two never part for good.
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

/// By how much what is put in place of audio may let the model's audio run ahead of the clock, in milliseconds. It
/// is more than a network that delivers in bursts holds back at once, and a pause is not heard later for it.
pub const MAX_AHEAD_MS: u64 = 500;

/// After so much silence in one pause, in milliseconds, the model's audio waits for the clock where it is ahead: by
/// then a server has heard the end of the turn.
pub const PROMPT_SILENCE_MS: u64 = 1000;

/// By how much the caller's own audio may be ahead of the clock, in milliseconds, before more of it is refused: as
/// long a stall as Asterisk's timestamps are believed about, whose backlog comes at once.
pub const MAX_BACKLOG_MS: u64 = 5_000;

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

/// How far the model has been fed.
#[derive(Clone, Copy, Debug)]
struct Fed {
    /// Until when by the clock: when the last packet came, or until when silence was put in its place.
    until: Instant,
    /// Until when by the audio itself: where the stream would be if all of it had come in its own time.
    given: Instant,
    /// What was put in place of audio since the last packet.
    made_up: Duration,
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
            fed: Fed { until: now, given: now, made_up: Duration::ZERO, is_steady: self.is_held },
        });
    }

    /// Whether the caller has put us on hold. Asterisk sends music then: it is not passed on, and the model is
    /// given silence in steps of [`PTIME_MS`] from now on. Afterwards the next packet is taken as the first of
    /// a stream, and fades in.
    pub fn hold(&mut self, now: Instant, is_held: bool) {
        if core::mem::replace(&mut self.is_held, is_held) == is_held {
            return;
        }
        self.jitter.reset();
        if let Some(model) = self.model.as_mut().filter(|_| is_held) {
            model.fed = Fed { until: now, made_up: Duration::ZERO, is_steady: true, ..model.fed };
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

    /// Whether anything that came in the last so many milliseconds is loud and long enough to be the caller and not
    /// the agent's echo; see [`VoiceMeter::confirms`].
    #[must_use]
    pub fn caller_was_loud(&self, past_ms: u32) -> bool {
        self.meter.confirms(past_ms)
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
        let Some(model) = &self.model else { return Err(RtpDrop::Early) };
        if self.is_held {
            return Err(RtpDrop::Held);
        }
        if model.fed.given > now + Duration::from_millis(MAX_BACKLOG_MS) {
            return Err(RtpDrop::Flood);
        }
        self.jitter.push(now, &packet)
    }

    /// Whether the stream of the caller's packets has another SSRC than before, since this was asked last.
    pub fn take_new_ssrc(&mut self) -> bool {
        self.jitter.take_new_ssrc()
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
        report.lost_packets = self.jitter.take_discarded();
        while let Some(pop) = self.jitter.pop(now, timer, &mut self.payload) {
            match pop {
                Pop::Packet { begins_anew } => {
                    if begins_anew {
                        self.concealer.join();
                    }
                    // What the encoder has heard in a pause is not known either; its scale is that of a beginning
                    // rather than that of the last word, at which a soft one would come out as a roar.
                    if begins_anew || model.fed.made_up >= Duration::from_millis(SILENCE_AFTER_MS) {
                        self.decoder.reset();
                    }
                    let samples = self.pass_on(&mut model.way, out);
                    model.fed.packet(now, self.lasting(samples));
                }
                Pop::Missing { packets, ticks } => {
                    report.lost_packets = report.lost_packets.saturating_add(packets);
                    // What a pause has been filled with already was the time of these packets, and no more can
                    // be missing than there was time for.
                    let missing = self.samples_of(ticks).saturating_sub(self.samples_in(model.fed.made_up));
                    let missing = missing.min(room - concealed).min(self.samples_in(model.fed.room(now)));
                    self.make_up(missing, &mut model.way, out);
                    model.fed.stand_in(self.lasting(missing));
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

    /// Passes a packet on; how many samples it had.
    fn pass_on(&mut self, way: &mut Way, out: &mut Vec<u8>) -> usize {
        self.samples.clear();
        self.decoder.decode(&self.payload, &mut self.samples);
        let decoded = self.samples.len();
        let is_blended = self.concealer.is_concealing();
        self.concealer.hear(&mut self.samples);
        if self.echo.is_some() {
            self.pass_on_cleaned(way, out);
        } else {
            self.meter.hear(&self.samples, self.agent_speaks);
            way.packet(&self.payload, &mut self.samples, is_blended, out);
        }
        decoded
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
        let room = fed.room(now).as_millis() as u64 / PTIME_MS;
        let filled = steps.min(room).min(MAX_FILL_MS / PTIME_MS);
        let time = Duration::from_millis(filled * PTIME_MS);
        fed.stand_in(time);
        fed.is_steady = true;
        // After a stall longer than what is filled, and after a wait for the clock, the stream goes on from now
        // instead of catching up.
        fed.until = if filled < steps { now } else { fed.until + time };
        // Nothing lies unread now: what is still missing of more than such a wait was never sent.
        fed.given = fed.given.max(now - Duration::from_millis(SILENCE_AFTER_MS));
        self.make_up(line_samples(self.encoding, filled * PTIME_MS), &mut model.way, out);
    }

    /// How long so many samples at the line's rate last.
    fn lasting(&self, samples: usize) -> Duration {
        Duration::from_nanos(samples as u64 * 1_000_000_000 / u64::from(self.encoding.sample_rate()))
    }

    /// How many samples at the line's rate last so long.
    fn samples_in(&self, time: Duration) -> usize {
        (time.as_nanos() * u128::from(self.encoding.sample_rate()) / 1_000_000_000) as usize
    }

    /// Samples in so many units of the RTP clock.
    fn samples_of(&self, ticks: u32) -> usize {
        let (rate, clock) = (u64::from(self.encoding.sample_rate()), u64::from(self.encoding.clock_rate()));
        (u64::from(ticks) * rate / clock) as usize
    }
}

impl Fed {
    /// When the next silence is due: after [`SILENCE_AFTER_MS`], and then every [`PTIME_MS`], but not before there
    /// is room for it.
    fn due(&self) -> Instant {
        let step = Duration::from_millis(PTIME_MS);
        let wait = if self.is_steady { step } else { Duration::from_millis(SILENCE_AFTER_MS) };
        (self.until + wait).max(self.given + step - self.may_be_ahead())
    }

    /// How much may be put in place of audio now.
    fn room(&self, now: Instant) -> Duration {
        (now + self.may_be_ahead()).since(self.given)
    }

    fn may_be_ahead(&self) -> Duration {
        let is_long = self.made_up >= Duration::from_millis(PROMPT_SILENCE_MS);
        Duration::from_millis(if is_long { 0 } else { MAX_AHEAD_MS })
    }

    /// So much was put in place of audio.
    fn stand_in(&mut self, time: Duration) {
        (self.given, self.made_up) = (self.given + time, self.made_up.saturating_add(time));
    }

    /// A packet came that lasts so long.
    fn packet(&mut self, now: Instant, lasting: Duration) {
        let given = self.given + lasting;
        *self = Self { until: now, given, made_up: Duration::ZERO, is_steady: false };
    }
}

fn line_samples(encoding: Encoding, millis: u64) -> usize {
    (u64::from(encoding.sample_rate()) * millis / 1000) as usize
}

#[cfg(test)]
mod tests;

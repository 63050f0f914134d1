//! From the caller to the model: datagrams in, an unbroken stream of 24 kHz samples out.
//!
//! There is no playout clock on this side. The model takes audio in audio time, so a packet is passed on the
//! moment it is in order, clock drift needs no care, and silence that turns out to be too much costs nothing
//! but a longer pause. Silence is needed all the same: Asterisk sends nothing while the caller's leg sends
//! nothing, and the server's voice detection only hears the end of a turn in audio that goes on.

use crate::codec::Decoder;
use crate::format::{Encoding, MODEL_RATE, PTIME_MS};
use crate::jitter::{JitterBuffer, Pop};
use crate::observe::RtpDrop;
use crate::pcm::Gain;
use crate::resample::Resampler;
use crate::rtp::{MAX_DATAGRAM_BYTES, Packet};
use crate::time::{Duration, Instant};
use crate::wake::Wake;

/// How long nothing may come from the caller before silence is put in its place, in milliseconds.
///
/// The silence then makes up for the whole wait at once, so a long wait costs nothing as long as it is shorter
/// than the pause that ends a turn (`silence_duration_ms`, 500). A short one costs: when packets are only late,
/// the silence before them tears a word.
pub const SILENCE_AFTER_MS: u64 = 200;

/// The most silence that one poll adds, for lost packets or for a pause, in milliseconds.
pub const MAX_FILL_MS: u64 = 400;

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
    ///
    /// Nothing is given up and no pause is filled unless `timer` says that every datagram that had arrived was
    /// received: after a stall of this machine, the caller's words lie unread and must not follow a silence
    /// that never was.
    pub fn poll(&mut self, now: Instant, timer: bool, out: &mut Vec<i16>) -> UplinkPoll {
        let mut report = UplinkPoll::default();
        let Some(mut fed) = self.fed else { return report };
        let mut room = self.line_samples(MAX_FILL_MS);
        while let Some(pop) = self.jitter.pop(now, timer, &mut self.payload) {
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
        if timer && self.jitter.deadline().is_none() {
            self.fill_pause(now, &mut fed, out);
        }
        self.fed = Some(fed);
        report
    }

    /// When [`Uplink::poll`] next has something to give without a further datagram, and why. After a poll with
    /// `timer` it lies in the future. `None` until the start.
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    fn datagram(payload_type: u8, sequence: u16, payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        Packet { marker: false, payload_type, sequence, timestamp: 0, ssrc: 7, payload }.write(&mut out);
        out
    }

    /// A slin16 caller who says a constant, so that audio and silence are told apart by eye.
    struct Caller {
        uplink: Uplink,
        out: Vec<i16>,
    }

    impl Caller {
        fn listening(encoding: Encoding) -> Self {
            let mut uplink = Uplink::new(encoding, 1.0);
            uplink.start(at(0));
            Self { uplink, out: Vec::new() }
        }

        /// Feeds a packet of `ms`; gives how many milliseconds the model got, and what was lost.
        fn say(&mut self, millis: u64, sequence: u16, ms: usize) -> (usize, u32) {
            let payload: Vec<u8> = 1000i16.to_be_bytes().repeat(16 * ms);
            assert_eq!(self.uplink.receive(at(millis), &datagram(118, sequence, &payload)), Ok(()));
            self.poll(millis)
        }

        fn poll(&mut self, millis: u64) -> (usize, u32) {
            self.out.clear();
            let lost = self.uplink.poll(at(millis), true, &mut self.out).lost_packets;
            (self.out.len() / 24, lost)
        }

        fn silent(&self) -> bool {
            self.out.iter().all(|&sample| sample == 0)
        }
    }

    #[test]
    fn packets_are_passed_on_at_once_whatever_their_size() {
        for ms in [10, 20, 30, 40, 60] {
            let mut caller = Caller::listening(Encoding::L16Wideband);
            for n in 0..50u16 {
                assert_eq!(
                    caller.say(u64::from(n) * ms, 65_530u16.wrapping_add(n), ms as usize),
                    (ms as usize, 0)
                );
            }
            assert_eq!(caller.out.last(), Some(&1000));
        }
    }

    #[test]
    fn every_encoding_reaches_the_model_as_24_khz() {
        for encoding in [Encoding::Pcmu, Encoding::Pcma, Encoding::G722, Encoding::L16Wideband] {
            let mut caller = Caller::listening(encoding);
            let payload = vec![0x55; encoding.frame_bytes() / 2];
            caller.uplink.receive(at(1), &datagram(encoding.payload_type(), 1, &payload)).unwrap();
            assert_eq!(caller.poll(1), (10, 0), "{encoding:?}");
        }
    }

    #[test]
    fn before_the_model_listens_packets_are_early_and_nothing_is_due() {
        let mut uplink = Uplink::new(Encoding::Pcmu, 1.0);
        assert_eq!(uplink.receive(at(0), &datagram(0, 1, &[1; 160])), Err(RtpDrop::Early));
        assert_eq!(uplink.deadline(), None);
        let mut out = Vec::new();
        assert_eq!(uplink.poll(at(500), true, &mut out), UplinkPoll::default());
        assert!(out.is_empty());
    }

    #[test]
    fn what_is_not_the_callers_audio_is_refused_with_its_reason() {
        let mut uplink = Uplink::new(Encoding::Pcmu, 1.0);
        for (datagram, reason) in [
            (vec![], RtpDrop::Malformed),
            (datagram(0, 1, &[]), RtpDrop::Malformed),
            (datagram(0, 1, &[1; MAX_DATAGRAM_BYTES]), RtpDrop::Malformed),
            (datagram(8, 1, &[1; 160]), RtpDrop::PayloadType),
            (datagram(101, 1, &[1; 4]), RtpDrop::PayloadType),
        ] {
            assert_eq!(uplink.receive(at(0), &datagram), Err(reason));
            uplink.start(at(0));
        }
    }

    #[test]
    fn a_silent_caller_is_heard_as_silence_that_keeps_pace_with_the_clock() {
        let mut caller = Caller::listening(Encoding::L16Wideband);
        caller.say(100, 1, 20);
        assert_eq!(caller.uplink.deadline(), Some((at(300), Wake::UplinkSilence)));
        assert_eq!(caller.poll(299), (0, 0));
        assert_eq!(caller.poll(300), (200, 0));
        let mut total = 200;
        while total < 2000 {
            let (due, wake) = caller.uplink.deadline().unwrap();
            assert_eq!((due, wake), (at(100 + total + 20), Wake::UplinkSilence));
            assert_eq!(caller.poll(due.as_millis()), (20, 0));
            assert!(caller.silent());
            total += 20;
        }
        // Speech goes on at once, and the pause is timed afresh.
        assert_eq!(caller.say(2110, 2, 20), (20, 0));
        assert_eq!(caller.uplink.deadline(), Some((at(2310), Wake::UplinkSilence)));
    }

    #[test]
    fn a_stalled_machine_takes_what_lies_unread_before_it_believes_in_a_pause() {
        let mut caller = Caller::listening(Encoding::L16Wideband);
        caller.say(0, 1, 20);
        // The machine stands still for 300 ms and then finds fifteen packets, the first two in the wrong order.
        let payload: Vec<u8> = 1000i16.to_be_bytes().repeat(16 * 20);
        let mut heard = 0;
        for sequence in [3, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16] {
            caller.uplink.receive(at(300), &datagram(118, sequence, &payload)).unwrap();
            caller.out.clear();
            assert_eq!(caller.uplink.poll(at(300), false, &mut caller.out).lost_packets, 0);
            heard += caller.out.len() / 24;
        }
        assert_eq!(heard, 300);
        assert_eq!(caller.poll(300), (0, 0), "and no silence");
    }

    #[test]
    fn a_stalled_machine_does_not_catch_up_all_of_a_pause() {
        let mut caller = Caller::listening(Encoding::L16Wideband);
        caller.say(0, 1, 20);
        assert_eq!(caller.poll(10_000), (MAX_FILL_MS as usize, 0));
        assert_eq!(caller.uplink.deadline(), Some((at(10_020), Wake::UplinkSilence)));
    }

    #[test]
    fn a_lost_packet_is_silence_of_its_length_between_its_neighbours() {
        let mut caller = Caller::listening(Encoding::L16Wideband);
        caller.say(0, 1, 20);
        assert_eq!(caller.say(40, 3, 20), (0, 0));
        assert_eq!(caller.uplink.deadline(), Some((at(80), Wake::JitterRelease)));
        assert_eq!(caller.say(60, 4, 20), (0, 0));
        assert_eq!(caller.poll(80), (60, 1));
        let middle = &caller.out[5 * 24..20 * 24];
        assert!(
            middle[200..].iter().all(|&sample| sample.abs() < 20),
            "silence, 5 ms later for the resampler"
        );
        assert_eq!(caller.out.last(), Some(&1000));
    }

    #[test]
    fn an_outage_that_was_filled_with_silence_is_not_filled_twice() {
        let mut caller = Caller::listening(Encoding::L16Wideband);
        caller.say(0, 1, 20);
        assert_eq!(caller.poll(200), (200, 0));
        assert_eq!(caller.poll(220), (20, 0));
        // Twelve packets, 240 ms, were lost; 220 of them have been filled.
        assert_eq!(caller.say(235, 14, 20), (0, 0));
        assert_eq!(caller.poll(275), (20 + 20, 12));
    }

    #[test]
    fn a_long_loss_is_counted_in_full_and_filled_in_part() {
        let mut caller = Caller::listening(Encoding::L16Wideband);
        caller.say(0, 1, 20);
        caller.say(20, 902, 20);
        assert_eq!(caller.poll(60), (MAX_FILL_MS as usize + 20, 900));
    }

    #[test]
    fn gain_is_on_the_callers_voice() {
        let mut uplink = Uplink::new(Encoding::L16Wideband, 2.5);
        uplink.start(at(0));
        let payload: Vec<u8> = 1000i16.to_be_bytes().repeat(960);
        uplink.receive(at(0), &datagram(118, 1, &payload)).unwrap();
        let mut out = Vec::new();
        uplink.poll(at(0), true, &mut out);
        assert_eq!(out.last(), Some(&2500));
    }

    proptest! {
        #[test]
        fn any_datagrams_at_any_time_never_panic_and_leave_a_deadline_ahead(
            format in 0usize..4,
            story in proptest::collection::vec(
                (0u64..200, any::<bool>(), any::<u16>(), proptest::collection::vec(any::<u8>(), 0..90)), 1..60,
            ),
        ) {
            let encoding = [Encoding::Pcmu, Encoding::Pcma, Encoding::G722, Encoding::L16Wideband][format];
            let mut uplink = Uplink::new(encoding, 2.5);
            let (mut now, mut out) = (0, Vec::new());
            uplink.start(at(0));
            for (wait, raw, sequence, bytes) in story {
                now += wait;
                let near = sequence % 40;
                let bytes = if raw { bytes } else { datagram(encoding.payload_type(), near, &bytes) };
                let _ = uplink.receive(at(now), &bytes);
                out.clear();
                let _ = uplink.poll(at(now), true, &mut out);
                prop_assert!(out.len() <= 24 * (2 * MAX_FILL_MS as usize + 16 * 100), "bounded work");
                prop_assert!(uplink.deadline().unwrap().0 > at(now));
            }
        }
    }
}

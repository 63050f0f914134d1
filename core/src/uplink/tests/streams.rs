//! Where one stream of the caller's ends and another begins: a transfer, a telephone that starts anew, a hold.

use super::*;
use crate::codec::Encoder;

/// A tone at 16 kHz, as G.722 of an encoder that has heard nothing before.
fn tone(hertz: f64, amplitude: f64, samples: usize) -> Vec<u8> {
    let step = hertz * core::f64::consts::TAU / 16_000.0;
    let samples: Vec<i16> = (0..samples).map(|n| (amplitude * (n as f64 * step).sin()) as i16).collect();
    let mut out = Vec::new();
    Encoder::new(Encoding::G722).encode(&samples, &mut out);
    out
}

/// A G.722 caller who says something loud, and then the story goes on.
struct Loud {
    uplink: Uplink,
    now: u64,
    out: Vec<u8>,
}

impl Loud {
    /// Where in its period the loud tone ends decides how wrong a decoder is that is not told: all are tried.
    fn variants() -> impl Iterator<Item = Self> {
        (0..20).map(|n| {
            let mut uplink = Uplink::new(Encoding::G722, 1.0);
            uplink.start(at(0), ModelFormat::Pcm24);
            let mut loud = Self { uplink, now: 0, out: Vec::new() };
            loud.say(7, 0, &tone(440.0, 16_000.0, 16_000 + 16 * n));
            loud
        })
    }

    fn say(&mut self, ssrc: u32, first: usize, payload: &[u8]) {
        for (n, payload) in (first..).zip(payload.chunks(160)) {
            let (sequence, timestamp) = (n as u16, n as u32 * 160);
            let packet = Packet { marker: false, payload_type: 9, sequence, timestamp, ssrc, payload };
            let mut datagram = Vec::new();
            packet.write(&mut datagram);
            self.uplink.receive(at(self.now), &datagram).unwrap();
            self.uplink.poll(at(self.now), true, &mut self.out);
            self.now += 20;
        }
    }

    /// Until when, in milliseconds from here on, this soft caller sounds louder than he is by half.
    fn roars_until(&mut self, ssrc: u32, first: usize) -> usize {
        let (from, amplitude) = (self.out.len(), 500);
        self.say(ssrc, first, &tone(300.0, f64::from(amplitude), 8_000));
        let mut heard = Vec::new();
        crate::pcm::from_le_bytes(&self.out[from..], &mut heard);
        let is_roar = |sample: &i16| sample.unsigned_abs() > amplitude + amplitude / 2;
        heard.iter().rposition(is_roar).map_or(0, |last| last.div_ceil(24))
    }
}

/// For how long there may be something of the word before, in milliseconds: both are blended for 5, the resampler and
/// the filters of G.722 delay by 8 and ring a little. At the scale of the old stream it was 55 and more.
const JOINT_MS: usize = 20;

#[test]
fn a_soft_voice_in_a_new_stream_of_g722_is_not_heard_at_the_scale_of_the_old_one() {
    for mut caller in Loud::variants() {
        let roar = caller.roars_until(8, 0);
        assert!(roar <= JOINT_MS, "{roar} ms");
    }
}

#[test]
fn nor_is_it_after_a_hold() {
    for mut caller in Loud::variants() {
        caller.uplink.hold(at(caller.now), true);
        for _ in 0..50 {
            caller.now += 20;
            let now = at(caller.now);
            caller.uplink.poll(now, true, &mut caller.out);
        }
        caller.uplink.hold(at(caller.now), false);
        let roar = caller.roars_until(7, 500);
        assert!(roar <= JOINT_MS, "{roar} ms");
    }
}

#[test]
fn nor_after_a_pause_in_which_the_telephone_sent_nothing() {
    for mut caller in Loud::variants() {
        for _ in 0..50 {
            caller.now += 20;
            let now = at(caller.now);
            caller.uplink.poll(now, true, &mut caller.out);
        }
        let roar = caller.roars_until(7, 51);
        assert!(roar <= JOINT_MS, "{roar} ms");
    }
}

#[test]
fn the_joint_of_two_streams_is_blended() {
    for ssrc in [7, 8] {
        let mut uplink = Uplink::new(Encoding::L16Wideband, 1.0);
        uplink.start(at(0), ModelFormat::Pcm24);
        let mut out = Vec::new();
        let mut say = |uplink: &mut Uplink, millis, ssrc, sequence, sample: i16| {
            let payload = sample.to_be_bytes().repeat(320);
            let mut datagram = Vec::new();
            let packet =
                Packet { marker: false, payload_type: 118, sequence, timestamp: 0, ssrc, payload: &payload };
            packet.write(&mut datagram);
            uplink.receive(at(millis), &datagram).unwrap();
            uplink.poll(at(millis), true, &mut out);
        };
        say(&mut uplink, 0, 7, 1, 8_000);
        if ssrc == 7 {
            // A hold too short for any silence.
            uplink.hold(at(5), true);
            uplink.hold(at(15), false);
        }
        say(&mut uplink, 20, ssrc, 500, -8_000);
        let mut samples = Vec::new();
        crate::pcm::from_le_bytes(&out, &mut samples);
        // Not the onset at the very beginning: there is nothing to blend it with.
        let steps = samples[480..].windows(2).map(|pair| pair[0].abs_diff(pair[1]));
        let largest = steps.max().unwrap();
        assert!(largest < 500, "SSRC {ssrc}: {largest}");
    }
}

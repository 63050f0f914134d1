//! Keys that a caller presses, as telephone events among the audio (RFC 4733).

use std::thread::sleep;
use std::time::{Duration, Instant};

use ari_bridge_tests::speech;

use crate::World;
use crate::call::Script;
use crate::codec::{Codec, TICKS};
use crate::events::Watch;
use crate::measuring::Speech;
use crate::network::{Frame, Kind, PTIME_MS};
use crate::process::{Outcome, until};
use crate::scenarios::{CLEAN, RING, place, seconds};

/// The payload type that the callers of this harness offer for keys.
pub(crate) const PAYLOAD_TYPE: u8 = 101;

/// The keys in the order of their numbers (RFC 4733 §3.2).
const KEYS: &str = "0123456789*#ABCD";

/// How long a key is held down, and how long it is until the next one. Asterisk makes no two keys out of less than
/// 45 ms between them.
const HELD: Duration = Duration::from_millis(100);
const GAP: Duration = Duration::from_millis(100);

/// So much silence lies before the keys and behind them when nothing is said.
pub(crate) const MARGIN: Duration = Duration::from_millis(200);

/// The last packet of a key comes so many times, because it may be lost (RFC 4733 §2.5.1.4).
const LAST_COMES: usize = 3;

/// In -dBm0; Asterisk looks at it as little as anybody.
const VOLUME: u8 = 10;

/// How long it takes to press these keys.
pub(crate) fn takes(pressed: &str) -> Duration {
    (HELD + GAP) * pressed.chars().count() as u32
}

/// Puts keys among a voice, the first so long after its beginning: while one is held down, and while its end is told,
/// no voice is sent.
pub(crate) fn among(voice: Vec<Frame>, from: Duration, pressed: &str) -> Outcome<Vec<Frame>> {
    let packet = Duration::from_millis(PTIME_MS as u64);
    let mut frames = voice;
    for (place, key) in (0..).zip(pressed.chars()) {
        let event = KEYS.find(key).ok_or(format!("there is no key {key}"))? as u8;
        let begins = from + (HELD + GAP) * place;
        let ticks = (begins.as_secs_f64() * TICKS as f64).round() as usize;
        let held = (HELD.as_millis() / packet.as_millis()) as usize;
        // Packets go out when what they tell of is over, so the last one tells of all of it.
        let told = (1..=held).chain(core::iter::repeat_n(held, LAST_COMES - 1)).enumerate();
        let told = told.map(|(number, packets)| Frame {
            due: begins + packet * (number as u32 + 1),
            number: 0,
            ticks,
            kind: Kind::Key { is_first: number == 0 },
            payload: payload(event, number + 1 >= held, packets * PTIME_MS * TICKS / 1000),
        });
        let told: Vec<Frame> = told.collect();
        let ends = told.last().map_or(begins, |frame| frame.due);
        frames.retain(|frame| frame.kind != Kind::Voice || frame.due < begins || frame.due > ends);
        frames.extend(told);
    }
    frames.sort_by_key(|frame| frame.due);
    frames.iter_mut().enumerate().for_each(|(number, frame)| frame.number = number);
    Ok(frames)
}

/// The payload of a telephone event (RFC 4733 §2.3).
fn payload(event: u8, is_last: bool, duration: usize) -> Vec<u8> {
    let [high, low] = u16::try_from(duration).unwrap_or(u16::MAX).to_be_bytes();
    vec![event, u8::from(is_last) << 7 | VOLUME, high, low]
}

/// A key as Asterisk tells of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Received {
    pub(crate) key: String,
    pub(crate) ms: u64,
}

/// The keys that Asterisk has received so far, of all channels, in their order.
pub(crate) fn received(watch: &Watch) -> Vec<Received> {
    let received = |event: serde_json::Value| Received {
        key: event["digit"].as_str().unwrap_or("?").to_owned(),
        ms: event["duration_ms"].as_u64().unwrap_or(0),
    };
    watch.of_type("ChannelDtmfReceived").into_iter().map(received).collect()
}

/// All keys one by one, and some more while the caller speaks; each codec.
pub(crate) fn keys(world: &World) -> Outcome<String> {
    let mut lines = Vec::new();
    for (voice, codec) in (71..).zip(Codec::ALL) {
        let watch = Watch::start(&world.pbx)?;
        let said = Speech::new(codec, 0.0, &speech::utterance(voice, 2.2), 0.3)?;
        let mut call = place(world, "keys", codec, Script::Keys)?;
        call.answered(RING)?;
        let start = Instant::now();
        // The same key twice is two keys, and voice before and behind them is none.
        for (pressed, while_speaking) in [(KEYS, false), ("4420#", true)] {
            let before = received(&watch).len();
            if while_speaking {
                call.press_while_speaking(&said.payload, seconds(0.8), pressed)?;
                sleep(seconds(2.6));
            } else {
                sleep(call.press(pressed)?);
            }
            let count = before + pressed.len();
            until(CLEAN, || received(&watch).len() >= count);
            let told = received(&watch).split_off(before);
            let digits: String = told.iter().map(|received| received.key.as_str()).collect();
            let held: Vec<u64> = told.iter().map(|received| received.ms).collect();
            let (shortest, longest) = (held.iter().min().unwrap_or(&0), held.iter().max().unwrap_or(&0));
            let how = if while_speaking { "while speaking" } else { "in silence" };
            let figures = format!(
                "{}: {pressed} pressed {how}, {digits} received, each {shortest} to {longest} ms long, \
                 {:.1} s after the answer",
                codec.name(),
                start.elapsed().as_secs_f64()
            );
            if digits != pressed {
                return Err(figures);
            }
            lines.push(figures);
        }
        call.hang_up()?;
        world.pbx.nothing_left(CLEAN)?;
    }
    Ok(lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network;

    fn pressed(pressed: &str) -> Vec<Frame> {
        among(network::cut(&[0xFF; 16_000], PTIME_MS), seconds(0.5), pressed).expect("there are such keys")
    }

    #[test]
    fn a_key_keeps_its_beginning_grows_and_ends_three_times() {
        let frames = pressed("#");
        let told: Vec<_> = frames.iter().filter(|frame| frame.kind != Kind::Voice).collect();
        let marked: Vec<_> = told.iter().map(|frame| frame.kind == Kind::Key { is_first: true }).collect();
        assert_eq!(marked, [true, false, false, false, false, false, false]);
        assert!(told.iter().all(|frame| frame.ticks == 4000 && frame.payload[0] == 11));
        let ends: Vec<_> = told.iter().map(|frame| frame.payload[1] >> 7).collect();
        assert_eq!(ends, [0, 0, 0, 0, 1, 1, 1]);
        let durations: Vec<_> =
            told.iter().map(|frame| u16::from_be_bytes([frame.payload[2], frame.payload[3]])).collect();
        assert_eq!(durations, [160, 320, 480, 640, 800, 800, 800]);
    }

    #[test]
    fn keys_take_the_place_of_the_voice_and_all_packets_are_counted_once() {
        let frames = pressed("55");
        assert!(frames.iter().enumerate().all(|(number, frame)| frame.number == number));
        assert!(frames.windows(2).all(|pair| pair[0].due < pair[1].due), "one packet at a time");
        let keys = frames.iter().filter(|frame| frame.kind != Kind::Voice).count();
        // Of 100 packets of voice, those are left out that fall into the 140 ms from a key's beginning to its last packet.
        assert_eq!((keys, frames.len() - keys), (14, 100 - 2 * 8));
        let begins: Vec<_> =
            frames.iter().filter(|frame| frame.kind == Kind::Key { is_first: true }).collect();
        assert_eq!((begins[0].ticks, begins[1].ticks), (4000, 5600));
    }

    #[test]
    fn there_are_sixteen_keys() {
        assert_eq!(pressed(KEYS).iter().filter(|frame| frame.kind != Kind::Voice).count(), 16 * 7);
        assert!(among(Vec::new(), GAP, "E").is_err());
    }
}

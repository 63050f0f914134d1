//! From the deltas of an agent to what goes into the encoder, against the samples that the agent made.

use super::{bytes, cases};
use ari_bridge_core::downlink::{Downlink, Pushed};
use ari_bridge_core::format::{Encoding, ModelFormat};
use ari_bridge_core::rng::Rng;
use ari_bridge_core::rtp::Packet;
use ari_bridge_core::time::{Duration, Instant};
use ari_bridge_tests::choices::Choices;
use ari_bridge_tests::generators::{pieces, sound, up_to};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use proptest::prelude::*;

/// A line that an agent of 16 kHz speaks on: G.722, of which it is seen what goes into the encoder.
struct Line {
    downlink: Downlink,
    sequence: Option<u16>,
    now: Instant,
}

impl Line {
    /// The next packet, if one is due.
    fn packet(&mut self) -> Result<Option<Vec<i16>>, TestCaseError> {
        let Some(due) = self.downlink.deadline() else { return Ok(None) };
        prop_assert!(due > self.now, "a deadline in the past");
        self.now = due;
        let mut datagram = Vec::new();
        prop_assert!(self.downlink.poll(due, &mut datagram).is_some(), "a packet at its deadline");
        let sequence = Packet::parse(&datagram).expect("it is RTP").sequence;
        prop_assert!(self.sequence.is_none_or(|last| sequence == last.wrapping_add(1)));
        self.sequence = Some(sequence);
        Ok(Some(self.downlink.sent_samples().to_vec()))
    }

    fn says(&mut self, choices: &mut Choices<'_>, name: &str, samples: &[i16]) -> Result<(), TestCaseError> {
        let mut audio: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
        if choices.one_in(4) {
            // The half of a sample whose other half never comes.
            audio.push(0x7F);
        }
        for piece in pieces(choices, &audio) {
            let mut delta = BASE64_STANDARD.encode(piece);
            if choices.one_in(4) {
                delta.truncate(delta.trim_end_matches('=').len());
            }
            let pushed = self.downlink.push_base64(self.now, name, 0, delta.as_bytes());
            prop_assert_eq!(pushed, Pushed::Queued);
        }
        self.downlink.item_done(self.now, name, 0);
        Ok(())
    }
}

proptest! {
    #![proptest_config(cases(250))]

    /// However the deltas cut the audio: packet by packet the samples are those that the model made, up to the moment
    /// at which the caller cut in, and then there is one fade and no more of that item.
    #[test]
    fn what_is_heard_is_what_the_model_made(bytes in bytes(600)) {
        let mut choices = Choices::new(&bytes);
        let mut downlink =
            Downlink::new(Encoding::G722, Duration::from_millis(40), &mut Rng::new(choices.byte().into()));
        downlink.set_model_format(ModelFormat::Pcm16);
        downlink.start(Instant::START);
        let mut line = Line { downlink, sequence: None, now: Instant::START };
        for n in 0..1 + choices.below(6) {
            let name = format!("item{n}");
            line.now = line.now + Duration::from_micros(up_to(&mut choices, 100_000));
            let samples = sound::samples(&mut choices, 8_000);
            line.says(&mut choices, &name, &samples)?;
            let (packets, mut sent) = (choices.below(30), Vec::new());
            for _ in 0..packets {
                let Some(packet) = line.packet()? else { break };
                sent.extend(packet);
            }
            let heard = sent.len().min(samples.len());
            prop_assert_eq!(&sent[..heard], &samples[..heard]);
            let is_whole = heard == samples.len();
            if choices.one_in(2) || !is_whole {
                let cut = line.downlink.barge_in();
                prop_assert_eq!(cut.is_some(), !is_whole, "{:?}", cut);
                if let Some(cut) = cut {
                    prop_assert_eq!(
                        (cut.item_id.as_str(), cut.heard_ms, cut.received_ms),
                        (name.as_str(), heard as u64 / 16, samples.len() as u64 / 16)
                    );
                    prop_assert_eq!(line.downlink.push_base64(line.now, &name, 0, b"AAAA"), Pushed::Muted);
                }
                let _fade = line.packet()?;
                prop_assert_eq!(line.packet()?, None, "after its fade there is no more of it");
            } else {
                // The end of the last word.
                while line.packet()?.is_some() {}
            }
            prop_assert!(!line.downlink.is_playing() && line.downlink.queued_ms() == 0);
        }
    }
}

//! Whatever a machine is given, its tools go on.

use super::pcap::Pcap;
use super::stereo::Stereo;
use crate::call::{self, Call, Input};
use crate::capture::SwitchboardStart;
use crate::capture::tests::inputs::{Parts, parts};
use crate::capture::tests::start;
use crate::format::Encoding;
use crate::id::{InstanceNonce, LegId};
use crate::replay::Step;
use crate::rtp::Packet;
use crate::settings::{CallSettings, RtpSource, SwitchboardSettings};
use crate::switchboard::{self, Switchboard};
use crate::time::{Duration, Instant, UtcNanos};
use core::net::SocketAddr;
use proptest::prelude::*;
use std::io::Cursor;

/// What a call begins with whose media are there: Asterisk has told where they come from.
const TOLD: &[u8] =
    br#"{"channelvars":{"UNICASTRTP_LOCAL_PORT":"4000","UNICASTRTP_LOCAL_ADDRESS":"192.0.2.9"}}"#;

/// An RTP packet of the caller: anything may be in its header.
fn packets() -> impl Strategy<Value = (u16, u32, u32, Vec<u8>)> {
    let timestamps = prop_oneof![0_u32..100_000, any::<u32>()];
    (any::<u16>(), timestamps, 1_u32..4, proptest::collection::vec(any::<u8>(), 0..700))
}

fn switchboard_is_shown(all: &[Parts]) -> Vec<u8> {
    let settings = SwitchboardSettings::default();
    let start = SwitchboardStart { nonce: InstanceNonce::new(7), seed: 8, utc: UtcNanos(u64::MAX / 2) };
    let mut pcap = Pcap::<Switchboard, _>::new(&settings, &start, Vec::new()).unwrap();
    let (mut out, mut now) = (switchboard::Actions::new(), Instant::START);
    let (mut switchboard, mut next) =
        Switchboard::new(&settings, start.nonce, start.seed, start.utc, now, &mut out);
    let mut input = None;
    for (number, parts) in (0..).zip(all) {
        pcap.step(&Step { number, now, input, out: &out, next, given: "", recorded: None }).unwrap();
        now = now + parts.later();
        out.clear();
        let given = parts.to_switchboard(&settings);
        next = switchboard.step(now, given, &mut out);
        input = Some(given);
    }
    pcap.finish().unwrap()
}

proptest! {
    // Most of the time goes into minutes of silence.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_input_stops_a_tool(
        all in proptest::collection::vec((parts(), packets(), any::<bool>()), 0..200),
        learns: bool,
    ) {
        let rtp_source = if learns { RtpSource::Learn } else { RtpSource::Strict };
        let settings = CallSettings { rtp_source, ..CallSettings::default() };
        let mut wav = Cursor::new(Vec::new());
        let mut stereo = Stereo::new(&settings, &start(), &mut wav).unwrap();
        let mut pcap = Pcap::<Call, _>::new(&settings, &start(), Vec::new()).unwrap();
        let (mut out, mut now) = (call::Actions::new(), Instant::START);
        let (mut call, mut next) = Call::new(&settings, start(), now, &mut out);
        let mut shown = Instant::START;
        let mut datagram = Vec::new();
        let peer: SocketAddr = "192.0.2.9:4000".parse().unwrap();
        let mut step = |number, now, input: Option<Input<'_>>, out: &call::Actions, next| {
            let step = Step { number, now, input, out, next, given: "", recorded: None };
            stereo.step(&step).unwrap();
            pcap.step(&step).unwrap();
        };
        step(0, shown, None, &out, next);
        for (number, (parts, packet, is_packet)) in (1..).zip(&all) {
            let (sequence, timestamp, ssrc, payload) = packet;
            datagram.clear();
            Packet {
                marker: false,
                payload_type: Encoding::L16Wideband.payload_type(),
                sequence: *sequence,
                timestamp: *timestamp,
                ssrc: *ssrc,
                payload,
            }
            .write(&mut datagram);
            let input = match number {
                1..4 => Input::AriReply { id: crate::id::RequestId(number as u32), status: 200, body: TOLD },
                _ if *is_packet => Input::Media { leg: LegId(1), from: peer, bytes: &datagram },
                _ => parts.to_call(),
            };
            now = now + parts.later();
            // A file of weeks of silence would be true and long.
            shown = shown + parts.later().min(Duration::from_millis(700));
            out.clear();
            next = call.step(now, input, &mut out);
            step(number, shown, Some(input), &out, next);
        }
        let (sound, packets) = (stereo.finish().unwrap(), pcap.finish().unwrap());
        prop_assert_eq!(packets.len() % 4, 0);
        let frames = hound::WavReader::new(Cursor::new(wav.into_inner())).unwrap().duration();
        // A packet may lie so far ahead of its arrival, and lasts so long itself.
        let latest = shown.since(Instant::START) + Duration::from_secs(6);
        prop_assert!(sound.duration <= latest, "{:?} of {:?}", sound, shown);
        prop_assert_eq!(u64::from(frames), (sound.duration.as_nanos() * 16_000).div_ceil(1_000_000_000) as u64);
        let parts: Vec<Parts> = all.into_iter().map(|(parts, ..)| parts).collect();
        prop_assert_eq!(switchboard_is_shown(&parts).len() % 4, 0);
    }
}

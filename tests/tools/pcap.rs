//! What Wireshark's own dissectors make of the packet captures, by tshark; and ffmpeg of the audio in them.

use crate::is_wanted;
use ari_bridge_core::call::{Action, Actions, Call, Input, Next};
use ari_bridge_core::capture::{Capture, Log, Record, open};
use ari_bridge_core::format::{Encoding, MediaFormat};
use ari_bridge_core::id::{LegId, LinkId};
use ari_bridge_core::replay::{Player, Step};
use ari_bridge_core::settings::{MediaPlan, SessionSettings};
use ari_bridge_core::switchboard::Switchboard;
use ari_bridge_core::time::{Duration, Instant};
use ari_bridge_core::tools::pcap::{Pcap, Traffic};
use ari_bridge_core::tools::stereo::Stereo;
use ari_bridge_tests::scene::{Scene, Stage};
use ari_bridge_tests::speech::utterance;
use ari_bridge_tests::taped::Shelf;
use std::io::Cursor;
use std::path::PathBuf;
use std::process::Command;

const SECOND: Duration = Duration::from_secs(1);

/// A line of `tshark -z rtp,streams`.
#[derive(Debug, PartialEq)]
struct Stream {
    to: String,
    payload: String,
    packets: usize,
    lost: i64,
}

/// A file that is gone when the test has passed.
struct File(PathBuf);

impl File {
    fn new(name: &str, bytes: &[u8]) -> Self {
        let path = std::env::temp_dir().join(format!("ari-bridge-tools-{}-{name}", std::process::id()));
        std::fs::write(&path, bytes).expect("a file for tshark");
        Self(path)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            drop(std::fs::remove_file(&self.0));
        }
    }
}

/// What tshark prints, a line each.
fn tshark(file: &File, args: &[&str]) -> Vec<String> {
    let output = Command::new("tshark")
        .args(["-n", "-o", "ip.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE", "-r"])
        .arg(&file.0)
        .args(args)
        .output()
        .expect("tshark is there");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "tshark {args:?}: {told}");
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

fn matching(file: &File, filter: &str) -> usize {
    tshark(file, &["-Y", filter]).len()
}

/// The values of fields, packet by packet.
fn fields<const N: usize>(file: &File, filter: &str, names: [&str; N]) -> Vec<[String; N]> {
    let mut args = vec!["-Y", filter, "-T", "fields", "-E", "occurrence=f"];
    names.iter().for_each(|name| args.extend(["-e", name]));
    let lines = tshark(file, &args).into_iter();
    lines
        .map(|line| {
            let parts: Vec<String> = line.split('\t').map(str::to_owned).collect();
            parts.try_into().unwrap_or_else(|parts| panic!("{parts:?} are not {names:?}"))
        })
        .collect()
}

fn streams(file: &File) -> Vec<Stream> {
    let lines = tshark(file, &["-q", "-z", "rtp,streams"]);
    let words = lines.iter().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let mut streams: Vec<_> = words
        .filter(|words| words.len() > 10 && words[0].parse::<f64>().is_ok())
        .map(|words| Stream {
            to: format!("{}:{}", words[4], words[5]),
            payload: words[7].to_owned(),
            packets: words[8].parse().expect("a number"),
            lost: words[9].parse().expect("a number"),
        })
        .collect();
    streams.sort_by_key(|stream| stream.to.clone());
    streams
}

/// A caller who is greeted, says something, and hears it again: the captures of the call and of the switchboard.
fn conversation(format: MediaFormat) -> [Vec<u8>; 2] {
    let shelf = Shelf::default();
    let mut stage = Stage {
        media: MediaPlan { format, ..MediaPlan::default() },
        shelf: Some(shelf.clone()),
        ..Stage::default()
    };
    stage.call.session = SessionSettings { greeting: Some("Good day.".into()), ..SessionSettings::default() };
    let mut scene = Scene::new(stage);
    scene.dial(1, &utterance(1, 2.0));
    scene.run_for(4 * SECOND);
    scene.speak(1);
    scene.run_for(7 * SECOND);
    scene.press(1, "5");
    scene.hang_up(1);
    scene.run_for(2 * SECOND);
    drop(scene);
    let (of_calls, others): (Vec<_>, Vec<_>) =
        shelf.take().into_iter().partition(|capture| matches!(open(capture), Ok(Capture::Call(..))));
    [of_calls, others].map(|captures| captures.into_iter().next().expect("a capture"))
}

/// The same call, of whose caller these packets did not come.
pub(crate) fn without(capture: &[u8], lost: &[usize]) -> Vec<u8> {
    let Ok(Capture::Call(head, mut records)) = open(capture) else { panic!("it is of a call") };
    let (mut out, mut number) = (Actions::new(), 0);
    let (mut log, mut call, _next) =
        Log::<Call>::begin(&head.settings, head.start(), head.now, 16 << 20, &mut out);
    loop {
        match records.next().expect("a good capture") {
            Record::Input { now, input } => {
                number += usize::from(matches!(input, Input::Media { .. }));
                if !(matches!(input, Input::Media { .. }) && lost.contains(&number)) {
                    out.clear();
                    let _next = log.step(&mut call, now, input, &mut out);
                }
            }
            Record::Gave(_) | Record::Digest(_) => {}
            Record::End(_) => return log.finish(),
        }
    }
}

/// The packet capture, and how many datagrams and messages there are in it.
#[derive(Default)]
struct Shown {
    file: Vec<u8>,
    came: usize,
    sent: usize,
    messages: usize,
}

fn show(capture: &[u8]) -> Shown {
    let Ok(Capture::Call(head, records)) = open(capture) else { panic!("it is of a call") };
    let mut pcap = Pcap::<Call, _>::new(&head.settings, &head.start(), Vec::new()).expect("memory");
    let mut player = Player::new(head, records);
    let mut shown = Shown { messages: 1, ..Shown::default() };
    while let Some(step) = player.step().expect("a good capture") {
        pcap.step(&step).expect("memory");
        match step.input {
            Some(Input::Media { .. }) => shown.came += 1,
            Some(
                Input::Ari(_)
                | Input::AriReply { .. }
                | Input::AriFailed { .. }
                | Input::Realtime { .. }
                | Input::RealtimeUp { .. }
                | Input::RealtimeDown { .. },
            ) => shown.messages += 1,
            _ => {}
        }
        for action in step.out.iter() {
            match action {
                Action::SendMedia { .. } => shown.sent += 1,
                Action::Ari { .. }
                | Action::SendRealtime { .. }
                | Action::OpenRealtime { .. }
                | Action::CloseRealtime { .. } => shown.messages += 1,
                _ => {}
            }
        }
    }
    shown.file = pcap.finish().expect("memory");
    shown
}

/// Both sides of the WAV file.
fn listen(capture: &[u8]) -> [Vec<i16>; 2] {
    let Ok(Capture::Call(head, records)) = open(capture) else { panic!("it is of a call") };
    let mut wav = Cursor::new(Vec::new());
    let mut stereo = Stereo::new(&head.settings, &head.start(), &mut wav).expect("memory");
    let mut player = Player::new(head, records);
    while let Some(step) = player.step().expect("a good capture") {
        stereo.step(&step).expect("memory");
    }
    stereo.finish().expect("memory");
    wav.set_position(0);
    let samples: Vec<i16> = hound::WavReader::new(wav)
        .expect("a WAV file")
        .samples()
        .map(|sample| sample.expect("16 bits"))
        .collect();
    [0, 1].map(|side| samples.iter().skip(side).step_by(2).copied().collect())
}

/// What no packet capture of ours may be.
fn assert_sound(file: &File) {
    for filter in ["_ws.malformed", "ip.checksum.status == Bad", "udp.checksum.status == Bad"] {
        assert_eq!(tshark(file, &["-Y", filter]), Vec::<String>::new(), "{filter}");
    }
    assert_eq!(tshark(file, &["-Y", "_ws.expert.severity == error"]), Vec::<String>::new());
    assert_eq!(matching(file, "udp && udp.checksum.status != Good"), 0, "each was looked at");
    assert_eq!(matching(file, "udp && rtp.setup-method != \"SDP\""), 0, "each is known to be of a stream");
}

const fn name(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding::Pcmu => "g711U",
        Encoding::Pcma => "g711A",
        Encoding::G722 => "g722",
        Encoding::L16Wideband => "L16",
    }
}

#[test]
fn tshark_counts_the_packets_of_a_call_and_those_that_were_lost() {
    if !is_wanted("tshark's count of the packets") {
        return;
    }
    for format in MediaFormat::ALL {
        let [capture, _] = conversation(format);
        for (what, lost) in [("whole", &[][..]), ("lossy", &[20, 21, 22, 40, 77][..])] {
            let shown = show(&without(&capture, lost));
            let file = File::new(&format!("{format}-{what}.pcapng"), &shown.file);
            assert_sound(&file);
            let streams = streams(&file);
            let expected = |encoding, packets, lost| (name(encoding).to_owned(), packets, lost);
            let counted: Vec<_> =
                streams.iter().map(|stream| (stream.payload.clone(), stream.packets, stream.lost)).collect();
            let (up, down) = (
                expected(format.from_asterisk(), shown.came, lost.len() as i64),
                expected(format.to_asterisk(), shown.sent, 0),
            );
            assert!(shown.came > 90 && shown.sent > 90, "{} and {}", shown.came, shown.sent);
            assert_eq!(counted.len(), 2, "{format} {what}: {streams:?}");
            assert!(
                counted.contains(&up) && counted.contains(&down),
                "{format} {what}: {streams:?}, not {up:?} {down:?}"
            );
            println!("{format} {what}: {up:?} up, {down:?} down");
        }
    }
}

#[test]
fn wireshark_shows_each_message_as_a_tree_in_order_with_the_packets() {
    if !is_wanted("tshark's view of the messages") {
        return;
    }
    let [of_call, of_switchboard] = conversation(MediaFormat::Slin16);
    let shown = show(&of_call);
    let file = File::new("messages.pcapng", &shown.file);
    assert_sound(&file);
    assert_eq!(matching(&file, "json"), shown.messages);
    assert_eq!(matching(&file, "frame.interface_name == \"messages\""), shown.messages + 2);
    assert_eq!(matching(&file, "sdp"), 2);
    for (comment, member) in [
        ("request", "externalMedia"),
        ("from the model", "session.created"),
        ("to the model", "session.update"),
        ("event from Asterisk", "ChannelDtmfReceived"),
    ] {
        let filter =
            format!("json.value.string contains \"{member}\" && frame.comment contains \"{comment}\"");
        assert!(matching(&file, &filter) > 0, "{filter}");
    }
    let times: Vec<f64> = fields(&file, "frame", ["frame.time_relative"])
        .iter()
        .map(|[time]| time.parse().expect("seconds"))
        .collect();
    assert!(times.is_sorted() && times[0] == 0.0 && times[times.len() - 1] > 10.0);
    let utc: Vec<_> = fields(&file, "frame.number == 1", ["frame.time_epoch"]);
    let Ok(Capture::Call(head, _)) = open(&of_call) else { panic!("it is of a call") };
    let begun = head.start().utc.0;
    assert_eq!(utc, [[format!("{}.{:09}", begun / 1_000_000_000, begun % 1_000_000_000)]]);

    let Ok(Capture::Switchboard(head, records)) = open(&of_switchboard) else { panic!("of a switchboard") };
    let mut pcap = Pcap::<Switchboard, _>::new(&head.settings, &head.start(), Vec::new()).expect("memory");
    let mut player = Player::new(head, records);
    while let Some(step) = player.step().expect("a good capture") {
        pcap.step(&step).expect("memory");
    }
    let file = File::new("switchboard.pcapng", &pcap.finish().expect("memory"));
    assert_sound(&file);
    let (all, json) = (matching(&file, "frame"), matching(&file, "json"));
    assert!(all > 5 && all == json, "{json} of {all}");
    assert!(matching(&file, "json.value.string == \"StasisStart\"") > 0);
}

#[test]
fn the_audio_in_the_packets_is_the_audio_in_the_wav_file() {
    if !is_wanted("ffmpeg's hearing of the packets") {
        return;
    }
    for format in MediaFormat::ALL {
        let [capture, _] = conversation(format);
        let capture = without(&capture, &[30, 31]);
        let file = File::new(&format!("{format}-audio.pcapng"), &show(&capture).file);
        let sides = listen(&capture);
        let ways = [("in", format.from_asterisk()), ("out", format.to_asterisk())];
        for (samples, (way, encoding)) in sides.iter().zip(ways) {
            let direction = if way == "in" { 1 } else { 2 };
            let filter = format!("rtp && frame.packet_flags_direction == {direction}");
            let packets = fields(&file, &filter, ["frame.time_relative", "rtp.timestamp", "rtp.payload"]);
            let mut payload = Vec::new();
            let mut expected: Vec<i16> = Vec::new();
            let first = nanos(&packets[0][0]) * u64::from(encoding.sample_rate()) / 1_000_000_000;
            let first_timestamp: u32 = packets[0][1].parse().expect("a timestamp");
            for [_, timestamp, hex] in &packets {
                let ticks = timestamp.parse::<u32>().expect("a timestamp").wrapping_sub(first_timestamp);
                let place =
                    first as usize + (ticks * (encoding.sample_rate() / encoding.clock_rate())) as usize;
                expected.extend(&samples[place..place + encoding.frame_samples()]);
                let hex: Vec<u8> = hex.bytes().filter(|byte| *byte != b':').collect();
                payload.extend(hex.chunks(2).map(|two| {
                    let digits = std::str::from_utf8(two).expect("digits");
                    u8::from_str_radix(digits, 16).expect("digits")
                }));
            }
            let decoded = ffmpeg(encoding, &payload);
            assert_eq!(decoded.len(), expected.len(), "{format} {way}");
            assert!(
                expected.iter().any(|sample| sample.unsigned_abs() > 5000),
                "{format} {way}: nothing is said"
            );
            let off = decoded.iter().zip(&expected).filter(|(a, b)| a != b).count();
            let worst = decoded.iter().zip(&expected).map(|(a, b)| a.abs_diff(*b)).max().unwrap_or(0);
            println!("{format} {way}: {} packets, {off} samples differ, by {worst} at most", packets.len());
            assert_eq!(off, 0, "{format} {way}: by {worst} at most");
        }
    }
}

/// Seconds with nine digits behind the point, as tshark prints them.
fn nanos(seconds: &str) -> u64 {
    let (whole, fraction) = seconds.split_once('.').expect("a point");
    assert_eq!(fraction.len(), 9, "{seconds}");
    format!("{whole}{fraction}").parse().expect("digits")
}

fn ffmpeg(encoding: Encoding, payload: &[u8]) -> Vec<i16> {
    let input = File::new(&format!("payload-{}", name(encoding)), payload);
    let format: &[&str] = match encoding {
        Encoding::Pcmu => &["-f", "mulaw", "-ar", "8000", "-ac", "1"],
        Encoding::Pcma => &["-f", "alaw", "-ar", "8000", "-ac", "1"],
        Encoding::G722 => &["-f", "g722"],
        Encoding::L16Wideband => &["-f", "s16be", "-ar", "16000", "-ac", "1"],
    };
    let output = Command::new("ffmpeg")
        .args(["-v", "error"])
        .args(format)
        .arg("-i")
        .arg(&input.0)
        .args(["-f", "s16le", "-"])
        .output()
        .expect("ffmpeg is there");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout.chunks(2).map(|two| i16::from_le_bytes([two[0], two[1]])).collect()
}

/// Steps that no machine was in: what is odd about them is shown as well.
#[test]
fn tshark_takes_ipv6_an_unknown_address_and_messages_that_are_none() {
    if !is_wanted("tshark's view of what is odd") {
        return;
    }
    let [capture, _] = conversation(MediaFormat::Ulaw);
    let Ok(Capture::Call(head, _)) = open(&capture) else { panic!("it is of a call") };
    for (name, local, peer) in [
        ("ipv6", "[2001:db8::1]:30000", "[2001:db8::2]:4000"),
        ("any", "0.0.0.0:30000", "192.0.2.2:4000"),
        ("mapped", "[::]:30000", "[::ffff:192.0.2.2]:4000"),
    ] {
        let [local, peer] = [local, peer].map(|address| address.parse().expect("an address"));
        let long = format!(r#"{{"type":"long","delta":"{}"}}"#, "x".repeat(1 << 20));
        let rtp: Vec<Vec<u8>> = (0..50_u16)
            .map(|n| {
                let [high, low] = n.to_be_bytes();
                let [a, b, c, d] = (u32::from(n) * 160).to_be_bytes();
                [&[0x80, 0, high, low, a, b, c, d, 0, 0, 0, 9][..], &[0xFF; 160]].concat()
            })
            .collect();
        let mut inputs = vec![Input::MediaUp { leg: LegId(1), local }];
        inputs.extend(rtp.iter().map(|bytes| Input::Media { leg: LegId(1), from: peer, bytes }));
        for bytes in [b"{\"type\":".as_slice(), b"\xFF\xFE", b"", b"[1,2]", long.as_bytes()] {
            inputs.push(Input::Realtime { link: LinkId(1), bytes });
        }
        let mut pcap = Pcap::<Call, _>::new(&head.settings, &head.start(), Vec::new()).expect("memory");
        let (out, next) = (Actions::new(), Next { deadline: None, finished: false });
        for (number, input) in (1..).zip(inputs) {
            let now = Instant::from_millis(20 * number);
            let step = Step { number, now, input: Some(input), out: &out, next, given: "", recorded: None };
            pcap.step(&step).expect("memory");
        }
        let file = File::new(&format!("{name}.pcapng"), &pcap.finish().expect("memory"));
        assert_sound(&file);
        let streams = streams(&file);
        assert!(matches!(&streams[..], [Stream { packets: 50, lost: 0, .. }]), "{name}: {streams:?}");
        assert_eq!(matching(&file, "frame.comment contains \"from the model\""), 5);
        assert_eq!(matching(&file, "frame.len > 1000000 && frame.cap_len == 262144"), 1);
        assert!(Call::begun(&head.start()).0 > 0);
    }
}

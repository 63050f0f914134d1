//! The bytes of the file, read back by what the specifications say.

use super::*;
use crate::call::{Action, Actions, Call, Input, IoFault, LinkState, Method, Next, ToolAsk};
use crate::capture::SwitchboardStart;
use crate::capture::tests::{START_EVENT, start};
use crate::id::{InstanceNonce, LegId, LinkId, RequestId, ToolId};
use crate::settings::{CallSettings, SwitchboardSettings};
use crate::switchboard::{self, Switchboard};
use crate::time::{Duration, Instant};
use core::net::SocketAddr;

/// When the call of these tests began, in nanoseconds since the epoch.
const BEGUN: u64 = 1_800_000_000_000_000_001;

/// A step of a call: what comes, and what the call does.
type Part<'a> = (Option<Input<'a>>, &'a dyn Fn(&mut Actions));

/// A packet, read back.
#[derive(Debug)]
struct Frame {
    interface: u32,
    nanos: u64,
    bytes: Vec<u8>,
    /// How long it was.
    length: u32,
    comment: String,
    way: u32,
}

/// A message, read back.
#[derive(Debug)]
struct Pdu {
    dissector: String,
    protocol: String,
    bytes: Vec<u8>,
}

fn le32(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn be16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes(bytes[at..at + 2].try_into().unwrap())
}

/// The options from there on.
fn options(mut bytes: &[u8]) -> Vec<(u16, Vec<u8>)> {
    let mut all = Vec::new();
    loop {
        let (code, len) =
            (u16::from_le_bytes([bytes[0], bytes[1]]), usize::from(u16::from_le_bytes([bytes[2], bytes[3]])));
        if code == 0 {
            assert_eq!((len, bytes.len()), (0, 4), "the end of the options is the end of the block");
            return all;
        }
        all.push((code, bytes[4..4 + len].to_vec()));
        bytes = &bytes[4 + len.next_multiple_of(4)..];
    }
}

/// The packets of a file, whose other blocks are looked at.
fn frames(mut file: &[u8]) -> Vec<Frame> {
    let (mut frames, mut number) = (Vec::new(), 0);
    while !file.is_empty() {
        let (kind, len) = (le32(file, 0), le32(file, 4) as usize);
        assert_eq!((len % 4, le32(file, len - 4) as usize), (0, len));
        let body = &file[8..len - 4];
        match (number, kind) {
            (0, 0x0A0D_0D0A) => {
                assert_eq!((le32(body, 0), le32(body, 4)), (0x1A2B_3C4D, 1));
                assert_eq!(options(&body[16..])[0].0, 4);
            }
            (1 | 2, 1) => {
                let link_type = if number == 1 { 101 } else { 252 };
                assert_eq!((le32(body, 0), le32(body, 4)), (link_type, 262_144));
                assert_eq!(options(&body[8..])[1], (9, vec![9]));
            }
            (3.., 6) => {
                let [interface, high, low, captured, length] = [0, 4, 8, 12, 16].map(|at| le32(body, at));
                let bytes = body[20..20 + captured as usize].to_vec();
                let mut frame = Frame {
                    interface,
                    nanos: u64::from(high) << 32 | u64::from(low),
                    length,
                    comment: String::new(),
                    way: 0,
                    bytes,
                };
                for (code, value) in options(&body[20 + (captured as usize).next_multiple_of(4)..]) {
                    match code {
                        1 => frame.comment = String::from_utf8(value).unwrap(),
                        2 => frame.way = le32(&value, 0),
                        _ => panic!("option {code}"),
                    }
                }
                frames.push(frame);
            }
            other => panic!("block {other:?}"),
        }
        number += 1;
        file = &file[len..];
    }
    frames
}

fn pdu(frame: &Frame) -> Pdu {
    assert_eq!(frame.interface, 1);
    let (mut rest, mut texts) = (&frame.bytes[..], [String::new(), String::new()]);
    loop {
        let (tag, len) = (be16(rest, 0), usize::from(be16(rest, 2)));
        let text = || String::from_utf8(rest[4..4 + len].to_vec()).unwrap().trim_end_matches('\0').to_owned();
        match tag {
            0 => break,
            12 => texts[0] = text(),
            33 => texts[1] = text(),
            36 => assert_eq!(text(), frame.comment),
            _ => panic!("tag {tag}"),
        }
        assert_eq!(len % 4, 0);
        rest = &rest[4 + len..];
    }
    let [dissector, protocol] = texts;
    Pdu { dissector, protocol, bytes: rest[4..].to_vec() }
}

/// The sum of RFC 1071 over bytes that hold their own checksum: it is 0xFFFF.
fn sum(bytes: &[u8]) -> u64 {
    let mut sum: u64 =
        bytes.chunks(2).map(|two| u64::from(two[0]) << 8 | u64::from(two.get(1).copied().unwrap_or(0))).sum();
    while sum > 0xFFFF {
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    sum
}

/// Addresses and payload of a datagram whose checksums are right.
fn datagram(frame: &Frame) -> (SocketAddr, SocketAddr, Vec<u8>) {
    assert_eq!(frame.interface, 0);
    let bytes = &frame.bytes;
    let (addresses, udp) = if bytes[0] >> 4 == 4 {
        assert_eq!((sum(&bytes[..20]), usize::from(be16(bytes, 2)), bytes[9]), (0xFFFF, bytes.len(), 17));
        (&bytes[12..20], &bytes[20..])
    } else {
        assert_eq!((bytes[0], usize::from(be16(bytes, 4)), bytes[6]), (0x60, bytes.len() - 40, 17));
        (&bytes[8..40], &bytes[40..])
    };
    assert_eq!(usize::from(be16(udp, 4)), udp.len());
    let pseudo = [addresses, &[0, 17], &udp[4..6], udp].concat();
    assert_eq!(sum(&pseudo), 0xFFFF);
    let ip = |half: &[u8]| -> core::net::IpAddr {
        half.try_into()
            .map_or_else(|_| <[u8; 16]>::try_from(half).unwrap().into(), |four: [u8; 4]| four.into())
    };
    let (source, destination) = addresses.split_at(addresses.len() / 2);
    let from = SocketAddr::new(ip(source), be16(udp, 0));
    (from, SocketAddr::new(ip(destination), be16(udp, 2)), udp[8..].to_vec())
}

/// A call of which these steps are shown, a millisecond each; the step in which it is made comes before them.
fn shown(settings: &CallSettings, steps: &[Part<'_>]) -> Vec<Frame> {
    let mut pcap = Pcap::<Call, _>::new(settings, &start(), Vec::new()).unwrap();
    let next = Next { deadline: None, finished: false };
    for (number, (input, act)) in (0..).zip([(None, &(|_: &mut Actions| {}) as _)].iter().chain(steps)) {
        let mut out = Actions::new();
        act(&mut out);
        let now = Instant::from_millis(7 + number);
        pcap.step(&Step { number, now, input: *input, out: &out, next, given: "", recorded: None }).unwrap();
    }
    frames(&pcap.finish().unwrap())
}

fn nothing(_: &mut Actions) {}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn up(local: &str) -> Input<'static> {
    Input::MediaUp { leg: LegId(1), local: address(local) }
}

fn media<'a>(from: &str, bytes: &'a [u8]) -> Input<'a> {
    Input::Media { leg: LegId(1), from: address(from), bytes }
}

fn send(to: &'static str, bytes: &'static [u8]) -> impl Fn(&mut Actions) {
    move |out| {
        let bytes = out.put(bytes);
        out.push(Action::SendMedia { leg: LegId(1), to: address(to), bytes });
    }
}

#[test]
fn datagrams_have_their_addresses_times_and_checksums() {
    for [local, peer] in
        [["192.0.2.1:30000", "198.51.100.9:5000"], ["[2001:db8::1]:30000", "[2001:db8::9]:5001"]]
    {
        let peer: &'static str = peer;
        let frames = shown(
            &CallSettings::default(),
            &[
                (Some(up(local)), &nothing),
                (Some(media(peer, b"odd")), &nothing),
                (Some(Input::Timer), &send(peer, b"even")),
            ],
        );
        let shown: Vec<_> = frames.iter().filter(|frame| frame.interface == 0).collect();
        let (local, peer) = (address(local), address(peer));
        assert_eq!(datagram(shown[0]), (peer, local, b"odd".to_vec()));
        assert_eq!(datagram(shown[1]), (local, peer, b"even".to_vec()));
        assert_eq!([shown[0].way, shown[1].way], [1, 2]);
        assert_eq!([shown[0].nanos, shown[1].nanos], [BEGUN + 2_000_000, BEGUN + 3_000_000]);
        assert!(shown.iter().all(|frame| frame.length as usize == frame.bytes.len()));
    }
}

#[test]
fn a_checksum_that_is_zero_is_written_as_its_other_form() {
    // The payload makes up for everything else: its sum is what is missing to 0xFFFF.
    let [from, to] = ["192.0.2.1:1", "192.0.2.2:2"].map(address);
    let mut first = Vec::new();
    udp::write(from, to, &[0, 0], &mut first);
    let missing = be16(&first, 26);
    let mut second = Vec::new();
    udp::write(from, to, &missing.to_be_bytes(), &mut second);
    assert_eq!(be16(&second, 26), 0xFFFF);
}

#[test]
fn a_socket_that_is_bound_to_every_address_is_shown_as_the_one_that_was_told() {
    let local_of = |local: &str, advertised: Option<&str>, peer: &'static str| {
        let settings = CallSettings { advertise_host: advertised.map(Into::into), ..CallSettings::default() };
        let frames = shown(&settings, &[(Some(up(local)), &nothing), (Some(media(peer, b"x")), &nothing)]);
        let (from, to, _) = datagram(frames.last().unwrap());
        assert_eq!(from, SocketAddr::new(address(peer).ip().to_canonical(), address(peer).port()));
        to.to_string()
    };
    assert_eq!(local_of("0.0.0.0:30000", Some("203.0.113.5"), "192.0.2.1:1"), "203.0.113.5:30000");
    assert_eq!(local_of("0.0.0.0:30000", Some("bridge.example"), "192.0.2.1:1"), "0.0.0.0:30000");
    assert_eq!(local_of("[::]:30000", None, "[::ffff:192.0.2.1]:1"), "0.0.0.0:30000");
    assert_eq!(local_of("[::]:30000", Some("203.0.113.5"), "[::ffff:192.0.2.1]:1"), "203.0.113.5:30000");
    assert_eq!(local_of("192.0.2.7:30000", Some("203.0.113.5"), "192.0.2.1:1"), "192.0.2.7:30000");
}

#[test]
fn each_stream_is_described_before_its_first_packet_and_once() {
    let frames = shown(
        &CallSettings::default(),
        &[
            (Some(up("192.0.2.1:30000")), &nothing),
            (Some(media("192.0.2.9:5000", b"a")), &send("192.0.2.9:5000", b"b")),
            (Some(media("192.0.2.9:5000", b"c")), &send("192.0.2.9:5000", b"d")),
            (Some(Input::Timer), &send("[2001:db8::9]:6000", b"e")),
        ],
    );
    let order: Vec<u32> = frames.iter().map(|frame| frame.interface).collect();
    assert_eq!(order, [1, 1, 0, 1, 0, 0, 0, 1, 0], "the event that it began with stands before all");
    let sdp = |at: usize| {
        let pdu = pdu(&frames[at]);
        assert_eq!(pdu.dissector, "sdp");
        String::from_utf8(pdu.bytes).unwrap()
    };
    let (to_us, to_asterisk, elsewhere) = (sdp(1), sdp(3), sdp(7));
    assert!(
        to_us.contains("c=IN IP4 192.0.2.1\r\n") && to_us.contains("m=audio 30000 RTP/AVP 118 101\r\n"),
        "{to_us}"
    );
    assert!(to_us.contains("a=rtpmap:118 L16/16000\r\n"), "{to_us}");
    assert!(to_asterisk.contains("m=audio 5000 RTP/AVP 9 101\r\na=rtpmap:9 G722/8000\r\n"), "{to_asterisk}");
    assert!(elsewhere.contains("c=IN IP6 2001:db8::9\r\n"), "{elsewhere}");
}

#[test]
fn messages_are_shown_as_they_came_or_as_json() {
    let act = |out: &mut Actions| {
        let [path, body] =
            [&b"/channels/externalMedia?app=x"[..], br#"{"variables":{}}"#].map(|text| out.put(text));
        let timeout = Duration::from_secs(1);
        out.push(Action::Ari { id: RequestId(3), method: Method::Post, path, body, timeout });
        let bytes = out.put(br#"{"type":"session.update"}"#);
        out.push(Action::SendRealtime { link: LinkId(1), bytes });
        let [name, arguments] = [&b"look_up"[..], br#"{"of": 1}"#].map(|text| out.put(text));
        out.push(Action::Tool { id: ToolId(5), asks: ToolAsk::Function, name, arguments, timeout });
    };
    let failed = Input::AriFailed { id: RequestId(4), fault: IoFault::TimedOut };
    let reason = b"\xFFbye";
    let down = Input::RealtimeDown {
        link: LinkId(1),
        http_status: None,
        retry_after: None,
        code: Some(1006),
        reason,
        fault: Some(IoFault::Reset),
    };
    let steps: Vec<Part<'_>> = vec![
        (Some(Input::Timer), &act),
        (Some(Input::AriReply { id: RequestId(3), status: 200, body: br#"{ "id" : 1.50 }"# }), &nothing),
        (Some(failed), &nothing),
        (Some(Input::ToolReply { id: ToolId(5), status: 500, body: b"no <json>" }), &nothing),
        (Some(Input::Realtime { link: LinkId(1), bytes: b"{\"type\":\"error\" }" }), &nothing),
        (Some(Input::Realtime { link: LinkId(1), bytes: b"{\"type\":\"error\" " }), &nothing),
        (Some(Input::Realtime { link: LinkId(1), bytes: b"\xFF\0" }), &nothing),
        (Some(down), &nothing),
        (Some(Input::AriLink(LinkState::Down)), &nothing),
    ];
    let frames = shown(&CallSettings::default(), &steps);
    let shown: Vec<_> = frames.iter().map(|frame| (pdu(frame), frame.comment.as_str())).collect();
    let line = |at: usize| {
        let (pdu, comment) = &shown[at];
        let text = String::from_utf8_lossy(&pdu.bytes);
        format!("{}/{} {comment} | {text}", pdu.protocol, pdu.dissector)
    };
    assert_eq!(shown[0].0.bytes, START_EVENT);
    assert_eq!(shown[0].1, "event from Asterisk: StasisStart");
    let lines: Vec<String> = (1..shown.len()).map(line).collect();
    assert_eq!(
        lines,
        [
            r#"ARI/json request 3 to Asterisk: POST /channels/externalMedia?app=x | {"id":3,"method":"POST","path":"/channels/externalMedia?app=x","body":{"variables":{}}}"#,
            r#"Realtime/json to the model, link 1: session.update | {"type":"session.update"}"#,
            r#"Tool/json tool 5: function look_up | {"id":5,"asks":"function","name":"look_up","arguments":{"of": 1}}"#,
            r#"ARI/json reply to request 3: 200 | {"id":3,"status":200,"body":{ "id" : 1.50 }}"#,
            r#"ARI/json no reply to request 4: no answer in time | {"id":4,"fault":"no answer in time"}"#,
            r#"Tool/json reply to tool 5: 500 | {"id":5,"status":500,"body":"no <json>"}"#,
            r#"Realtime/json from the model, link 1: error | {"type":"error" }"#,
            r#"Realtime/data-text-lines from the model, link 1: not readable | {"type":"error" "#,
            "Realtime/data from the model, link 1: not readable | \u{FFFD}\0",
            "Realtime/json link 1 has ended | {\"link\":1,\"close_code\":1006,\"fault\":\"the connection broke\",\"reason\":\"\u{FFFD}bye\"}",
        ]
    );
}

#[test]
fn a_message_that_no_reader_takes_is_cut_and_its_length_is_told() {
    let long = format!(r#"{{"type":"{}"}}"#, "ä".repeat(400_000));
    let frames = shown(
        &CallSettings::default(),
        &[(Some(Input::Realtime { link: LinkId(1), bytes: long.as_bytes() }), &nothing)],
    );
    let frame = frames.last().unwrap();
    assert_eq!(frame.bytes.len(), MAX_PACKET_BYTES);
    assert!(frame.length as usize > long.len() && (frame.length as usize) < long.len() + 1500);
    assert!(frame.comment.len() < 1000);
    assert!(long.as_bytes().starts_with(&pdu(frame).bytes));
}

#[test]
fn time_that_runs_out_stands_still() {
    let mut packets = Packets::new(Vec::new(), UtcNanos(u64::MAX - 5)).unwrap();
    packets.set_now(Instant::START);
    packets.set_now(Instant::from_millis(1));
    let [from, to] = ["192.0.2.1:1", "192.0.2.2:2"].map(address);
    packets.datagram(file::Way::In, from, to, b"x").unwrap();
    assert_eq!(frames(&packets.finish().unwrap())[0].nanos, u64::MAX);
}

#[test]
fn a_switchboard_is_shown_by_its_messages() {
    let start = SwitchboardStart { nonce: InstanceNonce::new(7), seed: 8, utc: UtcNanos(BEGUN) };
    let mut pcap = Pcap::<Switchboard, _>::new(&SwitchboardSettings::default(), &start, Vec::new()).unwrap();
    let mut out = switchboard::Actions::new();
    let path = out.put(b"/channels");
    let timeout = Duration::from_secs(1);
    out.push(switchboard::Action::Ari { id: RequestId(1), method: Method::Get, path, timeout });
    let next = switchboard::Next { deadline: None, finished: false };
    let inputs = [
        None,
        Some(switchboard::Input::Ari(br#"{"type":"StasisStart"}"#)),
        Some(switchboard::Input::AriReply { id: RequestId(1), status: 200, body: b"[]" }),
        Some(switchboard::Input::AriFailed { id: RequestId(1), fault: IoFault::Refused }),
    ];
    for (number, input) in (0..).zip(inputs) {
        let none = switchboard::Actions::new();
        let out = if number == 0 { &out } else { &none };
        let now = Instant::from_millis(number);
        pcap.step(&Step { number, now, input, out, next, given: "", recorded: None }).unwrap();
    }
    let frames = frames(&pcap.finish().unwrap());
    let comments: Vec<_> = frames.iter().map(|frame| frame.comment.as_str()).collect();
    assert_eq!(
        comments,
        [
            "request 1 to Asterisk: GET /channels",
            "event from Asterisk: StasisStart",
            "reply to request 1: 200",
            "no reply to request 1: nobody listens there"
        ]
    );
    assert_eq!(pdu(&frames[2]).bytes, br#"{"id":1,"status":200,"body":[]}"#);
    assert_eq!(frames[3].nanos, BEGUN + 3_000_000);
}

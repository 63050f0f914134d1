//! What is written is read back by somebody else, and what somebody else has written is read.

use super::{bytes, cases};
use ari_bridge_core::ari;
use ari_bridge_core::format::MediaFormat;
use ari_bridge_core::http::{self, Parse};
use ari_bridge_core::id::{CallId, IdPrefix, InstanceNonce, ResourceId};
use ari_bridge_core::rtp::Packet;
use ari_bridge_core::settings::Place;
use ari_bridge_core::uri::Encoded;
use ari_bridge_tests::choices::Choices;
use ari_bridge_tests::generators::{bits, events, pick, some_text, text, up_to, word};
use proptest::prelude::*;

const NONCE: InstanceNonce = InstanceNonce::new(0xBEEF);

/// The parts of a path below `/ari`, and the pairs of its query, as a server reads them.
fn read_path(path: &[u8]) -> (Vec<String>, Vec<(String, String)>) {
    let wire = [b"POST ", path, b" HTTP/1.1\r\nHost: x\r\n\r\n"].concat();
    let Parse::Request { request, consumed } = http::parse(&wire) else {
        panic!("{}", String::from_utf8_lossy(&wire))
    };
    assert_eq!((consumed, request.method), (wire.len(), "POST"));
    let parts = request.target.split('/').skip(1).map(|part| http::percent_decode(part).into_owned());
    let pairs = http::query_pairs(request.query).map(|(name, value)| (name.into_owned(), value.into_owned()));
    (parts.collect(), pairs.collect())
}

/// A request with any text where text stands, and what a server must read.
fn request_is_read(choices: &mut Choices<'_>) -> Result<(), TestCaseError> {
    use ari::Request;
    let (caller, app, host) = (some_text(choices), word(choices), text(choices));
    let ids = IdPrefix { nonce: NONCE, call: CallId(bits(choices, 64)) };
    let (one, two) = (ids.resource(bits(choices, 32) as u32), ids.resource(2));
    let (one_name, two_name) = (one.to_string(), two.to_string());
    let to = Place {
        context: choices.one_in(2).then(|| text(choices)),
        extension: choices.one_in(2).then(|| text(choices)),
        priority: choices.one_in(2).then(|| bits(choices, 14) as u32),
    };
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let (request, parts, pairs) = match choices.below(8) {
        0 => {
            let (port, format) = (bits(choices, 16) as u16, *pick(choices, &MediaFormat::ALL));
            let at = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
            let pairs = [
                ("app", &*app),
                ("channelId", &*one_name),
                ("external_host", &*at),
                ("format", format.name()),
                ("encapsulation", "rtp"),
                ("transport", "udp"),
                ("connection_type", "client"),
                ("direction", "both"),
                ("data", "ari-bridge"),
            ];
            let pairs = pairs.map(|(name, value)| pair(name, value)).to_vec();
            let request = Request::ExternalMedia { app: &app, channel: one, host: &host, port, format };
            (request, vec!["channels", "externalMedia"], pairs)
        }
        1 => {
            let pairs = vec![pair("type", "mixing"), pair("bridgeId", &one_name), pair("name", &app)];
            (Request::CreateBridge { bridge: one, app: &app }, vec!["bridges"], pairs)
        }
        2 => {
            let request = Request::AddToBridge { bridge: one, caller: &caller, media: two };
            let pairs = vec![pair("channel", &format!("{caller},{two_name}"))];
            (request, vec!["bridges", &one_name, "addChannel"], pairs)
        }
        3 => (Request::Answer { caller: &caller }, vec!["channels", &caller, "answer"], vec![]),
        4 => {
            let texts = [("context", &to.context), ("extension", &to.extension)];
            let mut pairs: Vec<_> =
                texts.iter().filter_map(|(name, text)| Some(pair(name, text.as_ref()?))).collect();
            pairs.extend(to.priority.map(|priority| pair("priority", &priority.to_string())));
            (Request::Continue { caller: &caller, to: &to }, vec!["channels", &caller, "continue"], pairs)
        }
        5 => (Request::Look { caller: &caller }, vec!["channels", &caller], vec![]),
        6 => (Request::Application { app: &app }, vec!["applications", &app], vec![]),
        _ => (Request::DeleteBridge(one), vec!["bridges", &one_name], vec![]),
    };
    let mut path = Vec::new();
    request.write_path(&mut path);
    let (parts_read, pairs_read) = read_path(&path);
    prop_assert_eq!(parts_read, parts, "{:?}", request);
    prop_assert_eq!(pairs_read, pairs, "{:?}", request);
    Ok(())
}

proptest! {
    #![proptest_config(cases(800))]

    /// A path is read as the parts that it was made of, whatever a channel is called.
    #[test]
    fn no_name_becomes_another_request(bytes in bytes(100)) {
        request_is_read(&mut Choices::new(&bytes))?;
    }

    /// Text survives its encoding, alone and among others, and the encoding has nothing that means something.
    #[test]
    fn text_in_a_uri_is_the_text(bytes in bytes(120)) {
        let mut choices = Choices::new(&bytes);
        let pairs: Vec<(String, String)> =
            (0..choices.below(5)).map(|_| (some_text(&mut choices), text(&mut choices))).collect();
        let query: Vec<String> =
            pairs.iter().map(|(name, value)| format!("{}={}", Encoded(name), Encoded(value))).collect();
        let query = query.join("&");
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._~%=&".contains(c);
        prop_assert!(query.chars().all(plain), "{}", query);
        let read: Vec<(String, String)> =
            http::query_pairs(&query).map(|(name, value)| (name.into(), value.into())).collect();
        prop_assert_eq!(read, pairs);
        let text = text(&mut choices);
        let encoded = Encoded(&text).to_string();
        prop_assert_eq!(http::percent_decode(&encoded), text.as_str());
        // What is no encoding at all is borne.
        let _ = (http::percent_decode(&text), http::query_pairs(&text).count());
    }

    /// A request is not one before its last byte is there, and then the same, whatever follows.
    #[test]
    fn a_request_is_whole_when_its_last_byte_is_there(bytes in bytes(300)) {
        let mut choices = Choices::new(&bytes);
        let (name, value, body) = (word(&mut choices), word(&mut choices), choices.blob());
        let head = format!(
            "POST /{}?{} HTTP/1.1\r\nX-{name}: {value}\r\nContent-Length: {}\r\n\r\n",
            Encoded(&text(&mut choices)),
            word(&mut choices),
            body.len()
        );
        let mut wire = [head.as_bytes(), body].concat();
        let len = wire.len();
        wire.extend_from_slice(choices.blob());
        for cut in [up_to(&mut choices, len as u64 - 1) as usize, len - 1] {
            prop_assert!(matches!(http::parse(&wire[..cut]), Parse::Incomplete), "cut at {}", cut);
        }
        let Parse::Request { request, consumed } = http::parse(&wire) else {
            panic!("{}", String::from_utf8_lossy(&wire))
        };
        prop_assert_eq!((consumed, request.body), (len, body));
        prop_assert_eq!(request.header(&format!("x-{}", name.to_uppercase())), Some(value.as_str()));
    }

    /// A name is one of ours exactly if it is written as we write it.
    #[test]
    fn a_name_of_ours_is_just_one_text(bytes in bytes(40)) {
        let mut choices = Choices::new(&bytes);
        let ids = IdPrefix {
            nonce: InstanceNonce::new(bits(&mut choices, 32) as u32),
            call: CallId(up_to(&mut choices, u64::MAX)),
        };
        let id = ids.resource(up_to(&mut choices, u32::MAX.into()) as u32);
        prop_assert_eq!(ResourceId::parse(&id.to_string()), Some(id));
        prop_assert!(id.is(&id.to_string()));
        prop_assert_eq!(InstanceNonce::parse(&ids.nonce.to_string()), Some(ids.nonce));
        // Another text, mostly a little beside a name.
        let mut other =
            if choices.one_in(2) { id.to_string() } else { events::id(&mut choices, ids.nonce, 9) };
        let at = up_to(&mut choices, other.len() as u64) as usize;
        if other.is_char_boundary(at) {
            let more = *pick(&mut choices, &["", "0", "-", "+", "a", "A", " ", "1"]);
            other.insert_str(at, more);
        }
        if let Some(read) = ResourceId::parse(&other) {
            prop_assert_eq!(read.to_string(), other.as_str());
        }
        prop_assert_eq!(id.is(&other), id.to_string() == other);
    }

    /// An event is read as it was written: what it is about, in any order and beside fields that nobody knows.
    #[test]
    fn an_event_of_asterisk_is_read(bytes in bytes(120)) {
        let mut choices = Choices::new(&bytes);
        let written = events::event(&mut choices, NONCE, 3);
        let bytes = written.to_bytes();
        let read = ari::Event::parse(&bytes).expect("an event");
        let id = |channel: &Option<ari::Channel<'_>>| channel.as_ref().map(|channel| channel.id.to_string());
        prop_assert_eq!(format!("{:?}", read.kind) == written.kind, read.kind != ari::EventKind::Other);
        prop_assert_eq!((id(&read.channel), id(&read.replaces)), (written.channel.clone(), written.replaces));
        prop_assert_eq!(read.bridge.map(|bridge| bridge.id.to_string()), written.bridge);
        if let Some(channel) = read.channel {
            prop_assert_eq!((&*channel.name, &*channel.caller.number), (written.name.as_str(), "100"));
            prop_assert_eq!(channel.is_media(), written.name.starts_with("UnicastRTP/"));
        }
    }

    /// An RTP packet that another program has written, with all that may stand around its audio.
    #[test]
    fn a_packet_is_its_header_and_its_audio(bytes in bytes(500)) {
        let mut choices = Choices::new(&bytes);
        let (marker, payload_type) = (choices.one_in(2), choices.below(128) as u8);
        let (sequence, timestamp, ssrc) =
            (bits(&mut choices, 16) as u16, bits(&mut choices, 32) as u32, bits(&mut choices, 32) as u32);
        let (sources, words) = (choices.below(16), choices.one_in(2).then(|| choices.below(9)));
        let padding = choices.one_in(2).then(|| 1 + choices.below(20));
        let payload = choices.blob();
        let flags = 0x80
            | sources as u8
            | if words.is_some() { 0x10 } else { 0 }
            | if padding.is_some() { 0x20 } else { 0 };
        let mut datagram = vec![flags, u8::from(marker) << 7 | payload_type];
        datagram.extend(sequence.to_be_bytes());
        datagram.extend(timestamp.to_be_bytes());
        datagram.extend(ssrc.to_be_bytes());
        datagram.extend(vec![0xC5; 4 * sources]);
        if let Some(words) = words {
            datagram.extend([0xBE, 0xDE, 0, words as u8]);
            datagram.extend(vec![0xE7; 4 * words]);
        }
        datagram.extend_from_slice(payload);
        if let Some(padding) = padding {
            datagram.extend(vec![0; padding - 1]);
            datagram.push(padding as u8);
        }
        let packet = Packet { marker, payload_type, sequence, timestamp, ssrc, payload };
        prop_assert_eq!(Packet::parse(&datagram), Some(packet));
        let mut again = Vec::new();
        packet.write(&mut again);
        prop_assert_eq!(Packet::parse(&again), Some(packet));
    }
}

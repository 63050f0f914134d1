//! Calls told from both ends, in virtual time.

mod outage;

use super::*;
use crate::codec::{Decoder, Encoder};
use crate::format::{Encoding, MediaFormat};
use crate::rtp::Packet;
use crate::sim::caller::{Caller, energy};
use core::net::SocketAddr;
use serde_json::Value;

const AUTH: &str = "Basic YXN0ZXJpc2s6YXN0ZXJpc2s=";
const BRIDGE: &str = "127.0.0.1:30000";

/// Both sides of the stand-in: what a client of ARI sees, and what the callers hear.
struct Lab {
    asterisk: Asterisk,
    now: Instant,
    out: Actions,
    next: Option<Instant>,
    events: Vec<Value>,
    replies: Vec<(u64, u16, Value)>,
    packets: Vec<Vec<u8>>,
    states: Vec<CallerState>,
    ports: Vec<u16>,
    other: Vec<Output>,
    caller: Caller,
}

impl Lab {
    fn new() -> Self {
        Self::with(Settings::default())
    }

    fn with(settings: Settings) -> Self {
        let mut lab = Self {
            asterisk: Asterisk::new(settings),
            now: Instant::START,
            out: Actions::new(),
            next: None,
            events: Vec::new(),
            replies: Vec::new(),
            packets: Vec::new(),
            states: Vec::new(),
            ports: Vec::new(),
            other: Vec::new(),
            caller: Caller::recorded(),
        };
        lab.open(1);
        lab
    }

    fn open(&mut self, socket: u64) {
        self.put(Input::EventsOpened {
            socket,
            target: "/ari/events?app=voice-agent",
            authorization: Some(AUTH),
        });
    }

    fn put(&mut self, input: Input<'_>) {
        self.now = self.now + Duration::from_micros(100);
        self.out.clear();
        self.next = self.asterisk.step(self.now, input, &mut self.out).deadline;
        assert!(self.next.is_none_or(|at| at > self.now), "a driver must not spin");
        self.collect();
    }

    fn collect(&mut self) {
        for output in self.out.iter() {
            match output {
                Output::Event { text, .. } => {
                    self.events.push(serde_json::from_str(self.out.text(text)).unwrap())
                }
                Output::Reply { id, status, body } => {
                    let body = serde_json::from_str(self.out.text(body)).unwrap_or(Value::Null);
                    self.replies.push((id, status, body));
                }
                Output::SendRtp { to, bytes, .. } => {
                    assert_eq!(to, BRIDGE.parse().unwrap());
                    self.packets.push(self.out.bytes(bytes).to_vec());
                }
                Output::Heard { pcm, .. } => self.caller.hear(self.out.bytes(pcm)),
                Output::CallerState { state, .. } => self.states.push(state),
                Output::BindRtp { port } => self.ports.push(port),
                other => self.other.push(other),
            }
        }
    }

    fn request(&mut self, method: &str, target: &str) -> (u16, Value) {
        self.put(Input::Request { id: 7, method, target, authorization: Some(AUTH), body: b"" });
        let (_, status, body) = self.replies.pop().unwrap();
        (status, body)
    }

    fn run(&mut self, millis: u64) {
        let end = self.now + Duration::from_millis(millis);
        while let Some(at) = self.next.filter(|at| *at <= end) {
            self.now = self.now.max(at - Duration::from_micros(100));
            self.put(Input::Timer);
        }
        self.now = end;
    }

    /// The types of the events since the last look, with the channel's id.
    fn told(&mut self) -> Vec<String> {
        let name = |event: &Value| {
            let channel =
                event.get("channel").or(event.get("peer")).map_or("", |c| c["id"].as_str().unwrap());
            let value = event.get("variable").map_or("", |name| name.as_str().unwrap());
            format!("{} {channel}{value}", event["type"].as_str().unwrap()).trim().to_owned()
        };
        let told = self.events.iter().map(name).collect();
        self.events.clear();
        told
    }

    /// A call with a caller and a media channel `m` in the bridge `b`, answered. Gives the caller's channel.
    fn call(&mut self, format: MediaFormat) -> String {
        self.put(Input::Dial { caller: 1, number: "15551234567", exten: "100", answered: false });
        let caller = self.events.last().unwrap()["channel"]["id"].as_str().unwrap().to_owned();
        let media = format!(
            "/channels/externalMedia?app=voice-agent&external_host={BRIDGE}&format={format}&channelId=m"
        );
        assert_eq!(self.request("POST", &media).0, 200);
        assert_eq!(self.request("POST", "/bridges/b?type=mixing").0, 200);
        assert_eq!(self.request("POST", &format!("/bridges/b/addChannel?channel={caller},m")).0, 204);
        assert_eq!(self.request("POST", &format!("/channels/{caller}/answer")).0, 204);
        self.events.clear();
        caller
    }

    /// Sends what `encoding` makes of a tone, paced, on this payload type.
    fn send_tone(&mut self, encoding: Encoding, payload_type: u8, from: &str, packets: u16) {
        let mut encoder = Encoder::new(encoding);
        let samples = encoding.frame_samples();
        for n in 0..packets {
            let at = |i: usize| (usize::from(n) * samples + i) as f64 / f64::from(encoding.sample_rate());
            let tone: Vec<i16> = (0..samples)
                .map(|i| ((at(i) * 440.0 * core::f64::consts::TAU).sin() * 8000.0) as i16)
                .collect();
            let (mut payload, mut datagram) = (Vec::new(), Vec::new());
            encoder.encode(&tone, &mut payload);
            let timestamp = u32::from(n) * encoding.frame_ticks();
            let packet =
                Packet { marker: false, payload_type, sequence: n, timestamp, ssrc: 9, payload: &payload };
            packet.write(&mut datagram);
            let local_port = self.ports[0];
            self.put(Input::Datagram { local_port, from: from.parse().unwrap(), bytes: &datagram });
            self.run(20);
        }
        self.run(200);
    }
}

#[test]
fn a_call_is_told_step_by_step_and_leaves_nothing() {
    let mut lab = Lab::new();
    lab.put(Input::Dial { caller: 1, number: "15551234567", exten: "100", answered: false });
    assert_eq!(lab.events[0]["args"], serde_json::json!(["15551234567", "100"]));
    assert_eq!(lab.events[0]["channel"]["state"], "Ring");
    let caller = lab.events[0]["channel"]["id"].as_str().unwrap().to_owned();
    assert_eq!(lab.told(), [format!("StasisStart {caller}")]);

    let media = "/ari/channels/externalMedia?app=voice-agent&external_host=127.0.0.1:30000&format=slin16&channelId=m&data=a,b";
    let (status, body) = lab.request("POST", media);
    assert_eq!((status, &body["state"], &body["id"]), (200, &"Down".into(), &"m".into()));
    assert_eq!(body["channelvars"]["UNICASTRTP_LOCAL_PORT"], lab.ports[0].to_string());
    assert_eq!(lab.events.last().unwrap()["args"], serde_json::json!(["a", "b"]));
    assert_eq!(
        lab.told(),
        ["Dial m", "ChannelStateChange m", "Dial m", "ChannelVarset mSTASISSTATUS", "StasisStart m"]
    );

    assert_eq!(lab.request("POST", "/ari/bridges/b?type=mixing&name=n").0, 200);
    assert_eq!(
        lab.told(),
        Vec::<String>::new(),
        "an application hears of a bridge once a channel of its enters"
    );
    assert_eq!(lab.request("POST", &format!("/ari/bridges/b/addChannel?channel={caller},m")).0, 204);
    assert_eq!(
        lab.told(),
        [
            format!("ChannelEnteredBridge {caller}"),
            "ChannelEnteredBridge m".into(),
            format!("ChannelVarset {caller}BRIDGEPEER"),
            "ChannelVarset mBRIDGEPEER".into(),
            "ChannelVarset mBRIDGEPVTCALLID".into(),
            "ChannelConnectedLine m".into(),
        ]
    );
    assert_eq!(lab.request("POST", &format!("/ari/channels/{caller}/answer")).0, 204);
    assert_eq!(lab.request("POST", &format!("/ari/channels/{caller}/answer")).0, 204, "twice does no harm");
    assert_eq!(lab.told(), [format!("ChannelStateChange {caller}")]);
    assert_eq!(lab.states, [CallerState::Ringing, CallerState::Answered]);

    lab.put(Input::Hangup { caller: 1 });
    assert_eq!(
        lab.told(),
        [
            format!("ChannelVarset {caller}RTPAUDIOQOS"),
            format!("ChannelHangupRequest {caller}"),
            format!("ChannelVarset {caller}BRIDGEPEER"),
            format!("ChannelLeftBridge {caller}"),
            format!("StasisEnd {caller}"),
        ]
    );
    assert_eq!(lab.request("DELETE", "/ari/channels/m").0, 204);
    assert_eq!(
        lab.told(),
        [
            "ChannelHangupRequest m",
            "ChannelVarset mBRIDGEPEER",
            "ChannelVarset mBRIDGEPVTCALLID",
            "ChannelLeftBridge m",
            "StasisEnd m",
            "ChannelVarset mSTASISSTATUS",
            "ChannelDestroyed m",
        ]
    );
    assert_eq!(lab.request("DELETE", "/ari/channels/m").0, 404);
    assert_eq!(lab.request("DELETE", "/ari/bridges/b").0, 204);
    assert_eq!(lab.told(), ["BridgeDestroyed"]);
    assert_eq!(lab.states.last(), Some(&CallerState::Gone));
    assert_eq!((lab.asterisk.channel_count(), lab.asterisk.bridge_count(), lab.next), (0, 0, None));
    assert!(lab.other.contains(&Output::UnbindRtp { port: lab.ports[0] }));
}

#[test]
fn a_speaking_caller_is_carried_as_slin16() {
    let mut lab = Lab::new();
    lab.call(MediaFormat::Slin16);
    lab.run(500);
    assert!(lab.packets.is_empty(), "a silent caller sends nothing");
    let speech = lab.caller.speech().to_vec();
    lab.put(Input::Speak { caller: 1, pcm: &speech });
    lab.run(5_000);
    assert_eq!(lab.packets.len(), speech.len().div_ceil(FRAME_SAMPLES));
    let mut heard = Vec::new();
    let mut last: Option<(u16, u32)> = None;
    for datagram in &lab.packets {
        let packet = Packet::parse(datagram).unwrap();
        assert_eq!((packet.payload_type, packet.payload.len()), (118, 640));
        if let Some((sequence, timestamp)) = last {
            assert_eq!(packet.sequence, sequence.wrapping_add(1));
            assert_eq!(packet.timestamp, timestamp.wrapping_add(320));
        }
        last = Some((packet.sequence, packet.timestamp));
        Decoder::new(Encoding::L16Wideband).decode(packet.payload, &mut heard);
    }
    assert_eq!(heard[..speech.len()], speech[..], "to the sample");

    // A pause shows in the timestamp, not in the sequence.
    let (sequence, timestamp) = last.unwrap();
    lab.packets.clear();
    lab.put(Input::Speak { caller: 1, pcm: &[1000; 320] });
    lab.run(100);
    let packet = Packet::parse(&lab.packets[0]).unwrap();
    assert_eq!(packet.sequence, sequence.wrapping_add(1));
    assert!(packet.marker && packet.timestamp.wrapping_sub(timestamp) > 320);
}

#[test]
fn before_the_answer_nothing_is_carried() {
    let mut lab = Lab::new();
    lab.put(Input::Dial { caller: 1, number: "1", exten: "100", answered: false });
    let caller = lab.events[0]["channel"]["id"].as_str().unwrap().to_owned();
    let media =
        format!("/channels/externalMedia?app=voice-agent&external_host={BRIDGE}&format=ulaw&channelId=m");
    lab.request("POST", &media);
    lab.request("POST", "/bridges/b");
    lab.request("POST", &format!("/bridges/b/addChannel?channel={caller}&channel=m"));
    lab.put(Input::Speak { caller: 1, pcm: &[1000; 3200] });
    lab.run(1_000);
    assert!(lab.packets.is_empty() && lab.caller.heard().is_empty());
}

#[test]
fn what_the_bridge_sends_is_heard_by_payload_type() {
    // (channel, encoded as, sent on, heard)
    for (format, encoding, payload_type, heard) in [
        (MediaFormat::Slin16, Encoding::L16Wideband, 118, false),
        (MediaFormat::Slin16, Encoding::L16Wideband, 123, false),
        (MediaFormat::Slin16, Encoding::G722, 9, true),
        (MediaFormat::Slin16, Encoding::Pcmu, 0, true),
        (MediaFormat::Slin16, Encoding::Pcma, 8, true),
        (MediaFormat::Ulaw, Encoding::Pcmu, 0, true),
        (MediaFormat::G722, Encoding::G722, 9, true),
        (MediaFormat::Alaw, Encoding::Pcma, 8, true),
        (MediaFormat::Slin16, Encoding::L16Wideband, 11, true),
    ] {
        let mut lab = Lab::new();
        lab.call(format);
        lab.send_tone(encoding, payload_type, BRIDGE, 50);
        let loud = lab.caller.loud_frames(2_000);
        let what = format!("{encoding:?} on {payload_type} into {format}: {loud} loud frames");
        // Payload type 11 is taken for 8 kHz, so 16 kHz samples play at half speed, twice as long.
        let expected = if payload_type == 11 { 50..=60 } else { 49..=51 };
        assert_eq!(expected.contains(&loud), heard, "{what}");
        assert_eq!(loud > 0, heard, "{what}");
        assert_eq!(lab.asterisk.media_stats().dropped_payload_type, if heard { 0 } else { 50 }, "{what}");
        // Whether anything is heard or not, the ear gets a frame in each slot.
        assert!((58..=62).contains(&(lab.caller.heard().len() / FRAME_SAMPLES)), "{what}");
    }
}

#[test]
fn strict_rtp_learns_a_new_source_early_and_none_late() {
    let mut lab = Lab::new();
    lab.call(MediaFormat::Ulaw);
    lab.send_tone(Encoding::Pcmu, 0, "127.0.0.1:30999", 75);
    let stats = lab.asterisk.media_stats();
    assert_eq!((stats.taken, stats.dropped_source), (71, 4), "as measured: 71 of 75");

    let mut lab = Lab::new();
    lab.call(MediaFormat::Ulaw);
    lab.send_tone(Encoding::Pcmu, 0, BRIDGE, 300);
    lab.send_tone(Encoding::Pcmu, 0, "127.0.0.1:30999", 20);
    assert_eq!(lab.asterisk.media_stats().dropped_source, 20, "locked after five seconds");
}

#[test]
fn requests_are_refused_as_asterisk_refuses_them() {
    let mut lab = Lab::new();
    let caller = lab.call(MediaFormat::Ulaw);
    lab.put(Input::Dial { caller: 2, number: "2", exten: "200", answered: true });
    let second = lab.events.last().unwrap()["channel"]["id"].as_str().unwrap().to_owned();
    assert_eq!(lab.request("POST", &format!("/channels/{second}/continue?label=x")).0, 404);
    assert_eq!(lab.request("POST", &format!("/channels/{second}/continue")).0, 204);
    let second_on_bridge = format!("/bridges/b/addChannel?channel={second}");
    let media = "/channels/externalMedia?app=voice-agent&external_host=127.0.0.1:9";
    let with = |more: &str| format!("{media}&format=ulaw{more}");
    for (method, target, status, message) in [
        ("GET", "/applications/none", 404, "Application not found"),
        ("GET", "/none", 404, "Resource not found"),
        ("PUT", "/channels", 405, "Invalid method"),
        ("GET", "/channels/m/answer", 405, "Invalid method"),
        ("POST", "/channels/none/answer", 404, "Channel not found"),
        ("POST", &format!("/channels/{second}/answer"), 409, "Channel not in Stasis application"),
        ("GET", "/channels/m/variable", 400, "Variable name is required"),
        ("GET", "/channels/m/variable?variable=NONE", 404, "Provided variable was not found"),
        ("GET", "/channels/none/variable?variable=A", 404, "Provided channel was not found"),
        ("POST", "/bridges/b", 409, "Bridge with id 'b' already exists"),
        ("POST", "/bridges/c?type=none", 500, "Unable to create bridge. Possible duplicate bridge id 'c'"),
        ("POST", "/bridges/none/addChannel?channel=m", 404, "Bridge not found"),
        ("POST", "/bridges/b/addChannel?channel=m,none", 400, "Channel not found"),
        ("POST", "/bridges/b/addChannel", 400, "Missing parameter channel"),
        ("POST", &second_on_bridge, 422, "Channel not in Stasis application"),
        ("POST", "/channels/externalMedia", 400, "app cannot be empty"),
        ("POST", media, 400, "format cannot be empty"),
        ("POST", &with("&direction=x"), 400, "Invalid direction specified"),
        ("POST", &with("&transport=tcp"), 400, "transport must be 'udp' for rtp encapsulation"),
        ("POST", &with("&encapsulation=x"), 501, "The encapsulation and/or transport is not supported"),
        ("POST", &with("&channelId=m"), 500, "An internal error prevented this request from being handled"),
        (
            "POST",
            &format!("{media}&format=none"),
            500,
            "An internal error prevented this request from being handled",
        ),
    ] {
        let (got, body) = lab.request(method, target);
        assert_eq!((got, body["message"].as_str().unwrap()), (status, message), "{method} {target}");
    }
    assert_eq!(lab.request("GET", "/applications").1[0]["channel_ids"], serde_json::json!([caller, "m"]));
}

#[test]
fn every_module_that_a_call_needs_is_loaded_and_no_other() {
    let mut lab = Lab::new();
    for format in [MediaFormat::Slin16, MediaFormat::G722, MediaFormat::Ulaw, MediaFormat::Alaw] {
        for module in crate::check::modules_for(format) {
            let (status, body) = lab.request("GET", &format!("/asterisk/modules/{module}"));
            assert_eq!((status, &body["status"]), (200, &"Running".into()), "{module}");
        }
    }
    assert_eq!(lab.request("GET", "/asterisk/modules/chan_sip.so").0, 404);
}

#[test]
fn without_the_password_nothing_is_said() {
    let mut lab = Lab::new();
    for authorization in [None, Some("Basic eDp5"), Some("Bearer asterisk"), Some("Basic !")] {
        let target = "/ari/asterisk/info";
        lab.put(Input::Request { id: 1, method: "GET", target, authorization, body: b"" });
        assert_eq!(lab.replies.pop().unwrap().1, 401);
        lab.put(Input::EventsOpened { socket: 5, target: "/ari/events?app=x", authorization });
        assert_eq!(lab.other.pop(), Some(Output::Refused { socket: 5, status: 401 }));
    }
    let target = "/ari/asterisk/info?api_key=asterisk:asterisk&only=system";
    lab.put(Input::Request { id: 1, method: "GET", target, authorization: None, body: b"" });
    let (_, status, body) = lab.replies.pop().unwrap();
    assert_eq!((status, &body["system"]["version"], body.get("build")), (200, &"22.10.1".into(), None));
}

#[test]
fn a_caller_goes_on_in_the_dialplan_when_nobody_listens_or_the_application_says_so() {
    let mut lab = Lab::new();
    let caller = lab.call(MediaFormat::Ulaw);
    assert_eq!(lab.request("POST", &format!("/channels/{caller}/continue")).0, 204);
    assert_eq!(
        lab.told(),
        [
            format!("ChannelVarset {caller}BRIDGEPEER"),
            format!("ChannelLeftBridge {caller}"),
            format!("StasisEnd {caller}")
        ]
    );
    assert_eq!(lab.states.last(), Some(&CallerState::InDialplan));
    assert_eq!(
        lab.request("GET", "/bridges/b").1["channels"],
        serde_json::json!(["m"]),
        "the media channel stays"
    );

    lab.put(Input::EventsClosed { socket: 1 });
    lab.put(Input::Dial { caller: 2, number: "2", exten: "100", answered: false });
    assert_eq!(lab.states.last(), Some(&CallerState::InDialplan));
    let media =
        "/channels/externalMedia?app=voice-agent&external_host=127.0.0.1:9&format=ulaw&channelId=late";
    assert_eq!(lab.request("POST", media).0, 200, "as Asterisk answers, although the channel ends at once");
    assert_eq!(lab.request("GET", "/channels/late").0, 404);
    assert!(lab.events.is_empty());
    lab.put(Input::Hangup { caller: 2 });
    assert_eq!(lab.states.last(), Some(&CallerState::Gone));
}

#[test]
fn where_a_caller_goes_on_and_what_the_dialplan_finds_there_is_known() {
    let mut lab = Lab::new();
    for (caller, (place, at)) in (1..).zip([
        ("", "inbound,200,2"),
        ("?context=other", "other,s,1"),
        ("?extension=x", "inbound,x,1"),
        ("?priority=4", "inbound,200,4"),
        ("?context=other&priority=2", "other,s,2"),
        ("?context=other&extension=x&priority=3", "other,x,3"),
    ]) {
        lab.put(Input::Dial { caller, number: "1", exten: "200", answered: false });
        let id = lab.events.last().unwrap()["channel"]["id"].as_str().unwrap().to_owned();
        let status = format!("/channels/{id}/variable?variable=ARI_BRIDGE_STATUS&value=dead_air");
        assert_eq!(lab.request("POST", &status).0, 204);
        assert_eq!(lab.request("POST", &format!("/channels/{id}/continue{place}")).0, 204);
        assert_eq!(lab.asterisk.continued_at(caller), Some(at), "{place}");
        assert_eq!(lab.asterisk.continued_with(caller, "ARI_BRIDGE_STATUS"), Some("dead_air"));
        assert_eq!(lab.asterisk.continued_with(caller, "OTHER"), None);
        assert_eq!(lab.request("POST", &status).0, 409, "the channel is not ours any more");
    }
}

#[test]
fn a_caller_is_hung_up_for_a_reason_that_asterisk_knows() {
    let mut lab = Lab::new();
    for (caller, (reason, hung_up_for)) in
        (1..).zip([("", "normal"), ("?reason=congestion", "congestion"), ("?reason=normal", "normal")])
    {
        lab.put(Input::Dial { caller, number: "1", exten: "200", answered: false });
        let id = lab.events.last().unwrap()["channel"]["id"].as_str().unwrap().to_owned();
        assert_eq!(lab.request("DELETE", &format!("/channels/{id}?reason=rubbish")).0, 400);
        assert_eq!(lab.asterisk.hung_up_for(caller), None);
        assert_eq!(lab.request("DELETE", &format!("/channels/{id}{reason}")).0, 204);
        assert_eq!(lab.asterisk.hung_up_for(caller), Some(hung_up_for));
    }
}

#[test]
fn a_second_client_takes_the_application_over() {
    let mut lab = Lab::new();
    lab.open(2);
    assert_eq!(lab.told(), ["ApplicationReplaced"]);
    lab.put(Input::EventsClosed { socket: 1 });
    lab.put(Input::Dial { caller: 1, number: "1", exten: "1", answered: true });
    assert!(lab.out.iter().any(|output| matches!(output, Output::Event { socket: 2, .. })));
}

#[test]
fn a_test_puts_replies_and_events_in_any_order() {
    let mut lab = Lab::new();
    lab.asterisk.faults.refuse_next("POST /bridges/*", 503);
    assert_eq!(lab.request("POST", "/bridges/b").0, 503);
    assert_eq!(lab.request("POST", "/bridges/b").0, 200);

    // The abandoned POST that a DELETE overtakes.
    let media = "/channels/externalMedia?app=voice-agent&external_host=127.0.0.1:9&format=ulaw&channelId=m";
    lab.asterisk.faults.next("POST /channels/externalMedia", Fault::HoldRequest);
    let request =
        |id, method, target| Input::Request { id, method, target, authorization: Some(AUTH), body: b"" };
    lab.put(request(1, "POST", media));
    lab.put(request(2, "DELETE", "/channels/m"));
    assert_eq!(lab.replies.iter().map(|(id, status, _)| (*id, *status)).collect::<Vec<_>>(), [(2, 404)]);
    lab.out.clear();
    let _ = lab.asterisk.release(lab.now, &mut lab.out);
    lab.collect();
    assert_eq!((lab.replies[1].1, lab.asterisk.channel_count()), (200, 1));

    lab.events.clear();
    lab.asterisk.faults.reply_delay = Duration::from_millis(50);
    lab.put(request(3, "DELETE", "/channels/m"));
    assert_eq!((lab.events.len(), lab.replies.len()), (4, 2), "events first, the reply later");
    lab.run(60);
    assert_eq!(lab.replies.len(), 3);

    lab.out.clear();
    lab.asterisk.set_event_flow(EventFlow::Hold, &mut lab.out);
    lab.events.clear();
    lab.put(Input::Dial { caller: 1, number: "1", exten: "1", answered: false });
    assert!(lab.events.is_empty());
    lab.out.clear();
    lab.asterisk.set_event_flow(EventFlow::Flow, &mut lab.out);
    lab.collect();
    assert_eq!(lab.events.len(), 1);
}

#[test]
fn a_stalled_driver_is_not_flooded() {
    let mut lab = Lab::with(Settings { phones_send_silence: true, ..Settings::default() });
    lab.call(MediaFormat::Ulaw);
    lab.run(100);
    assert!((4..=5).contains(&lab.packets.len()), "{}", lab.packets.len());
    assert!(lab.packets.iter().all(|p| energy(&[i16::from(p[12] == 0xFF)]) == 1), "silence is 0xFF in µ-law");
    lab.packets.clear();
    lab.now = lab.now + Duration::from_secs(10);
    lab.put(Input::Timer);
    assert_eq!(lab.packets.len(), 5);
}

#[test]
fn rubbish_is_never_a_panic() {
    let mut lab = Lab::new();
    lab.call(MediaFormat::G722);
    let from: SocketAddr = BRIDGE.parse().unwrap();
    for len in 0..64 {
        let bytes: Vec<u8> = (0..len).map(|i| (i as u8).wrapping_mul(len as u8) ^ 0x80).collect();
        lab.put(Input::Datagram { local_port: lab.ports[0], from, bytes: &bytes });
        let text = String::from_utf8_lossy(&bytes).into_owned();
        lab.put(Input::Request {
            id: 1,
            method: &text,
            target: &text,
            authorization: Some(&text),
            body: &bytes,
        });
        lab.put(Input::EventsOpened { socket: 9, target: &text, authorization: Some(AUTH) });
    }
}

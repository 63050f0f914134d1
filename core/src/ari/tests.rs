//! Events in, requests out.

use super::*;
use crate::id::{CallId, IdPrefix, InstanceNonce};

fn path(request: Request<'_>) -> String {
    let mut out = Vec::new();
    request.write_path(&mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn a_stasis_start_as_asterisk_writes_it() {
    let event = br#"{"type":"StasisStart","timestamp":"2026-11-22T11:29:11.573+0000","args":["100","200"],
        "channel":{"id":"1795346951.0","name":"PJSIP/sipp-00000000","state":"Ring","protocol_id":"1-15644@127.0.0.1",
        "caller":{"name":"caller","number":"100"},"connected":{"name":"","number":""},"accountcode":"",
        "dialplan":{"context":"inbound","exten":"200","priority":3,"app_name":"Stasis","app_data":"voice-agent,100,200"},
        "creationtime":"2026-11-22T11:29:11.571+0000","language":"en"},
        "asterisk_id":"02:fc:00:00:00:01","application":"voice-agent"}"#;
    let event = Event::parse(event).unwrap();
    assert_eq!(event.kind, EventKind::StasisStart);
    let channel = event.channel.unwrap();
    assert_eq!((&*channel.id, channel.is_up(), channel.is_media()), ("1795346951.0", false, false));
}

#[test]
fn what_is_not_an_event_is_none() {
    for bytes in [
        &b""[..],
        b"{",
        b"[]",
        b"null",
        b"{}",
        br#"{"type":5}"#,
        br#"{"type":null}"#,
        b"\xff\xfe",
        br#"{"type":"StasisStart","channel":"no"}"#,
        // The fields in their order are no event either.
        br#"["StasisStart"]"#,
        br#"["StasisStart",{"id":"1"},null,null,"",[]]"#,
        br#"{"type":"StasisStart","channel":["1"]}"#,
        br#"{"type":"StasisStart","replace_channel":[]}"#,
        br#"{"type":"BridgeDestroyed","bridge":["b"]}"#,
    ] {
        assert!(Event::parse(bytes).is_none(), "{}", String::from_utf8_lossy(bytes));
    }
    assert!(Event::parse(&vec![b' '; MAX_EVENT_BYTES + 1]).is_none());
}

#[test]
fn an_unknown_event_without_a_channel_is_tolerated() {
    let event = Event::parse(br#"{"type":"NewInAsterisk30","channel":null}"#).unwrap();
    assert_eq!((event.kind, event.channel.is_none()), (EventKind::Other, true));
}

#[test]
fn the_media_address_is_in_the_reply_or_it_is_not() {
    let reply = br#"{"id":"x","channelvars":{"UNICASTRTP_LOCAL_PORT":"21378","UNICASTRTP_LOCAL_ADDRESS":"127.0.0.1"}}"#;
    assert_eq!(media_address(reply), Some("127.0.0.1:21378".parse().unwrap()));
    for without in [
        &br#"{"id":"x"}"#[..],
        br#"{"channelvars":null}"#,
        br#"{"channelvars":{"UNICASTRTP_LOCAL_PORT":"0"}}"#,
        b"",
    ] {
        assert_eq!(media_address(without), None);
    }
    assert_eq!(variable_port(br#"{"value":"21378"}"#), Some(21378));
    assert_eq!(variable_address(br#"{"value":"::1"}"#), Some("::1".parse().unwrap()));
}

#[test]
fn requests_are_written_as_the_api_description_names_them() {
    let ids = IdPrefix { nonce: InstanceNonce::new(1), call: CallId(7) };
    assert_eq!(
        path(Request::ExternalMedia {
            app: "voice-agent",
            channel: ids.resource(1),
            host: "::1",
            port: 30000,
            format: MediaFormat::Slin16
        }),
        "/channels/externalMedia?app=voice-agent&channelId=arib00000001-7-1&external_host=%5B%3A%3A1%5D%3A30000\
         &format=slin16&encapsulation=rtp&transport=udp&connection_type=client&direction=both&data=ari-bridge"
    );
    assert_eq!(
        path(Request::AddToBridge { bridge: ids.resource(2), caller: "1.2", media: ids.resource(1) }),
        "/bridges/arib00000001-7-2/addChannel?channel=1.2,arib00000001-7-1"
    );
}

#[test]
fn a_bridge_bears_the_name_of_the_application_that_made_it() {
    let bridge = IdPrefix { nonce: InstanceNonce::new(1), call: CallId(7) }.resource(2);
    let request = Request::CreateBridge { bridge, app: "voice agent&x" };
    assert_eq!(path(request), "/bridges?type=mixing&bridgeId=arib00000001-7-2&name=voice%20agent%26x");
}

#[test]
fn a_channel_that_went_on_is_shown_elsewhere_and_a_reply_without_a_dialplan_shows_nothing() {
    let shown = |reply: &str| is_shown_in(reply.as_bytes(), "voice-agent");
    for (dialplan, is_in) in [
        (r#"{"app_name":"Stasis","app_data":"voice-agent,100,200"}"#, true),
        (r#"{"app_name":"Stasis","app_data":"voice-agent"}"#, true),
        (r#"{"app_name":"Stasis","app_data":"voice-agent-2,100"}"#, false),
        (r#"{"app_name":"Dial","app_data":"voice-agent"}"#, false),
        (r#"{"app_name":"","app_data":""}"#, false),
    ] {
        assert_eq!(shown(&format!(r#"{{"id":"1.2","dialplan":{dialplan}}}"#)), Some(is_in), "{dialplan}");
    }
    for reply in ["", "{}", r#"{"id":"1.2"}"#, r#"{"id":"1.2","dialplan":7}"#, "[]", "\u{0}"] {
        assert_eq!(shown(reply), None, "{reply}");
    }
}

#[test]
fn a_caller_is_sent_on_or_sent_to_a_place_of_which_parts_may_be_left_to_asterisk() {
    let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    for (context, extension, priority, query) in [
        ("", "", None, ""),
        (
            "internal",
            "1001&priority=9",
            Some(1),
            "?context=internal&extension=1001%26priority%3D9&priority=1",
        ),
        ("agent-fallback", "", None, "?context=agent-fallback"),
        ("", "s", None, "?extension=s"),
        ("", "", Some(4), "?priority=4"),
        ("internal", "", Some(2), "?context=internal&priority=2"),
    ] {
        let place = Place { context: text(context), extension: text(extension), priority };
        let request = Request::Continue { caller: "1.2", to: &place };
        assert_eq!(path(request), format!("/channels/1.2/continue{query}"));
    }
}

#[test]
fn the_dialplan_is_told_by_a_channel_variable() {
    let request = Request::SetStatus { caller: "1/2", value: "dead_air" };
    assert_eq!(path(request), "/channels/1%2F2/variable?variable=ARI_BRIDGE_STATUS&value=dead_air");
    assert_eq!(request.method(), Method::Post);
}

#[test]
fn who_calls_stands_in_the_channel_or_in_the_arguments() {
    for (event, number) in [
        (
            r#"{"type":"StasisStart","args":["100","200"],"channel":{"id":"1","caller":{"number":"555"}}}"#,
            "555",
        ),
        (r#"{"type":"StasisStart","args":["100","200"],"channel":{"id":"1","caller":{"number":""}}}"#, "100"),
        (r#"{"type":"StasisStart","args":null,"channel":{"id":"1","caller":7}}"#, ""),
    ] {
        assert_eq!(Event::parse(event.as_bytes()).unwrap().caller_number(), number);
    }
}

#[test]
fn a_pressed_key_is_named() {
    let event = br##"{"type":"ChannelDtmfReceived","digit":"#","duration_ms":120,"channel":{"id":"1.2"}}"##;
    let event = Event::parse(event).unwrap();
    assert_eq!((event.kind, &*event.digit), (EventKind::ChannelDtmfReceived, "#"));
}

#[test]
fn a_hostile_channel_id_stays_one_path_segment() {
    let hang_up = |reason| path(Request::HangUp { caller: "../bridges/x?a=b&c", reason });
    assert_eq!(hang_up(HangupReason::Normal), "/channels/..%2Fbridges%2Fx%3Fa%3Db%26c");
    assert_eq!(hang_up(HangupReason::Congestion), "/channels/..%2Fbridges%2Fx%3Fa%3Db%26c?reason=congestion");
}

#[test]
fn a_list_is_nothing_that_asterisk_shows() {
    let reply = br#"["1","PJSIP/a-1","Up",["100"],["Stasis","voice-agent"]]"#;
    assert!(Channel::parse(reply).is_none() && Event::of_channel(reply).is_none());
    assert_eq!(is_shown_in(br#"{"dialplan":["Stasis","voice-agent"]}"#, "voice-agent"), None);
    assert_eq!(is_shown_in(br#"[["Stasis","voice-agent"]]"#, "voice-agent"), None);
    assert_eq!(media_address(br#"{"channelvars":["127.0.0.1","12000"]}"#), None);
    assert_eq!(variable_port(br#"["12000"]"#), None);
    assert!(application_channels(br#"[["1"]]"#).is_none() && bridges(br#"[["b","n"]]"#).is_none());
    assert_eq!(Started::parse(br#"{"status":["2026-11-22T11:29:11.573+0000"]}"#), None);
    let channel = Channel::parse(br#"{"id":"1","caller":["100"]}"#).unwrap();
    assert_eq!(&*channel.caller.number, "");
}

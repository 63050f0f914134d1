//! What Asterisk says.

use super::json::{Json, is_json};
use ari_bridge_core::ari::{
    Channel, Event, EventKind, HangupReason, MAX_EVENT_BYTES, Request, Started, application_channels,
    bridges, is_shown_in, media_address, variable_address, variable_port,
};
use ari_bridge_core::id::ResourceId;

/// The events that the bridge acts on.
const KINDS: [(&str, EventKind); 8] = [
    ("StasisStart", EventKind::StasisStart),
    ("StasisEnd", EventKind::StasisEnd),
    ("ChannelDestroyed", EventKind::ChannelDestroyed),
    ("ChannelHold", EventKind::ChannelHold),
    ("ChannelUnhold", EventKind::ChannelUnhold),
    ("ChannelDtmfReceived", EventKind::ChannelDtmfReceived),
    ("BridgeDestroyed", EventKind::BridgeDestroyed),
    ("ApplicationReplaced", EventKind::ApplicationReplaced),
];

/// Bytes as an ARI event, and as the body of every reply.
///
/// What is read is JSON and the same each time; it is what another reader of JSON finds there; no part of a message is
/// one; and a channel's name stays one segment of a path.
pub fn ari_event(bytes: &[u8]) {
    let event = Event::parse(bytes);
    assert_eq!(format!("{event:?}"), format!("{:?}", Event::parse(bytes)), "the same bytes, another event");
    let json = Json::parse(bytes);
    if let Some(event) = &event {
        assert!(is_json(bytes), "an event that is no JSON");
        assert!(bytes.len() <= MAX_EVENT_BYTES);
        assert!(Event::parse(&bytes[..bytes.trim_ascii_end().len() - 1]).is_none(), "half an event is one");
        for channel in [&event.channel, &event.replaces].into_iter().flatten() {
            check_names(channel);
        }
    }
    if let Some(json) = &json {
        check_event(bytes, event.as_ref(), json);
    }
    check_channel(bytes, json.as_ref());
    check_replies(bytes);
}

/// The event is what stands there.
fn check_event(bytes: &[u8], event: Option<&Event<'_>>, json: &Json) {
    let kind = json.get("type").and_then(Json::string).unwrap_or_default();
    // What is there of them is an object, or not there.
    let may_be = |name| json.get(name).is_none_or(|value| value.is_object() || value.is_null());
    let is_event = json.is_object()
        && !kind.is_empty()
        && ["channel", "replace_channel", "bridge"].map(may_be) == [true; 3];
    assert_eq!(event.is_some(), is_event && bytes.len() <= MAX_EVENT_BYTES, "{json:?}");
    let Some(event) = event else { return };
    let expected = KINDS.iter().find(|(name, _)| *name == kind).map_or(EventKind::Other, |(_, kind)| *kind);
    assert_eq!(event.kind, expected, "{kind}");
    assert_eq!(&*event.digit, json.text("digit"));
    for (read, name) in [(&event.channel, "channel"), (&event.replaces, "replace_channel")] {
        let there = json.get(name).filter(|value| value.is_object());
        assert_eq!(read.is_some(), there.is_some(), "{name}");
        if let (Some(read), Some(there)) = (read, there) {
            same_channel(read, there);
        }
    }
    if let (Some(read), Some(there)) = (&event.bridge, json.get("bridge")) {
        assert_eq!((&*read.id, &*read.name), (there.text("id"), there.text("name")));
    }
    if let Some(Json::List(args)) = json.get("args") {
        assert_eq!(event.args.len(), args.len());
    }
}

fn same_channel(read: &Channel<'_>, there: &Json) {
    assert_eq!(
        (&*read.id, &*read.name, &*read.state),
        (there.text("id"), there.text("name"), there.text("state"))
    );
    let number = there.get("caller").map(|caller| caller.text("number")).unwrap_or_default();
    assert_eq!(&*read.caller.number, number);
    let dialplan = |name| there.get("dialplan").map(|dialplan| dialplan.text(name)).unwrap_or_default();
    assert_eq!(&*read.dialplan.app_name, dialplan("app_name"));
    assert_eq!(&*read.dialplan.app_data, dialplan("app_data"));
}

/// A channel of a reply, and the event that is made of it.
fn check_channel(bytes: &[u8], json: Option<&Json>) {
    let channel = Channel::parse(bytes);
    let event = Event::of_channel(bytes);
    assert_eq!(channel.is_some(), event.is_some());
    if let (Some(channel), Some(json)) = (&channel, json) {
        same_channel(channel, json);
        assert!(!channel.id.is_empty() && json.is_object());
        let app = channel.dialplan.app_data.split(',').next().unwrap_or_default();
        if json.get("dialplan").is_some_and(Json::is_object) {
            assert_eq!(is_shown_in(bytes, app), Some(channel.is_in(app)));
        }
    }
    if let (Some(channel), Some(event)) = (channel, event) {
        assert_eq!(event.kind, EventKind::StasisStart);
        let of_event = event.channel.as_ref().expect("it is made of one");
        assert_eq!(&*of_event.id, &*channel.id);
        if !channel.caller.number.is_empty() {
            assert_eq!(event.caller_number(), &*channel.caller.number);
        }
        check_names(of_event);
    }
}

/// A name that somebody else chose stays one segment of a path, and one of ours reads back.
fn check_names(channel: &Channel<'_>) {
    for request in [
        Request::Look { caller: &channel.id },
        Request::HangUp { caller: &channel.id, reason: HangupReason::Normal },
    ] {
        let mut path = Vec::new();
        request.write_path(&mut path);
        let segment = path.strip_prefix(b"/channels/").expect("a channel's path");
        let is_one = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~%".contains(byte);
        assert!(segment.iter().all(is_one), "{:?} becomes {:?}", channel.id, path.escape_ascii().to_string());
    }
    if let Some(id) = ResourceId::parse(&channel.id) {
        assert_eq!(ResourceId::parse(&id.to_string()), Some(id));
        assert!(id.is(&channel.id));
    }
}

/// Whatever a reply says, it says it in JSON.
fn check_replies(bytes: &[u8]) {
    let told = [
        media_address(bytes).inspect(|address| assert_ne!(address.port(), 0)).is_some(),
        variable_address(bytes).is_some(),
        variable_port(bytes).inspect(|port| assert_ne!(*port, 0)).is_some(),
        is_shown_in(bytes, "voice-agent").is_some(),
        application_channels(bytes).is_some(),
        bridges(bytes).is_some(),
        Channel::parse(bytes).is_some(),
        Started::parse(bytes).is_some(),
    ];
    assert_eq!(Started::parse(bytes), Started::parse(bytes));
    assert!(!told.contains(&true) || is_json(bytes), "a reply that is no JSON: {told:?}");
}

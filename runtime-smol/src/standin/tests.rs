//! The stand-in for the Realtime server as a client of its socket has it, when something goes wrong.

use super::{Answered, RealtimeServer, parrot, serve_realtime};
use crate::link::{Down, Link, LinkEvent};
use crate::socket::Target;
use ari_bridge_core::call::IoFault;
use ari_bridge_core::id::LinkId;
use ari_bridge_core::sim::realtime::{Fault, Settings};
use async_tungstenite::tungstenite::http::HeaderName;
use smol::Timer;
use smol::future::{or, poll_fn};
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How long a test waits for what must come, and for what must not.
const PATIENCE: Duration = Duration::from_secs(10);
const A_WHILE: Duration = Duration::from_millis(400);

fn serve(session_limit: Duration) -> RealtimeServer {
    serve_realtime(Settings { session_limit, ..Settings::default() }, parrot).unwrap()
}

fn link(server: &RealtimeServer) -> Link {
    let url = server.url();
    let address = url.strip_prefix("ws://").and_then(|rest| rest.strip_suffix("/v1/realtime")).unwrap();
    let address: SocketAddr = address.parse().unwrap();
    let target = Target {
        tls: None,
        host: address.ip().to_string(),
        port: address.port(),
        host_header: address.to_string(),
        path: "/v1/realtime?model=gpt-realtime-2.1-mini".to_owned(),
        headers: vec![(HeaderName::from_static("authorization"), "Bearer sk-sim".to_owned())],
        proxy: None,
    };
    Link::open(LinkId(1), Arc::new(target))
}

/// What comes next, in words; `None` if nothing does.
fn next(link: &mut Link, within: Duration) -> Option<String> {
    let event = async { Some(poll_fn(|cx| link.poll_event(cx)).await) };
    let late = async {
        Timer::after(within).await;
        None
    };
    smol::block_on(or(event, late)).map(|event| match event {
        LinkEvent::Up => "up".to_owned(),
        LinkEvent::Alive => "alive".to_owned(),
        LinkEvent::Message(text) => String::from_utf8_lossy(&text).into_owned(),
        LinkEvent::Down(Down { http_status, retry_after, code, reason, fault }) => {
            let reason = String::from_utf8_lossy(&reason);
            format!("down {http_status:?} {retry_after:?} {code:?} {reason:?} {fault:?}")
        }
    })
}

/// The next that begins or goes on so.
fn wait_for(link: &mut Link, what: &str) -> String {
    loop {
        let event = next(link, PATIENCE).unwrap_or_else(|| panic!("{what} never came"));
        assert!(!event.starts_with("down") || event.contains(what), "{event} instead of {what}");
        if event.contains(what) {
            return event;
        }
    }
}

/// A link on which a session stands.
fn open(server: &RealtimeServer) -> Link {
    let mut link = link(server);
    wait_for(&mut link, "up");
    wait_for(&mut link, "conversation.created");
    link
}

fn send(link: &mut Link, text: &str) {
    smol::block_on(poll_fn(|cx| Poll::Ready(link.send(cx, text.as_bytes()))));
}

fn ping(link: &mut Link) {
    smol::block_on(poll_fn(|cx| Poll::Ready(link.ping(cx))));
}

#[test]
fn an_upgrade_is_refused_with_a_status_and_a_time_to_wait() {
    let server = serve(PATIENCE);
    for status in [401, 403, 404, 503] {
        server.answer(Answered::refused(status));
        let down = next(&mut link(&server), PATIENCE);
        assert_eq!(down, Some(format!("down Some({status}) None None \"\" None")));
    }
    server.answer(Answered::Refused { status: 429, retry_after: Some(7), body: "{}".to_owned() });
    let down = next(&mut link(&server), PATIENCE);
    assert_eq!(down, Some(r#"down Some(429) Some(7s) None "{}" None"#.to_owned()));
    server.answer(Answered::Served);
    drop(open(&server));
}

#[test]
fn a_session_ends_when_it_has_said_that_it_would() {
    let server = serve(Duration::from_secs(2));
    let mut link = link(&server);
    let created = wait_for(&mut link, "session.created");
    let (_, rest) = created.split_once(r#""expires_at":"#).unwrap();
    let expires_at: u64 = rest.split(',').next().unwrap().parse().unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    assert!((now..=now + 3).contains(&expires_at), "{expires_at} at {now}");
    wait_for(&mut link, "session_expired");
    wait_for(&mut link, "down None None Some(1001)");
    // And one that ends before its time.
    let server = serve(PATIENCE * 60);
    let mut link = open(&server);
    server.fail_all(&Fault::Expired);
    wait_for(&mut link, "session_expired");
    wait_for(&mut link, "down None None Some(1001)");
}

#[test]
fn a_connection_breaks_in_the_middle_of_a_message() {
    let server = serve(PATIENCE * 60);
    let mut link = open(&server);
    server.break_all();
    let down = next(&mut link, PATIENCE);
    assert_eq!(down, Some(format!("down None None None \"\" {:?}", Some(IoFault::Reset))));
}

#[test]
fn a_server_may_take_a_socket_and_say_nothing() {
    let server = serve(PATIENCE * 60);
    server.answer(Answered::Silent);
    let mut link = link(&server);
    assert_eq!(next(&mut link, PATIENCE).as_deref(), Some("up"));
    send(&mut link, r#"{"type":"response.create"}"#);
    assert_eq!(next(&mut link, A_WHILE), None);
    ping(&mut link);
    assert_eq!(next(&mut link, PATIENCE).as_deref(), Some("alive"));
}

#[test]
fn a_server_that_vanishes_answers_nothing_until_it_is_back() {
    let server = serve(PATIENCE * 60);
    let mut known = open(&server);
    let begun = Instant::now();
    server.vanish(A_WHILE * 3);
    ping(&mut known);
    send(&mut known, r#"{"type":"input_audio_buffer.clear"}"#);
    let mut new = link(&server);
    assert_eq!((next(&mut known, A_WHILE), next(&mut new, A_WHILE)), (None, None));
    wait_for(&mut known, "input_audio_buffer.cleared");
    wait_for(&mut new, "session.created");
    assert!(begun.elapsed() >= A_WHILE * 3, "{:?}", begun.elapsed());
}

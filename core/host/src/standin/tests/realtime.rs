//! The Realtime server, when something goes wrong.

use super::super::{Answered, RealtimeServer, parrot, serve_realtime};
use super::{A_WHILE, PATIENCE, connect, eventually, next, read_to_end, upgrade, wait_for};
use ari_bridge_core::sim::realtime::{Fault, Settings};
use async_tungstenite::tungstenite::protocol::Role;
use async_tungstenite::tungstenite::protocol::frame::CloseFrame;
use async_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use async_tungstenite::tungstenite::{Message, WebSocket};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

fn serve(session_limit: Duration) -> RealtimeServer {
    serve_realtime(Settings { session_limit, ..Settings::default() }, parrot).unwrap()
}

fn url(server: &RealtimeServer) -> String {
    server.url() + "?model=gpt-realtime-2.1-mini"
}

/// A socket on which nothing has been read.
fn link(server: &RealtimeServer) -> WebSocket<TcpStream> {
    upgrade(connect(&server.url()), &url(server), "Bearer sk-sim").unwrap()
}

/// A socket on which a session stands.
fn open(server: &RealtimeServer) -> WebSocket<TcpStream> {
    let mut link = link(server);
    wait_for(&mut link, "conversation.created");
    link
}

fn send(link: &mut WebSocket<TcpStream>, text: &str) {
    link.send(Message::text(text)).unwrap();
}

#[test]
fn an_upgrade_is_refused_with_a_status_and_a_time_to_wait() {
    let server = serve(PATIENCE);
    let refused = || upgrade(connect(&server.url()), &url(&server), "Bearer sk-sim").unwrap_err();
    for status in [401, 403, 404, 503] {
        server.answer(Answered::refused(status));
        let refused = refused();
        assert_eq!((refused.status().as_u16(), refused.headers().get("retry-after")), (status, None));
    }
    server.answer(Answered::Refused { status: 429, retry_after: Some(7), body: "{}".to_owned() });
    let refused = refused();
    assert_eq!((refused.status().as_u16(), &refused.headers()["retry-after"]), (429, &"7".parse().unwrap()));
    assert_eq!(refused.body().as_deref(), Some(&b"{}"[..]));
    server.answer(Answered::Served);
    drop(open(&server));
    let mut plain = connect(&server.url());
    plain.write_all(b"GET /v1/realtime HTTP/1.1\r\nConnection: close\r\n\r\n").unwrap();
    assert!(read_to_end(&mut plain).0.starts_with(b"HTTP/1.1 426 "));
}

#[test]
fn a_session_ends_when_it_has_said_that_it_would() {
    let server = serve(Duration::from_secs(2));
    let mut session = link(&server);
    let created = wait_for(&mut session, "session.created");
    let (_, rest) = created.split_once(r#""expires_at":"#).unwrap();
    let expires_at: u64 = rest.split(',').next().unwrap().parse().unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    assert!((now..=now + 3).contains(&expires_at), "{expires_at} at {now}");
    wait_for(&mut session, "session_expired");
    wait_for(&mut session, "closed Some(1001)");
    // And one that ends before its time.
    let server = serve(PATIENCE * 60);
    let mut session = open(&server);
    server.fail_all(&Fault::Expired);
    wait_for(&mut session, "session_expired");
    wait_for(&mut session, "closed Some(1001)");
    assert_eq!(server.open(), 0);
}

#[test]
fn a_connection_breaks_in_the_middle_of_a_message() {
    let server = serve(PATIENCE * 60);
    let mut session = open(&server);
    server.break_all();
    let over = next(&mut session, PATIENCE).unwrap();
    assert!(over.starts_with("over: ") && server.open() == 0, "{over}");
    // What is sent into it is not read: it ends with a reset.
    let mut session = open(&server);
    server.break_all();
    eventually("it broke", || server.open() == 0);
    send(&mut session, r#"{"type":"input_audio_buffer.clear"}"#);
    let (half, is_reset) = read_to_end(session.get_mut());
    assert!(half.starts_with(b"\x81\x7e\x10\x00{\"type\"") && half.len() < 4096 && is_reset, "{half:?}");
    assert_eq!(server.seen().closed, [], "no client has closed");
}

#[test]
fn a_server_may_take_a_socket_and_say_nothing() {
    let server = serve(PATIENCE * 60);
    server.answer(Answered::Silent);
    let mut session = link(&server);
    send(&mut session, r#"{"type":"response.create"}"#);
    assert_eq!(next(&mut session, A_WHILE), None);
    session.send(Message::Ping("".into())).unwrap();
    assert_eq!(next(&mut session, PATIENCE).as_deref(), Some("pong"));
    assert_eq!(server.seen().messages, [r#"{"type":"response.create"}"#]);
}

#[test]
fn a_server_that_vanishes_answers_nothing_until_it_is_back() {
    let server = serve(PATIENCE * 60);
    let mut known = open(&server);
    let begun = Instant::now();
    server.vanish(A_WHILE * 3);
    known.send(Message::Ping("".into())).unwrap();
    send(&mut known, r#"{"type":"input_audio_buffer.clear"}"#);
    let (address, target) = (server.url(), url(&server));
    let new = std::thread::spawn(move || {
        let link = upgrade(connect(&address), &target, "Bearer sk-sim").unwrap();
        (link, Instant::now())
    });
    assert_eq!(next(&mut known, A_WHILE), None);
    // Not even closed, though that is what becomes of it; and the one that comes meanwhile is not closed at all.
    server.close_all(1012, "");
    assert_eq!((next(&mut known, A_WHILE), new.is_finished(), server.open()), (None, false, 1));
    wait_for(&mut known, "input_audio_buffer.cleared");
    wait_for(&mut known, "closed Some(1012)");
    assert!(begun.elapsed() >= A_WHILE * 3, "{:?}", begun.elapsed());
    let (mut new, opened) = new.join().unwrap();
    assert!(opened - begun >= A_WHILE * 3, "{:?}", opened - begun);
    wait_for(&mut new, "session.created");
    assert_eq!(server.open(), 1);
}

#[test]
fn a_server_that_has_vanished_reads_nothing_and_still_stops_when_it_is_dropped() {
    let server = serve(PATIENCE * 60);
    let mut session = open(&server);
    server.vanish(PATIENCE * 6);
    for _ in 0..100 {
        send(&mut session, r#"{"type":"input_audio_buffer.clear"}"#);
    }
    std::thread::sleep(A_WHILE);
    assert_eq!(server.seen().messages.len(), 0);
    let begun = Instant::now();
    drop(server);
    assert!(read_to_end(session.get_mut()).1, "all that was not read is gone");
    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
}

#[test]
fn how_a_client_ended_is_told() {
    let server = serve(PATIENCE * 60);
    let mut session = open(&server);
    let farewell = CloseFrame { code: CloseCode::Away, reason: "".into() };
    session.close(Some(farewell)).unwrap();
    assert_eq!(next(&mut session, PATIENCE).as_deref(), Some("closed Some(1001)"));
    assert!(next(&mut session, PATIENCE).unwrap().starts_with("over: "), "the server closes the connection");
    drop(open(&server));
    eventually("both are told", || server.seen().closed == [Some(1001), None]);
    assert_eq!((server.open(), server.seen().opened), (0, 2));
}

#[test]
fn a_client_that_does_not_say_goodbye_is_not_waited_for_long() {
    let server = serve(PATIENCE * 60);
    let mut session = open(&server);
    let begun = Instant::now();
    server.close_all(1000, "enough");
    let (farewell, _) = read_to_end(session.get_mut());
    assert_eq!(farewell, b"\x88\x08\x03\xe8enough");
    let waited = begun.elapsed();
    assert!((Duration::from_secs(1)..Duration::from_secs(5)).contains(&waited), "{waited:?}");
}

#[test]
fn what_comes_in_one_piece_with_the_upgrade_is_answered_to_the_last_message() {
    let server = serve(PATIENCE * 60);
    let mut stream = connect(&server.url());
    let mut piece = b"GET /v1/realtime?model=gpt-realtime-2.1-mini HTTP/1.1\r\nConnection: Upgrade\r\n\
        Upgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
        Authorization: Bearer sk-sim\r\n\r\n"
        .to_vec();
    let clear = br#"{"type":"input_audio_buffer.clear"}"#;
    for _ in 0..80 {
        // A text frame with a mask of zeros.
        piece.extend([0x81, 0x80 | clear.len() as u8, 0, 0, 0, 0]);
        piece.extend(clear);
    }
    // The server takes 4 KiB at once while it reads requests, so that it stops between two frames or in one.
    assert!(piece.len() < 4096, "{}", piece.len());
    stream.write_all(&piece).unwrap();
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        head.extend(byte);
    }
    // The answer to the key of RFC 6455 §1.3.
    let head = String::from_utf8(head).unwrap();
    assert!(head.starts_with("HTTP/1.1 101 ") && head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
    let mut session = WebSocket::from_raw_socket(stream, Role::Client, None);
    for _ in 0..80 {
        wait_for(&mut session, "input_audio_buffer.cleared");
    }
    assert_eq!(next(&mut session, A_WHILE), None);
}

#[test]
fn a_client_that_does_not_read_is_cut_off_and_stalls_nobody() {
    let server = serve(PATIENCE * 60);
    let (mut deaf, mut other) = (open(&server), open(&server));
    let text = "x".repeat(256 * 1024);
    let content = format!(r#"[{{"type":"input_text","text":"{text}"}}]"#);
    let item = format!(r#"{{"type":"message","role":"user","id":"long","content":{content}}}"#);
    send(&mut deaf, &format!(r#"{{"type":"conversation.item.create","item":{item}}}"#));
    wait_for(&mut deaf, "conversation.item.done");
    // More than the buffers of both sides' systems hold, too.
    for _ in 0..200 {
        send(&mut deaf, r#"{"type":"conversation.item.retrieve","item_id":"long"}"#);
    }
    let begun = Instant::now();
    send(&mut other, r#"{"type":"input_audio_buffer.clear"}"#);
    wait_for(&mut other, "input_audio_buffer.cleared");
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    eventually("it is cut off", || server.seen().closed == [None]);
    assert_eq!(server.open(), 1);
    // What was on its way still arrives, and why there is no more.
    let (received, _) = read_to_end(deaf.get_mut());
    assert!(received.len() < 150 * text.len(), "{}", received.len());
    assert!(received.ends_with(b"\x88\x02\x03\xf3"), "closed with 1011");
}

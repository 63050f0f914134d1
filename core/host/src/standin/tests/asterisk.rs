//! Asterisk, as a client of ARI has it.

use super::super::{AsteriskServer, serve_asterisk};
use super::{A_WHILE, PATIENCE, connect, eventually, next, read_to_end, upgrade, wait_for};
use ari_bridge_core::sim::asterisk::{CallerState, Fault, Settings};
use ari_bridge_core::sim::caller::Caller;
use async_tungstenite::tungstenite::WebSocket;
use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::time::{Duration, Instant};

/// `asterisk:asterisk`.
const BASIC: &str = "Basic YXN0ZXJpc2s6YXN0ZXJpc2s=";

fn serve() -> AsteriskServer {
    serve_asterisk(Settings::default()).unwrap()
}

fn events(server: &AsteriskServer) -> WebSocket<TcpStream> {
    let url = server.url().replace("http", "ws") + "/ari/events?app=voice-agent";
    upgrade(connect(&server.url()), &url, BASIC).unwrap()
}

fn ask(stream: &mut TcpStream, method: &str, path: &str) {
    write!(stream, "{method} /ari{path} HTTP/1.1\r\nAuthorization: {BASIC}\r\n\r\n").unwrap();
}

/// The status and the body of the next answer.
fn answer(stream: &mut TcpStream) -> (u16, String) {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        head.extend(byte);
    }
    let head = String::from_utf8(head).unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).unwrap_or("0");
    let mut body = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut body).unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), String::from_utf8(body).unwrap())
}

fn request(server: &AsteriskServer, method: &str, path: &str) -> (u16, String) {
    let mut stream = connect(&server.url());
    ask(&mut stream, method, path);
    answer(&mut stream)
}

/// What stands behind this name in the JSON, up to the next quotation mark.
fn text_behind<'a>(json: &'a str, name: &str) -> &'a str {
    let (_, rest) = json.split_once(&format!(r#""{name}":""#)).unwrap();
    rest.split('"').next().unwrap()
}

#[test]
fn events_come_to_who_has_the_password() {
    let server = serve();
    let url = server.url().replace("http", "ws") + "/ari/events?app=voice-agent";
    let refused = upgrade(connect(&server.url()), &url, "Basic eDp5").unwrap_err();
    assert_eq!(refused.status(), 401);
    let mut socket = events(&server);
    server.dial(1, "+4930123456", "100");
    wait_for(&mut socket, "StasisStart");
    server.hang_up(1);
    wait_for(&mut socket, "StasisEnd");
    assert!(server.wait(1, PATIENCE, |seen| seen.states.iter().any(|(_, s)| *s == CallerState::Gone)));
    server.with(|machine, _, out| machine.close_sockets(out));
    wait_for(&mut socket, "closed Some(1000)");
    assert!(next(&mut socket, PATIENCE).unwrap().starts_with("over: "));
}

#[test]
fn nobody_is_told_of_a_caller_once_the_event_socket_is_gone() {
    let server = serve();
    let socket = events(&server);
    drop(socket);
    eventually("the dialplan knows", || {
        let (_, applications) = request(&server, "GET", "/applications");
        applications == "[]"
    });
    server.dial(1, "+4930123456", "100");
    assert!(server.wait(1, PATIENCE, |seen| seen.states.iter().any(|(_, s)| *s == CallerState::InDialplan)));
}

#[test]
fn requests_come_in_any_pieces_and_are_answered_in_their_order() {
    let server = serve();
    let mut stream = connect(&server.url());
    stream.set_nodelay(true).unwrap();
    let three = format!(
        "GET /ari/asterisk/info HTTP/1.1\r\nAuthorization: {BASIC}\r\n\r\n\
         GET /ari/channels/none HTTP/1.1\r\nAuthorization: {BASIC}\r\n\r\n\
         GET /ari/bridges HTTP/1.1\r\nAuthorization: {BASIC}\r\nConnection: close\r\n\r\n"
    );
    let (slowly, at_once) = three.as_bytes().split_at(60);
    for byte in slowly.chunks(1) {
        stream.write_all(byte).unwrap();
        std::thread::sleep(Duration::from_millis(1));
    }
    stream.write_all(at_once).unwrap();
    let answers = [answer(&mut stream), answer(&mut stream), answer(&mut stream)];
    assert!(answers[0].1.contains("22.10.1"), "{answers:?}");
    assert_eq!(answers.map(|(status, _)| status), [200, 404, 200]);
    assert_eq!(read_to_end(&mut stream), (Vec::new(), false), "as was asked for");
    let mut nonsense = connect(&server.url());
    nonsense.write_all(b"EHLO example.org\r\n\r\n").unwrap();
    assert!(read_to_end(&mut nonsense).0.is_empty());
}

#[test]
fn a_reply_that_is_held_back_holds_only_its_connection() {
    let server = serve();
    server.with(|machine, _, _| {
        machine.faults.next("POST /bridges", Fault::HoldReply);
        machine.faults.next("POST /bridges", Fault::LoseReply);
    });
    let (mut held, mut lost) = (connect(&server.url()), connect(&server.url()));
    ask(&mut held, "POST", "/bridges?bridgeId=held");
    eventually("the bridge is there", || server.objects().1 == 1);
    ask(&mut lost, "POST", "/bridges?bridgeId=lost");
    eventually("the other bridge is there", || server.objects().1 == 2);
    assert_eq!(request(&server, "POST", "/bridges?bridgeId=other").0, 200);
    held.set_read_timeout(Some(A_WHILE)).unwrap();
    assert!(held.read(&mut [0]).is_err(), "nothing comes");
    let _ = server.with(|machine, now, out| machine.release(now, out));
    held.set_read_timeout(Some(PATIENCE)).unwrap();
    let (status, body) = answer(&mut held);
    assert_eq!((status, text_behind(&body, "id")), (200, "held"));
    ask(&mut held, "GET", "/bridges/held");
    assert_eq!(answer(&mut held).0, 200, "the connection goes on");
    // The one that is never answered ends with the server, and so does every other, and nobody listens any more.
    let (url, mut socket) = (server.url(), events(&server));
    drop(server);
    assert_eq!((read_to_end(&mut lost), read_to_end(&mut held)), ((Vec::new(), false), (Vec::new(), false)));
    assert!(wait_for(&mut socket, "over").starts_with("over: "));
    assert!(TcpStream::connect(url.trim_start_matches("http://")).is_err());
}

#[test]
fn a_delayed_reply_comes_when_it_is_due_though_nothing_else_happens() {
    let server = serve();
    server.with(|machine, _, _| machine.faults.reply_delay = A_WHILE);
    let begun = Instant::now();
    assert_eq!(request(&server, "GET", "/channels"), (200, "[]".to_owned()));
    assert!((A_WHILE..A_WHILE * 3).contains(&begun.elapsed()), "{:?}", begun.elapsed());
}

#[test]
fn a_caller_and_a_media_port_hear_each_other_at_fifty_packets_a_second() {
    let server = serve();
    let mut socket = events(&server);
    let rtp = UdpSocket::bind("127.0.0.1:0").unwrap();
    rtp.set_read_timeout(Some(PATIENCE)).unwrap();
    server.dial(1, "+4930123456", "100");
    let channel = wait_for(&mut socket, "StasisStart");
    let caller = text_behind(channel.split_once(r#""channel":"#).unwrap().1, "id").to_owned();
    let host = rtp.local_addr().unwrap();
    let media =
        format!("/channels/externalMedia?app=voice-agent&external_host={host}&format=ulaw&channelId=m");
    let (status, channel) = request(&server, "POST", &media);
    let port: u16 = text_behind(&channel, "UNICASTRTP_LOCAL_PORT").parse().unwrap();
    assert_eq!((status, request(&server, "POST", "/bridges?bridgeId=b").0), (200, 200));
    wait_for(&mut socket, "StasisStart");
    let join = format!("/bridges/b/addChannel?channel={caller},m");
    assert_eq!(request(&server, "POST", &join).0, 204);
    assert_eq!(request(&server, "POST", &format!("/channels/{caller}/answer")).0, 204);
    // Up: a second of speech. There is more, because a machine that stands still leaves out what it missed.
    server.speak(1, &Caller::recorded().speech()[..48_000]);
    let mut packet = [0; 2048];
    let begun = rtp.recv(&mut packet).map(|_| Instant::now()).unwrap();
    for _ in 1..50 {
        rtp.recv(&mut packet).unwrap();
    }
    let lasted = begun.elapsed();
    assert!((Duration::from_millis(900)..Duration::from_millis(2000)).contains(&lasted), "{lasted:?}");
    // Down: half a second of µ-law.
    let mut frame = [0x00; 172];
    (frame[0], frame[1]) = (0x80, 0);
    for n in 0..25_u16 {
        frame[2..4].copy_from_slice(&n.to_be_bytes());
        frame[4..8].copy_from_slice(&(u32::from(n) * 160).to_be_bytes());
        rtp.send_to(&frame, ("127.0.0.1", port)).unwrap();
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(server.wait(1, PATIENCE, |seen| seen.ear.loud_frames(300) >= 20), "{:?}", server.media_stats());
    assert_eq!(server.media_stats().taken, 25);
    // What comes after the channel is gone does not reach the next one that has the port.
    assert_eq!(request(&server, "DELETE", "/channels/m").0, 204);
    rtp.send_to(&frame, ("127.0.0.1", port)).unwrap();
    std::thread::sleep(Duration::from_millis(50));
    let (_, channel) = request(&server, "POST", &media);
    assert_eq!(text_behind(&channel, "UNICASTRTP_LOCAL_PORT"), port.to_string());
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(server.media_stats().taken, 25);
}

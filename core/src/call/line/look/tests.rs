//! What a call does about events that it has not got.

use super::*;
use crate::ari::Event;
use crate::call::Action;
use crate::fault::IoFault;
use crate::format::MediaFormat;
use crate::id::{CallId, IdPrefix, InstanceNonce, RequestId};
use crate::observe::Observation;

const CALLER: &str = "GET /channels/17.1";
const MEDIA: &str = "GET /channels/arib00000001-1-1";
const HERE: &str = r#"{"id":"x","dialplan":{"app_name":"Stasis","app_data":"voice-agent,100,200"}}"#;
const ELSEWHERE: &str = r#"{"id":"x","dialplan":{"app_name":"Wait","app_data":"60"}}"#;
const MADE: &str =
    r#"{"channelvars":{"UNICASTRTP_LOCAL_PORT":"21378","UNICASTRTP_LOCAL_ADDRESS":"127.0.0.1"}}"#;
const MEDIA_START: &str = r#"{"type":"StasisStart","channel":{"id":"arib00000001-1-1"}}"#;

/// A line, a clock, and the requests that are open.
struct Bench {
    line: Line,
    now: Instant,
    out: Actions,
    open: Vec<(RequestId, String)>,
    /// How many lines the log would have.
    told: usize,
}

impl Bench {
    /// A call that has asked for nothing yet.
    fn new() -> Self {
        let ids = IdPrefix { nonce: InstanceNonce::new(1), call: CallId(1) };
        let start = Event::parse(br#"{"type":"StasisStart","channel":{"id":"17.1","state":"Up"}}"#);
        let caller = start.and_then(|event| event.channel);
        Self {
            line: Line::new("voice-agent", MediaFormat::Slin16, ids, caller.as_ref()),
            now: Instant::from_millis(1000),
            out: Actions::new(),
            open: Vec::new(),
            told: 0,
        }
    }

    /// Its media channel was asked for, and that is not answered.
    fn asking() -> Self {
        let mut bench = Self::new();
        bench.line.media_is_up("127.0.0.1".to_owned(), 30_000);
        bench.go_on();
        bench.reply("POST /bridges", 200, "").expect("the bridge is there");
        bench
    }

    /// Its media channel is made and has not entered the application, as far as is known.
    fn made() -> Self {
        let mut bench = Self::asking();
        bench.reply("POST /channels/externalMedia", 200, MADE).expect("the channel is made");
        bench
    }

    /// It runs.
    fn running() -> Self {
        let mut bench = Self::made();
        bench.event(MEDIA_START).expect("the channel is here");
        bench.reply("POST /bridges/arib00000001-1-2/addChannel", 204, "").expect("they are bridged");
        assert!(bench.line.is_answered() && bench.open.is_empty());
        bench
    }

    fn go_on(&mut self) -> Vec<String> {
        self.line.set_up(true, &mut self.out);
        let mut sent = Vec::new();
        for action in self.out.iter() {
            match action {
                Action::Ari { id, method, path, .. } => {
                    let request = format!("{} {}", method.as_str(), self.out.text(path));
                    self.open.push((id, request.clone()));
                    sent.push(request);
                }
                Action::Observe(Observation::AriNoReply { .. } | Observation::AriRefused { .. }) => {
                    self.told += 1;
                }
                _ => {}
            }
        }
        self.out.clear();
        sent
    }

    fn take(&mut self, request: &str) -> RequestId {
        let is_it = |(_, open): &(RequestId, String)| open.starts_with(request);
        let at = self.open.iter().position(is_it).unwrap_or_else(|| panic!("{request}: {:?}", self.open));
        self.now = self.now + Duration::from_millis(1);
        self.open.remove(at).0
    }

    /// Answers an open request that begins so.
    fn reply(&mut self, request: &str, status: u16, body: &str) -> Result<Vec<String>, EndReason> {
        let id = self.take(request);
        self.line.reply(self.now, id, status, body.as_bytes(), &mut self.out)?;
        Ok(self.go_on())
    }

    fn fails(&mut self, request: &str) -> Result<Vec<String>, EndReason> {
        let id = self.take(request);
        self.line.no_reply(self.now, id, IoFault::TimedOut, &mut self.out)?;
        Ok(self.go_on())
    }

    fn event(&mut self, json: &str) -> Result<Vec<String>, EndReason> {
        self.line.event(&Event::parse(json.as_bytes()).expect("an event"))?;
        Ok(self.go_on())
    }

    fn link(&mut self, state: LinkState) -> Vec<String> {
        self.now = self.now + Duration::from_millis(1);
        self.line.link(self.now, state, &mut self.out);
        self.go_on()
    }

    /// Time passes until something is due; what is done then, and how long it took.
    fn waits(&mut self) -> (Duration, Result<Vec<String>, EndReason>) {
        let since = self.now;
        self.now = self.line.look_deadline(None).expect("something is due").max(self.now);
        let done = self.line.look_again(self.now, None, &mut self.out);
        let sent = self.go_on();
        assert!(
            self.line.look_deadline(None).is_none_or(|at| done.is_err() || at > self.now),
            "it would spin"
        );
        (self.now.since(since), done.map(|()| sent))
    }

    /// What is let go of at the end.
    fn lets_go(&mut self) -> Vec<String> {
        self.line.let_go(super::super::Farewell::HangUp, self.now, false, &mut self.out);
        self.go_on_is_over()
    }

    fn go_on_is_over(&mut self) -> Vec<String> {
        let request = |action| match action {
            Action::Ari { method, path, .. } => Some(format!("{} {}", method.as_str(), self.out.text(path))),
            _ => None,
        };
        self.out.iter().filter_map(request).collect()
    }
}

#[test]
fn after_a_gap_it_is_looked_once_and_what_is_there_goes_on() {
    let mut bench = Bench::running();
    bench.link(LinkState::Down);
    assert_eq!(bench.link(LinkState::Up), [CALLER, MEDIA]);
    assert_eq!(bench.reply(CALLER, 200, HERE), Ok(vec![]));
    assert_eq!(bench.reply(MEDIA, 200, HERE), Ok(vec![]));
    assert_eq!(bench.line.look_deadline(None), None);
}

#[test]
fn a_caller_who_left_in_the_gap_is_not_ours_to_let_go_whether_hung_up_or_gone_on_in_the_dialplan() {
    for (status, body) in [(404, ""), (404, HERE), (200, ELSEWHERE)] {
        let mut bench = Bench::running();
        bench.link(LinkState::Up);
        assert_eq!(bench.reply(CALLER, status, body), Err(EndReason::CallerHungUp));
        assert_eq!(
            bench.lets_go(),
            ["DELETE /channels/arib00000001-1-1", "DELETE /bridges/arib00000001-1-2"],
            "{status} {body}"
        );
    }
}

#[test]
fn what_cannot_be_read_proves_nothing() {
    for body in ["", "{", "[]", r#"{"id":"17.1"}"#, r#"{"id":"17.1","dialplan":null}"#] {
        let mut bench = Bench::running();
        bench.link(LinkState::Up);
        assert_eq!(bench.reply(CALLER, 200, body), Ok(vec![]));
        assert_eq!(bench.reply(MEDIA, 200, body), Ok(vec![]));
    }
}

#[test]
fn a_media_channel_that_went_in_the_gap_ends_the_call() {
    for (status, body) in [(404, ""), (200, ELSEWHERE)] {
        let mut bench = Bench::running();
        bench.link(LinkState::Up);
        assert_eq!(bench.reply(MEDIA, status, body), Err(EndReason::AriFault));
        assert!(bench.lets_go().contains(&"DELETE /channels/17.1".to_owned()), "{status}");
    }
}

#[test]
fn nothing_is_looked_for_that_was_not_asked_for() {
    let mut bench = Bench::new();
    bench.go_on();
    bench.link(LinkState::Down);
    assert_eq!(bench.link(LinkState::Up), [CALLER]);
    assert_eq!(bench.line.look_deadline(None), None);
}

#[test]
fn while_the_fate_of_the_create_is_unknown_a_404_proves_nothing() {
    let mut bench = Bench::asking();
    assert_eq!(bench.link(LinkState::Up), [CALLER, MEDIA]);
    // The look was executed before the create, and its reply comes after that one's.
    bench.reply("POST /channels/externalMedia", 200, MADE).expect("the channel is made");
    assert_eq!(bench.reply(MEDIA, 404, ""), Ok(vec![]));
    // It enters the application when it was shown already on its way there.
    assert_eq!(bench.event(MEDIA_START).expect("the channel is here").len(), 1);
}

#[test]
fn a_media_channel_whose_entering_was_lost_is_bridged_all_the_same() {
    let mut bench = Bench::made();
    bench.link(LinkState::Up);
    assert_eq!(bench.reply(MEDIA, 200, ELSEWHERE), Ok(vec![]), "it has yet to enter");
    bench.link(LinkState::Up);
    let sent = bench.reply(MEDIA, 200, HERE).expect("the channel is here");
    assert_eq!(sent, ["POST /bridges/arib00000001-1-2/addChannel?channel=17.1,arib00000001-1-1"]);
}

#[test]
fn a_set_up_that_hears_of_nothing_looks_for_its_media_channel_often() {
    let mut bench = Bench::asking();
    bench.link(LinkState::Down);
    bench.reply("POST /channels/externalMedia", 200, MADE).expect("the channel is made");
    for _ in 0..3 {
        assert_eq!(bench.waits(), (LOOK_SOON, Ok(vec![MEDIA.to_owned()])));
        assert_eq!(bench.reply(MEDIA, 200, ELSEWHERE), Ok(vec![]));
    }
    bench.waits().1.expect("nothing is lost");
    assert_eq!(bench.reply(MEDIA, 200, HERE).map(|sent| sent.len()), Ok(1));
    assert_eq!(bench.reply("POST /bridges/arib00000001-1-2/addChannel", 204, ""), Ok(vec![]));
    assert!(bench.line.is_answered());
}

#[test]
fn while_events_are_away_it_is_looked_every_five_seconds_and_who_hangs_up_is_no_ghost() {
    let mut bench = Bench::running();
    bench.link(LinkState::Down);
    bench.link(LinkState::Down);
    for _ in 0..30 {
        let (waited, sent) = bench.waits();
        assert!(waited <= LOOK_EVERY && waited > LOOK_EVERY - Duration::from_millis(10), "{waited:?}");
        assert_eq!(sent, Ok(vec![CALLER.to_owned(), MEDIA.to_owned()]));
        assert_eq!(bench.reply(MEDIA, 200, HERE), Ok(vec![]));
        assert_eq!(bench.reply(CALLER, 200, HERE), Ok(vec![]));
        // Both are due at once again.
        bench.line.watch.media.at = bench.line.watch.caller.at;
    }
    bench.waits().1.expect("nothing is lost");
    assert_eq!(bench.reply(CALLER, 404, ""), Err(EndReason::CallerHungUp));
}

#[test]
fn looks_that_fail_are_told_of_once_in_a_gap() {
    let mut bench = Bench::running();
    for gap in 1..=2 {
        bench.link(LinkState::Down);
        for _ in 0..4 {
            while bench.open.is_empty() {
                bench.waits().1.expect("nothing is lost");
            }
            while let Some((_, request)) = bench.open.first().cloned() {
                if request == CALLER { bench.reply(&request, 503, "") } else { bench.fails(&request) }
                    .expect("it is looked again");
            }
        }
        assert_eq!(bench.told, gap);
        bench.link(LinkState::Up);
        bench.reply(CALLER, 200, HERE).expect("the caller is here");
        bench.reply(MEDIA, 200, HERE).expect("the channel is here");
    }
}

#[test]
fn an_asterisk_of_which_nothing_is_seen_for_a_minute_is_gone_for_good() {
    let mut bench = Bench::running();
    bench.link(LinkState::Down);
    let away_since = bench.now;
    let ended = loop {
        if let Some((_, request)) = bench.open.first().cloned() {
            bench.fails(&request).expect("one look without an answer says nothing");
        } else if let Err(reason) = bench.waits().1 {
            break reason;
        }
    };
    assert_eq!((ended, bench.now), (EndReason::AriFault, away_since + GONE_AFTER));
}

#[test]
fn one_from_which_packets_come_is_not() {
    let mut bench = Bench::running();
    bench.link(LinkState::Down);
    let heard_at = bench.now + Duration::from_secs(100);
    let nearly = heard_at + GONE_AFTER - Duration::from_millis(1);
    assert_eq!(bench.line.look_again(nearly, Some(heard_at), &mut bench.out), Ok(()));
    let lost = bench.line.look_again(heard_at + GONE_AFTER, Some(heard_at), &mut bench.out);
    assert_eq!(lost, Err(EndReason::AriFault));
    bench.link(LinkState::Up);
    assert_eq!(bench.line.look_again(heard_at + GONE_AFTER * 2, Some(heard_at), &mut bench.out), Ok(()));
}

#[test]
fn what_a_look_at_a_channel_shows_says_nothing_of_the_one_that_took_its_place() {
    let mut bench = Bench::running();
    bench.link(LinkState::Up);
    bench
        .event(r#"{"type":"StasisStart","channel":{"id":"17.9"},"replace_channel":{"id":"17.1"}}"#)
        .expect("the caller is another");
    let sent = bench.reply(CALLER, 404, "");
    assert_eq!(sent, Ok(vec!["GET /channels/17.9".to_owned()]));
    assert_eq!(bench.reply("GET /channels/17.9", 404, ""), Err(EndReason::CallerHungUp));
}

#[test]
fn a_call_that_is_over_looks_at_nothing() {
    let mut bench = Bench::running();
    bench.link(LinkState::Up);
    bench.link(LinkState::Up);
    bench.lets_go();
    bench.out.clear();
    for request in [CALLER, MEDIA] {
        let id = bench.take(request);
        bench.line.reply(bench.now, id, 200, HERE.as_bytes(), &mut bench.out).expect("all is there");
    }
    assert_eq!(bench.go_on_is_over(), Vec::<String>::new());
}

//! How the caller is let go.

use super::*;
use crate::id::{CallId, InstanceNonce};
use proptest::prelude::*;

/// What the operator has set.
fn fallback() -> Place {
    Place { context: Some("agent-fallback".into()), extension: Some("s".into()), priority: None }
}

/// A line whose call is over, a clock, and the requests that are open.
struct Bench {
    line: Line,
    now: Instant,
    out: Actions,
    fallback: Option<Place>,
    is_refused: bool,
    open: Vec<(RequestId, String, Duration)>,
    is_over: bool,
}

impl Bench {
    fn new() -> Self {
        let ids = IdPrefix { nonce: InstanceNonce::new(1), call: CallId(1) };
        let start = Event::parse(br#"{"type":"StasisStart","channel":{"id":"17.1","state":"Ring"}}"#);
        let caller = start.and_then(|event| event.channel);
        Self {
            line: Line::new("voice-agent", MediaFormat::Slin16, ids, caller.as_ref()),
            now: Instant::from_millis(1000),
            out: Actions::new(),
            fallback: Some(fallback()),
            is_refused: false,
            open: Vec::new(),
            is_over: false,
        }
    }

    /// Lets go; what was sent.
    fn go_on(&mut self, timer: bool) -> Vec<String> {
        self.now = self.now + Duration::from_millis(1);
        let farewell = match &self.fallback {
            Some(place) => Farewell::Continue { status: "dead_air", to: Some(place) },
            None if self.is_refused => Farewell::Refuse,
            None => Farewell::HangUp,
        };
        self.is_over = self.line.let_go(farewell, self.now, timer, &mut self.out);
        self.sent()
    }

    fn sent(&mut self) -> Vec<String> {
        let mut sent = Vec::new();
        for action in self.out.iter() {
            if let Action::Ari { id, method, path, timeout, .. } = action {
                let request = format!("{} {}", method.as_str(), self.out.text(path));
                self.open.push((id, request.clone(), timeout));
                sent.push(request);
            }
        }
        self.out.clear();
        sent
    }

    fn is_open(&self, part: &str) -> usize {
        self.open.iter().filter(|(_, request, _)| request.contains(part)).count()
    }

    /// Answers the oldest open request; what is sent then.
    fn reply(&mut self, status: u16) -> Vec<String> {
        let (id, ..) = self.open.remove(0);
        self.now = self.now + Duration::from_millis(1);
        self.line.reply(self.now, id, status, b"", &mut self.out).expect("the end is decided already");
        self.go_on(false)
    }

    fn fails(&mut self) -> Vec<String> {
        let (id, ..) = self.open.remove(0);
        self.now = self.now + Duration::from_millis(1);
        let fault = IoFault::TimedOut;
        self.line.no_reply(self.now, id, fault, &mut self.out).expect("the end is decided already");
        self.go_on(false)
    }

    fn event(&mut self, json: &str) -> Vec<String> {
        let event = Event::parse(json.as_bytes()).expect("an event");
        let _ = self.line.event(&event);
        self.go_on(false)
    }

    fn caller_leaves(&mut self) -> Vec<String> {
        let id = self.line.caller_id.clone();
        self.event(&format!(r#"{{"type":"StasisEnd","channel":{{"id":"{id}"}}}}"#))
    }
}

const STATUS: &str = "POST /channels/17.1/variable?variable=ARI_BRIDGE_STATUS&value=dead_air";
const CONTINUE: &str = "POST /channels/17.1/continue?context=agent-fallback&extension=s";

#[test]
fn the_dialplan_is_told_first_and_the_caller_goes_on_whatever_becomes_of_that() {
    for status in [Some(204), Some(404), Some(409), Some(503), None] {
        let mut bench = Bench::new();
        assert_eq!(bench.go_on(false), [STATUS]);
        assert_eq!(bench.open[0].2, STATUS_WITHIN, "nobody waits longer than that");
        assert!(bench.go_on(true).is_empty(), "the reply is waited for");
        let then = if let Some(status) = status { bench.reply(status) } else { bench.fails() };
        assert_eq!(then, [CONTINUE], "{status:?}");
        assert_eq!(bench.open[0].2, REPLY_WITHIN);
        bench.reply(204);
        assert!(bench.is_over && !bench.line.left_behind());
    }
}

#[test]
fn a_caller_who_leaves_while_the_dialplan_is_told_does_not_go_on() {
    let mut bench = Bench::new();
    bench.go_on(false);
    assert!(bench.caller_leaves().is_empty());
    assert!(!bench.is_over, "every request is answered before the end");
    assert!(bench.reply(404).is_empty());
    assert!(bench.is_over);
}

#[test]
fn of_a_caller_who_is_gone_nothing_is_told() {
    let mut bench = Bench::new();
    bench.line.caller_left();
    assert!(bench.go_on(false).is_empty() && bench.is_over);
}

#[test]
fn of_an_asterisk_that_is_gone_nothing_is_asked_and_no_answer_is_waited_for() {
    let mut bench = Bench::new();
    bench.line.media_is_up("127.0.0.1".to_owned(), 30_000);
    bench.line.set_up(false, &mut bench.out);
    bench.sent();
    bench.reply(200);
    bench.line.asterisk_restarted();
    assert!(bench.go_on(false).is_empty() && !bench.is_over, "the create may have come to the next one");
    let create = bench.open.iter().position(|(_, request, _)| request.contains("externalMedia"));
    bench.open.swap(0, create.expect("it is open"));
    assert_eq!(bench.reply(200), ["DELETE /channels/arib00000001-1-1"]);
    let delete = bench.open.len() - 1;
    bench.open.swap(0, delete);
    bench.reply(404);
    assert!(bench.is_over);
}

#[test]
fn a_caller_who_is_hung_up_learns_why_and_the_dialplan_does_not() {
    for (is_refused, request) in
        [(false, "DELETE /channels/17.1"), (true, "DELETE /channels/17.1?reason=congestion")]
    {
        let mut bench = Bench::new();
        (bench.fallback, bench.is_refused) = (None, is_refused);
        assert_eq!(bench.go_on(false), [request]);
        bench.reply(204);
        assert!(bench.is_over);
    }
}

#[test]
fn a_continue_that_fails_is_sent_again_without_telling_again() {
    let mut bench = Bench::new();
    bench.go_on(false);
    bench.reply(204);
    assert!(bench.fails().is_empty());
    bench.now = bench.line.deadline().expect("it is tried again");
    assert_eq!(bench.go_on(true), [CONTINUE]);
}

#[test]
fn the_channel_that_takes_the_callers_place_is_told_of_too() {
    let mut bench = Bench::new();
    bench.go_on(false);
    bench.reply(204);
    let replaced = r#"{"type":"StasisStart","channel":{"id":"17.9"},"replace_channel":{"id":"17.1"}}"#;
    assert_eq!(bench.event(replaced), [STATUS.replace("17.1", "17.9")]);
    bench.reply(404);
    assert_eq!(bench.reply(204), [CONTINUE.replace("17.1", "17.9")]);
}

#[test]
fn a_place_of_a_transfer_counts_more_than_the_fallback() {
    let mut bench = Bench::new();
    let place = Transfer {
        name: "operator".into(),
        context: "internal".into(),
        extension: "1001".into(),
        priority: 2,
    };
    bench.line.send_to(place);
    let farewell = Farewell::Continue { status: "transferred", to: None };
    assert!(!bench.line.let_go(farewell, bench.now, false, &mut bench.out));
    assert!(bench.sent()[0].ends_with("value=transferred"));
    let (id, ..) = bench.open.remove(0);
    bench.line.reply(bench.now, id, 204, b"", &mut bench.out).expect("the end is decided already");
    assert!(!bench.line.let_go(farewell, bench.now, false, &mut bench.out));
    assert_eq!(bench.sent(), ["POST /channels/17.1/continue?context=internal&extension=1001&priority=2"]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Replies, failures, events and time in any order: at most one `continue` in flight, none while the dialplan is
    /// being told, nothing at all of a caller who is gone, and it comes to an end.
    #[test]
    fn whatever_comes_the_caller_is_let_go_once_and_nothing_is_left(
        moves in prop::collection::vec((0u8..8, any::<u8>()), 0..40),
        hangs_up in any::<bool>(),
    ) {
        let mut bench = Bench::new();
        if hangs_up {
            bench.fallback = None;
        }
        let mut is_gone = false;
        let mut replacements = 0;
        bench.go_on(false);
        for (what, which) in moves {
            let open = bench.open.len();
            if open > 0 {
                let at = usize::from(which) % open;
                bench.open.swap(0, at);
            }
            let sent = match what {
                0 | 1 if open > 0 => bench.reply([200, 204, 404, 409, 422, 500, 503][usize::from(which) % 7]),
                2 if open > 0 => bench.fails(),
                3 if which < 64 => {
                    is_gone = true;
                    bench.caller_leaves()
                }
                4 if which < 64 && !is_gone => {
                    replacements += 1;
                    let old = bench.line.caller_id.clone();
                    bench.event(&format!(
                        r#"{{"type":"StasisStart","channel":{{"id":"18.{replacements}"}},"replace_channel":{{"id":"{old}"}}}}"#
                    ))
                }
                5 => bench.go_on(false),
                _ => {
                    bench.now = bench.line.deadline().map_or(bench.now, |at| bench.now.max(at));
                    let sent = bench.go_on(true);
                    prop_assert!(bench.line.deadline().is_none_or(|at| at > bench.now), "a driver would spin");
                    sent
                }
            };
            prop_assert!(!is_gone || sent.is_empty(), "{sent:?} of a caller who is gone");
            prop_assert!(bench.is_open("/continue") + bench.is_open("DELETE") <= 1, "{:?}", bench.open);
            prop_assert!(bench.is_open("/variable") <= 1, "{:?}", bench.open);
            let is_telling = bench.is_open("/variable") == 1;
            let goes_on = sent.iter().any(|request| request.contains("/continue"));
            prop_assert!(!is_telling || !goes_on, "{sent:?} while the dialplan is told");
            prop_assert!(!hangs_up || bench.is_open("/variable") == 0);
        }
        // From here on Asterisk answers.
        for _ in 0..20 {
            if bench.is_over {
                break;
            }
            if bench.open.is_empty() {
                bench.now = bench.line.deadline().expect("there is something to wait for").max(bench.now);
                bench.go_on(true);
            } else {
                bench.reply(204);
            }
        }
        prop_assert!(bench.is_over && bench.open.is_empty(), "{:?}", bench.open);
    }
}

#[test]
fn a_step_that_does_no_harm_is_sent_again_a_bounded_number_of_times() {
    let mut step = Step::Open(0);
    for sends in 1..MAX_SENDS {
        step = Step::Asked(sends);
        assert!(send_again(&mut step).is_ok());
        assert!(step == Step::Open(sends), "what is sent next counts on");
    }
    for mut step in [Step::Asked(MAX_SENDS), Step::Asked(MAX_SENDS + 1), Step::Open(0), Step::Done] {
        assert_eq!(send_again(&mut step), Err(EndReason::AriFault));
    }
    assert!(step == Step::Open(MAX_SENDS - 1));
}

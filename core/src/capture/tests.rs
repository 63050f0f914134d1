//! What is written is read back, and what cannot be read is refused.

pub(crate) mod inputs;
mod settings;

use super::*;
use crate::actions;
use crate::call::{self, Call, Input, LinkState, Origin, Start};
use crate::id::{CallId, IdPrefix, InstanceNonce, LegId, LinkId};
use crate::settings::{CallSettings, MediaPlan};
use crate::time::{Duration, Instant, UtcNanos};

pub(crate) const START_EVENT: &[u8] = br#"{"type":"StasisStart","application":"voice-agent","args":[],
    "channel":{"id":"1.1","name":"PJSIP/1-1","state":"Ring","caller":{"number":"100","name":""}}}"#;

pub(crate) fn start() -> Start<'static> {
    Start {
        ids: IdPrefix { nonce: InstanceNonce::new(0xBEEF), call: CallId(1) },
        seed: u64::MAX,
        utc: UtcNanos(1_800_000_000_000_000_001),
        caller_tag: Some([0xA5; 32]),
        media: MediaPlan::default(),
        origin: Origin::Arrived { event: START_EVENT },
    }
}

/// A call and its log, and an input each millisecond.
pub(crate) struct Logged {
    pub(crate) log: Log<Call>,
    pub(crate) call: Call,
    pub(crate) now: Instant,
    out: call::Actions,
}

impl Logged {
    pub(crate) fn begin(settings: &CallSettings, limit: usize) -> Self {
        let (mut out, now) = (call::Actions::new(), Instant::from_millis(7));
        let (log, call, _next) = Log::begin(settings, start(), now, limit, &mut out);
        Self { log, call, now, out }
    }

    pub(crate) fn step(&mut self, input: Input<'_>) {
        self.now = self.now + Duration::from_millis(1);
        self.out.clear();
        let _next = self.log.step(&mut self.call, self.now, input, &mut self.out);
    }

    /// The same steps in every test: a call that is set up, and then timers.
    pub(crate) fn some_steps(&mut self, timers: usize) {
        let local = "192.0.2.1:30000".parse().unwrap();
        self.step(Input::MediaUp { leg: LegId(1), local });
        self.step(Input::RealtimeUp { link: LinkId(1) });
        self.step(Input::Realtime { link: LinkId(1), bytes: br#"{"type":"session.created"}"# });
        self.step(Input::AriLink(LinkState::Up));
        (0..timers).for_each(|_| self.step(Input::Timer));
    }
}

/// All records of a capture of a call, in words.
pub(crate) fn in_words(bytes: &[u8]) -> Vec<String> {
    let Capture::Call(_, mut records) = open(bytes).unwrap() else { panic!("it is of a call") };
    let mut words = Vec::new();
    loop {
        let record = records.next().unwrap();
        words.push(format!("{record:?}"));
        if let Record::End(_) = record {
            return words;
        }
    }
}

#[test]
fn a_capture_says_how_the_machine_began_and_what_it_was_given() {
    let mut logged = Logged::begin(&CallSettings::default(), 1 << 20);
    logged.some_steps(1);
    let bytes = logged.log.finish();
    let Capture::Call(head, _) = open(&bytes).unwrap() else { panic!("it is of a call") };
    assert_eq!((head.program.as_str(), head.now), (PROGRAM, Instant::from_millis(7)));
    assert_eq!(format!("{:?}", head.start()), format!("{:?}", start()));
    assert_eq!(head.settings, CallSettings::default());
    let words = in_words(&bytes);
    assert!(words[0].contains("Gave") && words[0].contains("observe: call started"), "{words:?}");
    assert!(words[1].contains("Digest"), "of what the call did when it was made: {words:?}");
    let inputs: Vec<_> = words.iter().filter(|word| word.starts_with("Input")).collect();
    assert_eq!(inputs.len(), 5);
    assert!(inputs[0].contains("0.008000s") && inputs[0].contains("MediaUp"), "{inputs:?}");
    assert!(inputs[4].contains("0.012000s") && inputs[4].contains("Timer"), "{inputs:?}");
    assert!(words.last().unwrap().contains("Whole"), "{words:?}");
}

#[test]
fn the_first_bytes_are_those_that_the_description_names() {
    let logged = Logged::begin(&CallSettings::default(), 1 << 20);
    let begin = [0x89, 0x61, 0x72, 0x69, 0x62, 0x0D, 0x0A, 0x1A, 2, 1, PROGRAM.len() as u8];
    assert!(logged.log.bytes().starts_with(&begin), "{:?}", &logged.log.bytes()[..16]);
}

#[test]
fn the_pieces_that_are_taken_out_are_the_whole_when_they_are_put_together() {
    let mut whole = Logged::begin(&CallSettings::default(), 1 << 20);
    whole.some_steps(200);
    let whole = whole.log.finish();
    let mut logged = Logged::begin(&CallSettings::default(), 4096);
    let mut pieces = logged.log.take();
    logged.some_steps(0);
    for _ in 0..200 {
        logged.step(Input::Timer);
        pieces.extend(logged.log.take());
        assert!(logged.log.bytes().is_empty());
    }
    pieces.extend(logged.log.finish());
    assert_eq!(pieces, whole);
}

#[test]
fn a_log_that_is_full_says_so_and_is_a_capture_up_to_there() {
    let mut whole = Logged::begin(&CallSettings::default(), 1 << 20);
    whole.some_steps(300);
    let whole = whole.log.finish();
    let all = in_words(&whole);
    let head = Logged::begin(&CallSettings::default(), 1 << 20).log.bytes().len();
    for limit in (head + 20..whole.len()).step_by(7) {
        let mut logged = Logged::begin(&CallSettings::default(), limit);
        logged.some_steps(300);
        assert!(logged.log.is_cut());
        let bytes = logged.log.finish();
        assert!(bytes.len() <= limit && bytes.capacity() <= limit, "{} of {limit} bytes", bytes.capacity());
        let words = in_words(&bytes);
        let (end, rest) = words.split_last().unwrap();
        assert!(end.contains("Cut") && all.starts_with(rest), "{words:?}");
    }
    // The number of inputs at the end has room for the largest there is.
    let mut logged = Logged::begin(&CallSettings::default(), whole.len() + 8);
    logged.some_steps(300);
    assert!(!logged.log.is_cut(), "it has just the room that it needs");
}

#[test]
fn a_log_without_room_for_the_head_is_nothing() {
    for limit in [0, 1, 19, 20, 21, 500] {
        let mut logged = Logged::begin(&CallSettings::default(), limit);
        logged.some_steps(1);
        assert!(logged.log.is_cut() && logged.log.bytes().is_empty());
        assert!(logged.log.finish().is_empty());
    }
}

#[test]
fn what_no_driver_gives_cuts_the_log_and_not_the_call() {
    let mut logged = Logged::begin(&CallSettings::default(), 1 << 20);
    let bytes = [0; crate::rtp::MAX_DATAGRAM_BYTES + 2];
    let from = "192.0.2.1:4000".parse().unwrap();
    logged.step(Input::Media { leg: LegId(1), from, bytes: &bytes[1..] });
    assert!(!logged.log.is_cut());
    logged.step(Input::Media { leg: LegId(1), from, bytes: &bytes });
    assert!(logged.log.is_cut());
    let words = in_words(&logged.log.finish());
    assert_eq!(words.iter().filter(|word| word.starts_with("Input")).count(), 1);
}

#[test]
fn the_input_that_makes_a_machine_panic_is_in_its_log() {
    let mut logged = Logged::begin(&CallSettings::default(), 1 << 20);
    logged.some_steps(3);
    // The machine is as good as any other at this: the only thing that it panics at is a driver's fault.
    let Logged { mut log, mut call, now, .. } = logged;
    let mut out = actions::Actions::new();
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _next = log.step(&mut call, now, Input::AriLink(LinkState::Down), &mut out);
    }));
    assert!(panicked.is_err());
    let bytes = log.finish();
    let Capture::Call(_, mut records) = open(&bytes).unwrap() else { panic!("it is of a call") };
    // Of all panics this is the one that no capture can repeat.
    let fault = loop {
        match records.next() {
            Ok(Record::End(end)) => panic!("{end:?}"),
            Ok(_) => {}
            Err(fault) => break fault,
        }
    };
    assert!(matches!(fault, Fault::Record { what: "time does not move forward", .. }), "{fault}");
}

#[test]
fn each_fault_says_what_is_wrong_and_where() {
    let logged = Logged::begin(&CallSettings::default(), 1 << 20);
    let good = logged.log.finish();
    let fault = |bytes: &[u8]| open(bytes).unwrap_err().to_string();
    assert_eq!(fault(b""), "it is not a capture");
    assert_eq!(fault(b"{\"type\":\"StasisStart\"}"), "it is not a capture");
    let mut newer = good.clone();
    newer[8] = 3;
    assert_eq!(fault(&newer), "it has format 3, and this program reads up to 2: a newer one has written it");
    let mut other = good.clone();
    other[9] = 3;
    assert_eq!(fault(&other), "its head cannot be read at byte 10: the machine is unknown");
    assert_eq!(fault(&good[..40]), "its head cannot be read at byte 17: it ends here, before its end");
    let mut behind = good.clone();
    behind.push(0);
    let told = crate::replay::replay(&behind).unwrap_err().to_string();
    assert!(told.ends_with("cannot be: something stands behind the end"), "{told}");
    let place = good.windows(12).position(|name| name == b"volume_boost").unwrap();
    let mut odd = good;
    odd[place] = b'w';
    let told = fault(&odd);
    assert!(
        told.starts_with("the settings at byte ") && told.contains("unknown field `wolume_boost`"),
        "{told}"
    );
}

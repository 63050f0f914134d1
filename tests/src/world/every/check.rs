//! What a call must do after what it was told, as far as no step by itself can show it: why and when it ends, in which
//! order it asks, what becomes of the caller.

use super::Kind;
use crate::world::asterisk::{Thing, What};
use ari_bridge_core::call::{Action, EndReason, Outcome, StopReason, Wake};
use ari_bridge_core::id::{LinkId, RequestId};
use ari_bridge_core::observe::Observation;

/// What is to become of the call in a step.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Ending {
    /// It does not end.
    Not,
    /// It ends for one of these, now.
    Now(Vec<EndReason>),
    /// It may end for one of these.
    Maybe(Vec<EndReason>),
}

/// What was asked of Asterisk, and is not answered.
#[derive(Clone, Copy, Debug)]
struct Open {
    id: RequestId,
    what: What,
    /// It asks about the caller, or changes something about it.
    is_of_caller: bool,
}

#[derive(Debug)]
pub(super) struct Watcher {
    kind: Kind,
    open: Vec<Open>,
    /// How often this was sent, and how often it got no reply.
    fills: (usize, usize),
    answers: (usize, usize),
    bridge_is_made: bool,
    media_is_made: bool,
    media_has_entered: bool,
    media_was_seen: bool,
    is_filled: bool,
    /// Host and port of the media are known.
    address: (bool, bool),
    answer_is_done: bool,
    /// The Realtime link, and how much its server has done: it is reached, and has said this and that.
    link: Option<(LinkId, usize)>,
    realtime_broke: bool,
    media_is_open: bool,
    media_is_up: bool,
    is_answered: bool,
    /// The caller is known to be gone, or to let go of it was answered or has failed.
    caller_was_seen_to: bool,
    /// Another call has the caller.
    caller_is_anothers: bool,
    /// Why it ends as soon as a last sound was heard, or a last word: one of these.
    about_to: Vec<EndReason>,
    ended: Option<EndReason>,
    /// The end was decided in this step.
    ends_now: Option<EndReason>,
    answered_now: bool,
}

impl Watcher {
    pub(super) fn new(kind: Kind) -> Self {
        Self {
            kind,
            open: Vec::new(),
            fills: (0, 0),
            answers: (0, 0),
            bridge_is_made: false,
            media_is_made: false,
            media_has_entered: false,
            media_was_seen: false,
            is_filled: false,
            address: (false, false),
            answer_is_done: false,
            link: None,
            realtime_broke: false,
            media_is_open: false,
            media_is_up: false,
            is_answered: false,
            caller_was_seen_to: false,
            caller_is_anothers: false,
            about_to: Vec::new(),
            ended: None,
            ends_now: None,
            answered_now: false,
        }
    }

    pub(super) fn is_answered(&self) -> bool {
        self.is_answered
    }

    pub(super) fn ended(&self) -> Option<EndReason> {
        self.ended
    }

    pub(super) fn is_about_to_end(&self) -> bool {
        !self.about_to.is_empty()
    }

    pub(super) fn link(&self) -> Option<(LinkId, usize)> {
        self.link
    }

    pub(super) fn media_may_come_up(&self) -> bool {
        self.media_is_open && !self.media_is_up
    }

    fn is_up(&self) -> bool {
        self.kind.is_up || self.is_answered
    }

    fn is_ready(&self) -> bool {
        self.link.is_some_and(|(_, said)| said == 3)
    }

    fn may_be_answered(&self) -> bool {
        self.is_filled && self.address == (true, true) && self.is_ready()
    }

    // What the call is told.

    pub(super) fn media_is_up(&mut self) {
        self.media_is_up = true;
    }

    pub(super) fn server_goes_on(&mut self) {
        self.link = self.link.map(|(link, said)| (link, said + 1));
    }

    pub(super) fn link_is_down(&mut self) {
        self.link = None;
    }

    pub(super) fn realtime_breaks(&mut self) -> Ending {
        self.realtime_broke = true;
        Ending::Not
    }

    /// The call must end for this, unless it is ending for something else. One who was answered hears so first, where it is
    /// the agent who is lost, or time.
    pub(super) fn cause(&mut self, reason: EndReason) -> Ending {
        let is_heard_of = reason.is_of_realtime() || reason == EndReason::NotReadyInTime;
        if self.ended.is_some() {
            Ending::Not
        } else if !self.about_to.is_empty() {
            Ending::Now(self.about_to.clone())
        } else if is_heard_of && self.is_up() {
            self.about_to = vec![reason];
            Ending::Maybe(vec![reason])
        } else {
            Ending::Now(vec![reason])
        }
    }

    pub(super) fn is_ended_by_the_agent(&mut self) -> Ending {
        self.about_to = vec![EndReason::AgentHungUp];
        Ending::Maybe(self.about_to.clone())
    }

    pub(super) fn is_stopped(&mut self, reason: StopReason) -> Ending {
        match reason {
            StopReason::Shutdown if self.is_up() => {
                self.about_to = vec![EndReason::Shutdown];
                Ending::Maybe(self.about_to.clone())
            }
            StopReason::Shutdown | StopReason::AtOnce => self.cause(EndReason::Shutdown),
            StopReason::AsteriskRestarted => {
                self.caller_was_seen_to = true;
                self.open.retain(|open| open.what.creates());
                self.cause(EndReason::AsteriskRestarted)
            }
            StopReason::CallerLeft => {
                (self.caller_was_seen_to, self.caller_is_anothers) = (true, true);
                self.cause(EndReason::CallerHungUp)
            }
        }
    }

    pub(super) fn time_out(&mut self, wake: Wake) -> Ending {
        match wake {
            _ if self.ended.is_some() => Ending::Not,
            _ if self.is_about_to_end() => Ending::Maybe(self.about_to.clone()),
            Wake::AnswerWithin if self.realtime_broke => {
                let either = vec![EndReason::NotReadyInTime, EndReason::RealtimeLost];
                if self.is_up() {
                    self.about_to = either.clone();
                    Ending::Maybe(either)
                } else {
                    Ending::Now(either)
                }
            }
            Wake::AnswerWithin => self.cause(EndReason::NotReadyInTime),
            _ => Ending::Not,
        }
    }

    pub(super) fn is_told(&mut self, thing: Thing, is_start: bool) -> Ending {
        match thing {
            Thing::Media if is_start => {
                (self.media_has_entered, self.media_was_seen) = (true, true);
                Ending::Not
            }
            Thing::Caller => {
                self.caller_was_seen_to = true;
                self.cause(EndReason::CallerHungUp)
            }
            Thing::Media | Thing::Bridge => self.cause(EndReason::AriFault),
        }
    }

    fn take(&mut self, id: RequestId) -> Open {
        let at = self.open.iter().position(|open| open.id == id).expect("it was asked");
        self.open.remove(at)
    }

    pub(super) fn is_replied(&mut self, id: RequestId, what: What, status: u16, body: &str) -> Ending {
        let Open { is_of_caller, .. } = self.take(id);
        let is_ok = matches!(status, 200..=299);
        match what {
            What::CreateBridge => self.bridge_is_made = is_ok,
            What::CreateMedia => {
                self.media_is_made = is_ok;
                let told = is_ok && body.contains("UNICASTRTP");
                self.address = (self.address.0 || told, self.address.1 || told);
            }
            What::MediaAddress => self.address.0 = is_ok,
            What::MediaPort => self.address.1 = is_ok,
            What::FillBridge => self.is_filled |= is_ok,
            What::Answer => self.answer_is_done |= is_ok,
            What::LetGoCaller => self.caller_was_seen_to = true,
            What::Look if status == 404 && is_of_caller => {
                self.caller_was_seen_to = true;
                return self.cause(EndReason::CallerHungUp);
            }
            What::Look if status == 404 && self.media_was_seen => {
                return self.cause(EndReason::AriFault);
            }
            What::Look if is_ok && !is_of_caller => {
                (self.media_has_entered, self.media_was_seen) = (true, true);
            }
            What::Look | What::SetStatus | What::LetGoMedia | What::LetGoBridge => {}
        }
        if is_ok || what.lets_go() || what == What::Look {
            Ending::Not
        } else {
            self.cause(EndReason::AriFault)
        }
    }

    pub(super) fn is_lost(&mut self, id: RequestId, what: What) -> Ending {
        self.take(id);
        let lost = match what {
            What::FillBridge => &mut self.fills.1,
            What::Answer => &mut self.answers.1,
            What::LetGoCaller => {
                self.caller_was_seen_to = true;
                return Ending::Not;
            }
            _ if what.lets_go() || what == What::Look => return Ending::Not,
            _ => return self.cause(EndReason::AriFault),
        };
        *lost += 1;
        if *lost < 2 { Ending::Not } else { self.cause(EndReason::AriFault) }
    }

    // What the call does.

    pub(super) fn asks(&mut self, id: RequestId, what: What, path: &str) {
        match what {
            What::CreateMedia => assert!(self.media_is_up, "Asterisk is told of a port that is not open"),
            What::FillBridge => {
                let may = self.bridge_is_made && self.media_is_made && self.media_has_entered;
                assert!(may, "the bridge is filled too early");
                assert_eq!(self.fills.0, self.fills.1, "the bridge is filled twice");
                self.fills.0 += 1;
            }
            What::Answer => {
                assert!(self.may_be_answered() && !self.kind.is_up, "answered too early, or once more");
                assert_eq!(self.answers.0, self.answers.1, "answered twice");
                self.answers.0 += 1;
            }
            What::SetStatus => {
                let value = self.because().label();
                assert!(
                    path.ends_with(&format!("value={value}")),
                    "the dialplan is told {path}, not {value}"
                );
            }
            What::LetGoCaller => self.lets_caller_go(path),
            What::LetGoMedia | What::LetGoBridge => {
                assert!(self.caller_was_seen_to, "{path} is removed before the caller has left");
                let (create, was_seen) = match what {
                    What::LetGoMedia => (What::CreateMedia, self.media_was_seen),
                    _ => (What::CreateBridge, false),
                };
                let is_coming = self.open.iter().any(|open| open.what == create);
                assert!(was_seen || !is_coming, "{path} is removed before it was made");
            }
            What::CreateBridge | What::MediaAddress | What::MediaPort | What::Look => {}
        }
        if !what.lets_go() {
            assert!(self.ended.is_none(), "{path} is asked after the end");
        }
        let is_of_caller = path.contains(crate::world::asterisk::CALLER);
        self.open.push(Open { id, what, is_of_caller });
    }

    fn because(&self) -> EndReason {
        self.ended.expect("the end is decided before the caller is let go")
    }

    fn lets_caller_go(&self, path: &str) {
        let (hung_up, refused) = ("DELETE", "?reason=congestion");
        let reason = self.because();
        let goes = if path.ends_with("/continue") {
            "/continue"
        } else if path.contains("/continue?context=") {
            "/continue?context="
        } else if path.ends_with(refused) {
            refused
        } else {
            hung_up
        };
        let expected = match reason {
            EndReason::CallerHungUp | EndReason::AgentHungUp => hung_up,
            EndReason::Transferred => "/continue?context=",
            _ if !self.kind.hangs_up => "/continue",
            _ if self.is_up() => hung_up,
            _ => refused,
        };
        assert_eq!(goes, expected, "what a caller is let go with whose call ends because {reason}");
    }

    pub(super) fn sees(&mut self, action: Action) {
        match action {
            Action::OpenMedia { .. } => self.media_is_open = true,
            Action::CloseMedia { .. } => self.media_is_open = false,
            Action::OpenRealtime { link, .. } => {
                assert!(self.ended.is_none(), "a session is opened after the end");
                assert!(self.link.replace((link, 0)).is_none(), "a second session");
            }
            Action::CloseRealtime { .. } => self.link = None,
            Action::Observe(Observation::Answered { .. }) => self.answered_now = true,
            Action::Observe(Observation::Ending(reason)) => {
                assert_eq!(self.ended.replace(reason), None, "the end is decided twice");
                self.ends_now = Some(reason);
            }
            _ => {}
        }
    }

    /// Nothing more comes of a step in which the call had to end like this. Why it has ended, if it has.
    pub(super) fn end_of_step(&mut self, ending: &Ending) -> Option<EndReason> {
        let ends = self.ends_now.take();
        match (ends, ending) {
            (None, Ending::Not | Ending::Maybe(_)) => {}
            (Some(reason), Ending::Now(reasons) | Ending::Maybe(reasons)) if reasons.contains(&reason) => {}
            (Some(reason), Ending::Not) if self.about_to.contains(&reason) => {}
            _ => panic!("it ends with {ends:?}, and was to end: {ending:?}"),
        }
        let is_due = if self.kind.is_up { self.may_be_answered() } else { self.answer_is_done };
        let is_due = is_due && !self.is_answered && self.ended.is_none() && self.about_to.is_empty();
        let is_answered = core::mem::take(&mut self.answered_now);
        assert_eq!(is_answered, is_due, "whether the caller is answered now");
        self.is_answered |= is_answered;
        ends
    }

    /// The call is over.
    pub(super) fn is_over(&self, outcome: &Outcome, caller_is_there: bool) {
        assert_eq!(Some(outcome.ended), self.ended);
        assert_eq!(outcome.answered, self.is_answered, "whether the caller was answered");
        assert!(!outcome.left_behind, "something is given up on, although few replies failed");
        assert_eq!(caller_is_there, self.caller_is_anothers, "whether the caller is left in the application");
        assert!(self.open.is_empty(), "over, and waits for replies: {:?}", self.open);
        assert!(!self.media_is_open && self.link.is_none(), "a socket is left open");
    }
}

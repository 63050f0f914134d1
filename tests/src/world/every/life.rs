//! One leaf of the tree: a call, and everything that happens to it until it is over.

use super::check::{Ending, Watcher};
use super::deed::{Deed, Reply, Trouble};
use super::{At, Kind};
use crate::odometer::Odometer;
use crate::taped::Encore;
use crate::world::World;
use crate::world::asterisk::{Asterisk, CALLER, EXECUTED_WITHIN, Request, Thing, What};
use ari_bridge_core::call::{EndReason, Input, IoFault, LinkState, Outcome, StopReason, Wake};
use ari_bridge_core::format::{MediaFormat, ModelFormat};
use ari_bridge_core::id::{LegId, LinkId, RequestId};
use ari_bridge_core::settings::{CallSettings, Fallback, Keys, SessionSettings, Transfer};
use ari_bridge_core::time::{Duration, Instant};
use core::net::SocketAddr;
use std::collections::BTreeSet;

/// How many deeds a call needs at most to end when all goes well.
const MAX_DEEDS_TO_END: usize = 80;

/// How often time passes at most until something comes of it: a goodbye of 12 s that does not come, with a tick for each
/// 20 ms of either direction, and the sound in its place.
const MAX_TICKS: usize = 3_000;

/// The number of places that [`Life::place`] knows.
const PLACES: u32 = 11;

/// What the server says after it is reached.
const SAYS: [&str; 2] = [
    r#"{"type":"session.created"}"#,
    r#"{"type":"session.updated","session":{"audio":{"input":{"format":{"type":"audio/pcmu"}},"output":{"format":{"type":"audio/pcmu"}}}}}"#,
];

/// What the agent says to end the call.
const HANGS_UP: [&str; 3] = [
    r#"{"type":"response.created","response":{"id":"r"}}"#,
    r#"{"type":"response.output_item.done","response_id":"r","item":{"id":"f","type":"function_call","status":"completed","call_id":"c","name":"hang_up","arguments":"{}"}}"#,
    r#"{"type":"response.done","response":{"id":"r","status":"completed"}}"#,
];

pub(super) struct Life {
    world: World,
    kind: Kind,
    odometer: Odometer,
    watcher: Watcher,
    faults_left: usize,
    /// Requests that were given up on and may yet be executed, and since when.
    late: Vec<(RequestId, Instant)>,
    /// The last deed has only executed this one.
    just_executed: Option<RequestId>,
    /// Those of them that are executed at the last moment.
    at_last: Vec<(RequestId, Instant)>,
    /// The places of the set-up that the call has come through; `None` once something else has happened to it.
    point: Option<u32>,
    story: Vec<Line>,
}

/// A line of the story that is told of a call that does what it must not.
enum Line {
    Happens(Instant, Deed),
    Asks(String),
    Ends(EndReason),
}

impl Life {
    pub(super) fn new(kind: Kind, odometer: Odometer, faults: usize) -> Self {
        let asterisk = Asterisk::new(kind.is_up);
        let event = asterisk.caller_arrives();
        let world = World::start(&settings(kind), MediaFormat::Ulaw, 1, asterisk, &event, Encore::OneInEight);
        let mut life = Self {
            world,
            kind,
            odometer,
            watcher: Watcher::new(kind),
            faults_left: faults,
            late: Vec::new(),
            just_executed: None,
            at_last: Vec::new(),
            point: Some(0),
            story: Vec::new(),
        };
        life.look(&Ending::Not);
        life
    }

    /// Whether the call is answered, or its end is decided.
    pub(super) fn is_decided(&self) -> bool {
        self.watcher.is_answered() || self.watcher.ended().is_some()
    }

    /// Where on a set-up on which all goes well the call stands.
    pub(super) fn point(&self) -> Option<u32> {
        self.point
    }

    /// What the call has asked of Asterisk.
    pub(super) fn asked(&self) -> BTreeSet<String> {
        let asked = self.story.iter().filter_map(|line| match line {
            Line::Asks(request) => Some(request.clone()),
            Line::Happens(..) | Line::Ends(_) => None,
        });
        asked.collect()
    }

    pub(super) fn steps(&self) -> usize {
        self.world.steps
    }

    pub(super) fn outcome(&self) -> Outcome {
        self.world.oracle.finished().expect("a finished call has said so")
    }

    pub(super) fn take_odometer(&mut self) -> Odometer {
        core::mem::take(&mut self.odometer)
    }

    /// One of these happens.
    pub(super) fn one_of(&mut self, deeds: &[Deed]) {
        let deed = deeds[self.odometer.below(deeds.len())];
        if matches!(deed, Deed::Reply(_, _, reply) if reply != Reply::Honest) {
            self.faults_left -= 1;
        }
        self.happens(deed);
    }

    /// The thing happens that the call ends for.
    pub(super) fn turns(&mut self) {
        let turns = self.all_turns();
        let turn = turns[self.odometer.below(turns.len())];
        self.happens(turn);
    }

    /// Brings the call to some point of a set-up on which all goes well, or to its end.
    pub(super) fn comes_to_a_point(&mut self, from: At) {
        for place in 0..PLACES {
            let here = self.good_deeds().into_iter().find(|deed| self.place(*deed) == Some(place));
            if let Some(deed) = here
                && (from == At::Answered || self.odometer.below(2) == 1)
            {
                self.happens(deed);
            }
        }
    }

    /// So many deeds are those that come when all goes well, in one order.
    pub(super) fn goes_well(&mut self, deeds: usize) {
        for _ in 0..deeds {
            if let Some(deed) = self.good_deeds().first() {
                self.happens(*deed);
            }
        }
    }

    /// What can happen next, troubles aside.
    pub(super) fn deeds(&self) -> Vec<Deed> {
        let mut deeds = self.good_deeds();
        if self.faults_left > 0 {
            deeds.extend(self.failures());
        }
        // Executed and answered at once is what comes of a reply without the first of these.
        deeds.retain(|deed| !matches!(deed, Deed::Reply(id, ..) if self.just_executed == Some(*id)));
        deeds.extend(self.late.iter().map(|(id, _)| Deed::Late(*id)));
        deeds.extend(self.overtakers().map(Deed::Executed));
        deeds.extend(self.time_out());
        deeds
    }

    /// What may be executed before that which comes late, and be answered behind it.
    fn overtakers(&self) -> impl Iterator<Item = RequestId> {
        let is_late = !self.late.is_empty();
        let open = self.world.asterisk.in_flight().into_iter().filter(|request| request.done.is_none());
        let removes = |what| matches!(what, What::LetGoMedia | What::LetGoBridge);
        let overtakers = open.filter(move |request| is_late && removes(request.what()));
        // What is executed with nothing in between is executed in the order in which it was asked.
        let before = self.just_executed;
        let ids = overtakers.map(|request| request.id);
        ids.filter(move |id| before.is_none_or(|before| before.0 < id.0))
    }

    /// What can end the call here.
    fn all_turns(&self) -> Vec<Deed> {
        let mut turns: Vec<_> = self.failures().chain(self.time_out()).collect();
        let reasons =
            [StopReason::Shutdown, StopReason::AtOnce, StopReason::AsteriskRestarted, StopReason::CallerLeft];
        let mut troubles: Vec<_> = reasons.into_iter().map(Trouble::Stop).collect();
        troubles.push(Trouble::CallerHangsUp { all_executed: false });
        if self.world.asterisk.in_flight().iter().any(|request| request.done.is_none()) {
            troubles.push(Trouble::CallerHangsUp { all_executed: true });
        }
        let there = |thing: &Thing| *thing != Thing::Caller && self.world.asterisk.is_there(*thing);
        troubles.extend(Thing::ALL.into_iter().filter(there).map(Trouble::TakenAway));
        troubles.extend([Trouble::MediaBreaks, Trouble::RealtimeRefuses]);
        troubles.extend([false, true].map(|caller_hangs_up| Trouble::Gap { caller_hangs_up }));
        if self.watcher.is_answered() {
            troubles.extend([Trouble::AgentHangsUp, Trouble::HotKey]);
        } else {
            troubles.push(Trouble::RealtimeBreaks);
        }
        turns.extend(troubles.into_iter().map(Deed::Trouble));
        turns
    }

    /// What happens next when all goes well.
    fn good_deeds(&self) -> Vec<Deed> {
        let mut deeds = Vec::new();
        if self.world.next.finished {
            return deeds;
        }
        let asterisk = &self.world.asterisk;
        let replies = asterisk.in_flight();
        deeds.extend(replies.iter().map(|request| Deed::Reply(request.id, request.what(), Reply::Honest)));
        let events = Thing::ALL.into_iter().filter(|thing| asterisk.may_tell_of(*thing));
        deeds.extend(events.map(Deed::Event));
        if self.watcher.media_may_come_up() {
            deeds.push(Deed::MediaUp);
        }
        if self.watcher.link().is_some_and(|(_, said)| said <= SAYS.len()) {
            deeds.push(Deed::Realtime);
        }
        deeds
    }

    /// How what is under way can fail.
    fn failures(&self) -> impl Iterator<Item = Deed> {
        self.world.asterisk.in_flight().into_iter().flat_map(|request: &Request| {
            let (id, what) = (request.id, request.what());
            let failures = Reply::failures(what, request.done.is_some());
            failures.iter().map(move |reply| Deed::Reply(id, what, *reply))
        })
    }

    /// Whether it may be waited for the deadline: not in a call that nothing is the matter with.
    fn time_out(&self) -> Option<Deed> {
        let quiet = self.watcher.is_answered() && !self.watcher.is_about_to_end();
        let waits = !self.world.next.finished && self.world.next.deadline.is_some();
        (waits && (!quiet || self.watcher.ended().is_some())).then_some(Deed::Timer)
    }

    /// The place of a deed in a set-up on which all goes well. In the order of the places all of it is possible.
    fn place(&self, deed: Deed) -> Option<u32> {
        Some(match deed {
            Deed::Realtime => self.watcher.link()?.1 as u32,
            Deed::MediaUp => 3,
            Deed::Reply(_, What::CreateBridge, Reply::Honest) => 4,
            Deed::Event(Thing::Media) => 5,
            Deed::Reply(_, What::CreateMedia, Reply::Honest) => 6,
            Deed::Reply(_, What::MediaAddress, Reply::Honest) => 7,
            Deed::Reply(_, What::MediaPort, Reply::Honest) => 8,
            Deed::Reply(_, What::FillBridge, Reply::Honest) => 9,
            Deed::Reply(_, What::Answer, Reply::Honest) => 10,
            _ => return None,
        })
    }

    fn happens(&mut self, deed: Deed) {
        self.story.push(Line::Happens(self.world.now, deed));
        let place = self.place(deed);
        self.point = self.point.and_then(|point| Some(point | 1 << place?));
        self.just_executed = None;
        match deed {
            Deed::MediaUp => {
                let local = SocketAddr::from(([127, 0, 0, 1], 30_000));
                self.watcher.media_is_up();
                self.gives(Input::MediaUp { leg: LegId(1), local }, &Ending::Not);
            }
            Deed::Realtime => self.realtime_goes_on(),
            Deed::Reply(id, what, reply) => self.replies(id, what, reply),
            Deed::Event(thing) => self.event_comes(thing),
            Deed::Executed(id) => {
                self.is_executed(id);
                self.just_executed = Some(id);
            }
            Deed::Late(id) => {
                self.late.retain(|(late, _)| *late != id);
                self.is_executed(id);
            }
            Deed::Timer => self.time_passes(),
            Deed::Trouble(trouble) => self.trouble(trouble),
        }
    }

    fn realtime_goes_on(&mut self) {
        let (link, said) = self.watcher.link().expect("a link");
        self.watcher.server_goes_on();
        match said.checked_sub(1) {
            None => {
                self.world.oracle.realtime_up(link);
                self.gives(Input::RealtimeUp { link }, &Ending::Not);
            }
            Some(word) => self.server_says(link, SAYS[word], &Ending::Not),
        }
    }

    fn server_says(&mut self, link: LinkId, message: &str, ending: &Ending) {
        self.world.server_sends(link, message.as_bytes());
        self.look(ending);
    }

    fn replies(&mut self, id: RequestId, what: What, reply: Reply) {
        let (now, is_mute) = (self.world.now, self.kind.asks_for_address);
        if reply.is_lost() {
            match reply {
                Reply::Before => {
                    self.is_executed(id);
                    self.world.asterisk.forget(id);
                }
                Reply::Later => {
                    self.world.asterisk.abandon(id, now);
                    self.late.push((id, now));
                }
                _ => self.world.asterisk.forget(id),
            }
            let ending = self.watcher.is_lost(id, what);
            let fault = if reply == Reply::NotSent { IoFault::Refused } else { IoFault::Reset };
            self.gives(Input::AriFailed { id, fault }, &ending);
        } else {
            let (status, body) = self.world.asterisk.take_reply(id, reply.refusal(what), is_mute, now);
            let ending = self.watcher.is_replied(id, what, status, &body);
            self.gives(Input::AriReply { id, status, body: body.as_bytes() }, &ending);
        }
    }

    fn is_executed(&mut self, id: RequestId) {
        self.world.asterisk.is_executed(id, None, self.kind.asks_for_address, self.world.now);
    }

    fn event_comes(&mut self, thing: Thing) {
        let event = self.world.asterisk.take_event_of(thing, self.kind.asks_for_address, self.world.now);
        let ending = self.watcher.is_told(thing, event.contains("StasisStart"));
        self.gives(Input::Ari(event.as_bytes()), &ending);
    }

    /// Time passes until a deadline has come that is no pacing.
    fn time_passes(&mut self) {
        for _ in 0..MAX_TICKS {
            let (at, wake) = self.world.next.deadline.expect("it is waited for something");
            self.what_is_late_is_executed(at);
            self.world.now = self.world.now.max(at);
            let ending = self.watcher.time_out(wake);
            let was_running = self.watcher.ended().is_none();
            self.gives(Input::Timer, &ending);
            let paces =
                matches!(wake, Wake::Playout | Wake::UplinkSilence | Wake::JitterRelease | Wake::Filler);
            if !paces || (was_running && self.watcher.ended().is_some()) || self.world.next.finished {
                return;
            }
        }
        panic!("nothing comes of it that time passes: {:?}", self.world.next);
    }

    /// What may only be executed before then, and has not been, is executed.
    fn what_is_late_is_executed(&mut self, before: Instant) {
        let due = self.at_last.extract_if(.., |(_, since)| *since + EXECUTED_WITHIN <= before);
        for (id, since) in due.collect::<Vec<_>>() {
            self.world.now = self.world.now.max(since + EXECUTED_WITHIN);
            self.is_executed(id);
        }
    }

    fn trouble(&mut self, trouble: Trouble) {
        match trouble {
            Trouble::CallerHangsUp { all_executed } => {
                if all_executed {
                    self.world.asterisk.execute_all(self.world.now);
                }
                self.world.asterisk.is_taken_away(Thing::Caller);
            }
            Trouble::TakenAway(thing) => self.world.asterisk.is_taken_away(thing),
            Trouble::AgentHangsUp => {
                let (link, _) = self.watcher.link().expect("a session");
                let ending = self.watcher.is_ended_by_the_agent();
                HANGS_UP.iter().for_each(|message| self.server_says(link, message, &ending));
            }
            Trouble::HotKey => {
                let digit =
                    format!(r#"{{"type":"ChannelDtmfReceived","digit":"0","channel":{{"id":"{CALLER}"}}}}"#);
                let ending = self.watcher.cause(EndReason::Transferred);
                self.gives(Input::Ari(digit.as_bytes()), &ending);
            }
            Trouble::Stop(reason) => {
                if reason == StopReason::AsteriskRestarted {
                    self.world.asterisk.restart();
                }
                let ending = self.watcher.is_stopped(reason);
                self.gives(Input::Stop(reason), &ending);
            }
            Trouble::RealtimeRefuses => {
                let ending = self.watcher.cause(EndReason::RealtimeRefused);
                self.realtime_ends(b"insufficient_quota.insufficient_quota", None, &ending);
            }
            Trouble::RealtimeBreaks => {
                let ending = self.watcher.realtime_breaks();
                self.realtime_ends(b"", Some(IoFault::Reset), &ending);
            }
            Trouble::MediaBreaks => {
                let ending = self.watcher.cause(EndReason::MediaFault);
                self.gives(Input::MediaDown { leg: LegId(1), fault: IoFault::Other }, &ending);
            }
            Trouble::Gap { caller_hangs_up } => {
                self.gives(Input::AriLink(LinkState::Down), &Ending::Not);
                if caller_hangs_up {
                    self.world.asterisk.is_taken_away(Thing::Caller);
                }
                self.world.asterisk.events_are_lost();
                self.gives(Input::AriLink(LinkState::Up), &Ending::Not);
            }
        }
    }

    fn realtime_ends(&mut self, reason: &[u8], fault: Option<IoFault>, ending: &Ending) {
        let (link, _) = self.watcher.link().expect("a link");
        self.world.oracle.realtime_down(link);
        self.watcher.link_is_down();
        let code = fault.is_none().then_some(1013);
        self.gives(
            Input::RealtimeDown { link, http_status: None, retry_after: None, code, reason, fault },
            ending,
        );
    }

    /// From here on all goes well, in one order: what is under way is executed and answered, a caller who is answered hangs
    /// up, and nothing may be left.
    pub(super) fn ends_well(&mut self) {
        for (id, since) in core::mem::take(&mut self.late) {
            match self.odometer.below(3) {
                0 => self.is_executed(id),
                1 => self.at_last.push((id, since)),
                _ => self.world.asterisk.forget(id),
            }
        }
        for _ in 0..MAX_DEEDS_TO_END {
            if self.world.next.finished {
                break;
            }
            // Of a caller who has left unnoticed the call learns when it looks again.
            let or_else = match self.watcher.ended() {
                None if !self.world.asterisk.is_there(Thing::Caller) => Some(Deed::Timer),
                None => Some(Deed::Trouble(Trouble::CallerHangsUp { all_executed: false })),
                Some(_) => None,
            };
            let deed = self.good_deeds().first().copied().or_else(|| self.time_out()).or(or_else);
            self.happens(deed.expect("the call waits for nothing, and does not end"));
        }
        assert!(self.world.next.finished, "the call does not end: {:?}", self.world.next);
        // What comes after the end would stay for ever.
        self.what_is_late_is_executed(self.world.now + Duration::from_secs(60));
        self.world.asterisk.assert_nothing_is_left();
        self.watcher.is_over(&self.outcome(), self.world.asterisk.is_there(Thing::Caller));
    }

    fn gives(&mut self, input: Input<'_>, ending: &Ending) {
        self.world.step(input);
        self.look(ending);
    }

    /// Looks at what the last step gave.
    fn look(&mut self, ending: &Ending) {
        let out = &self.world.out;
        for action in out.iter() {
            if let ari_bridge_core::call::Action::Ari { id, method, path, .. } = action {
                let (method, path) = (method.as_str(), out.text(path));
                self.story.push(Line::Asks(format!("{method} {path}")));
                self.watcher.asks(id, What::of(method, path), path);
            } else {
                self.watcher.sees(action);
            }
        }
        let ended = self.watcher.end_of_step(ending);
        self.story.extend(ended.map(Line::Ends));
    }
}

impl Drop for Life {
    /// Whoever finds a call that does what it must not knows nothing of what led there.
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        eprintln!("{:?}, leaf {:?}:", self.kind, self.odometer.reading());
        for line in &self.story {
            match line {
                Line::Happens(at, deed) => eprintln!("{at}  {deed:?}"),
                Line::Asks(request) => eprintln!("        asks {request}"),
                Line::Ends(reason) => eprintln!("        ends: {reason}"),
            }
        }
    }
}

fn settings(kind: Kind) -> CallSettings {
    CallSettings {
        transfers: vec![Transfer {
            name: "operator".to_owned(),
            context: "the-only-place".to_owned(),
            extension: "1001".to_owned(),
            priority: 1,
        }],
        keys: Keys { hot: vec![('0', 0)], ..Keys::default() },
        fallback: if kind.hangs_up { Fallback::HangUp } else { Fallback::default() },
        session: SessionSettings { audio_format: ModelFormat::Pcmu, ..SessionSettings::default() },
        ..CallSettings::default()
    }
}

//! One process: takes ARI's events, tells callers from the rest, and hands each event to its call.
//!
//! The switchboard owns no call and no call owns it: the two exchange values. It keeps the event socket open,
//! takes calls on or sends them where the operator says, and removes what a call that panicked left on Asterisk.

mod breaker;
mod io;
mod link;
mod orphans;
mod resync;
mod spending;

pub use io::*;

use crate::ari::{Channel, Event, EventKind};
use crate::call::{Entry, IoFault, LinkState, News, Outcome, StopReason};
use crate::id::{CallId, IdPrefix, InstanceNonce, ResourceId};
use crate::observe::{BadInput, Guard, Observation, Once, Refusal, Upkeep};
use crate::outcome::PANICKED;
use crate::ports;
use crate::rng::Rng;
use crate::settings::SwitchboardSettings;
use crate::time::{Duration, Instant, UtcNanos};
use breaker::{Admission, CircuitBreaker};
use link::{Due, Link};
use orphans::{Ids, Orphan, Orphans};
use resync::Resync;
use spending::Spending;
use std::collections::{BTreeMap, VecDeque};

/// What stands in the place of a number that is withheld, or unknown.
pub(crate) const WITHHELD: [&str; 6] =
    ["anonymous", "unknown", "restricted", "private", "withheld", "unavailable"];

/// How long calls that are told to end at the end of the process may take: a goodbye, and what is to be removed.
const PART_WITHIN: Duration = Duration::from_secs(25);

/// How long they may take without a goodbye.
const CLEAR_WITHIN: Duration = Duration::from_secs(5);

/// After how long it is looked for what was given up on: what a clean-up has left, who could not be looked at.
const SWEEP_AFTER: Duration = Duration::from_secs(60);

/// After how long it is looked for a caller who may have come back while events were away: one who was let go has
/// left by then.
const LOOK_AFTER: Duration = Duration::from_secs(2);

/// One process's view of Asterisk.
#[derive(Debug)]
pub struct Switchboard {
    settings: SwitchboardSettings,
    nonce: InstanceNonce,
    rng: Rng,
    last: Instant,
    ids: Ids,
    link: Link,
    /// Counts the times that the event socket was opened.
    connection: u32,
    resync: Resync,
    sweep_at: Option<Instant>,
    /// The calls have yet to be told that the event socket is open.
    untold_up: bool,
    last_call: u64,
    calls: BTreeMap<CallId, Known>,
    by_channel: BTreeMap<String, CallId>,
    /// Until when the ports of the calls that are over rest.
    resting: VecDeque<Instant>,
    orphans: Orphans,
    breaker: CircuitBreaker,
    spending: Spending,
    stop: Stop,
    bad_told: Once,
    finished: bool,
}

/// A call that is under way.
#[derive(Debug)]
struct Known {
    /// The channel of its caller.
    channel: String,
    /// On which connection to Asterisk it began.
    connection: u32,
}

/// How far the end of the process has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stop {
    /// It is not to end.
    No,
    /// No new calls; those that there are may go on until then.
    Draining { until: Instant },
    /// They were told to end, and whatever is left then is left behind.
    Ending { until: Instant },
}

impl Switchboard {
    /// A switchboard that begins by opening the event socket. `seed` decides the jitter of its retries and the
    /// seeds of its calls; `utc` is what the time is `now`, and decides when a day is over whose calls may cost so
    /// much: what was spent before the switchboard was made, it does not know.
    pub fn new(
        settings: &SwitchboardSettings,
        nonce: InstanceNonce,
        seed: u64,
        utc: UtcNanos,
        now: Instant,
        out: &mut Actions,
    ) -> (Self, Next) {
        out.push(Action::OpenAri);
        let switchboard = Self {
            settings: settings.clone(),
            nonce,
            rng: Rng::new(seed),
            last: now,
            ids: Ids::default(),
            link: Link::opening(),
            connection: 0,
            resync: Resync::default(),
            sweep_at: None,
            untold_up: false,
            last_call: 0,
            calls: BTreeMap::new(),
            by_channel: BTreeMap::new(),
            resting: VecDeque::new(),
            orphans: Orphans::default(),
            breaker: CircuitBreaker::new(settings.breaker),
            spending: Spending::new(settings.max_cost_per_day, utc, now),
            stop: Stop::No,
            bad_told: Once::default(),
            finished: false,
        };
        let next = switchboard.next();
        (switchboard, next)
    }

    /// Takes one input at `now` and gives the actions that follow from it. Work per step is bounded by the
    /// number of calls.
    ///
    /// # Panics
    ///
    /// If `now` is not later than at the last step: time only moves forward, and a driver that breaks this is
    /// at fault.
    pub fn step(&mut self, now: Instant, input: Input<'_>, out: &mut Actions) -> Next {
        assert!(now > self.last, "time only moves forward: {now} does not follow {}", self.last);
        self.last = now;
        if !self.finished {
            let is_timer = matches!(input, Input::Timer);
            self.take(now, input, out);
            self.orphans.let_go(now, is_timer, &self.settings.fallback, &mut self.ids, out);
            while let Some(caller) = self.orphans.next_let_go() {
                self.nobody_sees_to(now, &caller);
            }
            if self.orphans.has_lost_some() | self.resync.has_lost_some() {
                self.sweep_at.get_or_insert(now + SWEEP_AFTER);
            }
            self.resync_goes_on(now, is_timer, out);
            self.finish_if_done(now, is_timer, out);
        }
        self.next()
    }

    /// How many calls are under way.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.calls.len()
    }

    fn take(&mut self, now: Instant, input: Input<'_>, out: &mut Actions) {
        match input {
            Input::AriUp => self.ari_up(now, out),
            Input::AriDown { http_status, fault } => self.ari_down(now, http_status, fault, out),
            Input::Ari(bytes) => {
                self.link.heard(now);
                match Event::parse(bytes) {
                    Some(event) => self.event(now, &event, bytes, out),
                    None => self.bad_told.bad_input(BadInput::AriEvent).for_each(|o| out.observe(o)),
                }
            }
            Input::AriPong => self.link.heard(now),
            Input::AriReply { id, status, body } => {
                self.orphans.reply(now, id, status);
                self.resync_reply(now, id, status, body, out);
            }
            Input::AriFailed { id, fault } => {
                self.orphans.no_reply(now, id);
                self.resync_no_reply(now, id, fault, out);
            }
            Input::CallTold { call, news } => self.told(now, call, news, out),
            Input::CallFinished { call, outcome } => self.call_finished(now, call, &outcome),
            Input::CallPanicked { call } => self.panicked(now, call, out),
            Input::Drain => self.drain(now, out),
            Input::StopNow => self.end_calls(now, StopReason::AtOnce, out),
            Input::Settings(settings) => self.settings_are(settings),
            Input::Timer => self.time_out(now, out),
        }
    }

    fn ari_up(&mut self, now: Instant, out: &mut Actions) {
        self.link.opened(now);
        self.connection = self.connection.wrapping_add(1);
        self.sweep_at = None;
        self.resync.begin(self.calls.len());
        self.untold_up = true;
        out.observe(Observation::AriUp);
    }

    fn ari_down(
        &mut self,
        now: Instant,
        http_status: Option<u16>,
        fault: Option<IoFault>,
        out: &mut Actions,
    ) {
        let was_up = self.link.is_up();
        let Some(retry_in) = self.link.lost(now, &mut self.rng) else { return };
        if was_up {
            self.resync.interrupt();
            out.push(Action::ToAll(LinkState::Down));
        }
        out.observe(Observation::AriDown { http_status, fault, retry_in });
    }

    fn time_out(&mut self, now: Instant, out: &mut Actions) {
        match self.link.time_out(now) {
            Some(Due::Open) => out.push(Action::OpenAri),
            Some(Due::Ping) => out.push(Action::PingAri),
            Some(Due::GiveUp) => {
                out.observe(Observation::Upkeep(Upkeep::LinkSilent));
                out.push(Action::CloseAri);
                self.ari_down(now, None, Some(IoFault::TimedOut), out);
            }
            None => {}
        }
        if self.sweep_at.is_some_and(|at| at <= now) {
            self.sweep_at = None;
            // Without a connection there is nobody to ask, and the next one begins with asking.
            if self.link.is_up() {
                self.resync.begin(self.calls.len());
            }
        }
        if let Stop::Draining { until } = self.stop
            && until <= now
        {
            out.observe(Observation::Upkeep(Upkeep::DrainOver { calls: self.calls.len() }));
            self.end_calls(now, StopReason::Shutdown, out);
        }
    }

    /// Another client has taken the application: it has the events and the new calls from now on.
    fn replaced(&mut self, out: &mut Actions) {
        if self.link.replaced() {
            self.resync.interrupt();
            out.observe(Observation::AppReplaced);
            out.push(Action::CloseAri);
            out.push(Action::ToAll(LinkState::Down));
        }
    }

    fn event(&mut self, now: Instant, event: &Event<'_>, bytes: &[u8], out: &mut Actions) {
        if event.kind == EventKind::ApplicationReplaced {
            return self.replaced(out);
        }
        if let (EventKind::StasisStart, Some(channel)) = (event.kind, &event.channel) {
            self.resync.is_told_of(&channel.id);
            return self.stasis_start(now, event, channel, bytes, out);
        }
        if let (EventKind::StasisEnd | EventKind::ChannelDestroyed, Some(channel)) =
            (event.kind, &event.channel)
        {
            self.resync.has_left(&channel.id);
        }
        if let Some(call) = self.call_of(event) {
            hand_over(call, bytes, out);
        }
    }

    /// The call that an event is about: by a name of ours, or by the caller's channel.
    fn call_of(&self, event: &Event<'_>) -> Option<CallId> {
        let channel = event.channel.as_ref().map(|channel| &*channel.id);
        let bridge = event.bridge.as_ref().map(|bridge| &*bridge.id);
        let by_name =
            [channel, bridge].into_iter().flatten().find_map(|id| self.owner(ResourceId::parse(id)?));
        by_name.or_else(|| self.by_channel.get(channel?).copied())
    }

    /// The live call that made this resource.
    fn owner(&self, id: ResourceId) -> Option<CallId> {
        Some(id.prefix.call).filter(|call| id.prefix.nonce == self.nonce && self.calls.contains_key(call))
    }

    fn stasis_start(
        &mut self,
        now: Instant,
        event: &Event<'_>,
        channel: &Channel<'_>,
        bytes: &[u8],
        out: &mut Actions,
    ) {
        if let Some(id) = ResourceId::parse(&channel.id) {
            match self.owner(id) {
                Some(call) => hand_over(call, bytes, out),
                None => {
                    out.observe(Observation::Orphan);
                    self.orphans.found(Orphan::Channel(id), self.connection);
                }
            }
        } else if let Some(&call) = event.replaces.as_ref().and_then(|old| self.by_channel.get(&*old.id)) {
            // An attended transfer: the new channel takes the caller's place in the call.
            if let Some(&other) = self.by_channel.get(&*channel.id).filter(|other| **other != call) {
                // It was taken for a caller of its own before this came.
                out.push(Action::StopCall { call: other, reason: StopReason::CallerLeft });
            }
            self.register(call, channel);
            self.resync.is_given_away(&channel.id);
            hand_over(call, bytes, out);
        } else if channel.is_media() || channel.id.is_empty() {
            out.observe(Observation::NotACaller);
        } else {
            self.caller_comes(now, event.caller_number(), channel, bytes, out);
        }
    }

    fn caller_comes(
        &mut self,
        now: Instant,
        number: &str,
        channel: &Channel<'_>,
        bytes: &[u8],
        out: &mut Actions,
    ) {
        if self.resync.is_announced(&channel.id) {
            // Asterisk has shown it already, and the event of its coming was under way. Where nobody sees to it any more, it
            // was let go meanwhile, and the event of its leaving follows; if none does, it is found when it is looked for.
            if !self.knows(&channel.id) {
                self.look_soon(now);
            }
            return;
        }
        if let Some(&call) = self.by_channel.get(&*channel.id) {
            // It left and came back, and the event of its leaving was lost or is on its way.
            out.push(Action::StopCall { call, reason: StopReason::CallerLeft });
        }
        if let Some(refusal) = self.refusal(now, out) {
            self.refuse(refusal, channel, out);
        } else {
            self.start_call(number, channel, Entry::Arrived, bytes, out);
        }
    }

    /// Sends a caller on who is not taken on.
    fn refuse(&mut self, refusal: Refusal, channel: &Channel<'_>, out: &mut Actions) {
        out.observe(Observation::CallRefused(refusal));
        self.orphans.caller(channel.id.to_string(), self.connection, refusal.label());
    }

    /// Why the next call is not taken on. The breaker is asked last: it reckons with the call that it admits.
    fn refusal(&mut self, now: Instant, out: &mut Actions) -> Option<Refusal> {
        if self.stop != Stop::No {
            return Some(Refusal::Stopping);
        }
        if self.settings.max_calls.is_some_and(|most| self.calls.len() >= most) {
            return Some(Refusal::TooManyCalls);
        }
        while self.resting.front().is_some_and(|until| *until <= now) {
            self.resting.pop_front();
        }
        if self.calls.len() + self.resting.len() >= self.settings.ports {
            return Some(Refusal::NoPort);
        }
        if self.spending.is_over(now) {
            return Some(Refusal::CostLimit);
        }
        match self.breaker.admit(now, self.next_call()) {
            Admission::Taken => None,
            Admission::Probe => {
                out.observe(Observation::Guard(Guard::BreakerProbe));
                None
            }
            Admission::Refused => Some(Refusal::RealtimeDown),
        }
    }

    /// What a call that is under way has told.
    fn told(&mut self, now: Instant, call: CallId, news: News, out: &mut Actions) {
        let guard = match news {
            News::Spent(amount) => self.spending.spent(now, amount),
            News::RealtimeIsWell | News::RealtimeFails if self.calls.contains_key(&call) => {
                self.breaker.told(now, call, news)
            }
            News::RealtimeIsWell | News::RealtimeFails => None,
        };
        guard.into_iter().for_each(|guard| out.observe(Observation::Guard(guard)));
    }

    /// The name of the call that is taken on next.
    const fn next_call(&self) -> CallId {
        CallId(self.last_call + 1)
    }

    fn start_call(
        &mut self,
        number: &str,
        channel: &Channel<'_>,
        entry: Entry,
        about: &[u8],
        out: &mut Actions,
    ) {
        let call = self.next_call();
        self.last_call = call.0;
        self.register(call, channel);
        let about = out.put(about);
        // Those who withhold their numbers are not one and the same.
        let is_withheld = WITHHELD.iter().any(|word| word.eq_ignore_ascii_case(number));
        let caller = out.put(if is_withheld { b"" } else { number.as_bytes() });
        let ids = IdPrefix { nonce: self.nonce, call };
        out.push(Action::StartCall { call, ids, seed: self.rng.next_u64(), entry, about, caller });
    }

    fn register(&mut self, call: CallId, channel: &Channel<'_>) {
        let id = channel.id.to_string();
        self.orphans.is_in_a_call(&id);
        let known = Known { channel: id.clone(), connection: self.connection };
        if let Some(old) = self.calls.insert(call, known) {
            self.by_channel.remove(&old.channel);
        }
        self.by_channel.insert(id, call);
    }

    fn call_finished(&mut self, now: Instant, call: CallId, outcome: &Outcome) {
        self.forget(now, call);
        if outcome.left_behind {
            self.sweep_at.get_or_insert(now + SWEEP_AFTER);
        }
    }

    fn forget(&mut self, now: Instant, call: CallId) {
        self.breaker.ended(call);
        if let Some(known) = self.calls.remove(&call) {
            self.resting.push_back(now + ports::REST);
            // The caller may have come back meanwhile, into a call of its own.
            if self.by_channel.get(&known.channel) == Some(&call) {
                self.by_channel.remove(&known.channel);
                self.nobody_sees_to(now, &known.channel);
            }
        }
    }

    /// A call or a refusal is over, and its caller should be gone.
    fn nobody_sees_to(&mut self, now: Instant, channel: &str) {
        if self.resync.may_be_there(channel) {
            self.look_soon(now);
        }
    }

    fn look_soon(&mut self, now: Instant) {
        let at = now + LOOK_AFTER;
        self.sweep_at = Some(self.sweep_at.map_or(at, |sweep_at| sweep_at.min(at)));
    }

    /// A call's task is gone, and with it all knowledge of what it had made. The names are known, so each is
    /// removed, as something whose create may still be under way.
    fn panicked(&mut self, now: Instant, call: CallId, out: &mut Actions) {
        let Some(Known { channel, connection }) = self.calls.get(&call) else { return };
        let (channel, connection) = (channel.clone(), *connection);
        self.forget(now, call);
        out.observe(Observation::CallPanicked);
        let ids = IdPrefix { nonce: self.nonce, call };
        // Another call may have the caller by now.
        if !self.by_channel.contains_key(&channel) {
            self.orphans.caller(channel, connection, PANICKED);
        }
        for what in [
            Orphan::Channel(ids.resource(crate::call::line::MEDIA_CHANNEL)),
            Orphan::Bridge(ids.resource(crate::call::line::BRIDGE)),
        ] {
            self.orphans.suspected(now, what, connection);
        }
    }

    fn drain(&mut self, now: Instant, out: &mut Actions) {
        if self.stop == Stop::No {
            let (calls, within) = (self.calls.len(), self.settings.drain);
            self.stop = Stop::Draining { until: now + within };
            out.observe(Observation::Upkeep(Upkeep::Draining { calls, within }));
            if within.is_zero() {
                self.end_calls(now, StopReason::Shutdown, out);
            }
        }
    }

    fn end_calls(&mut self, now: Instant, reason: StopReason, out: &mut Actions) {
        let within = if reason == StopReason::AtOnce { CLEAR_WITHIN } else { PART_WITHIN };
        self.stop = Stop::Ending { until: now + within };
        for &call in self.calls.keys() {
            out.push(Action::StopCall { call, reason });
        }
    }

    fn finish_if_done(&mut self, now: Instant, timer: bool, out: &mut Actions) {
        let is_late = matches!(self.stop, Stop::Ending { until } if timer && until <= now);
        // Whoever is found waiting yet has to be sent on.
        let is_clear = self.calls.is_empty() && self.orphans.is_idle() && self.resync.is_idle();
        if is_late && !is_clear {
            out.observe(Observation::Upkeep(Upkeep::GaveUp { calls: self.calls.len() }));
        }
        if is_late || (is_clear && self.stop != Stop::No) {
            self.finished = true;
            out.push(Action::Finish);
        }
    }

    fn settings_are(&mut self, settings: &SwitchboardSettings) {
        let ari_app = core::mem::take(&mut self.settings.ari_app);
        self.settings = SwitchboardSettings { ari_app, ..settings.clone() };
        self.breaker.settings_are(settings.breaker);
        self.spending.limit_is(settings.max_cost_per_day);
    }

    fn next(&self) -> Next {
        if self.finished {
            return Next { deadline: None, finished: true };
        }
        let clean_up = self.orphans.deadline().map(|at| (at, Wake::CleanUp));
        let sweep = self.sweep_at.map(|at| (at, Wake::Resync));
        let stop = match self.stop {
            Stop::No => None,
            Stop::Draining { until } | Stop::Ending { until } => Some((until, Wake::Drain)),
        };
        let all = [self.link.deadline(), self.resync.deadline(), clean_up, sweep, stop];
        Next { deadline: all.into_iter().flatten().min(), finished: false }
    }
}

fn hand_over(call: CallId, bytes: &[u8], out: &mut Actions) {
    let event = out.put(bytes);
    out.push(Action::ToCall { call, event });
}

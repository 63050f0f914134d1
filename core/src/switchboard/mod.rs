//! One process: takes ARI's events, tells callers from the rest, and hands each event to its call.
//!
//! The switchboard owns no call and no call owns it: the two exchange values. It keeps the event socket open,
//! takes calls on or sends them where the operator says, and removes what a call that panicked left on Asterisk.

mod breaker;
mod io;
mod orphans;
mod spending;

pub use io::*;

use crate::ari::{Channel, Event, EventKind};
use crate::call::{Entry, IoFault, LinkState, News, StopReason};
use crate::id::{CallId, IdPrefix, InstanceNonce, ResourceId};
use crate::observe::{BadInput, Guard, Observation, Once, Refusal};
use crate::outcome::PANICKED;
use crate::rng::Rng;
use crate::settings::SwitchboardSettings;
use crate::time::{Duration, Instant, UtcNanos};
use breaker::{Admission, CircuitBreaker};
use orphans::{Orphan, Orphans};
use spending::Spending;
use std::collections::BTreeMap;

/// What stands in the place of a number that is withheld, or unknown.
const WITHHELD: [&str; 6] = ["anonymous", "unknown", "restricted", "private", "withheld", "unavailable"];

/// The wait before the event socket is opened again; it doubles with each failure.
const FIRST_RECONNECT: Duration = Duration::from_millis(250);

/// The longest such wait.
const LAST_RECONNECT: Duration = Duration::from_secs(15);

/// A socket that breaks sooner than this counts as one that could not be opened.
const STABLE_AFTER: Duration = Duration::from_secs(5);

/// One process's view of Asterisk.
#[derive(Debug)]
pub struct Switchboard {
    settings: SwitchboardSettings,
    nonce: InstanceNonce,
    rng: Rng,
    last: Instant,
    link: Link,
    last_call: u64,
    /// The calls under way and the channel of each one's caller.
    calls: BTreeMap<CallId, String>,
    by_channel: BTreeMap<String, CallId>,
    orphans: Orphans,
    breaker: CircuitBreaker,
    spending: Spending,
    draining: bool,
    bad_told: Once,
    finished: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Link {
    /// Being opened, after so many failures.
    Opening(u32),
    /// Open since then, after so many failures.
    Up { since: Instant, failures: u32 },
    /// To be opened again then.
    Down { failures: u32, retry_at: Instant },
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
            link: Link::Opening(0),
            last_call: 0,
            calls: BTreeMap::new(),
            by_channel: BTreeMap::new(),
            orphans: Orphans::default(),
            breaker: CircuitBreaker::new(settings.breaker),
            spending: Spending::new(settings.max_cost_per_day, utc, now),
            draining: false,
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
            self.take(now, input, out);
            self.orphans.let_go(now, matches!(input, Input::Timer), &self.settings.fallback, out);
            if self.draining && self.calls.is_empty() && self.orphans.is_idle() {
                self.finished = true;
                out.push(Action::Finish);
            }
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
            Input::AriUp => {
                let failures = if let Link::Opening(failures) = self.link { failures } else { 0 };
                self.link = Link::Up { since: now, failures };
                out.observe(Observation::AriUp);
                out.push(Action::ToAll(LinkState::Up));
            }
            Input::AriDown { http_status, fault } => self.ari_down(now, http_status, fault, out),
            Input::Ari(bytes) => match Event::parse(bytes) {
                Some(event) => self.event(now, &event, bytes, out),
                None => self.bad_told.bad_input(BadInput::AriEvent).for_each(|o| out.observe(o)),
            },
            Input::AriReply { id, status, .. } => self.orphans.reply(now, id, status),
            Input::AriFailed { id, .. } => self.orphans.no_reply(now, id),
            Input::CallTold { call, news } => self.told(now, call, news, out),
            Input::CallFinished { call, outcome: _ } => self.forget(call),
            Input::CallPanicked { call } => self.panicked(now, call, out),
            Input::Drain | Input::StopNow => self.drain(out),
            Input::AriPong | Input::Settings(_) => {}
            Input::Timer => {
                if let Link::Down { failures, retry_at } = self.link
                    && retry_at <= now
                {
                    self.link = Link::Opening(failures);
                    out.push(Action::OpenAri);
                }
            }
        }
    }

    fn ari_down(
        &mut self,
        now: Instant,
        http_status: Option<u16>,
        fault: Option<IoFault>,
        out: &mut Actions,
    ) {
        let failures = match self.link {
            Link::Opening(failures) | Link::Down { failures, .. } => failures,
            Link::Up { since, failures } => {
                out.push(Action::ToAll(LinkState::Down));
                if now.since(since) < STABLE_AFTER { failures } else { 0 }
            }
        };
        let longest = (FIRST_RECONNECT * (1 << failures.min(8))).min(LAST_RECONNECT);
        // Between half of it and all of it, so that many bridges do not come back at the same moment.
        let retry_in = longest / 2 + (longest / 2) * self.rng.below(1024) / 1024;
        self.link = Link::Down { failures: failures.saturating_add(1), retry_at: now + retry_in };
        out.observe(Observation::AriDown { http_status, fault, retry_in });
    }

    fn event(&mut self, now: Instant, event: &Event<'_>, bytes: &[u8], out: &mut Actions) {
        if event.kind == EventKind::ApplicationReplaced {
            return out.observe(Observation::AppReplaced);
        }
        if let (EventKind::StasisStart, Some(channel)) = (event.kind, &event.channel) {
            return self.stasis_start(now, event, channel, bytes, out);
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
                    self.orphans.found(Orphan::Channel(id));
                }
            }
        } else if let Some(&call) = event.replaces.as_ref().and_then(|old| self.by_channel.get(&*old.id)) {
            // An attended transfer: the new channel takes the caller's place in the call.
            self.register(call, channel);
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
        if let Some(&call) = self.by_channel.get(&*channel.id) {
            // It left and came back, and the event of its leaving was lost or is on its way.
            out.push(Action::StopCall { call, reason: StopReason::CallerLeft });
        }
        if let Some(refusal) = self.refusal(now, out) {
            out.observe(Observation::CallRefused(refusal));
            self.orphans.caller(channel.id.to_string(), refusal.label());
        } else {
            self.start_call(number, channel, bytes, out);
        }
    }

    /// Why the next call is not taken on. The breaker is asked last: it reckons with the call that it admits.
    fn refusal(&mut self, now: Instant, out: &mut Actions) -> Option<Refusal> {
        if self.draining {
            return Some(Refusal::Stopping);
        }
        if self.settings.max_calls.is_some_and(|most| self.calls.len() >= most) {
            return Some(Refusal::TooManyCalls);
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

    fn start_call(&mut self, number: &str, channel: &Channel<'_>, bytes: &[u8], out: &mut Actions) {
        let call = self.next_call();
        self.last_call = call.0;
        self.register(call, channel);
        let about = out.put(bytes);
        // Those who withhold their numbers are not one and the same.
        let is_withheld = WITHHELD.iter().any(|word| word.eq_ignore_ascii_case(number));
        let caller = out.put(if is_withheld { b"" } else { number.as_bytes() });
        let ids = IdPrefix { nonce: self.nonce, call };
        out.push(Action::StartCall {
            call,
            ids,
            seed: self.rng.next_u64(),
            entry: Entry::Arrived,
            about,
            caller,
        });
    }

    fn register(&mut self, call: CallId, channel: &Channel<'_>) {
        let id = channel.id.to_string();
        if let Some(old) = self.calls.insert(call, id.clone()) {
            self.by_channel.remove(&old);
        }
        self.by_channel.insert(id, call);
    }

    fn forget(&mut self, call: CallId) {
        self.breaker.ended(call);
        if let Some(channel) = self.calls.remove(&call) {
            // The caller may have come back meanwhile, into a call of its own.
            if self.by_channel.get(&channel) == Some(&call) {
                self.by_channel.remove(&channel);
            }
        }
    }

    /// A call's task is gone, and with it all knowledge of what it had made. The names are known, so each is
    /// removed, as something whose create may still be under way.
    fn panicked(&mut self, now: Instant, call: CallId, out: &mut Actions) {
        let Some(channel) = self.calls.get(&call).cloned() else { return };
        self.forget(call);
        out.observe(Observation::CallPanicked);
        let ids = IdPrefix { nonce: self.nonce, call };
        self.orphans.caller(channel, PANICKED);
        self.orphans.suspected(now, Orphan::Channel(ids.resource(crate::call::line::MEDIA_CHANNEL)));
        self.orphans.suspected(now, Orphan::Bridge(ids.resource(crate::call::line::BRIDGE)));
    }

    fn drain(&mut self, out: &mut Actions) {
        if !core::mem::replace(&mut self.draining, true) {
            for &call in self.calls.keys() {
                out.push(Action::StopCall { call, reason: StopReason::Shutdown });
            }
        }
    }

    fn next(&self) -> Next {
        if self.finished {
            return Next { deadline: None, finished: true };
        }
        let reconnect = match self.link {
            Link::Down { retry_at, .. } => Some((retry_at, Wake::Reconnect)),
            Link::Up { .. } | Link::Opening(_) => None,
        };
        let clean_up = self.orphans.deadline().map(|at| (at, Wake::CleanUp));
        Next { deadline: [reconnect, clean_up].into_iter().flatten().min(), finished: false }
    }
}

fn hand_over(call: CallId, bytes: &[u8], out: &mut Actions) {
    let event = out.put(bytes);
    out.push(Action::ToCall { call, event });
}

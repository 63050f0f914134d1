//! What is on Asterisk when the event socket has come up: what an earlier run or an earlier connection has left is
//! removed, and callers who wait for nobody are taken on.
//!
//! Events are lost while there is no socket, and none is sent again (measured). So Asterisk is asked: whether it is
//! still the same one, what our application has, and which bridges there are. Events that come meanwhile are acted on
//! at once. They tell of every channel that comes or goes from now on, and so what is looked at here is only what no
//! event has told of; each channel is looked at by itself just before it is acted on.
//!
//! Whether a call that is under way still has its caller is for the call to find out: it knows what it needs.

use super::io::{Action, Actions, Wake};
use super::orphans::{Ids, Orphan};
use super::{Switchboard, Upkeep};
use crate::ari::{self, Channel, Event, Request, Started};
use crate::call::line::REPLY_WITHIN;
use crate::call::{Entry, IoFault, LinkState, StopReason};
use crate::id::{RequestId, ResourceId};
use crate::observe::{Observation, Refusal};
use crate::time::{Duration, Instant, growing};
use std::collections::{BTreeSet, VecDeque};

/// The wait before a request that failed is repeated; it doubles with each failure.
const FIRST_RETRY: Duration = Duration::from_millis(250);

/// The longest such wait.
const LAST_RETRY: Duration = Duration::from_secs(5);

/// How often a channel is looked at that Asterisk does not show: for some 40 s, and then at the next time again.
const MAX_TRIES: u8 = 12;

/// How many channels are looked at at once.
const MAX_LOOKS: usize = 8;

/// How many channels may wait to be looked at. More of them wait for the next time.
const MAX_WAITING: usize = 4096;

/// How far it has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Stage {
    /// Nothing is to be asked.
    #[default]
    Rest,
    Info,
    Application,
    Bridges,
    Looks,
}

/// What was asked.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Ask {
    Info,
    Application,
    Bridges,
    /// A channel, for the how manieth time.
    Look(String, u8),
}

/// The state of the inquiry.
#[derive(Debug, Default)]
pub(super) struct Resync {
    /// Which Asterisk it was the last time, and on which connection it said so.
    started: Option<(Started, u32)>,
    stage: Stage,
    asked: Vec<(RequestId, Ask)>,
    waiting: VecDeque<(String, u8)>,
    /// A channel was given up on, or there was no room for it.
    lost_some: bool,
    retry_at: Option<Instant>,
    failures: u32,
    /// Callers who were taken on before the event of their coming, which may still be under way.
    unannounced: BTreeSet<String>,
    /// Channels that were listed and that somebody saw to: while events were away, each may have been let go and have
    /// come back. And those that took the place of a caller. When that is over, nobody may see to them.
    seen_to: BTreeSet<String>,
    /// What there is to tell in the end.
    kept: usize,
    callers: usize,
    orphans: usize,
}

impl Resync {
    /// The event socket is open; `kept` calls are under way.
    pub(super) fn begin(&mut self, kept: usize) {
        *self = Self { started: self.started.take(), stage: Stage::Info, kept, ..Self::default() };
    }

    /// The event socket is gone: what is found now may be wrong when it is back.
    pub(super) fn interrupt(&mut self) {
        *self = Self { started: self.started.take(), ..Self::default() };
    }

    /// A channel is told to enter the application. Whether that is old news of a caller who is taken on already.
    pub(super) fn is_announced(&mut self, channel: &str) -> bool {
        self.unannounced.remove(channel)
    }

    /// An event tells of the coming or going of this channel: what a look at it shows may be older than that.
    pub(super) fn is_told_of(&mut self, channel: &str) {
        self.asked.retain(|(_, ask)| !matches!(ask, Ask::Look(of, _) if of == channel));
        self.waiting.retain(|(of, _)| of != channel);
        self.seen_to.remove(channel);
    }

    /// A call was told that this channel is its caller now; it may be over already, and not have heard it.
    pub(super) fn is_given_away(&mut self, channel: &str) {
        self.seen_to.insert(channel.to_owned());
    }

    /// Nobody sees to this channel any more. Whether it may be there all the same, because no event has told of its
    /// leaving.
    pub(super) fn may_be_there(&mut self, channel: &str) -> bool {
        self.seen_to.remove(channel)
    }

    /// A channel has left.
    pub(super) fn has_left(&mut self, channel: &str) {
        self.is_told_of(channel);
        self.unannounced.remove(channel);
    }

    /// Whether nothing is to be learned now: nothing is asked, or Asterisk gave no answer.
    pub(super) fn is_idle(&self) -> bool {
        self.stage == Stage::Rest || self.failures > 0
    }

    /// Whether a channel was lost sight of since this was last asked.
    pub(super) fn has_lost_some(&mut self) -> bool {
        core::mem::take(&mut self.lost_some)
    }

    /// When something is to be asked again.
    pub(super) fn deadline(&self) -> Option<(Instant, Wake)> {
        Some((self.retry_at?, Wake::Resync))
    }

    fn take(&mut self, id: RequestId) -> Option<Ask> {
        let at = self.asked.iter().position(|(asked, _)| *asked == id)?;
        Some(self.asked.swap_remove(at).1)
    }

    fn send(&mut self, app: &str, ask: Ask, ids: &mut Ids, out: &mut Actions) {
        let request = match &ask {
            Ask::Info => Request::Info,
            Ask::Application => Request::Application { app },
            Ask::Bridges => Request::Bridges,
            Ask::Look(caller, _) => Request::Look { caller },
        };
        let path = out.write(|arena| request.write_path(arena));
        let (id, method) = (ids.next(), request.method());
        self.asked.push((id, ask));
        out.push(Action::Ari { id, method, path, timeout: REPLY_WITHIN });
    }

    /// The answer was of no use: the question is put again after a wait, which is returned.
    fn again(&mut self, now: Instant, ask: Ask) -> Duration {
        let wait = growing(FIRST_RETRY, self.failures, LAST_RETRY);
        self.failures = self.failures.saturating_add(1);
        self.retry_at = Some(now + wait);
        match ask {
            Ask::Look(channel, tries) if tries < MAX_TRIES => self.waiting.push_back((channel, tries)),
            Ask::Look(..) => self.lost_some = true,
            Ask::Info | Ask::Application | Ask::Bridges => {}
        }
        wait
    }
}

impl Switchboard {
    /// A reply that may be one to this inquiry.
    pub(super) fn resync_reply(
        &mut self,
        now: Instant,
        id: RequestId,
        status: u16,
        body: &[u8],
        out: &mut Actions,
    ) {
        let Some(ask) = self.resync.take(id) else { return };
        let is_ok = matches!(status, 200..=299);
        let understood = match &ask {
            Ask::Info if is_ok => self.asterisk_is(Started::parse(body), out),
            // Nobody has the application: no channel is in it.
            Ask::Application if status == 404 => self.channels_are(&[], out),
            Ask::Application if is_ok => ari::application_channels(body).is_some_and(|channels| {
                let channels: Vec<_> = channels.iter().map(|channel| &**channel).collect();
                self.channels_are(&channels, out)
            }),
            Ask::Bridges if is_ok => {
                ari::bridges(body).is_some_and(|bridges| self.bridges_are(&bridges, out))
            }
            Ask::Look(..) if status == 404 => true,
            Ask::Look(..) if is_ok => self.caller_is(now, body, out),
            _ => false,
        };
        if understood {
            self.resync.failures = 0;
        } else {
            let wait = self.resync.again(now, ask);
            out.observe(Observation::Upkeep(Upkeep::ResyncAgain { status: Some(status), fault: None, wait }));
        }
    }

    /// No reply will come.
    pub(super) fn resync_no_reply(&mut self, now: Instant, id: RequestId, fault: IoFault, out: &mut Actions) {
        let Some(ask) = self.resync.take(id) else { return };
        let wait = self.resync.again(now, ask);
        out.observe(Observation::Upkeep(Upkeep::ResyncAgain { status: None, fault: Some(fault), wait }));
    }

    /// Asks whatever can be asked now.
    pub(super) fn resync_goes_on(&mut self, now: Instant, timer: bool, out: &mut Actions) {
        if timer && self.resync.retry_at.is_some_and(|at| at <= now) {
            self.resync.retry_at = None;
        }
        if self.resync.retry_at.is_some() {
            return;
        }
        let ask = match self.resync.stage {
            Stage::Rest => return,
            Stage::Looks => return self.look_at_channels(out),
            Stage::Info => Ask::Info,
            Stage::Application => Ask::Application,
            Stage::Bridges => Ask::Bridges,
        };
        if self.resync.asked.is_empty() {
            self.resync.send(&self.settings.ari_app, ask, &mut self.ids, out);
        }
    }

    /// A caller is taken on when no media channel of the one before is left to send to our ports.
    fn look_at_channels(&mut self, out: &mut Actions) {
        while self.resync.asked.len() < MAX_LOOKS && !self.orphans.channels_are_leaving() {
            let Some((channel, tries)) = self.resync.waiting.pop_front() else { break };
            if !self.knows(&channel) {
                let ask = Ask::Look(channel, tries.saturating_add(1));
                self.resync.send(&self.settings.ari_app, ask, &mut self.ids, out);
            }
        }
        if self.resync.asked.is_empty() && self.resync.waiting.is_empty() {
            self.resync.stage = Stage::Rest;
            let Resync { kept, callers, orphans, .. } = self.resync;
            out.observe(Observation::Upkeep(Upkeep::Resynced { kept, callers, orphans }));
        }
    }

    /// Whether somebody sees to this caller's channel.
    pub(super) fn knows(&self, channel: &str) -> bool {
        self.by_channel.contains_key(channel) || self.orphans.has_caller(channel)
    }

    /// This Asterisk it is. If it is not the one that it was, its channels are not there any more.
    fn asterisk_is(&mut self, started: Option<Started>, out: &mut Actions) -> bool {
        let Some(started) = started else { return false };
        self.resync.stage = Stage::Application;
        let before = self.resync.started.replace((started.clone(), self.connection));
        if let Some((_, connection)) = before.filter(|(before, _)| *before != started) {
            self.asterisk_restarted(connection, out);
        }
        // Not before: a call that looks for its caller on another Asterisk would think that the caller hung up.
        if core::mem::take(&mut self.untold_up) {
            out.push(Action::ToAll(LinkState::Up));
        }
        true
    }

    /// The Asterisk of this connection and those before it is no more. Whether what began between that and now began on
    /// the old one or the new one is not known: calls look for themselves.
    fn asterisk_restarted(&mut self, connection: u32, out: &mut Actions) {
        let of_before = self.calls.iter().filter(|(_, known)| known.connection <= connection);
        let of_before: Vec<_> = of_before.map(|(call, _)| *call).collect();
        let calls = of_before.len();
        self.resync.kept = self.resync.kept.saturating_sub(calls);
        out.observe(Observation::Upkeep(Upkeep::AsteriskRestarted { calls }));
        for call in of_before {
            out.push(Action::StopCall { call, reason: StopReason::AsteriskRestarted });
        }
        self.orphans.forget_those_until(connection);
    }

    /// These are the channels that the application has.
    fn channels_are(&mut self, channels: &[&str], out: &mut Actions) -> bool {
        for channel in channels {
            match ResourceId::parse(channel) {
                Some(id) if self.owner(id).is_none() => self.found(Orphan::Channel(id), out),
                Some(_) => {}
                None if self.knows(channel) => drop(self.resync.seen_to.insert((*channel).to_owned())),
                None if self.resync.waiting.len() < MAX_WAITING => {
                    self.resync.waiting.push_back(((*channel).to_owned(), 0));
                }
                None => self.resync.lost_some = true,
            }
        }
        self.resync.stage = Stage::Bridges;
        true
    }

    /// These are the bridges of Asterisk, whoever made them. Ours bear the name of our application, which tells them
    /// from those of another bridge of our kind.
    fn bridges_are(&mut self, bridges: &[ari::Bridge<'_>], out: &mut Actions) -> bool {
        for bridge in bridges {
            let id = ResourceId::parse(&bridge.id).filter(|_| *bridge.name == *self.settings.ari_app);
            if let Some(id) = id.filter(|id| self.owner(*id).is_none()) {
                self.found(Orphan::Bridge(id), out);
            }
        }
        self.resync.stage = Stage::Looks;
        true
    }

    fn found(&mut self, what: Orphan, out: &mut Actions) {
        if !self.orphans.has(&what) {
            self.resync.orphans += 1;
            out.observe(Observation::Orphan);
        }
        self.orphans.found(what, self.connection);
    }

    /// This is a channel that no event has told of.
    fn caller_is(&mut self, now: Instant, shown: &[u8], out: &mut Actions) -> bool {
        let Some(channel) = Channel::parse(shown) else { return false };
        if !channel.is_in(&self.settings.ari_app) || self.knows(&channel.id) {
            return true;
        }
        if channel.is_media() {
            out.observe(Observation::NotACaller);
            return true;
        }
        self.resync.callers += 1;
        self.resync.unannounced.insert(channel.id.to_string());
        let refusal = if self.settings.adopt { self.refusal(now, out) } else { Some(Refusal::NotAdopted) };
        if let Some(refusal) = refusal {
            self.refuse(refusal, &channel, out);
        } else {
            out.observe(Observation::Upkeep(Upkeep::Adopted));
            let event = Event::of_channel(shown);
            let number = event.as_ref().map(Event::caller_number).unwrap_or_default();
            self.start_call(number, &channel, Entry::Adopted, shown, out);
        }
        true
    }
}

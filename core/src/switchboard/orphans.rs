//! What nobody owns and somebody has to remove: callers who are not taken on, and what a call left behind
//! that ended without cleaning up.

use super::io::{Action, Actions};
use crate::ari::{HangupReason, Request};
use crate::call::line::{REPLY_WITHIN, STATUS_WITHIN};
use crate::holding::Holding;
use crate::id::{RequestId, ResourceId};
use crate::settings::Fallback;
use crate::time::Instant;

/// How many are kept at once. Beyond it a further one is left to the next sweep; only a flood of refused
/// callers on an Asterisk that does not answer comes near it.
const MAX_ORPHANS: usize = 1024;

/// What is to be let go of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Orphan {
    /// A caller's channel, to go where the operator says.
    Caller(String),
    /// A media channel of ours.
    Channel(ResourceId),
    /// A bridge of ours.
    Bridge(ResourceId),
}

#[derive(Debug, Default)]
pub(super) struct Orphans {
    list: Vec<Entry>,
    /// Callers who were let go of since this was last asked.
    let_go: Vec<String>,
    /// Something was given up on, or there was no room for it.
    lost_some: bool,
}

/// The names of requests, one behind the other.
#[derive(Debug, Default)]
pub(super) struct Ids(u32);

impl Ids {
    pub(super) fn next(&mut self) -> RequestId {
        self.0 = self.0.wrapping_add(1);
        RequestId(self.0)
    }
}

#[derive(Debug)]
struct Entry {
    what: Orphan,
    holding: Holding,
    /// On which connection to Asterisk it showed itself.
    connection: u32,
    /// Why a caller goes on in the dialplan, until the dialplan is told.
    status: Option<&'static str>,
    request: Option<(RequestId, Purpose)>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Purpose {
    SetStatus,
    LetGo,
}

impl Orphans {
    /// Takes in something of ours that has shown itself.
    pub(super) fn found(&mut self, what: Orphan, connection: u32) {
        self.take_in(what, connection, None);
    }

    /// Takes in a caller who is not taken on, or whose call is lost; `status` says why. One who is there again is told
    /// of again, because nobody knows what the dialplan has made of the channel meanwhile.
    pub(super) fn caller(&mut self, channel: String, connection: u32, status: &'static str) {
        self.take_in(Orphan::Caller(channel), connection, Some(status));
    }

    fn take_in(&mut self, what: Orphan, connection: u32, status: Option<&'static str>) {
        if let Some(known) = self.list.iter_mut().find(|entry| entry.what == what) {
            known.holding.came_anew();
            (known.connection, known.status) = (connection, status);
        } else {
            self.adopt(what, connection, status, Holding::present());
        }
    }

    /// This caller is in a call now. Letting it go again would end that; what was asked before is done, because the
    /// caller has left and come back.
    pub(super) fn is_in_a_call(&mut self, channel: &str) {
        self.list.retain(|entry| !matches!(&entry.what, Orphan::Caller(caller) if caller == channel));
    }

    /// Takes in something that may be there, or may still come to be.
    pub(super) fn suspected(&mut self, now: Instant, what: Orphan, connection: u32) {
        self.adopt(what, connection, None, Holding::left_by_another(now));
    }

    fn adopt(&mut self, what: Orphan, connection: u32, status: Option<&'static str>, mut holding: Holding) {
        if self.list.len() < MAX_ORPHANS {
            holding.release();
            self.list.push(Entry { what, holding, connection, status, request: None });
        } else {
            self.lost_some = true;
        }
    }

    /// Whether this is being let go of.
    pub(super) fn has(&self, what: &Orphan) -> bool {
        self.list.iter().any(|entry| entry.what == *what)
    }

    /// Whether this caller is.
    pub(super) fn has_caller(&self, channel: &str) -> bool {
        self.list.iter().any(|entry| matches!(&entry.what, Orphan::Caller(caller) if caller == channel))
    }

    /// Whether the first answer to a request to remove a media channel is still awaited.
    pub(super) fn channels_are_leaving(&self) -> bool {
        self.list.iter().any(|entry| {
            matches!(entry.what, Orphan::Channel(_)) && entry.request.is_some() && !entry.holding.is_stuck()
        })
    }

    /// Forgets what showed itself last on this connection or before it: it went with the Asterisk that it was on.
    pub(super) fn forget_those_until(&mut self, connection: u32) {
        self.list.retain(|entry| entry.connection > connection);
    }

    /// Sends what can be sent now and forgets what is settled.
    pub(super) fn let_go(
        &mut self,
        now: Instant,
        timer: bool,
        fallback: &Fallback,
        ids: &mut Ids,
        out: &mut Actions,
    ) {
        for entry in &mut self.list {
            let Some((request, purpose)) = entry.next(now, timer, fallback) else { continue };
            let path = out.write(|arena| request.write_path(arena));
            let method = request.method();
            let id = ids.next();
            entry.request = Some((id, purpose));
            let timeout = if purpose == Purpose::SetStatus { STATUS_WITHIN } else { REPLY_WITHIN };
            out.push(Action::Ari { id, method, path, timeout });
        }
        self.lost_some |= self.list.iter().any(|entry| entry.holding.is_abandoned());
        let settled = self.list.extract_if(.., |entry| entry.holding.is_settled());
        self.let_go.extend(settled.filter_map(|entry| match entry.what {
            Orphan::Caller(channel) => Some(channel),
            Orphan::Channel(_) | Orphan::Bridge(_) => None,
        }));
    }

    /// A caller who was let go of, as long as there is one who was not asked for.
    pub(super) fn next_let_go(&mut self) -> Option<String> {
        self.let_go.pop()
    }

    pub(super) fn reply(&mut self, now: Instant, id: RequestId, status: u16) {
        if let Some((holding, Purpose::LetGo)) = self.asked(id) {
            holding.let_go_replied(status, now);
        }
    }

    pub(super) fn no_reply(&mut self, now: Instant, id: RequestId) {
        if let Some((holding, Purpose::LetGo)) = self.asked(id) {
            holding.let_go_failed(now);
        }
    }

    fn asked(&mut self, id: RequestId) -> Option<(&mut Holding, Purpose)> {
        let is_it = |entry: &&mut Entry| entry.request.is_some_and(|(asked, _)| asked == id);
        let entry = self.list.iter_mut().find(is_it)?;
        let (_, purpose) = entry.request.take()?;
        Some((&mut entry.holding, purpose))
    }

    /// Whether something was lost sight of since this was last asked.
    pub(super) fn has_lost_some(&mut self) -> bool {
        core::mem::take(&mut self.lost_some)
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        // While a request is open, it is the reply to that which is waited for.
        let waits = self.list.iter().filter(|entry| entry.request.is_none());
        waits.filter_map(|entry| entry.holding.deadline()).min()
    }

    /// Whether nothing is left to do, so that the process may end. What only waits for a create that may
    /// still be executed holds it up too: it is what the wait is for.
    pub(super) fn is_idle(&self) -> bool {
        self.list.is_empty()
    }
}

impl Entry {
    /// What is to be sent now: a caller goes on when the dialplan has been told why, or could not be told.
    fn next<'a>(
        &'a mut self,
        now: Instant,
        timer: bool,
        fallback: &'a Fallback,
    ) -> Option<(Request<'a>, Purpose)> {
        if self.request.is_some() {
            return None;
        }
        if let (Orphan::Caller(caller), Fallback::Dialplan(_)) = (&self.what, fallback)
            && let Some(value) = self.status.take()
        {
            return Some((Request::SetStatus { caller, value }, Purpose::SetStatus));
        }
        if !self.holding.poll(now, timer) {
            return None;
        }
        let request = match (&self.what, fallback) {
            (Orphan::Caller(caller), Fallback::Dialplan(to)) => Request::Continue { caller, to },
            (Orphan::Caller(caller), Fallback::HangUp) => {
                Request::HangUp { caller, reason: HangupReason::Congestion }
            }
            (Orphan::Channel(id), _) => Request::DeleteChannel(*id),
            (Orphan::Bridge(id), _) => Request::DeleteBridge(*id),
        };
        Some((request, Purpose::LetGo))
    }
}

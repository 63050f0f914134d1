//! What nobody owns and somebody has to remove: callers who are not taken on, and what a call left behind
//! that ended without cleaning up.

use super::io::{Action, Actions};
use crate::ari::Request;
use crate::call::line::REPLY_WITHIN;
use crate::holding::Holding;
use crate::id::{RequestId, ResourceId};
use crate::time::Instant;

/// How many are kept at once. Beyond it a further one is left to the next sweep; only a flood of refused
/// callers on an Asterisk that does not answer comes near it.
const MAX_ORPHANS: usize = 1024;

/// What is to be let go of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Orphan {
    /// A caller's channel, to be sent on in the dialplan.
    Caller(String),
    /// A media channel of ours.
    Channel(ResourceId),
    /// A bridge of ours.
    Bridge(ResourceId),
}

#[derive(Debug, Default)]
pub(super) struct Orphans {
    list: Vec<Entry>,
    last_request: u32,
}

#[derive(Debug)]
struct Entry {
    what: Orphan,
    holding: Holding,
    request: Option<RequestId>,
}

impl Orphans {
    /// Takes in something that has shown itself.
    pub(super) fn found(&mut self, what: Orphan) {
        if let Some(known) = self.list.iter_mut().find(|entry| entry.what == what) {
            known.holding.seen();
        } else {
            self.adopt(what, Holding::present());
        }
    }

    /// Takes in something that may be there, or may still come to be.
    pub(super) fn suspected(&mut self, now: Instant, what: Orphan) {
        self.adopt(what, Holding::left_by_another(now));
    }

    fn adopt(&mut self, what: Orphan, mut holding: Holding) {
        if self.list.len() < MAX_ORPHANS {
            holding.release();
            self.list.push(Entry { what, holding, request: None });
        }
    }

    /// Sends what can be sent now and forgets what is settled.
    pub(super) fn let_go(&mut self, now: Instant, timer: bool, out: &mut Actions) {
        for entry in &mut self.list {
            if entry.holding.poll(now, timer) {
                self.last_request = self.last_request.wrapping_add(1);
                let id = RequestId(self.last_request);
                entry.request = Some(id);
                let request = match &entry.what {
                    Orphan::Caller(channel) => Request::Continue { caller: channel, to: None },
                    Orphan::Channel(id) => Request::DeleteChannel(*id),
                    Orphan::Bridge(id) => Request::DeleteBridge(*id),
                };
                let path = out.write(|arena| request.write_path(arena));
                out.push(Action::Ari { id, method: request.method(), path, timeout: REPLY_WITHIN });
            }
        }
        self.list.retain(|entry| !entry.holding.is_settled());
    }

    pub(super) fn reply(&mut self, now: Instant, id: RequestId, status: u16) {
        if let Some(entry) = self.asked(id) {
            entry.holding.let_go_replied(status, now);
        }
    }

    pub(super) fn no_reply(&mut self, now: Instant, id: RequestId) {
        if let Some(entry) = self.asked(id) {
            entry.holding.let_go_failed(now);
        }
    }

    fn asked(&mut self, id: RequestId) -> Option<&mut Entry> {
        let entry = self.list.iter_mut().find(|entry| entry.request == Some(id))?;
        entry.request = None;
        Some(entry)
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.list.iter().filter_map(|entry| entry.holding.deadline()).min()
    }

    /// Whether nothing is left to do, so that the process may end. What only waits for a create that may
    /// still be executed holds it up too: it is what the wait is for.
    pub(super) fn is_idle(&self) -> bool {
        self.list.is_empty()
    }
}

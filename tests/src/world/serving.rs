//! The Realtime links of a staged call, as its server sees them.

use ari_bridge_core::id::LinkId;
use std::collections::VecDeque;

#[derive(Debug)]
struct Link {
    id: LinkId,
    is_up: bool,
    is_confirmed: bool,
}

/// The links that neither side has ended, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Links {
    open: Vec<Link>,
    pings: VecDeque<LinkId>,
    newest: Option<LinkId>,
}

impl Links {
    pub(super) fn opens(&mut self, id: LinkId) {
        self.open.push(Link { id, is_up: false, is_confirmed: false });
        self.newest = Some(id);
    }

    pub(super) fn ends(&mut self, id: LinkId) {
        self.open.retain(|link| link.id != id);
        self.pings.retain(|link| *link != id);
    }

    pub(super) fn comes_up(&mut self, id: LinkId) {
        self.open.iter_mut().filter(|link| link.id == id).for_each(|link| link.is_up = true);
    }

    pub(super) fn is_confirmed(&mut self, id: LinkId) {
        self.open.iter_mut().filter(|link| link.id == id).for_each(|link| link.is_confirmed = true);
    }

    pub(super) fn is_pinged(&mut self, id: LinkId) {
        self.pings.push_back(id);
    }

    pub(super) fn take_ping(&mut self) -> Option<LinkId> {
        self.pings.pop_front()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    /// The one that was opened last, whether or not it has ended.
    pub(super) fn newest(&self) -> LinkId {
        self.newest.unwrap_or(LinkId(1))
    }

    /// Where the conversation takes place: the next session stands behind it until the call has left it.
    pub(super) fn conversation(&self) -> Option<LinkId> {
        self.open.iter().find(|link| link.is_confirmed).map(|link| link.id)
    }

    /// A link whose settings the server has not agreed to, and whether its socket is open.
    pub(super) fn unconfirmed(&self) -> Option<(LinkId, bool)> {
        self.open.iter().find(|link| !link.is_confirmed).map(|link| (link.id, link.is_up))
    }
}

//! The UDP ports that media sockets are bound to.
//!
//! A freed port goes to the end of the queue: packets of the call that had it may still arrive, and the longer
//! it rests the less they can hurt.

use crate::time::Duration;
use std::collections::{BTreeSet, VecDeque};

/// How long a port rests after a call before another one gets it: what was still under way to it has come by then.
pub const REST: Duration = Duration::from_secs(2);

/// The ports of `RTP_PORT_START..=RTP_PORT_END`, each of them free, handed out, or found busy.
///
/// A *search* is what the driver does for one socket: it asks for candidates with [`PortPool::next`] until one
/// can be bound ([`PortPool::taken`]) or none is left (`None`). Every candidate comes at most once in a search,
/// so a search ends.
#[derive(Clone, Debug)]
pub struct PortPool {
    /// Longest free first.
    free: VecDeque<u16>,
    /// Given out and not given back.
    held: BTreeSet<u16>,
    /// Somebody else was found on them in this search.
    busy: Vec<u16>,
}

impl PortPool {
    /// A pool of the ports from `start` to `end`, both included; an empty one if `start` is above `end`.
    #[must_use]
    pub fn new(start: u16, end: u16) -> Self {
        let free: VecDeque<u16> = (start..=end).collect();
        Self { held: BTreeSet::new(), busy: Vec::with_capacity(free.len()), free }
    }

    /// The next candidate; it is the caller's until [`PortPool::busy`] or [`PortPool::release`]. `None` ends the
    /// search: every port is in use, by us or by somebody else.
    #[expect(clippy::should_implement_trait, reason = "after a `None` there may be ports again")]
    pub fn next(&mut self) -> Option<u16> {
        let Some(port) = self.free.pop_front() else {
            self.end_search();
            return None;
        };
        self.held.insert(port);
        Some(port)
    }

    /// The candidate was bound: the search ends, and what was busy is tried again in later ones.
    pub fn taken(&mut self, port: u16) {
        debug_assert!(self.held.contains(&port), "port {port} was not handed out");
        self.end_search();
    }

    /// Somebody else has the candidate: it is not handed out again in this search.
    pub fn busy(&mut self, port: u16) {
        if self.held.remove(&port) {
            self.busy.push(port);
        }
    }

    /// The socket is closed, or the candidate was not used. A port that was not handed out is ignored.
    pub fn release(&mut self, port: u16) {
        if self.held.remove(&port) {
            self.free.push_back(port);
        }
    }

    /// How many ports are not ours at the moment. Somebody else may have some of them.
    #[must_use]
    pub fn free(&self) -> usize {
        self.free.len() + self.busy.len()
    }

    /// How many ports are handed out.
    #[must_use]
    pub fn in_use(&self) -> usize {
        self.held.len()
    }

    fn end_search(&mut self) {
        self.free.extend(self.busy.drain(..));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(pool: &mut PortPool) -> Option<u16> {
        let port = pool.next()?;
        pool.taken(port);
        Some(port)
    }

    #[test]
    fn every_port_is_handed_out_once() {
        let mut pool = PortPool::new(30_000, 30_002);
        let ports: Vec<_> = core::iter::from_fn(|| take(&mut pool)).collect();
        assert_eq!(ports, [30_000, 30_001, 30_002]);
        assert_eq!((pool.free(), pool.in_use(), pool.next()), (0, 3, None));
    }

    #[test]
    fn a_freed_port_rests_for_as_long_as_possible() {
        let mut pool = PortPool::new(1, 4);
        for expected in [1, 2] {
            assert_eq!(take(&mut pool), Some(expected));
        }
        // Call 2 ends before call 1; both ports come after those that never were used.
        pool.release(2);
        pool.release(1);
        let ports: Vec<_> = core::iter::from_fn(|| take(&mut pool)).collect();
        assert_eq!(ports, [3, 4, 2, 1]);
    }

    #[test]
    fn a_busy_port_is_skipped_in_this_search_and_tried_in_a_later_one() {
        let mut pool = PortPool::new(1, 3);
        assert_eq!(pool.next(), Some(1));
        pool.busy(1);
        assert_eq!(take(&mut pool), Some(2));
        assert_eq!(take(&mut pool), Some(3));
        assert_eq!(take(&mut pool), Some(1), "whoever had it may be gone by now");
    }

    #[test]
    fn a_search_ends_when_everything_is_busy_and_the_next_one_tries_again() {
        let mut pool = PortPool::new(1, 3);
        for search in 1..=2 {
            let mut tried = 0;
            while let Some(port) = pool.next() {
                pool.busy(port);
                tried += 1;
            }
            assert_eq!((tried, pool.free()), (3, 3), "search {search}");
        }
    }

    #[test]
    fn giving_a_port_back_twice_does_not_double_it() {
        let mut pool = PortPool::new(1, 2);
        assert_eq!(take(&mut pool), Some(1));
        for port in [1, 1, 2, 9] {
            pool.release(port);
        }
        pool.busy(2);
        assert_eq!((pool.free(), pool.in_use()), (2, 0));
    }

    #[test]
    fn the_whole_range_of_ports_can_be_a_pool() {
        assert_eq!(PortPool::new(1, u16::MAX).free(), 65_535);
        assert_eq!(PortPool::new(2, 1).next(), None);
    }
}

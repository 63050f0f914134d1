//! The UDP ports that media sockets are bound to.
//!
//! A port rests for [`REST`] after its call, because packets of that call may still arrive, and it then goes to the
//! end of the queue: the longer it is not used, the less they can hurt the next one.

use crate::time::{Duration, Instant};
use std::collections::{BTreeSet, VecDeque};

/// How long a port is left alone when it was given back: longer than packets live in the networks between Asterisk
/// and the bridge, and longer than Asterisk sends after it was told to hang up.
pub const REST: Duration = Duration::from_secs(2);

/// The ports of `RTP_PORT_START..=RTP_PORT_END`, each of them free, handed out, resting, or found busy.
///
/// A *search* is what the driver does for one socket: it asks for candidates with [`PortPool::next`] until one
/// can be bound ([`PortPool::taken`]), none can for a reason of our own ([`PortPool::unused`]), or none is left
/// (`None`). Every candidate comes at most once in a search, so a search ends. Time must not move backward.
#[derive(Clone, Debug)]
pub struct PortPool {
    /// Longest free first.
    free: VecDeque<u16>,
    /// Given out and not given back.
    held: BTreeSet<u16>,
    /// Given back, and when each is free again; soonest first.
    resting: VecDeque<(Instant, u16)>,
    /// Somebody else was found on them in this search.
    busy: Vec<u16>,
}

impl PortPool {
    /// A pool of the ports from `start` to `end`, both included; an empty one if `start` is above `end`.
    #[must_use]
    pub fn new(start: u16, end: u16) -> Self {
        let free: VecDeque<u16> = (start..=end).collect();
        let most = free.len();
        Self { free, held: BTreeSet::new(), resting: VecDeque::new(), busy: Vec::with_capacity(most) }
    }

    /// The next candidate; it is the caller's until [`PortPool::busy`], [`PortPool::unused`] or
    /// [`PortPool::release`]. `None` ends the search: every port is in use, by us or by somebody else, or rests.
    pub fn next(&mut self, now: Instant) -> Option<u16> {
        self.wake(now);
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

    /// The candidate could not be bound although nobody has it: the search ends, and the port need not rest.
    pub fn unused(&mut self, port: u16) {
        if self.held.remove(&port) {
            self.free.push_back(port);
        }
        self.end_search();
    }

    /// The socket is closed: the port rests until [`REST`] after `now`. One that was not handed out is ignored.
    pub fn release(&mut self, port: u16, now: Instant) {
        if self.held.remove(&port) {
            self.resting.push_back((now + REST, port));
        }
    }

    /// How many ports are not ours at the moment and do not rest. Somebody else may have some of them.
    #[must_use]
    pub fn free(&mut self, now: Instant) -> usize {
        self.wake(now);
        self.free.len() + self.busy.len()
    }

    /// How many ports are handed out.
    #[must_use]
    pub fn in_use(&self) -> usize {
        self.held.len()
    }

    /// What has rested is free. Work is bounded by the number of ports.
    fn wake(&mut self, now: Instant) {
        while let Some(&(until, port)) = self.resting.front()
            && until <= now
        {
            self.resting.pop_front();
            self.free.push_back(port);
        }
    }

    fn end_search(&mut self) {
        self.free.extend(self.busy.drain(..));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    const NOW: Instant = Instant::START;

    fn take(pool: &mut PortPool, now: Instant) -> Option<u16> {
        let port = pool.next(now)?;
        pool.taken(port);
        Some(port)
    }

    fn take_all(pool: &mut PortPool, now: Instant) -> Vec<u16> {
        core::iter::from_fn(|| take(pool, now)).collect()
    }

    #[test]
    fn every_port_is_handed_out_once() {
        let mut pool = PortPool::new(30_000, 30_002);
        assert_eq!(take_all(&mut pool, NOW), [30_000, 30_001, 30_002]);
        assert_eq!((pool.free(NOW), pool.in_use(), pool.next(NOW)), (0, 3, None));
    }

    #[test]
    fn a_freed_port_rests_for_as_long_as_possible() {
        let mut pool = PortPool::new(1, 4);
        for expected in [1, 2] {
            assert_eq!(take(&mut pool, NOW), Some(expected));
        }
        // Call 2 ends before call 1; both ports come after those that never were used.
        pool.release(2, NOW);
        pool.release(1, NOW);
        assert_eq!(take_all(&mut pool, NOW + REST), [3, 4, 2, 1]);
    }

    #[test]
    fn a_port_of_a_call_that_has_just_ended_is_not_handed_out_even_if_no_other_is_left() {
        let mut pool = PortPool::new(1, 1);
        assert_eq!(take(&mut pool, NOW), Some(1));
        let end = Instant::from_millis(60_000);
        pool.release(1, end);
        let almost = end + REST - Duration::from_nanos(1);
        assert_eq!((pool.in_use(), pool.free(almost), take(&mut pool, almost)), (0, 0, None));
        assert_eq!((pool.free(end + REST), take(&mut pool, end + REST)), (1, Some(1)));
    }

    #[test]
    fn a_busy_port_is_skipped_in_this_search_and_tried_in_a_later_one() {
        let mut pool = PortPool::new(1, 3);
        assert_eq!(pool.next(NOW), Some(1));
        pool.busy(1);
        assert_eq!(take_all(&mut pool, NOW), [2, 3, 1], "whoever had it may be gone by now");
    }

    #[test]
    fn a_search_ends_when_everything_is_busy_and_the_next_one_tries_again() {
        let mut pool = PortPool::new(1, 3);
        for search in 1..=2 {
            let mut tried = 0;
            while let Some(port) = pool.next(NOW) {
                pool.busy(port);
                tried += 1;
            }
            assert_eq!((tried, pool.free(NOW)), (3, 3), "search {search}");
        }
    }

    #[test]
    fn a_port_that_carried_nothing_need_not_rest() {
        let mut pool = PortPool::new(1, 1);
        assert_eq!(pool.next(NOW), Some(1));
        pool.unused(1);
        assert_eq!((pool.free(NOW), take(&mut pool, NOW)), (1, Some(1)));
    }

    #[test]
    fn giving_a_port_back_twice_does_not_double_it() {
        let mut pool = PortPool::new(1, 2);
        assert_eq!(take(&mut pool, NOW), Some(1));
        for port in [1, 1, 2, 9] {
            pool.release(port, NOW);
        }
        pool.busy(2);
        pool.unused(2);
        assert_eq!((pool.free(NOW + REST), pool.in_use()), (2, 0));
    }

    #[test]
    fn the_whole_range_of_ports_can_be_a_pool() {
        assert_eq!(PortPool::new(1, u16::MAX).free(NOW), 65_535);
        assert_eq!(PortPool::new(2, 1).next(NOW), None);
    }

    proptest! {
        /// Whatever is asked in whatever order: no port has two users, none is handed out within [`REST`] of its last
        /// use, and none is ever lost.
        #[test]
        fn no_port_is_handed_out_twice_or_before_it_has_rested(
            steps in prop::collection::vec((0_u8..4, 0_usize..8, 0_u64..1500), 1..200),
        ) {
            const PORTS: u16 = 5;
            let mut pool = PortPool::new(1, PORTS);
            let (mut now, mut held, mut released) = (NOW, Vec::new(), BTreeMap::new());
            for (what, which, millis) in steps {
                now = now + Duration::from_millis(millis);
                if what == 0 && !held.is_empty() {
                    let port = held.swap_remove(which % held.len());
                    pool.release(port, now);
                    released.insert(port, now);
                } else if let Some(port) = pool.next(now) {
                    prop_assert!(!held.contains(&port), "{port} is in use");
                    if let Some(&at) = released.get(&port) {
                        prop_assert!(now.since(at) >= REST, "{port} has not rested");
                    }
                    match what {
                        2 => pool.busy(port),
                        3 => pool.unused(port),
                        _ => {
                            pool.taken(port);
                            held.push(port);
                        }
                    }
                }
                prop_assert_eq!(pool.in_use(), held.len());
            }
            prop_assert_eq!(pool.free(now + REST), usize::from(PORTS) - held.len());
        }
    }
}

//! Every order of what can happen to one call between its coming and its end, each reply failing or not: not some
//! of them, as in a world that is decided by bytes, but all within stated bounds.
//!
//! What can happen next is a list of [deeds](deed::Deed): a reply to a request that is under way, which comes or fails in
//! one of several ways; an event, also before the reply to the request that caused it; the next word of the Realtime
//! server; a time-out; or some trouble. An [`Odometer`] decides which of them it is, and so leads through the whole tree,
//! depth first; each leaf is a call of its own that is run from its beginning. At the leaf the faults stop: what is
//! under way is executed and answered in order, time passes, and the call must end as it has to, and leave nothing.
//!
//! What is no choice here: what one thing (the caller's channel, the media channel, the bridge) tells of comes in order; a
//! request is executed when the first of its consequences arrives, or when its reply is lost, or, if it comes late, when
//! that is chosen. No time passes but where a time-out is chosen. No audio flows.

mod check;
mod deed;
mod life;

use crate::odometer::Odometer;
use life::Life;
use std::collections::{BTreeMap, BTreeSet};

/// Which call it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Kind {
    /// The dialplan has answered the caller already.
    pub is_up: bool,
    /// The reply to externalMedia does not say where the media goes, so that it is asked for.
    pub asks_for_address: bool,
    /// The operator wants callers hung up whom the agent cannot serve, and not sent on.
    pub hangs_up: bool,
}

impl Kind {
    /// All of them.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let all =
            (0..8).map(|n| Self { is_up: n & 1 != 0, asks_for_address: n & 2 != 0, hangs_up: n & 4 != 0 });
        all.collect()
    }
}

/// Where a call stands when the thing happens that it ends for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum At {
    /// At each point of its set-up, and behind it.
    Anywhere,
    /// The caller is answered.
    Answered,
}

/// How far the trees of [`every_end`] go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bounds {
    /// Where it happens that the call ends.
    pub from: At,
    /// So many deeds come in one order first, as when all goes well.
    pub ordered: usize,
    /// So many deeds come in any order behind them; those that come after them come in one order.
    pub free: usize,
    /// So many replies among them may fail.
    pub faults: usize,
}

/// What an enumeration came to.
#[derive(Clone, Debug, Default)]
pub struct Count {
    /// How many calls it was: no two of them are the same.
    pub leaves: u64,
    /// How many inputs they got.
    pub steps: u64,
    /// Of [`every_set_up`]: how many were answered without a fault.
    pub well: u64,
    /// How many were answered.
    pub answered: u64,
    /// How many ended why.
    pub ends: BTreeMap<&'static str, u64>,
}

impl Count {
    fn note(&mut self, life: &Life) {
        let outcome = life.outcome();
        self.leaves += 1;
        self.steps += life.steps() as u64;
        self.answered += u64::from(outcome.answered);
        *self.ends.entry(outcome.ended.label()).or_default() += 1;
    }
}

/// Every order of all that sets a call up, each reply failing in every way that makes a difference, and the caller's
/// patience running out at each point; until the call is answered or its end is decided. From there on all goes well: an
/// answered caller hangs up.
///
/// It is also checked that what a call has asked of Asterisk does not depend on the order in which it was told what it was
/// told.
///
/// # Panics
///
/// If a call does what it must not; what has happened to it is printed.
#[must_use]
pub fn every_set_up(kind: Kind) -> Count {
    let mut told = BTreeMap::<u32, BTreeSet<String>>::new();
    let mut well = 0;
    let count = all(|odometer| {
        let mut life = Life::new(kind, odometer, usize::MAX);
        while !life.is_decided() {
            life.one_of(&life.deeds());
            if let Some(point) = life.point() {
                let asked = life.asked();
                let before = told.entry(point).or_insert_with(|| asked.clone());
                assert_eq!(*before, asked, "what it is told in another order, it does otherwise");
            }
        }
        well += u64::from(life.point().is_some());
        life
    });
    Count { well, ..count }
}

/// At each point of a set-up on which all goes well, and behind it, the thing happens that ends the call: somebody hangs
/// up, the bridge is stopped, a reply fails, something is taken away. Then everything that follows comes in every order,
/// within these bounds.
///
/// A point is what the call was told, in one order; that the order makes no difference is what [`every_set_up`] checks.
///
/// # Panics
///
/// As [`every_set_up`].
#[must_use]
pub fn every_end(kind: Kind, bounds: Bounds) -> Count {
    all(|odometer| {
        let mut life = Life::new(kind, odometer, bounds.faults);
        life.comes_to_a_point(bounds.from);
        life.turns();
        life.goes_well(bounds.ordered);
        for _ in 0..bounds.free {
            let deeds = life.deeds();
            if deeds.is_empty() {
                break;
            }
            life.one_of(&deeds);
        }
        life
    })
}

fn all(mut run: impl FnMut(Odometer) -> Life) -> Count {
    let (mut count, mut odometer) = (Count::default(), Odometer::new());
    loop {
        let mut life = run(odometer);
        life.ends_well();
        count.note(&life);
        odometer = life.take_odometer();
        if !odometer.advance() {
            return count;
        }
    }
}

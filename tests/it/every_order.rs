//! Every order in which a call can be set up and can end, each reply failing or not; and every order of what the
//! switchboard hears of one caller.
//!
//! What is gone through in minutes is ignored; each of these prints how many leaves its trees have:
//!
//! ```sh
//! cargo test --release -p ari-bridge-tests --test it every_order -- --ignored --nocapture
//! ```

use ari_bridge_tests::board::{self, every_order};
use ari_bridge_tests::world::{At, Bounds, Kind, every_end, every_set_up};

/// Goes through the tree, which has at least so many leaves.
fn ends(kind: Kind, bounds: Bounds, at_least: u64) {
    let count = every_end(kind, bounds);
    println!("{kind:?} {bounds:?}: {count:?}");
    assert!(count.leaves >= at_least, "the tree has shrunk to {} leaves", count.leaves);
}

const ANYWHERE: Bounds = Bounds { from: At::Anywhere, ordered: 0, free: 0, faults: 0 };
const ANSWERED: Bounds = Bounds { from: At::Answered, ..ANYWHERE };

#[test]
fn every_order_of_a_set_up_leads_to_an_answer_or_to_an_end_that_leaves_nothing() {
    let count = every_set_up(Kind::default());
    println!("{count:?}");
    // The reply about the media channel and its StasisStart come behind the media socket, in two orders; the reply about
    // the bridge at one of four places among these three; then the bridge is filled. These five and the three words of the
    // Realtime side come in any order: 8 over 3. The answer is last.
    assert_eq!(count.well, 2 * 4 * 56);
    assert!(count.leaves > 30_000, "the tree has shrunk to {} leaves", count.leaves);
}

#[test]
fn whatever_ends_a_call_at_whatever_point_leaves_nothing_in_whatever_order() {
    let kind = Kind::default();
    ends(kind, Bounds { free: 2, ..ANYWHERE }, 6_000);
    ends(kind, Bounds { ordered: 2, free: 3, ..ANYWHERE }, 20_000);
    ends(kind, Bounds { free: 7, ..ANSWERED }, 900);
    ends(kind, Bounds { free: 4, faults: 1, ..ANSWERED }, 2_000);
}

#[test]
fn a_call_of_any_kind_that_is_ended_at_any_point_leaves_nothing() {
    for kind in Kind::all() {
        ends(kind, ANYWHERE, 800);
    }
}

#[test]
#[ignore = "minutes; see the head of the file"]
fn every_set_up_of_every_kind() {
    for kind in Kind::all() {
        println!("{kind:?}: {:?}", every_set_up(kind));
    }
}

#[test]
#[ignore = "minutes; see the head of the file"]
fn seven_deeds_behind_every_end() {
    for kind in Kind::all() {
        ends(kind, Bounds { free: 7, faults: 1, ..ANSWERED }, 800);
        ends(kind, Bounds { free: 4, faults: 1, ..ANYWHERE }, 30_000);
    }
}

#[test]
#[ignore = "minutes; see the head of the file"]
fn seven_deeds_behind_every_end_of_a_common_call() {
    ends(Kind::default(), Bounds { free: 7, ..ANYWHERE }, 70_000);
}

/// From each of the places where a switchboard can stand.
fn boards(free: usize, faults: usize, at_least: u64) {
    for from in [board::At::Start, board::At::Rest, board::At::Call] {
        let bounds = board::Bounds { from, free, faults };
        let count = every_order(bounds);
        println!("{bounds:?}: {count:?}");
        assert!(count.leaves >= at_least, "the tree has shrunk to {} leaves", count.leaves);
    }
}

#[test]
fn one_caller_is_in_one_call_in_whatever_order_the_switchboard_hears_of_him() {
    boards(7, 1, 1_800);
}

#[test]
#[ignore = "minutes; see the head of the file"]
fn nine_deeds_in_every_order_of_the_switchboard() {
    boards(9, 2, 1_800);
}

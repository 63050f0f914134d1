//! What holds of every call, driven with arbitrary sequences of inputs and arbitrary bytes.

use ari_bridge_core::call::EndReason;
use ari_bridge_tests::world;
use proptest::prelude::*;

proptest! {
    // `PROPTEST_CASES=200000` makes a long run of it.
    #![proptest_config(ProptestConfig {
        cases: ProptestConfig::default().cases.max(1_200),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// No panic, no deadline in the past, no unbounded step, no two deletions in flight for one id, nothing
    /// left on Asterisk, and the same bytes give the same call again.
    #[test]
    fn any_call_ends_and_leaves_nothing_behind(bytes in prop::collection::vec(any::<u8>(), 0..1200)) {
        let first = world::run(&bytes);
        let second = world::run(&bytes);
        prop_assert_eq!(first.digest, second.digest);
        prop_assert_eq!(first.steps, second.steps);
    }
}

/// The alarm is tested too: the runs above reach answered calls, audio, and every kind of end that the world
/// can cause. A generator that only ever saw calls fail at once would prove nothing.
#[test]
fn the_arbitrary_calls_reach_what_they_are_to_test() {
    let mut rng = ari_bridge_core::rng::Rng::new(2026);
    let mut answered = 0;
    let mut packets = 0;
    let mut ends = std::collections::BTreeMap::<&str, usize>::new();
    for _ in 0..2_000 {
        let bytes: Vec<u8> = (0..1200).map(|_| rng.next_u32() as u8).collect();
        let report = world::run(&bytes);
        answered += usize::from(report.outcome.answered);
        packets += report.packets_out;
        *ends.entry(report.outcome.ended.label()).or_default() += 1;
    }
    assert!(answered > 30, "{answered} calls were answered, {packets} packets sent, ends {ends:?}");
    assert!(packets > 100, "{packets} packets were sent, ends {ends:?}");
    // This needs a call that goes well for seconds, which chaos does not promise; `keys.rs` has one.
    for reason in EndReason::ALL.into_iter().filter(|reason| *reason != EndReason::CallerIdle) {
        assert!(ends.contains_key(reason.label()), "no call ended with {}: {ends:?}", reason.label());
    }
}

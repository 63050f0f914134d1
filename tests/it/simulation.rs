//! Lives that bytes decide, with every fault that there is: what a long run of `simulate` does for a night, for a moment; and
//! whether it would notice.

use ari_bridge_tests::faults::{Fault, FaultSet, Tally};
use ari_bridge_tests::scene::Sabotage;
use ari_bridge_tests::simulation::{self, Options, Report};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use std::panic::catch_unwind;

/// How many seeds a canary may outlive at most.
const CANARY_SEEDS: u64 = 150;

fn lives(seeds: impl IntoIterator<Item = u64>, options: &Options) -> Vec<Report> {
    seeds.into_iter().map(|seed| simulation::live(&simulation::bytes_of(seed), options)).collect()
}

proptest! {
    // `PROPTEST_CASES=100000` makes a long run of it.
    #![proptest_config(ProptestConfig {
        cases: if std::env::var_os("PROPTEST_CASES").is_some() { ProptestConfig::default().cases } else { 40 },
        // The same lives each time, unless a long run is wanted: others are for `simulate`.
        rng_seed: match std::env::var_os("PROPTEST_CASES") {
            Some(_) => RngSeed::Random,
            None => RngSeed::Fixed(9),
        },
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_life_goes_well_in_the_end(bytes in prop::collection::vec(any::<u8>(), 0..500)) {
        simulation::run(&bytes);
    }
}

#[test]
fn a_life_is_lived_twice_alike_and_replayed_out_of_files() {
    let folder = std::env::temp_dir().join(format!("ari-bridge-lives-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    for seed in 0..20 {
        let bytes = simulation::bytes_of(seed);
        let report = simulation::live(&bytes, &Options::default());
        simulation::again_and_replayed(&report, &bytes, &Options::default(), &folder);
    }
    std::fs::remove_dir_all(&folder).expect("it is ours");
}

#[test]
fn every_fault_happens_alone_and_is_survived() {
    for fault in Fault::ALL {
        let only = Options { faults: FaultSet::NONE.with(*fault), ..Options::default() };
        let mut tally = Tally::default();
        let mut answered = 0;
        for seed in 0..40 {
            let report = simulation::live(&simulation::bytes_of(seed), &only);
            tally.merge(&report.tally);
            answered += report.answered;
            if tally.of(*fault) > 0 && answered > 0 {
                break;
            }
        }
        assert!(tally.of(*fault) > 0, "{fault} never happens");
        assert!(answered > 0, "no call is answered where there is {fault}");
        let others = Fault::ALL.iter().find(|other| *other != fault && tally.of(**other) > 0);
        assert_eq!(others, None, "where only {fault} should happen");
    }
}

/// The alarm is tested too: each of these would be a bug of the bridge, and is none of its oracle's.
#[test]
fn what_is_broken_on_purpose_is_noticed() {
    for sabotage in Sabotage::ALL {
        let options = Options { sabotage: Some(sabotage), ..Options::default() };
        let noticed = (1..=CANARY_SEEDS).find(|seed| {
            let bytes = simulation::bytes_of(*seed);
            catch_unwind(|| simulation::live(&bytes, &options)).is_err()
        });
        assert!(noticed.is_some(), "{sabotage:?} was not noticed in {CANARY_SEEDS} lives");
        println!("{sabotage:?} is noticed in life {}", noticed.unwrap_or_default());
    }
}

#[test]
fn lives_are_as_long_and_as_many_sided_as_they_should_be() {
    let reports = lives(100..160, &Options::default());
    let sum = |of: fn(&Report) -> u64| reports.iter().map(of).sum::<u64>();
    let (calls, answered) = (sum(|report| report.calls), sum(|report| report.answered));
    assert!(calls > 90 && answered > 45, "{answered} of {calls} calls were answered");
    let mut tally = Tally::default();
    reports.iter().for_each(|report| tally.merge(&report.tally));
    let seen = Fault::ALL.iter().filter(|fault| tally.of(**fault) > 0).count();
    assert!(seen > 35, "{seen} faults happened");
}

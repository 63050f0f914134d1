//! The queue of the agent's audio and its ledger.

mod story;

use super::{bytes, cases};
use ari_bridge_core::format::ModelFormat;
use ari_bridge_tests::choices::Choices;
use ari_bridge_tests::generators::talk::Server;
use proptest::prelude::*;
use story::Story;

proptest! {
    #![proptest_config(cases(400))]

    /// What is sent is what was received, in its order, and the ledger says how much; what was cut off is not heard
    /// any more; no more waits than may.
    #[test]
    fn the_queue_is_a_list_of_samples(bytes in bytes(1500)) {
        let mut choices = Choices::new(&bytes);
        let format = if choices.one_in(2) { ModelFormat::Pcmu } else { ModelFormat::Pcm24 };
        let longest = if format == ModelFormat::Pcmu { 2_000_000 } else { 100_000 };
        let (mut server, mut story) = (Server::default(), Story::new(format));
        let mut steps = Vec::new();
        while !choices.is_empty() {
            steps.push(server.step(&mut choices, longest));
        }
        let told = steps.iter().try_for_each(|step| story.tell(step));
        told.and_then(|()| story.end()).map_err(|why| TestCaseError::fail(format!("{why} in {steps:?}")))?;
    }
}

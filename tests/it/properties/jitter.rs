//! The jitter buffer, between a sender that numbers its packets and a driver that is never late.

use super::{bytes, cases};
use ari_bridge_core::format::Encoding;
use ari_bridge_core::jitter::{JUMP_PROOF_MS, JitterBuffer, MAX_HELD, MAX_HOLD_MS, Pop};
use ari_bridge_core::observe::RtpDrop;
use ari_bridge_core::rtp::Packet;
use ari_bridge_core::time::{Duration, Instant};
use ari_bridge_tests::choices::Choices;
use ari_bridge_tests::generators::bits;
use ari_bridge_tests::generators::network::{Arrival, Stray, line, stray};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// How long a packet may be held on a line whose timestamps are those of its packets.
const HOLD: Duration = Duration::from_millis(MAX_HOLD_MS);

/// How long where they jump: packets that fill the hole may each have to prove that they do, until jumps are believed.
const HOLD_WITH_JUMPS: Duration = Duration::from_millis(MAX_HOLD_MS + 3 * JUMP_PROOF_MS);

/// With which packet at the latest a sender is heard whatever came before: one that begins anew a little further back
/// repeats the numbers of as many as are remembered.
const SETTLED: u32 = 90;

/// A buffer, and who looks after it.
struct Driver {
    jitter: JitterBuffer,
    payload: Vec<u8>,
    /// How long a packet may be held.
    longest: Duration,
    /// When the packets that it has came.
    held: BTreeMap<u32, Instant>,
    /// What came out, and when.
    out: Vec<(u32, Instant)>,
}

impl Driver {
    fn new(longest: Duration) -> Self {
        let jitter = JitterBuffer::new(Encoding::Pcmu);
        Self { jitter, payload: Vec::new(), longest, held: BTreeMap::new(), out: Vec::new() }
    }

    /// Comes back at every deadline until then, like a driver that is never late.
    fn until(&mut self, now: Instant) -> Result<(), TestCaseError> {
        let mut rounds = 0;
        while let Some(due) = self.jitter.deadline().filter(|due| *due <= now) {
            self.pop(due, true)?;
            rounds += 1;
            prop_assert!(rounds <= 2 * MAX_HELD, "it comes due for ever");
        }
        Ok(())
    }

    /// A packet comes, whose payload begins with its own number.
    fn push(
        &mut self,
        now: Instant,
        number: u32,
        packet: &Packet<'_>,
    ) -> Result<Result<(), RtpDrop>, TestCaseError> {
        self.until(now)?;
        let mut payload = number.to_be_bytes().to_vec();
        payload.extend_from_slice(packet.payload);
        let pushed = self.jitter.push(now, &Packet { payload: &payload, ..*packet });
        if pushed.is_ok() {
            self.held.insert(number, now);
        }
        self.pop(now, false)?;
        Ok(pushed)
    }

    fn pop(&mut self, now: Instant, timer: bool) -> Result<(), TestCaseError> {
        let most = 2 * (self.held.len() + 1);
        for _ in 0..=most {
            match self.jitter.pop(now, timer, &mut self.payload) {
                None => {
                    prop_assert!(
                        !timer || self.jitter.deadline().is_none_or(|due| due > now),
                        "a deadline in the past"
                    );
                    return Ok(());
                }
                Some(Pop::Missing { .. }) => {}
                Some(Pop::Packet { .. }) => {
                    let (number, _) = self.payload.split_first_chunk().expect("its number");
                    let number = u32::from_be_bytes(*number);
                    let since = self.held.remove(&number);
                    prop_assert!(since.is_some(), "{} comes out twice, or was refused", number);
                    prop_assert!(
                        now.since(since.unwrap_or(now)) <= self.longest,
                        "{} was held for too long",
                        number
                    );
                    self.out.push((number, now));
                }
            }
        }
        Err(TestCaseError::fail("it gives for ever"))
    }
}

/// A stream whose sequence numbers and timestamps begin anywhere.
#[derive(Clone, Copy)]
struct Sender {
    sequence: u16,
    timestamp: u32,
}

impl Sender {
    fn packet<'a>(self, index: usize, payload: &'a [u8]) -> Packet<'a> {
        let sequence = self.sequence.wrapping_add(index as u16);
        let timestamp = self.timestamp.wrapping_add(160 * index as u32);
        Packet { marker: false, payload_type: 0, sequence, timestamp, ssrc: 7, payload }
    }
}

proptest! {
    #![proptest_config(cases(600))]

    /// Whatever is lost, doubled and overtaken: what comes out ascends, each packet once, none waits longer than a hole
    /// is waited for, and only what comes twice or after its turn is refused.
    #[test]
    fn what_arrives_is_put_in_order_and_nothing_waits_for_ever(bytes in bytes(900), is_clean: bool) {
        let mut choices = Choices::new(&bytes);
        let sender =
            Sender { sequence: bits(&mut choices, 16) as u16, timestamp: bits(&mut choices, 32) as u32 };
        let mut driver = Driver::new(HOLD);
        let mut taken = Vec::new();
        for Arrival { at_ms, index } in line(&mut choices, is_clean) {
            let now = Instant::from_millis(at_ms);
            match driver.push(now, index as u32, &sender.packet(index, &[0; 156]))? {
                Ok(()) => taken.push(index as u32),
                Err(RtpDrop::Duplicate) => {
                    prop_assert!(taken.contains(&(index as u32)), "{} came once", index)
                }
                Err(RtpDrop::Late) => {
                    let is_over = driver.out.iter().any(|(out, _)| *out > index as u32);
                    prop_assert!(is_over, "it was the turn of {}", index);
                }
                Err(other) => prop_assert!(false, "{:?}", other),
            }
            prop_assert!(driver.held.len() <= MAX_HELD);
            if is_clean {
                prop_assert_eq!(
                    driver.out.last(),
                    Some(&(index as u32, now)),
                    "in order it comes out at once"
                );
            }
        }
        driver.until(Instant::from_millis(u64::MAX / 4))?;
        prop_assert_eq!(driver.jitter.deadline(), None);
        prop_assert!(driver.held.is_empty(), "{:?} never came out", driver.held);
        prop_assert!(driver.out.is_sorted_by(|(a, _), (b, _)| a < b), "{:?}", driver.out);
        prop_assert_eq!(driver.out.len(), taken.len());
    }

    /// Packets that may be anything: each comes out once or not at all, nothing is waited for for ever, and a sender
    /// who then sends as it should is heard.
    #[test]
    fn whatever_came_before_a_good_sender_is_heard(bytes in bytes(900)) {
        let mut choices = Choices::new(&bytes);
        let (mut driver, mut now, mut number) = (Driver::new(HOLD_WITH_JUMPS), Instant::START, 0);
        let mut last = Stray {
            wait_ms: 0,
            ssrc: 1,
            sequence: bits(&mut choices, 16) as u16,
            timestamp: 0,
            payload: 156,
        };
        while !choices.is_empty() {
            last = stray(&mut choices, last);
            now = now + Duration::from_millis(last.wait_ms);
            let Stray { ssrc, sequence, timestamp, payload, .. } = last;
            let payload = vec![0; payload];
            let packet =
                Packet { marker: false, payload_type: 0, sequence, timestamp, ssrc, payload: &payload };
            let _ = driver.push(now, number, &packet)?;
            number += 1;
        }
        driver.until(now + Duration::from_secs(3600))?;
        prop_assert_eq!(driver.jitter.deadline(), None, "something is waited for, for ever");
        driver.held.clear();
        let begin = now + Duration::from_secs(1);
        let good =
            Sender { sequence: bits(&mut choices, 16) as u16, timestamp: bits(&mut choices, 32) as u32 };
        let before = driver.out.len();
        for index in 0..120 {
            let now = begin + Duration::from_millis(20 * index as u64);
            let packet = Packet { ssrc: last.ssrc, ..good.packet(index, &[0; 156]) };
            let _ = driver.push(now, number + index as u32, &packet)?;
        }
        driver.until(begin + Duration::from_secs(3600))?;
        let heard: Vec<u32> = driver.out[before..].iter().map(|(number, _)| *number).collect();
        let expected: Vec<u32> = (number + SETTLED..number + 120).collect();
        prop_assert!(heard.ends_with(&expected), "only {:?} of {} on is heard", heard, number);
    }
}

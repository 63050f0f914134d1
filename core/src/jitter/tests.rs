//! Packets in every order, and the time between them.

use super::*;
use proptest::prelude::*;

const SSRC: u32 = 0xA57E;

fn at(millis: u64) -> Instant {
    Instant::from_millis(millis)
}

/// A packet of 20 ms, whose payload begins with its sequence number.
fn packet(sequence: u16, timestamp: u32, payload: &mut Vec<u8>) -> Packet<'_> {
    payload.clear();
    payload.extend(sequence.to_be_bytes());
    payload.resize(160, 0);
    Packet { marker: false, payload_type: 0, sequence, timestamp, ssrc: SSRC, payload }
}

/// A µ-law line and what comes out of it: "5" for a packet, "lost 2" for a hole of so many packets at 20 ms,
/// "lost 1 (50 ms)" for another time, "jump 300 ms" for missing time without a hole.
struct Line(JitterBuffer);

impl Default for Line {
    fn default() -> Self {
        Self(JitterBuffer::new(Encoding::Pcmu))
    }
}

impl Line {
    fn push(&mut self, millis: u64, sequence: u16) -> Result<(), RtpDrop> {
        // The timestamps go on where the sequence numbers of these tests wrap.
        self.push_at(millis, sequence, u32::from(sequence.wrapping_sub(60_000)) * 160)
    }

    fn push_at(&mut self, millis: u64, sequence: u16, timestamp: u32) -> Result<(), RtpDrop> {
        self.0.push(at(millis), &packet(sequence, timestamp, &mut Vec::new()))
    }

    fn pop_all(&mut self, millis: u64) -> Vec<String> {
        self.pop(millis, true)
    }

    fn pop(&mut self, millis: u64, timer: bool) -> Vec<String> {
        let mut payload = Vec::new();
        let mut said = Vec::new();
        while let Some(pop) = self.0.pop(at(millis), timer, &mut payload) {
            said.push(match pop {
                Pop::Packet { .. } => u16::from_be_bytes(payload[..2].try_into().unwrap()).to_string(),
                Pop::Missing { packets: 0, ticks } => format!("jump {} ms", ticks / 8),
                Pop::Missing { packets, ticks } if ticks == packets * 160 => format!("lost {packets}"),
                Pop::Missing { packets, ticks } => format!("lost {packets} ({} ms)", ticks / 8),
            });
        }
        said
    }

    fn hear(&mut self, millis: u64, sequence: u16) -> Vec<String> {
        assert_eq!(self.push(millis, sequence), Ok(()), "packet {sequence}");
        self.pop_all(millis)
    }

    fn hear_at(&mut self, millis: u64, sequence: u16, timestamp: u32) -> Vec<String> {
        assert_eq!(self.push_at(millis, sequence, timestamp), Ok(()), "packet {sequence}");
        self.pop_all(millis)
    }

    fn hold_ms(&self) -> u64 {
        self.0.hold().as_millis() as u64
    }
}

#[test]
fn on_a_clean_line_each_packet_comes_out_at_once() {
    let mut line = Line::default();
    for n in 0..200u16 {
        assert_eq!(
            line.hear(u64::from(n) * 20, 65_500u16.wrapping_add(n)),
            [65_500u16.wrapping_add(n).to_string()]
        );
        assert_eq!(line.0.deadline(), None);
    }
}

#[test]
fn an_overtaken_packet_is_waited_for() {
    let mut line = Line::default();
    line.hear(0, 10);
    assert!(line.hear(20, 12).is_empty());
    assert_eq!(line.0.deadline(), Some(at(60)));
    assert!(line.pop_all(59).is_empty());
    assert_eq!(line.hear(59, 11), ["11", "12"]);
    assert_eq!(line.0.deadline(), None);
}

#[test]
fn a_hole_is_given_up_after_the_hold_and_what_comes_then_is_late() {
    let mut line = Line::default();
    line.hear(0, 10);
    line.hear(20, 13);
    line.hear(40, 14);
    assert_eq!(line.pop_all(60), ["lost 2", "13", "14"]);
    assert_eq!(line.push(61, 12), Err(RtpDrop::Late));
    assert_eq!(line.push(61, 13), Err(RtpDrop::Duplicate));
    assert_eq!(line.hear(80, 15), ["15"]);
}

#[test]
fn two_holes_are_waited_for_each_from_its_own_packets() {
    let mut line = Line::default();
    line.hear(0, 10);
    line.hear(20, 12);
    line.hear(50, 14);
    assert_eq!(line.pop_all(60), ["lost 1", "12"]);
    assert_eq!(line.hold_ms(), 35, "the first was for nothing");
    assert_eq!(line.0.deadline(), Some(at(85)));
    assert_eq!(line.pop_all(85), ["lost 1", "14"]);
}

#[test]
fn a_packet_that_comes_twice_is_taken_once() {
    let mut line = Line::default();
    line.hear(0, 10);
    assert_eq!(line.push(1, 10), Err(RtpDrop::Duplicate));
    line.hear(20, 12);
    assert_eq!(line.push(21, 12), Err(RtpDrop::Duplicate));
}

#[test]
fn the_sequence_wraps_with_a_hole_across_the_end() {
    let mut line = Line::default();
    line.hear(0, 65_534);
    assert!(line.hear(20, 0).is_empty());
    assert_eq!(line.hear(30, 65_535), ["65535", "0"]);
    assert_eq!(line.push(31, 65_534), Err(RtpDrop::Duplicate));
}

#[test]
fn another_ssrc_is_another_stream() {
    let mut line = Line::default();
    line.hear(0, 10);
    line.hear(20, 12);
    let mut payload = Vec::new();
    let other = Packet { ssrc: 1, ..packet(1, 77, &mut payload) };
    assert_eq!(line.0.push(at(25), &other), Ok(()));
    assert_eq!(line.pop_all(25), ["1"], "the held packet of the old stream is gone");
    assert_eq!(line.0.deadline(), None);
}

#[test]
fn a_jump_is_believed_when_the_next_packet_confirms_it() {
    for jump in [RESTART_PACKETS + 1, 30_000, 0u16.wrapping_sub(RESTART_PACKETS + 3)] {
        let mut line = Line::default();
        line.hear(0, 10);
        let there = 11u16.wrapping_add(jump);
        assert_eq!(line.push(20, there), Err(RtpDrop::Late));
        assert_eq!(line.hear(25, 11), ["11"], "one stray packet changes nothing");
        let after = there.wrapping_add(1);
        assert_eq!(line.push(40, after), Err(RtpDrop::Late), "not in sequence: a good one came between");
        assert_eq!(line.hear(60, after.wrapping_add(1)), [after.wrapping_add(1).to_string()]);
    }
}

#[test]
fn a_long_burst_of_loss_is_loss() {
    let mut line = Line::default();
    line.hear(0, 10);
    line.hear(20, 10 + RESTART_PACKETS);
    assert_eq!(line.pop_all(60), ["lost 999", "1010"]);
}

#[test]
fn a_full_buffer_gives_the_hole_up_at_once() {
    let mut line = Line::default();
    line.hear(0, 10);
    for n in 0..MAX_HELD as u16 - 1 {
        assert!(line.hear(1, 12 + n).is_empty());
    }
    assert_eq!(line.hear(1, 40).len(), MAX_HELD, "one hole, and all but the one behind the second");
    assert_eq!(line.0.deadline(), Some(at(36)));
}

#[test]
fn who_never_pops_is_told_and_costs_no_memory() {
    let mut line = Line::default();
    let refused = (0..100).filter(|&n| line.push(0, n) == Err(RtpDrop::Late)).count();
    assert_eq!(refused, 100 - MAX_HELD);
}

#[test]
fn a_hole_is_given_up_only_when_everything_that_came_was_taken() {
    let mut line = Line::default();
    line.hear(0, 10);
    line.hear(20, 12);
    assert!(line.pop(500, false).is_empty());
    assert_eq!(line.push(500, 11), Ok(()));
    assert_eq!(line.pop(500, false), ["11", "12"]);
}

#[test]
fn on_a_line_that_only_loses_the_hold_shrinks() {
    let mut line = Line::default();
    let mut holds = vec![line.hold_ms()];
    for n in (0..60).step_by(2) {
        line.hear(n * 100, n as u16);
        line.pop_all(n * 100 + 99);
        holds.push(line.hold_ms());
    }
    assert!(holds.is_sorted_by(|a, b| a >= b));
    assert_eq!((holds[0], holds[5] < 27, *holds.last().unwrap()), (FIRST_HOLD_MS, true, 0));
}

#[test]
fn the_hold_grows_to_what_an_overtaken_packet_took_and_a_margin() {
    let mut line = Line::default();
    line.hear(0, 10);
    line.hear(20, 12);
    assert_eq!(line.hear(53, 11), ["11", "12"]);
    assert_eq!(line.hold_ms(), 43);
    line.hear(60, 14);
    assert!(line.hear(102, 15).is_empty());
    assert_eq!(line.hear(102, 13), ["13", "14", "15"]);
    assert_eq!(line.hold_ms(), 52);
}

#[test]
fn a_packet_that_comes_too_late_is_waited_for_the_next_time() {
    let mut line = Line::default();
    line.hear(0, 10);
    line.hear(20, 12);
    assert_eq!(line.pop_all(60), ["lost 1", "12"]);
    assert_eq!(line.hold_ms(), 35);
    assert_eq!(line.push(65, 11), Err(RtpDrop::Late));
    assert_eq!(line.hold_ms(), 55);
    line.hear(100, 14);
    assert_eq!(line.pop_all(155), ["lost 1", "14"]);
    assert_eq!(line.push(1_000, 13), Err(RtpDrop::Late));
    assert_eq!(line.hold_ms(), MAX_HOLD_MS);
}

#[test]
fn a_loss_lasts_as_long_as_the_timestamps_say() {
    let mut line = Line::default();
    line.hear_at(0, 10, 0);
    // One packet of 50 ms among those of 20 ms.
    line.hear_at(70, 12, 160 + 400);
    assert_eq!(line.pop_all(110), ["lost 1 (50 ms)", "12"]);
}

#[test]
fn a_loss_with_senseless_timestamps_is_measured_in_packets() {
    for timestamp in [0, 5, 160 + 801, u32::MAX / 2, u32::MAX] {
        let mut line = Line::default();
        line.hear_at(0, 10, 0);
        line.hear_at(40, 12, timestamp);
        let ticks_missing = timestamp.wrapping_sub(160);
        assert!(ticks_missing > 800);
        assert_eq!(line.pop_all(80), ["lost 1", "12"], "{timestamp}");
    }
}

#[test]
fn a_jump_of_the_timestamp_that_nothing_follows_is_missing_time() {
    let mut line = Line::default();
    line.hear_at(0, 10, 0);
    assert!(line.hear_at(320, 11, 160 + 2_400).is_empty());
    assert_eq!(line.0.deadline(), Some(at(320 + JUMP_PROOF_MS)));
    assert!(line.pop(330, false).is_empty(), "what came meanwhile may lie unread");
    assert_eq!(line.pop_all(330), ["jump 300 ms", "11"]);
    assert_eq!(line.hear_at(340, 12, 160 + 2_400 + 160), ["12"]);
}

#[test]
fn a_jump_of_the_timestamp_with_a_backlog_behind_it_is_a_stall_of_asterisk() {
    let mut line = Line::default();
    line.hear_at(0, 10, 0);
    assert!(line.hear_at(320, 11, 160 + 2_400).is_empty());
    assert_eq!(line.hear_at(321, 12, 160 + 2_560), ["11", "12"]);
    assert_eq!(line.hear_at(321, 13, 160 + 2_720), ["13"]);
    assert_eq!(line.hear_at(340, 14, 160 + 2_880), ["14"]);
}

#[test]
fn a_packet_that_comes_once_more_under_another_number_is_not_heard_twice() {
    let mut line = Line::default();
    line.hear_at(0, 10, 5000);
    assert_eq!(line.push_at(1, 11, 5000), Err(RtpDrop::Duplicate));
    assert_eq!(line.hear_at(20, 12, 5160), ["12"], "and its number is not missed");
    // Timestamps that stand still tell nothing: after a few packets they are not looked at.
    let refused = (13..30).filter(|&n| line.push_at(u64::from(n) * 20, n, 5160).is_err()).count();
    assert_eq!(refused, usize::from(REPEATS_BELIEVED));
}

#[test]
fn a_packet_that_comes_twice_behind_a_loss_neither_hides_the_loss_nor_is_heard_twice() {
    let mut line = Line::default();
    line.hear_at(0, 10, 5000);
    // One packet was lost before Asterisk numbered these two, which are one.
    assert!(line.hear_at(40, 11, 5320).is_empty());
    assert!(line.hear_at(41, 12, 5320).is_empty());
    assert_eq!(line.pop_all(50).len(), 2, "the time of the lost one, and the packet");
    assert_eq!(line.hear_at(60, 13, 5480), ["13"]);
}

#[test]
fn a_sender_that_begins_anew_a_little_further_back_is_heard_with_its_second_packet() {
    let mut line = Line::default();
    for n in 5000..5100 {
        line.hear(0, n);
    }
    assert_eq!(line.push_at(2000, 4200, 77), Err(RtpDrop::Late));
    assert_eq!(line.hear_at(2020, 4201, 237), ["4201"]);
}

#[test]
fn copies_that_come_seconds_late_are_late_but_a_sender_that_goes_back_is_heard() {
    let mut line = Line::default();
    for n in 5000..5100 {
        line.hear(0, n);
    }
    for n in 5000..5008 {
        assert_eq!(line.push(2000, n), Err(RtpDrop::Late));
        assert_eq!(line.push(2001, n + 1), Err(RtpDrop::Late));
        assert_eq!(line.hear(2002, 100 + n), [(100 + n).to_string()], "they change nothing");
    }
    let refused = (5000..5020).filter(|&n| line.push(3000, n).is_err()).count();
    assert_eq!(refused, usize::from(STRAYS_BELIEVED) + 1, "to be silenced for good would be worse");
}

#[test]
fn numbers_without_time_between_them_are_no_loss() {
    let mut line = Line::default();
    line.hear_at(0, 10, 5000);
    // A key was pressed: three packets of RFC 4733, which are no audio, have used up numbers.
    assert_eq!(line.hear_at(20, 14, 5160), ["14"]);
    assert_eq!(line.push_at(21, 12, 5000), Err(RtpDrop::Late));
    assert_eq!(line.hear_at(40, 15, 5320), ["15"]);
}

#[test]
fn a_sender_that_has_jumped_is_heard_even_if_its_packets_are_swapped_or_every_second_is_lost() {
    let orders: [&dyn Fn(u16) -> u16; 2] = [&|n| n ^ 1, &|n| 2 * n];
    for order in orders {
        let mut line = Line::default();
        line.hear_at(0, 10, 0);
        let heard: usize = (0..100)
            .map(|n| {
                let _ = line.push_at(20 + u64::from(n) * 20, 20_000 + order(n), 160 * u32::from(order(n)));
                let said = line.pop_all(20 + u64::from(n) * 20);
                said.iter().filter(|said| said.parse::<u16>().is_ok()).count()
            })
            .sum();
        assert!(heard >= 95, "{heard} of 100");
    }
}

#[test]
fn a_straggler_of_the_stream_before_does_not_end_the_new_one_and_a_sender_that_returns_is_heard() {
    let mut line = Line::default();
    let push = |line: &mut Line, millis, ssrc, sequence: u16| {
        let mut payload = Vec::new();
        let timestamp = u32::from(sequence) * 160;
        line.0.push(at(millis), &Packet { ssrc, ..packet(sequence, timestamp, &mut payload) })
    };
    for n in 0..5 {
        assert_eq!(push(&mut line, 20 * u64::from(n), 1, n), Ok(()));
        line.pop_all(20 * u64::from(n));
    }
    for n in 0..5 {
        assert_eq!(push(&mut line, 100 + 20 * u64::from(n), 2, 1000 + n), Ok(()));
        assert_eq!(push(&mut line, 101 + 20 * u64::from(n), 1, 5 + n), Err(RtpDrop::Late), "one at a time");
        assert_eq!(line.pop_all(101 + 20 * u64::from(n)), [(1000 + n).to_string()]);
    }
    assert_eq!(push(&mut line, 220, 1, 10), Ok(()), "two in a row");
    assert_eq!(line.pop_all(220), ["10"]);
}

#[test]
fn what_is_thrown_away_with_its_stream_is_counted() {
    let mut line = Line::default();
    line.hear(0, 10);
    line.hear(20, 12);
    line.hear(40, 13);
    line.0.reset();
    assert_eq!((line.0.take_discarded(), line.0.take_discarded()), (2, 0));
}

#[test]
fn a_jump_backwards_or_out_of_reason_is_a_new_base() {
    for timestamp in [159, 1, 160 + 8 * 5_000 + 1, u32::MAX / 2, u32::MAX - 5_000] {
        let mut line = Line::default();
        line.hear_at(0, 10, 0);
        assert_eq!(line.hear_at(20, 11, timestamp), ["11"], "{timestamp}");
        assert_eq!(line.hear_at(40, 12, timestamp.wrapping_add(160)), ["12"]);
    }
}

#[test]
fn a_copy_may_be_two_packets_off_in_time_and_no_more() {
    for (off, is_copy) in [(2 * 160, true), (2 * 160 + 1, false)] {
        let mut line = Line::default();
        for n in 5000..5100 {
            line.hear(0, n);
        }
        let there = |n: u16| u32::from(n.wrapping_sub(60_000)) * 160 + off;
        assert_eq!(line.push_at(2000, 5020, there(5020)), Err(RtpDrop::Late));
        assert_eq!(line.push_at(2001, 5021, there(5021)).is_err(), is_copy, "{off} ticks off");
    }
}

#[test]
fn a_copy_is_known_for_as_many_packets_as_are_remembered() {
    let mut line = Line::default();
    let remembered = REMEMBERED as u16;
    for n in 0..=remembered {
        line.hear(0, n);
    }
    assert_eq!(line.push(1, 1), Err(RtpDrop::Duplicate));
    assert_eq!(line.push(1, 0), Err(RtpDrop::Late));
    // A hole as long as all that is remembered leaves nothing of what was before it.
    line.hear(20, 2 * remembered + 1);
    assert_eq!(line.pop_all(20 + line.hold_ms()), ["lost 64", "129"]);
    assert_eq!(line.push(100, 2 * remembered), Err(RtpDrop::Late));
}

#[test]
fn a_loss_right_behind_the_last_jump_that_is_believed_is_measured_in_packets() {
    let mut line = Line::default();
    line.hear_at(0, 0, 0);
    for n in 1..=u16::from(JUMPS_BELIEVED) {
        assert!(line.hear_at(u64::from(n) * 20, n, u32::from(n) * 320).is_empty());
        assert_eq!(line.pop_all(u64::from(n) * 20 + JUMP_PROOF_MS).len(), 2, "a jump, and the packet");
    }
    line.hear_at(100, 5, 5 * 320);
    assert_eq!(line.pop_all(140), ["lost 1", "5"]);
}

#[test]
fn a_packet_that_comes_once_more_is_known_though_another_one_is_held() {
    let mut line = Line::default();
    line.hear_at(0, 10, 5000);
    assert!(line.hear_at(20, 12, 5320).is_empty());
    assert_eq!(line.push_at(21, 11, 5000), Err(RtpDrop::Duplicate));
    assert_eq!(line.pop_all(60), ["jump 20 ms", "12"]);
}

#[test]
fn a_new_ssrc_is_told_once_and_neither_the_first_nor_the_same_one_anew_is_one() {
    let mut line = Line::default();
    line.hear(0, 10);
    line.0.reset();
    line.hear(20, 500);
    assert!(!line.0.take_new_ssrc());
    let mut payload = Vec::new();
    let other = Packet { ssrc: 1, ..packet(1, 77, &mut payload) };
    assert_eq!(line.0.push(at(25), &other), Ok(()));
    assert!(line.0.take_new_ssrc() && !line.0.take_new_ssrc());
}

#[test]
fn a_sender_that_counts_time_in_other_units_is_believed_no_longer() {
    let mut line = Line::default();
    // G.722 whose clock runs at 16000: each packet is as long again as its timestamps say.
    for n in 0..3 {
        line.hear_at(u64::from(n) * 20, n, u32::from(n) * 320);
        line.pop_all(u64::from(n) * 20 + 10);
    }
    assert!(line.hear_at(60, 3, 960).is_empty());
    line.pop_all(70);
    assert_eq!(line.hear_at(80, 4, 1280), ["4"]);
    assert_eq!(line.hear_at(100, 5, 1600), ["5"]);
    line.hear_at(140, 7, 2240);
    assert_eq!(line.pop_all(180), ["lost 1", "7"]);
    assert_eq!(line.hear_at(180, 8, 2400), ["8"], "one that fits");
    assert!(line.hear_at(260, 9, 3000).is_empty(), "is believed again");
}

#[test]
fn the_timestamp_wraps_within_a_hole_and_within_a_jump() {
    let mut line = Line::default();
    line.hear_at(0, 10, 0u32.wrapping_sub(320));
    line.hear_at(40, 12, 0);
    assert_eq!(line.pop_all(80), ["lost 1", "12"]);
    let mut line = Line::default();
    line.hear_at(0, 10, 0u32.wrapping_sub(320));
    line.hear_at(100, 11, 480);
    assert_eq!(line.pop_all(110), ["jump 80 ms", "11"]);
}

#[test]
fn after_a_reset_any_packet_is_the_first() {
    let mut line = Line::default();
    line.hear(0, 10);
    line.hear(20, 12);
    line.0.reset();
    assert_eq!(line.0.deadline(), None);
    assert_eq!(line.hear_at(40, 5, 99), ["5"]);
}

proptest! {
    /// Whatever order, loss and duplication: what comes out ascends, each packet at most once, and packets
    /// and losses together account for the whole range, in number and in time.
    #[test]
    fn what_comes_out_is_in_order_and_accounted_for(
        first: u16, base: u32, order in proptest::collection::vec((0u16..64, 0u64..30, any::<bool>()), 1..300),
    ) {
        let mut jitter = JitterBuffer::new(Encoding::Pcmu);
        let (mut now, mut payload) = (0, Vec::new());
        // How many packets lie between the first that came out and the next that is due.
        let (mut origin, mut done, mut ticks_done) = (None, 0u16, 0u32);
        for (n, wait, timer) in order {
            now += wait;
            let timestamp = base.wrapping_add(u32::from(n) * 160);
            let _ = jitter.push(at(now), &packet(n.wrapping_add(first), timestamp, &mut Vec::new()));
            while let Some(pop) = jitter.pop(at(now), timer, &mut payload) {
                match pop {
                    Pop::Packet { .. } => {
                        let sequence = u16::from_be_bytes(payload[..2].try_into().unwrap());
                        let origin = *origin.get_or_insert(sequence);
                        prop_assert_eq!(sequence, origin.wrapping_add(done));
                        done += 1;
                        ticks_done += 160;
                    }
                    Pop::Missing { packets, ticks } => {
                        prop_assert!(packets > 0, "the timestamps never jump alone");
                        done += packets as u16;
                        ticks_done += ticks;
                    }
                }
                prop_assert_eq!(ticks_done, u32::from(done) * 160);
            }
            prop_assert!(jitter.hold() <= Duration::from_millis(MAX_HOLD_MS));
            prop_assert!(!timer || jitter.deadline().is_none_or(|due| due > at(now)), "a deadline is ahead");
        }
    }

    /// Arbitrary timestamps on top of it: nothing panics, the work ends, and time is bounded.
    #[test]
    fn any_timestamps_give_bounded_time(
        story in proptest::collection::vec((0u16..40, any::<u32>(), 0u32..3, 0u64..30), 1..200),
    ) {
        let mut jitter = JitterBuffer::new(Encoding::L16Wideband);
        let (mut now, mut payload) = (0, Vec::new());
        for (n, timestamp, kind, wait) in story {
            now += wait;
            let timestamp = if kind == 0 { timestamp } else { u32::from(n) * 80 + timestamp % (kind * 3_000) };
            let _ = jitter.push(at(now), &packet(n, timestamp, &mut Vec::new()));
            let mut answers = 0;
            while let Some(pop) = jitter.pop(at(now), true, &mut payload) {
                answers += 1;
                if let Pop::Missing { packets, ticks } = pop {
                    let longest = if packets == 0 { MAX_JUMP_MS } else { u64::from(packets) * LONGEST_PACKET_MS };
                    prop_assert!(ticks > 0 && u64::from(ticks) <= 16 * longest);
                }
            }
            prop_assert!(answers <= 2 * MAX_HELD);
            prop_assert!(jitter.deadline().is_none_or(|due| due > at(now)));
        }
    }
}

//! What becomes of a stream of packets on its way.

use super::{bits, up_to};
use crate::choices::Choices;

/// How many packets a stream has at most; fewer than those after which a jump is a restart of the sender.
pub const MAX_PACKETS: usize = 900;

/// The most that a packet is late, in milliseconds.
pub const MAX_LATE_MS: u64 = 300;

/// A packet that arrives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Arrival {
    /// When, in milliseconds.
    pub at_ms: u64,
    /// Which of the stream it is, counted from 0; one is sent each 20 ms.
    pub index: usize,
}

/// What arrives of a stream, in the order of its arrival. `clean` lines lose nothing and delay nothing.
pub fn line(choices: &mut Choices<'_>, clean: bool) -> Vec<Arrival> {
    let (mut arrivals, mut index) = (Vec::new(), 0);
    let late_most = up_to(choices, MAX_LATE_MS);
    while !choices.is_empty() && index < MAX_PACKETS {
        let what = if clean { 255 } else { choices.byte() };
        let steady = 1 + choices.below(4);
        match what {
            0..=9 => index += choices.below(60),
            10..=39 => index += 1,
            40..=69 => arrivals.push(late(choices, index, late_most)),
            70..=89 => {
                arrivals.push(late(choices, index, late_most));
                arrivals.push(late(choices, index, late_most));
            }
            _ => arrivals.extend((index..index + steady).map(at_once)),
        }
        index = index.max(arrivals.iter().map(|arrival| arrival.index + 1).max().unwrap_or(0));
    }
    arrivals.retain(|arrival| arrival.index < MAX_PACKETS);
    arrivals.sort_by_key(|arrival| arrival.at_ms);
    arrivals
}

fn at_once(index: usize) -> Arrival {
    Arrival { at_ms: index as u64 * 20, index }
}

fn late(choices: &mut Choices<'_>, index: usize, most: u64) -> Arrival {
    Arrival { at_ms: index as u64 * 20 + up_to(choices, most), index }
}

/// A packet that may be anything.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stray {
    /// How long after the one before it, in milliseconds.
    pub wait_ms: u64,
    /// Its sender.
    pub ssrc: u32,
    /// Its number.
    pub sequence: u16,
    /// Its time.
    pub timestamp: u32,
    /// How long its payload is, in bytes, behind what tells it from others.
    pub payload: usize,
}

/// A packet that is mostly near the one before it, and sometimes anywhere.
pub fn stray(choices: &mut Choices<'_>, before: Stray) -> Stray {
    let Stray { ssrc, sequence, timestamp, .. } = before;
    let step = match choices.below(8) {
        0 => choices.below(200) as i16 - 100,
        1 => choices.below(8) as i16 - 4,
        _ => 1,
    };
    let ticks = if choices.one_in(6) {
        up_to(choices, 50_000) as u32
    } else {
        (160 * i32::from(step)).cast_unsigned()
    };
    Stray {
        wait_ms: if choices.one_in(8) { up_to(choices, 500) } else { choices.below(40) as u64 },
        ssrc: if choices.one_in(24) { 1 + choices.below(3) as u32 } else { ssrc.max(1) },
        sequence: if choices.one_in(32) {
            bits(choices, 16) as u16
        } else {
            sequence.wrapping_add_signed(step)
        },
        timestamp: if choices.one_in(32) { bits(choices, 32) as u32 } else { timestamp.wrapping_add(ticks) },
        payload: if choices.one_in(8) { up_to(choices, 1500) as usize } else { 156 },
    }
}

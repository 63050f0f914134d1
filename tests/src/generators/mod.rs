//! What tests are fed with, read from bytes: one generator serves a property test, which shrinks it, a fuzzer, and a
//! long run whose bytes a seed makes.
//!
//! Each of them ends with its bytes: when they are used up, every further choice is the first one.

pub mod events;
pub mod inputs;
pub mod network;
pub mod session;
pub mod sound;
pub mod talk;
pub mod variables;

use crate::choices::Choices;

/// One of `all`, of which there are 256 at most.
pub fn pick<'a, T>(choices: &mut Choices<'_>, all: &'a [T]) -> &'a T {
    &all[choices.below(all.len())]
}

/// A number of so many bits, at most 64.
pub fn bits(choices: &mut Choices<'_>, bits: u32) -> u64 {
    let bytes = (0..bits.div_ceil(8)).fold(0, |number, _| number << 8 | u64::from(choices.byte()));
    if bits < 64 { bytes & ((1 << bits) - 1) } else { bytes }
}

/// A number from 0 to `most`; small ones and those at both ends come often.
pub fn up_to(choices: &mut Choices<'_>, most: u64) -> u64 {
    match choices.below(8) {
        0 => 0,
        1 => most,
        2 => most.saturating_sub(1),
        3 | 4 => u64::from(choices.byte()).min(most),
        5 => bits(choices, 16).min(most),
        _ => match most.checked_add(1) {
            Some(bound) => bits(choices, 64) % bound,
            None => bits(choices, 64),
        },
    }
}

/// What text is made of: letters, and what means something to JSON, to a URI, to a header, to a name of ours, or to a
/// terminal.
const PIECES: [&str; 40] = [
    "a", "b", "Z", "0", "1", "9", "-", "_", ".", "~", " ", "\"", "\\", "/", "?", "#", "&", "=", "+", "%",
    "%2F", "%zz", ",", ";", ":", "@", "{", "}", "[", "\n", "\r", "\t", "\0", "\u{7f}", "é", "ß", "中", "🙂",
    "\u{202e}", "arib",
];

/// Text of up to a dozen pieces.
pub fn text(choices: &mut Choices<'_>) -> String {
    let len = choices.below(13);
    (0..len).map(|_| *pick(choices, &PIECES)).collect()
}

/// Text that is not empty.
pub fn some_text(choices: &mut Choices<'_>) -> String {
    let first = *pick(choices, &PIECES);
    format!("{first}{}", text(choices))
}

/// A word as names are made of: letters, digits, `-`, `_` and `.`.
pub fn word(choices: &mut Choices<'_>) -> String {
    let len = 1 + choices.below(8);
    let letters = b"abcdefghijklmnopqrstuvwxyz0123456789ABCDEF-_.";
    (0..len).map(|_| char::from(*pick(choices, letters))).collect()
}

/// Cuts `whole` into pieces, one behind the other; some may be empty.
pub fn pieces<'a, T>(choices: &mut Choices<'_>, whole: &'a [T]) -> Vec<&'a [T]> {
    let (mut rest, mut pieces) = (whole, Vec::new());
    for _ in 0..choices.below(12) {
        let longest = [1, 3, 40, 700, usize::MAX][choices.below(5)].min(rest.len());
        let (piece, behind) = rest.split_at(up_to(choices, longest as u64) as usize);
        pieces.push(piece);
        rest = behind;
    }
    pieces.push(rest);
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_bytes_every_choice_is_the_first() {
        let mut none = Choices::new(&[]);
        assert_eq!((up_to(&mut none, 9), bits(&mut none, 64), text(&mut none).as_str()), (0, 0, ""));
        assert_eq!(pieces(&mut none, &[1, 2]), [[1, 2]]);
    }

    #[test]
    fn pieces_are_the_whole() {
        let (bytes, whole): (Vec<u8>, Vec<u32>) = ((0..=255).rev().collect(), (0..5000).collect());
        for from in 0..200 {
            let cut = pieces(&mut Choices::new(&bytes[from..]), &whole);
            assert_eq!(cut.concat(), whole);
        }
    }

    #[test]
    fn numbers_keep_their_bounds() {
        let bytes: Vec<u8> = (0..=255).cycle().take(4000).map(|byte: u8| byte.wrapping_mul(167)).collect();
        let mut choices = Choices::new(&bytes);
        while !choices.is_empty() {
            assert!(bits(&mut choices, 13) < 1 << 13);
            assert!(up_to(&mut choices, 1000) <= 1000);
        }
    }
}

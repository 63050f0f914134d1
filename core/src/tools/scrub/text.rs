//! Filler for texts, numbers and addresses: always the same for the same, as long as what it stands for, and left as it is
//! where it stands already.
//!
//! A letter becomes another one whatever stands around it, so that pieces of a text still join to the whole, and what a
//! machine cuts off is cut off at the same place.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use twox_hash::XxHash64;

/// What stands in the place of a digit of a text, and of the leading digits of a number.
const DIGIT: u8 = b'5';

/// How many digits at the end of a number tell it from others, at the most.
const TELLING_DIGITS: usize = 3;

/// The character that stands in the place of this one. It has as many bytes, and is harmless in a JSON string if this one
/// is. Spaces, and the punctuation and controls of ASCII, stay.
const fn filler(c: char) -> char {
    match c {
        '0'..='9' => DIGIT as char,
        'a'..='z' => 'x',
        'A'..='Z' => 'X',
        _ if c.is_ascii() || c.is_whitespace() => c,
        _ => match c.len_utf8() {
            2 => 'é',
            3 => '〇',
            _ => '\u{1F7E6}',
        },
    }
}

/// Fills a text. What is no UTF-8 is still none, and reads as so many characters.
pub(super) fn fill(text: &[u8], out: &mut Vec<u8>) {
    for chunk in text.utf8_chunks() {
        for c in chunk.valid().chars() {
            out.extend_from_slice(filler(c).encode_utf8(&mut [0; 4]).as_bytes());
        }
        out.extend_from_slice(match chunk.invalid().len() {
            0 => b"",
            1 => &[0xFF],
            // The begin of a character of three bytes, and of one of four.
            2 => &[0xE3, 0x80],
            _ => &[0xF0, 0x9F, 0x9F],
        });
    }
}

/// Fills a value: its letters as those of a text, but a number becomes another one, and an address another one.
pub(super) fn fill_value(value: &[u8], out: &mut Vec<u8>) {
    if let Some(address) = core::str::from_utf8(value).ok().and_then(other_address) {
        return out.extend_from_slice(address.as_bytes());
    }
    for part in value.chunk_by(|a, b| is_numeric(*a) == is_numeric(*b)) {
        match core::str::from_utf8(part).ok().filter(|part| part.parse::<Ipv4Addr>().is_ok()) {
            Some(address) => out.extend_from_slice(other_address(address).unwrap_or_default().as_bytes()),
            None if part.first().is_some_and(|first| is_numeric(*first)) => {
                for run in part.chunk_by(|a, b| a.is_ascii_digit() == b.is_ascii_digit()) {
                    fill_number(run, out);
                }
            }
            None => fill(part, out),
        }
    }
}

const fn is_numeric(byte: u8) -> bool {
    byte.is_ascii_digit() || byte == b'.'
}

/// Gives another number with as many digits: the same for the same, and mostly another for another. One that begins as
/// those do stays: nobody can know whether it stood there before.
pub(super) fn fill_number(digits: &[u8], out: &mut Vec<u8>) {
    let telling = TELLING_DIGITS.min(digits.len() / 2);
    let leading = digits.len() - telling;
    let is_filler = digits.iter().take(leading).all(|digit| *digit == DIGIT);
    if is_filler || digits.iter().any(|digit| !digit.is_ascii_digit()) {
        return out.extend_from_slice(digits);
    }
    out.extend(core::iter::repeat_n(DIGIT, leading));
    let mut rest = XxHash64::oneshot(0, digits);
    for _ in 0..telling {
        out.push(b'0' + (rest % 10) as u8);
        rest /= 10;
    }
}

/// Another address that is written with as many characters, if the text is one; the same one if it is of this machine
/// alone.
fn other_address(text: &str) -> Option<String> {
    let address: IpAddr = text.parse().ok()?;
    let other = fill_address(address).to_string();
    // What is not written as it is mostly is filled as a text, and is none any more.
    (address.to_string() == text && other.len() == text.len()).then_some(other)
}

/// Another address: the same for the same, and mostly another for another. It is one that documentation uses (RFC 5737,
/// RFC 3849) or that nobody else can have, and each number of it has as many digits.
pub(super) fn fill_address(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(address) => fill_v4(address).into(),
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(inner) => fill_v4(inner).to_ipv6_mapped().into(),
            None => fill_v6(address).into(),
        },
    }
}

fn fill_v4(address: Ipv4Addr) -> Ipv4Addr {
    if address.is_loopback() || address.is_unspecified() || address.is_broadcast() {
        return address;
    }
    let [a, b, c, d] = address.octets();
    let of_length = |octet: u8, lengths: [u8; 3]| {
        let [one, two, three] = lengths;
        match octet {
            0..=9 => one,
            10..=99 => two,
            100..=255 => three,
        }
    };
    let net = match (a, b, c) {
        (100.., 0..=9, 0..=9) => [192, 0, 2],
        (100.., 10..=99, 100..) => [198, 51, 100],
        (100.., 0..=9, 100..) => [203, 0, 113],
        // Of this network (RFC 1122), private (RFC 1918), reserved (RFC 1112).
        _ => [of_length(a, [0, 10, 240]), of_length(b, [0, 51, 100]), of_length(c, [2, 13, 113])],
    };
    if net == [a, b, c] {
        return address;
    }
    let hash = XxHash64::oneshot(0, &address.octets());
    let host = match d {
        0..=9 => 1 + hash % 9,
        10..=99 => 10 + hash % 90,
        100..=255 => 100 + hash % 155,
    };
    let [a, b, c] = net;
    Ipv4Addr::new(a, b, c, host as u8)
}

fn fill_v6(address: Ipv6Addr) -> Ipv6Addr {
    if address.is_loopback() || address.is_unspecified() {
        return address;
    }
    // As many digits, so that it is written with as many characters.
    let of_length = |group: u16| match group {
        0 => 0,
        1..=0xF => 0xD,
        0x10..=0xFF => 0xDB,
        0x100..=0xFFF => 0xDB8,
        0x1000.. => 0xFD00,
    };
    let mut groups = address.segments().map(of_length);
    // The last one tells it from others.
    let last = address.segments().iter().rposition(|group| *group != 0).unwrap_or_default();
    let is_filler = address.segments().iter().zip(&groups).take(last).all(|(old, new)| old == new);
    if let (Some(slot), Some(group)) = (groups.get_mut(last), address.segments().get(last)) {
        let hash = XxHash64::oneshot(0, &address.octets());
        let (least, most) = match group {
            0..=0xF => (1, 0xF),
            0x10..=0xFF => (0x10, 0xFF),
            0x100..=0xFFF => (0x100, 0xFFF),
            0x1000.. => (0x1000, 0xFFFF),
        };
        *slot = if is_filler && last > 0 { *group } else { (least + hash % (most - least + 1)) as u16 };
        if last == 0 {
            *slot = of_length(*group);
        }
    }
    groups.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn filled(fill: impl Fn(&[u8], &mut Vec<u8>), text: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        fill(text, &mut out);
        out
    }

    #[test]
    fn a_text_keeps_its_words_and_none_of_its_letters() {
        for (text, filler) in [
            ("Guten Tag, Frau Müller!", "Xxxxx Xxx, Xxxx Xéxxxx!"),
            ("I am 42.\n", "X xx 55.\n"),
            ("九時です 🦀", "〇〇〇〇 \u{1F7E6}"),
        ] {
            assert_eq!(String::from_utf8(filled(fill, text.as_bytes())).unwrap(), filler);
            assert_eq!(filler.len(), text.len());
        }
    }

    #[test]
    fn the_same_number_is_always_the_same_other_one() {
        let [one, again, other] =
            ["4930123456", "4930123456", "4930123457"].map(|number| filled(fill_value, number.as_bytes()));
        assert_eq!(one, again);
        assert_ne!(one, other);
        assert!(one.starts_with(b"5555555") && one.len() == 10, "{one:?}");
        assert_eq!(filled(fill_value, b"+49 (30) 123"), b"+58 (59) 559");
    }

    #[test]
    fn an_address_becomes_one_that_is_nobodys_and_as_long() {
        for (address, net) in [
            ("203.7.9.81", "192.0.2."),
            ("172.16.254.1", "198.51.100."),
            ("8.8.8.8", "0.0.2."),
            ("10.20.30.40", "10.51.13."),
            ("2a02:8109:9a80:1::1f", "fd00:fd00:fd00:d::"),
            ("::ffff:8.8.8.8", "::ffff:0.0.2."),
        ] {
            let other = String::from_utf8(filled(fill_value, address.as_bytes())).unwrap();
            assert!(other.starts_with(net) && other.len() == address.len(), "{address}: {other}");
            assert_ne!(address, other);
        }
        for own in ["127.0.0.1", "::1", "0.0.0.0"] {
            assert_eq!(filled(fill_value, own.as_bytes()), own.as_bytes());
        }
        let name = filled(fill_value, b"UnicastRTP/10.20.30.40:4000");
        assert!(name.starts_with(b"XxxxxxxXXX/10.51.13."), "{name:?}");
    }

    proptest! {
        #[test]
        fn filler_is_as_long_and_stays(bytes in proptest::collection::vec(any::<u8>(), 0..80), text in "\\PC{0,40}") {
            for text in [&bytes[..], text.as_bytes()] {
                let once = filled(fill, text);
                prop_assert_eq!(once.len(), text.len());
                prop_assert_eq!(&filled(fill, &once), &once);
                let chars = |bytes: &[u8]| String::from_utf8_lossy(bytes).chars().count();
                prop_assert_eq!(chars(&once), chars(text));
                let once = filled(fill_value, text);
                prop_assert_eq!(once.len(), text.len());
                prop_assert_eq!(&filled(fill_value, &once), &once);
            }
        }

        #[test]
        fn pieces_of_a_text_join_to_the_whole(text in "\\PC{0,40}", at: prop::sample::Index) {
            let at = text.floor_char_boundary(at.index(text.len() + 1));
            let (begin, end) = text.split_at(at);
            let mut joined = filled(fill, begin.as_bytes());
            joined.extend(filled(fill, end.as_bytes()));
            prop_assert_eq!(joined, filled(fill, text.as_bytes()));
        }

        #[test]
        fn numbers_and_addresses_are_as_long_and_stay(number in "[0-9]{1,20}", v4: [u8; 4], v6: [u16; 8]) {
            let v6 = v6.map(|group| if group & 1 == 0 { 0 } else { group >> (group & 0xE) });
            for value in [number, Ipv4Addr::from(v4).to_string(), Ipv6Addr::from(v6).to_string()] {
                let once = filled(fill_value, value.as_bytes());
                prop_assert_eq!(once.len(), value.len());
                prop_assert_eq!(&filled(fill_value, &once), &once, "{}", value);
            }
            for address in [IpAddr::from(v4), IpAddr::from(v6)] {
                let text = filled(fill_value, address.to_string().as_bytes());
                let other = fill_address(address);
                prop_assert_eq!(fill_address(other), other);
                prop_assert_eq!(other.to_string().into_bytes(), text, "an address in a text is the same as in binary");
            }
        }
    }
}

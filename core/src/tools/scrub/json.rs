//! JSON whose strings and numbers are exchanged where they stand: each byte around them stays, and the whole is as long.

use serde::de::IgnoredAny;

/// A string or a number of a message, and where it stands.
pub(super) struct Place<'a> {
    /// The field that it is the value of, or is in the array of; empty where there is none.
    pub(super) key: &'a [u8],
    /// The same of the object that the field is in.
    pub(super) parent: &'a [u8],
    /// In how many objects and arrays it is.
    pub(super) depth: usize,
    pub(super) kind: Kind,
}

/// What stands there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// The name of a field; [`Place::key`] is that of the object.
    Key,
    String,
    /// As it is written.
    Number,
}

/// Gives something else, as long as it was: each character becomes one of as many bytes, and neither quotes nor
/// backslashes nor controls come or go.
pub(super) trait Exchange {
    fn exchange(&mut self, place: &Place<'_>, text: &[u8], out: &mut Vec<u8>);
}

/// An object or an array that is open.
struct Open {
    is_object: bool,
    /// The field that it is the value of.
    parent: Vec<u8>,
    /// The field whose value comes.
    key: Vec<u8>,
    key_comes: bool,
}

/// Whether it is JSON.
pub(super) fn is_json(bytes: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(bytes).is_ok()
}

/// Appends the message with everything exchanged. It must be JSON.
pub(super) fn exchange(message: &[u8], with: &mut impl Exchange, out: &mut Vec<u8>) {
    let mut open: Vec<Open> = Vec::new();
    let mut rest = message;
    while let Some((&first, after)) = rest.split_first() {
        let len = match first {
            b'"' => string_len(after) + 2,
            b'-' | b'0'..=b'9' => rest.iter().take_while(|byte| is_of_number(**byte)).count(),
            _ => 1,
        };
        let (token, after) = rest.split_at(len.min(rest.len()));
        rest = after;
        match first {
            b'{' | b'[' => {
                let is_object = first == b'{';
                let parent = open.last().map(|open| open.key.clone()).unwrap_or_default();
                // What is in an array is of the field that the array is of.
                let key = if is_object { Vec::new() } else { parent.clone() };
                let parent = match open.last() {
                    Some(open) if !is_object => open.parent.clone(),
                    _ => parent,
                };
                open.push(Open { is_object, parent, key, key_comes: is_object });
                out.push(first);
            }
            b'}' | b']' => {
                open.pop();
                out.push(first);
            }
            b',' => {
                open.iter_mut().last().into_iter().for_each(|open| open.key_comes = open.is_object);
                out.push(first);
            }
            b'"' => {
                let raw = token.get(1..token.len().saturating_sub(1)).unwrap_or_default();
                out.push(b'"');
                let shorter = exchange_string(raw, &mut open, with, out);
                out.push(b'"');
                // Spaces behind a value say nothing, and the message stays as long.
                out.extend(core::iter::repeat_n(b' ', shorter));
            }
            b'-' | b'0'..=b'9' => with.exchange(&place(&open, Kind::Number), token, out),
            _ => out.extend_from_slice(token),
        }
    }
}

const fn is_of_number(byte: u8) -> bool {
    matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9')
}

fn place(open: &[Open], kind: Kind) -> Place<'_> {
    let (parent, key) = open.last().map_or((&b""[..], &b""[..]), |open| (&open.parent, &open.key));
    Place { key: if kind == Kind::Key { parent } else { key }, parent, depth: open.len(), kind }
}

/// How long a string is that begins here, up to its quote.
fn string_len(rest: &[u8]) -> usize {
    let mut is_escaped = false;
    let is_end = |byte: &u8| {
        let was_escaped = core::mem::take(&mut is_escaped);
        is_escaped = *byte == b'\\' && !was_escaped;
        *byte == b'"' && !was_escaped
    };
    rest.iter().position(is_end).unwrap_or(rest.len())
}

/// Exchanges a string, of which `raw` is what stands between its quotes. By how many bytes it has become shorter.
fn exchange_string(raw: &[u8], open: &mut [Open], with: &mut impl Exchange, out: &mut Vec<u8>) -> usize {
    let before = out.len();
    let text = decode(raw);
    let is_key = open.last().is_some_and(|open| open.key_comes);
    let place = place(open, if is_key { Kind::Key } else { Kind::String });
    match &text {
        Text::Plain(text) => with.exchange(&place, text, out),
        Text::Escaped { text, pieces } => {
            let mut other = Vec::with_capacity(text.len());
            with.exchange(&place, text, &mut other);
            encode(text, &other, pieces, out);
        }
    }
    if let Some(open) = open.last_mut().filter(|_| is_key) {
        open.key.clear();
        open.key.extend_from_slice(text.bytes());
        open.key_comes = false;
    }
    (before + raw.len()).saturating_sub(out.len())
}

/// What a string means.
enum Text<'a> {
    /// What it says.
    Plain(&'a [u8]),
    Escaped {
        text: Vec<u8>,
        pieces: Vec<Piece<'a>>,
    },
}

/// A character as it is written, and how many bytes it has.
struct Piece<'a> {
    raw: &'a [u8],
    len: usize,
    is_whole: bool,
}

impl Text<'_> {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Plain(bytes) => bytes,
            Self::Escaped { text, .. } => text,
        }
    }
}

fn decode(raw: &[u8]) -> Text<'_> {
    if !raw.contains(&b'\\') {
        return Text::Plain(raw);
    }
    let (mut text, mut pieces, mut rest) = (Vec::with_capacity(raw.len()), Vec::new(), raw);
    while let Some(first) = rest.first() {
        let escaped = if *first == b'\\' { rest.get(1) } else { None };
        let (taken, c) = match escaped {
            None => (char_len(rest), None),
            Some(b'u') => unicode(rest),
            Some(b'n') => (2, Some('\n')),
            Some(b't') => (2, Some('\t')),
            Some(b'r') => (2, Some('\r')),
            Some(b'b') => (2, Some('\u{8}')),
            Some(b'f') => (2, Some('\u{C}')),
            Some(other) => (2, Some(char::from(*other))),
        };
        let (piece, after) = rest.split_at(taken.min(rest.len()));
        let before = text.len();
        match c {
            Some(c) => text.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            // Half a pair: no character, and it stays.
            None if escaped.is_some() => text.push(b' '),
            None => text.extend_from_slice(piece),
        }
        pieces.push(Piece {
            raw: piece,
            len: text.len() - before,
            is_whole: c.is_some() || escaped.is_none(),
        });
        rest = after;
    }
    Text::Escaped { text, pieces }
}

/// How many bytes the character has that begins here; 1 of what is none.
fn char_len(rest: &[u8]) -> usize {
    let first = rest.get(..rest.len().min(4)).unwrap_or_default().utf8_chunks().next();
    first.and_then(|chunk| chunk.valid().chars().next()).map_or(1, char::len_utf8)
}

/// The character of a `\u` escape, or of two that are a pair, and how many bytes of the message that takes.
fn unicode(rest: &[u8]) -> (usize, Option<char>) {
    let unit = |at: usize| {
        let digits = rest.get(at..at + 6)?.strip_prefix(b"\\u")?;
        u16::from_str_radix(core::str::from_utf8(digits).ok()?, 16).ok()
    };
    let (first, second) = (unit(0), unit(6));
    match char::decode_utf16(first.into_iter().chain(second)).next() {
        Some(Ok(c)) => (6 * c.len_utf16(), Some(c)),
        _ => (6, None),
    }
}

/// Writes what has become of the characters of a string, in the way in which each was written.
fn encode(text: &[u8], other: &[u8], pieces: &[Piece<'_>], out: &mut Vec<u8>) {
    let (mut old, mut new) = (text, other);
    for Piece { raw, len, is_whole } in pieces {
        let ((was, old_rest), (is, new_rest)) =
            (old.split_at(*len.min(&old.len())), new.split_at(*len.min(&new.len())));
        (old, new) = (old_rest, new_rest);
        if was == is || !is_whole {
            out.extend_from_slice(raw);
        } else if raw.starts_with(b"\\u") {
            let units = core::str::from_utf8(is).unwrap_or_default().encode_utf16();
            units.for_each(|unit| out.extend_from_slice(format!("\\u{unit:04x}").as_bytes()));
        } else {
            out.extend_from_slice(is);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::scrub::text::fill;
    use proptest::prelude::*;

    /// Fills every string, and remembers where it stood.
    #[derive(Default)]
    struct Fills(Vec<String>);

    impl Exchange for Fills {
        fn exchange(&mut self, place: &Place<'_>, text: &[u8], out: &mut Vec<u8>) {
            let [parent, key, text_] = [place.parent, place.key, text].map(String::from_utf8_lossy);
            self.0.push(format!("{:?} {parent}/{key}@{}: {text_}", place.kind, place.depth));
            if place.kind == Kind::String { fill(text, out) } else { out.extend_from_slice(text) }
        }
    }

    fn filled(json: &str) -> (String, Vec<String>) {
        assert!(is_json(json.as_bytes()));
        let (mut fills, mut out) = (Fills::default(), Vec::new());
        exchange(json.as_bytes(), &mut fills, &mut out);
        (String::from_utf8(out).unwrap(), fills.0)
    }

    #[test]
    fn each_value_is_exchanged_where_it_stands() {
        let (out, places) = filled(r#"{ "a": {"b":["One", -1.5e3, true]}, "c":null,"d":"" }"#);
        assert_eq!(out, r#"{ "a": {"b":["Xxx", -1.5e3, true]}, "c":null,"d":"" }"#);
        assert_eq!(
            places,
            [
                "Key /@1: a",
                "Key a/a@2: b",
                "String a/b@3: One",
                "Number a/b@3: -1.5e3",
                "Key /@1: c",
                "Key /@1: d",
                "String /d@1: "
            ]
        );
    }

    #[test]
    fn what_is_escaped_stays_escaped() {
        for (json, other) in [
            (r#""say \"ja\"\n""#, r#""xxx \"xx\"\n""#),
            (r#""M\u00fcll\u0065r""#, r#""X\u00e9xx\u0078x""#),
            (r#""\ud83e\udd80 \ud83e!""#, r#""\ud83d\udfe6 \ud83e!""#),
            (r#""a\\b\/c""#, r#""x\\x\/x""#),
        ] {
            assert_eq!(filled(json).0, other);
        }
    }

    fn values() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            any::<i64>().prop_map(Into::into),
            any::<bool>().prop_map(Into::into),
            ".*".prop_map(Into::into)
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..5).prop_map(Into::into),
                proptest::collection::btree_map(".{0,5}", inner, 0..5)
                    .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_json_is_as_long_and_still_json(value in values()) {
            let json = value.to_string();
            let (once, _) = filled(&json);
            prop_assert_eq!(once.len(), json.len());
            prop_assert!(is_json(once.as_bytes()), "{}", once);
            prop_assert_eq!(&filled(&once).0, &once);
        }
    }
}

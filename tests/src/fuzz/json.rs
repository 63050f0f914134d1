//! JSON as it stands there, read without the core's own readers: fields in their order, also one that stands twice.

use core::fmt;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A value. Numbers are kept as the core shows them where a text is meant.
#[derive(Clone, Debug)]
pub(super) enum Json {
    Null,
    /// `true` or `false`.
    Word,
    Whole(String),
    Fraction(String),
    Text(String),
    List(Vec<Self>),
    Object(Vec<(String, Self)>),
}

/// Whether this is JSON at all; what is in it is not looked at.
pub(super) fn is_json(bytes: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(bytes).is_ok()
}

impl Json {
    /// Reads a value whose meaning is beyond doubt: of UTF-8, with numbers that can be, not too deep, and without a
    /// field that stands twice.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice::<Self>(bytes).ok().filter(Self::is_plain)
    }

    fn is_plain(&self) -> bool {
        match self {
            Self::Null | Self::Word | Self::Whole(_) | Self::Fraction(_) | Self::Text(_) => true,
            Self::List(items) => items.iter().all(Self::is_plain),
            Self::Object(fields) => {
                let twice = |n: usize, name: &str| fields.iter().skip(n + 1).any(|(other, _)| other == name);
                fields.iter().enumerate().all(|(n, (name, value))| !twice(n, name) && value.is_plain())
            }
        }
    }

    pub(super) const fn is_object(&self) -> bool {
        matches!(self, Self::Object(_))
    }

    pub(super) const fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// A field of an object.
    pub(super) fn get(&self, name: &str) -> Option<&Self> {
        let Self::Object(fields) = self else { return None };
        fields.iter().find(|(other, _)| other == name).map(|(_, value)| value)
    }

    /// The string itself.
    pub(super) fn string(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// A field as the core reads a text: a string, a number as it is written, and else nothing.
    pub(super) fn text(&self, name: &str) -> &str {
        match self.get(name) {
            Some(Self::Text(text) | Self::Whole(text) | Self::Fraction(text)) => text,
            _ => "",
        }
    }

    /// A field as a whole number, or 0.
    pub(super) fn number(&self, name: &str) -> u32 {
        match self.get(name) {
            Some(Self::Whole(digits)) => digits.parse().unwrap_or_default(),
            _ => 0,
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Json, E> {
        Ok(Json::Word)
    }

    fn visit_u64<E>(self, number: u64) -> Result<Json, E> {
        Ok(Json::Whole(number.to_string()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Json, E> {
        Ok(Json::Whole(number.to_string()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Json, E> {
        Ok(Json::Fraction(number.to_string()))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(Json::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Json, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(Json::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = map.next_entry()? {
            fields.push(field);
        }
        Ok(Json::Object(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_beyond_doubt_is_read_and_nothing_else() {
        let json = Json::parse(br#" {"a":{"b":7},"c":"x","d":-1.5,"e":[true]} "#).expect("JSON");
        assert_eq!(json.get("a").expect("it is there").number("b"), 7);
        assert_eq!((json.text("c"), json.text("d"), json.text("e"), json.text("f")), ("x", "-1.5", "", ""));
        for doubtful in [&br#"{"a":1,"a":2}"#[..], br#"[{"a":1,"a":2}]"#, b"\"\xff\"", b"1e999", b"{"] {
            assert!(Json::parse(doubtful).is_none(), "{doubtful:?}");
        }
        assert!(is_json(br#"{"a":1,"a":2}"#) && !is_json(b"{} x"));
    }
}

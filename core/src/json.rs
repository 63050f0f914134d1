//! The little that both JSON codecs share: borrowed strings, and strings written with their escapes.

use core::fmt;
use core::marker::PhantomData;
use core::ops::Deref;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;

/// A JSON string that is borrowed from the message unless it holds an escape.
///
/// `Option<Cow<str>>` would copy every string, because serde's `borrow` does not reach through the `Option`.
/// `null` is read as the empty string: the Realtime API's own types let optional fields be absent or null,
/// and no field that is read here means anything when it is empty. So is everything else that is not a string,
/// but for a number, which is read as it is written: some servers send an error's code as one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text<'a>(Cow<'a, str>);

impl From<String> for Text<'_> {
    fn from(text: String) -> Self {
        Self(Cow::Owned(text))
    }
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextVisitor { takes_anything: true })
    }
}

/// Reads a string and nothing else; for `#[serde(deserialize_with = "…")]`.
pub(crate) fn only_string<'de: 'a, 'a, D: Deserializer<'de>>(deserializer: D) -> Result<Text<'a>, D::Error> {
    deserializer.deserialize_any(TextVisitor { takes_anything: false })
}

struct TextVisitor {
    takes_anything: bool,
}

impl TextVisitor {
    fn other<'de, E: Error>(&self, text: impl FnOnce() -> String) -> Result<Text<'de>, E> {
        if self.takes_anything { Ok(Text(Cow::Owned(text()))) } else { Err(E::custom("not a string")) }
    }
}

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Text(Cow::Owned(text.to_owned())))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
        self.other(|| number.to_string())
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
        self.other(|| number.to_string())
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Self::Value, E> {
        self.other(|| number.to_string())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Self::Value, E> {
        self.other(String::new)
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        self.other(String::new)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        self.other(String::new)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Self::Value, A::Error> {
        while fields.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        self.other(String::new)
    }
}

/// A `T` that is written as an object. Serde alone would read one from a list too, as its fields in their order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Object<T>(pub(crate) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData)).map(Self)
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(fields))
    }
}

/// Reads a message that is an object.
pub(crate) fn object<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Option<T> {
    serde_json::from_slice(bytes).ok().map(|Object(object)| object)
}

/// Reads a value whatever it is, as the default where it is of another kind than `T`, which is no list; for
/// `#[serde(default, deserialize_with = "…")]`.
pub(crate) fn lenient<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    let value = <&RawValue>::deserialize(deserializer)?.get();
    Ok(if value.starts_with('[') { T::default() } else { serde_json::from_str(value).unwrap_or_default() })
}

/// As [`lenient`], of a list.
pub(crate) fn lenient_list<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    let value = <&RawValue>::deserialize(deserializer)?;
    Ok(serde_json::from_str(value.get()).unwrap_or_default())
}

/// Appends `text` as a JSON string, quotes and escapes included (RFC 8259 §7).
pub(crate) fn write_string(text: &str, out: &mut Vec<u8>) {
    // Serialising a string into a Vec cannot fail.
    let _ = serde_json::to_writer(out, text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_strings_are_borrowed_and_escaped_ones_owned() {
        let plain: Text<'_> = serde_json::from_str(r#""item_1""#).unwrap();
        assert!(matches!(plain.0, Cow::Borrowed("item_1")));
        let escaped: Text<'_> = serde_json::from_str(r#""a\nb""#).unwrap();
        assert_eq!(&*escaped, "a\nb");
        let null: Text<'_> = serde_json::from_str("null").unwrap();
        assert_eq!(&*null, "");
    }

    #[test]
    fn what_is_no_string_is_empty_but_for_a_number() {
        for (json, text) in [
            ("400", "400"),
            ("-1", "-1"),
            ("1.5", "1.5"),
            ("true", ""),
            ("[1, [2]]", ""),
            (r#"{"a": {}}"#, ""),
        ] {
            assert_eq!(&*serde_json::from_str::<Text<'_>>(json).unwrap(), text);
        }
        assert!(serde_json::from_str::<Text<'_>>("[1").is_err());
    }
}

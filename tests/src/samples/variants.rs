//! What becomes of an event on a bad day.

use serde_json::{Map, Value, json};

/// The most variants of one event.
pub const MAX_VARIANTS: usize = 399;

/// How deep a deep value is nested: below the depth at which a reader that counts gives up, and above it.
const DEEP: usize = 100;
const TOO_DEEP: usize = 200;

/// One step into a value.
#[derive(Clone, Debug)]
enum Step {
    Key(String),
    Index(usize),
}

/// What is done to a place.
#[derive(Clone, Debug)]
enum Change {
    Remove,
    Replace(Value),
    /// A field is added of which nobody has heard.
    Add,
}

/// Variants of an event: each field and element at each depth removed, nulled and replaced by a value of every other
/// kind, and each object with a field more. Of an event with very many fields not all, but as many of each depth.
#[must_use]
pub fn variants(event: &Value) -> Vec<Value> {
    let mut places = Vec::new();
    collect(event, &mut Vec::new(), &mut places);
    let mut all = Vec::new();
    for place in &places {
        if at(event, place).is_some_and(Value::is_object) {
            all.push((place, Change::Add));
        }
        if !place.is_empty() {
            all.push((place, Change::Remove));
            all.extend(replacements().into_iter().map(|value| (place, Change::Replace(value))));
        }
    }
    let count = all.len().min(MAX_VARIANTS);
    let chosen = (0..count).map(|number| &all[number * all.len() / count]);
    chosen.map(|(place, change)| changed(event, place, change)).collect()
}

/// One value of each kind, and of some kinds the ones that hurt.
fn replacements() -> Vec<Value> {
    let nested = |depth: usize| (0..depth).fold(json!(0), |value, _| json!([value]));
    vec![
        Value::Null,
        json!("other"),
        json!(""),
        json!(7),
        json!(-1),
        json!(u64::MAX),
        json!(1e300),
        json!(true),
        json!([]),
        json!({}),
        nested(DEEP),
        nested(TOO_DEEP),
    ]
}

/// All places of a value, itself included.
fn collect(value: &Value, place: &mut Vec<Step>, places: &mut Vec<Vec<Step>>) {
    places.push(place.clone());
    let children: Vec<(Step, &Value)> = match value {
        Value::Object(fields) => fields.iter().map(|(key, v)| (Step::Key(key.clone()), v)).collect(),
        Value::Array(elements) => elements.iter().enumerate().map(|(n, v)| (Step::Index(n), v)).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    };
    for (step, child) in children {
        place.push(step);
        collect(child, place, places);
        place.pop();
    }
}

fn at<'a>(value: &'a Value, place: &[Step]) -> Option<&'a Value> {
    place.iter().try_fold(value, |value, step| match step {
        Step::Key(key) => value.get(key),
        Step::Index(index) => value.get(index),
    })
}

fn at_mut<'a>(value: &'a mut Value, place: &[Step]) -> Option<&'a mut Value> {
    place.iter().try_fold(value, |value, step| match step {
        Step::Key(key) => value.get_mut(key),
        Step::Index(index) => value.get_mut(index),
    })
}

fn changed(event: &Value, place: &[Step], change: &Change) -> Value {
    let mut event = event.clone();
    match (change, place.split_last()) {
        (Change::Remove, Some((last, parent))) => match (at_mut(&mut event, parent), last) {
            (Some(Value::Object(fields)), Step::Key(key)) => drop(fields.remove(key)),
            (Some(Value::Array(elements)), Step::Index(index)) => drop(elements.remove(*index)),
            _ => unreachable!("a place has a parent that it was found in"),
        },
        (Change::Replace(value), _) => {
            *at_mut(&mut event, place).expect("the place was found there") = value.clone();
        }
        (Change::Add, _) => {
            let fields = at_mut(&mut event, place).and_then(Value::as_object_mut);
            fields.expect("fields are added to objects").extend(unknown_fields());
        }
        (Change::Remove, None) => unreachable!("the event itself is not removed"),
    }
    event
}

fn unknown_fields() -> Map<String, Value> {
    let mut fields = Map::new();
    fields.insert("new_in_2030".to_owned(), json!({ "type": "error", "list": [1, null, "x"] }));
    fields.insert(String::new(), json!("a field without a name"));
    fields
}

/// What is no event any more, or hardly: cut off, not UTF-8, with something behind it, with keys that come twice.
#[must_use]
pub fn broken(bytes: &[u8]) -> Vec<Vec<u8>> {
    let length = bytes.len();
    let mut all: Vec<Vec<u8>> =
        [0, 1, length / 4, length / 2, length * 3 / 4, length.saturating_sub(2), length.saturating_sub(1)]
            .map(|cut| bytes[..cut.min(length)].to_vec())
            .into();
    // Behind the quotation mark that begins the value of the last field that is a string.
    let inside = bytes.windows(2).rposition(|pair| pair == b":\"").map_or(length, |at| at + 2);
    let with = |at: usize, what: &[u8]| [&bytes[..at], what, &bytes[at..]].concat();
    for what in [&b"\xff\xfe"[..], b"\xed\xa0\x80", b"\xc3", b"\\ud800", b"\\u0000", b"\\x", b"\x00", b"\n"] {
        all.push(with(inside, what));
    }
    for what in [&b"}"[..], b"garbage", b"\x00", b"{\"type\":\"error\"}", b" \r\n"] {
        all.push(with(length, what));
    }
    for what in [&b"\"type\":\"error\","[..], b"\"type\":\"\",", b"\"item_id\":\"a\",\"item_id\":\"b\","] {
        all.push(with(1.min(length), what));
    }
    all.push(with(0, b"\xef\xbb\xbf"));
    all.push([b"[", bytes, b"]"].concat());
    all
}

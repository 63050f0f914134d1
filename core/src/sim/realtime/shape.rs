//! What JSON may look like, as a table, and why a server does not take it.

use serde_json::{Map, Value};

/// The longest error message about something that a client sent, in characters of what it sent.
const MAX_ECHO_CHARS: usize = 100;

/// Why the server does not take something: the body of an `error` event.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Refusal {
    pub(super) code: &'static str,
    pub(super) message: String,
    pub(super) param: Option<String>,
}

impl Refusal {
    pub(super) fn new(code: &'static str, message: impl Into<String>, param: Option<&str>) -> Self {
        Self { code, message: message.into(), param: param.map(str::to_owned) }
    }

    pub(super) fn unknown(param: &str) -> Self {
        Self::new("unknown_parameter", format!("Unknown parameter: '{}'.", echo(param)), Some(param))
    }

    pub(super) fn missing(param: &str) -> Self {
        Self::new(
            "missing_required_parameter",
            format!("Missing required parameter: '{param}'."),
            Some(param),
        )
    }

    pub(super) fn wrong_type(param: &str, expected: &str, got: &Value) -> Self {
        let got = match got {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::String(_) => "a string",
            Value::Array(_) => "an array",
            Value::Object(_) => "an object",
        };
        let text = format!("Invalid type for '{param}': expected {expected}, but got {got} instead.");
        Self::new("invalid_type", text, Some(param))
    }

    pub(super) fn value(param: &str, got: &str, supported: &str) -> Self {
        let text = format!("Invalid value: '{}'. Supported values are: {supported}.", echo(got));
        Self::new("invalid_value", text, Some(param))
    }

    fn out_of_range(param: &str, expected: &str) -> Self {
        Self::new("invalid_value", format!("Invalid value for '{param}': expected {expected}."), Some(param))
    }
}

/// As much of what a client sent as is worth repeating to it.
pub(super) fn echo(text: &str) -> String {
    text.chars().take(MAX_ECHO_CHARS).collect()
}

/// What a field may hold.
pub(super) enum Shape {
    /// Whatever there is, `null` too.
    Any,
    /// A string.
    Text,
    /// `true` or `false`.
    Flag,
    /// A whole number, from and to.
    Integer(i64, i64),
    /// A number, from and to.
    Number(f64, f64),
    /// One of these strings.
    OneOf(&'static [&'static str]),
    /// A list of as many of these as one likes.
    List(&'static Shape),
    /// A list of exactly one of these.
    Single(&'static Shape),
    /// An object with these fields and no others.
    Object(&'static [Field]),
    /// An object with whatever names, and such values.
    Map(&'static Shape),
    /// What may be noted beside a response: at most 16 strings of 512 characters under names of 64.
    Metadata,
    /// An object which is one of these, and this field says which.
    Tagged(&'static str, &'static [(&'static str, Shape)]),
    /// One of these, which differ in what JSON calls their type.
    Either(&'static [Shape]),
    /// This, or `null`.
    Nullable(&'static Shape),
}

/// A field: its name, and what it may hold. One whose name ends in `!` is required.
pub(super) type Field = (&'static str, Shape);

use Shape::{
    Any, Either, Flag, Integer, List, Map as MapOf, Metadata, Nullable, Number, Object, OneOf, Single,
    Tagged, Text,
};

impl Shape {
    /// In words.
    const fn expected(&self) -> &'static str {
        match self {
            Any => "anything",
            Text | OneOf(_) => "a string",
            Flag => "a boolean",
            Integer(..) => "an integer",
            Number(..) => "a number",
            List(_) | Single(_) => "an array",
            Object(_) | MapOf(_) | Metadata | Tagged(..) => "an object",
            Either(_) => "something else",
            Nullable(shape) => shape.expected(),
        }
    }

    /// Whether the value is of the JSON type that this shape has.
    fn is_of_type(&self, value: &Value) -> bool {
        match self {
            Any => true,
            Text | OneOf(_) => value.is_string(),
            Flag => value.is_boolean(),
            Integer(..) => value.is_u64() || value.is_i64(),
            Number(..) => value.is_number(),
            List(_) | Single(_) => value.is_array(),
            Object(_) | MapOf(_) | Metadata | Tagged(..) => value.is_object(),
            Either(shapes) => shapes.iter().any(|shape| shape.is_of_type(value)),
            Nullable(shape) => value.is_null() || shape.is_of_type(value),
        }
    }
}

/// Whether `value` has this shape. `path` is its name, for the refusal.
pub(super) fn check(shape: &Shape, value: &Value, path: &str) -> Result<(), Refusal> {
    match (shape, value) {
        (Any, _) | (Text, Value::String(_)) | (Flag, Value::Bool(_)) | (Nullable(_), Value::Null) => Ok(()),
        (Nullable(shape), _) => check(shape, value, path),
        (Either(shapes), _) => match shapes.iter().find(|shape| shape.is_of_type(value)) {
            Some(shape) => check(shape, value, path),
            None => {
                let expected: Vec<_> = shapes.iter().map(Shape::expected).collect();
                Err(Refusal::wrong_type(path, &expected.join(" or "), value))
            }
        },
        (Integer(from, to), Value::Number(number)) if number.is_u64() || number.is_i64() => {
            if number.as_i64().is_some_and(|number| (*from..=*to).contains(&number)) {
                return Ok(());
            }
            Err(match (from, to) {
                (from, to) if from == to => Refusal::value(path, &number.to_string(), &from.to_string()),
                (from, &i64::MAX) => Refusal::out_of_range(path, &format!("an integer from {from}")),
                (from, to) => Refusal::out_of_range(path, &format!("an integer from {from} to {to}")),
            })
        }
        (Number(from, to), Value::Number(number)) => {
            if number.as_f64().is_some_and(|number| (*from..=*to).contains(&number)) {
                return Ok(());
            }
            Err(Refusal::out_of_range(path, &format!("a number from {from} to {to}")))
        }
        (OneOf(values), Value::String(text)) if values.contains(&text.as_str()) => Ok(()),
        (OneOf(values), Value::String(text)) => Err(Refusal::value(path, text, &listed(values.iter()))),
        (List(item), Value::Array(values)) => {
            values.iter().enumerate().try_for_each(|(n, value)| check(item, value, &format!("{path}[{n}]")))
        }
        (Single(item), Value::Array(values)) => match values.as_slice() {
            [value] => check(item, value, &format!("{path}[0]")),
            _ => Err(Refusal::out_of_range(path, "exactly one value")),
        },
        (Object(fields), Value::Object(given)) => check_fields(fields, given, path),
        (MapOf(shape), Value::Object(given)) => {
            given.iter().try_for_each(|(name, value)| check(shape, value, &below(path, name)))
        }
        (Metadata, Value::Object(given)) => check_metadata(given, path),
        (Tagged(tag, shapes), Value::Object(given)) => {
            let at = below(path, tag);
            let kind = given.get(*tag).ok_or_else(|| Refusal::missing(&at))?;
            let kind = kind.as_str().ok_or_else(|| Refusal::wrong_type(&at, "a string", kind))?;
            match shapes.iter().find(|(known, _)| *known == kind) {
                Some((_, shape)) => check(shape, value, path),
                None => Err(Refusal::value(&at, kind, &listed(shapes.iter().map(|(known, _)| known)))),
            }
        }
        _ => Err(Refusal::wrong_type(path, shape.expected(), value)),
    }
}

/// Whether an object has these fields and no others.
pub(super) fn check_fields(fields: &[Field], given: &Map<String, Value>, path: &str) -> Result<(), Refusal> {
    for (name, value) in given {
        let field = fields.iter().find(|(known, _)| known.trim_end_matches('!') == name);
        let Some((_, shape)) = field else { return Err(Refusal::unknown(&below(path, name))) };
        check(shape, value, &below(path, name))?;
    }
    let missing = |(name, _): &&Field| name.ends_with('!') && !given.contains_key(name.trim_end_matches('!'));
    match fields.iter().find(missing) {
        Some((name, _)) => Err(Refusal::missing(&below(path, name.trim_end_matches('!')))),
        None => Ok(()),
    }
}

fn check_metadata(given: &Map<String, Value>, path: &str) -> Result<(), Refusal> {
    if given.len() > 16 {
        return Err(Refusal::out_of_range(path, "at most 16 properties"));
    }
    given.iter().try_for_each(|(name, value)| {
        let at = below(path, name);
        let text = value.as_str().ok_or_else(|| Refusal::wrong_type(&at, "a string", value))?;
        if name.chars().count() > 64 {
            return Err(Refusal::out_of_range(path, "names of at most 64 characters"));
        }
        if text.chars().count() > 512 {
            return Err(Refusal::out_of_range(&at, "at most 512 characters"));
        }
        Ok(())
    })
}

fn below(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// These names, as a refusal lists them.
pub(super) fn listed<'a>(names: impl Iterator<Item = &'a &'static str>) -> String {
    let names: Vec<String> = names.map(|name| format!("'{name}'")).collect();
    names.join(", ")
}

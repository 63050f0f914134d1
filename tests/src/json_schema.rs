//! Holds JSON against a JSON Schema (2020-12), as far as the schemas of this project go.
//!
//! It is strict where a validator for everybody is lenient: a keyword that it does not know is an error, because a
//! rule that nobody looks at holds nothing.

use serde_json::{Map, Value};

/// Whether `value` is as `schema` says.
///
/// # Errors
///
/// The first thing that is wrong, and where: `/turns/0/at_ms: …`.
pub fn check(schema: &Value, value: &Value) -> Result<(), String> {
    Checker { root: schema }.check(schema, value, "")
}

struct Checker<'a> {
    root: &'a Value,
}

impl Checker<'_> {
    fn check(&self, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
        let rules =
            schema.as_object().ok_or_else(|| format!("{at}: the schema is not an object: {schema}"))?;
        for (keyword, rule) in rules {
            let is_kept = match keyword.as_str() {
                "$schema" | "$defs" | "title" | "description" => true,
                "$ref" => {
                    let target = rule.as_str().and_then(|path| self.root.pointer(path.strip_prefix('#')?));
                    self.check(target.ok_or_else(|| format!("{at}: {rule} leads nowhere"))?, value, at)?;
                    true
                }
                "type" => is_type(rule, value),
                "const" => rule == value,
                "enum" => rule.as_array().is_some_and(|listed| listed.contains(value)),
                "minimum" => value.as_f64() >= rule.as_f64(),
                "maximum" => value.as_f64() <= rule.as_f64(),
                "format" => rule == "date-time" && value.as_str().is_some_and(is_date_time),
                "oneOf" => {
                    let branches = rule.as_array().map(Vec::as_slice).unwrap_or_default();
                    let faults: Vec<_> =
                        branches.iter().filter_map(|branch| self.check(branch, value, at).err()).collect();
                    if faults.len() == branches.len() {
                        return Err(format!(
                            "{at}: none of {} branches: {}",
                            branches.len(),
                            faults.join("; ")
                        ));
                    }
                    faults.len() + 1 == branches.len()
                }
                "items" => {
                    for (n, item) in value.as_array().into_iter().flatten().enumerate() {
                        self.check(rule, item, &format!("{at}/{n}"))?;
                    }
                    true
                }
                "required" => {
                    let names = rule.as_array().into_iter().flatten().filter_map(Value::as_str);
                    value.as_object().is_none_or(|fields| names.clone().all(|name| fields.contains_key(name)))
                }
                "properties" => {
                    self.check_fields(rule, value, at)?;
                    true
                }
                "additionalProperties" => {
                    let described = rules.get("properties").and_then(Value::as_object);
                    let is_described =
                        |name| described.is_some_and(|described: &Map<_, _>| described.contains_key(name));
                    rule == false && value.as_object().is_none_or(|fields| fields.keys().all(is_described))
                }
                unknown => {
                    return Err(format!("{at}: the schema has a keyword that is not looked at: {unknown}"));
                }
            };
            if !is_kept {
                return Err(format!("{at}: {value} is not as {keyword} wants it: {rule}"));
            }
        }
        Ok(())
    }

    fn check_fields(&self, described: &Value, value: &Value, at: &str) -> Result<(), String> {
        for (name, field) in value.as_object().into_iter().flatten() {
            if let Some(schema) = described.get(name) {
                self.check(schema, field, &format!("{at}/{name}"))?;
            }
        }
        Ok(())
    }
}

fn is_type(name: &Value, value: &Value) -> bool {
    match name.as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        Some("number") => value.is_number(),
        Some("integer") => value.is_u64() || value.is_i64(),
        _ => false,
    }
}

/// `2026-11-22T11:29:11.573Z`: of all that RFC 3339 allows the one form that is written here.
fn is_date_time(text: &str) -> bool {
    let form = "0000-00-00T00:00:00.000Z";
    text.len() == form.len()
        && text
            .bytes()
            .zip(form.bytes())
            .all(|(b, like)| if like == b'0' { b.is_ascii_digit() } else { b == like })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_a_schema_wants_is_looked_at() {
        let schema = json!({
            "$defs": { "Kind": { "oneOf": [{ "const": "a" }, { "const": "b" }, { "type": "integer", "minimum": 1, "maximum": 9 }] } },
            "type": "object",
            "properties": {
                "kind": { "$ref": "#/$defs/Kind" },
                "list": { "type": "array", "items": { "type": "string", "enum": ["x", "y"] } },
                "at": { "type": "string", "format": "date-time" },
            },
            "required": ["kind"],
            "additionalProperties": false,
        });
        for good in [
            json!({ "kind": "a" }),
            json!({ "kind": 9, "list": ["x", "y", "x"], "at": "2026-11-22T11:29:11.573Z" }),
        ] {
            assert_eq!(check(&schema, &good), Ok(()));
        }
        for (bad, at) in [
            (json!([]), ":"),
            (json!({}), ":"),
            (json!({ "kind": "c" }), "/kind:"),
            (json!({ "kind": 0 }), "/kind:"),
            (json!({ "kind": 10 }), "/kind:"),
            (json!({ "kind": 1.5 }), "/kind:"),
            (json!({ "kind": null }), "/kind:"),
            (json!({ "kind": "a", "list": "x" }), "/list:"),
            (json!({ "kind": "a", "list": ["x", "z"] }), "/list/1:"),
            (json!({ "kind": "a", "at": "yesterday" }), "/at:"),
            (json!({ "kind": "a", "more": 1 }), ":"),
        ] {
            let fault = check(&schema, &bad).unwrap_err();
            assert!(fault.starts_with(at), "{bad}: {fault}");
        }
    }

    #[test]
    fn two_branches_at_once_are_one_too_many() {
        let schema = json!({ "oneOf": [{ "type": "integer" }, { "minimum": 3 }] });
        assert!(check(&schema, &json!(2)).is_ok() && check(&schema, &json!(4)).is_err());
    }

    #[test]
    fn a_keyword_that_is_not_looked_at_is_a_fault() {
        for schema in [
            json!({ "pattern": "x" }),
            json!({ "format": "email" }),
            json!({ "$ref": "#/gone" }),
            json!(true),
        ] {
            assert!(check(&schema, &json!("x")).is_err(), "{schema}");
        }
    }
}

//! Whether a model's arguments fit a function's parameters.
//!
//! A model makes up arguments now and then. What is looked at is the part of JSON Schema (2020-12) in which functions
//! are described: `type`, `properties`, `required`, `additionalProperties: false`, `items`, `enum` and `const`. Other
//! keywords are left to the function, which must not trust its arguments anyway.

use serde_json::Value;

/// How deep a schema is looked into.
const MAX_DEPTH: usize = 16;

/// Whether `value` fits `schema`.
pub(super) fn fits(schema: &Value, value: &Value) -> bool {
    fits_at(schema, value, 0)
}

fn fits_at(schema: &Value, value: &Value, depth: usize) -> bool {
    let (Some(schema), true) = (schema.as_object(), depth < MAX_DEPTH) else { return true };
    let is_of_type = match schema.get("type") {
        Some(Value::String(name)) => is_type(name, value),
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).any(|name| is_type(name, value)),
        _ => true,
    };
    let is_listed = schema.get("enum").and_then(Value::as_array).is_none_or(|listed| listed.contains(value))
        && schema.get("const").is_none_or(|only| only == value);
    is_of_type && is_listed && fields_fit(schema, value, depth) && items_fit(schema, value, depth)
}

fn is_type(name: &str, value: &Value) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "number" => value.is_number(),
        // 1.0 is an integer (JSON Schema core, §4.2.3).
        "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        _ => true,
    }
}

fn fields_fit(schema: &serde_json::Map<String, Value>, value: &Value, depth: usize) -> bool {
    let Some(fields) = value.as_object() else { return true };
    let required = schema.get("required").and_then(Value::as_array);
    let is_there = |name: &Value| name.as_str().is_none_or(|name| fields.contains_key(name));
    let described = schema.get("properties").and_then(Value::as_object);
    let is_open = schema.get("additionalProperties") != Some(&Value::Bool(false));
    required.is_none_or(|names| names.iter().all(is_there))
        && fields.iter().all(|(name, value)| match described.and_then(|described| described.get(name)) {
            Some(schema) => fits_at(schema, value, depth + 1),
            None => is_open,
        })
}

fn items_fit(schema: &serde_json::Map<String, Value>, value: &Value, depth: usize) -> bool {
    match (schema.get("items"), value.as_array()) {
        (Some(schema), Some(items)) => items.iter().all(|item| fits_at(schema, item, depth + 1)),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn arguments_are_held_against_the_parameters() {
        let schema = json!({
            "type": "object",
            "properties": {
                "city": { "type": "string" },
                "days": { "type": "integer" },
                "unit": { "enum": ["celsius", "fahrenheit"] },
                "hours": { "type": "array", "items": { "type": ["integer", "null"] } },
            },
            "required": ["city"],
            "additionalProperties": false,
        });
        for good in [
            json!({ "city": "Ulm" }),
            json!({ "city": "Ulm", "days": 3, "unit": "celsius", "hours": [1, null] }),
            json!({ "city": "Ulm", "days": 3.0 }),
        ] {
            assert!(fits(&schema, &good), "{good}");
        }
        for bad in [
            json!({}),
            json!([]),
            json!("Ulm"),
            json!({ "city": 7 }),
            json!({ "city": null }),
            json!({ "city": "Ulm", "days": 1.5 }),
            json!({ "city": "Ulm", "unit": "kelvin" }),
            json!({ "city": "Ulm", "hours": ["noon"] }),
            json!({ "city": "Ulm", "street": "x" }),
        ] {
            assert!(!fits(&schema, &bad), "{bad}");
        }
    }

    #[test]
    fn a_schema_that_says_nothing_or_nonsense_refuses_nothing() {
        for schema in [json!({}), json!(true), json!({ "type": 7, "required": "x", "properties": [] })] {
            assert!(fits(&schema, &json!({ "anything": [1] })), "{schema}");
        }
    }

    #[test]
    fn a_deep_schema_is_looked_into_so_far() {
        let (mut schema, mut value) = (json!({ "type": "string" }), json!(7));
        for _ in 0..100 {
            schema = json!({ "items": schema });
            value = json!([value]);
        }
        assert!(fits(&schema, &value));
    }
}

//! The JSON Schema of a record, made from its types. Nothing of this is in the program: `schemars` is there in tests
//! alone.

use super::CallRecord;
use crate::outcome::EndReason;
use crate::outcome::PANICKED;
use schemars::generate::SchemaSettings;
use schemars::transform::{RecursiveTransform, Transform};
use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::Value;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/call-record.schema.json");

/// Every reason that a call can have ended for.
pub(super) fn reasons(_: &mut SchemaGenerator) -> Schema {
    let reasons: Vec<_> = EndReason::ALL.iter().map(|reason| reason.label()).chain([PANICKED]).collect();
    json_schema!({ "type": "string", "enum": reasons })
}

fn schema() -> String {
    let settings = SchemaSettings::draft2020_12().for_serialize();
    let mut schema = settings.into_generator().into_root_schema_for::<CallRecord>();
    RecursiveTransform(tighten).transform(&mut schema);
    let mut text = serde_json::to_string_pretty(&schema).unwrap();
    text.push('\n');
    text
}

/// Says what the types do not: an object has the fields that are described and no others, what is not there is left
/// out and never null, and how a point in time is written.
fn tighten(schema: &mut Schema) {
    let Some(described) = schema.get_mut("properties").and_then(Value::as_object_mut) else { return };
    for (name, field) in described {
        let field = field.as_object_mut().unwrap();
        // How many bits Rust keeps a number in is nobody's business.
        field.remove("format");
        if let Some(types) = field.get("type").and_then(Value::as_array) {
            field["type"] = types[0].clone();
        }
        if let Some(Value::Array(either)) = field.remove("anyOf") {
            field.insert("$ref".to_owned(), either[0]["$ref"].clone());
        }
        if name.ends_with("_utc") {
            field.insert("format".to_owned(), "date-time".into());
        }
    }
    schema.insert("additionalProperties".to_owned(), false.into());
}

#[test]
fn the_schema_that_is_checked_in_is_that_of_the_types() {
    let renew = "cargo test -p ari-bridge-core --lib renew_the_schema -- --ignored";
    assert!(include_str!("../../call-record.schema.json") == schema(), "renew it: {renew}");
}

#[test]
#[ignore = "it writes core/call-record.schema.json"]
#[expect(clippy::disallowed_methods, reason = "a file of the sources is what it is there to write")]
fn renew_the_schema() {
    std::fs::write(FILE, schema()).unwrap();
}

//! A conversation in words, for agents and tests to read.

use serde_json::Value;

/// An item of a conversation in words: `user: …`, `assistant: …` and `system: …` with what is written or was written
/// down, `call: <name> <arguments>`, `output: <output>`, and the type of any other.
#[must_use]
pub fn in_words(item: &Value) -> String {
    let text = |name: &str| item.get(name).and_then(Value::as_str).unwrap_or_default();
    match text("type") {
        "function_call" => format!("call: {} {}", text("name"), text("arguments")),
        "function_call_output" => format!("output: {}", text("output")),
        "message" => {
            let parts = item.get("content").and_then(Value::as_array);
            let words = parts.into_iter().flatten().map(|part| {
                let words = part.get("text").or_else(|| part.get("transcript"));
                words.and_then(Value::as_str).unwrap_or("(audio)")
            });
            format!("{}: {}", text("role"), words.collect::<Vec<_>>().join(" "))
        }
        other => other.to_owned(),
    }
}

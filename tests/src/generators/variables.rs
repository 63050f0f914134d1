//! Settings as an operator writes them, or tries to.

use super::{pick, some_text, text, up_to, word};
use crate::choices::Choices;
use ari_bridge_core::config::{Preset, VARIABLES, Variable};

/// What stands wherever a key or a password may, and must not be seen again.
pub const SECRET: &str = "hunter2-do-not-show";

/// Values with more than one part, right and wrong.
const PARTS: [&str; 24] = [
    "internal,1001,1",
    "internal,1001",
    "internal,1001,0",
    "a,b,c,d",
    ",,",
    "0.0.0.0",
    "::1",
    "[::1]:9090",
    "127.0.0.1:0",
    "127.0.0.1:65536",
    "localhost",
    "media.example",
    "http://pbx.example:8088/prefix",
    "https://pbx.example/ari",
    "ws://127.0.0.1:8080/v1/realtime?model=x",
    "wss://x.openai.azure.com/openai/v1/realtime?api-version=1",
    "ftp://x",
    "text_in=1,text_cached=2,text_out=3,audio_in=4,audio_cached=5,audio_out=6",
    "text_in=1",
    "filler,ask,reconnect,fallback",
    "fallback,fallback",
    "sample:0",
    "sample:7",
    "2.50",
];

const NUMBERS: [&str; 12] =
    ["0", "1", "-1", "+1", "0.5", "1e3", "NaN", "inf", "0x10", "007", "65536", "99999999999999999999"];

/// A variable and its value. Those that hold a secret hold [`SECRET`].
pub fn assignment(choices: &mut Choices<'_>) -> (String, String) {
    let variable = pick(choices, VARIABLES);
    let name = match variable.prefix() {
        Some(prefix) => format!("{prefix}{}", word(choices)),
        None if choices.one_in(24) => some_text(choices),
        None => variable.name.to_owned(),
    };
    let value = secret(choices, variable.name).unwrap_or_else(|| value(choices, variable));
    (name, value)
}

/// A value that may stand there, and one that may not.
fn value(choices: &mut Choices<'_>, variable: &Variable) -> String {
    let words: Vec<&str> = variable
        .help
        .split(|c: char| !c.is_alphanumeric() && c != '_')
        .filter(|word| !word.is_empty())
        .collect();
    match choices.below(10) {
        0 => [" ", "\t", "", "\n"][choices.below(4)].repeat(2),
        1 => match variable.default {
            Preset::Value(value) => value.to_owned(),
            Preset::Family { example } => example.split_once('=').map_or("", |(_, value)| value).to_owned(),
            Preset::Required | Preset::Unset | Preset::FileOf(_) => word(choices),
        },
        // What the help says of it is often a value.
        2..=4 => (*pick(choices, &words[..words.len().min(256)])).to_owned(),
        5 => up_to(choices, 100_000).to_string(),
        6 => (*pick(choices, &NUMBERS)).to_owned(),
        7 => (*pick(choices, &PARTS)).to_owned(),
        8 => text(choices),
        _ => format!("{},{}", pick(choices, &words[..words.len().min(256)]), text(choices)),
    }
}

/// A value with a secret in it, where there belongs one; only the secret's own place holds it.
fn secret(choices: &mut Choices<'_>, variable: &str) -> Option<String> {
    let hosts = ["host:8080", "host", "host:99999", "", "[::1", "ho st", "127.0.0.1:80"];
    let host = *pick(choices, &hosts);
    Some(match variable {
        "OPENAI_API_KEY" | "ARI_PASSWORD" | "SAFETY_IDENTIFIER_KEY" => {
            format!("{SECRET}{}", if choices.one_in(3) { text(choices) } else { String::new() })
        }
        "OPENAI_HEADERS" => match choices.below(5) {
            0 => format!("X-Key={SECRET}"),
            1 => format!("X-Key={SECRET},x-key={SECRET}"),
            2 => format!("Authorization=Bearer%20{SECRET}%zz,{}", text(choices).replace('=', "")),
            3 => format!("{}={SECRET}", text(choices).replace('=', "")),
            _ => format!("OpenAI-Safety-Identifier={SECRET}{}", text(choices)),
        },
        "HTTPS_PROXY" => {
            format!("http://user:{SECRET}{}@{host}", ["", "%zz", "%00", "@", ":"][choices.below(5)])
        }
        "OPENAI_REALTIME_URL" => match choices.below(3) {
            0 => format!("wss://{SECRET}@{host}/v1?model=x"),
            _ => format!("wss://{host}/v1/realtime?key={SECRET}{}", text(choices)),
        },
        "ARI_URL" if choices.one_in(3) => format!("http://voiceapp:{SECRET}@{host}"),
        _ => return None,
    })
}

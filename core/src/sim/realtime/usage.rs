//! What a response uses up.
//!
//! All of the conversation goes in again with each response; what went in with the one before costs less. Audio is
//! counted as the price list has it: the caller's 1 token per 100 ms, the model's 1 per 50 ms. Text is estimated.

use super::Realtime;
use super::conversation::Item;
use super::words::in_words;
use serde_json::{Value, json};

/// How much of the caller's audio is a token, in milliseconds.
const HEARD_MS_PER_TOKEN: u64 = 100;
/// How much of the model's audio is a token, in milliseconds.
const SPOKEN_MS_PER_TOKEN: u64 = 50;
/// How many bytes of text are a token, about.
const BYTES_PER_TOKEN: usize = 4;

/// What goes in, in tokens.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Tokens {
    text: u64,
    audio: u64,
}

impl Tokens {
    const fn total(self) -> u64 {
        self.text + self.audio
    }

    fn add(&mut self, item: &Item) {
        let spoken = item.model_audio_ms.map(|ms| ms / SPOKEN_MS_PER_TOKEN);
        let heard = item.caller_audio_ms.map(|ms| ms / HEARD_MS_PER_TOKEN);
        match spoken.or(heard) {
            Some(tokens) => self.audio += tokens,
            None => self.text += text_tokens(&in_words(&item.json)),
        }
    }
}

/// How many tokens a text is.
pub(super) fn text_tokens(text: &str) -> u64 {
    text.len().div_ceil(BYTES_PER_TOKEN) as u64
}

/// What came out, in tokens.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Output {
    /// How much audio was sent, in milliseconds.
    pub(super) spoken_ms: u64,
    /// How much was written: transcripts, arguments.
    pub(super) text_tokens: u64,
}

impl Realtime {
    /// What goes in with the next response, and how much of it went in with the one before.
    pub(super) fn input_tokens(&mut self) -> (Tokens, Tokens) {
        let session = self.session.as_ref().map(super::Session::json);
        let of_session = |name: &str| session.and_then(|session| session.get(name));
        let instructions = of_session("instructions").and_then(Value::as_str).unwrap_or_default();
        let tools = of_session("tools").filter(|tools| tools.get(0).is_some());
        let mut tokens = Tokens {
            text: text_tokens(instructions) + tools.map_or(0, |tools| text_tokens(&tools.to_string())),
            audio: 0,
        };
        self.items.iter().for_each(|item| tokens.add(item));
        let before = core::mem::replace(&mut self.last_input, tokens);
        let cached = Tokens { text: before.text.min(tokens.text), audio: before.audio.min(tokens.audio) };
        (tokens, cached)
    }
}

/// The `usage` of a response.
pub(super) fn usage((input, cached): (Tokens, Tokens), output: Output) -> Value {
    let spoken = output.spoken_ms / SPOKEN_MS_PER_TOKEN;
    let output_tokens = spoken + output.text_tokens;
    json!({
        "total_tokens": input.total() + output_tokens,
        "input_tokens": input.total(),
        "output_tokens": output_tokens,
        "input_token_details": {
            "text_tokens": input.text, "audio_tokens": input.audio, "image_tokens": 0,
            "cached_tokens": cached.total(),
            "cached_tokens_details": {
                "text_tokens": cached.text, "audio_tokens": cached.audio, "image_tokens": 0,
            },
        },
        "output_token_details": { "text_tokens": output.text_tokens, "audio_tokens": spoken },
    })
}

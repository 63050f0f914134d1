//! What an answer has used up, as `response.done` tells it.

use crate::json::lenient;
use crate::observe::{Usage, UsageKind};
use serde::Deserialize;

#[derive(Default, Deserialize)]
pub(super) struct RawUsage {
    #[serde(default, deserialize_with = "lenient")]
    input_tokens: f64,
    #[serde(default, deserialize_with = "lenient")]
    output_tokens: f64,
    #[serde(default, deserialize_with = "lenient")]
    input_token_details: RawTokens,
    #[serde(default, deserialize_with = "lenient")]
    output_token_details: RawTokens,
}

#[derive(Default, Deserialize)]
struct RawTokens {
    #[serde(default, deserialize_with = "lenient")]
    text_tokens: f64,
    #[serde(default, deserialize_with = "lenient")]
    audio_tokens: f64,
    #[serde(default, deserialize_with = "lenient")]
    cached_tokens_details: RawCached,
}

/// Part of the tokens beside it.
#[derive(Default, Deserialize)]
struct RawCached {
    #[serde(default, deserialize_with = "lenient")]
    text_tokens: f64,
    #[serde(default, deserialize_with = "lenient")]
    audio_tokens: f64,
}

impl From<RawUsage> for Usage {
    fn from(raw: RawUsage) -> Self {
        let RawUsage { input_token_details: input, output_token_details: output, .. } = raw;
        let mut usage = Self::default();
        // A cast saturates, and makes zero of what is not a number.
        let mut add = |kind, tokens: f64| usage.add(kind, tokens as u64);
        let cached = &input.cached_tokens_details;
        add(UsageKind::TextIn, input.text_tokens - cached.text_tokens);
        add(UsageKind::TextCached, cached.text_tokens.min(input.text_tokens));
        add(UsageKind::AudioIn, input.audio_tokens - cached.audio_tokens);
        add(UsageKind::AudioCached, cached.audio_tokens.min(input.audio_tokens));
        add(UsageKind::TextOut, output.text_tokens);
        add(UsageKind::AudioOut, output.audio_tokens);
        // What is not told apart, images among it, is taken for audio: an estimate errs on the dear side.
        add(UsageKind::AudioIn, raw.input_tokens - input.text_tokens - input.audio_tokens);
        add(UsageKind::AudioOut, raw.output_tokens - output.text_tokens - output.audio_tokens);
        usage
    }
}

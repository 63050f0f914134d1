//! What the Realtime server is asked for.

use super::super::reader::{Reader, within};
use super::realtime::is_visible;
use crate::format::{MediaFormat, ModelFormat};
use crate::settings::{
    Dialect, Eagerness, MaxOutputTokens, MediaPlan, NoiseReduction, ReasoningEffort, ServerVad,
    SessionSettings, Transcription, TurnDetection,
};

pub(super) fn session(
    reader: &mut Reader<'_>,
    dialect: Option<Dialect>,
    media: Option<MediaPlan>,
) -> Option<SessionSettings> {
    let audio_format = audio_format(reader, dialect, media);
    let voice =
        reader.parse("OPENAI_VOICE", "the name of a voice", |text| is_visible(text).then(|| text.to_owned()));
    let speed = reader.optional_fraction("OPENAI_SPEED", 0.25..=1.5);
    let noise_reduction =
        reader.parse("OPENAI_NOISE_REDUCTION", "off, near_field or far_field", |text| match text {
            "off" => Some(None),
            name => NoiseReduction::ALL.into_iter().find(|kind| kind.name() == name).map(Some),
        });
    let transcription = transcription(reader);
    let max_output_tokens = max_output_tokens(reader);
    let reasoning_effort =
        reader.parse_optional("OPENAI_REASONING_EFFORT", "minimal, low, medium, high or xhigh", |text| {
            ReasoningEffort::ALL.into_iter().find(|effort| effort.name() == text)
        });
    let turn_detection = turn_detection(reader);
    let interrupt_response = reader.on_off("VAD_INTERRUPT");
    Some(SessionSettings {
        dialect: dialect?,
        audio_format: audio_format?,
        voice: voice?,
        speed: speed?,
        instructions: reader.optional("OPENAI_INSTRUCTIONS"),
        greeting: reader.optional("OPENAI_GREETING"),
        adopted_greeting: reader.optional("ADOPT_GREETING"),
        turn_detection: turn_detection?,
        interrupt_response: interrupt_response?,
        noise_reduction: noise_reduction?,
        transcription: transcription?,
        max_output_tokens: max_output_tokens?,
        reasoning_effort: reasoning_effort?,
        ..SessionSettings::default()
    })
}

/// The format of the audio to and from the model. `auto` spares the work where the line's own format is one
/// that the model speaks.
fn audio_format(
    reader: &mut Reader<'_>,
    dialect: Option<Dialect>,
    media: Option<MediaPlan>,
) -> Option<ModelFormat> {
    const NAME: &str = "OPENAI_AUDIO_FORMAT";
    let named = |name: &str| ModelFormat::ALL.into_iter().find(|format| format.name() == name);
    let chosen = reader.parse(NAME, "auto, pcm24, pcmu or pcma", |text| match text {
        "auto" => Some(None),
        name => named(name).map(Some),
    })?;
    match (dialect?, chosen) {
        (Dialect::Qwen, Some(format @ (ModelFormat::Pcmu | ModelFormat::Pcma))) => {
            let allowed = "auto or pcm24 with REALTIME_DIALECT=qwen, which does not know G.711";
            reader.refuse(NAME, format.name(), allowed)
        }
        (Dialect::Qwen, None) => Some(ModelFormat::Pcm24),
        (_, Some(format)) => Some(format),
        (_, None) => Some(match media?.format {
            MediaFormat::Ulaw => ModelFormat::Pcmu,
            MediaFormat::Alaw => ModelFormat::Pcma,
            MediaFormat::Slin16 | MediaFormat::G722 => ModelFormat::Pcm24,
        }),
    }
}

/// `None` is a fault, `Some(None)` no transcription.
fn transcription(reader: &mut Reader<'_>) -> Option<Option<Transcription>> {
    const LANGUAGE: &str = "OPENAI_TRANSCRIPTION_LANGUAGE";
    let model =
        reader.parse_optional("OPENAI_TRANSCRIPTION_MODEL", "the name of a model, without spaces", |text| {
            is_visible(text).then(|| text.to_owned())
        });
    let language =
        reader.parse_optional(LANGUAGE, "a language as two or three lower-case letters, like de", |text| {
            let letters = text.bytes().all(|b| b.is_ascii_lowercase());
            (letters && matches!(text.len(), 2 | 3)).then(|| text.to_owned())
        });
    match (model?, language?) {
        (None, Some(language)) => {
            reader.refuse(LANGUAGE, &language, "unset unless OPENAI_TRANSCRIPTION_MODEL is set too")
        }
        (None, None) => Some(None),
        (Some(model), language) => Some(Some(Transcription { model, language, prompt: None })),
    }
}

/// `None` is a fault, `Some(None)` leaves it to the server.
fn max_output_tokens(reader: &mut Reader<'_>) -> Option<Option<MaxOutputTokens>> {
    let allowed = "a whole number from 1 to 32000, or inf";
    reader.parse_optional("OPENAI_MAX_OUTPUT_TOKENS", allowed, |text| match text {
        "inf" => Some(MaxOutputTokens::Unlimited),
        text => within(text, &(1..=32_000)).map(MaxOutputTokens::Tokens),
    })
}

fn turn_detection(reader: &mut Reader<'_>) -> Option<TurnDetection> {
    const IDLE: &str = "VAD_IDLE_TIMEOUT_MS";
    let is_semantic = reader.parse("VAD_MODE", "server or semantic", |text| match text {
        "server" => Some(false),
        "semantic" => Some(true),
        _ => None,
    });
    let threshold = reader.fraction("VAD_THRESHOLD", 0.0..=1.0);
    let prefix = reader.millis("VAD_PREFIX_MS", 0..=5000);
    let silence = reader.millis("VAD_SILENCE_MS", 100..=10_000);
    let idle = reader.optional_number(IDLE, 5000..=30_000, " milliseconds");
    let eagerness = reader.parse("VAD_EAGERNESS", "low, medium, high or auto", |text| {
        Eagerness::ALL.into_iter().find(|eagerness| eagerness.name() == text)
    });
    let idle = idle?.and_then(|millis| u32::try_from(millis).ok());
    if is_semantic? {
        if let Some(millis) = idle {
            return reader.refuse(
                IDLE,
                &millis.to_string(),
                "unset with VAD_MODE=semantic, which knows no such time",
            );
        }
        return Some(TurnDetection::Semantic { eagerness: eagerness? });
    }
    Some(TurnDetection::Server(ServerVad {
        threshold: threshold?,
        prefix_padding_ms: prefix?,
        silence_duration_ms: silence?,
        idle_timeout_ms: idle,
    }))
}

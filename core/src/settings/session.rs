//! What the Realtime server is asked for: the `session.update` of a call, field by field.
//!
//! Names, ranges and meanings are those of OpenAI's API reference (Realtime, GA interface). A field that is
//! `None` is not sent, and the server keeps its own default.

use crate::format::ModelFormat;
use serde::{Deserialize, Serialize};

/// How the server wants to be spoken to. Most servers that call themselves compatible speak [`Dialect::OpenAi`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Dialect {
    /// The GA interface: OpenAI's own, and LocalAI's, vLLM-Omni's and Hugging Face speech-to-speech's.
    #[default]
    OpenAi,
    /// The same with the key in the header `api-key`: Azure OpenAI.
    Azure,
    /// GA names; voice and turn detection stand at the top of the session; nothing can be truncated: xAI.
    Xai,
    /// The former beta interface, a flat session and older names: speaches, Azure's preview.
    Beta,
    /// The beta's flat session, with audio in at 16 kHz: Qwen-Omni-Realtime.
    Qwen,
}

impl Dialect {
    /// All of them, for help texts and tests.
    pub const ALL: [Self; 5] = [Self::OpenAi, Self::Azure, Self::Xai, Self::Beta, Self::Qwen];

    /// The name in `REALTIME_DIALECT`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Azure => "azure",
            Self::Xai => "xai",
            Self::Beta => "beta",
            Self::Qwen => "qwen",
        }
    }
}

/// The `session.update` of a call.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SessionSettings {
    /// How the server wants to be spoken to.
    pub dialect: Dialect,
    /// The format of the audio both ways. A server that does not confirm it is spoken to in PCM.
    pub audio_format: ModelFormat,
    /// The voice that the model speaks with.
    pub voice: String,
    /// How fast the model speaks: 0.25 to 1.5 times as fast as by itself.
    pub speed: Option<f64>,
    /// The system prompt.
    pub instructions: Option<String>,
    /// What the agent says first; without it the caller speaks first.
    pub greeting: Option<String>,
    /// What the agent says first to a caller who is taken on again ([`crate::call::Origin::Adopted`]), word for word;
    /// without it, that the line was interrupted, in words of its own.
    pub adopted_greeting: Option<String>,
    /// How the server tells that the caller speaks.
    pub turn_detection: TurnDetection,
    /// Whether the server stops its answer by itself when the caller speaks. If not, the bridge asks it to.
    /// Counts only while the caller can interrupt at the first sound ([`super::BargeIn::On`]).
    pub interrupt_response: bool,
    /// Noise reduction by the server, before it listens.
    pub noise_reduction: Option<NoiseReduction>,
    /// Whether the server writes down what the caller says, for the record of the conversation.
    pub transcription: Option<Transcription>,
    /// What the model can call beside [`super::CallSettings::hang_up`] and [`super::CallSettings::transfers`].
    pub tools: Vec<Tool>,
    /// Whether it must, may or must not.
    pub tool_choice: ToolChoice,
    /// Whether it may call several in one response.
    pub parallel_tool_calls: Option<bool>,
    /// The longest answer, in tokens.
    pub max_output_tokens: Option<MaxOutputTokens>,
    /// What becomes of a conversation that outgrows the model.
    pub truncation: Option<Truncation>,
    /// How long the model thinks.
    pub reasoning_effort: Option<ReasoningEffort>,
    /// Whether the server keeps a trace of the session for the account's dashboard.
    pub tracing: Option<Tracing>,
}

/// How the server tells that the caller speaks (`turn_detection`).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum TurnDetection {
    /// By sound (`server_vad`).
    Server(ServerVad),
    /// By what is said (`semantic_vad`).
    Semantic {
        /// How soon it takes a turn for complete.
        eagerness: Eagerness,
    },
}

/// Detection by sound. Every field is always sent, because the server's own defaults differ from its
/// documentation (`silence_duration_ms` is 200, not 500).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerVad {
    /// From 0 (everything is speech) to 1.
    pub threshold: f64,
    /// How much audio before the detected start belongs to the turn, in milliseconds.
    pub prefix_padding_ms: u32,
    /// How much silence ends a turn, in milliseconds.
    pub silence_duration_ms: u32,
    /// After how much silence the server answers although nobody spoke: 5000 to 30000 milliseconds. The bridge
    /// has its own way to deal with an idle caller ([`super::CallSettings::idle`]), which every server bears.
    pub idle_timeout_ms: Option<u32>,
}

/// How soon a turn is taken for complete.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Eagerness {
    /// The caller is given time: up to 8 s.
    Low,
    /// Up to 4 s.
    Medium,
    /// As soon as possible: up to 2 s.
    High,
    /// As the server sees fit; the same as medium.
    #[default]
    Auto,
}

impl Eagerness {
    /// All of them, for help texts and tests.
    pub const ALL: [Self; 4] = [Self::Low, Self::Medium, Self::High, Self::Auto];

    /// The name in the API, and in `VAD_EAGERNESS`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Auto => "auto",
        }
    }
}

/// What stands between the caller's mouth and the microphone.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum NoiseReduction {
    /// A handset or a headset.
    NearField,
    /// A room.
    FarField,
}

impl NoiseReduction {
    /// All of them, for help texts and tests.
    pub const ALL: [Self; 2] = [Self::NearField, Self::FarField];

    /// The name in the API, and in `OPENAI_NOISE_REDUCTION`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NearField => "near_field",
            Self::FarField => "far_field",
        }
    }
}

/// How the server writes down what the caller says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transcription {
    /// The model, e.g. `gpt-realtime-whisper`.
    pub model: String,
    /// The caller's language as ISO 639-1 (`de`), if it is known.
    pub language: Option<String>,
    /// What helps it along: names, terms.
    pub prompt: Option<String>,
}

/// Something that the model can call.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Tool {
    /// A function that the program around the bridge performs.
    Function(Function),
    /// A server of tools that the Realtime server calls by itself.
    Mcp(McpServer),
}

/// A function that the model can call.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Function {
    /// Its name: letters, digits, `_` and `-`.
    pub name: String,
    /// When to call it, and what for.
    pub description: String,
    /// The JSON Schema of its arguments, an object. Arguments that do not fit it are refused before the
    /// function is called; `type`, `properties`, `required`, `enum`, `items` and `additionalProperties: false`
    /// are looked at.
    pub parameters: serde_json::Value,
}

/// A server of tools in the Model Context Protocol, called by the Realtime server. There is no field for a
/// secret, on purpose: settings are shown and recorded.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct McpServer {
    /// How it is told from others.
    pub label: String,
    /// Where the Realtime server reaches it.
    pub url: String,
    /// What it is for.
    pub description: Option<String>,
    /// Which of its tools may be called; `None` means all.
    pub allowed_tools: Option<Vec<String>>,
    /// Whether each call is asked for first.
    pub approval: Approval,
}

/// Whether calls to an MCP server are asked for first (`require_approval`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Approval {
    /// They are made at once.
    Never,
    /// The program around the bridge is asked; if there is none, they are declined.
    Always,
}

/// Whether the model must call something (`tool_choice`).
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ToolChoice {
    /// It may.
    #[default]
    Auto,
    /// It must not.
    None,
    /// It must.
    Required,
    /// It must call this function.
    Function(String),
}

/// The longest answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum MaxOutputTokens {
    /// So many tokens.
    Tokens(u32),
    /// As many as the model can.
    Unlimited,
}

/// What becomes of a conversation that outgrows the model.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Truncation {
    /// The server drops the oldest.
    Auto,
    /// The next answer fails.
    Disabled,
    /// The server drops more than it must, so that what it has cached stays of use for longer.
    Retention {
        /// How much is kept, 0 to 1.
        ratio: f64,
        /// How many tokens there may be beside the instructions, if not as many as the model can.
        post_instructions_tokens: Option<u32>,
    },
}

/// How long the model thinks; only newer models do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ReasoningEffort {
    /// Hardly.
    Minimal,
    /// A little: the server's default.
    Low,
    /// Longer.
    Medium,
    /// Long.
    High,
    /// Longest.
    ExtraHigh,
}

impl ReasoningEffort {
    /// All of them, for help texts and tests.
    pub const ALL: [Self; 5] = [Self::Minimal, Self::Low, Self::Medium, Self::High, Self::ExtraHigh];

    /// The name in the API, and in `OPENAI_REASONING_EFFORT`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Minimal => "minimal",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::ExtraHigh => "xhigh",
        }
    }
}

/// Whether the server keeps a trace of the session.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Tracing {
    /// Under names that it makes.
    Auto,
    /// Under these.
    Named {
        /// The workflow.
        workflow: String,
        /// What groups the traces of several calls.
        group: Option<String>,
    },
}

impl Default for ServerVad {
    fn default() -> Self {
        Self { threshold: 0.35, prefix_padding_ms: 300, silence_duration_ms: 500, idle_timeout_ms: None }
    }
}

impl Default for TurnDetection {
    fn default() -> Self {
        Self::Server(ServerVad::default())
    }
}

impl TurnDetection {
    /// How much audio before the detected start the server counts to a turn, in milliseconds.
    #[must_use]
    pub const fn prefix_padding_ms(&self) -> u32 {
        match self {
            Self::Server(vad) => vad.prefix_padding_ms,
            // What semantic detection does is not documented; these are the defaults of the other.
            Self::Semantic { .. } => 300,
        }
    }

    /// How much silence behind the end the server has heard when it tells of it, in milliseconds.
    #[must_use]
    pub const fn silence_duration_ms(&self) -> u32 {
        match self {
            Self::Server(vad) => vad.silence_duration_ms,
            Self::Semantic { .. } => 500,
        }
    }
}

impl Default for SessionSettings {
    fn default() -> Self {
        Self {
            dialect: Dialect::OpenAi,
            audio_format: ModelFormat::Pcm24,
            voice: "shimmer".to_owned(),
            speed: None,
            instructions: None,
            greeting: None,
            adopted_greeting: None,
            turn_detection: TurnDetection::default(),
            interrupt_response: true,
            noise_reduction: None,
            transcription: None,
            tools: Vec::new(),
            tool_choice: ToolChoice::Auto,
            parallel_tool_calls: None,
            max_output_tokens: None,
            truncation: None,
            reasoning_effort: None,
            tracing: None,
        }
    }
}

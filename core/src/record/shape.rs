//! The record of a call as it is written: what stands here is what `core/call-record.schema.json` is made from, these
//! comments included.

use serde::Serialize;

/// The version of the format. It is raised when a field changes its meaning or goes, not when one is added.
pub const VERSION: u32 = 1;

/// The record of one telephone call. Times ending in `_ms` are milliseconds; `at_ms` counts from the beginning of the call.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct CallRecord {
    /// The version of this format.
    #[cfg_attr(test, schemars(extend("const" = VERSION)))]
    pub version: u32,
    /// Whether what was said, keyed in and passed to functions is left out, and all but the end of the numbers.
    pub masked: bool,
    /// Whether more is left out because a call's record has bounds: turns, faults, or the end of a text.
    pub truncated: bool,
    /// The id of the call, as in the log. It begins the names of all that the call made on Asterisk.
    pub call_id: String,
    /// Who called, as Asterisk says; not there if the number is withheld.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Which number was dialled: the second argument of Stasis(…) in the dialplan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Whether the caller was found waiting for a call that was lost, and was taken on again: that call's record has another call_id, or there is none.
    pub adopted: bool,
    /// When the call entered the application (RFC 3339).
    pub begun_utc: String,
    /// When the caller was answered; not there if that never was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answered_utc: Option<String>,
    /// When the end was decided.
    pub ended_utc: String,
    /// From begun_utc to ended_utc.
    pub duration_ms: u64,
    /// How the call went.
    pub outcome: Ended,
    /// The Realtime sessions that the conversation was held in.
    pub sessions: Sessions,
    /// How many of what there were, also of those that are left out below.
    pub counts: Counts,
    /// What was said, keyed in and called, in order of time.
    pub turns: Vec<Turn>,
    /// How long callers waited for the beginning of an answer; not there if nothing was answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency: Option<LatencySummary>,
    /// Tokens used, by kind.
    pub usage: Tokens,
    /// What those cost in US dollars: an estimate from the prices in the settings, to the sixth digit. Not there if there are no prices.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_usd: Option<f64>,
    /// What became of the audio on its way.
    pub media: Media,
    /// How often the caller interrupted the agent.
    pub barge_ins: u64,
    /// What was done about silence after the caller had spoken, and how often.
    pub dead_air: DeadAir,
    /// The agent's answers that failed.
    pub failed_answers: FailedAnswers,
    /// The sounds of the bridge's own that the caller heard, and how often.
    pub prompts: Prompts,
    /// What went wrong, in order of time.
    pub faults: Vec<Fault>,
}

/// How a call went.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Ended {
    /// Why it ended: the label `status` of the metric `ari_bridge_calls_total`.
    #[cfg_attr(test, schemars(schema_with = "super::schema::reasons"))]
    pub reason: &'static str,
    /// Whether the caller was answered.
    pub answered: bool,
    /// Whether something may have been left on Asterisk.
    pub left_behind: bool,
}

/// The Realtime sessions of a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Sessions {
    /// How many there were.
    pub count: u64,
    /// How often one was lost and the conversation went on in another.
    pub reconnects: u64,
    /// How often the next one was ready before one expired.
    pub renewals: u64,
    /// How often it was tried to open another one after a loss.
    pub attempts: u64,
    /// The longest time without one, from a loss until the conversation went on.
    pub longest_gap_ms: u64,
    /// What the caller said meanwhile and the next session was given.
    pub delivered_ms: u64,
    /// What the caller said meanwhile and nobody has heard.
    pub lost_ms: u64,
}

/// How many of what there were.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Counts {
    /// Turns of the caller, whether or not they were written down, without those that were an echo of the agent.
    pub caller_turns: u64,
    /// Turns of the agent.
    pub agent_turns: u64,
    /// Entries by keys.
    pub key_entries: u64,
    /// Functions that the model called.
    pub tool_calls: u64,
}

/// Something that happened in the conversation.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "who", rename_all = "snake_case")]
pub enum Turn {
    /// The caller spoke, and the server wrote it down.
    Caller {
        /// When the caller stopped, as far as that is known.
        at_ms: u64,
        /// The words.
        #[serde(skip_serializing_if = "Option::is_none")]
        text: Option<String>,
        /// How many characters they are.
        chars: u64,
    },
    /// The agent spoke.
    Agent {
        /// When it began to be heard.
        at_ms: u64,
        /// The words that were heard.
        #[serde(skip_serializing_if = "Option::is_none")]
        text: Option<String>,
        /// How many characters they are.
        chars: u64,
        /// All the words that it said, if that is more than was heard.
        #[serde(skip_serializing_if = "Option::is_none")]
        said: Option<String>,
        /// How many characters those are, if that is more than was heard.
        #[serde(skip_serializing_if = "Option::is_none")]
        said_chars: Option<u64>,
        /// How much was heard.
        heard_ms: u64,
        /// How much had come.
        received_ms: u64,
        /// Whether less was heard than had come.
        interrupted: bool,
        /// How long the caller waited for it, if it is what was heard first of an answer to a turn.
        #[serde(skip_serializing_if = "Option::is_none")]
        latency: Option<AnswerLatency>,
    },
    /// The caller keyed something in.
    Keys {
        /// When the entry was complete.
        at_ms: u64,
        /// The keys.
        #[serde(skip_serializing_if = "Option::is_none")]
        keys: Option<String>,
        /// How many they are.
        count: u64,
    },
    /// The model called a function.
    Tool {
        /// When.
        at_ms: u64,
        /// Which. In a masked record not there if the model made it up.
        #[serde(skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        /// With what, as the model wrote it: mostly a JSON object.
        #[serde(skip_serializing_if = "Option::is_none")]
        arguments: Option<String>,
        /// How many characters that is.
        arguments_chars: u64,
        /// What the model was told in return.
        #[serde(skip_serializing_if = "Option::is_none")]
        output: Option<String>,
        /// How many characters that is; not there if it was told nothing.
        #[serde(skip_serializing_if = "Option::is_none")]
        output_chars: Option<u64>,
        /// How long it took; not there if the model was told nothing.
        #[serde(skip_serializing_if = "Option::is_none")]
        duration_ms: Option<u64>,
        /// What became of it.
        result: ToolResult,
        /// Whether it is a function that the settings know, so that its name may stand in a log.
        #[serde(skip)]
        is_known: bool,
    },
}

/// What became of a function that the model called.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ToolResult {
    /// It was under way when the call ended, or it is what ended it.
    Called,
    /// It was performed.
    Done,
    /// It was not, and the model was told so.
    Failed,
    /// It was not even tried, and the model was told so.
    Refused,
}

/// How long the caller waited for an answer, since the server said that the turn was over.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct AnswerLatency {
    /// Until the server began it, if it said so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub begun_ms: Option<u64>,
    /// Until its first audio came.
    pub first_audio_ms: u64,
    /// Until the first packet of it left for the caller.
    pub heard_ms: u64,
}

/// How long the caller waited until answers were heard, over the whole call.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct LatencySummary {
    /// How many answers these are.
    pub count: u64,
    /// Half of them took no longer.
    pub median_ms: u64,
    /// 95 of 100 took no longer.
    pub p95_ms: u64,
    /// None took longer.
    pub max_ms: u64,
}

/// Tokens by kind. What is cached was there before and costs less; it is counted there alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Tokens {
    /// Text that went in for the first time.
    pub text_in: u64,
    /// Text that was there before.
    pub text_cached: u64,
    /// Text that came out.
    pub text_out: u64,
    /// Audio that went in for the first time.
    pub audio_in: u64,
    /// Audio that was there before.
    pub audio_cached: u64,
    /// Audio that came out.
    pub audio_out: u64,
}

/// What became of the audio on its way.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Media {
    /// Packets of the caller that never came.
    pub lost_packets: u64,
    /// Packets that came and were of no use: late, doubled, from a stranger. Without those before the answer and on hold.
    pub dropped_packets: u64,
    /// Audio of the caller that was missing and was made up.
    pub concealed_ms: u64,
    /// Slots of 20 ms in which a frame was due to the caller and the bridge was late.
    pub late_slots: u64,
    /// Audio of the agent that exceeded what a call may hold.
    pub dropped_ms: u64,
}

/// What was done about silence after the caller had spoken, and how often.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct DeadAir {
    /// A sound of the bridge's own was played.
    pub filler: u64,
    /// The agent was asked to answer once more.
    pub ask: u64,
    /// The session was given up for a new one.
    pub reconnect: u64,
    /// The conversation was given up.
    pub fallback: u64,
}

/// The agent's answers that failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct FailedAnswers {
    /// How many failed or came to an end before their time.
    pub failed: u64,
    /// How often one was asked for again.
    pub asked_again: u64,
    /// How often one was given up.
    pub given_up: u64,
}

/// The sounds of the bridge's own, and how often the caller heard them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Prompts {
    /// One moment, please.
    pub moment: u64,
    /// Please say it again.
    pub sorry: u64,
    /// Goodbye.
    pub goodbye: u64,
    /// Something is going on.
    pub comfort: u64,
}

/// Something that went wrong.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Fault {
    /// When.
    pub at_ms: u64,
    /// What.
    pub what: FaultKind,
    /// The error code of the Realtime server, if it gave one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The close code of its socket (RFC 6455 §7.4).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub close_code: Option<u16>,
    /// The HTTP status of the answer, if there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_status: Option<u16>,
    /// What broke, if something did: resolve, refused, timed_out, reset, tls, protocol, backlog, no_port or other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub io: Option<&'static str>,
}

/// What can go wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// The Realtime server reported an error and kept the session.
    RealtimeError,
    /// The Realtime socket ended or could not be opened.
    RealtimeDown,
    /// An answer failed or came to an end before its time.
    AnswerFailed,
    /// What the caller said could not be written down.
    TranscriptFailed,
    /// Asterisk refused a request.
    AriRefused,
    /// Asterisk did not answer a request.
    AriNoReply,
    /// There was no media socket, or it broke.
    MediaDown,
}

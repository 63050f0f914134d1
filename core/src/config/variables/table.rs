//! The table itself.

/// What a variable is when it is not set, or set to nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Preset {
    /// It must be set.
    Required,
    /// Nothing, which has a meaning of its own.
    Unset,
    /// Nothing: it names a file that holds the value of this other variable, in its place.
    FileOf(&'static str),
    /// This value.
    Value(&'static str),
    /// Nothing: it is a whole family of variables, one for each name that takes the place of `<name>`.
    Family {
        /// One of the family, as it may stand in `.env`.
        example: &'static str,
    },
}

/// An environment variable that the bridge reads.
#[derive(Clone, Copy, Debug)]
pub struct Variable {
    /// Its name; that of a family ends in `<name>`.
    pub name: &'static str,
    /// What it is when it is not set.
    pub default: Preset,
    /// What it decides and what is allowed, in one line.
    pub help: &'static str,
}

impl Variable {
    /// What the names of a family begin with; `None` if this is a single variable.
    #[must_use]
    pub fn prefix(&self) -> Option<&'static str> {
        self.name.strip_suffix("<name>")
    }
}

const fn variable(name: &'static str, default: Preset, help: &'static str) -> Variable {
    Variable { name, default, help }
}

/// Every variable that the bridge reads, in the order in which a person would set them.
pub static VARIABLES: &[Variable] = {
    use Preset::{Family, FileOf, Required, Unset, Value};
    &[
        variable(
            "OPENAI_API_KEY",
            Required,
            "The key that pays for the Realtime sessions; OPENAI_API_KEY_FILE can take its place",
        ),
        variable(
            "OPENAI_API_KEY_FILE",
            FileOf("OPENAI_API_KEY"),
            "A file that holds the key and nothing else, for secrets of systemd, Docker or Kubernetes",
        ),
        variable("OPENAI_MODEL", Value("gpt-realtime-2.1-mini"), "The Realtime model"),
        variable(
            "OPENAI_VOICE",
            Value("shimmer"),
            "The voice: alloy, ash, ballad, coral, echo, sage, shimmer, verse, marin, cedar",
        ),
        variable(
            "OPENAI_SPEED",
            Unset,
            "How fast the model speaks, 0.25 to 1.5; without it as fast as by itself",
        ),
        variable("OPENAI_INSTRUCTIONS", Unset, "What the model is told: the system prompt"),
        variable("OPENAI_GREETING", Unset, "What the agent says first; without it the caller speaks first"),
        variable(
            "ADOPT_GREETING",
            Unset,
            "What the agent says first to a caller who is taken on again after a restart of the bridge (ADOPT); without it, in words of its own, that the line was interrupted",
        ),
        variable(
            "OPENAI_REALTIME_URL",
            Value("wss://api.openai.com/v1/realtime"),
            "The Realtime server, ws:// or wss://; the model is added to the query unless a model is there",
        ),
        variable(
            "REALTIME_DIALECT",
            Value("openai"),
            "How the server wants to be spoken to: openai (and most that are compatible), azure, xai, beta (the former beta interface) or qwen",
        ),
        variable(
            "OPENAI_HEADERS",
            Unset,
            "Further headers for the Realtime server: Name=value,Name=value; a comma, a percent sign, or a space at an end of a value is percent-encoded. A header for the key replaces the usual one",
        ),
        variable(
            "SAFETY_IDENTIFIER_KEY",
            Unset,
            "A secret of your own, 16 characters or more. With it the server is told who calls, by a keyed hash of the number in OpenAI-Safety-Identifier; without it nothing is told. It must not be the API key: the server knows that one, and there are so few telephone numbers that it could try them all",
        ),
        variable(
            "HTTPS_PROXY",
            Unset,
            "An HTTP proxy for wss:// to other machines: http://[user:password@]host:port. Only this spelling is read, and NO_PROXY is not",
        ),
        variable(
            "ARI_URL",
            Value("http://localhost:8088"),
            "Asterisk's HTTP server, http:// or https://, with the prefix of http.conf if there is one",
        ),
        variable("ARI_USER", Value("voiceapp"), "The user in ari.conf"),
        variable("ARI_PASSWORD", Value("CHANGE_ME"), "The password in ari.conf"),
        variable(
            "ARI_PASSWORD_FILE",
            FileOf("ARI_PASSWORD"),
            "A file that holds the password and nothing else; ARI_PASSWORD must not be set then",
        ),
        variable(
            "ARI_APP",
            Value("voice-agent"),
            "The name in Stasis(...) of the dialplan: letters, digits, - _ . and at most 73 of them",
        ),
        variable(
            "ARI_CA_FILE",
            Unset,
            "A PEM file with the CA that signed Asterisk's certificate, for https:// with a private CA",
        ),
        variable("RTP_BIND_HOST", Value("127.0.0.1"), "The IP address that media sockets are bound to"),
        variable(
            "RTP_ADVERTISE_HOST",
            Unset,
            "The host or IP address that Asterisk sends media to; default: the bind address. Needed when that is 0.0.0.0 or ::",
        ),
        variable("RTP_PORT_START", Value("30000"), "The first UDP port for media, 1 to 65535"),
        variable(
            "RTP_PORT_END",
            Value("30100"),
            "The last one. A call takes one port, which rests for two seconds after it",
        ),
        variable(
            "MAX_CALLS",
            Unset,
            "How many calls are served at once, 1 to 65535; without it as many as there are ports. A further caller goes on in the dialplan",
        ),
        variable(
            "RTP_SOURCE",
            Value("strict"),
            "Whose packets are taken: strict (only Asterisk's own address) or learn (the first sender's, for NAT)",
        ),
        variable(
            "MEDIA_FORMAT",
            Value("slin16"),
            "The audio between Asterisk and the bridge: slin16 (wideband, G.722 back), g722, ulaw or alaw",
        ),
        variable(
            "OPENAI_AUDIO_FORMAT",
            Value("auto"),
            "The audio between the bridge and the model: pcm24 (24 kHz), pcmu or pcma (G.711); auto: G.711 where MEDIA_FORMAT is that, else pcm24",
        ),
        variable(
            "OPENAI_NOISE_REDUCTION",
            Value("off"),
            "Noise reduction by the server, before it listens: off, near_field (a handset) or far_field (a room)",
        ),
        variable(
            "OPENAI_TRANSCRIPTION_MODEL",
            Unset,
            "The model that writes down what the caller says, for the record; without it nothing of it is written down",
        ),
        variable(
            "OPENAI_TRANSCRIPTION_LANGUAGE",
            Unset,
            "The caller's language for OPENAI_TRANSCRIPTION_MODEL, as ISO 639-1 (de), if it is always the same",
        ),
        variable(
            "OPENAI_MAX_OUTPUT_TOKENS",
            Unset,
            "The longest answer, 1 to 32000 tokens, or inf; without it the server decides",
        ),
        variable(
            "OPENAI_REASONING_EFFORT",
            Unset,
            "How long the model thinks: minimal, low, medium, high or xhigh. Only newer models know it",
        ),
        variable(
            "VAD_MODE",
            Value("server"),
            "How the server tells that the caller speaks: server (by sound) or semantic (by what is said; VAD_THRESHOLD, VAD_PREFIX_MS and VAD_SILENCE_MS do not count then)",
        ),
        variable(
            "VAD_THRESHOLD",
            Value("0.35"),
            "The server's voice detection, from 0 (everything is speech) to 1",
        ),
        variable(
            "VAD_PREFIX_MS",
            Value("300"),
            "How much audio before the detected start belongs to what the caller says, 0 to 5000 ms",
        ),
        variable(
            "VAD_SILENCE_MS",
            Value("500"),
            "How much silence ends what the caller says, 100 to 10000 ms",
        ),
        variable(
            "VAD_IDLE_TIMEOUT_MS",
            Unset,
            "After how much silence the server answers although nobody spoke, 5000 to 30000 ms; only with VAD_MODE=server. IDLE_SECONDS is the bridge's own way",
        ),
        variable(
            "VAD_EAGERNESS",
            Value("auto"),
            "With VAD_MODE=semantic, how soon what the caller says is taken for complete: low, medium, high or auto",
        ),
        variable(
            "VAD_INTERRUPT",
            Value("on"),
            "Whether the server stops its answer by itself when the caller speaks, or the bridge asks it to: on or off. Counts only with BARGE_IN=on",
        ),
        variable(
            "VOLUME_BOOST",
            Value("2.5"),
            "The factor by which the caller is made louder for the model, 0.1 to 20",
        ),
        variable(
            "BARGE_IN",
            Value("on"),
            "Whether a caller can interrupt the agent: on, guarded (only if the bridge too hears a voice as loud as the caller's; against echo) or off",
        ),
        variable(
            "ECHO_CANCELLER",
            Value("off"),
            "Takes the agent's echo out of what the caller's line sends: on or off. It costs several times the CPU of the rest of a call",
        ),
        variable(
            "PLAYOUT_CUSHION_MS",
            Value("40"),
            "How much of the agent's audio is awaited before it begins, 0 to 1000 ms; more if its words are torn",
        ),
        variable(
            "ANSWER_WITHIN_MS",
            Value("3000"),
            "How long a caller may ring before the call goes back into the dialplan, 500 to 60000 ms",
        ),
        variable("MAX_CALL_SECONDS", Value("3600"), "How long a call may last, 10 to 86400 s"),
        variable(
            "IDLE_SECONDS",
            Unset,
            "After how long a silence a caller is asked whether somebody is there, and after how long another one the agent says goodbye and the call ends, 5 to 3600 s; without it a caller may be silent for ever",
        ),
        variable("AGENT_HANG_UP", Value("on"), "Whether the model may end the call: on or off"),
        variable(
            "TOOL_TIMEOUT_MS",
            Value("10000"),
            "How long a function of the program around the bridge may take, 500 to 60000 ms",
        ),
        variable(
            "TRANSFER_<name>",
            Family { example: "TRANSFER_operator=internal,1001,1" },
            "A place in the dialplan where the model may send the caller, which it knows by this name: context,extension,priority; without a priority 1. At most 32 of them",
        ),
        variable(
            "DTMF_<name>",
            Family { example: "DTMF_operator=0" },
            "The key that sends the caller to the TRANSFER_ of the same name if an entry begins with it: 0 to 9, * or A to D; # ends an entry",
        ),
        variable(
            "DTMF_PAUSE_MS",
            Value("3000"),
            "After how long a pause the keys that a caller pressed are handed to the model, if no # has ended them, 500 to 20000 ms",
        ),
        variable(
            "REALTIME_RETRY_SECONDS",
            Value("20"),
            "How long a lost session is tried to be replaced by a new one that knows the conversation so far, 0 to 300 s; 0: a call ends with its session",
        ),
        variable(
            "RECONNECT_RESUME",
            Value("continue"),
            "What becomes of an answer that the loss of a session cut off: continue (the agent goes on where it was), repeat (it says it once more) or off (the caller speaks next)",
        ),
        variable(
            "HISTORY_TOKENS",
            Value("8000"),
            "How much of the conversation a new session is told, 0 to 100000 tokens, as the bridge estimates them",
        ),
        variable(
            "DEAD_AIR_MS",
            Value("5000"),
            "How long nothing may happen after the caller has spoken, 1000 to 60000 ms, or off; then comes a step of DEAD_AIR_STEPS, and another one each time that so long has passed again",
        ),
        variable(
            "DEAD_AIR_STEPS",
            Value("filler,ask,reconnect,fallback"),
            "These steps, 1 to 8 of them, of which the last is repeated: filler (the caller hears a sound), ask (the model is asked once more), reconnect (the conversation goes on in a new session) and fallback (what FALLBACK says)",
        ),
        variable(
            "FAILED_ANSWER",
            Value("prompt"),
            "What follows when an answer has failed and failed again: prompt (the caller hears PROMPT_SORRY and may speak again; after three such turns in a row the call goes where FALLBACK says) or fallback (it goes there at once)",
        ),
        variable(
            "FALLBACK",
            Value("dialplan"),
            "What becomes of a caller with whom no conversation is possible: dialplan (goes on there) or hangup",
        ),
        variable(
            "FALLBACK_CONTEXT",
            Unset,
            "With FALLBACK=dialplan the context, 1 to 79 letters, digits and _.+*#-; without it the one that the call came from",
        ),
        variable(
            "FALLBACK_EXTENSION",
            Unset,
            "The extension, of the same characters; without it s in FALLBACK_CONTEXT if that is set, else the one that the call came from",
        ),
        variable(
            "FALLBACK_PRIORITY",
            Unset,
            "The priority, 1 to 9999; without it 1 if FALLBACK_CONTEXT or FALLBACK_EXTENSION is set, else the next one",
        ),
        variable(
            "BREAKER_CALLS",
            Value("3"),
            "After how many calls in a row for which the Realtime side failed it is left in peace, and callers go on in the dialplan or are refused before they are answered, 0 to 1000; 0: never",
        ),
        variable(
            "BREAKER_SECONDS",
            Value("15"),
            "For how long, 1 to 3600 s; after that one call at a time tries it",
        ),
        variable(
            "MAX_COST_PER_DAY",
            Unset,
            "What the calls of a day (UTC) may cost, in US dollars: 25 or 2.50, at most 1000000. It is an estimate from what the server counts and from OPENAI_PRICES; when it is spent, no call is taken until the next day",
        ),
        variable(
            "OPENAI_PRICES",
            Unset,
            "What the model costs, in US dollars per million tokens, at most 3 decimals: text_in=0.60,text_cached=0.06,text_out=2.40,audio_in=10,audio_cached=0.30,audio_out=20. Without it OpenAI's list prices of November 2026 for its models (gpt-realtime-2.1-mini, 2.1, 2, 1.5 and gpt-realtime-mini); they change",
        ),
        variable(
            "PROMPT_MOMENT",
            Unset,
            "A WAV file of at most 10 s: one moment, please; without it a tone, as for the next three. See Sounds of the bridge's own",
        ),
        variable("PROMPT_SORRY", Unset, "A WAV file: it is not going well, please say it again"),
        variable("PROMPT_GOODBYE", Unset, "A WAV file: goodbye"),
        variable("PROMPT_COMFORT", Unset, "A WAV file: something is going on; heard again and again"),
        variable(
            "CALL_RECORD_DIR",
            Unset,
            "The directory for the full record of each call, with what was said; without it no such file is written",
        ),
        variable(
            "CALL_RECORD_DAYS",
            Unset,
            "For how many days they are kept, 1 to 3650; without it 30. Only with CALL_RECORD_DIR",
        ),
        variable(
            "CAPTURE",
            Value("off"),
            "Of which calls all is captured, audio too, to be replayed: off, blackbox (in memory, and written if a call ends badly or is asked for), sample:N (one of N calls) or all",
        ),
        variable(
            "CAPTURE_DIR",
            Value("captures"),
            "The folder for them, of this bridge alone; it is made if there is none",
        ),
        variable(
            "CAPTURE_MAX_MB",
            Value("1024"),
            "How large that folder may become, 1 to 100000000 MB; the oldest captures go first",
        ),
        variable("CAPTURE_MAX_DAYS", Value("7"), "For how many days captures are kept, 1 to 3650"),
        variable(
            "CAPTURE_MIN_FREE_MB",
            Value("1024"),
            "With less free disk than this no capture is written, 0 to 100000000 MB",
        ),
        variable(
            "CAPTURE_BLACKBOX_MB",
            Value("4"),
            "How much memory the black box of a call may take, 1 to 1024 MB; where it is not enough, the sound of the oldest minutes goes",
        ),
        variable(
            "ADOPT",
            Value("on"),
            "Whether callers whose call was lost, by a crash of the bridge or a lost connection to Asterisk, are taken on again: on, or off to send them on as FALLBACK says",
        ),
        variable(
            "DRAIN_SECONDS",
            Value("60"),
            "How long calls may go on after SIGTERM, 0 to 86400 seconds; then the agent says goodbye. A second SIGTERM ends them now",
        ),
        variable(
            "ADMIN_BIND",
            Value("127.0.0.1:9090"),
            "The address of /metrics, /healthz, /readyz and /captures, as IP:port",
        ),
        variable(
            "WORKER_THREADS",
            Unset,
            "How many threads serve the calls, 1 to 1024; without it as many as the machine has cores",
        ),
    ]
};

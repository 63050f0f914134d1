use super::super::{CaptureConfig, CaptureMode};
use super::*;
use crate::format::ModelFormat;
use crate::settings::{
    BargeIn, Breaker, DeadAir, DeadAirStep, Eagerness, FailedAnswer, Fallback, MaxOutputTokens,
    NoiseReduction, Place, Prices, Prompts, ReasoningEffort, Recovery, Resume, RtpSource, ServerVad,
    Transcription, TurnDetection,
};
use crate::time::Duration;
use core::num::NonZeroUsize;

fn from(set: &[(&str, &str)]) -> Result<Config, ConfigFaults> {
    let key = ("OPENAI_API_KEY", "sk-secret-1");
    Config::from_variables(core::iter::once(&key).chain(set).copied())
}

/// The one line that this setting alone brings.
fn fault(name: &str, value: &str) -> String {
    let faults = from(&[(name, value)]).expect_err(&format!("{name}={value:?} was taken"));
    assert_eq!(faults.iter().len(), 1, "{faults}");
    let line = faults.to_string();
    assert!(!line.contains('\n') && line.starts_with(name), "{line}");
    line
}

#[test]
fn a_key_is_all_that_must_be_set_and_the_rest_are_the_defaults() {
    let config = from(&[]).unwrap();
    let prices = Prices::of_model("gpt-realtime-2.1-mini");
    assert!(prices.is_some());
    assert_eq!(config.call, CallSettings { prices, ..CallSettings::default() });
    assert_eq!(config.switchboard, SwitchboardSettings::default());
    assert_eq!(config.media, MediaPlan::default());
    assert_eq!((config.ari.user.as_str(), config.ari.password.expose()), ("voiceapp", "CHANGE_ME"));
    assert_eq!((config.ari.base.authority().as_str(), config.ari.base.tls), ("localhost:8088", false));
    assert_eq!(config.realtime.model, "gpt-realtime-2.1-mini");
    assert_eq!((config.realtime.proxy, config.ari.ca_file), (None, None));
    assert_eq!((config.prompts, config.record), (PromptFiles::default(), RecordConfig::default()));
    assert_eq!(
        config.capture,
        CaptureConfig {
            mode: CaptureMode::Off,
            dir: "captures".into(),
            max_bytes: 1 << 30,
            days: 7,
            min_free_bytes: 1 << 30,
            black_box_bytes: 4 << 20
        }
    );
    assert_eq!(config.rtp, RtpConfig { bind: [127, 0, 0, 1].into(), port_start: 30_000, port_end: 30_100 });
    assert_eq!(config.admin_bind, SocketAddr::from(([127, 0, 0, 1], 9090)));
}

#[test]
fn every_setting_reaches_its_place() {
    let config = from(&[
        ("OPENAI_VOICE", "marin"),
        ("OPENAI_INSTRUCTIONS", "Be brief.\nBe kind."),
        ("OPENAI_GREETING", "Hello!"),
        ("ARI_APP", "shop.de_1"),
        ("ARI_CA_FILE", "/etc/ca.pem"),
        ("RTP_BIND_HOST", "::"),
        ("RTP_ADVERTISE_HOST", "media.example"),
        ("RTP_PORT_START", "40000"),
        ("RTP_PORT_END", "40000"),
        ("RTP_SOURCE", "learn"),
        ("MEDIA_FORMAT", "alaw"),
        ("VAD_THRESHOLD", "0.5"),
        ("VOLUME_BOOST", "1"),
        ("OPENAI_AUDIO_FORMAT", "pcmu"),
        ("PLAYOUT_CUSHION_MS", "60"),
        ("BARGE_IN", "guarded"),
        ("ECHO_CANCELLER", "on"),
        ("ANSWER_WITHIN_MS", "500"),
        ("MAX_CALL_SECONDS", "86400"),
        ("ADMIN_BIND", "[::1]:0"),
        ("MAX_CALLS", "7"),
        ("WORKER_THREADS", "3"),
        ("ADOPT", "off"),
        ("DRAIN_SECONDS", "90"),
        ("ADOPT_GREETING", "We are back."),
        ("REALTIME_DIALECT", "xai"),
        ("OPENAI_HEADERS", "X-A=b"),
        ("SAFETY_IDENTIFIER_KEY", "0123456789abcdef"),
        ("OPENAI_SPEED", "1.25"),
        ("OPENAI_NOISE_REDUCTION", "near_field"),
        ("OPENAI_TRANSCRIPTION_MODEL", "gpt-realtime-whisper"),
        ("OPENAI_TRANSCRIPTION_LANGUAGE", "de"),
        ("OPENAI_MAX_OUTPUT_TOKENS", "32000"),
        ("OPENAI_REASONING_EFFORT", "xhigh"),
        ("VAD_PREFIX_MS", "0"),
        ("VAD_SILENCE_MS", "10000"),
        ("VAD_IDLE_TIMEOUT_MS", "30000"),
        ("VAD_INTERRUPT", "off"),
        ("IDLE_SECONDS", "3600"),
        ("AGENT_HANG_UP", "off"),
        ("TOOL_TIMEOUT_MS", "500"),
        ("TRANSFER_operator", "internal,1001,2"),
        ("DTMF_operator", "0"),
        ("DTMF_PAUSE_MS", "20000"),
        ("REALTIME_RETRY_SECONDS", "300"),
        ("RECONNECT_RESUME", "repeat"),
        ("HISTORY_TOKENS", "100000"),
        ("DEAD_AIR_MS", "60000"),
        ("DEAD_AIR_STEPS", "ask,fallback"),
        ("FAILED_ANSWER", "fallback"),
        ("FALLBACK", "dialplan"),
        ("FALLBACK_CONTEXT", "agent-fallback"),
        ("FALLBACK_EXTENSION", "s"),
        ("FALLBACK_PRIORITY", "2"),
        ("BREAKER_CALLS", "1000"),
        ("BREAKER_SECONDS", "3600"),
        ("MAX_COST_PER_DAY", "2.50"),
        ("OPENAI_PRICES", "text_in=1,text_cached=2,text_out=3,audio_in=4,audio_cached=5,audio_out=6"),
        ("PROMPT_MOMENT", "moment.wav"),
        ("PROMPT_SORRY", "sorry.wav"),
        ("PROMPT_GOODBYE", "goodbye.wav"),
        ("PROMPT_COMFORT", "comfort.wav"),
        ("CALL_RECORD_DIR", "/var/lib/records"),
        ("CALL_RECORD_DAYS", "3650"),
        ("CAPTURE", "sample:3"),
        ("CAPTURE_DIR", "/var/lib/captures"),
        ("CAPTURE_MAX_MB", "2"),
        ("CAPTURE_MAX_DAYS", "3"),
        ("CAPTURE_MIN_FREE_MB", "0"),
        ("CAPTURE_BLACKBOX_MB", "1"),
    ])
    .unwrap();
    every_setting_of_recovery_reaches_its_place(&config);
    assert_eq!(
        config.capture,
        CaptureConfig {
            mode: CaptureMode::from_name("sample:3").unwrap(),
            dir: "/var/lib/captures".into(),
            max_bytes: 2 << 20,
            days: 3,
            min_free_bytes: 0,
            black_box_bytes: 1 << 20
        }
    );
    let CallSettings {
        ari_app,
        advertise_host,
        rtp_source,
        volume_boost,
        cushion,
        barge_in,
        echo_canceller,
        answer_within,
        max_call,
        idle,
        hang_up,
        transfers,
        tool_timeout,
        keys,
        session,
        // Looked at above.
        recovery: _,
        dead_air: _,
        failed_answer: _,
        fallback: _,
        prompts: _,
        prices: _,
    } = config.call;
    assert_eq!((ari_app.as_str(), advertise_host.as_deref()), ("shop.de_1", Some("media.example")));
    assert_eq!((rtp_source, volume_boost), (RtpSource::Learn, 1.0));
    assert_eq!((cushion, barge_in), (Duration::from_millis(60), BargeIn::Guarded));
    assert!(echo_canceller);
    assert_eq!(session.audio_format, ModelFormat::Pcmu);
    assert_eq!((answer_within, max_call), (Duration::from_millis(500), Duration::from_secs(86_400)));
    assert_eq!(session.voice, "marin");
    let vad = ServerVad {
        threshold: 0.5,
        prefix_padding_ms: 0,
        silence_duration_ms: 10_000,
        idle_timeout_ms: Some(30_000),
    };
    assert_eq!(session.turn_detection, TurnDetection::Server(vad));
    assert_eq!(session.instructions.as_deref(), Some("Be brief.\nBe kind."));
    assert_eq!(session.greeting.as_deref(), Some("Hello!"));
    assert_eq!(session.dialect, Dialect::Xai);
    assert_eq!((session.speed, session.interrupt_response), (Some(1.25), false));
    assert_eq!(session.noise_reduction, Some(NoiseReduction::NearField));
    let (model, language) = ("gpt-realtime-whisper".to_owned(), Some("de".to_owned()));
    assert_eq!(session.transcription, Some(Transcription { model, language, prompt: None }));
    assert_eq!(session.max_output_tokens, Some(MaxOutputTokens::Tokens(32_000)));
    assert_eq!(session.reasoning_effort, Some(ReasoningEffort::ExtraHigh));
    assert_eq!((idle, hang_up), (Some(Duration::from_secs(3600)), false));
    assert_eq!(tool_timeout, Duration::from_millis(500));
    assert_eq!((transfers.len(), transfers.first().unwrap().priority), (1, 2));
    assert_eq!((keys.pause, keys.hot), (Duration::from_millis(20_000), vec![('0', 0)]));
    assert_eq!(config.realtime.headers.len(), 1);
    assert_eq!(config.safety_key.unwrap().expose(), "0123456789abcdef");
    assert_eq!((config.switchboard.ports, config.switchboard.ari_app.as_str()), (1, "shop.de_1"));
    assert_eq!(
        (config.media.format, config.ari.ca_file.as_deref()),
        (MediaFormat::Alaw, Some("/etc/ca.pem"))
    );
    assert_eq!(config.admin_bind.to_string(), "[::1]:0");
    assert_eq!(config.worker_threads, NonZeroUsize::new(3));
}

fn every_setting_of_recovery_reaches_its_place(config: &Config) {
    let Config { call, switchboard, prompts, record, .. } = config;
    let recovery =
        Recovery { retry_for: Duration::from_secs(300), resume: Resume::Repeat, history_tokens: 100_000 };
    assert_eq!(call.recovery, recovery);
    let steps = vec![DeadAirStep::Ask, DeadAirStep::Fallback];
    assert_eq!(call.dead_air, DeadAir { after: Some(Duration::from_secs(60)), steps });
    assert_eq!(call.failed_answer, FailedAnswer::Fallback);
    let place =
        Place { context: Some("agent-fallback".into()), extension: Some("s".into()), priority: Some(2) };
    assert_eq!(call.fallback, Fallback::Dialplan(place));
    let prices = Prices {
        text_in: 1_000,
        text_cached: 2_000,
        text_out: 3_000,
        audio_in: 4_000,
        audio_cached: 5_000,
        audio_out: 6_000,
    };
    assert_eq!((call.prices, &*call.prompts), (Some(prices), &Prompts::default()));
    let SwitchboardSettings {
        ari_app: _,
        max_calls,
        ports: _,
        adopt,
        drain,
        fallback,
        breaker,
        max_cost_per_day,
    } = switchboard;
    assert_eq!((*max_calls, *adopt, *drain), (Some(7), false, Duration::from_secs(90)));
    assert_eq!(fallback, &call.fallback);
    assert_eq!(*breaker, Some(Breaker { calls: 1000, wait: Duration::from_secs(3600) }));
    assert_eq!(*max_cost_per_day, Some(2_500_000_000));
    assert!(prompts.iter().all(|(prompt, path)| path == format!("{}.wav", prompt.name())));
    assert_eq!(prompts.iter().count(), 4);
    assert_eq!(*record, RecordConfig { dir: Some("/var/lib/records".into()), days: 3650 });
}

#[test]
fn a_record_that_is_not_written_is_not_kept_either() {
    let line = fault("CALL_RECORD_DAYS", "7");
    assert_eq!(line, "CALL_RECORD_DAYS: it counts only with CALL_RECORD_DIR, which is not set");
    let dir = ("CALL_RECORD_DIR", "records");
    assert_eq!(from(&[dir]).unwrap().record, RecordConfig { dir: Some("records".into()), days: 30 });
    for bad in ["0", "3651", "ever"] {
        assert_eq!(from(&[dir, ("CALL_RECORD_DAYS", bad)]).unwrap_err().iter().len(), 1, "{bad}");
    }
}

#[test]
fn the_model_speaks_the_lines_own_g711_unless_told_otherwise() {
    for (media, chosen, format) in [
        ("slin16", "auto", ModelFormat::Pcm24),
        ("g722", "auto", ModelFormat::Pcm24),
        ("ulaw", "auto", ModelFormat::Pcmu),
        ("alaw", "auto", ModelFormat::Pcma),
        ("ulaw", "pcm24", ModelFormat::Pcm24),
        ("slin16", "pcma", ModelFormat::Pcma),
    ] {
        let config = from(&[("MEDIA_FORMAT", media), ("OPENAI_AUDIO_FORMAT", chosen)]).unwrap();
        assert_eq!(config.call.session.audio_format, format, "{media}, {chosen}");
    }
}

#[test]
fn a_server_without_g711_is_never_asked_for_it() {
    let qwen = ("REALTIME_DIALECT", "qwen");
    for media in ["slin16", "ulaw", "alaw"] {
        let config = from(&[qwen, ("MEDIA_FORMAT", media)]).unwrap();
        assert_eq!(config.call.session.audio_format, ModelFormat::Pcm24, "{media}");
    }
    assert!(from(&[qwen, ("OPENAI_AUDIO_FORMAT", "pcm24")]).is_ok());
    for format in ["pcmu", "pcma"] {
        let line = from(&[qwen, ("OPENAI_AUDIO_FORMAT", format)]).unwrap_err().to_string();
        assert_eq!(
            line,
            format!(
                "OPENAI_AUDIO_FORMAT: \"{format}\" cannot be; it must be auto or pcm24 with REALTIME_DIALECT=qwen, which does not know G.711"
            )
        );
    }
}

#[test]
fn turns_are_told_by_what_is_said_if_the_operator_wants_it() {
    let semantic = ("VAD_MODE", "semantic");
    let detection = |set: &[(&str, &str)]| from(set).unwrap().call.session.turn_detection;
    assert_eq!(detection(&[semantic]), TurnDetection::Semantic { eagerness: Eagerness::Auto });
    let low = [semantic, ("VAD_EAGERNESS", "low")];
    assert_eq!(detection(&low), TurnDetection::Semantic { eagerness: Eagerness::Low });
    let line = from(&[semantic, ("VAD_IDLE_TIMEOUT_MS", "6000")]).unwrap_err().to_string();
    assert!(
        line.starts_with("VAD_IDLE_TIMEOUT_MS: \"6000\" cannot be") && line.contains("VAD_MODE=semantic"),
        "{line}"
    );
}

#[test]
fn a_language_without_a_model_to_write_it_down_is_refused() {
    let line = fault("OPENAI_TRANSCRIPTION_LANGUAGE", "de");
    assert!(line.contains("OPENAI_TRANSCRIPTION_MODEL"), "{line}");
    let session = from(&[("OPENAI_TRANSCRIPTION_MODEL", "m")]).unwrap().call.session;
    assert_eq!(session.transcription.unwrap().language, None);
    for bad in ["DE", "d", "german", "de-DE"] {
        let set = [("OPENAI_TRANSCRIPTION_MODEL", "m"), ("OPENAI_TRANSCRIPTION_LANGUAGE", bad)];
        assert!(from(&set).is_err(), "{bad}");
    }
}

#[test]
fn the_key_of_the_hash_is_the_operator_s_own() {
    let same = "0123456789abcdef";
    let faults = from(&[("OPENAI_API_KEY", same), ("SAFETY_IDENTIFIER_KEY", same)]).unwrap_err();
    let line = faults.to_string();
    assert!(line.starts_with("SAFETY_IDENTIFIER_KEY: it must not be OPENAI_API_KEY"), "{line}");
    assert!(!line.contains(same));
    let header = ("OPENAI_HEADERS", "openai-safety-identifier=me");
    assert!(from(&[header]).is_ok());
    let line = from(&[header, ("SAFETY_IDENTIFIER_KEY", same)]).unwrap_err().to_string();
    assert!(line.starts_with("OPENAI_HEADERS: it must not name OpenAI-Safety-Identifier"), "{line}");
}

#[test]
fn an_empty_value_counts_as_unset_and_spaces_around_one_do_not_count() {
    let config =
        from(&[("ARI_APP", ""), ("MEDIA_FORMAT", "  "), ("HTTPS_PROXY", ""), ("OPENAI_MODEL", " m\n")]);
    let config = config.unwrap();
    assert_eq!((config.ari.app.as_str(), config.media.format), ("voice-agent", MediaFormat::Slin16));
    assert_eq!((config.realtime.proxy, config.realtime.model.as_str()), (None, "m"));
    assert!(fault("OPENAI_API_KEY", " ").contains("not set"));
}

#[test]
fn a_value_that_cannot_be_is_named_with_what_is_allowed() {
    assert_eq!(
        fault("MEDIA_FORMAT", "opus"),
        "MEDIA_FORMAT: \"opus\" cannot be; it must be slin16, g722, ulaw or alaw"
    );
    assert_eq!(
        fault("ANSWER_WITHIN_MS", "499"),
        "ANSWER_WITHIN_MS: \"499\" cannot be; it must be a whole number from 500 to 60000 milliseconds"
    );
    assert_eq!(
        fault("VAD_THRESHOLD", "NaN"),
        "VAD_THRESHOLD: \"NaN\" cannot be; it must be a number from 0 to 1"
    );
    assert_eq!(
        fault("ARI_URL", "ws://pbx:8088"),
        "ARI_URL: \"ws://pbx:8088\" cannot be, because its scheme is another; it must be http:// or https:// and host[:port]"
    );
}

#[test]
fn the_bounds_of_every_setting_hold() {
    for (name, bad) in [
        ("ARI_URL", "http://pbx?x=1"),
        ("ARI_URL", "http://u:p@pbx"),
        ("ARI_USER", "a:b"),
        ("ARI_PASSWORD", "a\tb"),
        ("ARI_APP", "a,b"),
        ("ARI_APP", "a b"),
        ("ARI_APP", "ä"),
        ("ARI_APP", &"x".repeat(74)),
        ("OPENAI_API_KEY", "sk 1"),
        ("OPENAI_MODEL", "a b"),
        ("OPENAI_VOICE", "a b"),
        ("OPENAI_REALTIME_URL", "https://api.openai.com"),
        ("OPENAI_REALTIME_URL", "wss://key@api.openai.com"),
        ("HTTPS_PROXY", "proxy:3128"),
        ("HTTPS_PROXY", "https://proxy:3128"),
        ("HTTPS_PROXY", "http://u:%0d%0a@proxy:3128"),
        ("RTP_BIND_HOST", "localhost"),
        ("RTP_ADVERTISE_HOST", "media.example:4000"),
        ("RTP_ADVERTISE_HOST", "a b"),
        ("RTP_ADVERTISE_HOST", "0.0.0.0"),
        ("RTP_PORT_START", "0"),
        ("RTP_PORT_END", "65536"),
        ("RTP_SOURCE", "any"),
        ("VAD_THRESHOLD", "1.01"),
        ("VAD_THRESHOLD", "-0.1"),
        ("VOLUME_BOOST", "0"),
        ("OPENAI_AUDIO_FORMAT", "g711"),
        ("PLAYOUT_CUSHION_MS", "1001"),
        ("BARGE_IN", "yes"),
        ("ECHO_CANCELLER", "guarded"),
        ("VOLUME_BOOST", "inf"),
        ("ANSWER_WITHIN_MS", "60001"),
        ("ANSWER_WITHIN_MS", "3s"),
        ("MAX_CALL_SECONDS", "9"),
        ("MAX_CALL_SECONDS", "99999999999999999999999"),
        ("ADMIN_BIND", "localhost:9090"),
        ("ADMIN_BIND", "9090"),
        ("REALTIME_DIALECT", "OpenAI"),
        ("OPENAI_HEADERS", "X"),
        ("OPENAI_HEADERS", "Host=a"),
        ("OPENAI_HEADERS", "OpenAI-Beta=realtime=v1"),
        ("SAFETY_IDENTIFIER_KEY", "0123456789abcde"),
        ("SAFETY_IDENTIFIER_KEY", "01234567\u{7}89abcdef"),
        ("OPENAI_SPEED", "0.24"),
        ("OPENAI_SPEED", "1.51"),
        ("OPENAI_SPEED", "NaN"),
        ("OPENAI_NOISE_REDUCTION", "on"),
        ("OPENAI_TRANSCRIPTION_MODEL", "a b"),
        ("OPENAI_MAX_OUTPUT_TOKENS", "0"),
        ("OPENAI_MAX_OUTPUT_TOKENS", "32001"),
        ("OPENAI_MAX_OUTPUT_TOKENS", "infinite"),
        ("OPENAI_REASONING_EFFORT", "none"),
        ("VAD_MODE", "off"),
        ("VAD_PREFIX_MS", "5001"),
        ("VAD_SILENCE_MS", "99"),
        ("VAD_SILENCE_MS", "10001"),
        ("VAD_IDLE_TIMEOUT_MS", "4999"),
        ("VAD_IDLE_TIMEOUT_MS", "30001"),
        ("VAD_EAGERNESS", "eager"),
        ("VAD_INTERRUPT", "yes"),
        ("IDLE_SECONDS", "4"),
        ("IDLE_SECONDS", "3601"),
        ("AGENT_HANG_UP", "yes"),
        ("TOOL_TIMEOUT_MS", "499"),
        ("TOOL_TIMEOUT_MS", "60001"),
        ("DTMF_PAUSE_MS", "499"),
        ("DTMF_PAUSE_MS", "20001"),
        ("REALTIME_RETRY_SECONDS", "301"),
        ("RECONNECT_RESUME", "on"),
        ("HISTORY_TOKENS", "100001"),
        ("DEAD_AIR_MS", "999"),
        ("DEAD_AIR_MS", "60001"),
        ("DEAD_AIR_STEPS", "filler,wait"),
        ("FAILED_ANSWER", "hangup"),
        ("FALLBACK", "on"),
        ("FALLBACK_CONTEXT", "a/b"),
        ("FALLBACK_EXTENSION", "a b"),
        ("FALLBACK_PRIORITY", "10000"),
        ("BREAKER_CALLS", "1001"),
        ("BREAKER_SECONDS", "0"),
        ("BREAKER_SECONDS", "3601"),
        ("MAX_COST_PER_DAY", "0"),
        ("OPENAI_PRICES", "text_in=1"),
        ("PROMPT_MOMENT", "a\tb"),
        ("CALL_RECORD_DIR", "a\u{7}b"),
        ("CALL_RECORD_DAYS", "0"),
        ("CAPTURE", "sample:0"),
        ("CAPTURE_DIR", "a\u{7}b"),
        ("CAPTURE_MAX_MB", "0"),
        ("CAPTURE_MAX_DAYS", "3651"),
        ("CAPTURE_MIN_FREE_MB", "-1"),
        ("CAPTURE_BLACKBOX_MB", "1025"),
        ("TRANSFER_a", "internal"),
        ("TRANSFER_a", "internal,1001,10000"),
        ("DTMF_a", "1"),
    ] {
        let _ = fault(name, bad);
    }
    assert!(from(&[("ARI_APP", &"x".repeat(73))]).is_ok());
    assert!(from(&[("RTP_ADVERTISE_HOST", "2001:db8::1")]).is_ok());
}

#[test]
fn a_wildcard_bind_needs_an_advertised_host() {
    for bind in ["0.0.0.0", "::"] {
        let line = from(&[("RTP_BIND_HOST", bind)]).unwrap_err().to_string();
        assert!(line.starts_with("RTP_ADVERTISE_HOST: it must be set when RTP_BIND_HOST"), "{line}");
    }
}

#[test]
fn a_port_range_that_ends_before_it_begins_is_refused() {
    let faults = from(&[("RTP_PORT_START", "30200")]).unwrap_err();
    assert_eq!(faults.to_string(), "RTP_PORT_END: 30100 lies below RTP_PORT_START, which is 30200");
}

#[test]
fn all_faults_come_at_once_one_line_each() {
    let faults = from(&[
        ("OPENAI_API_KEY", ""),
        ("ARI_URL", "pbx"),
        ("ARI_APP", "a b"),
        ("RTP_BIND_HOST", "x"),
        ("RTP_PORT_END", "x"),
        ("MEDIA_FORMAT", "x"),
        ("VAD_THRESHOLD", "x"),
        ("ADMIN_BIND", "x"),
    ])
    .unwrap_err();
    let named: Vec<_> = faults.iter().map(|fault| fault.variable.as_str()).collect();
    assert_eq!(faults.to_string().lines().count(), 8);
    for name in [
        "OPENAI_API_KEY",
        "ARI_URL",
        "ARI_APP",
        "RTP_BIND_HOST",
        "RTP_PORT_END",
        "MEDIA_FORMAT",
        "ADMIN_BIND",
    ] {
        assert!(named.contains(&name), "{name} not in {faults}");
    }
}

#[test]
fn a_fault_never_repeats_a_secret() {
    for (name, bad) in [
        ("OPENAI_API_KEY", "hid den"),
        ("ARI_PASSWORD", "hid\u{7}den"),
        ("ARI_URL", "http://user:hidden@pbx"),
        ("ARI_URL", "htp://user:hidden@pbx"),
        ("ARI_URL", "user:hidden@pbx:8088"),
        ("OPENAI_REALTIME_URL", "wss://hidden@api.openai.com"),
        ("OPENAI_REALTIME_URL", "https://a.b/?api-key=hidden"),
        ("HTTPS_PROXY", "socks5://u:hidden@proxy:1"),
        ("HTTPS_PROXY", "u:hid@den@proxy"),
        ("HTTPS_PROXY", "http://u:hid%zzden@proxy:3128"),
        ("OPENAI_HEADERS", "hidden"),
        ("OPENAI_HEADERS", "X-Key=hid\u{7}den"),
        ("OPENAI_HEADERS", "Host=hidden"),
        ("SAFETY_IDENTIFIER_KEY", "hidden"),
    ] {
        let line = fault(name, bad);
        assert!(!line.contains("hid") && !line.contains("den@"), "{line}");
    }
}

#[test]
fn a_long_or_multi_line_value_stays_one_short_line() {
    let line = fault("RTP_SOURCE", &format!("a\nb{}", "x".repeat(10_000)));
    assert!(line.len() < 300, "{line}");
}

//! Which variables there are, and what is allowed in each.

use super::reader::{ConfigFaults, Reader, is_plain};
use super::secret::Secret;
use super::url::{Endpoint, Schemes, Url, is_host_name, percent_decode};
use super::{AriConfig, Config, ProxyConfig, RealtimeConfig, RtpConfig};
use crate::format::{MediaFormat, ModelFormat};
use crate::settings::{
    BargeIn, CallSettings, MediaPlan, RtpSource, ServerVad, SessionSettings, SwitchboardSettings, Transport,
    TurnDetection,
};
use crate::time::Duration;
use core::net::{IpAddr, SocketAddr};

/// The longest application name, in bytes: Asterisk makes a dialplan context `stasis-<app>` of it, and the
/// name of a context has room for 80.
const MAX_APP_BYTES: usize = 80 - "stasis-".len();

/// Reads everything.
pub(super) fn config(lookup: &dyn Fn(&str) -> Option<String>) -> Result<Config, ConfigFaults> {
    let mut reader = Reader::new(lookup);
    // Each part is read whatever becomes of the others, so that all faults are found.
    let (ari, realtime) = (ari(&mut reader), realtime(&mut reader));
    let (rtp, media) = (rtp(&mut reader), media(&mut reader));
    let (call, admin_bind) = (call(&mut reader, media), admin_bind(&mut reader));
    match (ari, realtime, rtp, media, call, admin_bind) {
        (
            Some(ari),
            Some(realtime),
            Some((rtp, advertise_host)),
            Some(media),
            Some(call),
            Some(admin_bind),
        ) if reader.is_clean() => Ok(Config {
            call: CallSettings { ari_app: ari.app.clone(), advertise_host, ..call },
            switchboard: SwitchboardSettings { ari_app: ari.app.clone(), max_calls: rtp.ports() },
            media,
            ari,
            realtime,
            rtp,
            admin_bind,
        }),
        _ => Err(reader.into_faults()),
    }
}

fn ari(reader: &mut Reader<'_>) -> Option<AriConfig> {
    let base = reader.url("ARI_URL", Schemes { plain: "http", tls: Some("https") }).and_then(|url| {
        if url.userinfo.is_some() {
            return reader.fault(
                "ARI_URL",
                "user and password belong into ARI_USER and ARI_PASSWORD, not into the URL",
            );
        }
        if url.endpoint.query.is_some() {
            return reader.fault("ARI_URL", "it must not have a query");
        }
        // People write the URL with and without the /ari that every path has.
        let path = url.endpoint.path.trim_end_matches('/');
        let path = path.strip_suffix("/ari").unwrap_or(path).to_owned();
        Some(Endpoint { path, ..url.endpoint })
    });
    let user = reader.parse("ARI_USER", "a name without a colon", |text| {
        (is_plain(text) && !text.contains(':')).then(|| text.to_owned())
    });
    let password = reader.secret("ARI_PASSWORD", "text without control characters", is_plain);
    let app = reader.parse("ARI_APP", "1 to 73 letters, digits, '-', '_' or '.'", |text| {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        (text.len() <= MAX_APP_BYTES && text.bytes().all(allowed)).then(|| text.to_owned())
    });
    let ca_file = reader.optional("ARI_CA_FILE");
    Some(AriConfig { base: base?, user: user?, password: password?, ca_file, app: app? })
}

fn realtime(reader: &mut Reader<'_>) -> Option<RealtimeConfig> {
    // The key is sent in a header: no space, no line end, nothing but visible ASCII (RFC 9110 §5.5).
    let visible = |text: &str| text.bytes().all(|b| b.is_ascii_graphic());
    let api_key = reader.secret("OPENAI_API_KEY", "visible ASCII characters without spaces", visible);
    let model = reader.parse("OPENAI_MODEL", "the name of a model, without spaces", |text| {
        visible(text).then(|| text.to_owned())
    });
    let url = reader.url("OPENAI_REALTIME_URL", Schemes { plain: "ws", tls: Some("wss") }).and_then(|url| {
        if url.userinfo.is_some() {
            return reader
                .fault("OPENAI_REALTIME_URL", "the key belongs into OPENAI_API_KEY, not into the URL");
        }
        Some(url.endpoint)
    });
    let proxy = proxy(reader);
    let (url, proxy) = (url?, proxy?);
    let proxy = proxy.filter(|_| url.tls && !url.is_loopback());
    Some(RealtimeConfig { url, model: model?, api_key: api_key?, proxy })
}

/// `None` is a fault, `Some(None)` no proxy.
fn proxy(reader: &mut Reader<'_>) -> Option<Option<ProxyConfig>> {
    const NAME: &str = "HTTPS_PROXY";
    if reader.value(NAME).is_none() {
        return Some(None);
    }
    let Url { endpoint, userinfo } = reader.url(NAME, Schemes { plain: "http", tls: None })?;
    let credentials = match userinfo.map(|userinfo| percent_decode(userinfo.expose())) {
        None => None,
        Some(Some(plain)) if is_plain(&plain) => Some(Secret::new(plain)),
        Some(_) => return reader.fault(NAME, "its user or password is not percent-encoded text"),
    };
    Some(Some(ProxyConfig { host: endpoint.host, port: endpoint.port, credentials }))
}

/// Where to bind, and what Asterisk is told instead.
fn rtp(reader: &mut Reader<'_>) -> Option<(RtpConfig, Option<String>)> {
    let bind = reader.parse("RTP_BIND_HOST", "an IP address", |text| text.parse::<IpAddr>().ok());
    let advertise = match reader.value("RTP_ADVERTISE_HOST") {
        None => Some(None),
        Some(_) => reader
            .parse("RTP_ADVERTISE_HOST", "a host name or an IP address, without a port", |text| match text
                .parse::<IpAddr>(
            ) {
                Ok(ip) => (!ip.is_unspecified()).then(|| ip.to_string()),
                Err(_) => is_host_name(text).then(|| text.to_owned()),
            })
            .map(Some),
    };
    if bind.is_some_and(|ip| ip.is_unspecified()) && advertise == Some(None) {
        reader.fault::<()>(
            "RTP_ADVERTISE_HOST",
            "it must be set when RTP_BIND_HOST is 0.0.0.0 or ::, because Asterisk cannot send to those",
        );
    }
    let port_start = reader.number("RTP_PORT_START", 1..=u64::from(u16::MAX), "");
    let port_end = reader.number("RTP_PORT_END", 1..=u64::from(u16::MAX), "");
    let (start, end) = (port_start?, port_end?);
    if start > end {
        return reader.fault("RTP_PORT_END", &format!("{end} lies below RTP_PORT_START, which is {start}"));
    }
    let (port_start, port_end) = (u16::try_from(start).ok()?, u16::try_from(end).ok()?);
    Some((RtpConfig { bind: bind?, port_start, port_end }, advertise?))
}

fn media(reader: &mut Reader<'_>) -> Option<MediaPlan> {
    let format = reader.parse("MEDIA_FORMAT", "slin16, g722, ulaw or alaw", MediaFormat::from_name)?;
    Some(MediaPlan { transport: Transport::Rtp, format })
}

/// The format of the audio to and from the model. `auto` spares the work where the line's own format is one
/// that the model speaks.
fn audio_format(reader: &mut Reader<'_>, media: Option<MediaPlan>) -> Option<ModelFormat> {
    let named = |name: &str| ModelFormat::ALL.into_iter().find(|format| format.name() == name);
    let chosen = reader.parse("OPENAI_AUDIO_FORMAT", "auto, pcm24, pcmu or pcma", |text| match text {
        "auto" => Some(None),
        name => named(name).map(Some),
    })?;
    Some(match (chosen, media?.format) {
        (Some(format), _) => format,
        (None, MediaFormat::Ulaw) => ModelFormat::Pcmu,
        (None, MediaFormat::Alaw) => ModelFormat::Pcma,
        (None, MediaFormat::Slin16 | MediaFormat::G722) => ModelFormat::Pcm24,
    })
}

/// The settings of a call but for those that other parts decide: application name and advertised host.
fn call(reader: &mut Reader<'_>, media: Option<MediaPlan>) -> Option<CallSettings> {
    let audio_format = audio_format(reader, media);
    let rtp_source = reader.parse("RTP_SOURCE", "strict or learn", |text| match text {
        "strict" => Some(RtpSource::Strict),
        "learn" => Some(RtpSource::Learn),
        _ => None,
    });
    let voice = reader.parse("OPENAI_VOICE", "the name of a voice", |text| {
        text.bytes().all(|b| b.is_ascii_graphic()).then(|| text.to_owned())
    });
    let threshold = reader.fraction("VAD_THRESHOLD", 0.0..=1.0);
    let volume_boost = reader.fraction("VOLUME_BOOST", 0.1..=20.0);
    let cushion = reader.number("PLAYOUT_CUSHION_MS", 0..=1000, " milliseconds");
    let barge_in = reader.parse("BARGE_IN", "on, guarded or off", |text| {
        BargeIn::ALL.into_iter().find(|barge_in| barge_in.name() == text)
    });
    let echo_canceller = reader.parse("ECHO_CANCELLER", "on or off", |text| match text {
        "on" => Some(true),
        "off" => Some(false),
        _ => None,
    });
    let answer_within = reader.number("ANSWER_WITHIN_MS", 500..=60_000, " milliseconds");
    let max_call = reader.number("MAX_CALL_SECONDS", 10..=86_400, " seconds");
    let session = SessionSettings {
        audio_format: audio_format?,
        voice: voice?,
        instructions: reader.optional("OPENAI_INSTRUCTIONS"),
        greeting: reader.optional("OPENAI_GREETING"),
        turn_detection: TurnDetection::Server(ServerVad { threshold: threshold?, ..ServerVad::default() }),
        ..SessionSettings::default()
    };
    Some(CallSettings {
        rtp_source: rtp_source?,
        volume_boost: volume_boost?,
        cushion: Duration::from_millis(cushion?),
        barge_in: barge_in?,
        echo_canceller: echo_canceller?,
        answer_within: Duration::from_millis(answer_within?),
        max_call: Duration::from_secs(max_call?),
        session,
        ..CallSettings::default()
    })
}

fn admin_bind(reader: &mut Reader<'_>) -> Option<SocketAddr> {
    reader.parse("ADMIN_BIND", "an IP address and a port, like 127.0.0.1:9090", |text| text.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(set: &[(&str, &str)]) -> Result<Config, ConfigFaults> {
        let lookup = |name: &str| {
            let found = set.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
            found.or_else(|| (name == "OPENAI_API_KEY").then(|| "sk-secret-1".to_owned()))
        };
        Config::from_lookup(lookup)
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
        assert_eq!(config.call, CallSettings::default());
        assert_eq!(config.switchboard, SwitchboardSettings::default());
        assert_eq!(config.media, MediaPlan::default());
        assert_eq!((config.ari.user.as_str(), config.ari.password.expose()), ("voiceapp", "CHANGE_ME"));
        assert_eq!((config.ari.base.authority().as_str(), config.ari.base.tls), ("localhost:8088", false));
        assert_eq!(config.realtime.model, "gpt-realtime-2.1-mini");
        assert_eq!((config.realtime.proxy, config.ari.ca_file), (None, None));
        assert_eq!(
            config.rtp,
            RtpConfig { bind: [127, 0, 0, 1].into(), port_start: 30_000, port_end: 30_100 }
        );
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
        ])
        .unwrap();
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
            session,
            ..
        } = config.call;
        assert_eq!((ari_app.as_str(), advertise_host.as_deref()), ("shop.de_1", Some("media.example")));
        assert_eq!((rtp_source, volume_boost), (RtpSource::Learn, 1.0));
        assert_eq!((cushion, barge_in), (Duration::from_millis(60), BargeIn::Guarded));
        assert!(echo_canceller);
        assert_eq!(session.audio_format, ModelFormat::Pcmu);
        assert_eq!((answer_within, max_call), (Duration::from_millis(500), Duration::from_secs(86_400)));
        assert_eq!(session.voice, "marin");
        let vad = ServerVad { threshold: 0.5, ..ServerVad::default() };
        assert_eq!(session.turn_detection, TurnDetection::Server(vad));
        assert_eq!(session.instructions.as_deref(), Some("Be brief.\nBe kind."));
        assert_eq!(session.greeting.as_deref(), Some("Hello!"));
        assert_eq!((config.switchboard.max_calls, config.switchboard.ari_app.as_str()), (1, "shop.de_1"));
        assert_eq!(
            (config.media.format, config.ari.ca_file.as_deref()),
            (MediaFormat::Alaw, Some("/etc/ca.pem"))
        );
        assert_eq!(config.admin_bind.to_string(), "[::1]:0");
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
        let named: Vec<_> = faults.iter().map(|fault| fault.variable).collect();
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
}

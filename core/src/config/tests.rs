use super::*;

fn with(set: &[(&str, &str)]) -> Config {
    let key = ("OPENAI_API_KEY", "sk-secret-1");
    Config::from_variables(core::iter::once(&key).chain(set).copied())
        .unwrap_or_else(|faults| panic!("{faults}"))
}

#[test]
fn ari_is_addressed_as_asterisk_serves_it() {
    let ari = with(&[("ARI_PASSWORD", "pässword")]).ari;
    assert_eq!(ari.rest_url("/channels/1?x=y"), "http://localhost:8088/ari/channels/1?x=y");
    assert_eq!(ari.events_url(), "ws://localhost:8088/ari/events?app=voice-agent");
    // base64 of "voiceapp:pässword" in UTF-8, made with coreutils.
    assert_eq!(ari.authorization().expose(), "Basic dm9pY2VhcHA6cMOkc3N3b3Jk");
}

#[test]
fn the_prefix_of_http_conf_stands_before_ari_however_it_is_written() {
    for url in [
        "https://pbx/asterisk",
        "https://pbx/asterisk/",
        "https://pbx/asterisk/ari",
        "https://pbx/asterisk/ari/",
    ] {
        let ari = with(&[("ARI_URL", url)]).ari;
        assert_eq!(ari.events_target(), "/asterisk/ari/events?app=voice-agent", "{url}");
        assert_eq!(ari.rest_url("/bridges"), "https://pbx:443/asterisk/ari/bridges", "{url}");
    }
}

#[test]
fn the_model_goes_into_the_query() {
    let target = |url: &str, model: &str| {
        with(&[("OPENAI_REALTIME_URL", url), ("OPENAI_MODEL", model)]).realtime.request_target()
    };
    assert_eq!(
        with(&[]).realtime.request_url(),
        "wss://api.openai.com:443/v1/realtime?model=gpt-realtime-2.1-mini"
    );
    assert_eq!(target("ws://127.0.0.1:9000", "my/model"), "/?model=my%2Fmodel");
    assert_eq!(target("wss://a.b/rt?api-version=1", "m"), "/rt?api-version=1&model=m");
    assert_eq!(target("wss://a.b/rt?model=other&x=1", "m"), "/rt?model=other&x=1");
}

fn headers(set: &[(&str, &str)]) -> Vec<String> {
    let config = with(set);
    let headers = config.realtime.request_headers(config.call.session.dialect);
    headers.iter().map(|(name, value)| format!("{name}: {}", value.expose())).collect()
}

#[test]
fn the_key_is_a_bearer_token_but_for_azure() {
    assert_eq!(headers(&[]), ["Authorization: Bearer sk-secret-1"]);
    for dialect in Dialect::ALL {
        let told = headers(&[("REALTIME_DIALECT", dialect.name()), ("OPENAI_HEADERS", "X-A=b,X-C=%20")]);
        let key = if dialect == Dialect::Azure {
            "api-key: sk-secret-1"
        } else {
            "Authorization: Bearer sk-secret-1"
        };
        assert_eq!(told, [key, "X-A: b", "X-C:  "], "{dialect:?}");
    }
}

#[test]
fn a_header_for_the_key_takes_the_place_of_the_usual_one() {
    assert_eq!(
        headers(&[("OPENAI_HEADERS", "X=1,authorization=Token t")]),
        ["X: 1", "authorization: Token t"]
    );
    let azure = ("REALTIME_DIALECT", "azure");
    assert_eq!(headers(&[azure, ("OPENAI_HEADERS", "API-Key=k")]), ["API-Key: k"]);
    assert_eq!(
        headers(&[azure, ("OPENAI_HEADERS", "Authorization=t")]),
        ["api-key: sk-secret-1", "Authorization: t"]
    );
}

#[test]
fn a_proxy_gets_its_credentials_decoded() {
    let proxy = with(&[("HTTPS_PROXY", "http://me:p%40ss%3A1@10.0.0.9:3128")]).realtime.proxy.unwrap();
    assert_eq!((proxy.host.as_str(), proxy.port), ("10.0.0.9", 3128));
    assert_eq!(proxy.credentials.as_ref().unwrap().expose(), "me:p@ss:1");
    // base64 of "me:p@ss:1", made with coreutils.
    assert_eq!(proxy.authorization().unwrap().expose(), "Basic bWU6cEBzczox");
    let open = with(&[("HTTPS_PROXY", "http://proxy:8080/")]).realtime.proxy.unwrap();
    assert_eq!(open.authorization(), None);
}

#[test]
fn a_proxy_is_not_asked_for_what_needs_none() {
    for url in ["ws://model.example/v1", "wss://localhost:9000", "wss://[::1]:9000"] {
        let config = with(&[("HTTPS_PROXY", "http://proxy:8080"), ("OPENAI_REALTIME_URL", url)]);
        assert_eq!(config.realtime.proxy, None, "{url}");
    }
}

#[test]
fn a_secret_is_in_no_debug_output() {
    let config = with(&[
        ("OPENAI_API_KEY", "hidden-1"),
        ("ARI_PASSWORD", "hidden-2"),
        ("HTTPS_PROXY", "http://hidden-3:hidden-4@proxy:3128"),
        ("OPENAI_REALTIME_URL", "wss://a.b/rt?api-key=hidden-5"),
        ("OPENAI_HEADERS", "X-Name=hidden-6"),
        ("SAFETY_IDENTIFIER_KEY", "hidden-7-hidden-7"),
    ]);
    let shown = format!("{config:?} {config:#?} {:?} {:?}", config.ari.authorization(), config.warnings());
    assert!(shown.contains("voiceapp") && !shown.contains("hidden"), "{shown}");
    assert!(!shown.contains(&STANDARD.encode("voiceapp:hidden-2")));
}

#[test]
fn what_is_probably_not_meant_is_said() {
    assert_eq!(with(&[]).warnings(), ["ARI_PASSWORD is still CHANGE_ME"]);
    assert!(with(&[("ARI_PASSWORD", "x")]).warnings().is_empty());
    let config = with(&[
        ("ARI_PASSWORD", "x"),
        ("ARI_URL", "http://pbx.example:8088"),
        ("ARI_CA_FILE", "ca.pem"),
        ("OPENAI_REALTIME_URL", "ws://model.example/v1?model=other"),
        ("OPENAI_MODEL", "gpt-4o-realtime-preview"),
    ]);
    let lines = config.warnings();
    let about = |word: &str| lines.iter().filter(|line| line.contains(word)).count();
    assert_eq!(lines.len(), 6, "{lines:#?}");
    assert_eq!(
        (about("in the clear"), about("ARI_CA_FILE"), about("loopback"), about("model")),
        (2, 1, 1, 2)
    );
}

#[test]
fn more_calls_than_ports_are_said_to_be_in_vain() {
    let ports = [("ARI_PASSWORD", "x"), ("RTP_PORT_START", "30000"), ("RTP_PORT_END", "30001")];
    let warnings = |calls| with(&[&ports[..], &[("MAX_CALLS", calls)]].concat()).warnings();
    assert!(warnings("2").is_empty());
    assert!(warnings("3").first().unwrap().contains("MAX_CALLS"));
}

#[test]
fn azure_that_is_spoken_to_in_another_way_than_it_wants_is_said() {
    let lines = |url: &str, dialect: &str| {
        let url = ("OPENAI_REALTIME_URL", url);
        with(&[("ARI_PASSWORD", "x"), url, ("REALTIME_DIALECT", dialect)]).warnings()
    };
    let ga = "wss://me.OpenAI.azure.com/openai/v1/realtime?model=mine";
    let about_dialect = lines(ga, "openai");
    assert!(about_dialect.iter().any(|line| line.contains("REALTIME_DIALECT=azure")), "{about_dialect:?}");
    assert!(lines(ga, "azure").iter().all(|line| line.contains("names a model")));
    let preview = "wss://me.openai.azure.com/openai/realtime?api-version=1&deployment=d";
    assert!(lines(preview, "azure").iter().any(|line| line.contains("401")));
    assert!(lines(preview, "beta").is_empty());
    assert!(lines("wss://openai.azure.com.example/v1", "openai").is_empty());
}

#[test]
fn two_that_wait_for_an_idle_caller_are_one_too_many() {
    let idle = [("ARI_PASSWORD", "x"), ("IDLE_SECONDS", "30"), ("VAD_IDLE_TIMEOUT_MS", "6000")];
    assert!(with(&idle[..2]).warnings().is_empty());
    assert!(with(&idle).warnings().iter().any(|line| line.contains("both set")));
}

#[test]
fn steps_that_cannot_help_a_caller_are_said() {
    let lines = |set: &[(&str, &str)]| with(&[&[("ARI_PASSWORD", "x")], set].concat()).warnings();
    let one = lines(&[("REALTIME_RETRY_SECONDS", "0")]);
    assert!(one.len() == 1 && one[0].contains("contains reconnect"), "{one:?}");
    assert!(lines(&[("REALTIME_RETRY_SECONDS", "0"), ("DEAD_AIR_STEPS", "filler,fallback")]).is_empty());
    assert!(lines(&[("REALTIME_RETRY_SECONDS", "0"), ("DEAD_AIR_MS", "off")]).is_empty());
    let short = lines(&[("DEAD_AIR_MS", "1999")]);
    assert!(short.len() == 1 && short[0].starts_with("DEAD_AIR_MS is below 2000"), "{short:?}");
    assert!(lines(&[("DEAD_AIR_MS", "2000")]).is_empty());
    let circle = lines(&[("FALLBACK_PRIORITY", "1")]);
    assert!(circle.len() == 1 && circle[0].contains("circle"), "{circle:?}");
    assert!(lines(&[("FALLBACK_PRIORITY", "1"), ("FALLBACK_CONTEXT", "closed")]).is_empty());
}

//! What an operator writes.

use ari_bridge_core::config::{Config, ConfigFaults, Preset, VARIABLES, near_misses};
use std::collections::BTreeMap;

/// What holds a secret, all of it or a part.
const SECRET: [&str; 6] = [
    "OPENAI_API_KEY",
    "ARI_PASSWORD",
    "SAFETY_IDENTIFIER_KEY",
    "OPENAI_HEADERS",
    "HTTPS_PROXY",
    "OPENAI_REALTIME_URL",
];

/// The shortest piece of a secret that is looked for, in characters: what is shorter may stand anywhere by chance.
const TELLING: usize = 12;

/// Bytes as lines of `NAME=value`, and as files of keys, which are lines of `@path=contents`.
///
/// Settings are read alike each time, in whatever order they stand, and the later of two counts; each fault names a variable in one line; and no
/// secret is shown.
pub fn config(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let lines = || text.lines().filter_map(|line| line.split_once('='));
    let set = || lines().filter(|(name, _)| !name.starts_with(['@', '#']));
    let variables: BTreeMap<&str, &str> = set().collect();
    let files: BTreeMap<&str, &str> =
        lines().filter_map(|(name, contents)| Some((name.strip_prefix('@')?, contents))).collect();
    let read =
        |path: &str| files.get(path).map(|contents| contents.as_bytes().to_vec()).ok_or("no such file");
    let read_config = Config::from_variables_and_files(set(), read);
    let sorted = Config::from_variables_and_files(variables.clone(), read);
    assert_eq!(read_config, sorted, "the same settings in another order, each but once");
    let shown = match &read_config {
        Ok(config) => accepted(config),
        Err(faults) => refused(faults),
    };
    for secret in secrets(&variables, &files) {
        assert!(!shown.contains(&*secret), "{secret:?} is shown: {shown}");
    }
    for line in near_misses(variables.keys()) {
        assert!(is_one_line(&line), "{line:?}");
    }
}

/// All that is shown of good settings.
fn accepted(config: &Config) -> String {
    let shown = format!("{config:?} {config:#?}");
    assert!(!shown.is_empty() && shown == format!("{config:?} {config:#?}"));
    let warnings = config.warnings();
    assert_eq!(warnings, config.warnings());
    assert!(warnings.iter().all(|line| is_one_line(line)), "{warnings:?}");
    let (ari, realtime) = (&config.ari, &config.realtime);
    // What goes into a request line or a header is neither the end of it nor a second one.
    let mut sent = vec![ari.rest_url("/bridges"), ari.events_url(), realtime.request_url()];
    sent.push(ari.authorization().expose().to_owned());
    assert!(sent.iter().take(3).all(|url| !url.contains(char::is_whitespace)), "{sent:?}");
    for (name, value) in realtime.request_headers(config.call.session.dialect) {
        sent.extend([name, value.expose().to_owned()]);
    }
    sent.extend(
        realtime.proxy.as_ref().and_then(|proxy| proxy.authorization()).map(|it| it.expose().to_owned()),
    );
    assert!(sent.iter().flat_map(|text| text.chars()).all(|c| !c.is_control() || c == '\t'), "{sent:?}");
    assert!(config.rtp.ports() > 0);
    format!("{shown} {:?} {:?} {}", ari.authorization(), realtime.proxy, warnings.join(" "))
}

/// All that is shown of bad ones.
fn refused(faults: &ConfigFaults) -> String {
    assert!(faults.iter().len() > 0, "refused without a reason");
    for fault in faults.iter() {
        let is_known = |name: &str| VARIABLES.iter().any(|known| known.name == name);
        let of_family = |name: &str| ["TRANSFER_", "DTMF_"].iter().any(|family| name.starts_with(family));
        assert!(
            is_known(&fault.variable) || of_family(&fault.variable),
            "{:?} is no variable",
            fault.variable
        );
        let line = fault.to_string();
        assert!(line.starts_with(&fault.variable) && is_one_line(&line), "{line:?}");
    }
    format!("{faults} {faults:?}")
}

fn is_one_line(line: &str) -> bool {
    !line.chars().any(char::is_control)
}

/// The secrets that would be recognised: long ones that stand nowhere else.
fn secrets(variables: &BTreeMap<&str, &str>, files: &BTreeMap<&str, &str>) -> Vec<String> {
    let mut secrets: Vec<&str> = files.values().map(|contents| contents.trim()).collect();
    let mut public = Vec::new();
    for (name, value) in variables {
        public.push(*name);
        if !SECRET.contains(name) {
            public.push(*value);
            continue;
        }
        match *name {
            // What stands before the last @ and after the first ? behind it.
            "HTTPS_PROXY" | "OPENAI_REALTIME_URL" => {
                let rest = value.split_once("://").map_or(*value, |(_, rest)| rest);
                let (userinfo, rest) = rest.rsplit_once('@').unwrap_or(("", rest));
                let (open, query) = rest.split_once('?').unwrap_or((rest, ""));
                secrets.extend([userinfo, query]);
                public.push(open);
            }
            "OPENAI_HEADERS" => {
                let pairs = value.split(',').filter_map(|entry| entry.split_once('='));
                for (name, value) in pairs {
                    public.push(name);
                    secrets.push(value.trim());
                }
            }
            _ => secrets.push(value.trim()),
        }
    }
    let ours = || VARIABLES.iter().flat_map(|known| [known.name, known.help, preset(known.default)]);
    let stands_elsewhere =
        |secret: &str| public.iter().copied().chain(ours()).any(|text| text.contains(secret));
    let telling =
        secrets.into_iter().filter(|secret| secret.chars().count() >= TELLING && !stands_elsewhere(secret));
    // As it would be shown: quoted, and so escaped.
    telling.flat_map(|secret| [secret.to_owned(), secret.escape_debug().to_string()]).collect()
}

const fn preset(preset: Preset) -> &'static str {
    match preset {
        Preset::Value(value) => value,
        Preset::Required | Preset::Unset | Preset::FileOf(_) | Preset::Family { .. } => "",
    }
}

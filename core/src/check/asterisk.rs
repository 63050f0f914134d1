//! What Asterisk's answers mean.

use super::{CheckFault, CheckItem, fault};
use crate::call::IoFault;
use crate::format::MediaFormat;
use crate::observe::Label;
use serde::Deserialize;

/// The oldest Asterisk that the bridge is made for, as a major version.
pub const OLDEST_ASTERISK: u32 = 20;

/// The answer to an HTTP request: status and body, or why there was none.
pub type HttpAnswer<'a> = Result<(u16, &'a [u8]), IoFault>;

/// Judges `GET /asterisk/info`: whether Asterisk is there, knows us, and is young enough.
#[must_use]
pub fn asterisk_info(answer: HttpAnswer<'_>) -> CheckItem {
    CheckItem { name: "Asterisk", result: ari_body(answer).and_then(version_of) }
}

fn version_of(body: &[u8]) -> Result<String, CheckFault> {
    #[derive(Deserialize)]
    struct Info {
        system: System,
    }
    #[derive(Deserialize)]
    struct System {
        version: String,
    }
    let Ok(Info { system: System { version } }) = serde_json::from_slice(body) else {
        return Err(fault(
            "the answer is not that of Asterisk",
            "check ARI_URL: something else listens there",
        ));
    };
    // Distributions add things like `~dfsg+~cs6.13` that nobody needs to see; a Label keeps what is plain.
    let version = Label::new(&version.replace('/', "-"));
    match major(version.as_str()) {
        Some(major) if major < OLDEST_ASTERISK => Err(fault(
            format!("version {version} is too old"),
            format!("the bridge is made for Asterisk {OLDEST_ASTERISK} and later"),
        )),
        Some(_) => Ok(format!("version {version}")),
        None => Ok(format!("version {version}; whether that is {OLDEST_ASTERISK} or later cannot be told")),
    }
}

/// The major version of `22.10.1`, `certified-20.7-cert1` or `GIT-22-a1b2c3`.
fn major(version: &str) -> Option<u32> {
    let version = version.strip_prefix("certified-").unwrap_or(version);
    let version = version.strip_prefix("GIT-").unwrap_or(version);
    version.split(['.', '-']).next()?.parse().ok()
}

/// Judges `GET /applications/{app}`: whether the name is free. Asterisk gives the calls of a name to whoever
/// connected last, so a second client silently robs the first.
#[must_use]
pub fn application(answer: HttpAnswer<'_>, app: &str) -> CheckItem {
    let result = match answer {
        Ok((404, _)) => Ok(format!("the name {app} is free")),
        other => ari_body(other).and_then(|_| {
            Err(fault(
                format!(
                    "the name {app} is taken: another client holds it, or calls of one that has just gone"
                ),
                "if that is not a bridge of yours at work, stop it or choose another ARI_APP",
            ))
        }),
    };
    CheckItem { name: "application", result }
}

/// The modules of Asterisk that a call in this format needs.
#[must_use]
pub const fn modules_for(format: MediaFormat) -> &'static [&'static str] {
    match format {
        MediaFormat::Slin16 | MediaFormat::G722 => {
            &["app_stasis.so", "chan_rtp.so", "res_rtp_asterisk.so", "res_rtp_multicast.so", "codec_g722.so"]
        }
        MediaFormat::Ulaw => {
            &["app_stasis.so", "chan_rtp.so", "res_rtp_asterisk.so", "res_rtp_multicast.so", "codec_ulaw.so"]
        }
        MediaFormat::Alaw => {
            &["app_stasis.so", "chan_rtp.so", "res_rtp_asterisk.so", "res_rtp_multicast.so", "codec_alaw.so"]
        }
    }
}

/// Judges `GET /asterisk/modules/{name}` for each module: whether it is loaded and runs.
#[must_use]
pub fn modules(answers: &[(&'static str, HttpAnswer<'_>)]) -> CheckItem {
    let mut missing: Vec<&str> = Vec::new();
    for (module, answer) in answers {
        let runs = match *answer {
            // 409 is how Asterisk says that it knows the file but nothing about it.
            Ok((404 | 409, _)) => Ok(false),
            other => ari_body(other).map(is_running),
        };
        match runs {
            Ok(true) => {}
            Ok(false) => missing.push(module),
            Err(fault) => return CheckItem { name: "modules", result: Err(fault) },
        }
    }
    let result = if missing.is_empty() {
        Ok(format!("{} needed, all loaded", answers.len()))
    } else {
        let list = missing.join(", ");
        let what = format!("not loaded: {list}");
        Err(fault(what, format!("load {list} (modules.conf, or `module load` on Asterisk's console)")))
    };
    CheckItem { name: "modules", result }
}

/// Whether the answer says so; an answer of another shape came with 200 and is not doubted.
fn is_running(body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Module {
        status: String,
    }
    serde_json::from_slice::<Module>(body)
        .map_or(true, |module| module.status.eq_ignore_ascii_case("running"))
}

/// The body of a 200 of ARI, or what is wrong and what to do about it.
fn ari_body(answer: HttpAnswer<'_>) -> Result<&[u8], CheckFault> {
    let (status, body) = answer.map_err(|why| {
        fault(
            why.to_string(),
            match why {
                IoFault::Resolve => "check the host in ARI_URL",
                IoFault::Refused => "start Asterisk, set enabled=yes in http.conf, and check ARI_URL",
                IoFault::TimedOut => "check ARI_URL and the firewall between here and there",
                IoFault::Tls => "check the host in ARI_URL, and set ARI_CA_FILE if the CA is a private one",
                IoFault::Reset | IoFault::Protocol => "check whether ARI_URL means http:// or https://",
                IoFault::Backlog | IoFault::NoPort | IoFault::Other => "check ARI_URL",
            },
        )
    })?;
    let remedy = match status {
        200 => return Ok(body),
        401 => "check ARI_USER and ARI_PASSWORD against ari.conf",
        403 => "set read_only=no for the user in ari.conf, and check the ACLs there and in http.conf",
        404 => "set enabled=yes in ari.conf, load res_ari.so, and put the prefix of http.conf into ARI_URL",
        503 => "wait: Asterisk is still starting",
        _ => "look into Asterisk's log",
    };
    Err(fault(format!("HTTP {status}"), remedy))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(version: &str) -> String {
        let body =
            format!(r#"{{"build":{{"os":"Linux"}},"system":{{"version":"{version}","entity_id":"00:11"}}}}"#);
        asterisk_info(Ok((200, body.as_bytes()))).to_string()
    }

    #[test]
    fn the_version_of_asterisk_is_read_in_all_its_spellings() {
        for (version, line) in [
            ("22.10.1", "ok    Asterisk: version 22.10.1"),
            ("20.6.0~dfsg+~cs6.13", "ok    Asterisk: version 20.6.0"),
            ("certified/20.7-cert1", "ok    Asterisk: version certified-20.7-cert1"),
            ("GIT-22-a1b2c3", "ok    Asterisk: version GIT-22-a1b2c3"),
        ] {
            assert_eq!(info(version), line);
        }
        assert!(info("18.24.0").starts_with("FAIL  Asterisk: version 18.24.0 is too old -> "));
        assert!(info("GIT-master-1a2b").starts_with("ok    Asterisk: version GIT-master-1a2b; whether"));
    }

    #[test]
    fn asterisk_that_refuses_us_says_what_to_look_at() {
        let line = |answer| asterisk_info(answer).to_string();
        assert_eq!(
            line(Ok((401, b"{}"))),
            "FAIL  Asterisk: HTTP 401 -> check ARI_USER and ARI_PASSWORD against ari.conf"
        );
        assert!(line(Ok((404, b""))).contains("enabled=yes in ari.conf"));
        assert!(line(Ok((200, b"<html>"))).contains("something else listens there"));
        assert!(line(Err(IoFault::Refused)).contains("nobody listens there -> start Asterisk"));
        assert!(line(Err(IoFault::Tls)).contains("ARI_CA_FILE"));
    }

    #[test]
    fn a_taken_application_name_is_a_fault() {
        assert_eq!(
            application(Ok((404, b"{}")), "shop").to_string(),
            "ok    application: the name shop is free"
        );
        let taken = application(Ok((200, br#"{"name":"shop"}"#)), "shop").to_string();
        assert!(taken.starts_with("FAIL") && taken.contains("choose another ARI_APP"), "{taken}");
        assert!(application(Ok((401, b"")), "shop").to_string().contains("ARI_PASSWORD"));
    }

    #[test]
    fn the_modules_that_are_missing_are_named() {
        let running: HttpAnswer<'_> = Ok((200, br#"{"name":"chan_rtp.so","status":"Running"}"#));
        let stopped: HttpAnswer<'_> = Ok((200, br#"{"name":"codec_g722.so","status":"Not Running"}"#));
        assert!(modules(&[("chan_rtp.so", running)]).result.is_ok());
        let line = modules(&[
            ("app_stasis.so", running),
            ("chan_rtp.so", Ok((404, b""))),
            ("codec_g722.so", stopped),
        ]);
        assert!(
            line.to_string().starts_with("FAIL  modules: not loaded: chan_rtp.so, codec_g722.so -> load"),
            "{line}"
        );
        assert!(
            modules(&[("chan_rtp.so", Err(IoFault::TimedOut))]).to_string().contains("no answer in time")
        );
        for format in MediaFormat::ALL {
            assert!(
                modules_for(format).contains(&"res_rtp_multicast.so"),
                "chan_rtp does not load without it"
            );
        }
    }
}

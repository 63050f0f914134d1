//! Which variables there are, and what is allowed in each.

mod call;
mod capture;
mod families;
mod headers;
mod money;
mod realtime;
mod recovery;
mod session;

use super::reader::{ConfigFaults, Fault, Reader, is_plain};
use super::url::{Endpoint, Schemes, is_host_name};
use super::{AriConfig, Config, PromptFiles, RecordConfig, RtpConfig, prompt_variable};
use crate::format::MediaFormat;
use crate::settings::{CallSettings, Dialect, MediaPlan, Prompt, SwitchboardSettings, Transport};
use crate::time::Duration;
use core::net::{IpAddr, SocketAddr};
use core::num::NonZeroUsize;
use std::collections::BTreeMap;

/// The longest application name, in bytes: Asterisk makes a dialplan context `stasis-<app>` of it, and the
/// name of a context has room for 80.
const MAX_APP_BYTES: usize = 80 - "stasis-".len();

/// Reads everything. `faults` are those of files that were to hold values.
pub(super) fn config(
    variables: &BTreeMap<String, String>,
    faults: Vec<Fault>,
) -> Result<Config, ConfigFaults> {
    let mut reader = Reader::new(variables, faults);
    // Each part is read whatever becomes of the others, so that all faults are found.
    let dialect = dialect(&mut reader);
    let (ari, realtime) = (ari(&mut reader), realtime::realtime(&mut reader, dialect));
    let safety_key = realtime::safety_key(&mut reader, realtime.as_ref());
    let (rtp, media) = (rtp(&mut reader), media(&mut reader));
    let session = session::session(&mut reader, dialect, media);
    let (call, breaker) = (call::call(&mut reader, session), recovery::breaker(&mut reader));
    let money = money::money(&mut reader, realtime.as_ref());
    let (prompts, record) = (prompts(&mut reader), record(&mut reader));
    let (capture, admission) = (capture::capture(&mut reader), admission(&mut reader));
    let process = process(&mut reader);
    let kept = record.zip(capture);
    match (ari, realtime, safety_key, rtp, media, call, breaker, money, prompts, kept, admission, process) {
        (
            Some(ari),
            Some(realtime),
            Some(safety_key),
            Some((rtp, advertise_host)),
            Some(media),
            Some(call),
            Some(breaker),
            Some(money),
            Some(prompts),
            Some((record, capture)),
            Some(admission),
            Some((admin_bind, worker_threads)),
        ) if reader.is_clean() => Ok(Config {
            switchboard: SwitchboardSettings {
                ari_app: ari.app.clone(),
                max_calls: admission.max_calls,
                ports: rtp.ports(),
                adopt: admission.adopt,
                drain: admission.drain,
                fallback: call.fallback.clone(),
                breaker,
                max_cost_per_day: money.max_cost_per_day,
            },
            call: CallSettings { ari_app: ari.app.clone(), advertise_host, prices: money.prices, ..call },
            prompts,
            record,
            capture,
            media,
            ari,
            realtime,
            safety_key,
            rtp,
            admin_bind,
            worker_threads,
        }),
        _ => Err(reader.into_faults()),
    }
}

fn dialect(reader: &mut Reader<'_>) -> Option<Dialect> {
    reader.parse("REALTIME_DIALECT", "openai, azure, xai, beta or qwen", |text| {
        Dialect::ALL.into_iter().find(|dialect| dialect.name() == text)
    })
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

/// Where the prompts lie that are not the built-in ones.
fn prompts(reader: &mut Reader<'_>) -> Option<PromptFiles> {
    let [moment, sorry, goodbye, comfort] = Prompt::ALL.map(|prompt| path(reader, prompt_variable(prompt)));
    Some(PromptFiles { moment: moment?, sorry: sorry?, goodbye: goodbye?, comfort: comfort? })
}

/// Where records go, and how long they stay.
fn record(reader: &mut Reader<'_>) -> Option<RecordConfig> {
    const DAYS: &str = "CALL_RECORD_DAYS";
    let dir = path(reader, "CALL_RECORD_DIR");
    let days = reader.optional_number(DAYS, 1..=3650, " days");
    if dir == Some(None) && matches!(days, Some(Some(_))) {
        return reader.fault(DAYS, "it counts only with CALL_RECORD_DIR, which is not set");
    }
    let days = days?.unwrap_or(RecordConfig::default().days);
    Some(RecordConfig { dir: dir?, days })
}

/// `None` is a fault, `Some(None)` is not set.
fn path(reader: &mut Reader<'_>, name: &'static str) -> Option<Option<String>> {
    reader.parse_optional(name, "a path without control characters", |text| {
        is_plain(text).then(|| text.to_owned())
    })
}

/// Which callers are taken on, and what becomes of them at the end of the process.
struct Admission {
    max_calls: Option<usize>,
    adopt: bool,
    drain: Duration,
}

fn admission(reader: &mut Reader<'_>) -> Option<Admission> {
    let max_calls = reader.optional_number("MAX_CALLS", 1..=65_535, " calls");
    let adopt = reader.on_off("ADOPT");
    let drain = reader.number("DRAIN_SECONDS", 0..=86_400, " seconds");
    let max_calls = max_calls?.and_then(|calls| usize::try_from(calls).ok());
    Some(Admission { max_calls, adopt: adopt?, drain: Duration::from_secs(drain?) })
}

/// Where the admin listener is bound, and how many threads serve the calls.
fn process(reader: &mut Reader<'_>) -> Option<(SocketAddr, Option<NonZeroUsize>)> {
    let admin_bind = admin_bind(reader);
    let threads = reader.optional_number("WORKER_THREADS", 1..=1024, " threads")?;
    Some((admin_bind?, threads.and_then(|n| usize::try_from(n).ok()).and_then(NonZeroUsize::new)))
}

fn admin_bind(reader: &mut Reader<'_>) -> Option<SocketAddr> {
    reader.parse("ADMIN_BIND", "an IP address and a port, like 127.0.0.1:9090", |text| text.parse().ok())
}

#[cfg(test)]
mod tests;

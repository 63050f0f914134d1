//! How the Realtime server is reached.

use super::super::reader::{Reader, is_plain};
use super::super::secret::Secret;
use super::super::url::{Schemes, Url, percent_decode};
use super::super::{ProxyConfig, RealtimeConfig, SAFETY_HEADER};
use super::headers::headers;
use crate::settings::Dialect;

/// The shortest key of [`safety_key`], in characters: one that nobody can try out.
const MIN_SAFETY_KEY: usize = 16;

/// Nothing but visible ASCII, so that it can stand in a header (RFC 9110 §5.5) and in a name.
pub(super) fn is_visible(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_graphic())
}

pub(super) fn realtime(reader: &mut Reader<'_>, dialect: Option<Dialect>) -> Option<RealtimeConfig> {
    let api_key = reader.secret("OPENAI_API_KEY", "visible ASCII characters without spaces", is_visible);
    let model = reader.parse("OPENAI_MODEL", "the name of a model, without spaces", |text| {
        is_visible(text).then(|| text.to_owned())
    });
    let url = reader.url("OPENAI_REALTIME_URL", Schemes { plain: "ws", tls: Some("wss") }).and_then(|url| {
        if url.userinfo.is_some() {
            return reader
                .fault("OPENAI_REALTIME_URL", "the key belongs into OPENAI_API_KEY, not into the URL");
        }
        Some(url.endpoint)
    });
    let headers = headers(reader, dialect);
    let proxy = proxy(reader);
    let (url, proxy) = (url?, proxy?);
    let proxy = proxy.filter(|_| url.tls && !url.is_loopback());
    Some(RealtimeConfig { url, model: model?, api_key: api_key?, headers: headers?, proxy })
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

/// `None` is a fault, `Some(None)` tells the server of no caller.
pub(super) fn safety_key(
    reader: &mut Reader<'_>,
    realtime: Option<&RealtimeConfig>,
) -> Option<Option<Secret>> {
    const NAME: &str = "SAFETY_IDENTIFIER_KEY";
    const HEADERS: &str = "OPENAI_HEADERS";
    if reader.value(NAME).is_none() {
        return Some(None);
    }
    let allowed = format!("at least {MIN_SAFETY_KEY} characters, without control characters");
    let long = |text: &str| text.chars().count() >= MIN_SAFETY_KEY && is_plain(text);
    let key = reader.secret(NAME, &allowed, long)?;
    if reader.value("OPENAI_API_KEY").as_deref() == Some(key.expose()) {
        return reader.fault(
            NAME,
            "it must not be OPENAI_API_KEY: the server knows that key, and could find the numbers out",
        );
    }
    if realtime.is_some_and(|realtime| realtime.names(SAFETY_HEADER)) {
        return reader
            .fault(HEADERS, "it must not name OpenAI-Safety-Identifier, which SAFETY_IDENTIFIER_KEY sends");
    }
    Some(Some(key))
}

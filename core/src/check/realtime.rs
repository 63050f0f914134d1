//! What the Realtime server's answers mean.

use super::{CheckFault, CheckItem, fault};
use crate::call::IoFault;
use crate::observe::{Label, remedy};
use serde::Deserialize;

/// What came of opening the Realtime socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RealtimeAnswer<'a> {
    /// It opened, and this was the first message.
    Message(&'a [u8]),
    /// It opened, and was closed before a message came.
    Closed {
        /// The close code.
        code: Option<u16>,
        /// The close reason.
        reason: &'a [u8],
    },
    /// The upgrade, or the proxy's `CONNECT`, was refused with this HTTP status.
    Refused {
        /// The HTTP status.
        status: u16,
    },
    /// It could not be opened, or no message came.
    Fault(IoFault),
}

/// Judges the first answer of the Realtime server. A server accepts the socket even with a bad key, and says
/// so only afterwards: what counts is `session.created`, or `conversation.created`, with which xAI begins on some
/// days.
#[must_use]
pub fn realtime(answer: RealtimeAnswer<'_>) -> CheckItem {
    let result = match answer {
        RealtimeAnswer::Message(bytes) => first_message(bytes),
        RealtimeAnswer::Closed { code, reason } => Err(closed(code, reason)),
        RealtimeAnswer::Refused { status } => Err(fault(format!("HTTP {status}"), refused_remedy(status))),
        RealtimeAnswer::Fault(why) => Err(fault(
            why.to_string(),
            match why {
                IoFault::Resolve => "check the host in OPENAI_REALTIME_URL, and the DNS",
                IoFault::Refused => "check host and port in OPENAI_REALTIME_URL, and HTTPS_PROXY",
                IoFault::TimedOut => "check the firewall; if a proxy must be used, set HTTPS_PROXY",
                IoFault::Tls => {
                    "check the host in OPENAI_REALTIME_URL and this machine's clock; a proxy may be replacing certificates"
                }
                IoFault::Reset | IoFault::Protocol => {
                    "check whether OPENAI_REALTIME_URL means ws:// or wss://, and its path"
                }
                IoFault::Backlog | IoFault::NoPort | IoFault::Other => "check OPENAI_REALTIME_URL",
            },
        )),
    };
    CheckItem { name: "Realtime", result }
}

fn first_message(bytes: &[u8]) -> Result<String, CheckFault> {
    #[derive(Deserialize)]
    struct Message<'a> {
        #[serde(rename = "type", borrow)]
        kind: std::borrow::Cow<'a, str>,
        session: Option<Session>,
        error: Option<Error>,
    }
    #[derive(Deserialize)]
    struct Session {
        model: Option<String>,
    }
    #[derive(Deserialize)]
    struct Error {
        code: Option<String>,
        #[serde(rename = "type")]
        kind: Option<String>,
    }
    let Ok(message) = serde_json::from_slice::<Message<'_>>(bytes) else {
        return Err(fault(
            "the first message cannot be read",
            "check OPENAI_REALTIME_URL: something else listens there",
        ));
    };
    if let Some(Error { code, kind }) = message.error {
        let code = Label::new(code.or(kind).as_deref().unwrap_or_default());
        return Err(fault(format!("the server reports {code}"), code_remedy(&code)));
    }
    match (message.kind.as_ref(), message.session.and_then(|session| session.model)) {
        ("session.created", Some(model)) => Ok(format!("session created, model {}", Label::new(&model))),
        ("session.created", None) => Ok("session created".to_owned()),
        ("conversation.created", _) => Ok("conversation created".to_owned()),
        (other, _) => Err(fault(
            format!("the server began with {} instead of session.created", Label::new(other)),
            "check OPENAI_REALTIME_URL: it must be a server that speaks the Realtime API over WebSocket",
        )),
    }
}

fn closed(close: Option<u16>, reason: &[u8]) -> CheckFault {
    // The reason is `<type>.<code>`; a Label leaves out the prose that some servers write instead.
    let code = Label::new(core::str::from_utf8(reason).unwrap_or_default());
    let close = close.map_or_else(|| "without a code".to_owned(), |close| format!("with {close}"));
    let what = if code.as_str().is_empty() {
        format!("the server closed {close}")
    } else {
        format!("the server closed {close} {code}")
    };
    fault(what, code_remedy(&code))
}

fn code_remedy(code: &Label) -> &'static str {
    match remedy(code.as_str()).trim_start_matches([';', ' ']) {
        "" => {
            "check OPENAI_API_KEY, OPENAI_MODEL and OPENAI_REALTIME_URL; if they are right, try again later"
        }
        known => known,
    }
}

const fn refused_remedy(status: u16) -> &'static str {
    match status {
        401 => {
            "check OPENAI_API_KEY; for Azure also REALTIME_DIALECT, and that OPENAI_REALTIME_URL has no api-version"
        }
        403 => "check what OPENAI_API_KEY may do, and whether the server may be used from here",
        404 => "check OPENAI_REALTIME_URL and OPENAI_MODEL",
        407 => "put the proxy's user and password into HTTPS_PROXY",
        429 => "wait, or raise the limits of the account",
        300..=399 => "set OPENAI_REALTIME_URL to where the server moved to",
        500..=599 => "try again later: the server, or the proxy, has a fault",
        _ => "check OPENAI_REALTIME_URL",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_the_proof_that_the_realtime_side_works() {
        let message = |text: &str| realtime(RealtimeAnswer::Message(text.as_bytes())).to_string();
        assert_eq!(
            message(r#"{"type":"session.created","session":{"model":"gpt-realtime-2.1-mini","x":1}}"#),
            "ok    Realtime: session created, model gpt-realtime-2.1-mini"
        );
        assert_eq!(message(r#"{"type":"session.created"}"#), "ok    Realtime: session created");
        assert_eq!(
            message(
                r#"{"type":"conversation.created","conversation":{"id":"c","object":"realtime.conversation"}}"#
            ),
            "ok    Realtime: conversation created"
        );
        assert_eq!(
            message(
                r#"{"type":"error","error":{"type":"invalid_request_error","code":"invalid_api_key","message":"sk-1"}}"#
            ),
            "FAIL  Realtime: the server reports invalid_api_key -> check OPENAI_API_KEY"
        );
        assert!(
            message(r#"{"type":"error","error":{"type":"server_error","code":null}}"#)
                .contains("server_error")
        );
        assert!(message(r#"{"type":"hello"}"#).contains("began with hello"));
        assert!(message("<html>").starts_with("FAIL"));
    }

    #[test]
    fn a_close_is_judged_by_the_code_in_its_reason() {
        let line = |code, reason: &str| {
            realtime(RealtimeAnswer::Closed { code, reason: reason.as_bytes() }).to_string()
        };
        assert_eq!(
            line(Some(1013), "insufficient_quota.insufficient_quota"),
            "FAIL  Realtime: the server closed with 1013 insufficient_quota.insufficient_quota -> the account has no credit"
        );
        assert!(line(Some(4004), "invalid_request_error.model_not_found").contains("check OPENAI_MODEL"));
        assert!(line(Some(1011), "").contains("closed with 1011 -> check OPENAI_API_KEY, OPENAI_MODEL"));
        assert!(line(None, "").contains("without a code"));
    }
}

//! What the admin address answers: `/metrics`, `/healthz`, `/readyz` and `/captures`.

use crate::http::reason;
use crate::id::{CallId, InstanceNonce};
use crate::metrics::{CONTENT_TYPE, Metrics};
use crate::observe::Observation;

const TEXT: &str = "text/plain; charset=utf-8";

/// Whether calls can be taken, folded from what the switchboard tells.
#[derive(Clone, Debug)]
pub struct Health {
    /// Why Asterisk does not hand us calls; `None` while it does.
    unlinked: Option<String>,
    stopping: bool,
}

impl Default for Health {
    fn default() -> Self {
        Self::new()
    }
}

impl Health {
    /// Of a process that has just begun.
    #[must_use]
    pub fn new() -> Self {
        Self { unlinked: Some("ARI not connected: it has not been up yet".to_owned()), stopping: false }
    }

    /// Takes note of what the switchboard told; observations of calls change nothing.
    pub fn observe(&mut self, observation: &Observation) {
        match observation {
            Observation::AriUp => self.unlinked = None,
            // Both lines say what to do about it.
            down @ (Observation::AriDown { .. } | Observation::AppReplaced) => {
                self.unlinked = Some(down.to_string());
            }
            _ => {}
        }
    }

    /// The process is stopping: it takes no more calls.
    pub fn stopping(&mut self) {
        self.stopping = true;
    }

    /// Why calls cannot be taken, in one line; `None` if they can.
    #[must_use]
    pub fn not_ready(&self) -> Option<&str> {
        if self.stopping { Some("the bridge is stopping") } else { self.unlinked.as_deref() }
    }
}

/// An answer. Status line and headers besides these are the server's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// The value of `Content-Type`.
    pub content_type: &'static str,
    /// The body. To a HEAD only its length is sent (RFC 9110 §9.3.2), which [`Response::encode`] sees to.
    pub body: String,
    /// What may be asked here, for a 405.
    allow: &'static str,
}

/// Of what captures are asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ask {
    /// Of everything under way.
    All,
    /// Of this call.
    Call {
        /// Its number.
        call: CallId,
        /// The run of the bridge that it should be of, if that was said.
        run: Option<InstanceNonce>,
    },
    /// Of the switchboard.
    Switchboard,
}

/// Who asks for captures, as far as it counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Asker {
    /// Whether it is on this machine.
    pub is_local: bool,
    /// Whether a page in a browser has it ask: no other program sends `Origin`, and every browser does with a POST (Fetch
    /// §3.1).
    pub is_page: bool,
}

/// Answers one request. `path` is the request target; a query is ignored. `capture` is called if captures are asked for:
/// it gives the names of the files that they will be in, or says why there will be none.
#[must_use]
pub fn respond(
    method: &str,
    path: &str,
    asker: Asker,
    health: &Health,
    metrics: &Metrics,
    capture: impl FnOnce(Ask) -> Result<Vec<String>, &'static str>,
) -> Response {
    let path = path.split('?').next().unwrap_or(path);
    if let Some(of) = path.strip_prefix("/captures").filter(|of| of.is_empty() || of.starts_with('/')) {
        return captures(method, of, asker, capture);
    }
    if !matches!(path, "/metrics" | "/healthz" | "/readyz") {
        return text(404, "not here; there are /metrics, /healthz, /readyz and /captures");
    }
    if !matches!(method, "GET" | "HEAD") {
        return Response { allow: "GET, HEAD", ..text(405, "only GET and HEAD") };
    }
    match path {
        "/metrics" => Response { status: 200, content_type: CONTENT_TYPE, body: metrics.encode(), allow: "" },
        "/readyz" => match health.not_ready() {
            Some(reason) => text(503, reason),
            None => text(200, "ready"),
        },
        _ => text(200, "ok"),
    }
}

/// The call of this id, or of this number.
fn named(text: &str) -> Option<Ask> {
    let (run, number) = match text.rsplit_once('-') {
        Some((run, number)) => (Some(InstanceNonce::parse(run)?), number),
        None => (None, text),
    };
    Some(Ask::Call { call: CallId(number.parse().ok()?), run })
}

/// Has captures written, of `/captures`, `/captures/<call>` or `/captures/switchboard`. A call is named by its id or by
/// its number alone. It writes to the disk, so nobody may ask but who is on this machine, and no page in a browser there.
fn captures(
    method: &str,
    of: &str,
    asker: Asker,
    capture: impl FnOnce(Ask) -> Result<Vec<String>, &'static str>,
) -> Response {
    let ask = match of.strip_prefix('/') {
        None | Some("") => Some(Ask::All),
        Some("switchboard") => Some(Ask::Switchboard),
        Some(call) => named(call),
    };
    if method != "POST" {
        return Response { allow: "POST", ..text(405, "only POST") };
    }
    if !asker.is_local || asker.is_page {
        return text(403, "only who is on this machine may ask, and no page in a browser");
    }
    let Some(ask) = ask else { return text(404, "no such call") };
    match capture(ask) {
        Ok(names) if names.is_empty() => text(404, "nothing of the kind is under way"),
        Ok(names) => text(202, &names.join("\n")),
        Err(why) => text(409, why),
    }
}

fn text(status: u16, line: &str) -> Response {
    Response { status, content_type: TEXT, body: format!("{line}\n"), allow: "" }
}

impl Response {
    /// The whole answer to a request of this method, after which the connection is closed (RFC 9112 §9.6).
    #[must_use]
    pub fn encode(&self, method: &str) -> Vec<u8> {
        let Self { status, content_type, body, allow } = self;
        let reason = reason(*status);
        let allow = if allow.is_empty() { String::new() } else { format!("Allow: {allow}\r\n") };
        let length = body.len();
        let sent = if method == "HEAD" { "" } else { body };
        format!(
            "HTTP/1.1 {status} {reason}\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\
             {allow}Connection: close\r\n\r\n{sent}"
        )
        .into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Duration;

    fn get(path: &str, health: &Health) -> (u16, String) {
        let Response { status, body, .. } = ask("GET", path, health);
        (status, body)
    }

    const LOCAL: Asker = Asker { is_local: true, is_page: false };

    fn ask(method: &str, path: &str, health: &Health) -> Response {
        respond(method, path, LOCAL, health, &Metrics::new(), |_| unreachable!())
    }

    fn down(http_status: Option<u16>) -> Observation {
        Observation::AriDown { http_status, fault: None, retry_in: Duration::from_millis(500) }
    }

    #[test]
    fn a_process_lives_before_it_is_ready() {
        let health = Health::new();
        assert_eq!(get("/healthz", &health), (200, "ok\n".into()));
        assert_eq!(get("/readyz", &health), (503, "ARI not connected: it has not been up yet\n".into()));
    }

    #[test]
    fn it_is_ready_while_asterisk_hands_it_calls() {
        let mut health = Health::new();
        let mut after = |observation: Observation| {
            health.observe(&observation);
            get("/readyz", &health)
        };
        assert_eq!(after(Observation::AriUp), (200, "ready\n".into()));
        let (status, reason) = after(down(Some(401)));
        assert!(status == 503 && reason.contains("check ARI_USER and ARI_PASSWORD"), "{reason}");
        assert_eq!(after(Observation::AriUp).0, 200);
        let (status, reason) = after(Observation::AppReplaced);
        assert!(status == 503 && reason.contains("another ARI_APP"), "{reason}");
        assert_eq!(after(Observation::CallPanicked).0, 503, "a call says nothing about the link");
        assert_eq!(after(Observation::AriUp).0, 200);
    }

    #[test]
    fn a_stopping_process_says_so_whatever_asterisk_does() {
        let mut health = Health::new();
        health.stopping();
        health.observe(&Observation::AriUp);
        assert_eq!(get("/readyz", &health), (503, "the bridge is stopping\n".into()));
        assert_eq!(get("/healthz", &health).0, 200, "it must not be killed while calls end");
    }

    #[test]
    fn metrics_come_with_the_type_that_they_are_written_in() {
        let answer = ask("GET", "/metrics?x=1", &Health::new());
        assert_eq!((answer.status, answer.content_type), (200, CONTENT_TYPE));
        assert!(answer.body.contains("ari_bridge_active_calls 0\n") && answer.body.ends_with("# EOF\n"));
    }

    #[test]
    fn other_paths_and_methods_are_refused() {
        let ask = |method, path| ask(method, path, &Health::new()).status;
        for path in ["/", "", "/metrics/", "/Metrics", "*", "/../metrics"] {
            assert_eq!(ask("GET", path), 404, "{path}");
        }
        assert_eq!(ask("POST", "/"), 404);
        for method in ["POST", "DELETE", "get", ""] {
            assert_eq!(ask(method, "/metrics"), 405, "{method}");
        }
    }

    #[test]
    fn captures_are_written_for_who_is_on_this_machine() {
        let post = |path, asker, answer: Result<&[&str], &'static str>| {
            let mut asked = None;
            let capture = |ask| {
                asked = Some(ask);
                answer.map(|names| names.iter().map(|name| (*name).to_owned()).collect())
            };
            let response = respond("POST", path, asker, &Health::new(), &Metrics::new(), capture);
            (response.status, response.body, asked)
        };
        for (path, ask) in [
            ("/captures", Ask::All),
            ("/captures/?x", Ask::All),
            ("/captures/17", Ask::Call { call: CallId(17), run: None }),
            (
                "/captures/arib0000beef-17",
                Ask::Call { call: CallId(17), run: Some(InstanceNonce::new(0xBEEF)) },
            ),
            ("/captures/switchboard", Ask::Switchboard),
        ] {
            assert_eq!(post(path, LOCAL, Ok(&["a", "b"])), (202, "a\nb\n".into(), Some(ask)), "{path}");
        }
        assert_eq!(post("/captures/4", LOCAL, Ok(&[])).0, 404);
        assert_eq!(post("/captures", LOCAL, Err("off")), (409, "off\n".into(), Some(Ask::All)));
        for path in ["/captures/x", "/captures/-", "/capturesx"] {
            assert_eq!((post(path, LOCAL, Ok(&[])).0, post(path, LOCAL, Ok(&[])).2), (404, None), "{path}");
        }
        for asker in [Asker { is_local: false, ..LOCAL }, Asker { is_page: true, ..LOCAL }] {
            assert_eq!(
                (post("/captures", asker, Ok(&["a"])).0, post("/captures", asker, Ok(&["a"])).2),
                (403, None)
            );
        }
        let refused = String::from_utf8(ask("GET", "/captures", &Health::new()).encode("GET")).unwrap();
        assert!(refused.starts_with("HTTP/1.1 405 ") && refused.contains("\r\nAllow: POST\r\n"), "{refused}");
    }

    #[test]
    fn an_answer_is_a_whole_http_message() {
        let answer = ask("GET", "/healthz", &Health::new());
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 3\r\n\
                    Connection: close\r\n\r\n";
        assert_eq!(answer.encode("GET"), format!("{head}ok\n").into_bytes());
        assert_eq!(answer.encode("HEAD"), head.as_bytes());
        let refused = ask("POST", "/healthz", &Health::new()).encode("POST");
        assert!(String::from_utf8(refused).unwrap().contains("\r\nAllow: GET, HEAD\r\n"));
    }
}

//! What the admin address answers: `/metrics`, `/healthz`, `/readyz`.

use crate::http::reason;
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
}

/// Answers one request. `path` is the request target; a query is ignored.
#[must_use]
pub fn respond(method: &str, path: &str, health: &Health, metrics: &Metrics) -> Response {
    let path = path.split('?').next().unwrap_or(path);
    if !matches!(path, "/metrics" | "/healthz" | "/readyz") {
        return text(404, "not here; there are /metrics, /healthz and /readyz");
    }
    if !matches!(method, "GET" | "HEAD") {
        return text(405, "only GET and HEAD");
    }
    match path {
        "/metrics" => Response { status: 200, content_type: CONTENT_TYPE, body: metrics.encode() },
        "/readyz" => match health.not_ready() {
            Some(reason) => text(503, reason),
            None => text(200, "ready"),
        },
        _ => text(200, "ok"),
    }
}

fn text(status: u16, line: &str) -> Response {
    Response { status, content_type: TEXT, body: format!("{line}\n") }
}

impl Response {
    /// The whole answer to a request of this method, after which the connection is closed (RFC 9112 §9.6).
    #[must_use]
    pub fn encode(&self, method: &str) -> Vec<u8> {
        let Self { status, content_type, body } = self;
        let reason = reason(*status);
        let allow = if *status == 405 { "Allow: GET, HEAD\r\n" } else { "" };
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
        let Response { status, body, .. } = respond("GET", path, health, &Metrics::new());
        (status, body)
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
        let answer = respond("GET", "/metrics?x=1", &Health::new(), &Metrics::new());
        assert_eq!((answer.status, answer.content_type), (200, CONTENT_TYPE));
        assert!(answer.body.contains("ari_bridge_active_calls 0\n") && answer.body.ends_with("# EOF\n"));
    }

    #[test]
    fn other_paths_and_methods_are_refused() {
        let ask = |method, path| respond(method, path, &Health::new(), &Metrics::new()).status;
        for path in ["/", "", "/metrics/", "/Metrics", "*", "/../metrics"] {
            assert_eq!(ask("GET", path), 404, "{path}");
        }
        assert_eq!(ask("POST", "/"), 404);
        for method in ["POST", "DELETE", "get", ""] {
            assert_eq!(ask(method, "/metrics"), 405, "{method}");
        }
    }

    #[test]
    fn an_answer_is_a_whole_http_message() {
        let answer = respond("GET", "/healthz", &Health::new(), &Metrics::new());
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 3\r\n\
                    Connection: close\r\n\r\n";
        assert_eq!(answer.encode("GET"), format!("{head}ok\n").into_bytes());
        assert_eq!(answer.encode("HEAD"), head.as_bytes());
        let refused = respond("POST", "/healthz", &Health::new(), &Metrics::new()).encode("POST");
        assert!(String::from_utf8(refused).unwrap().contains("\r\nAllow: GET, HEAD\r\n"));
    }
}

//! Requests to ARI: a bounded queue and a few threads that block, as many as Asterisk should be asked at once.

use ari_bridge_core::ari::MAX_REPLY_BYTES;
use ari_bridge_core::call::{IoFault, Method};
use ari_bridge_core::config::Secret;
use std::io;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, SendBody};

use crate::lock;
use crate::socket::fault;

/// How many requests are under way at once. Each holds a thread here and one of Asterisk's 100 HTTP sessions.
const WORKERS: usize = 8;

/// How many requests may wait for a worker.
const MAX_WAITING: usize = 1024;

/// How long an unused connection is kept. Asterisk closes after 15 s, and a request that meets the closing
/// would fail for nothing.
const MAX_IDLE: Duration = Duration::from_secs(10);

/// What came back: status and body, or nothing.
pub type Reply = Result<(u16, Vec<u8>), IoFault>;

/// A request, and whom to tell.
pub(crate) struct Request {
    pub(crate) method: Method,
    /// The whole request target with scheme and host.
    pub(crate) url: String,
    /// JSON, or nothing.
    pub(crate) body: Vec<u8>,
    pub(crate) timeout: Duration,
    pub(crate) deliver: Box<dyn FnOnce(Reply) + Send>,
}

/// The queue. The workers end when the last of its clones is gone.
#[derive(Clone)]
pub(crate) struct Requests {
    queue: SyncSender<(Request, Instant)>,
    authorization: Arc<Mutex<Secret>>,
}

impl Requests {
    /// Starts the workers. `authorization` goes with every request.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub(crate) fn start(authorization: Secret, private_ca: Option<&[u8]>) -> io::Result<Self> {
        let (queue, jobs) = sync_channel(MAX_WAITING);
        let jobs = Arc::new(Mutex::new(jobs));
        let authorization = Arc::new(Mutex::new(authorization));
        let agent = agent(private_ca);
        for n in 0..WORKERS {
            let (agent, jobs, authorization) = (agent.clone(), jobs.clone(), authorization.clone());
            std::thread::Builder::new()
                .name(format!("ari-request-{n}"))
                .spawn(move || work(&agent, &authorization, &jobs))?;
        }
        Ok(Self { queue, authorization })
    }

    /// `authorization` goes with every request that is sent from now on.
    pub(crate) fn authorize(&self, authorization: Secret) {
        *lock(&self.authorization) = authorization;
    }

    /// Queues a request. If the queue is full the answer is [`IoFault::Backlog`], at once.
    pub(crate) fn submit(&self, request: Request) {
        let deadline = Instant::now() + request.timeout;
        if let Err(TrySendError::Full((refused, _)) | TrySendError::Disconnected((refused, _))) =
            self.queue.try_send((request, deadline))
        {
            (refused.deliver)(Err(IoFault::Backlog));
        }
    }
}

fn work(agent: &Agent, authorization: &Mutex<Secret>, jobs: &Mutex<Receiver<(Request, Instant)>>) {
    loop {
        // One worker waits for the next job, the others for it to have one.
        let Ok((request, deadline)) = lock(jobs).recv() else { return };
        let mut reply = attempt(agent, authorization, &request, deadline);
        // The server may close a kept connection at the very moment it is used again. Asking again is safe for
        // what has no effect or the same effect twice; a create is never sent a second time.
        if matches!(reply, Err(IoFault::Reset)) && request.method != Method::Post {
            reply = attempt(agent, authorization, &request, deadline);
        }
        (request.deliver)(reply);
    }
}

fn attempt(agent: &Agent, authorization: &Mutex<Secret>, request: &Request, deadline: Instant) -> Reply {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(IoFault::TimedOut);
    }
    let mut head = ureq::http::Request::builder()
        .method(request.method.as_str())
        .uri(&request.url)
        .header("Authorization", lock(authorization).expose());
    let body = if request.body.is_empty() {
        SendBody::none()
    } else {
        head = head.header("Content-Type", "application/json");
        SendBody::from_owned_reader(io::Cursor::new(request.body.clone()))
    };
    head = head.header("Content-Length", request.body.len());
    let call = head.body(body).map_err(|_| IoFault::Other)?;
    let call = agent.configure_request(call).timeout_global(Some(left)).build();
    let mut response = agent.run(call).map_err(|error| sort(&error))?;
    let limit = u64::try_from(MAX_REPLY_BYTES).unwrap_or(u64::MAX);
    let body = response.body_mut().with_config().limit(limit).read_to_vec().map_err(|error| sort(&error))?;
    Ok((response.status().as_u16(), body))
}

fn agent(private_ca: Option<&[u8]>) -> Agent {
    let roots = private_ca.map_or(RootCerts::WebPki, |pem| {
        let certificates: Vec<_> = ureq::tls::parse_pem(pem)
            .filter_map(|item| match item {
                Ok(ureq::tls::PemItem::Certificate(certificate)) => Some(certificate),
                _ => None,
            })
            .collect();
        RootCerts::new_with_certs(&certificates)
    });
    Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        // Asterisk is on this machine or in this network; HTTPS_PROXY is for the Realtime server.
        .proxy(None)
        .allow_non_standard_methods(true)
        .max_idle_connections(WORKERS)
        .max_idle_connections_per_host(WORKERS)
        .max_idle_age(MAX_IDLE)
        .tls_config(TlsConfig::builder().root_certs(roots).build())
        .build()
        .new_agent()
}

fn sort(error: &ureq::Error) -> IoFault {
    use ureq::Error;
    match error {
        Error::HostNotFound => IoFault::Resolve,
        Error::ConnectionFailed => IoFault::Refused,
        Error::Timeout(_) => IoFault::TimedOut,
        Error::Io(error) => fault(error),
        Error::Tls(_) | Error::Rustls(_) | Error::Pem(_) | Error::TlsRequired => IoFault::Tls,
        Error::Protocol(_) | Error::Http(_) | Error::BodyExceedsLimit(_) | Error::LargeResponseHeader(..) => {
            IoFault::Protocol
        }
        _ => IoFault::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::sync::mpsc;

    /// A server that answers as many requests per connection as `answers` says, then hangs up on the next one
    /// after having read it. It tells the request lines that it saw.
    fn server(answers: usize) -> (String, mpsc::Receiver<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/ari/x", listener.local_addr().unwrap());
        let (seen, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for stream in listener.incoming().take(3) {
                let mut stream = stream.unwrap();
                for n in 0..=answers {
                    let (mut head, mut byte) = (Vec::new(), [0]);
                    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|n| n == 1) {
                        head.extend(byte);
                    }
                    let head = String::from_utf8(head).unwrap();
                    let Some(line) = head.lines().next() else { break };
                    seen.send(line.to_owned()).unwrap();
                    if n < answers {
                        stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}").unwrap();
                    }
                }
            }
        });
        (url, lines)
    }

    fn ask(requests: &Requests, method: Method, url: &str) -> Reply {
        let (tell, told) = mpsc::channel();
        let deliver = Box::new(move |reply| tell.send(reply).unwrap());
        requests.submit(Request {
            method,
            url: url.to_owned(),
            body: Vec::new(),
            timeout: Duration::from_secs(5),
            deliver,
        });
        told.recv_timeout(Duration::from_secs(10)).unwrap()
    }

    #[test]
    fn a_refusal_is_a_reply_and_a_dead_port_is_a_fault() {
        let requests = Requests::start(Secret::new("Basic eA=="), None).unwrap();
        let (url, _lines) = server(1);
        assert_eq!(ask(&requests, Method::Get, &url), Ok((404, b"{}".to_vec())));
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert_eq!(ask(&requests, Method::Get, &format!("http://{closed}/")), Err(IoFault::Refused));
    }

    #[test]
    fn a_create_is_never_sent_twice_while_a_delete_is_repeated_once() {
        let requests = Requests::start(Secret::new("Basic eA=="), None).unwrap();
        let (url, lines) = server(0);
        assert_eq!(ask(&requests, Method::Post, &url), Err(IoFault::Reset));
        assert_eq!(lines.try_iter().count(), 1);
        assert_eq!(ask(&requests, Method::Delete, &url), Err(IoFault::Reset));
        assert_eq!(lines.try_iter().count(), 2);
    }
}

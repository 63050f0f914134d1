//! `ari-bridge check`: asks Asterisk, the system and the Realtime server what a call will need of them. What the
//! answers mean is judged in core.

use ari_bridge_core::call::{IoFault, Method};
use ari_bridge_core::check::{
    HttpAnswer, RealtimeAnswer, Report, application, asterisk_info, modules, modules_for, ports, prompt,
    realtime,
};
use ari_bridge_core::config::Config;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::mpsc;
use std::time::Duration;

use crate::error::RunError;
use crate::requests::{Reply, Request, Requests};
use crate::runtime::Runtime;
use crate::shared::read_ca;
use crate::socket::{OpenError, fault};
use crate::terms::{read_prompt, realtime_target};
use crate::tls::tls_config;
use crate::websocket::Incoming;

/// How long the first message of a Realtime server may take.
pub const GREETING_TIMEOUT: Duration = PATIENCE;

/// How long each answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Looks at everything that a call needs, without making a call or spending anything on the model.
///
/// # Errors
///
/// If it cannot even begin: a CA file that cannot be used, or no threads.
pub fn check(runtime: &Runtime, config: &Config) -> Result<Report, RunError> {
    let private_ca = read_ca(config)?;
    if let Some(pem) = &private_ca {
        tls_config(Some(pem)).map_err(RunError::Tls)?;
    }
    let requests =
        Requests::start(config.ari.authorization(), private_ca.as_deref()).map_err(RunError::Threads)?;
    let mut report = Report::new(config);
    let info = get(&requests, config, "/asterisk/info");
    let asterisk = asterisk_info(borrowed(&info));
    let is_there = asterisk.result.is_ok();
    report.push(asterisk);
    // Without Asterisk the other questions to it would only repeat the answer.
    if is_there {
        let app = &config.ari.app;
        report.push(application(borrowed(&get(&requests, config, &format!("/applications/{app}"))), app));
        let needed = modules_for(config.media.format);
        let replies: Vec<_> =
            needed.iter().map(|name| get(&requests, config, &format!("/asterisk/modules/{name}"))).collect();
        let answers: Vec<_> = needed.iter().copied().zip(replies.iter().map(borrowed)).collect();
        report.push(modules(&answers));
    }
    let (bindable, busy, other) = bind_all(config);
    report.push(ports(&config.rtp, bindable, &busy, other));
    for (which, path) in config.prompts.iter() {
        let file = read_prompt(path).map_err(|error| error.to_string());
        report.push(prompt(which, path, file.as_deref().map_err(String::as_str)));
    }
    let greeting = match tls_config(None) {
        Ok(tls) => (runtime.greet)(&realtime_target(config, tls)),
        Err(_) => Greeting::Refused(OpenError::Fault(IoFault::Tls)),
    };
    report.push(realtime(greeting.answer()));
    Ok(report)
}

fn get(requests: &Requests, config: &Config, path: &str) -> Reply {
    let (tell, told) = mpsc::channel();
    requests.submit(Request {
        method: Method::Get,
        url: config.ari.rest_url(path),
        body: Vec::new(),
        timeout: PATIENCE,
        deliver: Box::new(move |reply| drop(tell.send(reply))),
    });
    told.recv().unwrap_or(Err(IoFault::Other))
}

fn borrowed(reply: &Reply) -> HttpAnswer<'_> {
    match reply {
        Ok((status, body)) => Ok((*status, body)),
        Err(fault) => Err(*fault),
    }
}

/// Binds every media port for a moment: how many could be, which are in use, and what else went wrong.
fn bind_all(config: &Config) -> (usize, Vec<u16>, Option<IoFault>) {
    let (mut bindable, mut busy, mut other) = (0, Vec::new(), None);
    for port in config.rtp.port_start..=config.rtp.port_end {
        match UdpSocket::bind(SocketAddr::new(config.rtp.bind, port)) {
            Ok(_) => bindable += 1,
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => busy.push(port),
            Err(error) => other = Some(fault(&error)),
        }
    }
    (bindable, busy, other)
}

/// What the Realtime server did when its socket was opened.
pub enum Greeting {
    /// There is no socket.
    Refused(OpenError),
    /// There is one, and this came.
    Said(Incoming),
    /// There is one, and nothing came within [`GREETING_TIMEOUT`].
    Nothing,
}

impl Greeting {
    fn answer(&self) -> RealtimeAnswer<'_> {
        match self {
            Self::Refused(OpenError::Refused { status, .. }) => RealtimeAnswer::Refused { status: *status },
            Self::Refused(OpenError::Fault(fault)) | Self::Said(Incoming::Broken(fault)) => {
                RealtimeAnswer::Fault(*fault)
            }
            Self::Said(Incoming::Message(bytes)) => RealtimeAnswer::Message(bytes),
            Self::Said(Incoming::Closed { code, reason }) => RealtimeAnswer::Closed { code: *code, reason },
            Self::Said(Incoming::Alive) | Self::Nothing => RealtimeAnswer::Fault(IoFault::TimedOut),
        }
    }
}

//! The peers of the bridge in a scene: what is sent to them, and what they answer.

use super::mail::{Knock, Letter, Note, Parcel};
use super::{Scene, server};
use ari_bridge_core::actions::Span;
use ari_bridge_core::call::{self, IoFault};
use ari_bridge_core::id::{CallId, LegId, LinkId, RequestId};
use ari_bridge_core::realtime::Dialect;
use ari_bridge_core::sim::asterisk as pbx;
use ari_bridge_core::sim::realtime::{Agent, Parrot, Realtime, check_client_message};
use ari_bridge_core::time::Duration;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use core::net::SocketAddr;

impl Scene {
    pub(super) fn request(&mut self, call: Option<CallId>, id: RequestId, method: call::Method, path: &str) {
        self.last_request += 1;
        self.requests.insert(self.last_request, (call, id));
        let knock = Knock::Request(self.last_request, method.as_str(), format!("/ari{path}"));
        self.send(Parcel::Asterisk(knock));
    }

    pub(super) fn open_media(&mut self, call: CallId, leg: LegId) {
        if self.stage.no_ports {
            return self.send(Parcel::Call(call, Letter::MediaDown(leg, IoFault::NoPort)));
        }
        self.last_port += 1;
        let local = SocketAddr::from(([127, 0, 0, 1], self.last_port));
        if let Some(party) = self.parties.get_mut(&call) {
            party.local = Some((leg, local));
        }
        self.send(Parcel::Call(call, Letter::MediaUp(leg, local)));
    }

    pub(super) fn open_realtime(&mut self, call: CallId, link: LinkId) {
        if self.stage.no_realtime {
            let down = Letter::RealtimeDown(link, None, None, Vec::new(), Some(IoFault::Refused));
            return self.send(Parcel::Call(call, down));
        }
        let agent: Box<dyn Agent> = match (self.stage.agent.take(), &self.stage.greeting) {
            (Some(agent), _) => agent,
            (None, Some(greeting)) => Box::new(Parrot::greeting_with(greeting.clone(), 24_000)),
            (None, None) => Box::new(Parrot::new()),
        };
        let realtime = Realtime::new(
            server::Settings {
                seed: call.0,
                g711: self.stage.g711,
                dialect: self.stage.call.session.dialect,
                ..server::Settings::default()
            },
            agent,
        );
        if let Some(party) = self.parties.get_mut(&call) {
            party.server = Some((realtime, None));
        }
        self.send(Parcel::Call(call, Letter::RealtimeUp(link)));
        if self.stage.mute_realtime {
            return;
        }
        let target = format!("/v1/realtime?model={}", self.stage.model);
        let authorization = format!("Bearer {}", self.stage.api_key);
        let api_key = self.stage.api_key.clone();
        let is_azure = self.stage.call.session.dialect == Dialect::Azure;
        let opened = server::Input::Opened {
            target: &target,
            authorization: Some(authorization.as_str()).filter(|_| !is_azure),
            api_key: Some(api_key.as_str()).filter(|_| is_azure),
            beta: false,
        };
        self.step_server(call, opened);
    }

    pub(super) fn send_realtime(&mut self, call: CallId, out: &call::Actions, bytes: Span) {
        let text = out.text(bytes);
        let append = text.strip_prefix(r#"{"type":"input_audio_buffer.append","audio":""#);
        if let Some(audio) = append.and_then(|rest| rest.strip_suffix(r#""}"#)) {
            // Base64 of 48 bytes a millisecond; a whole number of milliseconds needs no padding.
            self.model_audio.extend(BASE64_STANDARD.decode(audio).expect("an append is base64"));
            self.audio_sent += Duration::from_millis(audio.len() as u64 / 64);
        } else {
            let dialect = self.stage.call.session.dialect;
            check_client_message(dialect, text.as_bytes()).unwrap_or_else(|why| panic!("{why}: {text}"));
            self.client_events.push(text.to_owned());
        }
        self.send(Parcel::Server(call, text.as_bytes().to_vec()));
    }

    pub(super) fn step_server(&mut self, call: CallId, input: server::Input<'_>) {
        let Some((realtime, deadline)) = self.parties.get_mut(&call).and_then(|party| party.server.as_mut())
        else {
            return;
        };
        let mut out = server::Actions::new();
        *deadline = realtime.step(self.now, input, &mut out).deadline;
        for action in out.iter() {
            let letter = match action {
                server::Output::Send(text) => Letter::Realtime(LinkId(1), out.bytes(text).to_vec()),
                server::Output::Close { code, reason } => {
                    if let Some(party) = self.parties.get_mut(&call) {
                        party.server = None;
                    }
                    Letter::RealtimeDown(LinkId(1), None, Some(code), out.bytes(reason).to_vec(), None)
                }
            };
            self.send_after(self.stage.server_lag, Parcel::Call(call, letter));
        }
    }

    pub(super) fn step_asterisk(&mut self, input: pbx::Input<'_>) {
        let mut out = pbx::Actions::new();
        self.asterisk_next = self.asterisk.step(self.now, input, &mut out).deadline;
        self.perform_asterisk(&out);
    }

    pub(super) fn perform_asterisk(&mut self, out: &pbx::Actions) {
        use pbx::Output;
        for action in out.iter() {
            match action {
                Output::Reply { id, status, body } => {
                    let body = out.bytes(body).to_vec();
                    match self.requests.remove(&id) {
                        Some((Some(call), id)) => {
                            self.send(Parcel::Call(call, Letter::Reply(id, status, body)))
                        }
                        Some((None, id)) => self.send(Parcel::Switchboard(Note::Reply(id, status, body))),
                        None => {}
                    }
                }
                Output::Accepted { .. } => self.send(Parcel::Switchboard(Note::Up)),
                Output::Refused { status, .. } => {
                    self.send(Parcel::Switchboard(Note::Down(Some(status), None)))
                }
                Output::Event { text, .. } => {
                    self.send(Parcel::Switchboard(Note::Event(out.bytes(text).to_vec())));
                }
                Output::CloseSocket { .. } => {
                    self.send(Parcel::Switchboard(Note::Down(None, Some(IoFault::Reset))));
                }
                Output::SendRtp { from_port, to, bytes } => {
                    self.media(from_port, to, out.bytes(bytes).to_vec())
                }
                Output::Heard { caller, pcm } => {
                    if let Some(caller) = self.callers.get_mut(&caller) {
                        caller.hear(out.bytes(pcm));
                    }
                }
                Output::CallerState { caller, state } => {
                    self.states.insert(caller, state);
                }
                Output::BindRtp { .. } | Output::UnbindRtp { .. } => {}
            }
        }
    }

    pub(super) fn media(&mut self, from_port: u16, to: SocketAddr, datagram: Vec<u8>) {
        let from = SocketAddr::new(self.stage.asterisk.rtp_host, from_port);
        let call = self.parties.iter().find_map(|(call, party)| {
            party.local.filter(|(_, local)| *local == to).map(|(leg, _)| (*call, leg))
        });
        if let Some((call, leg)) = call {
            self.send(Parcel::Call(call, Letter::Media(leg, from, datagram)));
        }
    }
}

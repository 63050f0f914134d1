//! The connections of a scene's bridge to ARI, and all that breaks them.

use super::Scene;
use super::mail::{Knock, Letter, Note, Parcel};
use ari_bridge_core::call::{self, IoFault};
use ari_bridge_core::id::{CallId, RequestId};
use ari_bridge_core::sim::asterisk as pbx;
use ari_bridge_core::time::Duration;

/// How the event socket and the requests of another client of ARI are named.
const STRANGER: u64 = u64::MAX;

/// What concerns the connections as a bridge makes and uses them. Each attempt to open the event socket is a socket of
/// its own, and of one that has ended or was closed nothing more arrives.
impl Scene {
    pub(super) fn open_event_socket(&mut self) {
        assert_eq!(self.events, None, "the event socket was opened twice");
        self.last_events += 1;
        self.events = Some(self.last_events);
        self.send(Parcel::Asterisk(Knock::Events(self.last_events)));
    }

    pub(super) fn ping_asterisk(&mut self) {
        if let Some(socket) = self.events {
            self.send(Parcel::Asterisk(Knock::Ping(socket)));
        }
    }

    pub(super) fn close_event_socket(&mut self) {
        if let Some(socket) = self.events.take() {
            self.send(Parcel::Asterisk(Knock::CloseEvents(socket)));
        }
    }

    pub(super) fn open_events_note(&mut self, socket: u64, note: &Note) {
        if self.events == Some(socket) {
            if matches!(note, Note::Down(..)) {
                self.events = None;
            }
            self.step_switchboard(note.input());
        }
    }

    pub(super) fn request(
        &mut self,
        call: Option<CallId>,
        id: RequestId,
        method: call::Method,
        path: &str,
        timeout: Duration,
    ) {
        self.last_request += 1;
        self.requested.push((self.now, format!("{} {path}", method.as_str())));
        self.waits_for.sent(call, id, method.as_str(), path);
        self.requests.insert(self.last_request, (call, id));
        if self.queue_is_full() {
            return self.request_fails(self.last_request, IoFault::Backlog);
        }
        let knock = Knock::Request(self.last_request, method.as_str(), format!("/ari{path}"));
        self.send(Parcel::Asterisk(knock));
        self.send_after(timeout, Parcel::Overdue(self.last_request));
    }

    pub(super) fn request_fails(&mut self, request: u64, fault: IoFault) {
        match self.requests.remove(&request) {
            Some((Some(call), id)) => self.send(Parcel::Call(call, Letter::Failed(id, fault))),
            Some((None, id)) => self.send(Parcel::Switchboard(Note::Failed(id, fault))),
            None => {}
        }
    }

    pub(super) fn open_knock(&mut self, knock: &Knock) {
        let authorization = basic(&self.stage.asterisk.user, &self.stage.password);
        let authorization = Some(authorization.as_str());
        let nobody_listens = self.stage.no_asterisk || !self.asterisk.is_running();
        match knock {
            Knock::Events(socket) if nobody_listens || self.now < self.events_away_until => {
                self.send(Parcel::Events(*socket, Note::Down(None, Some(IoFault::Refused))));
            }
            Knock::Events(socket) => {
                let target = format!("/ari/events?app={}", self.stage.call.ari_app);
                let target = target.as_str();
                self.step_asterisk(pbx::Input::EventsOpened { socket: *socket, target, authorization });
            }
            Knock::CloseEvents(socket) => {
                self.step_asterisk(pbx::Input::EventsClosed { socket: *socket });
            }
            Knock::Ping(socket) => {
                if self.asterisk.answers_pings(*socket) {
                    self.send(Parcel::Events(*socket, Note::Pong));
                }
            }
            Knock::Request(id, ..) if nobody_listens || self.now < self.requests_away_until => {
                self.request_fails(*id, IoFault::Refused);
            }
            Knock::Request(id, method, target) => {
                self.befalls_a_request(method, target);
                self.step_asterisk(pbx::Input::Request { id: *id, method, target, authorization, body: b"" });
            }
            Knock::Datagram(local_port, from, bytes) => {
                self.step_asterisk(pbx::Input::Datagram { local_port: *local_port, from: *from, bytes });
            }
        }
    }
}

/// What a test does to the connections, and to Asterisk.
impl Scene {
    /// Asterisk is started, or can be reached again.
    pub fn asterisk_comes_up(&mut self) {
        self.stage.no_asterisk = false;
        (self.events_away_until, self.requests_away_until) = (self.now, self.now);
    }

    /// The event socket breaks; what happens until it is back, nobody tells.
    pub fn cut_event_socket(&mut self) {
        let mut out = pbx::Actions::new();
        self.asterisk.close_sockets(&mut out);
        self.perform_asterisk(&out);
    }

    /// The same, and for so long nobody gets another one. Requests go through.
    pub fn event_socket_goes_away(&mut self, duration: Duration) {
        self.events_away_until = self.now + duration;
        self.cut_event_socket();
    }

    /// For so long nobody gets through to ARI, neither for events nor with requests; media passes.
    pub fn ari_goes_away(&mut self, duration: Duration) {
        self.requests_away_until = self.now + duration;
        self.event_socket_goes_away(duration);
    }

    /// Nothing passes on the event socket any more, and nobody is told. Requests go through, and so does another event
    /// socket.
    /// Returns whether there is one.
    pub fn event_socket_goes_half_open(&mut self) -> bool {
        self.events.into_iter().for_each(|socket| self.asterisk.falls_half_open(socket));
        self.events.is_some()
    }

    /// Asterisk is gone for so long, with all channels; requests that it has not answered it never does.
    pub fn asterisk_restarts(&mut self, away_for: Duration) {
        let mut out = pbx::Actions::new();
        self.asterisk.stop(&mut out);
        self.asterisk_next = None;
        self.perform_asterisk(&out);
        for request in self.requests.keys().copied().collect::<Vec<_>>() {
            self.request_fails(request, IoFault::Reset);
        }
        self.run_for(away_for);
        self.asterisk_next = self.asterisk.start(self.now).deadline;
    }

    /// What the faults of the stand-in hold goes on.
    pub fn release_asterisk(&mut self) {
        let mut out = pbx::Actions::new();
        self.asterisk_next = self.asterisk.release(self.now, &mut out).deadline;
        self.perform_asterisk(&out);
    }

    /// Another client of ARI registers the application of the bridge.
    pub fn another_client_registers(&mut self) {
        let authorization = basic(&self.stage.asterisk.user, &self.stage.asterisk.password);
        let target = format!("/ari/events?app={}", self.stage.call.ari_app);
        let authorization = Some(authorization.as_str());
        self.step_asterisk(pbx::Input::EventsOpened { socket: STRANGER, target: &target, authorization });
    }

    /// It goes away again.
    pub fn another_client_leaves(&mut self) {
        self.step_asterisk(pbx::Input::EventsClosed { socket: STRANGER });
    }

    /// What Asterisk answers another client of ARI: the status, and the body if it is JSON.
    ///
    /// # Panics
    ///
    /// If it does not answer at once.
    pub fn ask_asterisk(&mut self, method: &str, target: &str) -> (u16, serde_json::Value) {
        let authorization = basic(&self.stage.asterisk.user, &self.stage.asterisk.password);
        let authorization = Some(authorization.as_str());
        let mut out = pbx::Actions::new();
        let input = pbx::Input::Request { id: STRANGER, method, target, authorization, body: b"" };
        let faults = core::mem::take(&mut self.asterisk.faults);
        self.asterisk_next = self.asterisk.step(self.now, input, &mut out).deadline;
        self.asterisk.faults = faults;
        self.perform_asterisk(&out);
        let reply = |output| match output {
            pbx::Output::Reply { id: STRANGER, status, body } => {
                Some((status, serde_json::from_slice(out.bytes(body)).unwrap_or_default()))
            }
            _ => None,
        };
        out.iter().find_map(reply).expect("an answer")
    }

    /// Another client of ARI calls somebody into the application of the bridge.
    pub fn another_client_calls(&mut self, caller: u64, speech: &[i16]) {
        self.meet(caller, speech);
        self.step_asterisk(pbx::Input::Originate { caller, number: "4930654321" });
    }

    /// The telephone of a caller makes an attended transfer: `by` has its place, and is going to say `speech`.
    pub fn transfers(&mut self, caller: u64, by: u64, speech: &[i16]) {
        self.meet(by, speech);
        self.step_asterisk(pbx::Input::Transfer { caller, by, number: "4930654321" });
    }
}

fn basic(user: &str, password: &str) -> String {
    use base64::Engine as _;
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}")))
}

//! Asterisk in a scene: what is sent to it, and what it answers.

use super::Scene;
use super::mail::{Letter, Note, Parcel};
use super::process::FIRST_PORT;
use ari_bridge_core::call::IoFault;
use ari_bridge_core::id::{CallId, LegId};
use ari_bridge_core::sim::asterisk as pbx;
use ari_bridge_core::sim::caller::Caller;
use core::net::SocketAddr;

/// How loud something is that is heard, as the root of the mean square: -50 dBFS.
const AUDIBLE_RMS: u16 = 100;

impl Scene {
    pub(super) fn open_media(&mut self, call: CallId, leg: LegId) {
        if self.stage.no_ports {
            return self.send(Parcel::Call(call, Letter::MediaDown(leg, IoFault::NoPort)));
        }
        let others = FIRST_PORT..FIRST_PORT + self.ports_of_others;
        let mut port = self.ports.next(self.now);
        while let Some(taken) = port.filter(|port| others.contains(port)) {
            self.ports.busy(taken);
            port = self.ports.next(self.now);
        }
        let Some(port) = port else {
            return self.send(Parcel::Call(call, Letter::MediaDown(leg, IoFault::NoPort)));
        };
        self.ports.taken(port);
        let local = SocketAddr::from(([127, 0, 0, 1], port));
        if let Some(party) = self.parties.get_mut(&call) {
            party.local = Some((leg, local));
        }
        self.send(Parcel::Call(call, Letter::MediaUp(leg, local)));
    }

    pub(super) fn close_media(&mut self, call: CallId) {
        let local = self.parties.get_mut(&call).and_then(|party| party.local.take());
        if let Some((_, local)) = local {
            self.ports.release(local.port(), self.now);
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
                    let Some((owner, id)) = self.requests.remove(&id) else { continue };
                    for _ in 0..1 + usize::from(self.comes_twice()) {
                        let body = body.clone();
                        self.send(match owner {
                            Some(call) => Parcel::Call(call, Letter::Reply(id, status, body)),
                            None => Parcel::Switchboard(Note::Reply(id, status, body)),
                        });
                    }
                }
                Output::Accepted { socket } => self.send(Parcel::Events(socket, Note::Up)),
                Output::Refused { socket, status } => {
                    self.send(Parcel::Events(socket, Note::Down(Some(status), None)));
                }
                Output::Event { socket, text } => {
                    self.send(Parcel::Events(socket, Note::Event(out.bytes(text).to_vec())));
                }
                Output::CloseSocket { socket } => {
                    self.send(Parcel::Events(socket, Note::Down(None, Some(IoFault::Reset))));
                }
                Output::SendRtp { from_port, to, bytes } => {
                    self.media(from_port, to, out.bytes(bytes).to_vec())
                }
                Output::Heard { caller, pcm } => self.hear(caller, out.bytes(pcm)),
                Output::CallerState { caller, state } => {
                    self.states.insert(caller, state);
                }
                Output::BindRtp { .. } | Output::UnbindRtp { .. } => {}
            }
        }
    }

    fn hear(&mut self, caller: u64, frame: &[u8]) {
        let samples: Vec<i16> =
            frame.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect();
        if Caller::loud_frames_of(&samples, AUDIBLE_RMS) > 0 || !self.last_heard.contains_key(&caller) {
            self.last_heard.insert(caller, self.now);
        }
        if let Some(caller) = self.callers.get_mut(&caller) {
            caller.hear(frame);
        }
    }

    pub(super) fn media(&mut self, from_port: u16, to: SocketAddr, datagram: Vec<u8>) {
        let from = SocketAddr::new(self.stage.asterisk.rtp_host, from_port);
        let call = self.parties.iter().find_map(|(call, party)| {
            party.local.filter(|(_, local)| *local == to).map(|(leg, _)| (*call, leg))
        });
        if let Some((call, leg)) = call {
            let (from, packets) = self.passes_up(from, datagram);
            for (lag, packet) in packets.into_iter().flatten() {
                self.send_after(lag, Parcel::Call(call, Letter::Media(leg, from, packet)));
            }
        }
    }
}

//! The process of the bridge in a scene: a switchboard and its calls, from the start to the end or to a `kill -9`.

use super::mail::{Knock, Letter, Note, Parcel};
use super::stage::Performance;
use super::{Line, Party, Said, Scene, tick};
use crate::oracle::Oracle;
use crate::taped::{Encore, Taped};
use ari_bridge_core::actions::Actions;
use ari_bridge_core::call::{self, EndReason, IoFault, Origin, Record, Start, StopReason};
use ari_bridge_core::capture::SwitchboardStart;
use ari_bridge_core::id::{CallId, InstanceNonce};
use ari_bridge_core::ports::PortPool;
use ari_bridge_core::settings::SwitchboardSettings;
use ari_bridge_core::switchboard;
use ari_bridge_core::time::{Duration, UtcNanos};
use core::net::SocketAddr;
use std::hash::Hash as _;

/// The lowest UDP port of the bridge.
pub(super) const FIRST_PORT: u16 = 30_000;

/// What a process waits for that is not there.
pub(super) const NOTHING: switchboard::Next = switchboard::Next { deadline: None, finished: true };

/// What is done to the process.
impl Scene {
    /// The bridge is started, with another nonce and another seed than before.
    pub fn bridge_starts(&mut self) {
        assert!(self.switchboard.is_none(), "the bridge is running");
        let settings = SwitchboardSettings {
            ari_app: self.stage.call.ari_app.clone(),
            max_calls: Some(self.stage.max_calls),
            ports: self.stage.ports,
            adopt: self.stage.adopt,
            drain: self.stage.drain,
            fallback: self.stage.call.fallback.clone(),
            breaker: self.stage.breaker,
            max_cost_per_day: self.stage.max_cost_per_day,
        };
        let nonce = InstanceNonce::new(0x5ce0e + self.starts);
        let seed = 7 + u64::from(self.starts);
        self.starts += 1;
        self.drained = false;
        let last_port = FIRST_PORT + self.stage.ports as u16 - 1;
        self.ports = PortPool::new(FIRST_PORT, last_port);
        let mut out = switchboard::Actions::new();
        self.switchboard_last = tick(self.now, self.switchboard_last);
        let start = SwitchboardStart { nonce, seed, utc: UtcNanos(0) };
        let encore = Encore::Always(self.stage.shelf.clone());
        let (switchboard, next) =
            Taped::begin(&settings, start, self.switchboard_last, &mut out, self.stage.tape_bytes, encore);
        (self.switchboard, self.switchboard_next) = (Some(switchboard), next);
        self.perform_switchboard(&out);
    }

    /// `kill -9`: the switchboard and all calls are gone in the middle of whatever they do. What was sent arrives.
    pub fn bridge_crashes(&mut self) {
        assert!(self.switchboard.is_some(), "the bridge is not running");
        self.process_is_gone();
    }

    pub(super) fn process_is_gone(&mut self) {
        (self.switchboard, self.switchboard_next) = (None, NOTHING);
        for call in self.parties.keys().copied().collect::<Vec<_>>() {
            self.hang_up_links(call);
        }
        self.parties.clear();
        self.past_sockets.append(&mut self.sockets);
        self.requests.clear();
        self.waits_for.forget();
        self.close_event_socket();
        let of_asterisk =
            |parcel: &Parcel| matches!(parcel, Parcel::Asterisk(_) | Parcel::Release | Parcel::EventsFlow);
        self.parcels.retain(|(_, parcel)| of_asterisk(parcel));
    }

    /// The process is told to stop.
    pub fn drain(&mut self) {
        self.send(Parcel::Switchboard(Note::Drain));
    }

    /// The process is told to stop at once.
    pub fn stop_now(&mut self) {
        self.send(Parcel::Switchboard(Note::StopNow));
    }
}

/// What the process does.
impl Scene {
    pub(super) fn step_switchboard(&mut self, input: switchboard::Input<'_>) {
        let mut out = switchboard::Actions::new();
        self.switchboard_last = tick(self.now, self.switchboard_last);
        let Some(switchboard) = &mut self.switchboard else { return };
        if let switchboard::Input::AriReply { id, .. } | switchboard::Input::AriFailed { id, .. } = input {
            self.waits_for.settled(None, id);
        }
        let is_timer = matches!(input, switchboard::Input::Timer);
        self.switchboard_next = switchboard.step(self.switchboard_last, input, &mut out);
        self.note(0, &out, self.switchboard_next);
        let deadline = self.switchboard_next.deadline;
        if let Some((at, wake)) = deadline.filter(|(at, _)| *at <= self.switchboard_last) {
            assert!(!is_timer, "a deadline of the switchboard in the past: {at} {wake:?}");
        }
        self.perform_switchboard(&out);
    }

    fn perform_switchboard(&mut self, out: &switchboard::Actions) {
        use switchboard::Action;
        for action in out.iter() {
            match action {
                Action::OpenAri => self.open_event_socket(),
                Action::PingAri => self.ping_asterisk(),
                Action::CloseAri => self.close_event_socket(),
                Action::Ari { id, method, path, timeout } => {
                    self.request(None, id, method, out.text(path), timeout);
                }
                Action::StartCall { call, ids, seed, entry, about, caller } => {
                    let tag = self.stage.safety.then(|| {
                        let mut tag = [0; 32];
                        tag.iter_mut().zip(out.bytes(caller)).for_each(|(to, from)| *to = *from);
                        tag
                    });
                    let start = Start {
                        ids,
                        seed,
                        utc: UtcNanos(self.stage.server.utc.0.saturating_add(self.now.as_nanos())),
                        caller_tag: tag,
                        media: self.stage.media,
                        origin: Origin::new(entry, out.bytes(about)),
                    };
                    self.start_call(call, start);
                }
                Action::ToCall { call, event } => {
                    self.send(Parcel::Call(call, Letter::Event(out.bytes(event).to_vec())));
                }
                Action::ToAll(state) => {
                    for call in self.parties.keys().copied().collect::<Vec<_>>() {
                        self.send(Parcel::Call(call, Letter::Link(state)));
                    }
                }
                Action::StopCall { call, reason } => self.send(Parcel::Call(call, Letter::Stop(reason))),
                Action::Observe(observation) => self.observations.push((self.now, observation)),
                Action::Finish => {
                    self.drained = true;
                    self.process_is_gone();
                }
            }
        }
    }

    fn start_call(&mut self, id: CallId, start: Start<'_>) {
        let mut out = call::Actions::new();
        let encore = Encore::Always(self.stage.shelf.clone());
        let (call, next) =
            Taped::begin(&self.stage.call, start, self.now, &mut out, self.stage.tape_bytes, encore);
        let oracle = Oracle::new(&self.stage.call, self.stage.media.format);
        let (prefix, now) = (format!("{}-", start.ids), self.now);
        self.calls_started += 1;
        let party = Party {
            call,
            next,
            last: now,
            local: None,
            oracle,
            prefix,
            began: now,
            is_ending: false,
            may_leave: false,
            is_answered: false,
            gave_audio: None,
        };
        let twin = self.parties.insert(id, party);
        assert!(twin.is_none(), "there is a call {id:?} already");
        assert!(self.parties.len() <= self.stage.max_calls, "more calls than may be");
        self.note(id.0, &out, next);
        self.watch(id, true, &out);
        self.perform_call(id, &out);
    }

    pub(super) fn step_call(&mut self, id: CallId, input: call::Input<'_>) {
        let Some(party) = self.parties.get_mut(&id) else { return };
        let mut out = call::Actions::new();
        party.last = tick(self.now, party.last);
        match input {
            call::Input::RealtimeUp { link } => party.oracle.realtime_up(link),
            call::Input::Realtime { link, bytes } => party.oracle.server_said(link, bytes),
            call::Input::RealtimeDown { link, .. } => party.oracle.realtime_down(link),
            call::Input::AriReply { id: request, .. } | call::Input::AriFailed { id: request, .. } => {
                self.waits_for.settled(Some(id), request);
            }
            call::Input::Stop(StopReason::AsteriskRestarted) => self.waits_for.asterisk_restarted(id),
            call::Input::Stop(_) => party.may_leave = true,
            _ => {}
        }
        let is_timer = matches!(input, call::Input::Timer);
        let next = party.call.step(party.last, input, &mut out);
        party.next = next;
        self.note(id.0, &out, next);
        self.watch(id, is_timer, &out);
        self.perform_call(id, &out);
    }

    /// Takes what a machine did into the digest.
    fn note<A: std::hash::Hash>(&mut self, of: u64, out: &Actions<A>, next: impl std::hash::Hash) {
        self.steps += 1;
        of.hash(&mut self.digest);
        out.hash(&mut self.digest);
        next.hash(&mut self.digest);
    }

    /// Holds what a call did against what holds of every call.
    fn watch(&mut self, id: CallId, is_timer: bool, out: &call::Actions) {
        let Some(party) = self.parties.get_mut(&id) else { return };
        party.oracle.check_step(party.last, is_timer, &party.next, out);
        let (host, ports) = (self.stage.asterisk.rtp_host, &self.stage.asterisk.rtp_ports);
        for action in out.iter() {
            let is_told = |to: SocketAddr| to.ip() == host && ports.contains(&to.port());
            party.oracle.check_action(party.last, action, out, is_told);
            if let Some(sabotage) = self.stage.sabotage {
                sabotage.shows(&mut party.oracle, party.last, action, out);
            }
            party.sees(action);
            if let call::Action::Finish(outcome) = action {
                self.waits_for.finished(id);
                let left = self.asterisk.ids().find(|name| name.starts_with(party.prefix.as_str()));
                // What it made on the Asterisk that runs now, after its caller's was gone, the switchboard is about to find.
                let is_looked_for = outcome.left_behind || outcome.ended == EndReason::AsteriskRestarted;
                assert!(left.is_none() || is_looked_for, "{id:?} has left {left:?} behind");
            }
        }
    }

    fn perform_call(&mut self, id: CallId, out: &call::Actions) {
        use call::Action;
        for action in out.iter() {
            if self.stage.sabotage.is_some_and(|sabotage| sabotage.loses(action, out)) {
                if let Action::Ari { id: request, .. } = action {
                    self.send(Parcel::Call(id, Letter::Reply(request, 204, Vec::new())));
                }
                continue;
            }
            match action {
                Action::Ari { id: request, method, path, timeout, .. } => {
                    self.request(Some(id), request, method, out.text(path), timeout);
                }
                Action::OpenMedia { leg, .. } => self.open_media(id, leg),
                Action::SendMedia { to, bytes, .. } => {
                    self.media_sent_to.push(to);
                    let local = self.parties[&id].local.map_or(to, |(_, local)| local);
                    let datagram = out.bytes(bytes).to_vec();
                    self.datagrams.push((self.now, datagram.clone()));
                    for (lag, packet) in self.passes_down(datagram).into_iter().flatten() {
                        self.send_after(lag, Parcel::Asterisk(Knock::Datagram(to.port(), local, packet)));
                    }
                }
                Action::CloseMedia { .. } => {
                    self.close_media(id);
                }
                Action::OpenRealtime { link, safety_identifier } => {
                    self.safety_identifiers.push(out.text(safety_identifier).to_owned());
                    self.open_realtime(id, link);
                }
                Action::Tool { id: tool, name, arguments, timeout, .. } => {
                    let (name, arguments) = (out.text(name).to_owned(), out.text(arguments).to_owned());
                    let found = self.stage.functions.iter().find(|function| function.name == name).cloned();
                    let (after, reply) = match found {
                        Some(Performance { after, reply, .. }) if after <= timeout => {
                            (after, reply.map(|(status, body)| (status, body.to_owned())))
                        }
                        Some(_) => (timeout, Err(IoFault::TimedOut)),
                        None => (Duration::ZERO, Err(IoFault::Other)),
                    };
                    self.performed.push((name, arguments));
                    self.send_after(after, Parcel::Call(id, Letter::Tool(tool, reply)));
                }
                Action::SendRealtime { link, bytes } => self.send_realtime(id, link, out, bytes),
                Action::PingRealtime { link } => self.ping(id, link),
                Action::Tell(news) => self.send(Parcel::Switchboard(Note::Told(id, news))),
                Action::CloseRealtime { link, .. } => self.hang_up_link(id, link),
                Action::Record(record) => self.record(&record, out),
                Action::Observe(observation) => self.observations.push((self.now, observation)),
                Action::Finish(outcome) => {
                    self.close_media(id);
                    if let Some(party) = self.parties.remove(&id) {
                        self.lived += self.now.since(party.began);
                    }
                    self.hang_up_links(id);
                    self.outcomes.push(outcome);
                    self.send(Parcel::Switchboard(Note::Finished(id, outcome)));
                }
            }
        }
    }

    fn record(&mut self, record: &Record, out: &call::Actions) {
        let text = |span| out.text(span).to_owned();
        let line = match *record {
            Record::CallerSaid { text: words, .. } => Line::Caller(text(words)),
            Record::CallerKeyed { keys } => Line::Keys(text(keys)),
            Record::Called { name, arguments, .. } => Line::Called(text(name), text(arguments)),
            Record::Returned { name, output, .. } => Line::Returned(text(name), text(output)),
            Record::Answered { caller_item, response_id, agent_item, latency } => {
                Line::Answered(text(caller_item), text(response_id), text(agent_item), latency)
            }
            Record::AgentSaid { item_id, text: words, said, heard_ms, received_ms, .. } => {
                let (item_id, words, said) = (text(item_id), text(words), text(said));
                self.said.push(Said { item_id, text: words.clone(), said, heard_ms, received_ms });
                Line::Agent(words)
            }
        };
        self.record.push((self.now, line));
    }
}

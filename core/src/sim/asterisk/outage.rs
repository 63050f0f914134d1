//! Event sockets that open and fall silent, and an Asterisk that stops and starts.

use super::io::{Actions, Output};
use super::{Asterisk, EventFlow, MAX_APPS, rest};
use crate::sim::Next;
use crate::time::Instant;

impl Asterisk {
    pub(super) fn events_opened(
        &mut self,
        socket: u64,
        target: &str,
        authorization: Option<&str>,
        out: &mut Actions,
    ) {
        let (path, query) = rest::split(target);
        let apps: Vec<String> = crate::http::query_pairs(query)
            .filter(|(name, _)| name == "app")
            .flat_map(|(_, apps)| apps.split(',').map(str::to_owned).collect::<Vec<_>>())
            .filter(|app| !app.is_empty())
            .collect();
        let refusal = if !rest::authorized(&self.world, authorization, query) {
            Some(401)
        } else if path != "/events" {
            Some(404)
        } else if apps.is_empty() {
            Some(400)
        } else if self.world.sockets.len() + apps.len() > MAX_APPS {
            Some(503)
        } else {
            None
        };
        if let Some(status) = refusal {
            out.push(Output::Refused { socket, status });
            return;
        }
        for app in apps {
            // The old socket stays open, and deaf.
            self.world.tell(&app, "ApplicationReplaced", serde_json::Map::new());
            self.world.sockets.insert(app, socket);
        }
        self.flush(out);
        self.deaf.remove(&socket);
        out.push(Output::Accepted { socket });
    }

    /// The network takes nothing more to an event socket or from it, and neither side is told: events are
    /// swallowed, pings too. Asterisk takes its application for registered until another client registers it.
    pub fn falls_half_open(&mut self, socket: u64) {
        if self.deaf.len() < MAX_APPS {
            self.deaf.insert(socket);
        }
    }

    /// Whether a ping on this event socket is answered, as long as neither side has closed it. One whose
    /// application another client has registered still answers.
    #[must_use]
    pub fn answers_pings(&self, socket: u64) -> bool {
        self.running && !self.deaf.contains(&socket)
    }

    /// Closes every event socket, as a restart of the HTTP server would. Channels stay.
    pub fn close_sockets(&mut self, out: &mut Actions) {
        let sockets: std::collections::BTreeSet<u64> = self.world.sockets.values().copied().collect();
        self.world.sockets.clear();
        let heard = sockets.into_iter().filter(|socket| !self.deaf.contains(socket));
        heard.for_each(|socket| out.push(Output::CloseSocket { socket }));
    }

    /// Asterisk stops, as by `core stop now`: channels, bridges, applications and event sockets are gone at once.
    /// Callers are [`Gone`](super::CallerState::Gone). What was held or under way is lost, and requests get no
    /// reply until [`Asterisk::start`]; a driver that knows sockets refuses them.
    pub fn stop(&mut self, out: &mut Actions) {
        self.running = false;
        self.world.clear();
        self.close_sockets(out);
        self.world.effects.drain(..).for_each(|effect| out.push(effect));
        (self.flow, self.next_slot) = (EventFlow::Flow, None);
        self.held_events.clear();
        self.held.clear();
        self.delayed.clear();
        self.deaf.clear();
    }

    /// Asterisk starts: another `startup_time`, the same `entity_id`, nothing of what was. `now` is not before that
    /// of the last step.
    pub fn start(&mut self, now: Instant) -> Next {
        self.world.now = now;
        self.world.started = now;
        self.running = true;
        self.next(now)
    }

    /// Whether it runs.
    #[must_use]
    pub const fn is_running(&self) -> bool {
        self.running
    }
}

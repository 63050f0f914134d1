//! What the world around a call of a scene orders: that it stops, and that it hears of nothing.

use super::Scene;
use super::mail::{Letter, Parcel};
use ari_bridge_core::call::StopReason;
use ari_bridge_core::time::Duration;

/// Longer than any scene.
const FOR_EVER: Duration = Duration::from_secs(1_000_000);

impl Scene {
    /// Every call is told to stop.
    pub fn stop_calls(&mut self, reason: StopReason) {
        for call in self.parties.keys().copied().collect::<Vec<_>>() {
            self.send(Parcel::Call(call, Letter::Stop(reason)));
        }
    }

    /// The event socket breaks and cannot be opened again, until [`Scene::asterisk_comes_up`]; REST works.
    pub fn events_stay_away(&mut self) {
        self.event_socket_goes_away(FOR_EVER);
    }
}

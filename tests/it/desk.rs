//! A switchboard by itself, and what the stories about it begin with.

use ari_bridge_core::call::{EndReason, Entry, News, Outcome};
use ari_bridge_core::id::{CallId, InstanceNonce, RequestId};
use ari_bridge_core::observe::Observation;
use ari_bridge_core::settings::SwitchboardSettings;
use ari_bridge_core::switchboard::{Action, Actions, Input, Next, Switchboard};
use ari_bridge_core::time::{Duration, Instant, UtcNanos};

/// A switchboard and a clock.
pub(crate) struct Desk {
    switchboard: Switchboard,
    pub(crate) now: Instant,
    pub(crate) next: Next,
    pub(crate) out: Actions,
    /// Everything that was asked of Asterisk, in order.
    requests: Vec<(RequestId, String)>,
}

impl Desk {
    pub(crate) fn new() -> Self {
        Self::with(&SwitchboardSettings::default())
    }

    pub(crate) fn with(settings: &SwitchboardSettings) -> Self {
        let mut out = Actions::new();
        let (now, nonce) = (Instant::START, InstanceNonce::new(0xD35C));
        let (switchboard, next) = Switchboard::new(settings, nonce, 1, UtcNanos(0), now, &mut out);
        Self { switchboard, now, next, out, requests: Vec::new() }
    }

    /// Somebody calls; what follows from it.
    pub(crate) fn rings(&mut self, channel: &str) -> Vec<String> {
        self.gives(Input::Ari(&start(channel, "PJSIP/trunk-1", "")))
    }

    /// A call tells something.
    pub(crate) fn tells(&mut self, call: u64, news: News) -> Vec<String> {
        self.gives(Input::CallTold { call: CallId(call), news })
    }

    pub(crate) fn ends(&mut self, call: u64) -> Vec<String> {
        self.gives(Input::CallFinished { call: CallId(call), outcome: ENDED })
    }

    /// Gives an input a millisecond later; what follows from it, one line each.
    pub(crate) fn gives(&mut self, input: Input<'_>) -> Vec<String> {
        self.now = self.now + Duration::from_millis(1);
        self.out.clear();
        self.next = self.switchboard.step(self.now, input, &mut self.out);
        let mut requests = Vec::new();
        let line = |action| match action {
            Action::Ari { id, method, path, .. } => {
                let line = format!("{} {}", method.as_str(), self.out.text(path));
                requests.push((id, line.clone()));
                line
            }
            Action::StartCall { call, ids, entry: Entry::Arrived, .. } => format!("start call {call} {ids}"),
            Action::StartCall { call, ids, entry: Entry::Adopted, .. } => {
                format!("start call {call} {ids} (adopted)")
            }
            Action::ToCall { call, event } => {
                format!("to call {call}: {} bytes", self.out.bytes(event).len())
            }
            Action::Observe(observation) => told(observation),
            other => format!("{other:?}"),
        };
        let lines = self.out.iter().map(line).collect();
        self.requests.extend(requests);
        lines
    }

    pub(crate) fn last_request(&self) -> RequestId {
        self.requests.last().expect("a request was sent").0
    }

    /// The newest request, or one that never was.
    pub(crate) fn newest_request(&self) -> RequestId {
        self.requests.last().map_or(RequestId(u32::MAX), |(id, _)| *id)
    }

    /// The newest request of this kind.
    pub(crate) fn request_of(&self, line: &str) -> RequestId {
        let request = self.requests.iter().rev().find(|(_, sent)| sent == line);
        request.unwrap_or_else(|| panic!("{line} was not asked: {:?}", self.requests)).0
    }

    /// The newest request is answered.
    pub(crate) fn replies(&mut self, status: u16) -> Vec<String> {
        self.replies_with(status, "")
    }

    pub(crate) fn replies_with(&mut self, status: u16, body: &str) -> Vec<String> {
        let id = self.last_request();
        self.gives(Input::AriReply { id, status, body: body.as_bytes() })
    }

    /// The next deadline comes; what follows from it.
    pub(crate) fn time_comes(&mut self) -> Vec<String> {
        let (at, _) = self.next.deadline.expect("something is due");
        self.now = self.now.max(at);
        self.gives(Input::Timer)
    }

    /// Deadlines come until one is about this request, while Asterisk answers every ping.
    pub(crate) fn time_comes_for(&mut self, line: &str) -> Vec<String> {
        for _ in 0..100 {
            let gave = self.time_comes();
            if gave.iter().any(|given| given == line) {
                return gave;
            }
            self.gives(Input::AriPong);
        }
        panic!("{line} is never due");
    }
}

/// The request that tells the dialplan why a caller comes back.
pub(crate) fn status(channel: &str, value: &str) -> String {
    format!("POST /channels/{channel}/variable?variable=ARI_BRIDGE_STATUS&value={value}")
}

pub(crate) fn told(observation: Observation) -> String {
    format!("observe {observation:?}")
}

pub(crate) fn start(id: &str, name: &str, more: &str) -> Vec<u8> {
    format!(
        r#"{{"type":"StasisStart","args":[],"channel":{{"id":"{id}","name":"{name}","state":"Ring"}}{more}}}"#
    )
    .into_bytes()
}

pub(crate) const ENDED: Outcome =
    Outcome { ended: EndReason::CallerHungUp, answered: true, duration: Duration::ZERO, left_behind: false };

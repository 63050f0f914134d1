//! What a test can make go wrong.

use crate::time::Duration;

/// How many faults may be armed, and how many requests, replies and events may be held, at once.
pub const MAX_HELD: usize = 10_000;

/// What happens to the next request that matches a pattern.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// It is answered with this status and has no effect.
    Refuse(u16),
    /// It takes effect, and its reply waits for [`super::Asterisk::release`]; without that it never comes.
    HoldReply,
    /// It waits for [`super::Asterisk::release`] before it takes effect, so that others overtake it.
    HoldRequest,
    /// It takes effect, and its reply is lost.
    LoseReply,
    /// It is lost.
    LoseRequest,
}

/// What happens to events.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum EventFlow {
    /// They are sent.
    #[default]
    Flow,
    /// They wait until the flow is set to [`EventFlow::Flow`] again.
    Hold,
    /// They are lost.
    Drop,
}

/// The faults that a test arms. None is armed at the start.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// Every reply comes so much later than its effect and its events.
    pub reply_delay: Duration,
    /// The events that a request causes come before its reply. A real Asterisk does both.
    pub events_first: bool,
    /// What befalls every request that no armed fault befalls, until it is set to `None` again.
    pub every: Option<Fault>,
    armed: Vec<(String, Fault)>,
}

impl Faults {
    /// Lets `fault` befall the next request whose `METHOD /path` matches `pattern`, in which `*` stands for any
    /// text: `"DELETE /channels/*"`. The path is without `/ari` and query. Faults are taken in the order armed.
    pub fn next(&mut self, pattern: &str, fault: Fault) {
        if self.armed.len() < MAX_HELD {
            self.armed.push((pattern.to_owned(), fault));
        }
    }

    /// Refuses the next request that matches.
    pub fn refuse_next(&mut self, pattern: &str, status: u16) {
        self.next(pattern, Fault::Refuse(status));
    }

    /// The fault that befalls this request, if any.
    pub(super) fn take(&mut self, method: &str, path: &str) -> Option<Fault> {
        let request = format!("{method} {path}");
        let at = self.armed.iter().position(|(pattern, _)| matches(pattern, &request));
        at.map(|at| self.armed.remove(at).1).or(self.every)
    }
}

/// Whether `text` matches `pattern`, in which `*` stands for any text.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((head, tail)) => text.strip_prefix(head).is_some_and(|rest| {
            (0..=rest.len()).any(|at| rest.get(at..).is_some_and(|suffix| matches(tail, suffix)))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_befalls_one_request() {
        let mut faults = Faults::default();
        faults.refuse_next("DELETE /channels/*", 500);
        faults.next("* /bridges/*/addChannel", Fault::HoldReply);
        assert_eq!(faults.take("GET", "/channels/a"), None);
        assert_eq!(faults.take("DELETE", "/channels/a"), Some(Fault::Refuse(500)));
        assert_eq!(faults.take("DELETE", "/channels/a"), None);
        assert_eq!(faults.take("POST", "/bridges/b/addChannel"), Some(Fault::HoldReply));
    }

    #[test]
    fn what_befalls_every_request_leaves_the_armed_faults_their_turn() {
        let mut faults = Faults { every: Some(Fault::LoseReply), ..Faults::default() };
        faults.refuse_next("GET *", 500);
        let mut take = || faults.take("GET", "/channels");
        assert_eq!(
            [take(), take(), take()],
            [Fault::Refuse(500), Fault::LoseReply, Fault::LoseReply].map(Some)
        );
    }
}

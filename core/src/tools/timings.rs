//! Where the time of a call went: what was waited for, on whom, and how long.

use crate::call::{self, Call};
use crate::capture::Machine;
use crate::id::RequestId;
use crate::observe::{Observation, TurnLatency};
use crate::replay::Step;
use crate::switchboard::{self, Switchboard};
use crate::time::{Duration, Instant};
use core::fmt;
use std::collections::BTreeMap;

/// The most samples that are kept of one thing; what comes later changes the median no more.
const MAX_SAMPLES: usize = 10_000;

/// The most things that are told apart: what a request is for is one of a few.
const MAX_THINGS: usize = 100;

/// How long each of many things took.
#[derive(Clone, Debug, Default)]
pub struct Timings {
    things: BTreeMap<(Part, String), Vec<Duration>>,
    asked: BTreeMap<RequestId, (String, Instant)>,
    heard: Option<Instant>,
    ending: Option<Instant>,
    deadline: Option<Instant>,
}

/// The parts of a call, in the order in which they are shown.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Part {
    SetUp,
    Turn,
    BargeIn,
    Tool,
    Ari,
    End,
    Driver,
}

impl Part {
    const fn name(self) -> &'static str {
        match self {
            Self::SetUp => "set-up, since the caller came",
            Self::Turn => "answers, since the caller stopped speaking",
            Self::BargeIn => "barge-in, since the server heard the caller",
            Self::Tool => "tools",
            Self::Ari => "requests to Asterisk",
            Self::End => "end, since it was decided",
            Self::Driver => "the driver",
        }
    }
}

/// A machine whose steps can be timed.
pub trait Timed: Machine {
    /// Takes note of what a step has to do with time.
    fn time(step: &Step<'_, Self>, timings: &mut Timings);
}

impl Timings {
    /// Takes note of a step.
    pub fn step<M: Timed>(&mut self, step: &Step<'_, M>) {
        M::time(step, self);
        self.deadline = M::deadline(&step.next);
    }

    /// Adds those of another call.
    pub fn add(&mut self, other: Self) {
        for ((part, thing), took) in other.things {
            took.into_iter().for_each(|took| self.took(part, &thing, took));
        }
    }

    fn took(&mut self, part: Part, thing: &str, took: Duration) {
        let key = (part, thing.to_owned());
        if self.things.len() >= MAX_THINGS && !self.things.contains_key(&key) {
            return;
        }
        let samples = self.things.entry(key).or_default();
        if samples.len() < MAX_SAMPLES {
            samples.push(took);
        }
    }

    fn timer(&mut self, now: Instant) {
        if let Some(deadline) = self.deadline.filter(|deadline| *deadline <= now) {
            self.took(Part::Driver, "timer, after its time", now.since(deadline));
        }
    }

    fn asks(&mut self, id: RequestId, method: call::Method, path: &str, now: Instant) {
        self.asked.insert(id, (format!("{} {}", method.as_str(), shape(path)), now));
    }

    fn answered(&mut self, id: RequestId, now: Instant) {
        if let Some((what, since)) = self.asked.remove(&id) {
            self.took(Part::Ari, &what, now.since(since));
        }
    }

    fn observed(&mut self, observation: &Observation, now: Instant) {
        match observation {
            Observation::MediaReady { after } => self.took(Part::SetUp, "media address", *after),
            Observation::SessionReady { after } => self.took(Part::SetUp, "Realtime session", *after),
            Observation::Answered { after } => self.took(Part::SetUp, "caller answered", *after),
            Observation::FirstAudio(TurnLatency { created, first_delta, first_packet }) => {
                created.iter().for_each(|took| self.took(Part::Turn, "1 the answer is begun", *took));
                self.took(Part::Turn, "2 its first audio has come", *first_delta);
                self.took(Part::Turn, "3 its first packet has left", *first_packet);
            }
            Observation::SpeechStarted => self.heard = Some(now),
            Observation::BargeIn { .. } => {
                if let Some(heard) = self.heard {
                    self.took(Part::BargeIn, "the agent is silent", now.since(heard));
                }
            }
            Observation::ToolDone { name, after } => self.took(Part::Tool, name.as_str(), *after),
            Observation::Ending(_) => self.ending = Some(now),
            Observation::CallEnded(_) => {
                if let Some(ending) = self.ending {
                    self.took(Part::End, "everything is cleaned up", now.since(ending));
                }
            }
            _ => {}
        }
    }
}

/// What requests of the same kind have in common: the path without the names in it and without its query.
fn shape(path: &str) -> String {
    let path = path.split('?').next().unwrap_or(path);
    let is_word = |part: &str| part.len() < 20 && part.chars().all(|c| c.is_ascii_alphabetic());
    let parts: Vec<_> = path.split('/').map(|part| if is_word(part) { part } else { "…" }).collect();
    parts.join("/")
}

impl Timed for Call {
    fn time(step: &Step<'_, Self>, timings: &mut Timings) {
        match step.input {
            Some(call::Input::Timer) => timings.timer(step.now),
            Some(call::Input::AriReply { id, .. } | call::Input::AriFailed { id, .. }) => {
                timings.answered(id, step.now);
            }
            _ => {}
        }
        for action in step.out.iter() {
            match action {
                call::Action::Ari { id, method, path, .. } => {
                    timings.asks(id, method, step.out.text(path), step.now);
                }
                call::Action::Observe(observation) => timings.observed(&observation, step.now),
                _ => {}
            }
        }
    }
}

impl Timed for Switchboard {
    fn time(step: &Step<'_, Self>, timings: &mut Timings) {
        match step.input {
            Some(switchboard::Input::Timer) => timings.timer(step.now),
            Some(switchboard::Input::AriReply { id, .. } | switchboard::Input::AriFailed { id, .. }) => {
                timings.answered(id, step.now);
            }
            _ => {}
        }
        for action in step.out.iter() {
            if let switchboard::Action::Ari { id, method, path, .. } = action {
                timings.asks(id, method, step.out.text(path), step.now);
            }
        }
    }
}

impl fmt::Display for Timings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut last = None;
        for ((part, thing), took) in &self.things {
            if last.replace(*part) != Some(*part) {
                writeln!(f, "{:<44} {:>6} {:>10} {:>10}", part.name(), "times", "median", "longest")?;
            }
            let mut took = took.clone();
            took.sort_unstable();
            let median = took.get(took.len() / 2).copied().unwrap_or_default();
            let longest = took.last().copied().unwrap_or_default();
            let ms = |took: Duration| format!("{:.1} ms", took.as_secs_f64() * 1000.0);
            writeln!(f, "  {thing:<42} {:>6} {:>10} {:>10}", took.len(), ms(median), ms(longest))?;
        }
        if self.things.is_empty() { writeln!(f, "nothing was waited for") } else { Ok(()) }
    }
}

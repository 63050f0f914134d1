//! What a story comes to, as far as it must be the same on every runtime.
//!
//! In real time not everything is: how many packets there were, how long something took, whether a busy machine let a
//! frame come late. Of what is told, the order of that is compared which follows one from the other, of the rest whether
//! it was told at all, and of what depends on the moment nothing.

use ari_bridge_core::id::CallId;
use ari_bridge_core::observe::{Observation, Recovery, Upkeep};
use ari_bridge_core::time::Duration;
use ari_bridge_host::standin::AsteriskServer;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Mutex, PoisonError};

/// Something that was told, of a call or of the switchboard.
pub(crate) type Told = (Option<CallId>, Observation);

/// Lines under headings.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Trace(BTreeMap<String, Vec<String>>);

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// The metrics whose values depend on the moment: of these the names are compared, of all others the values too.
const TIMED: [&str; 16] = [
    "ari_bridge_rtp_",
    "ari_bridge_call_duration_seconds",
    "ari_bridge_openai_latency_seconds",
    "ari_bridge_openai_begun_seconds",
    "ari_bridge_openai_first_delta_seconds",
    "ari_bridge_concealed_seconds",
    "ari_bridge_playout_",
    "ari_bridge_echoes_ignored",
    "ari_bridge_tokens",
    "ari_bridge_spent_dollars",
    "ari_bridge_sessions_renewed",
    "ari_bridge_prompts",
    "ari_bridge_dead_air",
    "ari_bridge_capture",
    "ari_bridge_tasks",
    "ari_bridge_orphans",
];

impl Trace {
    /// Puts something under a heading.
    pub(crate) fn put(&mut self, heading: impl Into<String>, lines: impl IntoIterator<Item = String>) {
        self.0.entry(heading.into()).or_default().extend(lines);
    }

    /// The same without what stands under headings that begin like this.
    pub(crate) fn but_for(mut self, headings: &[&str]) -> Self {
        self.0.retain(|heading, _| !headings.iter().any(|unwanted| heading.starts_with(unwanted)));
        self
    }

    /// Asserts that there is this line under this heading, and no other.
    pub(crate) fn says(self, heading: &str, line: &str) -> Self {
        assert_eq!(
            self.0.get(heading).map(Vec::as_slice),
            Some(&[line.to_owned()][..]),
            "{heading}: {self:#?}"
        );
        self
    }

    /// Puts one line under a heading.
    pub(crate) fn note(&mut self, heading: impl Into<String>, line: impl fmt::Debug) {
        self.put(heading, [format!("{line:?}")]);
    }

    /// What was told: for each call and for the switchboard the course of things, and what else there was.
    pub(crate) fn told(&mut self, told: &[Told]) {
        let mut others = BTreeSet::new();
        for (call, observation) in told {
            let of = call.map_or("switchboard".to_owned(), |call| format!("call {call}"));
            match part(observation) {
                Part::Course => {
                    let course = self.0.entry(format!("{of}: course")).or_default();
                    let line = name(observation);
                    // How often something was tried in vain, or interrupted, depends on the moment.
                    if course.last() != Some(&line) {
                        course.push(line);
                    }
                }
                Part::Presence => drop(others.insert((format!("{of}: also"), name(observation)))),
                Part::Moment => {}
            }
        }
        others.into_iter().for_each(|(heading, line)| self.put(heading, [line]));
    }

    /// What a caller went through.
    pub(crate) fn callers(&mut self, asterisk: &AsteriskServer, caller: u64) {
        let states = asterisk.seen(caller).states;
        self.put(format!("caller {caller}"), states.iter().map(|(_, state)| format!("{state:?}")));
    }

    /// The answer with the metrics, in which a name stands for a value that depends on the moment.
    pub(crate) fn metrics(&mut self, answer: &str) {
        let (_, text) = answer.split_once("\r\n\r\n").expect("a head and a body");
        let lines = text.lines().filter(|line| !line.starts_with('#')).map(|line| {
            let (name, _) = line.rsplit_once(' ').unwrap_or((line, ""));
            if TIMED.iter().any(|timed| name.starts_with(timed)) { name } else { line }.to_owned()
        });
        // Families of metrics come in any order.
        self.put("metrics", lines.collect::<BTreeSet<_>>());
    }
}

/// How an observation is compared.
enum Part {
    /// It has its place in the course of things.
    Course,
    /// It was told, or it was not.
    Presence,
    /// It depends on the moment.
    Moment,
}

fn part(observation: &Observation) -> Part {
    match observation {
        Observation::CallStarted
        | Observation::Answered { .. }
        | Observation::BargeIn { .. }
        | Observation::RealtimeDown { .. }
        | Observation::Recovery(Recovery::Resumed { .. })
        | Observation::ToolCalled { .. }
        | Observation::ToolDone { .. }
        | Observation::ToolFailed { .. }
        | Observation::MediaDown { .. }
        | Observation::Ending(_)
        | Observation::CallEnded(_)
        | Observation::AriUp
        | Observation::AriDown { .. }
        | Observation::CallRefused(_)
        | Observation::CallPanicked
        | Observation::Upkeep(
            Upkeep::LinkSilent
            | Upkeep::AsteriskRestarted { .. }
            | Upkeep::Draining { .. }
            | Upkeep::DrainOver { .. },
        ) => Part::Course,
        // Both are there before a call is answered, and either before one that goes wrong ends.
        Observation::MediaReady { .. }
        | Observation::SessionReady { .. }
        // What was asked for a call comes too late where the call has just ended, and is refused, or found and removed.
        | Observation::AriRefused { .. }
        | Observation::Orphan
        // What there is on Asterisk is asked at every connection, and told when that is settled.
        | Observation::Upkeep(Upkeep::Resynced { .. })
        | Observation::RtpIn
        | Observation::RtpOut
        | Observation::RtpDropped(_)
        | Observation::RtpDropBegan(_)
        | Observation::SsrcChanged
        | Observation::RtpLost { .. }
        | Observation::Concealed { .. }
        | Observation::PlayoutLate { .. }
        | Observation::Used { .. }
        | Observation::Recovery(
            Recovery::Prompt(_)
            | Recovery::DeadAir { .. }
            | Recovery::Delivered { .. }
            | Recovery::Dropped { .. }
            | Recovery::AnswerAgain { .. },
        ) => Part::Moment,
        _ => Part::Presence,
    }
}

/// What an observation is, without what depends on the moment.
fn name(observation: &Observation) -> String {
    match observation {
        Observation::AriDown { http_status, fault, .. } => format!("AriDown {http_status:?} {fault:?}"),
        Observation::ToolDone { name, .. } => format!("ToolDone {name}"),
        Observation::CallEnded(outcome) => {
            format!("CallEnded {} {} {}", outcome.ended, outcome.answered, outcome.left_behind)
        }
        Observation::Recovery(_)
        | Observation::Answered { .. }
        | Observation::BargeIn { .. }
        | Observation::FirstAudio(_) => {
            let whole = format!("{observation:?}");
            whole.split(" {").next().unwrap_or_default().to_owned()
        }
        // Whether the switchboard has learned yet that a call is over.
        Observation::Upkeep(Upkeep::Draining { .. }) => "Draining".to_owned(),
        other => format!("{other:?}"),
    }
}

/// What each story came to on the runtime that told it first.
static FIRST: Mutex<BTreeMap<&str, (&str, Trace)>> = Mutex::new(BTreeMap::new());

/// Holds what a story came to on this runtime against what it came to on the other, if that was already told.
pub(crate) fn compare(story: &'static str, runtime: &'static str, trace: Trace) {
    let mut first = FIRST.lock().unwrap_or_else(PoisonError::into_inner);
    let Some((other, theirs)) = first.remove(story) else {
        first.insert(story, (runtime, trace));
        return;
    };
    drop(first);
    let differing = Differing { runtime, other, ours: &trace.0, theirs: &theirs.0 };
    assert!(trace == theirs, "it is not the same on {runtime} and on {other}:\n{differing}");
}

/// What one runtime does and the other does not is found: a story in itself.
pub(crate) fn a_difference_is_found() {
    const STORY: &str = "a story that is told twice";
    let told = |seconds: u64, more: &[Observation]| {
        let after = Duration::from_secs(seconds);
        let common = [Observation::CallStarted, Observation::Answered { after }, Observation::RtpIn];
        let mut trace = Trace::default();
        trace.told(&common.iter().chain(more).map(|o| (Some(CallId(1)), *o)).collect::<Vec<_>>());
        trace
    };
    compare(STORY, "one", told(1, &[]));
    compare(STORY, "another", told(2, &[Observation::RtpIn]));
    compare(STORY, "one", told(1, &[]));
    let other = told(1, &[Observation::SpeechStarted]);
    let found = std::panic::catch_unwind(|| compare(STORY, "another", other));
    let found = found.expect_err("a difference was not found");
    let found = found.downcast_ref::<String>().expect("in words");
    assert!(found.ends_with("call 1: also:\n  another: SpeechStarted\n"), "{found}");
}

/// Two traces that are not the same, heading by heading where they are not.
struct Differing<'a> {
    runtime: &'a str,
    other: &'a str,
    ours: &'a BTreeMap<String, Vec<String>>,
    theirs: &'a BTreeMap<String, Vec<String>>,
}

impl fmt::Display for Differing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headings: BTreeSet<_> = self.ours.keys().chain(self.theirs.keys()).collect();
        let lines =
            |of: &'_ BTreeMap<String, Vec<String>>, heading| of.get(heading).cloned().unwrap_or_default();
        for heading in headings {
            let (ours, theirs) = (lines(self.ours, heading), lines(self.theirs, heading));
            if ours == theirs {
                continue;
            }
            writeln!(f, "{heading}:")?;
            // What both have says where one is that only one has, but there may be hundreds of it.
            let is_long = ours.len().max(theirs.len()) > 40;
            for (name, have, have_not) in [(self.runtime, &ours, &theirs), (self.other, &theirs, &ours)] {
                for line in have.iter().filter(|line| !is_long || !have_not.contains(line)) {
                    writeln!(f, "  {name}: {line}")?;
                }
            }
        }
        Ok(())
    }
}

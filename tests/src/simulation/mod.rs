//! Lives of the bridge that have not happened yet: a finite string of bytes decides who calls and what they do, what the
//! agents say, how the bridge is set up, and all that goes wrong. An oracle looks at every step; when the faults stop, media
//! must flow again, or the call must end; and when all have hung up, nothing may be left.
//!
//! The bytes come from a seeded generator in a long run, from proptest, which shrinks them, and from libFuzzer. When they
//! are used up nothing more goes wrong.

mod agent;
mod recovery;
mod settings;
mod strike;

use crate::choices::Choices;
use crate::faults::{Fault, FaultSet, Tally};
use crate::scene::{Attempt, Sabotage, Scene, Stage};
use crate::speech::utterance;
use crate::taped::Shelf;
use agent::{Mind, Talker};
use ari_bridge_core::call::Outcome;
use ari_bridge_core::capture::{self, Capture};
use ari_bridge_core::replay::replay_from;
use ari_bridge_core::rng::Rng;
use ari_bridge_core::sim::caller::Caller;
use ari_bridge_core::time::Duration;
use std::cell::RefCell;
use std::fmt;
use std::fs;
use std::path::Path;
use std::sync::OnceLock;

/// How many bytes decide a life that a seed decides.
const BYTES: usize = 900;

/// The most acts of a life.
const MAX_ACTS: usize = 48;

/// The most callers of a life.
const MAX_CALLERS: u64 = 4;

/// How much of each machine's life is recorded, in bytes.
const TAPE_BYTES: usize = 4 << 20;

/// How much, where all of it is wanted.
const ROOM_BYTES: usize = 256 << 20;

/// What is simulated.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Which faults may happen. If these are not all of them, each life has all of these.
    pub faults: FaultSet,
    /// What is broken on purpose.
    pub sabotage: Option<Sabotage>,
    /// Whether the line and the model speak G.711 in every life.
    pub g711: bool,
    /// Whether the disk has room for all of a life, also where it should be full.
    pub has_room: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { faults: FaultSet::ALL, sabotage: None, g711: false, has_room: false }
    }
}

/// What a life came to.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Report {
    /// How many calls there were.
    pub calls: u64,
    /// How many of them were answered.
    pub answered: u64,
    /// How long they lasted, all together.
    pub lived: Duration,
    /// How many steps the machines took.
    pub steps: u64,
    /// A digest of all that they did.
    pub digest: u64,
    /// What went wrong.
    pub tally: Tally,
    /// How the calls ended.
    pub outcomes: Vec<Outcome>,
}

/// Where a life was when an invariant broke.
#[derive(Clone, Debug, Default)]
pub struct Place {
    /// How many steps the machines had taken.
    pub steps: u64,
    /// How late it was.
    pub at: Duration,
    /// What was done last, and what the bridge told last.
    pub story: Vec<String>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "in step {}, at {:.6} s, after", self.steps, self.at.as_secs_f64())?;
        self.story.iter().try_for_each(|line| writeln!(f, "    {line}"))
    }
}

thread_local! {
    static LAST_PLACE: RefCell<Place> = RefCell::default();
}

/// Where the last life of this thread was that broke an invariant.
#[must_use]
pub fn last_place() -> Place {
    LAST_PLACE.with_borrow(Clone::clone)
}

/// The bytes that a seed makes.
#[must_use]
pub fn bytes_of(seed: u64) -> Vec<u8> {
    let mut rng = Rng::new(seed);
    (0..BYTES).map(|_| rng.next_u32() as u8).collect()
}

/// Lives a life once.
///
/// # Panics
///
/// If an invariant is broken; [`last_place`] says where.
#[must_use]
pub fn live(bytes: &[u8], options: &Options) -> Report {
    Life::new(bytes, options, None).run()
}

/// The same with the machines recorded; their captures go onto the shelf, also if an invariant is broken.
///
/// # Panics
///
/// If an invariant is broken, or a replay in memory is not what was recorded.
#[must_use]
pub fn live_recorded(bytes: &[u8], options: &Options, shelf: &Shelf) -> Report {
    Life::new(bytes, options, Some(shelf)).run()
}

/// Lives a life once more, recorded, and replays it out of a file: all must do the same as the first time.
///
/// # Panics
///
/// If they do not, if an invariant is broken, or if there can be no file in `folder`.
pub fn again_and_replayed(first: &Report, bytes: &[u8], options: &Options, folder: &Path) {
    let shelf = Shelf::default();
    let again = live_recorded(bytes, options, &shelf);
    assert_eq!(*first, again, "the same life is lived otherwise the second time");
    for recorded in shelf.take() {
        let file = folder.join("life.capture");
        fs::write(&file, &recorded).expect("a file in a folder of our own");
        let opened = fs::File::open(&file).expect("it was just written");
        let replayed = replay_from(opened).expect("a capture that was just written");
        assert_eq!(replayed.difference, None, "a replay out of a file is what was recorded: {replayed:?}");
    }
}

/// The simulator from bytes, for a fuzzer: the life is lived twice, and the second time replayed in memory.
///
/// # Panics
///
/// If an invariant is broken.
pub fn run(bytes: &[u8]) {
    let options = Options::default();
    let report = live(bytes, &options);
    assert_eq!(report, live_recorded(bytes, &options, &Shelf::default()), "lived otherwise the second time");
}

/// A caller's capture on a shelf that such a life left: the calls first.
#[must_use]
pub fn is_of_a_call(recorded: &[u8]) -> bool {
    matches!(capture::open(recorded), Ok(Capture::Call(..)))
}

struct Life<'a> {
    choices: Choices<'a>,
    scene: Scene,
    faults: FaultSet,
    mind: Mind,
    callers: u64,
    /// What was done, a line each.
    story: Vec<String>,
    drains: bool,
    is_replaced: bool,
    was_huge: bool,
}

impl<'a> Life<'a> {
    fn new(bytes: &'a [u8], options: &Options, shelf: Option<&Shelf>) -> Self {
        let mut choices = Choices::new(bytes);
        let faults = faults(&mut choices, options.faults);
        let mut stage = settings::stage(&mut choices, options.g711);
        let room = 200_000 << choices.below(3);
        let is_full = faults.has(Fault::CaptureFull);
        let tape = match (options.has_room, is_full) {
            (true, _) => ROOM_BYTES,
            (false, true) => room,
            (false, false) => TAPE_BYTES,
        };
        stage.tape_bytes = if shelf.is_some() { tape } else { 0 };
        stage.shelf = shelf.cloned();
        stage.sabotage = options.sabotage;
        if faults.has(Fault::PromptMissing) {
            stage.call.prompts = settings::own_prompts(0);
        }
        let mind = Mind::default();
        let (seed, may_fail) = (u64::from(choices.byte()), faults.has(Fault::ResponseRefused));
        let mut scene = Scene::new(Stage { realtime: || Attempt::Serve, ..stage });
        let of_agents = mind.clone();
        let mut links = 0;
        scene.agents_are(move || {
            links += 1;
            Box::new(Talker { rng: Rng::new(seed << 32 | links), mind: of_agents.clone(), may_fail })
        });
        for fault in [Fault::CaptureFull, Fault::PromptMissing] {
            if faults.has(fault) {
                scene.tally.add(fault);
            }
        }
        let mut life = Self {
            choices,
            scene,
            faults,
            mind,
            callers: 0,
            story: Vec::new(),
            drains: false,
            is_replaced: false,
            was_huge: false,
        };
        life.weather_begins();
        life
    }

    fn run(mut self) -> Report {
        self.somebody_calls();
        for _ in 0..MAX_ACTS {
            if self.choices.is_empty() {
                break;
            }
            let pause = [0, 5, 20, 150, 400, 900, 400, 150];
            let pause = Duration::from_millis(pause[self.choices.below(pause.len())]);
            self.scene.run_for(pause);
            self.something_happens();
        }
        self.recovers();
        self.ends();
        Report {
            calls: self.scene.started(),
            answered: self.scene.outcomes.iter().filter(|outcome| outcome.answered).count() as u64,
            lived: self.scene.lived(),
            steps: self.scene.steps(),
            digest: self.scene.digest(),
            tally: self.scene.tally.clone(),
            outcomes: self.scene.outcomes.clone(),
        }
    }

    fn tells(&mut self, what: impl fmt::Display) {
        self.story.push(format!("{}  {what}", self.scene.now()));
    }

    fn something_happens(&mut self) {
        let caller = 1 + self.choices.below(self.callers as usize) as u64;
        match self.choices.below(16) {
            0 | 1 => {
                self.tells(format_args!("caller {caller} speaks"));
                let speech = &speeches()[self.choices.below(speeches().len())];
                self.scene.say(caller, speech);
            }
            2 => {
                let key = ["1", "2", "#", "0", "*"][self.choices.below(5)];
                self.tells(format_args!("caller {caller} presses {key}"));
                self.scene.press(caller, key);
            }
            3 if self.callers < MAX_CALLERS => self.somebody_calls(),
            4 if self.choices.one_in(3) => {
                self.tells(format_args!("caller {caller} hangs up"));
                self.scene.hang_up(caller);
            }
            5 if self.callers < MAX_CALLERS && self.choices.one_in(4) => {
                self.callers += 1;
                let by = self.callers;
                self.tells(format_args!("caller {caller} is replaced by {by}"));
                self.scene.transfers(caller, by, &[]);
            }
            _ => {
                let possible: Vec<Fault> = Fault::ALL
                    .iter()
                    .copied()
                    .filter(|it| self.faults.has(*it) && !it.is_weather())
                    .collect();
                let Some(fault) = possible.get(self.choices.below(possible.len())) else { return };
                self.tells(fault);
                self.drains |= matches!(fault, Fault::Drain | Fault::StopNow);
                self.strikes(*fault);
            }
        }
        if !self.scene.is_running() {
            self.scene.bridge_starts();
            (self.drains, self.is_replaced) = (false, false);
        }
    }

    fn somebody_calls(&mut self) {
        self.callers += 1;
        let caller = self.callers;
        self.tells(format_args!("caller {caller} calls"));
        match self.choices.below(8) {
            0 => self.scene.dial_answered(caller, &[]),
            1 => self.scene.another_client_calls(caller, &[]),
            _ => self.scene.dial(caller, &[]),
        }
    }
}

impl Drop for Life<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let told = self.scene.told();
            let story = self.story.iter().chain(&told[told.len().saturating_sub(16)..]).cloned();
            let (steps, at) = (self.scene.steps(), Duration::from_nanos(self.scene.now().as_nanos()));
            LAST_PLACE.set(Place { steps, at, story: story.collect() });
        }
    }
}

/// Which faults a life has: mostly few of them, so that not all of them hide each other.
fn faults(choices: &mut Choices<'_>, possible: FaultSet) -> FaultSet {
    if possible != FaultSet::ALL {
        return possible;
    }
    let some = match choices.below(16) {
        0 => return FaultSet::NONE,
        15 => return FaultSet::ALL,
        number => [1, 2, 3, 5, 8][number % 5],
    };
    (0..some).fold(FaultSet::NONE, |set, _| set.with(Fault::ALL[choices.below(Fault::ALL.len())]))
}

/// What callers say.
fn speeches() -> &'static [Vec<i16>] {
    static SPEECHES: OnceLock<Vec<Vec<i16>>> = OnceLock::new();
    SPEECHES.get_or_init(|| {
        let made = [(1, 0.3), (2, 0.9), (3, 1.6), (4, 3.0)].map(|(voice, seconds)| utterance(voice, seconds));
        made.into_iter().chain([Caller::recorded().speech().to_vec()]).collect()
    })
}

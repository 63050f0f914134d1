//! A capture is what was given, however it is read; and what is not a capture any more is told from it.

use super::{bytes, cases};
use ari_bridge_core::actions::Actions;
use ari_bridge_core::call::{Call, Input, Origin, Start};
use ari_bridge_core::capture::{
    Capture, End, Head, Log, Machine, Note, Record, Records, SwitchboardStart, read,
};
use ari_bridge_core::id::{CallId, IdPrefix, InstanceNonce};
use ari_bridge_core::replay::replay;
use ari_bridge_core::settings::{
    CallSettings, MediaPlan, Prompt, Prompts, SessionSettings, SwitchboardSettings,
};
use ari_bridge_core::switchboard::Switchboard;
use ari_bridge_core::time::{Instant, UtcNanos};
use ari_bridge_tests::choices::Choices;
use ari_bridge_tests::generators::{bits, inputs, sound, text, up_to};
use core::net::SocketAddr;
use proptest::prelude::*;
use std::io::{Error, ErrorKind, Read};

/// A capture, and what it must say.
struct Recorded {
    bytes: Vec<u8>,
    /// How long its head is.
    head: usize,
    /// Each input and when it was given.
    given: Vec<String>,
}

/// A machine of whose inputs `Debug` does not show all.
trait Shown: Machine {
    /// What it does not show.
    fn more(input: &Self::Input<'_>) -> u32;
}

impl Shown for Call {
    fn more(input: &Input<'_>) -> u32 {
        match input {
            Input::Media { from: SocketAddr::V6(address), .. }
            | Input::MediaUp { local: SocketAddr::V6(address), .. } => address.flowinfo(),
            _ => 0,
        }
    }
}

impl Shown for Switchboard {
    fn more(_: &Self::Input<'_>) -> u32 {
        0
    }
}

fn word<M: Shown>(now: Instant, input: &M::Input<'_>) -> String {
    format!("Input {} {input:?} {}", now.as_nanos(), M::more(input))
}

/// Gives a machine what the choices say, and records it.
fn recorded<'a, M: Shown>(
    choices: &mut Choices<'a>,
    settings: &M::Settings,
    start: M::Start<'_>,
    input: impl Fn(&mut Choices<'a>) -> M::Input<'a>,
) -> Recorded {
    let (mut out, mut now) = (Actions::new(), Instant::from_nanos(bits(choices, 40)));
    let mut log = Log::<M>::new(settings, &start, Note::default(), now, 1 << 20);
    let head = log.bytes().len();
    let (mut machine, _next) = log.make(settings, start, now, &mut out);
    let mut given = Vec::new();
    while !choices.is_empty() {
        now = now + inputs::wait(choices);
        out.clear();
        let input = input(choices);
        given.push(word::<M>(now, &input));
        let _next = log.step(&mut machine, now, input, &mut out);
    }
    Recorded { bytes: log.finish(), head, given }
}

fn of_a_call(choices: &mut Choices<'_>) -> Recorded {
    let session = SessionSettings {
        instructions: choices.one_in(2).then(|| text(choices)),
        voice: text(choices),
        ..SessionSettings::default()
    };
    let mut prompts = Prompts::default();
    if choices.one_in(4) {
        prompts.set(Prompt::ALL[choices.below(4)], &sound::samples(choices, 500));
    }
    let settings = CallSettings { session, prompts: prompts.into(), ..CallSettings::default() };
    let about = text(choices);
    let start = Start {
        ids: IdPrefix {
            nonce: InstanceNonce::new(bits(choices, 32) as u32),
            call: CallId(up_to(choices, u64::MAX)),
        },
        seed: bits(choices, 64),
        utc: UtcNanos(bits(choices, 61)),
        caller_tag: choices.one_in(2).then_some([choices.byte(); 32]),
        media: MediaPlan::default(),
        origin: if choices.one_in(2) {
            Origin::Adopted { channel: about.as_bytes() }
        } else {
            Origin::Arrived { event: about.as_bytes() }
        },
    };
    recorded::<Call>(choices, &settings, start, inputs::to_call)
}

fn of_a_switchboard(choices: &mut Choices<'_>) -> Recorded {
    let max_calls = choices.one_in(2).then(|| choices.below(5));
    let settings =
        SwitchboardSettings { ari_app: text(choices), max_calls, ..SwitchboardSettings::default() };
    let nonce = InstanceNonce::new(bits(choices, 32) as u32);
    let start = SwitchboardStart { nonce, seed: bits(choices, 64), utc: UtcNanos(bits(choices, 61)) };
    static NEW: std::sync::LazyLock<SwitchboardSettings> =
        std::sync::LazyLock::new(SwitchboardSettings::default);
    recorded::<Switchboard>(choices, &settings, start, |choices| inputs::to_switchboard(choices, &NEW))
}

fn any_capture(choices: &mut Choices<'_>) -> Recorded {
    if choices.one_in(3) { of_a_switchboard(choices) } else { of_a_call(choices) }
}

/// What a capture says, and how it ends.
#[derive(PartialEq, Eq, Debug)]
struct Told {
    head: String,
    words: Vec<String>,
    /// Nothing if a record cannot be.
    end: Option<End>,
}

/// All that can be read of it; nothing if its head cannot be read.
fn told(from: impl Read) -> Option<Told> {
    fn head<M: Machine>(head: &Head<M>) -> String {
        let Head { format, program, note, now, settings, .. } = head;
        format!("{format} {program:?} {note:?} {} {settings:?} {:?}", now.as_nanos(), head.start())
    }

    fn words<R: Read, M: Shown>(head: String, mut records: Records<R, M>) -> Told {
        let mut words = Vec::new();
        loop {
            match records.next() {
                Ok(Record::Input { now, input }) => words.push(word::<M>(now, &input)),
                Ok(Record::End(end)) => return Told { head, words, end: Some(end) },
                Ok(Record::Gave(gave)) => words.push(format!("Gave {gave:?}")),
                Ok(Record::Digest(digest)) => words.push(format!("Digest {digest}")),
                Err(fault) => {
                    assert!(!fault.to_string().is_empty());
                    return Told { head, words, end: None };
                }
            }
        }
    }

    match read(from).ok()? {
        Capture::Call(about, records) => {
            let prompts = Prompt::ALL.map(|prompt| about.settings.prompts.own(prompt));
            Some(words(format!("{} {prompts:?}", head(&about)), records))
        }
        Capture::Switchboard(about, records) => Some(words(head(&about), records)),
    }
}

/// Gives bytes in pieces, with interruptions between them.
struct InPieces<'a, 'c> {
    rest: &'a [u8],
    choices: Choices<'c>,
}

impl Read for InPieces<'_, '_> {
    fn read(&mut self, into: &mut [u8]) -> Result<usize, Error> {
        if self.choices.one_in(8) {
            return Err(ErrorKind::Interrupted.into());
        }
        let most = self.rest.len().min(into.len());
        let len = if self.choices.is_empty() { most } else { most.min(1 + self.choices.below(200)) };
        let (piece, rest) = self.rest.split_at(len);
        into[..len].copy_from_slice(piece);
        self.rest = rest;
        Ok(len)
    }
}

proptest! {
    #![proptest_config(cases(250))]

    /// What was given is what is read, at once or in pieces, and the machine does the same once more.
    #[test]
    fn a_capture_is_what_was_given_however_it_is_read(bytes in bytes(1500), sizes in bytes(300)) {
        let Recorded { bytes, given, .. } = any_capture(&mut Choices::new(&bytes));
        let whole = told(&bytes[..]).expect("a capture");
        prop_assert!(matches!(whole.end, Some(End::Whole { .. })), "{:?}", whole.end);
        let inputs: Vec<&String> = whole.words.iter().filter(|word| word.starts_with("Input")).collect();
        prop_assert_eq!(inputs, given.iter().collect::<Vec<_>>());
        let in_pieces = told(InPieces { rest: &bytes, choices: Choices::new(&sizes) });
        prop_assert_eq!(in_pieces.as_ref(), Some(&whole));
        let replayed = replay(&bytes).expect("a capture");
        prop_assert!(replayed.is_whole() && replayed.difference.is_none(), "{:?}", replayed);
        prop_assert_eq!(replayed.steps, given.len() as u64);
    }

    /// What is left of a capture that was cut off is what stood before that, and it is torn there.
    #[test]
    fn a_capture_that_is_cut_off_is_torn(
        bytes in bytes(900),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 24),
    ) {
        let Recorded { bytes, head, .. } = any_capture(&mut Choices::new(&bytes));
        let whole = told(&bytes[..]).expect("a capture");
        for cut in cuts {
            let cut = cut.index(bytes.len());
            let left = told(&bytes[..cut]);
            prop_assert_eq!(
                left.is_some(),
                cut >= head,
                "cut at {} of {}, behind a head of {}",
                cut,
                bytes.len(),
                head
            );
            let Some(left) = left else { continue };
            prop_assert_eq!(&left.head, &whole.head);
            prop_assert!(whole.words.starts_with(&left.words), "cut at {}: {:?}", cut, left.words);
            prop_assert!(
                matches!(left.end, Some(End::Torn { at }) if at <= cut),
                "cut at {}: {:?}",
                cut,
                left.end
            );
            let replayed = replay(&bytes[..cut]).expect("a capture up to there");
            prop_assert!(replayed.difference.is_none(), "{:?}", replayed);
        }
    }

    /// One bit that is another makes it another capture, or none; reading and replaying bear it.
    #[test]
    fn no_bit_can_change_unseen(
        bytes in bytes(600),
        flips in prop::collection::vec((any::<prop::sample::Index>(), 0_u8..8), 24),
    ) {
        let Recorded { mut bytes, .. } = any_capture(&mut Choices::new(&bytes));
        let whole = told(&bytes[..]);
        for (at, bit) in flips {
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert!(told(&bytes[..]) != whole, "bit {} of byte {} says nothing", bit, at);
            match replay(&bytes) {
                Ok(replayed) => prop_assert!(replayed.steps <= bytes.len() as u64),
                Err(fault) => prop_assert!(!fault.to_string().is_empty()),
            }
            bytes[at] ^= 1 << bit;
        }
    }
}

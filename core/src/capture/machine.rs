//! What the two machines have in common, so that one mechanism records and replays both.

use crate::actions::Actions;
use crate::time::Instant;
use core::fmt::Debug;
use core::hash::Hash;

/// Which machine a capture is of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A [`Call`](crate::call::Call).
    Call,
    /// A [`Switchboard`](crate::switchboard::Switchboard).
    Switchboard,
}

/// A machine that can be recorded and replayed: a [`Call`](crate::call::Call) or a
/// [`Switchboard`](crate::switchboard::Switchboard).
pub trait Machine: format::Format {
    /// Which it is.
    const KIND: Kind;
    /// What the operator has decided.
    type Settings: Clone + Debug;
    /// All that is ambient.
    type Start<'a>: Copy + Debug;
    /// What happens to it.
    type Input<'a>: Copy + Debug;
    /// What it does.
    type Action: Copy + Debug + Hash;
    /// When it wants to be woken.
    type Next: Copy + Debug + Hash + PartialEq;

    /// Makes one.
    fn begin(
        settings: &Self::Settings,
        start: Self::Start<'_>,
        now: Instant,
        out: &mut Actions<Self::Action>,
    ) -> (Self, Self::Next);

    /// Takes one input.
    ///
    /// # Panics
    ///
    /// If `now` is not later than at the last step.
    fn step(&mut self, now: Instant, input: Self::Input<'_>, out: &mut Actions<Self::Action>) -> Self::Next;

    /// When it wants its timer.
    fn deadline(next: &Self::Next) -> Option<Instant>;
}

/// How a machine is written down. Nobody outside can make a third machine.
pub(super) mod format {
    use super::super::wire::{Bad, Cursor, Sink};
    use super::Machine;
    use crate::actions::Actions;
    use crate::call::Outcome;
    use core::fmt::Debug;

    /// How a machine's head and its inputs look as bytes.
    pub trait Format: Sized {
        /// What one input leaves for the next: what need not be written again, and what is lent to the machine.
        type Memory: Default + Debug;

        /// [`Machine::Start`], with all that it borrows.
        type Held: Debug;

        /// Writes what follows the time in the head.
        fn write_head(settings: &Self::Settings, start: &Self::Start<'_>, sink: &mut Sink)
        where
            Self: Machine;

        /// Reads it.
        fn read_head(cursor: &mut Cursor<'_>) -> Result<(Self::Settings, Self::Held), Bad>
        where
            Self: Machine;

        /// What is held, lent out.
        fn start(held: &Self::Held) -> Self::Start<'_>
        where
            Self: Machine;

        /// The kind of the record that this input makes.
        fn kind_of(input: &Self::Input<'_>, memory: &Self::Memory) -> u8
        where
            Self: Machine;

        /// Writes what belongs to the kind.
        fn write_input(input: &Self::Input<'_>, memory: &mut Self::Memory, sink: &mut Sink)
        where
            Self: Machine;

        /// Reads it.
        fn read_input<'s, 'a: 's>(
            kind: u8,
            cursor: &mut Cursor<'a>,
            memory: &'s mut Self::Memory,
        ) -> Result<Self::Input<'s>, Bad>
        where
            Self: Machine;

        /// How many bytes came with an input.
        fn bytes_of(input: &Self::Input<'_>) -> usize
        where
            Self: Machine;

        /// Puts an action into words, one line, unless it is one of those that come many times a second. What belongs to it
        /// lies in `out`.
        fn describe(action: &Self::Action, out: &Actions<Self::Action>, line: &mut String)
        where
            Self: Machine;

        /// Whether [`Self::describe`] has something to say of it.
        fn is_told(action: &Self::Action, out: &Actions<Self::Action>) -> bool
        where
            Self: Machine;

        /// How a call went, if this action says so.
        fn outcome(action: &Self::Action) -> Option<Outcome>
        where
            Self: Machine;
    }
}

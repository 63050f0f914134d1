//! What an answer has used up.

use core::hash::{Hash, Hasher};

/// A kind of token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UsageKind {
    /// Text that went in for the first time.
    TextIn,
    /// Text that was there before, and costs less.
    TextCached,
    /// Text that came out.
    TextOut,
    /// Audio that went in for the first time; what a server counts without saying what it is counts as this.
    AudioIn,
    /// Audio that was there before.
    AudioCached,
    /// Audio that came out; what a server counts without saying what it is counts as this.
    AudioOut,
}

impl UsageKind {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::TextIn, Self::TextCached, Self::TextOut, Self::AudioIn, Self::AudioCached, Self::AudioOut];

    /// The value of the label `kind` in the metrics, and the name in a price list.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::TextIn => "text_in",
            Self::TextCached => "text_cached",
            Self::TextOut => "text_out",
            Self::AudioIn => "audio_in",
            Self::AudioCached => "audio_cached",
            Self::AudioOut => "audio_out",
        }
    }
}

/// How many tokens of each kind, in the order of [`UsageKind::ALL`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Usage([u64; 6]);

impl Hash for Usage {
    /// One number after the other: an array is hashed as its memory, whose order of bytes is the machine's.
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.iter().for_each(|tokens| tokens.hash(state));
    }
}

impl Usage {
    /// How many of this kind.
    #[must_use]
    pub fn of(&self, kind: UsageKind) -> u64 {
        self.0.get(kind as usize).copied().unwrap_or_default()
    }

    /// Adds so many of this kind.
    pub fn add(&mut self, kind: UsageKind, tokens: u64) {
        if let Some(slot) = self.0.get_mut(kind as usize) {
            *slot = slot.saturating_add(tokens);
        }
    }

    /// Adds another one.
    pub fn add_all(&mut self, other: &Self) {
        UsageKind::ALL.into_iter().for_each(|kind| self.add(kind, other.of(kind)));
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

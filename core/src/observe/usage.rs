//! What an answer has used up.

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

/// How many tokens of each kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Usage([u64; 6]);

impl Usage {
    /// How many of this kind.
    #[must_use]
    pub const fn of(&self, kind: UsageKind) -> u64 {
        let [text_in, text_cached, text_out, audio_in, audio_cached, audio_out] = self.0;
        match kind {
            UsageKind::TextIn => text_in,
            UsageKind::TextCached => text_cached,
            UsageKind::TextOut => text_out,
            UsageKind::AudioIn => audio_in,
            UsageKind::AudioCached => audio_cached,
            UsageKind::AudioOut => audio_out,
        }
    }

    /// Adds so many of this kind.
    pub const fn add(&mut self, kind: UsageKind, tokens: u64) {
        let [text_in, text_cached, text_out, audio_in, audio_cached, audio_out] = &mut self.0;
        let slot = match kind {
            UsageKind::TextIn => text_in,
            UsageKind::TextCached => text_cached,
            UsageKind::TextOut => text_out,
            UsageKind::AudioIn => audio_in,
            UsageKind::AudioCached => audio_cached,
            UsageKind::AudioOut => audio_out,
        };
        *slot = slot.saturating_add(tokens);
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

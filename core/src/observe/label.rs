//! Names from a peer that are harmless in a log.

use core::fmt;

/// A short machine-made name from a peer (an error code, an event type), cut to what is harmless in a log:
/// at most [`Label::MAX_BYTES`] of `[A-Za-z0-9_.:-]`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Label {
    bytes: [u8; Self::MAX_BYTES],
    len: u8,
}

impl Label {
    /// The longest label, in bytes.
    pub const MAX_BYTES: usize = 48;

    /// Takes the harmless leading part of `text`; what a peer wrote as prose ends at its first space.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let mut label = Self { bytes: [0; Self::MAX_BYTES], len: 0 };
        let harmless = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b':' | b'-');
        for (slot, b) in label.bytes.iter_mut().zip(text.bytes().take_while(harmless)) {
            *slot = b;
            label.len += 1;
        }
        label
    }

    /// The text; empty if nothing harmless was there.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.bytes.get(..usize::from(self.len)).and_then(|b| core::str::from_utf8(b).ok()).unwrap_or_default()
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.len == 0 { "(unnamed)" } else { self.as_str() })
    }
}

impl fmt::Debug for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_keeps_codes_and_drops_prose() {
        assert_eq!(Label::new("invalid_api_key").as_str(), "invalid_api_key");
        assert_eq!(Label::new("Incorrect API key provided: sk-1").as_str(), "Incorrect");
        assert_eq!(Label::new("line\nbreak").as_str(), "line");
        assert_eq!(Label::new(&"x".repeat(500)).as_str().len(), Label::MAX_BYTES);
        assert_eq!(Label::new("").to_string(), "(unnamed)");
    }
}

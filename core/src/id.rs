//! Typed identifiers. Each is a counter or a name that says whose it is.

use core::fmt;

/// Every nonce begins so; what bears it on Asterisk is ours, whichever process made it.
pub const NONCE_TAG: &str = "arib";

macro_rules! counter {
    ($(#[$doc:meta])* $name:ident($int:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
        pub struct $name(pub $int);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

counter! {
    /// A call of this process, counted from 1.
    CallId(u64)
}
counter! {
    /// A request to ARI, unique within the machine that made it.
    RequestId(u32)
}
counter! {
    /// A function that the model called, unique within its call.
    ToolId(u32)
}
counter! {
    /// A Realtime socket of a call. A call may open a second one before the first ends.
    LinkId(u32)
}
counter! {
    /// A media path between Asterisk and a call.
    LegId(u32)
}

/// What tells one run of the bridge from every other: [`NONCE_TAG`] and eight hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct InstanceNonce(u32);

impl InstanceNonce {
    /// The nonce of a run that was given these random bits at its start.
    #[must_use]
    pub const fn new(bits: u32) -> Self {
        Self(bits)
    }

    /// Reads what `Display` writes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bits = text.strip_prefix(NONCE_TAG).and_then(|hex| u32::from_str_radix(hex, 16).ok())?;
        Some(Self(bits)).filter(|read| read.to_string() == text)
    }

    /// The random bits.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }
}

impl fmt::Display for InstanceNonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{NONCE_TAG}{:08x}", self.0)
    }
}

/// The first part of the name of everything that one call makes on Asterisk: `<nonce>-<call>`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct IdPrefix {
    /// The run of the bridge.
    pub nonce: InstanceNonce,
    /// The call.
    pub call: CallId,
}

impl IdPrefix {
    /// The name of the call's `n`th resource.
    #[must_use]
    pub const fn resource(self, n: u32) -> ResourceId {
        ResourceId { prefix: self, n }
    }
}

impl fmt::Display for IdPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.nonce, self.call)
    }
}

/// The name of something that a call makes on Asterisk: `<nonce>-<call>-<n>`.
///
/// A name is used once in the life of Asterisk: a duplicate is a 500, and for media over WebSocket it is a
/// crash (measured on 22.10.1). The nonce sees to that across restarts.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ResourceId {
    /// Whose it is.
    pub prefix: IdPrefix,
    /// Which of the call's resources it is.
    pub n: u32,
}

impl ResourceId {
    /// Reads a name as this crate writes it; anything else is not ours and gives `None`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.strip_prefix(NONCE_TAG)?.split('-');
        let (nonce, call, n) = (parts.next()?, parts.next()?, parts.next()?);
        let hex = nonce.len() == 8 && nonce.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        // No leading zeros: a name that is written otherwise is not this one.
        let decimal = |s: &str| {
            s.bytes().all(|b| b.is_ascii_digit()) && (s == "0" || !s.starts_with('0')) && !s.is_empty()
        };
        if parts.next().is_some() || !hex || !decimal(call) || !decimal(n) {
            return None;
        }
        let nonce = InstanceNonce(u32::from_str_radix(nonce, 16).ok()?);
        let prefix = IdPrefix { nonce, call: CallId(call.parse().ok()?) };
        Some(Self { prefix, n: n.parse().ok()? })
    }

    /// Whether `text` is this name, without making a string.
    #[must_use]
    pub fn is(&self, text: &str) -> bool {
        Self::parse(text) == Some(*self)
    }
}

impl fmt::Display for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.prefix, self.n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_name_reads_back() {
        let id = IdPrefix { nonce: InstanceNonce::new(0xBEEF), call: CallId(17) }.resource(2);
        assert_eq!(id.to_string(), "arib0000beef-17-2");
        assert_eq!(ResourceId::parse("arib0000beef-17-2"), Some(id));
        assert!(id.is("arib0000beef-17-2"));
    }

    #[test]
    fn the_names_of_others_are_not_ours() {
        for other in [
            "",
            "1795346951.0",
            "arib",
            "arib0000beef",
            "arib0000beef-1",
            "arib0000BEEF-1-2",
            "arib0000beef-1-2-3",
            "arib0000beef--2",
            "arib0000beef-+1-2",
            "arib0000beef-01-2",
            "arib0000beef-1-02",
            "arib0000beef-00-2",
            "arib+000beef-1-2",
            "arib0000beef-99999999999999999999-1",
        ] {
            assert_eq!(ResourceId::parse(other), None, "{other}");
        }
    }
}

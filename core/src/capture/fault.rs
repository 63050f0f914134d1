//! What is wrong with bytes that should be a capture.

use super::FORMAT;
use super::wire::Bad;
use core::fmt;

/// Why bytes cannot be read as a capture, or not on from some place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fault {
    /// They do not begin as a capture does.
    NotACapture,
    /// They are of a version of the program that is newer than this one, and writes another format.
    Newer {
        /// The format; this program reads up to [`FORMAT`].
        format: u64,
    },
    /// The head cannot be.
    Head {
        /// Where, in bytes.
        at: usize,
        /// Why.
        what: &'static str,
    },
    /// Settings, or what a machine began with, cannot be read.
    Json {
        /// Where they end in the head, or where the record begins that they are in, in bytes.
        at: usize,
        /// Which of them.
        what: &'static str,
        /// Where in them, and why.
        error: String,
    },
    /// What should give the bytes has failed.
    Unreadable {
        /// Behind which byte.
        at: usize,
        /// Why.
        error: String,
    },
    /// A record cannot be.
    Record {
        /// Where it begins, in bytes.
        at: usize,
        /// Why.
        what: &'static str,
    },
}

impl Fault {
    /// The fault of a head that could not be read, at that byte.
    pub(super) fn of_head(at: usize, bad: Bad) -> Self {
        match bad {
            Bad::Ends => Self::Head { at, what: "it ends here, before its end" },
            Bad::Wrong(what) => Self::Head { at, what },
            Bad::Json { what, error } => Self::Json { at, what, error },
        }
    }

    /// The fault of a record that begins at that byte.
    pub(super) fn of_record(at: usize, bad: Bad) -> Self {
        match bad {
            Bad::Ends => Self::Record { at, what: "it ends before its end" },
            Bad::Wrong(what) => Self::Record { at, what },
            Bad::Json { what, error } => Self::Json { at, what, error },
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotACapture => f.write_str("it is not a capture"),
            Self::Newer { format } => write!(
                f,
                "it has format {format}, and this program reads up to {FORMAT}: a newer one has written it"
            ),
            Self::Head { at, what } => write!(f, "its head cannot be read at byte {at}: {what}"),
            Self::Json { at, what, error } => write!(f, "the {what} at byte {at} cannot be read: {error}"),
            Self::Unreadable { at, error } => write!(f, "it cannot be read on from byte {at}: {error}"),
            Self::Record { at, what } => write!(f, "the record at byte {at} cannot be: {what}"),
        }
    }
}

impl core::error::Error for Fault {}

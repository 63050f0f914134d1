//! Captures in production: what is written of calls, and where.

mod compress;
mod reader;
#[cfg(test)]
mod tests;

pub use compress::{Compressed, compress};
pub use reader::{Reader, open_file};

use std::path::Path;

/// What the name of a capture ends in.
const ENDING: &str = ".capture";

/// What it ends in while it is being written.
const UNFINISHED: &str = ".capture.part";

/// Whether a file is named as captures are, finished ones or not.
#[must_use]
pub fn is_capture(path: &Path) -> bool {
    is_unfinished(path) || path.to_string_lossy().ends_with(ENDING)
}

/// Whether it is named as captures are while they are being written.
#[must_use]
pub fn is_unfinished(path: &Path) -> bool {
    path.to_string_lossy().ends_with(UNFINISHED)
}

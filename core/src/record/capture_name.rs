//! How the files are named that captures are kept in: `20261122T112911Z-arib0000beef-17.capture`, the time at which the
//! call began and its id, or `20261122T112911Z-switchboard-arib0000beef.capture`. Of a call under way there may be more
//! than one, with `-asked-1` and so on before the ending. Nothing in the name says who called.

use super::utc::Civil;
use crate::id::{IdPrefix, InstanceNonce, ResourceId};
use crate::time::UtcNanos;
use core::fmt;

const ENDING: &str = ".capture";

/// What is behind the name of a file that is being written.
const UNFINISHED: &str = ".part";

const SWITCHBOARD: &str = "switchboard-";

const ASKED: &str = "-asked-";

/// Of what a capture is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Captured {
    /// Of a call.
    Call(IdPrefix),
    /// Of the switchboard of this run of the bridge.
    Switchboard(InstanceNonce),
}

impl fmt::Display for Captured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call(id) => id.fmt(f),
            Self::Switchboard(nonce) => write!(f, "{SWITCHBOARD}{nonce}"),
        }
    }
}

/// The name of the file with the capture of what began at `utc`; `asked` is 0, or counts those that were asked for while
/// it was under way. It sorts by time.
#[must_use]
pub fn capture_name(utc: UtcNanos, captured: Captured, asked: u32) -> String {
    let stamp = Civil::new(utc);
    match asked {
        0 => format!("{stamp}-{captured}{ENDING}"),
        _ => format!("{stamp}-{captured}{ASKED}{asked}{ENDING}"),
    }
}

/// The name that the file `name` bears while it is being written.
#[must_use]
pub fn capture_part_name(name: &str) -> String {
    format!("{name}{UNFINISHED}")
}

/// What a file in the folder of the captures is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct CaptureFile<'a> {
    /// When what it is of began, in seconds since the Unix epoch.
    pub begun: u64,
    /// Its name when it is finished.
    pub name: &'a str,
    /// Whether it is being written, or its writer is dead.
    pub is_part: bool,
    /// Whether it is of a switchboard, and not of a call.
    pub is_of_switchboard: bool,
}

impl<'a> CaptureFile<'a> {
    /// Reads a name that [`capture_name`] and [`capture_part_name`] write. A file of any other name is nobody's to touch.
    #[must_use]
    pub fn parse(file: &'a str) -> Option<Self> {
        let (name, is_part) = match file.strip_suffix(UNFINISHED) {
            Some(name) => (name, true),
            None => (file, false),
        };
        let (stamp, captured) = name.strip_suffix(ENDING)?.split_once('-')?;
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let captured = match captured.split_once(ASKED) {
            Some((captured, number)) if is_number(number) => captured,
            Some(_) => return None,
            None => captured,
        };
        // The id of a call is what the names of all that it makes begin with.
        let resource = match captured.strip_prefix(SWITCHBOARD) {
            Some(nonce) => format!("{nonce}-0-0"),
            None => format!("{captured}-0"),
        };
        ResourceId::parse(&resource)?;
        let is_of_switchboard = captured.starts_with(SWITCHBOARD);
        Some(Self { begun: Civil::parse(stamp).map(Civil::since_epoch)?, name, is_part, is_of_switchboard })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::CallId;

    const NOW: UtcNanos = UtcNanos(1_795_346_951_573_000_000);

    #[test]
    fn captures_are_named_by_when_what_they_are_of_began_and_by_its_id() {
        let nonce = InstanceNonce::new(0xBEEF);
        let call = Captured::Call(IdPrefix { nonce, call: CallId(17) });
        for (captured, asked, name) in [
            (call, 0, "20261122T112911Z-arib0000beef-17.capture"),
            (call, 2, "20261122T112911Z-arib0000beef-17-asked-2.capture"),
            (Captured::Switchboard(nonce), 0, "20261122T112911Z-switchboard-arib0000beef.capture"),
            (Captured::Switchboard(nonce), 1, "20261122T112911Z-switchboard-arib0000beef-asked-1.capture"),
        ] {
            assert_eq!(capture_name(NOW, captured, asked), name);
            let is_of_switchboard = captured != call;
            let file = CaptureFile { begun: 1_795_346_951, name, is_part: false, is_of_switchboard };
            assert_eq!(CaptureFile::parse(name), Some(file));
            let part = capture_part_name(name);
            assert_eq!(CaptureFile::parse(&part), Some(CaptureFile { is_part: true, ..file }));
        }
    }

    #[test]
    fn the_files_of_others_are_nobodys_to_touch() {
        for name in [
            "",
            ".capture",
            "mine.capture",
            "20261122T112911Z.capture",
            "20261122T112911Z-.capture",
            "20261122T112911Z-arib0000beef.capture",
            "20261122T112911Z-arib0000beef-17-2.capture",
            "20261122T112911Z-arib0000beef-17-asked-.capture",
            "20261122T112911Z-arib0000beef-17-asked-x.capture",
            "20261122T112911Z-arib0000beef-17-scrubbed.capture",
            "20261122T112911Z-switchboard-arib0000beef-1.capture",
            "20261122T112911Z-switchboard-arib0000BEEF.capture",
            "20261122T112911Z-arib0000beef-17.capture.zst",
            "20261122T112911Z-arib0000beef-17.capture.part.part",
            "20261122T112911Z-arib0000beef-17.json",
            "20261322T112911Z-arib0000beef-17.capture",
            "../20261122T112911Z-arib0000beef-17.capture",
        ] {
            assert_eq!(CaptureFile::parse(name), None, "{name}");
        }
    }
}

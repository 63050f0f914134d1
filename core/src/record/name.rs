//! How the files are named that records are kept in: `20261122T112911Z-arib0000beef-17.json`, the time at which the
//! call began and its id. Nothing in the name says who called.

use super::utc::Civil;
use crate::id::{IdPrefix, ResourceId};
use crate::time::{Duration, UtcNanos};

const ENDING: &str = ".json";

/// What stands around the name of a file that is being written: hidden, and read by nobody.
const UNFINISHED: (&str, &str) = (".", ".tmp");

/// The name of the file with the record of the call `id` that began at `utc`. It sorts by time.
#[must_use]
pub fn file_name(utc: UtcNanos, id: IdPrefix) -> String {
    format!("{}-{id}{ENDING}", Civil::new(utc))
}

/// The name that the file `name` bears while it is being written.
#[must_use]
pub fn unfinished_name(name: &str) -> String {
    let (before, behind) = UNFINISHED;
    format!("{before}{name}{behind}")
}

/// Whether the file `name` holds the record of a call that began so long ago, or a part of one. A file whose name is
/// not of the form that [`file_name`] and [`unfinished_name`] write is nobody's to remove, and never is.
#[must_use]
pub fn is_older(name: &str, than: Duration, now: UtcNanos) -> bool {
    begun(name).is_some_and(|begun| begun.saturating_add(than.as_secs()) < now.0 / 1_000_000_000)
}

/// When the call began whose record the file `name` holds, in seconds since the Unix epoch.
fn begun(name: &str) -> Option<u64> {
    let (before, behind) = UNFINISHED;
    let name = name.strip_prefix(before).and_then(|name| name.strip_suffix(behind)).unwrap_or(name);
    let (stamp, id) = name.strip_suffix(ENDING)?.split_once('-')?;
    // The id of a call is what the names of all that it makes begin with.
    ResourceId::parse(&format!("{id}-0"))?;
    Civil::parse(stamp).map(Civil::since_epoch)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{CallId, InstanceNonce};

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    const NOW: UtcNanos = UtcNanos(1_795_346_951_573_000_000);

    #[test]
    fn a_file_is_named_by_when_its_call_began_and_by_its_id() {
        let id = IdPrefix { nonce: InstanceNonce::new(0xBEEF), call: CallId(17) };
        let name = file_name(NOW, id);
        assert_eq!(name, "20261122T112911Z-arib0000beef-17.json");
        assert_eq!(unfinished_name(&name), ".20261122T112911Z-arib0000beef-17.json.tmp");
    }

    #[test]
    fn records_are_kept_for_so_long() {
        for (name, is_old) in [
            ("20261122T112911Z-arib0000beef-17.json", false),
            ("20261121T112911Z-arib0000beef-17.json", false),
            ("20261121T112910Z-arib0000beef-17.json", true),
            ("19700101T000000Z-arib0000beef-1.json", true),
            (".20261101T000000Z-arib0000beef-17.json.tmp", true),
            (".20261122T112911Z-arib0000beef-17.json.tmp", false),
            ("20280101T000000Z-arib0000beef-17.json", false),
        ] {
            assert_eq!(is_older(name, DAY, NOW), is_old, "{name}");
        }
        assert!(!is_older("19700101T000000Z-arib0000beef-1.json", Duration::MAX, NOW));
    }

    #[test]
    fn the_files_of_others_are_never_old() {
        for name in [
            "",
            "notes.json",
            "20200101T000000Z.json",
            "20200101T000000Z-.json",
            "20200101T000000Z-backup.json",
            "20200101T000000Z-arib0000beef.json",
            "20200101T000000Z-arib0000beef-17-2.json",
            "20200101T000000Z-arib0000BEEF-17.json",
            "20200101T000000Z-arib0000beef-17.json.gz",
            "20200101T000000Z-arib0000beef-17.json.tmp",
            "20201301T000000Z-arib0000beef-17.json",
            "../20200101T000000Z-arib0000beef-17.json",
            "x20200101T000000Z-arib0000beef-17.json",
        ] {
            assert!(!is_older(name, DAY, NOW), "{name}");
        }
    }
}

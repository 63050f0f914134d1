//! The folder of the captures: what is created in it, and what goes.

use ari_bridge_core::config::CaptureConfig;
use ari_bridge_core::record::{CaptureFile, capture_part_name};
use ari_bridge_core::time::UtcNanos;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// Nobody but the user of the bridge reads what people said.
const FILE_MODE: u32 = 0o600;
const FOLDER_MODE: u32 = 0o700;

const DAY_SECONDS: u64 = 24 * 60 * 60;

/// The folder. Files whose names are not ours are never touched.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    max_bytes: u64,
    days: u64,
    min_free_bytes: u64,
}

/// A capture that is being written, under the name of a part. As long as it is open it is locked, so that another bridge
/// does not take it for one that a dead process has left.
#[derive(Debug)]
pub(super) struct Part {
    file: File,
    path: PathBuf,
    finished: PathBuf,
    bytes: u64,
}

impl Folder {
    /// The folder that the settings name. It is made if there is none, and it must be possible to write there; a full disk
    /// is no reason not to begin.
    ///
    /// # Errors
    ///
    /// If it cannot be made or written to.
    pub(super) fn open(config: &CaptureConfig) -> io::Result<Self> {
        let path = PathBuf::from(&config.dir);
        DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(&path)?;
        let probe = path.join(format!(".ari-bridge-{}.tmp", std::process::id()));
        match create(&probe) {
            Ok(_) => fs::remove_file(&probe)?,
            // One that a dead process of the same number has left: it could be written.
            Err(error) if matches!(error.kind(), ErrorKind::AlreadyExists | ErrorKind::StorageFull) => {}
            Err(error) => return Err(error),
        }
        let mut folder = Self { path, max_bytes: 0, days: 0, min_free_bytes: 0 };
        folder.limit(config);
        Ok(folder)
    }

    /// Takes the limits of these settings.
    pub(super) const fn limit(&mut self, config: &CaptureConfig) {
        (self.max_bytes, self.days, self.min_free_bytes) =
            (config.max_bytes, config.days, config.min_free_bytes);
    }

    /// How large the folder may become, and so a file of it.
    pub(super) const fn max_bytes(&self) -> u64 {
        self.max_bytes
    }

    /// Whether there is as much free disk as there must be.
    ///
    /// # Errors
    ///
    /// If the system does not say.
    pub(super) fn has_room(&self) -> io::Result<bool> {
        let disk = rustix::fs::statvfs(&self.path)?;
        Ok(disk.f_bavail.saturating_mul(disk.f_frsize) >= self.min_free_bytes)
    }

    /// Begins a file that will have this name.
    ///
    /// # Errors
    ///
    /// If it cannot be made, or is there already.
    pub(super) fn create(&self, name: &str) -> io::Result<Part> {
        let path = self.path.join(capture_part_name(name));
        let file = create(&path)?;
        // The name is this process's own, so nobody else has the lock, unless the file system knows no locks.
        let _ = file.try_lock();
        Ok(Part { file, path, finished: self.path.join(name), bytes: 0 })
    }

    /// Gives what a dead process has left its name: it breaks off, and can be read.
    ///
    /// # Errors
    ///
    /// If the folder cannot be read, or a file of it not be renamed; the others are.
    pub(super) fn take_over(&self) -> io::Result<()> {
        self.each(|path, file| {
            if !file.is_part {
                return Ok(());
            }
            match File::open(path)?.try_lock() {
                Ok(()) => fs::rename(path, self.path.join(file.name)),
                Err(TryLockError::WouldBlock) => Ok(()),
                Err(TryLockError::Error(error)) => Err(error),
            }
        })
    }

    /// Removes what is too old, and the oldest of what is more than the folder may hold. Files that are being written count,
    /// and stay.
    ///
    /// # Errors
    ///
    /// If the folder cannot be read, or a file of it not be removed; the others are.
    pub(super) fn prune(&self, now: UtcNanos) -> io::Result<()> {
        let oldest = (now.0 / 1_000_000_000).saturating_sub(self.days.saturating_mul(DAY_SECONDS));
        let (mut kept, mut total) = (Vec::new(), 0_u64);
        let mut result = self.each(|path, file| {
            let metadata = fs::symlink_metadata(path)?;
            let bytes = metadata.len();
            // What a switchboard saw begins with its process, and may be written weeks later.
            let age = metadata.modified().ok().filter(|_| file.is_of_switchboard);
            let age = age.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
            let written = age.map_or(file.begun, |age| age.as_secs().max(file.begun));
            if written < oldest && !file.is_part {
                return fs::remove_file(path);
            }
            total = total.saturating_add(bytes);
            if !file.is_part {
                kept.push((written, path.to_owned(), bytes));
            }
            Ok(())
        });
        kept.sort();
        for (_, path, bytes) in kept {
            if total <= self.max_bytes {
                break;
            }
            match fs::remove_file(path) {
                Ok(()) => total -= bytes,
                Err(error) => result = Err(error),
            }
        }
        result
    }

    /// Looks at each file of ours, also behind one that is an error. One that is gone meanwhile is none.
    fn each(&self, mut look: impl FnMut(&Path, CaptureFile<'_>) -> io::Result<()>) -> io::Result<()> {
        let mut result = Ok(());
        for entry in fs::read_dir(&self.path)? {
            let name = entry?.file_name();
            if let Some(file) = name.to_str().and_then(CaptureFile::parse) {
                match look(&self.path.join(&name), file) {
                    Err(error) if error.kind() != ErrorKind::NotFound => result = Err(error),
                    Ok(()) | Err(_) => {}
                }
            }
        }
        result
    }
}

impl Part {
    /// Writes more of it.
    ///
    /// # Errors
    ///
    /// If the disk takes no more.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    /// How much was written.
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Gives it its name, or removes it if there is nothing in it.
    ///
    /// # Errors
    ///
    /// If that cannot be done.
    pub(super) fn finish(self) -> io::Result<()> {
        if self.bytes == 0 { fs::remove_file(self.path) } else { fs::rename(self.path, self.finished) }
    }
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(path)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Dir, config};
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    const CALL: &str = "20261122T112911Z-arib00000007-1.capture";
    const NOW: UtcNanos = UtcNanos(1_795_346_951_000_000_000);

    #[test]
    fn the_folder_and_its_files_are_their_owners_alone() {
        let dir = Dir::new("folder-modes");
        let path = dir.path("a/b");
        let folder = Folder::open(&config(&path)).unwrap();
        let mut part = folder.create(CALL).unwrap();
        part.write(b"x").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(&path.join(format!("{CALL}.part")))), (0o700, 0o600));
        part.finish().unwrap();
        assert_eq!(fs::read(path.join(CALL)).unwrap(), b"x");
        // A second one of the name, and one in which nothing is.
        folder.create(CALL).unwrap().finish().unwrap();
        assert_eq!(fs::read_dir(&path).unwrap().count(), 1);
    }

    #[test]
    fn a_folder_that_cannot_be_written_to_is_an_error() {
        let dir = Dir::new("folder-bad");
        fs::write(dir.path("file"), "").unwrap();
        for bad in [dir.path("file"), dir.path("file/below"), "/proc/nowhere".into()] {
            assert!(Folder::open(&config(&bad)).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn too_little_free_disk_is_noticed() {
        let dir = Dir::new("folder-room");
        let mut settings = config(&dir.0);
        let mut folder = Folder::open(&settings).unwrap();
        assert!(folder.has_room().unwrap());
        settings.min_free_bytes = u64::MAX;
        folder.limit(&settings);
        assert!(!folder.has_room().unwrap());
    }

    #[test]
    fn what_a_dead_process_has_left_gets_its_name_and_what_a_living_one_writes_does_not() {
        let dir = Dir::new("folder-left");
        let folder = Folder::open(&config(&dir.0)).unwrap();
        fs::write(dir.path(&format!("{CALL}.part")), "left").unwrap();
        let living = "20261122T112911Z-arib00000008-1.capture";
        let _part = folder.create(living).unwrap();
        fs::write(dir.path("mine.capture.part"), "").unwrap();
        folder.take_over().unwrap();
        assert_eq!(dir.names(), [CALL, &format!("{living}.part"), "mine.capture.part"]);
    }

    #[test]
    fn old_captures_go_and_then_the_oldest_until_the_folder_is_small_enough() {
        let dir = Dir::new("folder-prune");
        let mut settings = config(&dir.0);
        settings.days = 2;
        let mut folder = Folder::open(&settings).unwrap();
        // The process of the first began long ago, and it was written just now.
        let names = [
            "20261101T112910Z-switchboard-arib00000007.capture",
            "20261119T112911Z-arib00000007-1.capture",
            "20261121T112911Z-arib00000007-2.capture",
            "20261122T100000Z-arib00000007-4.capture.part",
            CALL,
            "notes.capture",
        ];
        for name in names {
            fs::write(dir.path(name), [0; 100]).unwrap();
        }
        folder.prune(NOW).unwrap();
        assert_eq!(dir.names(), [names[0], names[2], names[3], CALL, names[5]]);
        settings.max_bytes = 250;
        folder.limit(&settings);
        folder.prune(NOW).unwrap();
        assert_eq!(dir.names(), [names[0], names[3], names[5]]);
    }
}

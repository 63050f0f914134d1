//! Records of calls: a line in the log for each call, and a file where `CALL_RECORD_DIR` is set.
//!
//! A call never waits for the disk: a thread of its own writes, and what it cannot take in time is lost, and counted.

use ari_bridge_core::call::{Actions, Outcome, Record, Start};
use ari_bridge_core::config::RecordConfig;
use ari_bridge_core::observe::Observation;
use ari_bridge_core::record::{CallRecord, Recorder, Texts, is_older, unfinished_name};
use ari_bridge_core::time::Instant;
use std::fmt::Display;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::{self, Duration};

use crate::clock::utc;
use crate::error::RunError;
use crate::lock;
use crate::shared::Shared;

/// Where the lines go in the log, so that they can be told from others.
const TARGET: &str = "ari_bridge::call_record";

/// How many records may wait to be written.
const MAX_WAITING: usize = 128;

/// How long the end of the service waits until what waits is written.
const CLOSE_WITHIN: Duration = Duration::from_secs(5);

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Nobody but the user of the bridge reads what people said.
const FILE_MODE: u32 = 0o600;

/// The record of a call under way. It is closed at the end of the call, or by the panic that ends its task.
pub(crate) struct Recording {
    shared: Arc<Shared>,
    recorder: Option<Recorder>,
}

impl Recording {
    pub(crate) fn new(shared: &Arc<Shared>, start: &Start<'_>) -> Self {
        let texts = if shared.records.is_some() { Texts::Kept } else { Texts::Counted };
        let recorder = Recorder::new(start.ids, start.utc, &start.origin, texts);
        Self { shared: shared.clone(), recorder: Some(recorder) }
    }

    pub(crate) fn record(&mut self, at: Instant, record: &Record, out: &Actions) {
        if let Some(recorder) = &mut self.recorder {
            recorder.record(at, record, out);
        }
    }

    pub(crate) fn observe(&mut self, at: Instant, observation: &Observation) {
        if let Some(recorder) = &mut self.recorder {
            recorder.observe(at, observation);
        }
    }

    pub(crate) fn finish(&mut self, outcome: &Outcome) {
        self.close(|recorder| recorder.finish(outcome));
    }

    fn close(&mut self, close: impl FnOnce(Recorder) -> CallRecord) {
        let Some(recorder) = self.recorder.take() else { return };
        let name = recorder.file_name();
        let record = close(recorder);
        tracing::info!(target: TARGET, "{}", record.line());
        if let Some(records) = &self.shared.records {
            records.keep(name, record);
        }
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.close(Recorder::panicked);
        }
    }
}

/// The files, and the thread that writes them.
pub(crate) struct Records {
    /// Gone when the service ends.
    queue: Mutex<Option<SyncSender<(String, CallRecord)>>>,
    /// Nothing comes; it breaks off when the thread is done.
    done: Mutex<Receiver<()>>,
    losses: Arc<Losses>,
}

impl Records {
    /// Looks whether files can be written, and starts the thread; `None` if none are wanted. `count` is called for
    /// each record that is lost.
    ///
    /// # Errors
    ///
    /// If nothing can be written there, or the system gives no thread.
    pub(crate) fn start(
        config: &RecordConfig,
        count: impl Fn() + Send + Sync + 'static,
    ) -> Result<Option<Self>, RunError> {
        let Some(dir) = &config.dir else { return Ok(None) };
        probe(Path::new(dir)).map_err(|error| RunError::RecordDir(dir.clone(), error))?;
        let keep_for = DAY.saturating_mul(u32::try_from(config.days).unwrap_or(u32::MAX));
        let losses = Arc::new(Losses { count: Box::new(count), is_told: Mutex::new(false) });
        let (queue, jobs) = sync_channel(MAX_WAITING);
        let (running, done) = channel();
        let mut writer = Writer { dir: dir.into(), keep_for, jobs, losses: losses.clone() };
        let main = move || {
            writer.run();
            drop(running);
        };
        std::thread::Builder::new()
            .name("ari-bridge-rec".to_owned())
            .spawn(main)
            .map_err(RunError::Threads)?;
        Ok(Some(Self { queue: Mutex::new(Some(queue)), done: Mutex::new(done), losses }))
    }

    fn keep(&self, name: String, record: CallRecord) {
        let queue = lock(&self.queue);
        if queue.as_ref().is_none_or(|queue| queue.try_send((name, record)).is_err()) {
            self.losses.one(&"the disk is too slow");
        }
    }

    /// Writes what waits, and takes no more.
    pub(crate) fn close(&self) {
        drop(lock(&self.queue).take());
        if lock(&self.done).recv_timeout(CLOSE_WITHIN) == Err(RecvTimeoutError::Timeout) {
            tracing::error!("records of calls are lost: the disk did not take them in time");
        }
    }
}

/// Counts lost records, and logs the first of them, and again the first after one that was written.
struct Losses {
    count: Box<dyn Fn() + Send + Sync>,
    is_told: Mutex<bool>,
}

impl Losses {
    fn one(&self, why: &dyn Display) {
        (self.count)();
        if !std::mem::replace(&mut *lock(&self.is_told), true) {
            tracing::error!(
                "the record of a call is lost: {why}; further ones are counted in the metrics only"
            );
        }
    }

    fn none(&self) {
        *lock(&self.is_told) = false;
    }
}

struct Writer {
    dir: PathBuf,
    keep_for: Duration,
    jobs: Receiver<(String, CallRecord)>,
    losses: Arc<Losses>,
}

impl Writer {
    /// Writes until nobody can give it a record any more, and removes old ones at once and every day.
    fn run(&mut self) {
        let mut next_sweep = time::Instant::now();
        loop {
            if next_sweep <= time::Instant::now() {
                if let Err(error) = sweep(&self.dir, self.keep_for) {
                    tracing::warn!("CALL_RECORD_DIR: old records cannot be removed: {error}");
                }
                next_sweep += DAY;
            }
            match self.jobs.recv_timeout(next_sweep.saturating_duration_since(time::Instant::now())) {
                Ok((name, record)) => match write(&self.dir, &name, &record.file()) {
                    Ok(()) => self.losses.none(),
                    Err(error) => self.losses.one(&error),
                },
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }
}

/// Writes a file as a whole: whoever looks for its name finds all of it or nothing.
fn write(dir: &Path, name: &str, text: &str) -> io::Result<()> {
    let unfinished = dir.join(unfinished_name(name));
    let written = create(&unfinished)
        .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&unfinished, dir.join(name)));
    if written.is_err() {
        let _ = fs::remove_file(&unfinished);
    }
    written
}

fn create(path: &Path) -> io::Result<fs::File> {
    OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(path)
}

/// Whether a file can be written in `dir`.
fn probe(dir: &Path) -> io::Result<()> {
    let probe = dir.join(format!(".ari-bridge-{}.tmp", std::process::id()));
    // One that a dead process of the same number has left there is nobody's.
    let _ = fs::remove_file(&probe);
    create(&probe)?;
    fs::remove_file(&probe)
}

/// Removes the records that are older than that. All other files stay, and one that cannot be removed does not keep
/// the others.
fn sweep(dir: &Path, keep_for: Duration) -> io::Result<()> {
    let (now, mut result) = (utc(), Ok(()));
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name();
        if name.to_str().is_some_and(|name| is_older(name, keep_for, now)) {
            result = fs::remove_file(dir.join(name)).and(result);
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use ari_bridge_core::call::{EndReason, Origin};
    use ari_bridge_core::id::{CallId, IdPrefix, InstanceNonce};
    use ari_bridge_core::time::UtcNanos;
    use std::os::unix::fs::PermissionsExt;
    use std::sync::atomic::{AtomicU32, Ordering};

    /// A directory that goes when it is dropped.
    struct Dir(PathBuf);

    impl Dir {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("ari-bridge-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            fs::create_dir(&path).unwrap();
            Self(path)
        }

        fn names(&self) -> Vec<String> {
            let entries = fs::read_dir(&self.0).unwrap();
            let mut names: Vec<_> =
                entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names
        }

        fn config(&self) -> RecordConfig {
            RecordConfig { dir: Some(self.0.to_str().unwrap().to_owned()), days: 30 }
        }
    }

    impl Drop for Dir {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn record(call: u64) -> (String, CallRecord) {
        let id = IdPrefix { nonce: InstanceNonce::new(7), call: CallId(call) };
        let recorder = Recorder::new(
            id,
            UtcNanos(1_795_346_951_000_000_000),
            &Origin::Arrived { event: b"" },
            Texts::Kept,
        );
        let duration = Duration::from_secs(1);
        let outcome =
            Outcome { ended: EndReason::CallerHungUp, answered: true, duration, left_behind: false };
        (recorder.file_name(), recorder.finish(&outcome))
    }

    /// Records in `dir`, and how many of them were lost.
    fn records(dir: &Dir) -> (Records, Arc<AtomicU32>) {
        let lost = Arc::new(AtomicU32::new(0));
        let count = lost.clone();
        let count = move || {
            count.fetch_add(1, Ordering::Relaxed);
        };
        (Records::start(&dir.config(), count).unwrap().unwrap(), lost)
    }

    #[test]
    fn what_was_given_before_the_end_is_there_behind_it_and_for_nobody_else_to_read() {
        let dir = Dir::new("kept");
        let (records, lost) = records(&dir);
        for call in 1..=20 {
            let (name, record) = record(call);
            records.keep(name, record);
        }
        records.close();
        assert_eq!((dir.names().len(), lost.load(Ordering::Relaxed)), (20, 0));
        let path = dir.0.join("20261122T112911Z-arib00000007-1.json");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_to_string(path).unwrap(), record(1).1.file());
    }

    #[test]
    fn what_cannot_be_written_is_counted_and_leaves_nothing() {
        let dir = Dir::new("lost");
        let (records, lost) = records(&dir);
        // A file that is there already under the name for one that is being written.
        let (name, record) = record(1);
        fs::create_dir(dir.0.join(&name)).unwrap();
        records.keep(name.clone(), record.clone());
        records.close();
        assert_eq!((dir.names(), lost.load(Ordering::Relaxed)), (vec![name.clone()], 1));
        // And behind the end there is nobody to write.
        records.keep(name, record);
        assert_eq!(lost.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn a_directory_that_cannot_be_written_to_is_told_at_start() {
        for dir in ["/nowhere/at/all", "/proc", "/dev/null"] {
            let config = RecordConfig { dir: Some(dir.to_owned()), days: 30 };
            let fault = Records::start(&config, || {}).err().unwrap().to_string();
            assert!(fault.starts_with("CALL_RECORD_DIR: ") && fault.contains(dir), "{fault}");
        }
        assert!(Records::start(&RecordConfig::default(), || {}).unwrap().is_none());
    }

    #[test]
    fn old_records_go_and_everything_else_stays() {
        let dir = Dir::new("swept");
        let (young, _) = record(1);
        for name in [
            "20260101T000000Z-arib00000007-1.json",
            ".20260101T000000Z-arib00000007-2.json.tmp",
            "20260101T000000Z-mine.json",
            "notes.txt",
            &young,
        ] {
            fs::write(dir.0.join(name), "x").unwrap();
        }
        // The clock of this machine may stand anywhere behind the first of them.
        let age = Duration::from_secs((utc().0 / 1_000_000_000).saturating_sub(1_780_000_000));
        sweep(&dir.0, age).unwrap();
        assert_eq!(dir.names(), ["20260101T000000Z-mine.json", &young, "notes.txt"]);
    }
}

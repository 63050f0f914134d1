//! Captures in production: of which calls one is made, and how it comes into a file.
//!
//! The thread of a call does nothing but write down what its machine is given, in memory, and hand over a piece now and
//! then. One thread writes; what it cannot take in time is lost and counted, and the call knows nothing of it.

mod black_box;
mod compress;
mod folder;
mod frames;
mod losses;
mod reader;
mod tape;
#[cfg(test)]
mod tests;
mod writer;

pub use compress::{Compressed, compress};
pub use reader::{Reader, open_file};

pub(crate) use tape::{Tape, Verdict};

use ari_bridge_core::admin::Ask;
use ari_bridge_core::config::{CaptureConfig, CaptureMode};
use ari_bridge_core::format::ModelFormat;
use ari_bridge_core::metrics::Captures;
use ari_bridge_core::record::{Captured, capture_part_name};
use ari_bridge_core::time::UtcNanos;
use std::io;
use std::path::Path;
use std::sync::atomic::AtomicUsize;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::error::RunError;
use crate::lock;
use folder::Folder;
use tape::Subject;
use writer::{Live, Message, Writer};

/// What the name of a capture ends in.
const ENDING: &str = ".capture";

/// What it ends in while it is being written.
const UNFINISHED: &str = ".capture.part";

/// How long the end of the service waits until what there is is written.
const CLOSE_WITHIN: Duration = Duration::from_secs(5);

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

/// Decides what is captured, and hands out the tapes.
pub(crate) struct Recorder {
    state: Mutex<State>,
    live: Live,
    counts: Captures,
}

struct State {
    config: CaptureConfig,
    /// None until something is to be captured, and when the service has ended.
    thread: Option<Thread>,
    /// How many tapes there were.
    tapes: u64,
}

struct Thread {
    post: Sender<Message>,
    waiting: Arc<AtomicUsize>,
    /// Nothing comes; it breaks off when the thread is done.
    done: Receiver<()>,
}

impl Recorder {
    /// Looks whether files can be written, and starts the threads, if something is to be captured.
    ///
    /// # Errors
    ///
    /// If nothing can be written there, or the system gives no threads.
    pub(crate) fn start(config: &CaptureConfig, counts: Captures) -> Result<Self, RunError> {
        let off = CaptureConfig { mode: CaptureMode::Off, ..config.clone() };
        let state = Mutex::new(State { config: off, thread: None, tapes: 0 });
        let recorder = Self { state, live: Live::default(), counts };
        recorder.set(config)?;
        Ok(recorder)
    }

    /// Goes by these settings with what begins from now on; the limits hold at once.
    ///
    /// # Errors
    ///
    /// As at the start; the old settings then hold.
    pub(crate) fn set(&self, config: &CaptureConfig) -> Result<(), RunError> {
        let mut state = lock(&self.state);
        if let Some(thread) = &state.thread {
            let _ = thread.post.send(Message::Limit(config.clone()));
        } else if config.mode != CaptureMode::Off {
            let refused = |error| RunError::CaptureDir(config.dir.clone(), error);
            let folder = Folder::open(config).map_err(refused)?;
            state.thread = Some(self.spawn(folder).map_err(RunError::Threads)?);
            tracing::info!("calls are captured, sound and words, into {}: it is personal data", config.dir);
        }
        state.config = config.clone();
        Ok(())
    }

    fn spawn(&self, folder: Folder) -> io::Result<Thread> {
        let ((post, messages), (running, done)) = (channel(), channel());
        let waiting = Arc::new(AtomicUsize::new(0));
        let writer = Writer::new(
            folder,
            self.live.clone(),
            post.clone(),
            messages,
            waiting.clone(),
            self.counts.clone(),
        )?;
        let main = move || {
            writer.run();
            drop(running);
        };
        std::thread::Builder::new().name("ari-bridge-cap".to_owned()).spawn(main)?;
        Ok(Thread { post, waiting, done })
    }

    /// The tape of what begins now, at this time, if it is captured. `model` is the format of the model's audio, of a call.
    pub(crate) fn tape(&self, captured: Captured, utc: UtcNanos, model: Option<ModelFormat>) -> Option<Tape> {
        let mut state = lock(&self.state);
        let is_black_box = match (state.config.mode, captured) {
            (CaptureMode::Off, _) => return None,
            (CaptureMode::BlackBox, _) => true,
            (CaptureMode::All, _) | (CaptureMode::Sample(_), Captured::Switchboard(_)) => false,
            (CaptureMode::Sample(n), Captured::Call(id)) if id.call.0.is_multiple_of(n.get()) => false,
            (CaptureMode::Sample(_), Captured::Call(_)) => return None,
        };
        state.tapes += 1;
        let (number, bytes) = (state.tapes, state.config.black_box_bytes);
        let subject = Arc::new(Subject::new(captured, utc, model, is_black_box, bytes));
        let Thread { post, waiting, .. } = state.thread.as_ref()?;
        lock(&self.live).insert(number, subject.clone());
        Some(Tape::new(subject, number, post.clone(), waiting.clone()))
    }

    /// Has written what there is so far of what is under way, and gives the names of the files. They are there a moment
    /// later, if the disk takes them.
    ///
    /// # Errors
    ///
    /// Why nothing is captured.
    pub(crate) fn ask(&self, ask: Ask) -> Result<Vec<String>, &'static str> {
        let state = lock(&self.state);
        let Some(thread) = &state.thread else { return Err("nothing is captured: CAPTURE is off") };
        let live = lock(&self.live);
        let wanted = live.iter().filter(|(_, subject)| match (ask, subject.captured) {
            (Ask::All, _) | (Ask::Switchboard, Captured::Switchboard(_)) => true,
            (Ask::Call { call, run }, Captured::Call(id)) => {
                id.call == call && run.is_none_or(|run| run == id.nonce)
            }
            (Ask::Call { .. }, Captured::Switchboard(_)) | (Ask::Switchboard, Captured::Call(_)) => false,
        });
        let name = |(number, subject): (&u64, &Arc<Subject>)| {
            if !subject.is_black_box {
                return capture_part_name(&subject.name());
            }
            let name = subject.name_asked();
            let _ = thread.post.send(Message::Ask { number: *number, name: name.clone() });
            name
        };
        Ok(wanted.map(name).collect())
    }

    /// Finishes what there is, takes no more, and waits until all is in its file, if that does not take too long.
    pub(crate) fn close(&self) {
        let Some(thread) = lock(&self.state).thread.take() else { return };
        let _ = thread.post.send(Message::Close);
        if thread.done.recv_timeout(CLOSE_WITHIN) == Err(RecvTimeoutError::Timeout) {
            tracing::error!("captures are lost: the disk did not take them in time");
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        if let Some(thread) = lock(&self.state).thread.take() {
            let _ = thread.post.send(Message::Close);
        }
    }
}

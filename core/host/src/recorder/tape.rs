//! What a machine's thread does for its capture: it hands over a piece now and then, and never waits.

use ari_bridge_core::call::Outcome;
use ari_bridge_core::capture::PIECE_BYTES;
use ari_bridge_core::format::ModelFormat;
use ari_bridge_core::metrics::CaptureLoss;
use ari_bridge_core::record::{Captured, capture_name};
use ari_bridge_core::time::{Instant, UtcNanos};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::time::Duration;

use super::writer::Message;

/// A piece is handed over when it is long, or when this time has passed since the last, so that a file can be followed.
const PIECE_TIME: Duration = Duration::from_secs(1);

/// How much may wait to be written, of all captures together, in bytes. Beyond that the disk is too slow.
pub(super) const MAX_WAITING_BYTES: usize = 64 * 1024 * 1024;

/// How a machine has ended, as far as it is known.
const UNKNOWN: u8 = 0;
const WELL: u8 = 1;
const BADLY: u8 = 2;

/// What is captured.
#[derive(Debug)]
pub(super) struct Subject {
    pub(super) captured: Captured,
    /// When it began.
    pub(super) utc: UtcNanos,
    /// In which format the model speaks, if it is a call.
    pub(super) model: Option<ModelFormat>,
    /// Whether it is written only if it ends badly or is asked for.
    pub(super) is_black_box: bool,
    /// How much memory it may take if it is.
    pub(super) black_box_bytes: usize,
    end: AtomicU8,
    /// Whether the writer takes no more of it.
    is_over: AtomicBool,
    /// How often it was asked for.
    asked: AtomicU32,
}

impl Subject {
    pub(super) const fn new(
        captured: Captured,
        utc: UtcNanos,
        model: Option<ModelFormat>,
        is_black_box: bool,
        black_box_bytes: usize,
    ) -> Self {
        let (end, is_over, asked) = (AtomicU8::new(UNKNOWN), AtomicBool::new(false), AtomicU32::new(0));
        Self { captured, utc, model, is_black_box, black_box_bytes, end, is_over, asked }
    }

    /// The name of its file.
    pub(super) fn name(&self) -> String {
        capture_name(self.utc, self.captured, 0)
    }

    /// The name of the file of what there is so far, for who asks.
    pub(super) fn name_asked(&self) -> String {
        capture_name(self.utc, self.captured, 1 + self.asked.fetch_add(1, Ordering::Relaxed))
    }

    /// The writer takes no more of it.
    pub(super) fn end_it(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }

    /// Whether it did not end as it should: of one that never said how, nobody knows.
    pub(super) fn has_ended_badly(&self) -> bool {
        self.end.load(Ordering::Relaxed) != WELL
    }
}

/// Learns how a machine ends.
#[derive(Clone, Debug)]
pub(crate) struct Verdict(Arc<Subject>);

impl Verdict {
    /// A call is over.
    pub(crate) fn call(&self, outcome: &Outcome) {
        self.0.end.store(if outcome.is_bad() { BADLY } else { WELL }, Ordering::Relaxed);
    }

    /// The switchboard is drained.
    pub(crate) fn drained(&self) {
        self.0.end.store(WELL, Ordering::Relaxed);
    }
}

/// Takes the pieces of a capture.
#[derive(Debug)]
pub(crate) struct Tape {
    subject: Arc<Subject>,
    number: u64,
    to: Sender<Message>,
    waiting: Arc<AtomicUsize>,
    /// When the last piece was handed over.
    handed_at: Instant,
    is_lost: bool,
}

impl Tape {
    pub(super) fn new(
        subject: Arc<Subject>,
        number: u64,
        to: Sender<Message>,
        waiting: Arc<AtomicUsize>,
    ) -> Self {
        Self { subject, number, to, waiting, handed_at: Instant::START, is_lost: false }
    }

    pub(crate) fn verdict(&self) -> Verdict {
        Verdict(self.subject.clone())
    }

    /// Whether the capture goes on. If not, there is nothing to log any more.
    pub(crate) const fn is_lost(&self) -> bool {
        self.is_lost
    }

    /// Whether so many bytes are to be handed over now.
    pub(crate) fn wants(&self, bytes: usize, now: Instant) -> bool {
        bytes >= PIECE_BYTES || (bytes > 0 && now >= self.handed_at + PIECE_TIME)
    }

    /// Takes what a capture begins with.
    pub(crate) fn begin(&mut self, head: Vec<u8>) {
        let subject = self.subject.clone();
        self.hand_over(head, |number, head| Message::Begin { number, subject, head });
    }

    /// Takes the next piece, which ends at a record, at this time.
    pub(crate) fn piece(&mut self, now: Instant, piece: Vec<u8>) {
        self.handed_at = now;
        self.hand_over(piece, |number, piece| Message::Piece { number, until: now, piece });
    }

    /// Takes the last piece. `is_cut` says that the log was full.
    pub(crate) fn end(mut self, now: Instant, piece: Vec<u8>, is_cut: bool) {
        if std::thread::panicking() {
            self.subject.end.store(BADLY, Ordering::Relaxed);
        }
        self.piece(now, piece);
        if is_cut && !self.is_lost {
            self.lose(CaptureLoss::Bound);
        }
    }

    fn hand_over(&mut self, bytes: Vec<u8>, message: impl FnOnce(u64, Vec<u8>) -> Message) {
        self.is_lost |= self.subject.is_over.load(Ordering::Relaxed);
        if self.is_lost {
            return;
        }
        // What it takes of memory counts, not what is in it.
        let len = bytes.capacity();
        if self.waiting.fetch_add(len, Ordering::Relaxed).saturating_add(len) > MAX_WAITING_BYTES {
            self.waiting.fetch_sub(len, Ordering::Relaxed);
            self.lose(CaptureLoss::Queue);
        } else if self.to.send(message(self.number, bytes)).is_err() {
            // The service has ended before its call.
            self.is_lost = true;
        }
    }

    /// The capture does not go on. That is said even where the queue is full: it is once for each capture.
    fn lose(&mut self, why: CaptureLoss) {
        self.is_lost = true;
        let _ = self.to.send(Message::Lost { number: self.number, why });
    }
}

impl Drop for Tape {
    fn drop(&mut self) {
        let _ = self.to.send(Message::Gone { number: self.number });
    }
}

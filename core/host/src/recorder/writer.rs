//! The thread that writes captures. Calls hand it pieces and never wait for it: what it cannot take is lost, and counted.

use ari_bridge_core::config::CaptureConfig;
use ari_bridge_core::metrics::{CaptureLoss, Captures};
use ari_bridge_core::record::Captured;
use ari_bridge_core::time::Instant;
use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{self, Duration};

use super::black_box::{BlackBox, Content, TooLarge};
use super::folder::{Folder, Part};
use super::frames::Packer;
use super::losses::Losses;
use super::tape::Subject;
use crate::clock::utc;
use crate::lock;

/// How often old captures are looked for, and, when files were finished, how soon after them.
const PRUNE_EVERY: Duration = Duration::from_secs(60);
const PRUNE_SOON: Duration = Duration::from_secs(1);

/// How long it is believed that there is free disk.
const ROOM_FOR: Duration = Duration::from_secs(1);

/// How much of a switchboard is captured, in bytes: it runs for weeks.
const MAX_SWITCHBOARD_BYTES: u64 = 64 * 1024 * 1024;

/// How many black boxes may wait for their new digests.
const MAX_RENEWING: usize = 512;

/// What the writer is told.
#[derive(Debug)]
pub(super) enum Message {
    /// A capture begins with this.
    Begin { number: u64, subject: Arc<Subject>, head: Vec<u8> },
    /// It goes on with this, which ends at a record, at this time.
    Piece { number: u64, until: Instant, piece: Vec<u8> },
    /// It does not go on before its end.
    Lost { number: u64, why: CaptureLoss },
    /// The machine that it is of is gone.
    Gone { number: u64 },
    /// Somebody wants what there is so far, in a file of this name.
    Ask { number: u64, name: String },
    /// A capture with new digests is to be written under this name.
    Renewed { name: String, bytes: io::Result<Vec<u8>> },
    /// The limits of these settings hold from now on.
    Limit(CaptureConfig),
    /// Finish what there is.
    Close,
    /// A fault of our own, with this capture.
    #[cfg(test)]
    Panic { number: u64 },
}

impl Message {
    const fn number(&self) -> Option<u64> {
        match self {
            Self::Begin { number, .. }
            | Self::Piece { number, .. }
            | Self::Lost { number, .. }
            | Self::Gone { number }
            | Self::Ask { number, .. } => Some(*number),
            Self::Renewed { .. } | Self::Limit(_) | Self::Close => None,
            #[cfg(test)]
            Self::Panic { number } => Some(*number),
        }
    }

    /// How many bytes of it count as waiting.
    const fn waiting(&self) -> usize {
        match self {
            Self::Begin { head: bytes, .. } | Self::Piece { piece: bytes, .. } => bytes.capacity(),
            _ => 0,
        }
    }
}

/// What is captured, by its number.
pub(super) type Live = Arc<Mutex<BTreeMap<u64, Arc<Subject>>>>;

/// A capture that is being made.
struct Open {
    subject: Arc<Subject>,
    sink: Sink,
    /// How long it is so far, in bytes.
    bytes: u64,
    /// It does not go on, and that was counted.
    is_cut: bool,
}

enum Sink {
    File(Part),
    Memory(Box<BlackBox>),
}

/// Why a capture does not go on.
enum Stop {
    Io(io::Error),
    NoRoom,
    TooLarge,
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<TooLarge> for Stop {
    fn from(_: TooLarge) -> Self {
        Self::TooLarge
    }
}

impl Stop {
    fn loss(&self) -> CaptureLoss {
        match self {
            Self::Io(error) => match error.kind() {
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded => CaptureLoss::Disk,
                _ => CaptureLoss::Error,
            },
            Self::NoRoom => CaptureLoss::Disk,
            Self::TooLarge => CaptureLoss::Bound,
        }
    }

    fn words(&self) -> String {
        match self {
            Self::Io(error) => error.to_string(),
            Self::NoRoom => "there is less free disk than CAPTURE_MIN_FREE_MB".to_owned(),
            Self::TooLarge => "it is larger than it may be".to_owned(),
        }
    }
}

pub(super) struct Writer {
    folder: Folder,
    packer: Packer,
    open: BTreeMap<u64, Open>,
    live: Live,
    messages: Receiver<Message>,
    waiting: Arc<AtomicUsize>,
    renew: Sender<(String, Content)>,
    renewing: usize,
    counts: Captures,
    losses: Losses,
    prune_at: time::Instant,
    has_room_until: Option<time::Instant>,
    is_closing: bool,
}

impl Writer {
    /// # Errors
    ///
    /// If the system gives no thread or no memory.
    pub(super) fn new(
        folder: Folder,
        live: Live,
        post: Sender<Message>,
        messages: Receiver<Message>,
        waiting: Arc<AtomicUsize>,
        counts: Captures,
    ) -> io::Result<Self> {
        let (renew, contents) = channel();
        std::thread::Builder::new()
            .name("ari-bridge-box".to_owned())
            .spawn(move || renew_all(&contents, &post))?;
        Ok(Self {
            folder,
            packer: Packer::new()?,
            open: BTreeMap::new(),
            live,
            messages,
            waiting,
            renew,
            renewing: 0,
            losses: Losses::new(counts.clone()),
            counts,
            prune_at: time::Instant::now(),
            has_room_until: None,
            is_closing: false,
        })
    }

    /// Writes until it is told to close, and everything is finished.
    pub(super) fn run(mut self) {
        if let Err(error) = self.folder.take_over() {
            tracing::warn!(
                "CAPTURE_DIR: what a process has left there that is dead cannot be renamed: {error}"
            );
        }
        loop {
            self.prune_if_due();
            let wait = self.prune_at.saturating_duration_since(time::Instant::now());
            match self.messages.recv_timeout(wait) {
                Ok(message) => self.take(message),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if self.is_closing {
                for number in self.open.keys().copied().collect::<Vec<_>>() {
                    self.gone(number);
                }
                if self.renewing == 0 {
                    break;
                }
            }
        }
        self.prune();
    }

    /// A fault of our own costs the capture that it happens with, and nothing else.
    fn take(&mut self, message: Message) {
        let number = message.number();
        self.waiting.fetch_sub(message.waiting(), Ordering::Relaxed);
        if catch_unwind(AssertUnwindSafe(|| self.handle(message))).is_err() {
            self.losses.one(CaptureLoss::Error, &"a fault of our own");
            if let Some(number) = number {
                self.forget(number);
            }
        }
    }

    fn handle(&mut self, message: Message) {
        match message {
            Message::Begin { number, subject, head } => {
                if let Err(stop) = self.begin(number, subject, &head) {
                    self.stop(number, &stop);
                }
            }
            Message::Piece { number, until, piece } => {
                if let Err(stop) = self.piece(number, until, &piece) {
                    self.stop(number, &stop);
                }
            }
            Message::Lost { number, why: CaptureLoss::Bound } => self.cut(number),
            Message::Lost { number, why } => self.lose(number, why, &"what is to be written waits"),
            Message::Gone { number } => self.gone(number),
            Message::Ask { number, name } => self.write_memory(number, name),
            Message::Renewed { name, bytes } => {
                self.renewing -= 1;
                let written = bytes.map_err(Stop::from);
                let written = written.and_then(|bytes| self.write_file(&name, [&*bytes].into_iter()));
                self.told(&name, &written);
            }
            Message::Limit(config) => {
                self.folder.limit(&config);
                (self.prune_at, self.has_room_until) = (time::Instant::now(), None);
            }
            Message::Close => self.is_closing = true,
            #[cfg(test)]
            Message::Panic { .. } => panic!("a fault that the test makes"),
        }
    }

    fn begin(&mut self, number: u64, subject: Arc<Subject>, head: &[u8]) -> Result<(), Stop> {
        let frame = self.packer.pack(head)?;
        let sink = if subject.is_black_box {
            let limit = if subject.model.is_some() { subject.black_box_bytes } else { usize::MAX };
            Sink::Memory(Box::new(BlackBox::new(limit, subject.model, frame.clone())))
        } else {
            self.needs_room()?;
            Sink::File(self.folder.create(&subject.name())?)
        };
        let open = Open { subject, sink, bytes: head.len() as u64, is_cut: false };
        if let Sink::File(part) = &mut self.open.entry(number).or_insert(open).sink {
            part.write(&frame.packed)?;
            self.counts.bytes(frame.packed.len() as u64);
        }
        Ok(())
    }

    fn piece(&mut self, number: u64, until: Instant, piece: &[u8]) -> Result<(), Stop> {
        self.needs_room_of(number)?;
        // What was lost is not gone on with.
        let Some(open) = self.open.get_mut(&number).filter(|open| !open.is_cut) else { return Ok(()) };
        open.bytes += piece.len() as u64;
        match &mut open.sink {
            Sink::Memory(memory) => memory.push(until, piece, &mut self.packer)??,
            Sink::File(part) => {
                let frame = self.packer.pack(piece)?;
                part.write(&frame.packed)?;
                self.counts.bytes(frame.packed.len() as u64);
                if part.bytes() > self.folder.max_bytes() {
                    return Err(Stop::TooLarge);
                }
            }
        }
        if matches!(open.subject.captured, Captured::Switchboard(_)) && open.bytes > MAX_SWITCHBOARD_BYTES {
            tracing::info!("the capture of the switchboard ends here: it has {MAX_SWITCHBOARD_BYTES} bytes");
            self.cut(number);
        }
        Ok(())
    }

    /// The capture is as long as it may be. What there is of it is kept.
    fn cut(&mut self, number: u64) {
        let Some(open) = self.open.get_mut(&number) else { return };
        (open.is_cut, _) = (true, open.subject.end_it());
        self.losses.one(CaptureLoss::Bound, &"it is as long as it may be");
        if matches!(open.sink, Sink::File(_)) {
            self.forget(number);
        }
    }

    fn stop(&mut self, number: u64, stop: &Stop) {
        self.lose(number, stop.loss(), &stop.words());
    }

    fn lose(&mut self, number: u64, why: CaptureLoss, words: &dyn std::fmt::Display) {
        self.losses.one(why, words);
        self.forget(number);
    }

    /// Does not go on with a capture. What is in a file stays there: it breaks off, and can be read.
    fn forget(&mut self, number: u64) {
        if let Some(subject) = lock(&self.live).remove(&number) {
            subject.end_it();
        }
        if let Some(Open { sink: Sink::File(part), .. }) = self.open.remove(&number)
            && let Err(error) = part.finish()
        {
            tracing::debug!("what there is of a capture keeps the name of a part: {error}");
        }
        self.prune_soon();
    }

    /// The machine is gone: its file is finished, or its black box written if it ended badly.
    fn gone(&mut self, number: u64) {
        lock(&self.live).remove(&number);
        let Some(open) = self.open.get(&number) else { return };
        let name = open.subject.name();
        if matches!(open.sink, Sink::Memory(_)) {
            if open.subject.has_ended_badly() {
                self.write_memory(number, name);
            }
            self.open.remove(&number);
        } else if let Some(Open { sink: Sink::File(part), .. }) = self.open.remove(&number) {
            let finished = part.finish().map_err(Stop::from);
            if finished.is_ok() {
                self.counts.written();
            }
            self.told(&name, &finished);
        }
        self.prune_soon();
    }

    /// Writes what is in a black box, if there is one of this number.
    fn write_memory(&mut self, number: u64, name: String) {
        let Some(Open { sink: Sink::Memory(memory), .. }) = self.open.get(&number) else { return };
        let content = match memory.content(&mut self.packer) {
            Ok(content) => content,
            Err(error) => return self.told(&name, &Err(error.into())),
        };
        if !content.is_blanked() {
            let written = self.write_file(&name, content.frames());
            self.told(&name, &written);
        } else if self.renewing < MAX_RENEWING && self.renew.send((name, content)).is_ok() {
            self.renewing += 1;
        } else {
            self.losses.one(CaptureLoss::Queue, &"too many black boxes are to be written");
        }
    }

    fn write_file<'a>(&mut self, name: &str, frames: impl Iterator<Item = &'a [u8]>) -> Result<(), Stop> {
        self.needs_room()?;
        let mut part = self.folder.create(name)?;
        let mut written = Ok(());
        for frame in frames {
            written = written.and_then(|()| part.write(frame));
        }
        self.counts.bytes(part.bytes());
        written.and(part.finish())?;
        self.counts.written();
        self.prune_soon();
        Ok(())
    }

    /// Says what became of a file.
    fn told(&mut self, name: &str, written: &Result<(), Stop>) {
        match written {
            Ok(()) => tracing::info!("captured: {name}"),
            Err(stop) => self.losses.one(stop.loss(), &stop.words()),
        }
    }

    /// That there is room on the disk, if the capture is one in a file.
    fn needs_room_of(&mut self, number: u64) -> Result<(), Stop> {
        let is_file = self.open.get(&number).is_some_and(|open| matches!(open.sink, Sink::File(_)));
        if is_file { self.needs_room() } else { Ok(()) }
    }

    fn needs_room(&mut self) -> Result<(), Stop> {
        let now = time::Instant::now();
        if self.has_room_until.is_some_and(|until| now < until) {
            return Ok(());
        }
        self.has_room_until = None;
        if !self.folder.has_room()? {
            return Err(Stop::NoRoom);
        }
        self.has_room_until = Some(now + ROOM_FOR);
        Ok(())
    }

    fn prune_soon(&mut self) {
        self.prune_at = self.prune_at.min(time::Instant::now() + PRUNE_SOON);
    }

    fn prune_if_due(&mut self) {
        if self.prune_at <= time::Instant::now() {
            self.prune();
        }
    }

    fn prune(&mut self) {
        if let Err(error) = self.folder.prune(utc()) {
            tracing::warn!("CAPTURE_DIR: old captures cannot be removed: {error}");
        }
        self.prune_at = time::Instant::now() + PRUNE_EVERY;
    }
}

/// Makes the digests of what was blanked anew. It takes its time, and so it has a thread of its own.
fn renew_all(contents: &Receiver<(String, Content)>, post: &Sender<Message>) {
    while let Ok((name, content)) = contents.recv() {
        let renewed = catch_unwind(AssertUnwindSafe(|| content.renewed()));
        let bytes = renewed.unwrap_or_else(|_| Err(io::Error::other("a fault of our own")));
        if post.send(Message::Renewed { name, bytes }).is_err() {
            return;
        }
    }
}

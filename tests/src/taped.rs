//! A machine whose whole life is recorded, and that lives it once more when it is over: it must do the same.

use ari_bridge_core::actions::Actions;
use ari_bridge_core::capture::{Log, Machine};
use ari_bridge_core::replay::replay;
use ari_bridge_core::time::Instant;
use core::ops::Deref;
use std::cell::RefCell;
use std::rc::Rc;

/// How much of a life is recorded unless more is wanted, in bytes: two minutes of a call in slin16. What is longer is
/// replayed up to there.
pub const LIMIT_BYTES: usize = 4 << 20;

/// Where captures are kept once they were replayed.
pub type Shelf = Rc<RefCell<Vec<Vec<u8>>>>;

/// Which lives are lived once more.
#[derive(Clone, Debug)]
pub enum Encore {
    /// Each; then its capture goes onto the shelf, if there is one.
    Always(Option<Shelf>),
    /// One of eight, where there are thousands of short ones. Which they are is decided by how long their captures are.
    OneInEight,
    /// None: the capture goes onto the shelf as it is, also if the machine has panicked, or who watches it.
    Never(Shelf),
}

/// A machine and its log.
#[derive(Debug)]
pub struct Taped<M: Machine> {
    machine: M,
    log: Option<Log<M>>,
    encore: Encore,
}

impl<M: Machine> Taped<M> {
    /// Makes the machine, of whose life at most `limit` bytes are recorded; nothing, where that is 0.
    pub fn begin(
        settings: &M::Settings,
        start: M::Start<'_>,
        now: Instant,
        out: &mut Actions<M::Action>,
        limit: usize,
        encore: Encore,
    ) -> (Self, M::Next) {
        if limit == 0 {
            let (machine, next) = M::begin(settings, start, now, out);
            return (Self { machine, log: None, encore }, next);
        }
        let (log, machine, next) = Log::begin(settings, start, now, limit, out);
        (Self { machine, log: Some(log), encore }, next)
    }

    /// Steps it.
    pub fn step(&mut self, now: Instant, input: M::Input<'_>, out: &mut Actions<M::Action>) -> M::Next {
        match &mut self.log {
            Some(log) => log.step(&mut self.machine, now, input, out),
            None => self.machine.step(now, input, out),
        }
    }
}

impl<M: Machine> Deref for Taped<M> {
    type Target = M;

    fn deref(&self) -> &M {
        &self.machine
    }
}

impl<M: Machine> Drop for Taped<M> {
    fn drop(&mut self) {
        let Some(log) = self.log.take() else { return };
        if let Encore::Never(shelf) = &self.encore {
            return shelf.borrow_mut().push(log.finish());
        }
        let is_cut = log.is_cut();
        let capture = log.finish();
        if std::thread::panicking() {
            // Something is wrong already. What led there is kept for whoever looks into it.
            if let Encore::Always(Some(shelf)) = &self.encore {
                shelf.borrow_mut().push(capture);
            }
            return;
        }
        if matches!(self.encore, Encore::OneInEight) && !capture.len().is_multiple_of(8) {
            return;
        }
        let replayed = replay(&capture).expect("a capture that was just written");
        assert_eq!(replayed.difference, None, "a replay is what was recorded: {replayed:?}");
        assert_eq!(replayed.is_whole(), !is_cut, "{replayed:?}");
        if let Encore::Always(Some(shelf)) = &self.encore {
            shelf.borrow_mut().push(capture);
        }
    }
}

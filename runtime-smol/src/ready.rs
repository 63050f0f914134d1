//! Which sources of a task have something: asking all of them at every wake-up is mostly in vain, and asking a
//! socket is a system call.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Wake, Waker};

/// A source, and what it wakes the task with.
#[derive(Debug)]
pub(crate) struct Source {
    state: Arc<State>,
    waker: Waker,
}

#[derive(Debug)]
struct State {
    ready: AtomicBool,
    task: Mutex<Waker>,
}

impl Wake for State {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.ready.store(true, Ordering::Release);
        self.task.lock().unwrap_or_else(PoisonError::into_inner).wake_by_ref();
    }
}

impl Source {
    /// A source that counts as ready, so that it is polled a first time.
    pub(crate) fn new() -> Self {
        let state = Arc::new(State { ready: AtomicBool::new(true), task: Mutex::new(Waker::noop().clone()) });
        Self { waker: Waker::from(state.clone()), state }
    }

    /// Whether it was woken since the last question. `cx` is the task's, which it wakes from now on.
    pub(crate) fn take(&self, cx: &Context<'_>) -> bool {
        {
            let mut task = self.state.task.lock().unwrap_or_else(PoisonError::into_inner);
            task.clone_from(cx.waker());
        }
        self.state.ready.swap(false, Ordering::Acquire)
    }

    /// Makes it ready again, and wakes the task: it was not polled to its end, or has something new to poll.
    pub(crate) fn wake(&self) {
        self.waker.wake_by_ref();
    }

    /// What the source is to be polled with.
    pub(crate) fn context(&self) -> Context<'_> {
        Context::from_waker(&self.waker)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_ready_once_for_each_time_it_was_woken() {
        let (source, cx) = (Source::new(), Context::from_waker(Waker::noop()));
        assert!(source.take(&cx) && !source.take(&cx));
        source.context().waker().wake_by_ref();
        source.wake();
        assert!(source.take(&cx) && !source.take(&cx));
    }
}

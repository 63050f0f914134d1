//! What other tasks tell a driver: a queue that is bounded in bytes where a peer could fill it.

use smol::channel::{Receiver, Sender};
use smol::stream::Stream;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};

/// How many bytes of events may wait for one driver. Asterisk's events are about 1 KiB each, and a call of a
/// minute has some tens of them.
const MAX_WAITING_BYTES: usize = 1024 * 1024;

/// The sending half; any number of them may exist.
#[derive(Debug)]
pub(crate) struct Post<T> {
    queue: Sender<(T, usize)>,
    state: Arc<State>,
}

/// The receiving half.
#[derive(Debug)]
pub(crate) struct Mailbox<T> {
    queue: Pin<Box<Receiver<(T, usize)>>>,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    waiting: AtomicUsize,
    overflowed: AtomicBool,
}

/// A new mailbox.
pub(crate) fn mailbox<T>() -> (Post<T>, Mailbox<T>) {
    let (sender, receiver) = smol::channel::unbounded();
    let state = Arc::<State>::default();
    (Post { queue: sender, state: state.clone() }, Mailbox { queue: Box::pin(receiver), state })
}

impl<T> Clone for Post<T> {
    fn clone(&self) -> Self {
        Self { queue: self.queue.clone(), state: self.state.clone() }
    }
}

impl<T> Post<T> {
    /// Sends what must not be lost and is bounded by other means: a reply to a request that the driver made, or
    /// an order. Nothing happens if nobody receives any more.
    pub(crate) fn send(&self, item: T) {
        let _ = self.queue.try_send((item, 0));
    }

    /// Sends what a peer may send without end. If too much waits already it is dropped, and the receiver learns
    /// that something is missing.
    pub(crate) fn offer(&self, item: T, bytes: usize) {
        if self.state.waiting.load(Ordering::Relaxed).saturating_add(bytes) > MAX_WAITING_BYTES {
            self.state.overflowed.store(true, Ordering::Relaxed);
            return;
        }
        self.state.waiting.fetch_add(bytes, Ordering::Relaxed);
        if self.queue.try_send((item, bytes)).is_err() {
            self.state.waiting.fetch_sub(bytes, Ordering::Relaxed);
        }
    }
}

impl<T> Mailbox<T> {
    /// The next item; pending for ever once every sender is gone.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<T> {
        match self.queue.as_mut().poll_next(cx) {
            Poll::Ready(Some((item, bytes))) => {
                self.state.waiting.fetch_sub(bytes, Ordering::Relaxed);
                Poll::Ready(item)
            }
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }

    /// Whether something was dropped since the last question.
    pub(crate) fn take_overflow(&self) -> bool {
        self.state.overflowed.load(Ordering::Relaxed) && self.state.overflowed.swap(false, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use smol::future::{block_on, poll_fn, poll_once};

    #[test]
    fn a_flood_is_cut_and_told_while_replies_still_arrive() {
        let (post, mut mailbox) = mailbox();
        for n in 0..3 {
            post.offer(n, MAX_WAITING_BYTES / 2);
        }
        post.send(99);
        let mut next = || block_on(poll_once(poll_fn(|cx| mailbox.poll_next(cx))));
        assert_eq!([next(), next(), next(), next()], [Some(0), Some(1), Some(99), None]);
        assert!(mailbox.take_overflow() && !mailbox.take_overflow());
        post.offer(7, MAX_WAITING_BYTES);
        assert_eq!(block_on(poll_fn(|cx| mailbox.poll_next(cx))), 7);
    }
}

//! What other tasks and threads tell a driver: a queue that is bounded in bytes where a peer could fill it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use crate::lock;

/// How many bytes of events may wait for one driver. Asterisk's events are about 1 KiB each, and a call of a
/// minute has some tens of them.
const MAX_WAITING_BYTES: usize = 1024 * 1024;

/// The sending half; any number of them may exist.
#[derive(Debug)]
pub struct Post<T>(Arc<Mutex<Queue<T>>>);

/// The receiving half. What is sent after it is gone goes nowhere.
#[derive(Debug)]
pub struct Mailbox<T>(Arc<Mutex<Queue<T>>>);

#[derive(Debug)]
struct Queue<T> {
    items: VecDeque<(T, usize)>,
    waiting_bytes: usize,
    overflowed: bool,
    is_read: bool,
    reader: Waker,
}

/// A new mailbox.
#[must_use]
pub fn mailbox<T>() -> (Post<T>, Mailbox<T>) {
    let queue = Queue {
        items: VecDeque::new(),
        waiting_bytes: 0,
        overflowed: false,
        is_read: true,
        reader: Waker::noop().clone(),
    };
    let queue = Arc::new(Mutex::new(queue));
    (Post(queue.clone()), Mailbox(queue))
}

impl<T> Clone for Post<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Post<T> {
    /// Sends what must not be lost and is bounded by other means: a reply to a request that the driver made, or
    /// an order. Nothing happens if nobody receives any more.
    pub fn send(&self, item: T) {
        self.put(item, 0);
    }

    /// Sends what a peer may send without end. If too much waits already it is dropped, and the receiver learns
    /// that something is missing.
    pub fn offer(&self, item: T, bytes: usize) {
        self.put(item, bytes);
    }

    fn put(&self, item: T, bytes: usize) {
        let mut queue = lock(&self.0);
        if bytes > 0 && queue.waiting_bytes.saturating_add(bytes) > MAX_WAITING_BYTES {
            queue.overflowed = true;
        } else if queue.is_read {
            queue.waiting_bytes += bytes;
            queue.items.push_back((item, bytes));
        }
        let reader = queue.reader.clone();
        // The reader may run at once, on another thread, and wants the lock.
        drop(queue);
        reader.wake();
    }
}

impl<T> Mailbox<T> {
    /// The next item; pending for ever once every sender is gone.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<T> {
        let mut queue = lock(&self.0);
        if let Some((item, bytes)) = queue.items.pop_front() {
            queue.waiting_bytes -= bytes;
            return Poll::Ready(item);
        }
        queue.reader.clone_from(cx.waker());
        Poll::Pending
    }

    /// Whether something was dropped since the last question.
    pub fn take_overflow(&mut self) -> bool {
        std::mem::take(&mut lock(&self.0).overflowed)
    }
}

impl<T> Drop for Mailbox<T> {
    fn drop(&mut self) {
        let mut queue = lock(&self.0);
        queue.is_read = false;
        let left = std::mem::take(&mut queue.items);
        drop(queue);
        // What is left may itself hold a post to here.
        drop(left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_lite::future::{block_on, poll_fn, poll_once};

    fn now<T>(mailbox: &mut Mailbox<T>) -> Option<T> {
        block_on(poll_once(poll_fn(|cx| mailbox.poll_next(cx))))
    }

    #[test]
    fn a_flood_is_cut_and_told_while_replies_still_arrive() {
        let (post, mut mailbox) = mailbox();
        for n in 0..3 {
            post.offer(n, MAX_WAITING_BYTES / 2);
        }
        post.send(99);
        let mut next = || now(&mut mailbox);
        assert_eq!([next(), next(), next(), next()], [Some(0), Some(1), Some(99), None]);
        assert!(mailbox.take_overflow() && !mailbox.take_overflow());
        post.offer(7, MAX_WAITING_BYTES);
        assert_eq!(now(&mut mailbox), Some(7));
    }

    #[test]
    fn a_reader_that_waits_is_woken_by_another_thread() {
        let (post, mut mailbox) = mailbox();
        assert_eq!(now(&mut mailbox), None);
        let sender = std::thread::spawn(move || post.send(1));
        assert_eq!(block_on(poll_fn(|cx| mailbox.poll_next(cx))), 1);
        sender.join().unwrap();
    }

    #[test]
    fn what_nobody_reads_any_more_is_dropped() {
        let (post, mailbox) = mailbox();
        let item = Arc::new(());
        // As a reply does that brings its sender along.
        let with_post = |post: Post<_>, item: Arc<()>| -> Box<dyn FnOnce() + Send> {
            Box::new(move || drop::<(Post<Box<dyn FnOnce() + Send>>, _)>((post, item)))
        };
        post.send(with_post(post.clone(), item.clone()));
        drop(mailbox);
        post.send(with_post(post.clone(), item.clone()));
        assert_eq!(Arc::strong_count(&item), 1);
    }
}

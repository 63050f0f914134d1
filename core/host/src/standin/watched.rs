//! A socket and its place in the poll loop.

use polling::{Event, Poller};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;

/// A socket that does not block and that a poller watches, from here on until it is dropped.
#[derive(Debug)]
pub(super) struct Watched<S: AsFd> {
    socket: S,
    poller: Arc<Poller>,
    key: usize,
    /// Whether the poller is to tell when something can be read, and when something can be written. It tells once.
    armed: (bool, bool),
}

impl<S: AsFd + AsRawFd> Watched<S> {
    /// Puts the socket under the poller's eyes; it says `key` of it. Nothing is told before [`Watched::arm`].
    pub(super) fn new(socket: S, poller: &Arc<Poller>, key: u64) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&socket, true)?;
        let watched = Self { socket, poller: poller.clone(), key: key as usize, armed: (false, false) };
        watched.register()?;
        Ok(watched)
    }

    #[expect(unsafe_code, reason = "a poller cannot know how long a socket lives")]
    fn register(&self) -> io::Result<()> {
        // SAFETY: the source has to be taken out of the poller before it is closed. The socket is in here and cannot
        // be taken out of here, and the drop below deletes it from the poller first.
        unsafe { self.poller.add(&self.socket, Event::none(self.key)) }
    }
}

impl<S: AsFd> Watched<S> {
    /// The socket.
    pub(super) const fn socket(&self) -> &S {
        &self.socket
    }

    /// Asks to be told once when something can be read or written, instead of what was asked for before; that may still
    /// be told where nothing is asked for. `anew` if it may have been told since.
    pub(super) fn arm(&mut self, read: bool, write: bool, anew: bool) -> io::Result<()> {
        if (read || write) && (anew || self.armed != (read, write)) {
            self.poller.modify(&self.socket, Event::new(self.key, read, write))?;
        }
        self.armed = (read, write);
        Ok(())
    }
}

impl<S: AsFd> Drop for Watched<S> {
    fn drop(&mut self) {
        let _ = self.poller.delete(&self.socket);
    }
}

impl Read for Watched<TcpStream> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&self.socket).read(buffer)
    }
}

impl Write for Watched<TcpStream> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&self.socket).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

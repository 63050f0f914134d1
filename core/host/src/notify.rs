//! What the supervisor of the process is told: systemd, or whatever else listens at `NOTIFY_SOCKET` (sd_notify(3)).

use ari_bridge_core::time::Instant;
use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::time::Duration;

use crate::shared::Shared;

/// How often the status line may change.
const STATUS_EVERY: Duration = Duration::from_secs(1);

/// Where the supervisor listens, and how often it wants to hear of us.
#[derive(Debug)]
pub(crate) struct Supervisor {
    socket: UnixDatagram,
    watchdog: Option<Duration>,
}

impl Supervisor {
    /// The supervisor that the environment names; `None` if there is none, or none that can be reached.
    pub(crate) fn from_env() -> Option<Self> {
        let path = env::var_os("NOTIFY_SOCKET").filter(|path| !path.is_empty())?;
        let supervisor = Self::connect(path.as_encoded_bytes(), watchdog());
        if let Err(error) = &supervisor {
            tracing::warn!("NOTIFY_SOCKET: {}: {error}; nobody is notified", path.display());
        }
        supervisor.ok()
    }

    fn connect(path: &[u8], watchdog: Option<Duration>) -> io::Result<Self> {
        let address = match path.strip_prefix(b"@") {
            Some(name) => abstract_address(name)?,
            None => SocketAddr::from_pathname(OsStr::from_bytes(path))?,
        };
        let socket = UnixDatagram::unbound()?;
        socket.connect_addr(&address)?;
        // A supervisor that does not read must not stop us.
        socket.set_nonblocking(true)?;
        Ok(Self { socket, watchdog })
    }

    /// The service has started.
    pub(crate) fn ready(&self) {
        self.tell("READY=1");
    }

    /// The settings are being read again; [`Supervisor::ready`] ends this.
    pub(crate) fn reloading(&self) {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let micros = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1000;
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={micros}"));
    }

    /// The process ends, within this time.
    pub(crate) fn stopping(&self, within: Duration) {
        self.tell(&format!("STOPPING=1\nEXTEND_TIMEOUT_USEC={}", within.as_micros()));
    }

    pub(crate) fn alive(&self) {
        self.tell("WATCHDOG=1");
    }

    fn status(&self, line: &str) {
        self.tell(&format!("STATUS={line}"));
    }

    fn tell(&self, state: &str) {
        if let Err(error) = self.socket.send(state.as_bytes()) {
            tracing::debug!("the supervisor cannot be notified: {error}");
        }
    }
}

/// What an `@` stands for: an address that is no path, which Linux has (unix(7)).
#[cfg(target_os = "linux")]
fn abstract_address(name: &[u8]) -> io::Result<SocketAddr> {
    <SocketAddr as std::os::linux::net::SocketAddrExt>::from_abstract_name(name)
}

#[cfg(not(target_os = "linux"))]
fn abstract_address(_: &[u8]) -> io::Result<SocketAddr> {
    Err(io::ErrorKind::Unsupported.into())
}

/// How long we may be silent, if the supervisor watches this process.
fn watchdog() -> Option<Duration> {
    let number = |name| env::var(name).ok()?.parse::<u64>().ok();
    let for_us = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
    number("WATCHDOG_USEC").filter(|micros| for_us && *micros > 0).map(Duration::from_micros)
}

/// Tells the supervisor, from the task of the switchboard, that this is alive and how it is.
#[derive(Debug)]
pub(crate) struct Pulse {
    pub(crate) supervisor: Arc<Supervisor>,
    /// The next sign of life, if the supervisor wants any.
    watchdog: Option<Instant>,
    status: Instant,
    told: String,
}

impl Pulse {
    /// It begins at once.
    pub(crate) fn new(supervisor: Arc<Supervisor>) -> Self {
        let watchdog = supervisor.watchdog.map(|_| Instant::START);
        Self { supervisor, watchdog, status: Instant::START, told: String::new() }
    }

    /// When something is due next.
    pub(crate) fn deadline(&self) -> Instant {
        self.watchdog.map_or(self.status, |watchdog| watchdog.min(self.status))
    }

    /// Does what is due; the answer is whether a sign of life is.
    pub(crate) fn beat(&mut self, now: Instant, shared: &Shared, calls: usize) -> bool {
        if self.status <= now {
            self.status = now + STATUS_EVERY;
            let readiness = shared.not_ready().unwrap_or_else(|| "connected to Asterisk".to_owned());
            let line = format!("{readiness}; calls: {calls}");
            if line != self.told {
                self.supervisor.status(&line);
                self.told = line;
            }
        }
        let is_due = self.watchdog.is_some_and(|watchdog| watchdog <= now);
        if is_due {
            self.watchdog = self.supervisor.watchdog.map(|within| now + within / 2);
        }
        is_due
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_arrives_at_a_path_and_at_an_abstract_address() {
        let name = format!("ari-bridge-notify-{}", std::process::id());
        let path = env::temp_dir().join(&name);
        let at_path = UnixDatagram::bind(&path).unwrap();
        let nowhere = abstract_address(name.as_bytes()).unwrap();
        let abstractly = UnixDatagram::bind_addr(&nowhere).unwrap();
        for (listener, told) in [(at_path, path.to_str().unwrap()), (abstractly, &format!("@{name}"))] {
            let supervisor = Supervisor::connect(told.as_bytes(), None).unwrap();
            supervisor.stopping(Duration::from_secs(90));
            let mut buffer = [0; 100];
            let n = listener.recv(&mut buffer).unwrap();
            assert_eq!(&buffer[..n], b"STOPPING=1\nEXTEND_TIMEOUT_USEC=90000000");
        }
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_supervisor_that_does_not_read_stops_nobody() {
        let name = format!("ari-bridge-deaf-{}", std::process::id());
        let _deaf = UnixDatagram::bind_addr(&abstract_address(name.as_bytes()).unwrap()).unwrap();
        let supervisor = Supervisor::connect(format!("@{name}").as_bytes(), None).unwrap();
        // Linux keeps ten datagrams that nobody reads, or however many the operator has set; then a send would wait.
        for _ in 0..10_000 {
            supervisor.alive();
        }
    }
}

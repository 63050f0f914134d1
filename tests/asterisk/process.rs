//! Child processes that do not outlive the harness, and small things of the operating system.

use std::fs::File;
use std::net::{TcpListener, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Everything here fails with a sentence for the person who reads the log.
pub(crate) type Outcome<T> = Result<T, String>;

/// How often a condition is looked at again.
const POLL: Duration = Duration::from_millis(10);

/// A process that is killed when this is dropped, or when the harness itself is killed.
pub(crate) struct Process {
    name: &'static str,
    child: Child,
}

impl Process {
    /// Starts `program`, with its output in the file `log`.
    pub(crate) fn start(
        name: &'static str,
        program: &Path,
        log: &Path,
        set: impl FnOnce(&mut Command),
    ) -> Outcome<Self> {
        let output = File::create(log).map_err(|e| format!("{}: {e}", log.display()))?;
        let errors = output.try_clone().map_err(|e| format!("{}: {e}", log.display()))?;
        // setpriv becomes the program itself, so that the process id stays the same.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]).arg(program);
        set(&mut command);
        command.stdin(Stdio::null()).stdout(output).stderr(errors);
        let child = command.spawn().map_err(|e| format!("{name} does not start: {e}"))?;
        Ok(Self { name, child })
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal, by its name without `SIG`. Nothing happens if it has ended.
    pub(crate) fn signal(&mut self, name: &str) -> Outcome<()> {
        if self.ended().is_none() {
            let pid = self.child.id().to_string();
            let sent = Command::new("kill").args(["-s", name, &pid]).status();
            sent.map_err(|e| format!("kill: {e}"))?;
        }
        Ok(())
    }

    /// Asks it to end, and makes it after `within`.
    pub(crate) fn terminate(&mut self, within: Duration) -> Outcome<ExitStatus> {
        self.signal("TERM")?;
        self.wait(within)
    }

    /// Waits until it ends by itself; after `within` it is killed and that is a failure.
    pub(crate) fn wait(&mut self, within: Duration) -> Outcome<ExitStatus> {
        let mut status = None;
        let ended = until(within, || {
            status = self.ended();
            status.is_some()
        });
        match status {
            Some(status) if ended => Ok(status),
            _ => {
                let _ = self.child.kill();
                let _ = self.child.wait();
                Err(format!("{} was still running after {within:?}", self.name))
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether `condition` came true within that time.
pub(crate) fn until(within: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + within;
    loop {
        if condition() {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        sleep(POLL);
    }
}

/// A TCP port of the loopback that is free now: the preferred one if it is.
pub(crate) fn free_tcp_port(preferred: u16) -> Outcome<u16> {
    let bind = |port| TcpListener::bind(("127.0.0.1", port)).and_then(|socket| socket.local_addr());
    let address = bind(preferred).or_else(|_| bind(0)).map_err(|e| format!("no free TCP port: {e}"))?;
    Ok(address.port())
}

/// A UDP port of the loopback that is free now: the preferred one if it is.
pub(crate) fn free_udp_port(preferred: u16) -> Outcome<u16> {
    let bind = |port| UdpSocket::bind(("127.0.0.1", port)).and_then(|socket| socket.local_addr());
    let address = bind(preferred).or_else(|_| bind(0)).map_err(|e| format!("no free UDP port: {e}"))?;
    Ok(address.port())
}

/// The last lines of a log, for the report of a failure.
pub(crate) fn tail(path: &Path, lines: usize) -> String {
    let text = std::fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let all: Vec<&str> = text.lines().collect();
    let from = all.len().saturating_sub(lines);
    all[from..].iter().map(|line| format!("    {line}\n")).collect()
}

//! The bridge as a process of its own, for tests that start it: the child, its files, its supervisor.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use ari_bridge_core::sim::asterisk::Settings;

/// How long anything may take that is waited for.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A running bridge. It is killed if the test does not end it.
#[derive(Debug)]
pub struct Bridge {
    child: Child,
    log: Receiver<String>,
    seen: Vec<String>,
}

impl Bridge {
    /// Starts a program that is a bridge.
    #[must_use]
    pub fn spawn(mut program: Command) -> Self {
        let mut child = program.stderr(Stdio::piped()).spawn().unwrap();
        let (tell, log) = channel();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        std::thread::spawn(move || {
            lines.map_while(Result::ok).for_each(|line| {
                let _ = tell.send(line);
            })
        });
        Self { child, log, seen: Vec::new() }
    }

    /// The number of its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for a line of the log.
    pub fn logs(&mut self, what: &str) {
        let give_up = Instant::now() + PATIENCE;
        loop {
            let left = give_up.saturating_duration_since(Instant::now());
            let Ok(line) = self.log.recv_timeout(left) else {
                panic!("{what:?} was not logged: {:#?}", self.seen)
            };
            let found = line.contains(what);
            self.seen.push(line);
            if found {
                return;
            }
        }
    }

    /// Everything that was logged so far.
    pub fn log(&mut self) -> String {
        self.seen.extend(self.log.try_iter());
        self.seen.join("\n")
    }

    /// What was logged so far as warnings and errors: each once, without the name of the call, and with `#` for what is
    /// counted or measured in it. What is asked of Asterisk at the end of a call may come too late for it, or not: that
    /// is left out.
    pub fn complaints(&mut self) -> BTreeSet<String> {
        let log = self.log();
        let loud = log.lines().filter_map(|line| {
            let levels = [" WARN ", "ERROR "];
            levels.iter().find_map(|level| Some((level.trim(), line.split_once(level)?.1)))
        });
        let is_late =
            |line: &str| line.contains("Asterisk refused to ") || line.contains("that no call owns");
        let masked = loud.filter(|(_, line)| !is_late(line)).map(|(level, line)| {
            let line = if line.starts_with("call{") {
                line.split_once("}: ").map_or(line, |(_, rest)| rest)
            } else {
                line
            };
            format!("{level} {}", line.replace(|c: char| c.is_ascii_digit(), "#"))
        });
        masked.collect()
    }

    /// Sends a signal: `TERM`, `HUP`.
    pub fn signal(&self, name: &str) {
        let killed = Command::new("kill").args(["-s", name, &self.pid().to_string()]).status().unwrap();
        assert!(killed.success());
    }

    /// Waits for the end of the process.
    pub fn ends(&mut self) -> ExitStatus {
        let give_up = Instant::now() + PATIENCE;
        while Instant::now() < give_up {
            if let Some(status) = self.child.try_wait().unwrap() {
                // To the last line.
                self.seen.extend(self.log.iter());
                return status;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("it does not end: {}", self.log());
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Settings for a bridge between these two, but for the key.
#[must_use]
pub fn usual(ari: &str, realtime: &str) -> [(&'static str, String); 7] {
    let standin = Settings::default();
    [
        ("OPENAI_REALTIME_URL", realtime.to_owned()),
        ("ARI_URL", ari.to_owned()),
        ("ARI_USER", standin.user),
        ("ARI_PASSWORD", standin.password),
        ("ARI_APP", standin.app),
        ("ADMIN_BIND", "127.0.0.1:0".to_owned()),
        // Many calls at once make a busy machine.
        ("ANSWER_WITHIN_MS", "20000".to_owned()),
    ]
}

/// A directory of a test's own, removed with it.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// Makes it; no other test of this process has the name.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("ari-bridge-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }

    /// The path of a file in it.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Writes a file in it, and tells its path.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        std::fs::write(self.path(name), text).unwrap();
        self.path(name)
    }

    /// Writes a file of settings for a bridge between these two, with `set` behind those that are [`usual`], and tells
    /// its path.
    pub fn settings(&self, ari: &str, realtime: &str, set: &[(&str, &str)]) -> PathBuf {
        let usual = usual(ari, realtime);
        let usual = usual.iter().map(|(name, value)| (*name, &**value));
        let lines = usual.chain(set.iter().copied()).map(|(name, value)| format!("{name}='{value}'\n"));
        self.write("env", &lines.collect::<String>())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A supervisor as systemd is one.
#[derive(Debug)]
pub struct Supervisor(UnixDatagram);

impl Supervisor {
    /// Listens at this path.
    #[must_use]
    pub fn listen(path: &Path) -> Self {
        let socket = UnixDatagram::bind(path).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(socket)
    }

    /// Waits until it is told something that begins like this, and returns it.
    pub fn hears(&self, what: &str) -> String {
        let mut past = Vec::new();
        loop {
            let mut buffer = [0; 4096];
            let Ok(n) = self.0.recv(&mut buffer) else { panic!("{what} was not told: {past:#?}") };
            let told = String::from_utf8_lossy(&buffer[..n]).into_owned();
            if told.starts_with(what) {
                return told;
            }
            past.push(told);
        }
    }
}

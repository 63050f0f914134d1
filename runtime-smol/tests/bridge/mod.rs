//! The program `ari-bridge` as a child process.

use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use ari_bridge_core::sim::asterisk::Settings;

/// How long anything may take that is waited for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A running bridge. It is killed if the test does not end it.
pub(crate) struct Bridge {
    child: Child,
    log: Receiver<String>,
    seen: Vec<String>,
}

impl Bridge {
    /// Starts the program with this file of settings, and with `set` in its environment.
    pub(crate) fn start(env_file: &Path, set: &[(&str, &str)]) -> Self {
        let mut program = Command::new(env!("CARGO_BIN_EXE_ari-bridge"));
        program.arg("--env-file").arg(env_file);
        Self::spawn(program, set)
    }

    /// Starts a program that is a bridge, with nothing but `set` in its environment.
    pub(crate) fn spawn(mut program: Command, set: &[(&str, &str)]) -> Self {
        let mut child = program.env_clear().envs(set.iter().copied()).stderr(Stdio::piped()).spawn().unwrap();
        let (tell, log) = channel();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        std::thread::spawn(move || {
            lines.map_while(Result::ok).for_each(|line| {
                let _ = tell.send(line);
            })
        });
        Self { child, log, seen: Vec::new() }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for a line of the log.
    pub(crate) fn logs(&mut self, what: &str) {
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
    pub(crate) fn log(&mut self) -> String {
        self.seen.extend(self.log.try_iter());
        self.seen.join("\n")
    }

    /// Sends a signal: `TERM`, `HUP`.
    pub(crate) fn signal(&self, name: &str) {
        let killed = Command::new("kill").args(["-s", name, &self.pid().to_string()]).status().unwrap();
        assert!(killed.success());
    }

    /// Waits for the end of the process.
    pub(crate) fn ends(&mut self) -> ExitStatus {
        let give_up = Instant::now() + PATIENCE;
        while Instant::now() < give_up {
            if let Some(status) = self.child.try_wait().unwrap() {
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

/// A directory of a test's own, removed with it.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("ari-bridge-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }

    /// The path of a file in it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Writes a file in it, and tells its path.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        std::fs::write(self.path(name), text).unwrap();
        self.path(name)
    }

    /// A file of settings for the stand-ins, with `set` behind them.
    pub(crate) fn settings(&self, ari: &str, realtime: &str, set: &[(&str, &str)]) -> PathBuf {
        let standin = Settings::default();
        let usual = [
            ("OPENAI_REALTIME_URL", realtime),
            ("ARI_URL", ari),
            ("ARI_USER", &standin.user),
            ("ARI_PASSWORD", &standin.password),
            ("ARI_APP", &standin.app),
            ("ADMIN_BIND", "127.0.0.1:0"),
        ];
        let lines = usual.iter().chain(set).map(|(name, value)| format!("{name}='{value}'\n"));
        self.write("env", &lines.collect::<String>())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A supervisor as systemd is one.
pub(crate) struct Supervisor(UnixDatagram);

impl Supervisor {
    pub(crate) fn listen(path: &Path) -> Self {
        let socket = UnixDatagram::bind(path).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(socket)
    }

    /// Waits until it is told something that begins like this, and returns it.
    pub(crate) fn hears(&self, what: &str) -> String {
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

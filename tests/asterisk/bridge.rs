//! The bridge under test, as the process that an operator would run, and the model that it talks to.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::World;
use crate::pbx::{ARI_APP, ARI_PASSWORD, ARI_USER};
use crate::process::{Outcome, Process, free_tcp_port, tail, until};
use crate::realtime::{KEY, RealtimeStandIn};

/// How long the bridge may take until `/readyz` says yes, and until it has ended after SIGTERM.
const READY: Duration = Duration::from_secs(10);
const STOP: Duration = Duration::from_secs(15);

/// The ports on which the bridge receives media: clear of Asterisk's 10000-20000 and of the range that the
/// system hands out.
const RTP_PORTS: (u16, u16) = (30_200, 30_299);

/// So many ports are each bridge's of those that run at the same time.
const PORTS_EACH: u16 = 100;

/// What a process has of the operating system.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Holds {
    pub(crate) descriptors: usize,
    pub(crate) threads: usize,
    pub(crate) resident_kib: u64,
}

/// A running bridge.
pub(crate) struct Bridge {
    process: Process,
    log: PathBuf,
    admin: u16,
}

impl Bridge {
    /// Starts the bridge with that `MEDIA_FORMAT` and waits until it is ready for calls.
    pub(crate) fn start(world: &World, format: &str, realtime: &RealtimeStandIn) -> Outcome<Self> {
        Self::start_with(world, format, realtime, &[])
    }

    /// As [`Bridge::start`], while others of other numbers run: with an application and media ports of its own.
    /// Calls reach it at [`extension`].
    pub(crate) fn start_beside(
        world: &World,
        number: u16,
        format: &str,
        realtime: &RealtimeStandIn,
    ) -> Outcome<Self> {
        let (first, last) = RTP_PORTS;
        let variables = [
            ("ARI_APP", format!("{ARI_APP}-{number}")),
            ("RTP_PORT_START", (first + number * PORTS_EACH).to_string()),
            ("RTP_PORT_END", (last + number * PORTS_EACH).to_string()),
        ];
        let variables = variables.each_ref().map(|(name, value)| (*name, value.as_str()));
        Self::start_with(world, format, realtime, &variables)
    }

    /// As [`Bridge::start`], with these further variables.
    pub(crate) fn start_with(
        world: &World,
        format: &str,
        realtime: &RealtimeStandIn,
        variables: &[(&str, &str)],
    ) -> Outcome<Self> {
        let log = world.file("bridge", "log");
        let admin = free_tcp_port(0)?;
        let process = Process::start("the bridge", &binary()?, &log, |command| {
            // An operator's own variables and .env must not decide the test.
            command.env_clear().current_dir(&world.work);
            command.env("ARI_URL", format!("http://127.0.0.1:{}", world.pbx.ari_port));
            command.env("ARI_USER", ARI_USER).env("ARI_PASSWORD", ARI_PASSWORD).env("ARI_APP", ARI_APP);
            command.env("OPENAI_REALTIME_URL", realtime.url());
            if variables.iter().all(|(name, _)| *name != "OPENAI_API_KEY_FILE") {
                command.env("OPENAI_API_KEY", KEY);
            }
            if realtime.greets() {
                command.env("OPENAI_GREETING", "The stand-in has its own.");
            }
            command.env("MEDIA_FORMAT", format).env("VOLUME_BOOST", "1");
            command.env("RTP_PORT_START", RTP_PORTS.0.to_string());
            command.env("RTP_PORT_END", RTP_PORTS.1.to_string());
            command.env("ADMIN_BIND", format!("127.0.0.1:{admin}"));
            command.env("CAPTURE", "all").env("CAPTURE_DIR", &*world.captures.borrow());
            command.envs(variables.iter().copied());
        })?;
        let mut bridge = Self { process, log, admin };
        let ready = until(READY, || {
            bridge.process.ended().is_some() || get(admin, "/readyz").is_some_and(|(status, _)| status == 200)
        });
        if !ready || bridge.process.ended().is_some() {
            return Err(format!("the bridge does not become ready:\n{}", tail(&bridge.log, 30)));
        }
        Ok(bridge)
    }

    /// A counter of `/metrics`, by its name without `ari_bridge_` and `_total`, with its labels.
    pub(crate) fn count(&self, name: &str) -> Outcome<u64> {
        let (name, labels) = name.split_once('{').unwrap_or((name, ""));
        let brace = if labels.is_empty() { "" } else { "{" };
        self.metric(&format!("ari_bridge_{name}_total{brace}{labels} "))
    }

    /// A gauge of `/metrics`, by its name without `ari_bridge_`.
    pub(crate) fn gauge(&self, name: &str) -> Outcome<u64> {
        self.metric(&format!("ari_bridge_{name} "))
    }

    fn metric(&self, name: &str) -> Outcome<u64> {
        let (_, text) = get(self.admin, "/metrics").ok_or("no answer to GET /metrics")?;
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
        value.ok_or_else(|| format!("/metrics lacks {name:?}"))
    }

    /// The first line of its log that has these words in it.
    pub(crate) fn logged(&self, words: &str) -> Option<String> {
        let log = fs::read_to_string(&self.log).ok()?;
        log.lines().find(|line| line.contains(words)).map(str::to_owned)
    }

    /// What `/readyz` answers, status and body; `None` if nothing does.
    pub(crate) fn readiness(&self) -> Option<(u16, String)> {
        get(self.admin, "/readyz")
    }

    /// Whether `/readyz` answers with that status.
    pub(crate) fn is_ready(&self, status: u16) -> bool {
        self.readiness().is_some_and(|(answered, _)| answered == status)
    }

    /// The end of its log, for the report of a failure.
    pub(crate) fn log_tail(&self) -> String {
        tail(&self.log, 25)
    }

    /// How many lines of its log have these words in them.
    pub(crate) fn times_logged(&self, words: &str) -> usize {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        log.lines().filter(|line| line.contains(words)).count()
    }

    /// What the operating system has given to it: file descriptors, threads and resident memory in KiB.
    pub(crate) fn holds(&self) -> Outcome<Holds> {
        let folder = Path::new("/proc").join(self.process.pid().to_string());
        let count = |name: &str| -> Outcome<usize> {
            Ok(fs::read_dir(folder.join(name)).map_err(|e| format!("/proc: {e}"))?.count())
        };
        let status = fs::read_to_string(folder.join("status")).map_err(|e| format!("/proc: {e}"))?;
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next());
        let resident_kib = resident.and_then(|kib| kib.parse().ok()).ok_or("/proc/…/status lacks VmRSS")?;
        Ok(Holds { descriptors: count("fd")?, threads: count("task")?, resident_kib })
    }

    /// Sends it a signal, by its name without `SIG`, and does not wait.
    pub(crate) fn signal(&mut self, name: &str) -> Outcome<()> {
        self.process.signal(name)
    }

    /// Kills it: what it has on Asterisk stays there.
    pub(crate) fn crash(self) {
        // To drop the process is to kill it.
        drop(self.process);
    }

    /// Waits for the end that a signal has brought about; anything but the exit status 0 is a failure.
    pub(crate) fn ended(mut self, within: Duration) -> Outcome<()> {
        let status =
            self.process.wait(within).map_err(|fault| format!("{fault}\n{}", tail(&self.log, 30)))?;
        if status.success() {
            return Ok(());
        }
        Err(format!("the bridge ended with {status}:\n{}", tail(&self.log, 30)))
    }

    /// Sends SIGTERM and waits for the end.
    pub(crate) fn stop(mut self) -> Outcome<()> {
        self.process.signal("TERM")?;
        self.ended(STOP)
    }
}

/// Whom a caller dials to reach the bridge that was started with [`Bridge::start_beside`] under this number.
pub(crate) fn extension(number: u16) -> String {
    format!("beside-{number}")
}

/// `ARI_BRIDGE_BIN`, if it is set and not empty, or the program that lies beside this test's: `ARI_BRIDGE_PROGRAM`, or
/// `ari-bridge`.
pub(crate) fn binary() -> Outcome<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let program = set("ARI_BRIDGE_PROGRAM").unwrap_or_else(|| "ari-bridge".into());
    let built = || Some(std::env::current_exe().ok()?.parent()?.parent()?.join(program));
    let path = set("ARI_BRIDGE_BIN").map(PathBuf::from).or_else(built);
    let path = path.ok_or("no folder to look for the bridge in")?;
    if !path.exists() {
        return Err(format!("{} is missing: cargo build", path.display()));
    }
    // The bridge runs in another folder.
    Path::new(&path).canonicalize().map_err(|e| format!("{}: {e}", path.display()))
}

/// The status and the body of a GET.
fn get(port: u16, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(1))).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n").ok()?;
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).ok()?;
    let reply = String::from_utf8_lossy(&reply);
    let (head, body) = reply.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}

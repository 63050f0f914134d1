//! One Asterisk 22 in a chroot, on loopback, with the sample configuration.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ari_bridge_tests::speech;
use serde_json::Value;

use crate::process::{Outcome, Process, free_tcp_port, free_udp_port, tail, until};

/// What the sample configuration says; the samples are tested as they are but for the two ports.
const ARI_PORT: u16 = 18_088;
const SIP_PORT: u16 = 15_060;
pub(crate) const ARI_USER: &str = "voiceapp";
pub(crate) const ARI_PASSWORD: &str = "CHANGE_ME";
pub(crate) const ARI_APP: &str = "voice-agent";

/// How long Asterisk may take to start and to stop.
const START: Duration = Duration::from_secs(20);
const STOP: Duration = Duration::from_secs(10);

/// How long one request may take.
const REQUEST: Duration = Duration::from_secs(5);

/// Who sings while a call is on hold, and for how long before it begins again.
const MUSIC_VOICE: u64 = 299;
const MUSIC_SECONDS: f64 = 10.0;

/// Configuration files that Asterisk complains about when they are missing; empty ones mean the defaults.
const EMPTY: [&str; 10] = [
    "acl",
    "ccss",
    "cdr",
    "cel",
    "features",
    "indications",
    "manager",
    "pjproject",
    "udptl",
    "websocket_client",
];

/// How an Asterisk ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stop {
    /// Killed: it says goodbye to nobody.
    Crash,
    /// Asked to (SIGTERM): it hangs up and closes its sockets.
    Asked,
}

/// An Asterisk, which a scenario may stop and start again.
pub(crate) struct Pbx {
    /// `None` while it is stopped.
    process: Mutex<Option<Process>>,
    /// What it prints.
    output: PathBuf,
    /// The root of its file system.
    root: PathBuf,
    /// The folder of this run, as Asterisk sees it.
    run: String,
    pub(crate) ari_port: u16,
    pub(crate) sip_port: u16,
}

impl Pbx {
    /// Starts Asterisk; what it prints goes into the folder `work`.
    pub(crate) fn start(work: &Path) -> Outcome<Self> {
        let root = root()?;
        let run = format!("/run/ari-bridge-{}", std::process::id());
        let ari_port = free_tcp_port(ARI_PORT)?;
        let sip_port = free_udp_port(SIP_PORT)?;
        configure(&root, &run, ari_port, sip_port)?;
        let process = Mutex::new(None);
        let pbx = Self { process, output: work.join("asterisk.out"), root, run, ari_port, sip_port };
        pbx.run()?;
        Ok(pbx)
    }

    /// Runs it, with the files that there are, until it answers; how long that took.
    fn run(&self) -> Outcome<Duration> {
        let begun = Instant::now();
        let mut process = Process::start("Asterisk", Path::new("chroot"), &self.output, |command| {
            command
                .arg(&self.root)
                .args(["/usr/sbin/asterisk", "-f", "-C"])
                .arg(format!("{}/etc/asterisk.conf", self.run));
        })?;
        if !until(START, || process.ended().is_some() || self.is_ready()) || process.ended().is_some() {
            let out = tail(&self.output, 20);
            return Err(format!("Asterisk does not start:\n{out}{}", tail(&self.log(), 40)));
        }
        *self.process() = Some(process);
        Ok(begun.elapsed())
    }

    fn process(&self) -> MutexGuard<'_, Option<Process>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends it. It can be started again with [`Pbx::start_again`].
    pub(crate) fn end(&self, how: Stop) -> Outcome<()> {
        match (self.process().take(), how) {
            (Some(mut process), Stop::Asked) => process.terminate(STOP).map(|_| ()),
            // To drop it is to kill it.
            (Some(_), Stop::Crash) | (None, _) => Ok(()),
        }
    }

    /// Starts it at the same ports with the same configuration, if it is not running; how long that took.
    pub(crate) fn start_again(&self) -> Outcome<Duration> {
        let is_running = self.process().is_some();
        if is_running { Ok(Duration::ZERO) } else { self.run() }
    }

    fn is_ready(&self) -> bool {
        self.ari("GET", "/asterisk/info", None).is_ok_and(|(status, _)| status == 200)
    }

    /// Which Asterisk this is.
    pub(crate) fn version(&self) -> Outcome<String> {
        let (_, info) = self.ari("GET", "/asterisk/info", None)?;
        Ok(info["system"]["version"].as_str().unwrap_or("of unknown version").to_owned())
    }

    /// Asterisk's own log.
    pub(crate) fn log(&self) -> PathBuf {
        self.host_path("log/messages")
    }

    /// Where a file of the run lies for Asterisk.
    pub(crate) fn inner_path(&self, name: &str) -> String {
        format!("{}/{name}", self.run)
    }

    /// Where the same file lies for the harness.
    pub(crate) fn host_path(&self, name: &str) -> PathBuf {
        self.root.join(self.run.trim_start_matches('/')).join(name)
    }

    /// One ARI request: the status and the body, `Null` if there is none.
    pub(crate) fn ari(&self, method: &str, path: &str, body: Option<&Value>) -> Outcome<(u16, Value)> {
        let fault = |e: std::io::Error| format!("{method} {path}: {e}");
        let mut stream = TcpStream::connect(("127.0.0.1", self.ari_port)).map_err(fault)?;
        stream.set_read_timeout(Some(REQUEST)).map_err(fault)?;
        let body = body.map(Value::to_string).unwrap_or_default();
        let sign = if path.contains('?') { '&' } else { '?' };
        let request = format!(
            "{method} /ari{path}{sign}api_key={ARI_USER}:{ARI_PASSWORD} HTTP/1.1\r\nHost: 127.0.0.1\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).map_err(fault)?;
        let mut reply = String::new();
        stream.read_to_string(&mut reply).map_err(fault)?;
        let status = reply.split(' ').nth(1).and_then(|status| status.parse().ok());
        let (_, body) = reply.split_once("\r\n\r\n").ok_or("an answer without a header")?;
        Ok((status.ok_or("an answer without a status")?, serde_json::from_str(body).unwrap_or(Value::Null)))
    }

    /// This field of everything that is listed under this path.
    fn list(&self, path: &str, field: &str) -> Outcome<Vec<String>> {
        let (status, list) = self.ari("GET", path, None)?;
        let items = list.as_array().ok_or(format!("GET {path}: {status} {list}"))?;
        Ok(items.iter().map(|item| item[field].as_str().unwrap_or("?").to_owned()).collect())
    }

    /// The names of all channels that there are, and the ids of all bridges.
    pub(crate) fn present(&self) -> Outcome<Vec<String>> {
        let bridges = self.list("/bridges", "id")?.into_iter().map(|id| format!("bridge {id}"));
        Ok(self.list("/channels", "name")?.into_iter().chain(bridges).collect())
    }

    /// The ids of the channels and bridges that a bridge of ours has made.
    pub(crate) fn ours(&self) -> Outcome<Vec<String>> {
        let ids = [self.list("/channels", "id")?, self.list("/bridges", "id")?].concat();
        Ok(ids.into_iter().filter(|id| id.starts_with("arib")).collect())
    }

    /// Waits until there is no channel and no bridge; how long that took.
    pub(crate) fn nothing_left(&self, within: Duration) -> Outcome<Duration> {
        let start = Instant::now();
        let mut left = Vec::new();
        let clean = until(within, || {
            left = self.present().unwrap_or_else(|fault| vec![fault]);
            left.is_empty()
        });
        if clean { Ok(start.elapsed()) } else { Err(format!("left on Asterisk after {within:?}: {left:?}")) }
    }

    /// Hangs up everything, so that a failed scenario does not spoil the next.
    pub(crate) fn clear(&self) {
        if let Err(fault) = self.start_again() {
            println!("{fault}");
        }
        for (path, field) in [("/channels", "id"), ("/bridges", "id")] {
            let Ok((_, list)) = self.ari("GET", path, None) else { continue };
            for item in list.as_array().into_iter().flatten() {
                let _ = self.ari("DELETE", &format!("{path}/{}", item[field].as_str().unwrap_or("?")), None);
            }
        }
        let _ = self.nothing_left(Duration::from_secs(2));
    }

    /// Stops it and removes what it wrote.
    pub(crate) fn stop(self) -> Outcome<()> {
        let stopped = self.end(Stop::Asked);
        let _ = fs::remove_dir_all(self.host_path(""));
        stopped
    }
}

/// The folder that `provision.sh` makes.
fn root() -> Outcome<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = || set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")));
    let root = set("ARI_BRIDGE_ASTERISK_DIR")
        .or_else(|| Some(cache()?.join("ari-bridge/asterisk-22")))
        .ok_or("neither ARI_BRIDGE_ASTERISK_DIR nor HOME is set")?;
    if !root.join("usr/sbin/asterisk").exists() {
        return Err(format!("no Asterisk in {}: run tests/asterisk/provision.sh", root.display()));
    }
    let id = Command::new("id").arg("-u").output().map_err(|e| format!("id: {e}"))?;
    if id.stdout.trim_ascii() != b"0" {
        return Err("Asterisk runs in a chroot, and that needs root".to_owned());
    }
    Ok(root)
}

/// Writes the samples, with the ports of the test, and what only a test needs.
fn configure(root: &Path, run: &str, ari_port: u16, sip_port: u16) -> Outcome<()> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("asterisk");
    let folder = root.join(run.trim_start_matches('/'));
    remove_old_runs(root);
    for name in ["etc", "lib/keys", "cache", "spool/monitor", "run", "log", "moh"] {
        let path = folder.join(name);
        fs::create_dir_all(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    }
    let read = |name: &str| fs::read_to_string(here.join(name)).map_err(|e| format!("{name}: {e}"));
    let write = |name: &str, text: &str| {
        let path = folder.join("etc").join(name);
        fs::write(&path, text).map_err(|e| format!("{}: {e}", path.display()))
    };
    // A sample that no longer says what is replaced would be a test of something else.
    let replace = |text: String, from: &str, to: &str| {
        if text.contains(from) {
            Ok(text.replace(from, to))
        } else {
            Err(format!("the sample lacks {from:?}"))
        }
    };
    let modules = modules(root)?;

    for name in EMPTY {
        write(&format!("{name}.conf"), "")?;
    }
    for name in ["ari.conf", "rtp.conf"] {
        write(name, &read(&format!("etc/{name}"))?)?;
    }
    for name in ["logger.conf", "modules.conf"] {
        write(name, &read(&format!("overlay/{name}"))?)?;
    }
    let http = replace(read("etc/http.conf")?, "bindport=8088", &format!("bindport={ari_port}"))?;
    write("http.conf", &http)?;
    let pjsip = replace(read("etc/pjsip.conf")?, "bind=0.0.0.0:5060", &format!("bind=127.0.0.1:{sip_port}"))?;
    write("pjsip.conf", &pjsip)?;
    write("extensions.conf", &(read("etc/extensions.conf")? + &read("overlay/extensions.conf")?))?;
    let music: Vec<u8> =
        speech::utterance(MUSIC_VOICE, MUSIC_SECONDS).iter().flat_map(|s| s.to_le_bytes()).collect();
    fs::write(folder.join("moh/music.sln16"), music).map_err(|e| format!("moh/music.sln16: {e}"))?;
    write("musiconhold.conf", &replace(read("overlay/musiconhold.conf")?, "@RUN@", run)?)?;
    let asterisk = replace(read("overlay/asterisk.conf")?, "@RUN@", run)?;
    write("asterisk.conf", &replace(asterisk, "@MODULES@", &modules)?)
}

/// Removes what runs that were killed have left.
fn remove_old_runs(root: &Path) {
    for entry in fs::read_dir(root.join("run")).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.strip_prefix("ari-bridge-"));
        if pid.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// The folder of modules inside the root; its name holds the machine's architecture.
fn modules(root: &Path) -> Outcome<String> {
    let lib = fs::read_dir(root.join("usr/lib")).map_err(|e| format!("usr/lib: {e}"))?;
    lib.flatten()
        .map(|entry| entry.path().join("asterisk/modules"))
        .find(|path| path.is_dir())
        .and_then(|path| Some(format!("/{}", path.strip_prefix(root).ok()?.display())))
        .ok_or_else(|| "no folder of Asterisk modules under usr/lib".to_owned())
}

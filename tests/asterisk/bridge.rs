//! The bridge under test, as the process that an operator would run, and the model that it talks to.

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

/// A running bridge.
pub(crate) struct Bridge {
    process: Process,
    log: PathBuf,
}

impl Bridge {
    /// Starts the bridge with that `MEDIA_FORMAT` and waits until it is ready for calls.
    pub(crate) fn start(world: &World, format: &str, realtime: &RealtimeStandIn) -> Outcome<Self> {
        Self::start_with(world, format, realtime, &[])
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
            command.env("OPENAI_API_KEY", KEY).env("OPENAI_REALTIME_URL", realtime.url());
            command.env("MEDIA_FORMAT", format).env("VOLUME_BOOST", "1");
            command.env("RTP_PORT_START", RTP_PORTS.0.to_string());
            command.env("RTP_PORT_END", RTP_PORTS.1.to_string());
            command.env("ADMIN_BIND", format!("127.0.0.1:{admin}"));
            command.envs(variables.iter().copied());
        })?;
        let mut bridge = Self { process, log };
        let ready =
            until(READY, || bridge.process.ended().is_some() || status(admin, "/readyz") == Some(200));
        if !ready || bridge.process.ended().is_some() {
            return Err(format!("the bridge does not become ready:\n{}", tail(&bridge.log, 30)));
        }
        Ok(bridge)
    }

    /// Sends SIGTERM and waits for the end.
    pub(crate) fn stop(mut self) -> Outcome<()> {
        let status = self.process.terminate(STOP)?;
        if status.success() {
            return Ok(());
        }
        Err(format!("the bridge ended with {status}:\n{}", tail(&self.log, 30)))
    }
}

/// `ARI_BRIDGE_BIN`, or the binary that lies beside this test's.
fn binary() -> Outcome<PathBuf> {
    let built = || std::env::current_exe().ok()?.parent()?.parent().map(|folder| folder.join("ari-bridge"));
    let path = std::env::var_os("ARI_BRIDGE_BIN").map(PathBuf::from).or_else(built);
    let path = path.ok_or("no folder to look for ari-bridge in")?;
    if !path.exists() {
        return Err(format!("{} is missing: cargo build -p ari-bridge-smol", path.display()));
    }
    // The bridge runs in another folder.
    Path::new(&path).canonicalize().map_err(|e| format!("{}: {e}", path.display()))
}

/// The status of a GET.
fn status(port: u16, path: &str) -> Option<u16> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(1))).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n").ok()?;
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).ok()?;
    String::from_utf8_lossy(&reply).split(' ').nth(1)?.parse().ok()
}

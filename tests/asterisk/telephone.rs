//! The telephone of the house, 1001: it registers with the sample's password, and a call can be given to it.
//!
//! It lives at 127.0.0.2. The sample takes everything that comes from 127.0.0.1 for the trunk, which has no telephone.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use ari_bridge_tests::speech;

use crate::World;
use crate::call::{Script, go_on, logged, media_port};
use crate::codec::Codec;
use crate::line::{Line, Recording};
use crate::measuring::{Figures, NOT_HEARD, Speech};
use crate::network::{self, PTIME_MS};
use crate::process::{Outcome, Process, tail, until};
use crate::scenarios::{CLEAN, RING, place, seconds};

const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// How long the telephone rings before it is answered, in milliseconds.
const RINGS_MS: u32 = 300;

/// How long a registration may take, and how long SIPp may take to end when the call is over.
const REGISTER: Duration = Duration::from_secs(6);
pub(crate) const END: Duration = Duration::from_secs(6);

/// For how long a telephone is registered at most, in seconds: longer than any scenario.
const REGISTERED_SECONDS: u32 = 300;

/// A telephone that can be called once.
pub(crate) struct Telephone {
    sipp: Process,
    line: Line,
    codec: Codec,
    files: PathBuf,
    at: SocketAddr,
    started: Instant,
    _registration: Registration,
}

/// That Asterisk knows where the telephone is. It is told when the telephone is there no more: whoever calls it
/// then would wait for long.
struct Registration {
    pbx_port: u16,
    files: PathBuf,
    telephone: u16,
}

impl Telephone {
    pub(crate) const fn codec(&self) -> Codec {
        self.codec
    }

    /// Plugs the telephone in.
    pub(crate) fn start(world: &World, codec: Codec) -> Outcome<Self> {
        let files = world.file("telephone", "d");
        fs::create_dir_all(&files).map_err(|e| format!("{}: {e}", files.display()))?;
        let line = Line::open(codec)?;
        let free = UdpSocket::bind((ADDRESS, 0)).and_then(|socket| socket.local_addr());
        let at = free.map_err(|e| format!("no free UDP port at {ADDRESS}: {e}"))?;
        let sipp = sipp("uas_1001.xml", at, &files, |set| {
            set("-timeout", "120");
            set("-d", &RINGS_MS.to_string());
            for (name, value) in [
                ("media", line.port.to_string()),
                ("codec", codec.payload_type().to_string()),
                ("codecname", codec.name().to_owned()),
            ] {
                key(set, name, &value);
            }
        })?;
        let registration =
            Registration { pbx_port: world.pbx.sip_port, files: files.clone(), telephone: at.port() };
        registration.tell(REGISTERED_SECONDS)?;
        let started = Instant::now();
        Ok(Self { sipp, line, codec, files, at, started, _registration: registration })
    }

    /// Waits until the telephone has been called and has answered; how long after it was plugged in that was.
    pub(crate) fn answered(&mut self, within: Duration) -> Outcome<Duration> {
        until(within, || self.sipp.ended().is_some() || media_port(&self.files).is_some());
        media_port(&self.files).map(|_| self.started.elapsed()).ok_or_else(|| self.fault("nobody called"))
    }

    /// Who calls, as the telephone would show it: name and address of the call's `From`.
    pub(crate) fn caller(&self) -> Option<String> {
        let from = logged(&self.files, "caller ")?;
        Some(from.split(";tag=").next().unwrap_or_default().trim().to_owned())
    }

    /// Speaks from now on; afterwards nothing is sent.
    pub(crate) fn speak(&self, payload: &[u8]) -> Outcome<()> {
        let port = media_port(&self.files).ok_or("nobody has called the telephone yet")?;
        self.line.speak(([127, 0, 0, 1], port).into(), network::cut(payload, PTIME_MS));
        Ok(())
    }

    /// Hangs up; what was heard.
    pub(crate) fn hang_up(self) -> Outcome<Recording> {
        let call_id = logged(&self.files, "call id ").ok_or("nobody has called the telephone yet")?;
        go_on(self.at, &call_id, 1)?;
        self.ended(END)
    }

    /// Waits until the other side has hung up; what was heard.
    pub(crate) fn ended(mut self, within: Duration) -> Outcome<Recording> {
        let status = self.sipp.wait(within).map_err(|fault| self.fault(&fault))?;
        if !status.success() {
            return Err(self.fault(&format!("the call of the telephone did not go as scripted ({status})")));
        }
        self.line.close()
    }

    fn fault(&self, what: &str) -> String {
        let errors = tail(&self.files.join("errors"), 12);
        format!("{what}; telephone with {}, logs in {}\n{errors}", self.codec.name(), self.files.display())
    }
}

impl Registration {
    fn tell(&self, for_seconds: u32) -> Outcome<()> {
        let files = self.files.join(format!("register-{for_seconds}"));
        fs::create_dir_all(&files).map_err(|e| format!("{}: {e}", files.display()))?;
        let from = UdpSocket::bind((ADDRESS, 0)).and_then(|socket| socket.local_addr());
        let from = from.map_err(|e| format!("no free UDP port at {ADDRESS}: {e}"))?;
        let mut sipp = sipp("register_1001.xml", from, &files, |set| {
            set("-timeout", "5");
            key(set, "telephone", &self.telephone.to_string());
            key(set, "seconds", &for_seconds.to_string());
            set("", &format!("127.0.0.1:{}", self.pbx_port));
        })?;
        let status = sipp.wait(REGISTER)?;
        if status.success() {
            Ok(())
        } else {
            Err(format!("the telephone is not registered ({status})\n{}", tail(&files.join("errors"), 12)))
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let _ = self.tell(0);
    }
}

/// Adds a name of a script's own, and what stands for it.
fn key(set: &mut dyn FnMut(&str, &str), name: &str, value: &str) {
    set("-key", name);
    set("", value);
}

/// Starts SIPp with a script at that address; `more` gives what else it needs, names with their values.
fn sipp(
    scenario: &str,
    at: SocketAddr,
    files: &Path,
    more: impl FnOnce(&mut dyn FnMut(&str, &str)),
) -> Outcome<Process> {
    let scenario = Path::new(env!("CARGO_MANIFEST_DIR")).join("asterisk/sipp").join(scenario);
    Process::start("SIPp", Path::new("sipp"), &files.join("sipp.out"), |command| {
        let mut set = |name: &str, value: &str| {
            command.args([name, value].into_iter().filter(|word| !word.is_empty()));
        };
        set("-sf", &scenario.display().to_string());
        set("-i", &at.ip().to_string());
        set("-p", &at.port().to_string());
        set("-m", "1");
        for (name, file) in [("-log_file", "log"), ("-message_file", "messages"), ("-error_file", "errors")] {
            set(name, &files.join(file).display().to_string());
        }
        set("-nostdin", "-trace_logs");
        set("-trace_msg", "-trace_err");
        more(&mut set);
    })
}

/// A caller and the telephone speak with each other; once the caller hangs up, and once the telephone does.
pub(crate) fn telephone(world: &World) -> Outcome<String> {
    let mut lines = Vec::new();
    for (voice, (codec, caller_hangs_up)) in
        (80..).step_by(2).zip([(Codec::G722, true), (Codec::Pcma, false)])
    {
        let mut telephone = Telephone::start(world, codec)?;
        let callers = Speech::new(codec, 0.3, &speech::utterance(voice, 2.2), 0.5)?;
        let telephones = Speech::new(codec, 0.5, &speech::utterance(voice + 1, 2.2), 0.5)?;
        let script = if caller_hangs_up { Script::HangUp } else { Script::WaitForBye };
        let mut call = place(world, "telephone", codec, script)?;
        let answered = call.answered(RING)?;
        telephone.answered(RING)?;
        let from = telephone.caller().unwrap_or_default();
        call.speak(&callers.payload)?;
        telephone.speak(&telephones.payload)?;
        sleep(seconds(0.5 + 2.2 + 0.8));
        let (at_the_caller, at_the_telephone) = if caller_hangs_up {
            (call.hang_up()?, telephone.ended(END)?)
        } else {
            let at_the_telephone = telephone.hang_up()?;
            (call.ended(END)?, at_the_telephone)
        };
        world.pbx.nothing_left(CLEAN)?;

        let who = if caller_hangs_up { "the caller" } else { "the telephone" };
        let name = codec.name();
        lines.push(format!("{name}: answered after {answered:.0?}, called by {from}, {who} hung up"));
        let there = Figures::between(&callers, (&at_the_caller, 0), &at_the_telephone)?;
        let back = Figures::between(&telephones, (&at_the_telephone, 0), &at_the_caller)?;
        let own = Figures::of(&callers, &at_the_caller)?.found.correlation;
        lines.push(format!("  the telephone hears: {there}\n  the caller hears: {back}; himself {own:.3}"));
        let lines = lines.join("\n");
        for figures in [&there, &back] {
            figures.judge().map_err(|fault| format!("{fault}\n{lines}"))?;
        }
        if own >= NOT_HEARD {
            return Err(format!("the caller hears himself\n{lines}"));
        }
    }
    Ok(lines.join("\n"))
}

//! A telephone call: SIPp does the signalling, a [`Line`] the audio.

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use ari_bridge_tests::measure::RATE;

use crate::codec::Codec;
use crate::keys;
use crate::line::{Line, Recording};
use crate::network::{self, Frame, PTIME_MS};
use crate::process::{Outcome, Process, free_udp_port, tail, until};

/// How long SIPp may take to end when the call is over.
const END: Duration = Duration::from_secs(6);

static CALLS: AtomicU32 = AtomicU32::new(1);

/// How a call is to go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Script {
    /// The caller hangs up.
    HangUp,
    /// The other side hangs up.
    WaitForBye,
    /// Nobody takes the call.
    Refused,
    /// SIPp speaks its own recording, stays so many milliseconds and hangs up.
    Recorded { stay_ms: u32 },
    /// The caller presses keys, and hangs up.
    Keys,
    /// The caller puts the call on hold, takes it back and hangs up.
    Hold { direction: &'static str },
}

impl Script {
    /// What a telephone offers while it holds the call: `sendonly` or `inactive` (RFC 3264 §8.4).
    const fn direction_on_hold(self) -> &'static str {
        match self {
            Self::Hold { direction } => direction,
            Self::HangUp | Self::WaitForBye | Self::Refused | Self::Recorded { .. } | Self::Keys => {
                "sendrecv"
            }
        }
    }
}

/// What the caller's telephone offers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Offer {
    pub(crate) codec: Codec,
    /// How long its packets last, in milliseconds.
    pub(crate) ptime_ms: usize,
}

impl From<Codec> for Offer {
    fn from(codec: Codec) -> Self {
        Self { codec, ptime_ms: PTIME_MS }
    }
}

/// A call that has been placed.
pub(crate) struct Call {
    sipp: Process,
    line: Line,
    codec: Codec,
    ptime_ms: usize,
    files: PathBuf,
    call_id: String,
    sip_port: u16,
    /// How many messages have told SIPp to go on.
    messages: u32,
    placed: Instant,
}

impl Call {
    /// Calls `extension` at the Asterisk that listens on `pbx_port`; SIPp's logs go to the folder `work`.
    pub(crate) fn place(
        work: &Path,
        pbx_port: u16,
        extension: &str,
        offer: Offer,
        script: Script,
    ) -> Outcome<Self> {
        let Offer { codec, ptime_ms } = offer;
        let number = CALLS.fetch_add(1, Ordering::Relaxed);
        let files = work.join(format!("call-{number}"));
        fs::create_dir_all(&files).map_err(|e| format!("{}: {e}", files.display()))?;
        let line = Line::open(codec)?;
        let sip_port = free_udp_port(0)?;
        let call_id = format!("call-{number}-{}@harness", std::process::id());
        let scenario = match script {
            Script::HangUp => "uac_hangup.xml",
            Script::WaitForBye => "uac_wait_for_bye.xml",
            Script::Refused => "uac_refused.xml",
            Script::Recorded { .. } => "uac_pcap.xml",
            Script::Keys => "uac_keys.xml",
            Script::Hold { .. } => "uac_hold.xml",
        };
        let scenario = Path::new(env!("CARGO_MANIFEST_DIR")).join("asterisk/sipp").join(scenario);
        let sipp = Process::start("SIPp", Path::new("sipp"), &files.join("sipp.out"), |command| {
            let mut set = |name: &str, value: String| {
                command.arg(format!("-{name}")).arg(value);
            };
            set("sf", scenario.display().to_string());
            set("s", extension.to_owned());
            set("i", "127.0.0.1".to_owned());
            set("p", sip_port.to_string());
            set("m", "1".to_owned());
            set("timeout", "120".to_owned());
            set("cid_str", call_id.clone());
            set("log_file", files.join("log").display().to_string());
            set("message_file", files.join("messages").display().to_string());
            set("error_file", files.join("errors").display().to_string());
            if let Script::Recorded { stay_ms } = script {
                set("d", stay_ms.to_string());
            }
            for (name, value) in [
                ("caller", format!("1555000{number:04}")),
                ("media", line.port.to_string()),
                ("codec", codec.payload_type().to_string()),
                ("codecname", codec.name().to_owned()),
                ("ptime", ptime_ms.to_string()),
                ("hold", script.direction_on_hold().to_owned()),
            ] {
                command.args(["-key", name, &value]);
            }
            command.args(["-nostdin", "-trace_logs", "-trace_msg", "-trace_err"]);
            command.arg(format!("127.0.0.1:{pbx_port}"));
        })?;
        Ok(Self {
            sipp,
            line,
            codec,
            ptime_ms,
            files,
            call_id,
            sip_port,
            messages: 0,
            placed: Instant::now(),
        })
    }

    /// Waits until the call is answered; how long that took. From then on the caller may speak.
    pub(crate) fn answered(&mut self, within: Duration) -> Outcome<Duration> {
        let answered = until(within, || self.sipp.ended().is_some() || self.media_port().is_some());
        match self.media_port() {
            Some(_) => Ok(self.placed.elapsed()),
            None if answered => Err(self.fault("the call ended unanswered")),
            None => Err(self.fault("the call was not answered")),
        }
    }

    /// Where Asterisk wants the caller's voice; known once the call is answered.
    fn media_port(&self) -> Option<u16> {
        media_port(&self.files)
    }

    /// Speaks from now on, in packets of as long as was offered. Silence that is to be *sent* is part of the
    /// samples; afterwards nothing is sent.
    pub(crate) fn speak(&self, payload: &[u8]) -> Outcome<()> {
        self.send(network::cut(payload, self.ptime_ms))
    }

    /// Presses these keys, one after the other, with silence around them; returns how long that takes. What is being
    /// said is broken off. Needs [`Script::Keys`].
    pub(crate) fn press(&self, pressed: &str) -> Outcome<Duration> {
        let takes = keys::MARGIN + keys::takes(pressed) + keys::MARGIN;
        let silence = vec![0; (takes.as_secs_f64() * RATE as f64) as usize];
        self.press_while_speaking(&self.codec.encode(&silence)?, keys::MARGIN, pressed)?;
        Ok(takes)
    }

    /// Speaks, and presses keys meanwhile, the first so long after the beginning. A key that is held down takes the
    /// place of the voice.
    pub(crate) fn press_while_speaking(&self, payload: &[u8], from: Duration, pressed: &str) -> Outcome<()> {
        let voice = network::cut(payload, self.ptime_ms);
        self.send(keys::among(voice, from, pressed)?)
    }

    /// Sends these frames from now on.
    pub(crate) fn send(&self, frames: Vec<Frame>) -> Outcome<()> {
        let port = self.media_port().ok_or("nobody has answered yet")?;
        self.line.speak(([127, 0, 0, 1], port).into(), frames);
        Ok(())
    }

    /// The caller hangs up.
    pub(crate) fn hang_up(mut self) -> Outcome<Recording> {
        self.go_on()?;
        self.ended(END)
    }

    /// The caller puts the call on hold; returns when Asterisk has agreed.
    pub(crate) fn hold(&mut self) -> Outcome<()> {
        self.go_on()?;
        self.logged("held")
    }

    /// The caller takes the call back; returns when Asterisk has agreed.
    pub(crate) fn unhold(&mut self) -> Outcome<()> {
        self.go_on()?;
        self.logged("taken back")
    }

    fn logged(&self, line: &str) -> Outcome<()> {
        let log = || fs::read_to_string(self.files.join("log")).unwrap_or_default();
        let found = until(END, || log().lines().any(|logged| logged.trim() == line));
        if found { Ok(()) } else { Err(self.fault(&format!("SIPp did not log {line:?}"))) }
    }

    /// Lets SIPp go on with its script.
    fn go_on(&mut self) -> Outcome<()> {
        self.messages += 1;
        go_on(SocketAddr::from(([127, 0, 0, 1], self.sip_port)), &self.call_id, self.messages)
    }

    /// Waits until the call has ended as its script says; anything else is a failure.
    pub(crate) fn ended(mut self, within: Duration) -> Outcome<Recording> {
        let status = self.sipp.wait(within).map_err(|fault| self.fault(&fault))?;
        if !status.success() {
            return Err(self.fault(&format!("the call did not go as scripted ({status})")));
        }
        self.line.close()
    }

    fn fault(&self, what: &str) -> String {
        let errors = tail(&self.files.join("errors"), 12);
        format!("{what}; {} call, logs in {}\n{errors}", self.codec.name(), self.files.display())
    }
}

/// Lets a SIPp that listens there go on with the script of that call: with a MESSAGE that carries its Call-ID.
pub(crate) fn go_on(sipp: SocketAddr, call_id: &str, number: u32) -> Outcome<()> {
    let message = format!(
        "MESSAGE sip:sipp@{sipp} SIP/2.0\r\n\
         Via: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bKharness{number}\r\n\
         From: <sip:harness@127.0.0.1>;tag=harness\r\nTo: <sip:sipp@{sipp}>\r\nCall-ID: {call_id}\r\n\
         CSeq: {number} MESSAGE\r\nContent-Length: 0\r\n\r\n",
    );
    let socket = UdpSocket::bind("127.0.0.1:0").map_err(|e| e.to_string())?;
    socket.send_to(message.as_bytes(), sipp).map(|_| ()).map_err(|e| e.to_string())
}

/// Where Asterisk wants the voice, as the script has logged it once the call is answered.
pub(crate) fn media_port(files: &Path) -> Option<u16> {
    logged(files, "answered ")?.parse().ok()
}

/// What the script has logged behind these words.
pub(crate) fn logged(files: &Path, words: &str) -> Option<String> {
    let log = fs::read_to_string(files.join("log")).ok()?;
    log.lines().find_map(|line| Some(line.strip_prefix(words)?.trim().to_owned()))
}

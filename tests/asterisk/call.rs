//! A telephone call: SIPp does the signalling, a [`Line`] the audio.

use std::fs;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::codec::Codec;
use crate::line::{Line, Recording};
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
}

/// A call that has been placed.
pub(crate) struct Call {
    sipp: Process,
    line: Line,
    codec: Codec,
    files: PathBuf,
    call_id: String,
    sip_port: u16,
    placed: Instant,
}

impl Call {
    /// Calls `extension` at the Asterisk that listens on `pbx_port`; SIPp's logs go to the folder `work`.
    pub(crate) fn place(
        work: &Path,
        pbx_port: u16,
        extension: &str,
        codec: Codec,
        script: Script,
    ) -> Outcome<Self> {
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
            ] {
                command.args(["-key", name, &value]);
            }
            command.args(["-nostdin", "-trace_logs", "-trace_msg", "-trace_err"]);
            command.arg(format!("127.0.0.1:{pbx_port}"));
        })?;
        Ok(Self { sipp, line, codec, files, call_id, sip_port, placed: Instant::now() })
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
        let log = fs::read_to_string(self.files.join("log")).ok()?;
        log.lines().find_map(|line| line.strip_prefix("answered ")?.trim().parse().ok())
    }

    /// Speaks from now on. Silence that is to be *sent* is part of the samples; afterwards nothing is sent.
    pub(crate) fn speak(&self, payload: &[u8]) -> Outcome<()> {
        let port = self.media_port().ok_or("nobody has answered yet")?;
        self.line.speak(([127, 0, 0, 1], port).into(), payload.to_vec());
        Ok(())
    }

    /// The caller hangs up.
    pub(crate) fn hang_up(self) -> Outcome<Recording> {
        let message = format!(
            "MESSAGE sip:caller@127.0.0.1:{port} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bKhangup\r\n\
             From: <sip:harness@127.0.0.1>;tag=harness\r\nTo: <sip:caller@127.0.0.1>\r\nCall-ID: {id}\r\n\
             CSeq: 1 MESSAGE\r\nContent-Length: 0\r\n\r\n",
            port = self.sip_port,
            id = self.call_id,
        );
        let socket = UdpSocket::bind("127.0.0.1:0").map_err(|e| e.to_string())?;
        socket.send_to(message.as_bytes(), ("127.0.0.1", self.sip_port)).map_err(|e| e.to_string())?;
        self.ended(END)
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

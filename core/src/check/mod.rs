//! `ari-bridge check`: what the answers to a few probes mean, and what to do about those that are bad.
//!
//! The runtime asks and hands over what came back, unread; here it becomes a [`Report`].
//!
//! | probe | judged by |
//! |---|---|
//! | `GET /asterisk/info` | [`asterisk_info`] |
//! | `GET /applications/{app}` | [`application`] |
//! | `GET /asterisk/modules/{name}` for each of [`modules_for`] | [`modules`] |
//! | binding each port of the range | [`ports`] |
//! | reading the file of each prompt | [`prompt`] |
//! | opening the Realtime socket and reading one message | [`realtime()`] |

mod asterisk;
mod realtime;

pub use asterisk::{HttpAnswer, OLDEST_ASTERISK, application, asterisk_info, modules, modules_for};
pub use realtime::{RealtimeAnswer, realtime};

use crate::call::IoFault;
use crate::config::{Config, RtpConfig, decode_prompt, prompt_variable};
use crate::settings::{PROMPT_RATE, Prompt};
use core::fmt;

/// How many ports in use are named in a line.
const MAX_PORTS_NAMED: usize = 5;

/// One thing that was looked at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CheckItem {
    /// What.
    pub name: &'static str,
    /// How it is, if it is well.
    pub result: Result<String, CheckFault>,
}

/// What is not well.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CheckFault {
    /// What was found.
    pub what: String,
    /// What to do about it.
    pub remedy: String,
}

/// All that was looked at. `Display` gives one line for each item.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Report {
    items: Vec<CheckItem>,
    warnings: Vec<String>,
}

impl Report {
    /// A report that begins with what is doubtful about the settings.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self { items: Vec::new(), warnings: config.warnings() }
    }

    /// Adds an item.
    pub fn push(&mut self, item: CheckItem) {
        self.items.push(item);
    }

    /// Adds a line that does not decide whether all is well.
    pub fn warn(&mut self, line: String) {
        self.warnings.push(line);
    }

    /// Whether nothing failed.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.items.iter().all(|item| item.result.is_ok())
    }

    /// What the process exits with: 0 if nothing failed, else 1.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        u8::from(!self.passed())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.warnings {
            writeln!(f, "warn  {line}")?;
        }
        for item in &self.items {
            writeln!(f, "{item}")?;
        }
        Ok(())
    }
}

impl fmt::Display for CheckItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.result {
            Ok(detail) => write!(f, "ok    {}: {detail}", self.name),
            Err(CheckFault { what, remedy }) => write!(f, "FAIL  {}: {what} -> {remedy}", self.name),
        }
    }
}

fn fault(what: impl Into<String>, remedy: impl Into<String>) -> CheckFault {
    CheckFault { what: what.into(), remedy: remedy.into() }
}

/// Judges the attempt to bind each media port: how many could be bound, which are `busy`, and whether a bind
/// failed for another reason.
#[must_use]
pub fn ports(rtp: &RtpConfig, bindable: usize, busy: &[u16], other: Option<IoFault>) -> CheckItem {
    let RtpConfig { bind, port_start, port_end } = rtp;
    let range = format!("UDP ports {port_start} to {port_end} on {bind}");
    let result = if bindable == 0 && other.is_some() {
        Err(fault(
            format!("{range} cannot be bound"),
            "set RTP_BIND_HOST to an address of this machine, or 0.0.0.0 with RTP_ADVERTISE_HOST; ports below 1024 need a privilege",
        ))
    } else if bindable == 0 {
        Err(fault(format!("{range} are all in use"), "choose another RTP_PORT_START and RTP_PORT_END"))
    } else if busy.is_empty() {
        Ok(format!("{range} are free, for {bindable} calls at once"))
    } else {
        let named: Vec<String> = busy.iter().take(MAX_PORTS_NAMED).map(u16::to_string).collect();
        let more = if busy.len() > MAX_PORTS_NAMED { ", …" } else { "" };
        Ok(format!("{bindable} of {range} are free; in use: {}{more}", named.join(", ")))
    };
    CheckItem { name: "media ports", result }
}

/// Judges the file of a prompt: what stands in it, or why it cannot be read.
#[must_use]
pub fn prompt(prompt: Prompt, path: &str, file: Result<&[u8], &str>) -> CheckItem {
    let result = match file.map(|file| decode_prompt(prompt, path, file)) {
        Ok(Ok(samples)) => {
            let seconds = samples.len() as f64 / f64::from(PROMPT_RATE);
            Ok(format!("{path} lasts {seconds:.2} seconds"))
        }
        Ok(Err(wrong)) => Err(fault(format!("{path} cannot be used: {}", wrong.why), wrong.remedy())),
        Err(why) => Err(fault(
            format!("{path} cannot be read: {why}"),
            "name a file that the bridge's own user can read, or leave it unset",
        )),
    };
    CheckItem { name: prompt_variable(prompt), result }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAULTS: [IoFault; 9] = [
        IoFault::Resolve,
        IoFault::Refused,
        IoFault::TimedOut,
        IoFault::Reset,
        IoFault::Tls,
        IoFault::Protocol,
        IoFault::Backlog,
        IoFault::NoPort,
        IoFault::Other,
    ];

    #[test]
    fn ports_are_fine_while_one_can_be_bound() {
        let rtp = RtpConfig { bind: [127, 0, 0, 1].into(), port_start: 30_000, port_end: 30_009 };
        let line = |bindable, busy: &[u16], other| ports(&rtp, bindable, busy, other).to_string();
        let range = "UDP ports 30000 to 30009 on 127.0.0.1";
        assert_eq!(line(10, &[], None), format!("ok    media ports: {range} are free, for 10 calls at once"));
        assert_eq!(
            line(9, &[30_003], None),
            format!("ok    media ports: 9 of {range} are free; in use: 30003")
        );
        assert!(line(3, &[1, 2, 3, 4, 5, 6, 7], None).ends_with("in use: 1, 2, 3, 4, 5, …"));
        assert!(line(0, &[1; 10], None).contains("all in use -> choose another RTP_PORT_START"));
        assert!(line(0, &[], Some(IoFault::Other)).contains("RTP_BIND_HOST"));
    }

    #[test]
    fn every_way_to_fail_has_a_remedy_in_one_line() {
        let statuses = (100..600).map(|status| realtime(RealtimeAnswer::Refused { status }));
        let faults =
            FAULTS.iter().flat_map(|f| [realtime(RealtimeAnswer::Fault(*f)), asterisk_info(Err(*f))]);
        let ari = (201..600).map(|status| asterisk_info(Ok((status, b"x"))));
        for item in statuses.chain(faults).chain(ari) {
            let CheckFault { what, remedy } = item.result.clone().expect_err("it failed");
            assert!(!what.is_empty() && !remedy.is_empty() && !item.to_string().contains('\n'), "{item}");
        }
        assert!(realtime(RealtimeAnswer::Refused { status: 407 }).to_string().contains("HTTPS_PROXY"));
    }

    #[test]
    fn a_prompt_is_told_with_its_length_or_with_what_is_wrong() {
        let line = |file: Result<&[u8], &str>| prompt(Prompt::Goodbye, "bye.wav", file).to_string();
        let file = crate::wav::write(8_000, &[0; 10_000]);
        assert_eq!(line(Ok(&file)), "ok    PROMPT_GOODBYE: bye.wav lasts 1.25 seconds");
        assert_eq!(
            line(Ok(b"hello")),
            "FAIL  PROMPT_GOODBYE: bye.wav cannot be used: it is not a WAV file -> make a WAV file of it: sox bye.wav -b \
             16 prompt.wav channels 1 rate 24k"
        );
        assert!(line(Err("not there")).contains("bye.wav cannot be read: not there -> name a file"));
    }

    #[test]
    fn one_failure_fails_the_report() {
        let config = Config::from_variables([("OPENAI_API_KEY", "sk-1")]).unwrap();
        let mut report = Report::new(&config);
        report.warn("ARI_PASWORD is not a setting".to_owned());
        report.push(realtime(RealtimeAnswer::Message(br#"{"type":"session.created"}"#)));
        assert!(report.passed() && report.exit_code() == 0, "warnings do not count");
        report.push(asterisk_info(Ok((401, b""))));
        assert!(!report.passed() && report.exit_code() == 1);
        let text = report.to_string();
        let starts: Vec<_> = text.lines().map(|line| &line[..6]).collect();
        assert_eq!(starts, ["warn  ", "warn  ", "ok    ", "FAIL  "]);
    }
}

//! A file that should be a capture, and everything that is done with one.

use ari_bridge_core::call::Call;
use ari_bridge_core::capture::{Capture, Fault, Head, Records, open};
use ari_bridge_core::format::ModelFormat;
use ari_bridge_core::replay::{Player, Replayed, replay};
use ari_bridge_core::time::Duration;
use ari_bridge_core::tools::blank::{RenewFault, blank_audio, renew};
use ari_bridge_core::tools::pcap::{Pcap, Traffic};
use ari_bridge_core::tools::report::Report;
use ari_bridge_core::tools::scrub::{ScrubFault, scrub};
use ari_bridge_core::tools::show::{ShowFault, Style, show};
use ari_bridge_core::tools::stereo::Stereo;
use ari_bridge_core::tools::verdict::{Wish, verdict};
use std::io::{self, Seek, SeekFrom, Write};

/// The longest log of a byte of a capture, in bytes: a timer takes two, and stands in a line.
const SHOWN_PER_BYTE: usize = 128;

/// The longest page of an empty call, in bytes, and the most that a byte of a capture adds to it.
const MAX_PAGE_BYTES: usize = 16 << 20;

/// The most that a step adds to a packet capture, in bytes.
const MAX_PACKETS_BYTES: usize = 1 << 20;

/// The longest call that is written as sound: a call of years, which takes some bytes, would take minutes.
const LONGEST_SOUND: Duration = Duration::from_secs(60);

/// Bytes as a capture: it is read, replayed, shown, and made into everything that captures are made into.
///
/// A fault is the same each time. What is written is bounded. What can be scrubbed, or be renewed without its sound,
/// replays.
pub fn capture_file(bytes: &[u8]) {
    let replayed = replay(bytes);
    if let Err(fault) = &replayed {
        assert!(!fault.to_string().contains(char::is_control), "{fault:?}");
    }
    shown(bytes);
    // What scrubs makes all its tones first, which takes longer than the rest: one of four is enough.
    if bytes.len().is_multiple_of(4) {
        scrubbed(bytes, &replayed);
    }
    renewed(bytes, &replayed);
    if let Ok(capture) = open(bytes) {
        let wish = Wish { changes: true, timings: true };
        let verdict = verdict("the capture", capture, wish).map(|verdict| {
            let told = (verdict.difference(), verdict.changes.to_string(), verdict.timings.to_string());
            assert_eq!(told.0.is_some(), verdict.replayed.difference.is_some());
            verdict.replayed
        });
        assert_eq!(verdict, replayed, "the same capture, another replay");
    }
    match open(bytes) {
        Ok(Capture::Call(head, records)) => drop(made_into_everything(head, records)),
        Ok(Capture::Switchboard(head, records)) => drop(made_into_packets(head, records)),
        Err(_) => {}
    }
}

/// A log of each style.
fn shown(bytes: &[u8]) {
    let most = 8 * 1024 + SHOWN_PER_BYTE * bytes.len();
    for n in 0..6 {
        let Ok(capture) = open(bytes) else { return };
        let style = Style { is_json: n < 2, each: n % 2 == 0, messages: n > 3 };
        let mut log = Vec::new();
        let end = show(capture, style, &mut log);
        assert!(!matches!(end, Err(ShowFault::Write(_))), "{end:?}");
        assert!(log.len() <= most, "{} bytes shown of {}", log.len(), bytes.len());
        let log = String::from_utf8(log).expect("a log is text");
        assert!(log.chars().all(|c| !c.is_control() || c == '\n'), "a control character in {log:?}");
        if style.is_json {
            let is_json = |line: &str| serde_json::from_str::<serde::de::IgnoredAny>(line).is_ok();
            assert!(log.lines().all(is_json), "a line that is no JSON: {log}");
        }
    }
}

/// What a capture becomes, replayed.
fn replays(what: &str, capture: &[u8], was: &Replayed) {
    let replayed = replay(capture).unwrap_or_else(|fault| panic!("{what} cannot be read: {fault}"));
    assert_eq!(replayed.difference, None, "{what} is replayed as something else");
    assert_eq!((replayed.steps, replayed.duration), (was.steps, was.duration), "{what}");
}

fn scrubbed(bytes: &[u8], replayed: &Result<Replayed, Fault>) {
    let mut capture = Vec::new();
    match (scrub(bytes, &mut capture), replayed) {
        (Ok(_), Ok(was)) => {
            replays("a scrubbed capture", &capture, was);
        }
        (Err(ScrubFault::Capture(fault)), Err(other)) => assert_eq!(fault, *other),
        (Err(ScrubFault::Settings(_) | ScrubFault::Changed { .. } | ScrubFault::TooLarge { .. }), _) => {}
        (other, _) => panic!("{other:?} of what is replayed as {replayed:?}"),
    }
}

/// The same with silence in the place of the audio.
fn renewed(bytes: &[u8], replayed: &Result<Replayed, Fault>) {
    let begin = match open(bytes) {
        Ok(Capture::Call(_, records)) => records.at(),
        Ok(Capture::Switchboard(_, records)) => records.at(),
        Err(_) => return,
    };
    let mut blank = bytes.to_vec();
    if let Ok(Capture::Call(..)) = open(bytes) {
        // Whatever the call spoke in: the bytes decide.
        blank_audio(&mut blank[begin..], ModelFormat::ALL[bytes.len() % 3]);
    }
    let mut capture = Vec::new();
    match (renew(blank.as_slice(), None, &mut capture), replayed) {
        (Ok(_), Ok(was)) => replays("a renewed capture", &capture, was),
        (Err(RenewFault::Capture(fault)), Err(other)) => assert_eq!(fault, *other),
        (other, _) => panic!("{other:?} of what is replayed as {replayed:?}"),
    }
}

/// A page, packets and sound.
fn made_into_everything(head: Head<Call>, records: Records<&[u8], Call>) -> Result<(), Fault> {
    let mut report = Report::new(&head);
    let mut packets =
        Pcap::<Call, _>::new(&head.settings, &head.start(), Counted::default()).expect("a sink takes all");
    let mut sound = Stereo::new(&head.settings, &head.start(), Counted::default()).expect("a sink takes all");
    let until = head.now + LONGEST_SOUND;
    let (mut player, mut steps) = (Player::new(head, records), 0);
    let played = loop {
        match player.step() {
            Ok(Some(step)) => {
                steps += 1;
                report.step(&step);
                packets.step(&step).expect("a sink takes all");
                if step.now <= until {
                    sound.step(&step).expect("a sink takes all");
                }
            }
            Ok(None) => break Ok(()),
            Err(fault) => break Err(fault),
        }
    };
    let written = packets.finish().expect("a sink takes all").len;
    assert!(written <= (steps + 1) * MAX_PACKETS_BYTES, "{written} bytes of packets in {steps} steps");
    let heard = sound.finish().expect("a sink takes all");
    assert!(heard.duration <= LONGEST_SOUND + Duration::from_secs(60), "{heard:?}");
    let mut page = Vec::new();
    report.finish(&player.finish(), &mut page).expect("a sink takes all");
    assert!(page.len() <= MAX_PAGE_BYTES, "a page of {} bytes", page.len());
    assert_eq!(page.windows(9).filter(|end| *end == b"</script>").count(), 2, "the page ends elsewhere");
    played
}

fn made_into_packets<M: Traffic>(head: Head<M>, records: Records<&[u8], M>) -> Result<(), Fault> {
    let mut packets =
        Pcap::<M, _>::new(&head.settings, &head.start(), Counted::default()).expect("a sink takes all");
    let (mut player, mut steps) = (Player::new(head, records), 0);
    while let Some(step) = player.step()? {
        steps += 1;
        packets.step(&step).expect("a sink takes all");
    }
    let written = packets.finish().expect("a sink takes all").len;
    assert!(written <= (steps + 1) * MAX_PACKETS_BYTES, "{written} bytes of packets in {steps} steps");
    Ok(())
}

/// Takes everything, and holds nothing but its length.
#[derive(Debug, Default)]
struct Counted {
    at: usize,
    len: usize,
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.at += bytes.len();
        self.len = self.len.max(self.at);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Counted {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => (self.len as u64).checked_add_signed(by),
            SeekFrom::Current(by) => (self.at as u64).checked_add_signed(by),
        };
        let at = at.ok_or_else(|| io::Error::other("before the begin"))?;
        self.at = at as usize;
        Ok(at)
    }
}

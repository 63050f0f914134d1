//! Commands that make one file of a capture: `wav`, `pcap`, `scrub`, `report`.

use ari_bridge_core::call::Call;
use ari_bridge_core::capture::{self, Capture, Head, Machine, Records};
use ari_bridge_core::replay::{Player, Replayed, Step};
use ari_bridge_core::tools;
use ari_bridge_core::tools::pcap::{Pcap, Traffic};
use ari_bridge_core::tools::report::Report;
use ari_bridge_core::tools::scrub::Scrubbed;
use ari_bridge_core::tools::stereo::Stereo;
use std::fmt::Display;
use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use crate::recorder::{self, Compressed};

pub(super) fn wav(path: &Path, out: Option<PathBuf>) -> Result<u8, String> {
    let (capture, output) = (open(path)?, Output::new(path, out, "wav")?);
    let (head, records) = of_a_call(path, capture)?;
    let mut stereo = Stereo::new(&head.settings, &head.start(), BufWriter::new(&output.file))
        .map_err(failed(&output.path))?;
    walk(path, head, records, |step| stereo.step(step).map_err(failed(&output.path)))?;
    let sound = stereo.finish().map_err(failed(&output.path))?;
    if sound.is_cut {
        eprintln!("{}: it is longer than a WAV file can be, and its end is missing", path.display());
    }
    output.name_it(&format!("{:.1} s at {} Hz", sound.duration.as_secs_f64(), sound.rate))
}

pub(super) fn pcap(path: &Path, out: Option<PathBuf>) -> Result<u8, String> {
    let (capture, output) = (open(path)?, Output::new(path, out, "pcapng")?);
    match capture {
        Capture::Call(head, records) => packets(path, head, records, &output),
        Capture::Switchboard(head, records) => packets(path, head, records, &output),
    }?;
    output.name_it("packets")
}

fn packets<M: Traffic>(
    path: &Path,
    head: Head<M>,
    records: Records<impl Read, M>,
    output: &Output,
) -> Result<(), String> {
    let write = BufWriter::new(&output.file);
    let mut pcap = Pcap::new(&head.settings, &head.start(), write).map_err(failed(&output.path))?;
    walk(path, head, records, |step| pcap.step(step).map_err(failed(&output.path)))?;
    let mut write = pcap.finish().map_err(failed(&output.path))?;
    write.flush().map_err(failed(&output.path))
}

pub(super) fn report(path: &Path, out: Option<PathBuf>) -> Result<u8, String> {
    let (capture, output) = (open(path)?, Output::new(path, out, "html")?);
    let (head, records) = of_a_call(path, capture)?;
    let mut report = Report::new(&head);
    let replayed = walk(path, head, records, |step| {
        report.step(step);
        Ok(())
    })?;
    let mut write = BufWriter::new(&output.file);
    let written = report.finish(&replayed, &mut write).and_then(|()| write.flush());
    written.map_err(failed(&output.path))?;
    drop(write);
    output.name_it("open it in a browser")
}

pub(super) fn scrub(path: &Path, out: Option<PathBuf>) -> Result<u8, String> {
    let read = recorder::open_file(path).map_err(|error| error.to_string())?;
    let output = Output::new(path, out, "scrubbed.capture")?;
    let mut write = Compressed::new(BufWriter::new(&output.file)).map_err(failed(&output.path))?;
    let scrubbed = tools::scrub::scrub(read, &mut write).map_err(failed(path))?;
    let written = write.finish().and_then(|mut write| write.flush());
    written.map_err(failed(&output.path))?;
    if let Some(step) = scrubbed.unlike_recorded {
        eprintln!(
            "{}: from step {step} on this version does something else than was recorded, and that is what the scrubbed \
             capture says now",
            path.display()
        );
    }
    let Scrubbed { steps, changed_inputs, .. } = scrubbed;
    output.name_it(&format!("{steps} steps, {changed_inputs} of them with something to scrub"))
}

fn open(path: &Path) -> Result<Capture<impl Read + use<>>, String> {
    let read = recorder::open_file(path).map_err(failed(path))?;
    capture::read(read).map_err(failed(path))
}

fn of_a_call<R: Read>(path: &Path, capture: Capture<R>) -> Result<(Head<Call>, Records<R, Call>), String> {
    match capture {
        Capture::Call(head, records) => Ok((head, records)),
        Capture::Switchboard(..) => {
            Err(failed(path)("it is of a switchboard, which has no sound; this is for captures of calls"))
        }
    }
}

/// Replays the capture, step by step, and says if what was done then was something else.
fn walk<M: Machine>(
    path: &Path,
    head: Head<M>,
    records: Records<impl Read, M>,
    mut each: impl FnMut(&Step<'_, M>) -> Result<(), String>,
) -> Result<Replayed, String> {
    let mut player = Player::new(head, records);
    loop {
        // The capture of a crash may bring the crash about.
        let stepped = catch_unwind(AssertUnwindSafe(|| match player.step() {
            Ok(Some(step)) => each(&step).map(|()| None),
            Ok(None) => Ok(Some(None)),
            Err(fault) => Ok(Some(Some(fault.to_string()))),
        }));
        // What comes before a fault is worth having.
        let fault = match stepped {
            Ok(Ok(None)) => continue,
            Ok(Ok(Some(None))) => break,
            Ok(Ok(Some(Some(fault)))) => fault,
            Ok(Err(error)) => return Err(error),
            Err(_) => "the machine panics at the next step".to_owned(),
        };
        eprintln!("{}: {fault}; what comes before is used", path.display());
        break;
    }
    if let Some(difference) = player.difference() {
        eprintln!(
            "{}: from step {} on this version does something else than was recorded, and that is what is shown; \
             `replay` says more",
            path.display(),
            difference.from_step
        );
    }
    Ok(player.finish())
}

fn failed<E: Display>(path: &Path) -> impl Fn(E) -> String {
    let path = path.display().to_string();
    move |error| format!("{path}: {error}")
}

/// The file that is made. Until it is whole it has another name.
struct Output {
    file: File,
    path: PathBuf,
    unfinished: PathBuf,
}

impl Output {
    /// For a capture at `of`; beside it, with this ending, if nothing else is wanted.
    fn new(of: &Path, path: Option<PathBuf>, ending: &str) -> Result<Self, String> {
        let path = path.unwrap_or_else(|| beside(of, ending));
        if same_file(of, &path) {
            return Err(failed(&path)("that is the capture itself; choose another name with --out"));
        }
        let mut unfinished = path.clone().into_os_string();
        unfinished.push(".unfinished");
        let unfinished = PathBuf::from(unfinished);
        // What people said is in it.
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(0o600);
        // What an earlier run has left there; whatever it is, it is not written through.
        let _ = fs::remove_file(&unfinished);
        let file = options.open(&unfinished).map_err(failed(&unfinished))?;
        Ok(Self { file, path, unfinished })
    }

    /// Gives it its name.
    fn name_it(mut self, what: &str) -> Result<u8, String> {
        let done = self.file.flush().and_then(|()| fs::rename(&self.unfinished, &self.path));
        done.map_err(failed(&self.path))?;
        println!("{}: {what}", self.path.display());
        Ok(0)
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        // Behind `name_it` it is not there any more.
        let _ = fs::remove_file(&self.unfinished);
    }
}

/// The name of what is made of a capture, in its folder.
fn beside(of: &Path, ending: &str) -> PathBuf {
    let name = of.file_name().unwrap_or_default().to_string_lossy();
    let stem = name.strip_suffix(".part").unwrap_or(&name);
    let stem = stem.strip_suffix(".capture").unwrap_or(stem);
    of.with_file_name(format!("{stem}.{ending}"))
}

fn same_file(one: &Path, other: &Path) -> bool {
    matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}

//! Checks the recording that `ari-bridge demo` writes: `check-wav FILE`.
//!
//! Left is what the caller said, right what the caller heard. The agent of the demo is a parrot, so the whole
//! utterance has to come back on the right, sample by sample at one lag. Exit code 1 says that it did not.

use ari_bridge_tests::measure;
use std::process::ExitCode;

/// What counts as the same words: the caller's voice went through G.722 once and through two resamplers.
const ENOUGH: f64 = 0.9;

/// The shortest utterance that is worth comparing, in seconds.
const SHORTEST: f64 = 2.0;

fn main() -> ExitCode {
    let Some(path) = std::env::args_os().nth(1) else {
        eprintln!("usage: check-wav FILE");
        return ExitCode::from(2);
    };
    match check(&path) {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(line) => {
            eprintln!("check-wav: {}: {line}", path.to_string_lossy());
            ExitCode::FAILURE
        }
    }
}

fn check(path: &std::ffi::OsStr) -> Result<String, String> {
    let mut wav = hound::WavReader::open(path).map_err(|error| error.to_string())?;
    let spec = wav.spec();
    if (spec.channels, spec.sample_rate) != (2, 16_000) {
        return Err(format!("expected stereo at 16 kHz, found {spec:?}"));
    }
    let samples: Vec<i16> = wav.samples().collect::<Result<_, _>>().map_err(|error| error.to_string())?;
    let side = |n: usize| -> Vec<i16> { samples.iter().skip(n).step_by(2).copied().collect() };
    let (left, heard) = (side(0), side(1));
    let begin = left.iter().position(|sample| *sample != 0).ok_or("the caller said nothing")?;
    let end = left.iter().rposition(|sample| *sample != 0).unwrap_or(begin);
    let said = left.get(begin..=end).unwrap_or_default();
    let seconds = said.len() as f64 / 16_000.0;
    if seconds < SHORTEST {
        return Err(format!("the caller spoke for {seconds:.2} s only"));
    }
    let found = measure::find(&heard, said);
    let level = measure::level_dbfs(measure::section(&heard, said, found));
    let line = format!(
        "{seconds:.2} s said, heard again at {level:.1} dBFS {:.3} s later, correlation {:.3}",
        (found.lag - begin as f64) / 16_000.0,
        found.correlation
    );
    if found.correlation > ENOUGH && level > -40.0 { Ok(line) } else { Err(line) }
}

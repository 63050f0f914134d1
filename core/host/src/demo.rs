//! `ari-bridge demo`: one call between stand-ins on loopback, through the real service and real sockets.

use ari_bridge_core::call::{Actions, Record};
use ari_bridge_core::config::{Config, ConfigFaults};
use ari_bridge_core::id::CallId;
use ari_bridge_core::observe::{Observation, Severity};
use ari_bridge_core::sim::asterisk::{CallerState, EAR_RATE, FRAME_SAMPLES, Settings};
use ari_bridge_core::sim::caller::Caller;
use ari_bridge_core::sim::realtime;
use ari_bridge_core::time::Instant;
use std::fmt;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::error::RunError;
use crate::lock;
use crate::runtime::{Options, Runtime};
use crate::standin::{CallerSeen, parrot, serve_asterisk, serve_realtime};
use crate::watch::Watch;

/// The caller of the demo.
const CALLER: u64 = 1;

/// How long a step of the call may take before the demo goes on without it.
const PATIENCE: Duration = Duration::from_secs(7);

/// A frame louder than this is speech: RMS of 16-bit samples.
const SPEECH_RMS: u16 = 300;

/// The agent has finished when nothing was heard for so many frames of 20 ms.
const QUIET_FRAMES: usize = 30;

/// So much speech must be heard for the demo to be a success, in frames of 20 ms.
const MIN_HEARD_FRAMES: usize = 25;

/// By how much the search for the echo thins the audio out first.
const COARSE: usize = 8;

/// Why there was no demo.
#[derive(Debug)]
pub(crate) enum DemoError {
    /// The system gives no socket or thread, or the recording cannot be written.
    Io(io::Error),
    /// The recording cannot be written.
    Recording(hound::Error),
    /// The service refused the settings of the demo.
    Config(ConfigFaults),
    /// The service did not start or end.
    Run(RunError),
}

impl fmt::Display for DemoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "the demo cannot run: {error}"),
            Self::Recording(error) => write!(f, "the recording cannot be written: {error}"),
            Self::Config(faults) => write!(f, "{faults}"),
            Self::Run(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for DemoError {}

impl From<io::Error> for DemoError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// How the call of the demo went. `Display` is what the program prints.
#[derive(Debug)]
pub(crate) struct Report {
    timeline: Vec<(Duration, String)>,
    heard_frames: usize,
    echo: Option<Echo>,
    recording: PathBuf,
}

/// Where in what was heard the caller's own words come back.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Echo {
    /// How much later than they were said.
    after: Duration,
    /// The normalised correlation there, from -1 to 1.
    correlation: f64,
}

impl Report {
    /// Whether the caller heard the agent.
    pub(crate) const fn was_heard(&self) -> bool {
        self.heard_frames >= MIN_HEARD_FRAMES
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "The call:")?;
        for (at, what) in &self.timeline {
            writeln!(f, "  {:>7.3} s  {what}", at.as_secs_f64())?;
        }
        let heard = Duration::from_millis(20) * u32::try_from(self.heard_frames).unwrap_or(u32::MAX);
        writeln!(f, "\nThe caller heard {:.2} s of speech.", heard.as_secs_f64())?;
        match self.echo {
            Some(Echo { after, correlation }) => writeln!(
                f,
                "The agent repeats what it hears: the caller's words came back after {:.2} s, correlation {correlation:.3}.",
                after.as_secs_f64()
            )?,
            None => writeln!(f, "The caller's words did not come back.")?,
        }
        write!(f, "Recording: {} (left: the caller, right: what the caller heard)", self.recording.display())
    }
}

/// What happened, told on stderr while it happens and kept for the report.
struct Timeline {
    started: std::time::Instant,
    lines: Mutex<Vec<(Duration, String)>>,
    connected: AtomicBool,
    ended: AtomicBool,
}

impl Timeline {
    fn new() -> Self {
        Self {
            started: std::time::Instant::now(),
            lines: Mutex::default(),
            connected: AtomicBool::new(false),
            ended: AtomicBool::new(false),
        }
    }

    fn add(&self, what: String) {
        let at = self.started.elapsed();
        if io::stderr().is_terminal() {
            // One line that changes; the report has them all.
            eprint!("\r\x1b[K{:>7.3} s  {what}", at.as_secs_f64());
        } else {
            eprintln!("{:>7.3} s  {what}", at.as_secs_f64());
        }
        lock(&self.lines).push((at, what));
    }

    fn take(&self) -> Vec<(Duration, String)> {
        if io::stderr().is_terminal() {
            eprint!("\r\x1b[K");
        }
        std::mem::take(&mut lock(&self.lines))
    }
}

impl Watch for Timeline {
    fn observe(&self, _call: Option<CallId>, observation: &Observation) {
        match observation {
            Observation::AriUp => self.connected.store(true, Ordering::Relaxed),
            Observation::CallEnded(_) => self.ended.store(true, Ordering::Relaxed),
            _ => {}
        }
        if observation.severity() > Severity::Count {
            self.add(observation.to_string());
        }
    }

    fn record(&self, _call: CallId, record: &Record, out: &Actions) {
        let Record::AgentSaid { text, heard_ms, received_ms, .. } = *record else { return };
        let seconds = |millis: u64| millis as f64 / 1000.0;
        let text = out.text(text);
        let (heard, received) = (seconds(heard_ms), seconds(received_ms));
        self.add(format!("heard of the agent: \"{text}\" ({heard:.2} s of {received:.2} s)"));
    }
}

/// Places the call, and writes the recording to `out`.
///
/// # Errors
///
/// What the machine refuses; a call that goes wrong is not an error but a report.
pub(crate) fn run(runtime: &Runtime, out: &Path) -> Result<Report, DemoError> {
    let asterisk = serve_asterisk(Settings::default())?;
    let server = serve_realtime(realtime::Settings::default(), parrot)?;
    let config = config(&asterisk.url(), &server.url()).map_err(DemoError::Config)?;
    let timeline = Arc::new(Timeline::new());
    let options = Options::watched(timeline.clone());
    let service = (runtime.start)(config, options).map_err(DemoError::Run)?;
    wait_for(&timeline.connected);

    let dialled = asterisk.now();
    timeline.add("the caller dials 100".to_owned());
    asterisk.dial(CALLER, "+4930123456", "100");
    asterisk.wait(CALLER, PATIENCE, |seen| is(seen, CallerState::Answered) || is_over(seen));
    let caller = Caller::recorded();
    timeline.add("the caller begins to speak".to_owned());
    let spoke = asterisk.speak(CALLER, caller.speech());
    let speech = Duration::from_secs_f64(caller.speech().len() as f64 / f64::from(EAR_RATE));
    asterisk.wait(CALLER, speech + PATIENCE, |seen| has_finished(seen.ear.heard()) || is_over(seen));
    if !is_over(&asterisk.seen(CALLER)) {
        timeline.add("the caller hangs up".to_owned());
        asterisk.hang_up(CALLER);
    }
    wait_for(&timeline.ended);
    let seen = asterisk.seen(CALLER);
    service.drain();
    service.join().map_err(DemoError::Run)?;

    let heard = placed(seen.ear.heard(), seen.hears_since.unwrap_or(dialled), dialled);
    let said = placed(caller.speech(), spoke, dialled);
    record(out, &said, &heard).map_err(DemoError::Recording)?;
    let after_speech = heard.get(samples(spoke.since(dialled))..).unwrap_or_default();
    Ok(Report {
        timeline: timeline.take(),
        heard_frames: seen.ear.loud_frames(SPEECH_RMS),
        echo: echo(caller.speech(), after_speech),
        recording: out.to_owned(),
    })
}

fn config(ari_url: &str, realtime_url: &str) -> Result<Config, ConfigFaults> {
    let Settings { user, password, app, .. } = Settings::default();
    let realtime::Settings { key, .. } = realtime::Settings::default();
    Config::from_variables([
        ("OPENAI_API_KEY", key.as_str()),
        ("OPENAI_REALTIME_URL", realtime_url),
        ("ARI_URL", ari_url),
        ("ARI_USER", &user),
        ("ARI_PASSWORD", &password),
        ("ARI_APP", &app),
        ("ADMIN_BIND", "127.0.0.1:0"),
    ])
}

fn wait_for(flag: &AtomicBool) {
    let give_up = std::time::Instant::now() + PATIENCE;
    while !flag.load(Ordering::Relaxed) && std::time::Instant::now() < give_up {
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn is(seen: &CallerSeen, wanted: CallerState) -> bool {
    seen.states.iter().any(|(_, state)| *state == wanted)
}

/// Whether the bridge has no more to do with the call.
fn is_over(seen: &CallerSeen) -> bool {
    is(seen, CallerState::InDialplan) || is(seen, CallerState::Gone)
}

/// Whether the agent spoke and is done.
fn has_finished(heard: &[i16]) -> bool {
    let loud = |frame: &[i16]| rms(frame) > f64::from(SPEECH_RMS);
    let mut frames = heard.rchunks(FRAME_SAMPLES);
    !frames.by_ref().take(QUIET_FRAMES).any(loud) && frames.any(loud)
}

fn rms(samples: &[i16]) -> f64 {
    let energy: f64 = samples.iter().map(|s| f64::from(*s) * f64::from(*s)).sum();
    (energy / samples.len().max(1) as f64).sqrt()
}

fn samples(duration: Duration) -> usize {
    (duration.as_secs_f64() * f64::from(EAR_RATE)) as usize
}

/// `audio` after as much silence as lies between `start` and `at`.
fn placed(audio: &[i16], at: Instant, start: Instant) -> Vec<i16> {
    let mut track = vec![0; samples(at.since(start))];
    track.extend_from_slice(audio);
    track
}

fn record(out: &Path, left: &[i16], right: &[i16]) -> Result<(), hound::Error> {
    let spec = hound::WavSpec {
        channels: 2,
        sample_rate: EAR_RATE,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut file = hound::WavWriter::create(out, spec)?;
    for n in 0..left.len().max(right.len()) {
        file.write_sample(left.get(n).copied().unwrap_or(0))?;
        file.write_sample(right.get(n).copied().unwrap_or(0))?;
    }
    file.finalize()
}

/// Finds `said` in `heard`: roughly in thinned-out audio, then sample by sample.
fn echo(said: &[i16], heard: &[i16]) -> Option<Echo> {
    let thin = |audio: &[i16]| -> Vec<f64> {
        audio.chunks_exact(COARSE).map(|chunk| chunk.iter().map(|s| f64::from(*s)).sum()).collect()
    };
    let (coarse, _) = best_lag(&thin(said), &thin(heard), 0)?;
    let from = (coarse * COARSE).saturating_sub(COARSE);
    let to = (from + said.len() + 2 * COARSE).min(heard.len());
    let fine: Vec<f64> = heard.get(from..to)?.iter().map(|s| f64::from(*s)).collect();
    let said: Vec<f64> = said.iter().map(|s| f64::from(*s)).collect();
    let (lag, correlation) = best_lag(&said, &fine, from)?;
    Some(Echo { after: Duration::from_secs_f64(lag as f64 / f64::from(EAR_RATE)), correlation })
}

/// The lag, plus `offset`, at which the two correlate best, and how well.
fn best_lag(short: &[f64], long: &[f64], offset: usize) -> Option<(usize, f64)> {
    let energy = |samples: &[f64]| samples.iter().map(|s| s * s).sum::<f64>();
    let own = energy(short);
    let correlation = |window: &[f64]| {
        let product: f64 = short.iter().zip(window).map(|(a, b)| a * b).sum();
        product / (own * energy(window)).sqrt().max(1.0)
    };
    let lags = long.windows(short.len().max(1)).enumerate();
    lags.map(|(lag, window)| (lag + offset, correlation(window))).max_by(|a, b| a.1.total_cmp(&b.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_echo_is_found_where_it_is() {
        let said: Vec<i16> = Caller::recorded().speech().iter().step_by(4).copied().collect();
        let mut heard = vec![0; 1234];
        heard.extend(said.iter().map(|s| s / 2));
        heard.extend([0; 500]);
        let Echo { after, correlation } = echo(&said, &heard).unwrap();
        assert!(correlation > 0.99, "{correlation}");
        assert_eq!(samples(after + Duration::from_micros(1)), 1234);
        assert_eq!(echo(&said, &[]), None);
    }

    #[test]
    fn silence_after_speech_is_the_end_and_silence_before_it_is_not() {
        let speech = Caller::recorded().speech().to_vec();
        let quiet = vec![0; QUIET_FRAMES * FRAME_SAMPLES];
        assert!(!has_finished(&quiet));
        assert!(!has_finished(&[&quiet[..], &speech[..speech.len() / 2]].concat()));
        assert!(has_finished(&[&speech[..], &quiet[..]].concat()));
    }
}

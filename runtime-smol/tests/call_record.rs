//! What the log has of a call, over real sockets: one line of its record, and the caller's number in none.

use ari_bridge_core::config::{Config, RecordConfig};
use ari_bridge_core::id::CallId;
use ari_bridge_core::observe::Observation;
use ari_bridge_core::sim::asterisk::Settings;
use ari_bridge_core::sim::caller::Caller;
use ari_bridge_core::sim::realtime;
use ari_bridge_host::standin::{parrot, serve_asterisk, serve_realtime};
use ari_bridge_smol::{Options, RunError, Watch, start};
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(10);

/// Everything that is logged, at the level that the README tells people to look closely with.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Tells what happens, and panics if the test wants it to.
struct Watcher {
    tell: Mutex<Sender<Observation>>,
    panics: bool,
}

impl Watch for Watcher {
    fn observe(&self, _: Option<CallId>, observation: &Observation) {
        let _ = self.tell.lock().unwrap().send(*observation);
        assert!(
            !(self.panics && matches!(observation, Observation::Answered { .. })),
            "the test's own fault"
        );
    }
}

fn wait_for(told: &Receiver<Observation>, wanted: impl Fn(&Observation) -> bool) {
    while !wanted(&told.recv_timeout(PATIENCE).expect("the observation never came")) {}
}

fn config(ari_url: &str, realtime_url: &str) -> Config {
    let standin = Settings::default();
    let config = Config::from_variables([
        ("OPENAI_API_KEY", realtime::Settings::default().key.as_str()),
        ("OPENAI_REALTIME_URL", realtime_url),
        ("OPENAI_TRANSCRIPTION_MODEL", "whisper-1"),
        ("ARI_URL", ari_url),
        ("ARI_USER", &standin.user),
        ("ARI_PASSWORD", &standin.password),
        ("ARI_APP", &standin.app),
        ("ADMIN_BIND", "127.0.0.1:0"),
        ("DRAIN_SECONDS", "0"),
    ]);
    config.unwrap_or_else(|faults| panic!("{faults}"))
}

/// One call from `number`, in which the caller speaks, is answered and hangs up; or in which the bridge panics.
fn call(number: &str, panics: bool) {
    let asterisk = serve_asterisk(Settings::default()).unwrap();
    let server = serve_realtime(realtime::Settings::default(), parrot).unwrap();
    let (tell, told) = channel();
    let watch = Arc::new(Watcher { tell: Mutex::new(tell), panics });
    let service = start(config(&asterisk.url(), &server.url()), Options::watched(watch)).unwrap();
    wait_for(&told, |o| matches!(o, Observation::AriUp));
    asterisk.dial(1, number, "+4940765432");
    wait_for(&told, |o| matches!(o, Observation::Answered { .. }));
    if panics {
        wait_for(&told, |o| matches!(o, Observation::CallPanicked));
        // Not drained: for 30 s a create of the dead call may still take effect, and the service would wait for that.
        return;
    }
    asterisk.speak(1, &Caller::recorded().speech()[..16_000]);
    assert!(asterisk.wait(1, PATIENCE, |seen| seen.ear.loud_frames(300) >= 25), "nothing was heard");
    asterisk.hang_up(1);
    wait_for(&told, |o| matches!(o, Observation::CallEnded(_)));
    service.drain();
    service.join().unwrap();
}

#[test]
fn the_log_has_one_masked_line_for_each_call_and_no_number() {
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::DEBUG)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .init();
    call("+4930123456", false);
    call("+4930123457", true);
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let lines: Vec<_> = log.lines().filter(|line| line.contains("ari_bridge::call_record")).collect();
    let [ended, panicked] = &lines[..] else { panic!("{log}") };
    for (line, what) in [
        (ended, r#"{"version":1,"masked":true,"truncated":false,"call_id":"arib"#),
        (ended, r#""from":"…56","to":"…32","#),
        (ended, r#""outcome":{"reason":"caller_hung_up","answered":true,"left_behind":false}"#),
        (ended, r#"{"who":"caller","at_ms":"#),
        (ended, r#"{"who":"agent","at_ms":"#),
        (panicked, r#""from":"…57""#),
        (panicked, r#""outcome":{"reason":"panicked","answered":true,"left_behind":false}"#),
    ] {
        assert!(line.contains(what), "{what} in {line}");
    }
    for private in ["3012345", "4076543", "stand-in", "What you said"] {
        let seen: Vec<_> = log.lines().filter(|line| line.contains(private)).collect();
        assert!(seen.is_empty(), "{private} in {seen:?}");
    }
}

#[test]
fn a_directory_that_is_not_there_is_told_at_start() {
    let record = RecordConfig { dir: Some("/nowhere/at/all".into()), days: 30 };
    let config = Config { record, ..config("http://127.0.0.1:1", "ws://127.0.0.1:1") };
    let fault = start(config, Options::default()).unwrap_err();
    assert!(matches!(fault, RunError::RecordDir(..)), "{fault:?}");
    assert!(fault.to_string().starts_with("CALL_RECORD_DIR: no file can be written in /nowhere/at/all: "));
}

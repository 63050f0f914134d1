//! What a browser makes of the report of a call: Debian's chromium, without a window.
//!
//! The page says in attributes of its root what it has drawn. The pictures are left in cargo's folder for the files of
//! tests, for who wants to look at them.

use crate::is_wanted;
use crate::pcap::without;
use ari_bridge_core::call::IoFault;
use ari_bridge_core::capture::{Capture, open};
use ari_bridge_core::format::{MediaFormat, ModelFormat};
use ari_bridge_core::replay::Player;
use ari_bridge_core::settings::{CallSettings, Function, MediaPlan, SessionSettings, Tool, Transcription};
use ari_bridge_core::sim::realtime::{self as server, Agent, Answer, FunctionCall, Prompt, Speech};
use ari_bridge_core::time::Duration;
use ari_bridge_core::tools::report::Report;
use ari_bridge_tests::scene::{Attempt, Performance, Scene, Stage};
use ari_bridge_tests::speech::utterance;
use ari_bridge_tests::taped::Shelf;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

const SECOND: Duration = Duration::from_secs(1);

/// What would show itself as an element, or run, if it were taken for markup.
const HOSTILE: &str = r#"</script><script>document.documentElement.dataset.pwned=1</script><b id="pwned">"#;

/// Somebody who books tables, in order: what the caller says, and what is answered.
#[derive(Debug)]
struct Desk {
    turn: usize,
}

impl Agent for Desk {
    fn answer(&mut self, prompt: Prompt<'_>) -> Answer {
        let says = |seconds: f64, words: &str| {
            // The voice is made at 16 kHz, and at that rate it is not hurried.
            Speech { samples: utterance(9, seconds), rate: 16_000, transcript: words.into() }
        };
        match prompt {
            Prompt::Create { .. } => {
                Answer::Speech(says(2.6, "Good evening, Casa Verde. What can I do for you?"))
            }
            Prompt::Items { outputs: [(_, output), ..], .. } if !output.is_empty() => Answer::Speech(says(
                4.2,
                "Yes, there is a table for four at eight o'clock, by the window. May I have your telephone number?",
            )),
            Prompt::Items { texts: [_, ..], .. } => {
                Answer::Speech(says(2.4, "Thank you, the table is yours. We look forward to seeing you."))
            }
            Prompt::Items { .. } | Prompt::Turn { .. } if self.turn == 1 => Answer::Calls {
                speech: Some(says(1.4, "One moment, I am looking.")),
                calls: vec![FunctionCall {
                    name: "find_table".into(),
                    arguments: r#"{"guests":4,"at":"20:00"}"#.into(),
                }],
            },
            Prompt::Items { .. } | Prompt::Turn { .. } => Answer::Speech(says(
                9.0,
                "On Saturdays the kitchen is open until eleven, on Sundays until ten, and on Mondays we are closed, \
                 except on holidays, when we open at noon and serve lunch until three.",
            )),
        }
    }

    fn write_down(&mut self, _: &[i16], _: u32) -> Option<String> {
        self.turn += 1;
        Some(match (self.turn - 1) % 4 + 1 {
            1 => "Hello, a table for four tonight at eight, please.".into(),
            2 => "How long is your kitchen open on the weekend?".into(),
            3 => "Thanks, that is all.".into(),
            _ => HOSTILE.into(),
        })
    }
}

fn stage(format: MediaFormat) -> Stage {
    let find_table = Function {
        name: "find_table".into(),
        description: "Looks for a free table".into(),
        parameters: json!({ "type": "object" }),
    };
    let transcription = Transcription { model: "whisper-1".into(), language: None, prompt: None };
    let session = SessionSettings {
        greeting: Some("Good evening.".into()),
        tools: vec![Tool::Function(find_table)],
        audio_format: if format == MediaFormat::Ulaw { ModelFormat::Pcmu } else { ModelFormat::Pcm24 },
        transcription: Some(transcription),
        ..SessionSettings::default()
    };
    let reply = Ok((200, r#"{"free":true,"table":"12, by the window"}"#));
    Stage {
        call: CallSettings { session, volume_boost: 1.0, ..CallSettings::default() },
        media: MediaPlan { format, ..MediaPlan::default() },
        agent: Some(Box::new(Desk { turn: 0 })),
        server: server::Settings::default(),
        server_lag: Duration::from_millis(180),
        functions: vec![Performance { name: "find_table", after: Duration::from_millis(850), reply }],
        tape_bytes: 128 << 20,
        ..Stage::default()
    }
}

/// Somebody books a table, keys in a number, interrupts the agent and outlives a session.
fn conversation() -> Vec<u8> {
    let shelf = Shelf::default();
    let mut scene = Scene::new(Stage { shelf: Some(shelf.clone()), ..stage(MediaFormat::Slin16) });
    scene.dial(1, &utterance(1, 2.8));
    scene.run_for(5 * SECOND);
    scene.speak(1);
    scene.run_for(12 * SECOND);
    scene.press(1, "5550123#");
    scene.run_for(5 * SECOND);
    scene.say(1, &utterance(1, 2.2));
    scene.run_for(8 * SECOND);
    scene.say(1, &utterance(1, 1.6));
    scene.run_for(2 * SECOND);
    scene.realtime_becomes(|| Attempt::agent(Desk { turn: 3 }));
    scene.cut_realtime(IoFault::Reset);
    scene.run_for(4 * SECOND);
    scene.say(1, &utterance(1, 1.2));
    scene.forge_event(format!(r#"{{"type":"{}"}}"#, HOSTILE.replace('"', "'")).as_bytes());
    scene.forge_message(json!({ "type": HOSTILE }).to_string().as_bytes());
    scene.run_for(6 * SECOND);
    scene.hang_up(1);
    scene.run_for(2 * SECOND);
    drop(scene);
    of_the_call(&shelf)
}

fn of_the_call(shelf: &Shelf) -> Vec<u8> {
    let is_of_a_call = |capture: &Vec<u8>| matches!(open(capture), Ok(Capture::Call(..)));
    shelf.take().into_iter().find(is_of_a_call).expect("the call is over")
}

/// The page of a capture.
fn report(capture: &[u8]) -> Vec<u8> {
    let Ok(Capture::Call(head, records)) = open(capture) else { panic!("it is of a call") };
    let mut player = Player::new(head, records);
    let mut report = Report::new(player.head());
    while let Some(step) = player.step().expect("a good capture") {
        report.step(&step);
    }
    let mut page = Vec::new();
    report.finish(&player.finish(), &mut page).expect("there is room");
    page
}

/// What the script of a page is given.
fn data(page: &[u8]) -> Value {
    let page = String::from_utf8_lossy(page);
    let (_, rest) = page.split_once(r#"id="data">"#).expect("the data");
    serde_json::from_str(rest.split_once("</script>").expect("their end").0).expect("JSON")
}

/// A file of this test, which stays.
fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

fn chromium(page: &Path, more: &[&str]) -> String {
    // Two browsers with one profile are one browser, and tests run at once.
    static RUNS: AtomicU32 = AtomicU32::new(0);
    let run = RUNS.fetch_add(1, Ordering::Relaxed);
    let profile = file(&format!("chromium-{}-{run}", std::process::id()));
    let output = Command::new("chromium")
        .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run"])
        .args(["--disable-background-networking", "--virtual-time-budget=4000"])
        .arg(format!("--user-data-dir={}", profile.display()))
        .args(more)
        .arg(format!("file://{}", page.display()))
        .output()
        .expect("chromium is there");
    drop(std::fs::remove_dir_all(&profile));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// An attribute of the root element.
fn told(dom: &str, name: &str) -> Option<String> {
    let (_, root) = dom.split_once("<html ")?;
    let (root, _) = root.split_once('>')?;
    let (_, value) = root.split_once(&format!("data-{name}=\""))?;
    Some(value.split_once('"')?.0.to_owned())
}

fn number(dom: &str, name: &str) -> u64 {
    told(dom, name)
        .and_then(|value| value.parse().ok())
        .unwrap_or_else(|| panic!("data-{name}: {}", &dom[..400]))
}

fn pictures(page: &Path, name: &str, sizes: &[(&str, &str)]) {
    for (size, window) in sizes {
        for (scheme, args) in [("light", &[][..]), ("dark", &["--blink-settings=preferredColorScheme=0"][..])]
        {
            let picture = file(&format!("{name}-{size}-{scheme}.png"));
            drop(std::fs::remove_file(&picture));
            let (shot, window) =
                (format!("--screenshot={}", picture.display()), format!("--window-size={window}"));
            chromium(page, &[&[shot.as_str(), window.as_str()], args].concat());
            let bytes = std::fs::metadata(&picture).map_or(0, |file| file.len());
            assert!(bytes > 20_000, "a picture of something: {bytes} bytes");
            println!("{}", picture.display());
        }
    }
}

#[test]
fn a_browser_draws_the_report_of_a_call_and_runs_nothing_that_somebody_said() {
    if !is_wanted("the report of a call in a browser") {
        return;
    }
    let page = report(&without(&conversation(), &[40, 41, 42, 90, 200]));
    let data = data(&page);
    assert_eq!(data["record"]["media"]["lost_packets"], 5);
    let path = file("report.html");
    std::fs::write(&path, &page).expect("a file for chromium");
    println!("{}: {} bytes", path.display(), page.len());

    let dom = chromium(&path, &["--dump-dom"]);
    assert_eq!(told(&dom, "error"), None);
    assert_eq!(told(&dom, "report").as_deref(), Some("drawn"), "the script ran to its end");
    let len = |list: &Value| list.as_array().map_or(0, Vec::len);
    assert_eq!(number(&dom, "events"), len(&data["events"]["list"]) as u64);
    assert!(number(&dom, "places") > 100, "what happened stands on the axis");
    let turns = data["record"]["turns"].as_array().expect("turns");
    let others = turns.iter().filter(|turn| turn["who"] != "caller").count();
    let (speech, barge_ins) = (len(&data["moments"]["speech"]), len(&data["moments"]["barge_ins"]));
    assert_eq!(number(&dom, "turns"), (speech + others + barge_ins) as u64);
    for kind in ["caller", "agent", "keys", "tool"] {
        assert!(turns.iter().any(|turn| turn["who"] == kind), "nobody is {kind}: {turns:?}");
    }
    assert!(barge_ins > 0 && data["record"]["sessions"]["reconnects"] == 1);
    assert!(dom.contains("by the window") && dom.contains("the caller hung up"));

    // What was hostile is there, as text, and nothing has become of it.
    assert!(data["events"].to_string().matches("pwned").count() >= 2);
    assert!(dom.contains("&lt;/script&gt;&lt;script&gt;document"), "it is shown");
    assert!(told(&dom, "pwned").is_none() && !dom.contains("<b id=\"pwned\""));
    pictures(&path, "report", &[("wide", "1280,1400"), ("narrow", "500,1600")]);
}

#[test]
fn the_report_is_zoomed_moved_and_searched_by_hand() {
    if !is_wanted("the report of a call by hand in a browser") {
        return;
    }
    let page = String::from_utf8(report(&conversation())).expect("UTF-8");
    let path = file("report-by-hand.html");
    // Where there is no window, no frame follows the first: the page is given others.
    let frames = "<script>window.requestAnimationFrame = (draw) => setTimeout(draw, 10);</script></head>";
    let hand = format!("<script>{}</script></body>", include_str!("browser.hand.js"));
    let page = page.replace("</head>", frames).replace("</body>", &hand);
    std::fs::write(&path, page).expect("a file for chromium");
    let dom = chromium(&path, &["--dump-dom", "--window-size=1280,1000"]);
    let told = |name: &str| told(&dom, name).unwrap_or_default();
    assert_eq!((told("hand").as_str(), told("error").as_str()), ("done", ""));
    let whole = told("whole");
    assert!(whole.starts_with("0:00.00 – 0:4"), "{whole}");
    let zoomed = told("wheel");
    assert!(zoomed.starts_with("0:00.00 – 0:0"), "what lies under the wheel stays: {zoomed}");
    assert_ne!(told("drag"), zoomed);
    assert_eq!(told("again"), whole);
    assert!(!told("keys").starts_with("0:00.00"), "{}", told("keys"));
    assert!(told("turn").contains("One moment, I am looking."), "{}", told("turn"));
    assert!(told("near").starts_with("0:05."), "8 s around what began after 8.6 s: {}", told("near"));
    assert!(told("tip").starts_with("AgentOne moment, I am looking."), "{}", told("tip"));
    let without = told("without");
    let (rest, all) = without.split_once(" of ").expect("some are left out");
    let [rest, all] =
        [rest, all.trim_end_matches(" events")].map(|count| count.parse::<u32>().expect("a number"));
    assert!(0 < rest && rest < all, "{without}");
    assert_eq!(told("found"), "POST /channels/externalMedia → 200");
    assert!(told("detail").starts_with("POST /channels/externalMedia?app="), "{}", told("detail"));
    pictures(&path, "report-by-hand", &[("wide", "1280,800")]);
}

#[test]
fn the_report_of_an_hour_opens() {
    if !is_wanted("the report of a call of an hour in a browser") {
        return;
    }
    let shelf = Shelf::default();
    let mut set = Stage { shelf: Some(shelf.clone()), ..stage(MediaFormat::Ulaw) };
    set.call.max_call = 2 * 3600 * SECOND;
    let begin = Instant::now();
    let mut scene = Scene::new(set);
    scene.dial(1, &utterance(1, 2.8));
    for _ in 0..240 {
        scene.run_for(14 * SECOND);
        scene.speak(1);
        scene.run_for(SECOND);
    }
    scene.hang_up(1);
    scene.run_for(2 * SECOND);
    drop(scene);
    let capture = of_the_call(&shelf);
    println!("the call: {} bytes, made in {:.1?}", capture.len(), begin.elapsed());
    let begin = Instant::now();
    let page = report(&capture);
    let path = file("report-hour.html");
    std::fs::write(&path, &page).expect("a file for chromium");
    println!("{}: {} bytes, made in {:.1?}", path.display(), page.len(), begin.elapsed());
    assert!(page.len() < 16 << 20, "{} bytes", page.len());
    let begin = Instant::now();
    let dom = chromium(&path, &["--dump-dom"]);
    let drawn = number(&dom, "drawn-ms");
    println!("drawn {drawn} ms after it was opened; chromium took {:.1?} in all", begin.elapsed());
    assert_eq!((told(&dom, "error"), told(&dom, "report").as_deref()), (None, Some("drawn")));
    let data = data(&page);
    assert!(data["duration_ms"].as_f64().expect("a number") > 3_590_000.0, "it was an hour");
    assert!(data["record"]["turns"].as_array().expect("turns").len() > 400);
    pictures(&path, "report-hour", &[("wide", "1280,1000")]);
}

//! The bridge inside a program that has a tokio runtime of its own.

use ari_bridge_core::config::Config;
use ari_bridge_core::observe::Observation;
use ari_bridge_core::sim::asterisk::{CallerState, Settings};
use ari_bridge_core::sim::realtime::{self, Agent, Answer, FunctionCall, Prompt};
use ari_bridge_host::standin::{serve_asterisk, serve_realtime};
use ari_bridge_tokio::{Bridge, Function, RunError};
use std::sync::mpsc::channel;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

const PATIENCE: Duration = Duration::from_secs(20);

/// Calls `look_up` whenever it is to answer, and speaks to nobody.
#[derive(Debug)]
struct Asks;

impl Agent for Asks {
    fn answer(&mut self, _: Prompt<'_>) -> Answer {
        let call = FunctionCall { name: "look_up".into(), arguments: "{}".into() };
        Answer::Calls { speech: None, calls: vec![call] }
    }
}

fn settings(ari: &str, realtime: &str, admin: &str) -> Result<Config, String> {
    let (standin, key) = (Settings::default(), realtime::Settings::default().key);
    let variables = [
        ("OPENAI_API_KEY", key.as_str()),
        ("OPENAI_REALTIME_URL", realtime),
        ("OPENAI_GREETING", "Say hello."),
        ("ARI_URL", ari),
        ("ARI_USER", &standin.user),
        ("ARI_PASSWORD", &standin.password),
        ("ARI_APP", &standin.app),
        ("ADMIN_BIND", admin),
        ("DRAIN_SECONDS", "0"),
    ];
    Config::from_variables(variables).map_err(|faults| faults.to_string())
}

#[test]
fn a_function_is_performed_by_a_task_while_the_program_s_own_runtime_goes_on() {
    let asterisk = serve_asterisk(Settings::default()).unwrap();
    let server = serve_realtime(realtime::Settings::default(), || Box::new(Asks)).unwrap();
    let (ari, url) = (asterisk.url(), server.url());
    let again = settings(&ari, &url, "127.0.0.1:0").unwrap();
    let (tell, told) = channel();
    let up = tell.clone();
    let look_up = Function {
        name: "look_up".into(),
        description: "Looks it up".into(),
        parameters: serde_json::json!({"type": "object"}),
    };
    Runtime::new().unwrap().block_on(async move {
        let service = Bridge::builder()
            .settings(move || settings(&ari, &url, "127.0.0.1:0"))
            .on_observation(move |_, what| {
                if matches!(what, Observation::AriUp) {
                    let _ = up.send("up".to_owned());
                }
            })
            .function(look_up, move |asked, answer| {
                let tell = tell.clone();
                tokio::spawn(async move {
                    sleep(Duration::from_millis(10)).await;
                    answer.done("found");
                    let _ = tell.send(asked.name);
                });
            })
            .start()
            .unwrap();
        let heard = spawn_blocking(move || {
            let up = told.recv_timeout(PATIENCE);
            asterisk.dial(1, "+4930123456", "100");
            assert!(asterisk.wait(1, PATIENCE, |seen| {
                seen.states.iter().any(|(_, state)| *state == CallerState::Answered)
            }));
            ([up, told.recv_timeout(PATIENCE)], asterisk, told)
        });
        let (heard, asterisk, told) = heard.await.unwrap();
        assert_eq!(heard, [Ok("up".to_owned()), Ok("look_up".to_owned())]);
        // It belongs to the bridge, whatever settings it is given later.
        service.reload(again).unwrap();
        asterisk.hang_up(1);
        let (asked, asterisk) = spawn_blocking(move || {
            while told.try_recv().is_ok() {}
            asterisk.dial(2, "+4930123457", "100");
            (told.recv_timeout(PATIENCE), asterisk)
        })
        .await
        .unwrap();
        assert_eq!(asked, Ok("look_up".to_owned()));
        service.stop_now();
        spawn_blocking(|| service.join()).await.unwrap().unwrap();
        assert_eq!(asterisk.objects().1, 0, "no bridge is left");
    });
}

#[test]
fn what_keeps_it_from_starting_is_an_error_there_too() {
    Runtime::new().unwrap().block_on(async {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let admin = taken.local_addr().unwrap().to_string();
        let (nobody, its) = ("http://127.0.0.1:1", admin.clone());
        let fault = Bridge::builder()
            .settings(move || settings(nobody, "ws://127.0.0.1:1", &its))
            .start()
            .unwrap_err();
        assert!(matches!(fault, RunError::Admin(..)), "{fault}");
        assert!(fault.to_string().starts_with(&format!("ADMIN_BIND: cannot listen on {admin}: ")), "{fault}");
        let fault = Bridge::builder().settings(|| Err("no".to_owned())).start().unwrap_err();
        assert!(matches!(fault, RunError::Settings(..)), "{fault}");
    });
}

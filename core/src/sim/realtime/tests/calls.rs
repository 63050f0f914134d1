//! Function calls, and what the client tells between two responses.

use super::*;
use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, Sender, channel};

/// Gives prepared answers and notes what it was asked.
#[derive(Debug)]
pub(super) struct Noting {
    answers: VecDeque<Answer>,
    asked: Sender<String>,
}

impl Noting {
    pub(super) fn new(answers: impl IntoIterator<Item = Answer>) -> (Self, Receiver<String>) {
        let (asked, heard) = channel();
        (Self { answers: answers.into_iter().collect(), asked }, heard)
    }
}

impl Agent for Noting {
    fn answer(&mut self, prompt: Prompt<'_>) -> Answer {
        let turn =
            |turn: Option<(&[i16], u32)>| turn.map(|(samples, rate)| samples.len() as u32 * 1000 / rate);
        let asked = match prompt {
            Prompt::Turn { samples, rate } => format!("turn {:?}", turn(Some((samples, rate)))),
            Prompt::Items { outputs, texts, turn: heard } => {
                format!("{outputs:?} {texts:?} {:?}", turn(heard))
            }
            Prompt::Create { instructions } => format!("create {instructions:?}"),
        };
        self.asked.send(asked).unwrap();
        self.answers.pop_front().unwrap_or(Answer::Failure { code: "at_end".into() })
    }

    fn write_down(&mut self, samples: &[i16], rate: u32) -> Option<String> {
        Some(format!("{} ms", samples.len() as u32 * 1000 / rate))
    }
}

fn call(name: &str, arguments: &str) -> FunctionCall {
    FunctionCall { name: name.into(), arguments: arguments.into() }
}

fn said(millis: usize) -> Option<Speech> {
    Some(Speech { samples: speech(millis), rate: 24_000, transcript: "One moment.".into() })
}

fn arguments(client: &Client) -> String {
    let deltas =
        client.events.iter().filter(|event| event["type"] == "response.function_call_arguments.delta");
    deltas.map(|event| event["delta"].as_str().unwrap()).collect()
}

fn output(call_id: &Value, output: &str) -> Value {
    json!({ "type": "conversation.item.create", "item": {
        "type": "function_call_output", "call_id": call_id, "output": output,
    }})
}

#[test]
fn an_agent_says_something_and_calls_two_functions_in_one_response() {
    let calls = vec![call("opening_hours", r#"{"day":"Sunday, the 1st"}"#), call("weather", "")];
    let mut client = Client::open(Script::new([Answer::Calls { speech: said(150), calls }]));
    client.send(json!({ "type": "response.create" }));
    client.run(2000);
    assert_eq!(arguments(&client), r#"{"day":"Sunday, the 1st"}"#);
    let response = client.first("response.done")["response"].clone();
    assert_eq!(response["status"], "completed");
    let output = response["output"].as_array().unwrap();
    let what: Vec<_> = output.iter().map(|item| (&item["type"], &item["status"], &item["name"])).collect();
    let (call, done) = (json!("function_call"), json!("completed"));
    assert_eq!(
        what,
        [
            (&json!("message"), &done, &Value::Null),
            (&call, &done, &json!("opening_hours")),
            (&call, &done, &json!("weather")),
        ]
    );
    assert_ne!(output[1]["call_id"], output[2]["call_id"]);
    let dones: Vec<_> = client
        .events
        .iter()
        .filter(|e| e["type"] == "response.function_call_arguments.done")
        .cloned()
        .collect();
    for (n, done) in dones.iter().enumerate() {
        let item = &output[n + 1];
        assert_eq!((&done["call_id"], &done["item_id"]), (&item["call_id"], &item["id"]));
        assert_eq!((&done["arguments"], &done["name"]), (&item["arguments"], &item["name"]));
        assert_eq!(
            (done["output_index"].as_u64(), &done["response_id"]),
            (Some(n as u64 + 1), &response["id"])
        );
    }
    let begun =
        client.events.iter().find(|e| e["type"] == "response.output_item.added" && e["output_index"] == 1);
    let begun = &begun.unwrap()["item"];
    assert_eq!((&begun["status"], &begun["arguments"]), (&json!("in_progress"), &json!("")));
    let mut told = client.told();
    told.dedup();
    let from = told.iter().position(|kind| kind == "response.output_item.done").unwrap();
    let one_call = [
        "response.output_item.added",
        "conversation.item.added",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "response.output_item.done",
        "conversation.item.done",
    ];
    let empty_call = one_call.iter().filter(|kind| !kind.ends_with("delta"));
    let expected: Vec<&str> = ["response.output_item.done", "conversation.item.done"]
        .iter()
        .chain(&one_call)
        .chain(empty_call)
        .chain(&["response.done"])
        .copied()
        .collect();
    assert_eq!(told[from..], expected);
}

#[test]
fn a_call_that_is_cut_short_comes_as_far_as_it_goes() {
    for by_client in [true, false] {
        let calls = vec![call("a", "0123456789abcdefghij"), call("never", "{}")];
        let mut client = Client::open(Script::new([Answer::Calls { speech: None, calls }]));
        client.send(json!({ "type": "response.create" }));
        client.run(130);
        assert_eq!(arguments(&client), "0123456789abcdef", "a piece each 20 ms");
        let reason = if by_client {
            client.send(json!({ "type": "response.cancel" }));
            "client_cancelled"
        } else {
            client.append(&[speech(200), silence(20)].concat());
            "turn_detected"
        };
        let done = client.first("response.function_call_arguments.done");
        assert_eq!(done["arguments"], "0123456789abcdef");
        let response = &client.first("response.done")["response"];
        assert_eq!(
            (&response["status"], &response["status_details"]["reason"]),
            (&json!("cancelled"), &json!(reason))
        );
        let items = response["output"].as_array().unwrap();
        assert_eq!((items.len(), &items[0]["status"]), (1, &json!("incomplete")));
        client.events.clear();
        client.run(1000);
        assert!(!client.told().iter().any(|kind| kind.starts_with("response")), "nothing comes late");
    }
}

#[test]
fn what_came_of_calls_reaches_the_agent_once_and_all_at_once() {
    let calls = vec![call("a", "{}"), call("b", "{}")];
    let spoken = Answer::Speech(said(100).unwrap());
    let (agent, asked) = Noting::new([Answer::Calls { speech: None, calls }, spoken.clone(), spoken]);
    let mut client = Client::open(agent);
    client.send(json!({ "type": "response.create", "response": { "instructions": "Greet." } }));
    client.run(1000);
    let calls = client.first("response.done")["response"]["output"].clone();
    client.events.clear();
    client.send(output(&calls[0]["call_id"], "1"));
    client.send(output(&calls[1]["call_id"], "2"));
    assert_eq!(
        client.error(output(&json!("call_of_nobody"), "3")),
        ("invalid_tool_call_id".into(), "Tool call ID 'call_of_nobody' not found in conversation.".into())
    );
    client.send(json!({ "type": "conversation.item.create", "item": {
        "type": "message", "role": "user", "content": [{ "type": "input_text", "text": "*" }],
    }}));
    client.send(json!({ "type": "response.create" }));
    client.run(1000);
    client.send(json!({ "type": "response.create" }));
    client.run(1000);
    let outputs = format!(r#"[({}, "1"), ({}, "2")] ["*"] None"#, calls[0]["call_id"], calls[1]["call_id"]);
    let asked: Vec<_> = asked.try_iter().collect();
    assert_eq!(asked, [r#"create Some("Greet.")"#, outputs.as_str(), "create None"]);
}

#[test]
fn a_turn_comes_with_what_was_told_before_it_and_in_letters() {
    let (agent, asked) = Noting::new([]);
    let mut client = Client::open(agent);
    client.send(json!({ "type": "session.update", "session": { "type": "realtime", "audio": {
        "input": { "transcription": { "model": "gpt-realtime-whisper" } },
    }}}));
    client.send(json!({ "type": "conversation.item.create", "item": {
        "type": "message", "role": "user", "content": [{ "type": "input_text", "text": "1" }],
    }}));
    client.say(&[silence(700), speech(1200), silence(1000)].concat());
    assert_eq!(asked.try_iter().collect::<Vec<_>>(), [r#"[] ["1"] Some(2000)"#]);
    let written = client.first("conversation.item.input_audio_transcription.completed");
    assert_eq!(written["transcript"], "2000 ms");
}

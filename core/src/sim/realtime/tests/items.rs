//! A conversation that a client puts into a new session.

use super::*;
use std::sync::mpsc::{Sender, channel};

/// Says how much it knows, and tells the test what.
#[derive(Debug)]
struct Reader {
    known: usize,
    test: Sender<Vec<String>>,
}

impl Agent for Reader {
    fn answer(&mut self, _prompt: Prompt<'_>) -> Answer {
        let transcript = format!("I know of {} things.", self.known);
        Answer::Speech(Speech { samples: two_tones(), rate: 24_000, transcript })
    }

    fn read(&mut self, conversation: &[String]) {
        self.known = conversation.len();
        self.test.send(conversation.to_vec()).unwrap();
    }

    fn write_down(&mut self, _samples: &[i16], _rate: u32) -> Option<String> {
        Some("And with cherries.".to_owned())
    }
}

fn message(role: &str, part: &str, text: &str) -> Value {
    json!({ "type": "message", "role": role, "content": [{ "type": part, "text": text }] })
}

fn put(client: &mut Client, item: Value) -> Value {
    client.events.clear();
    client.send(json!({ "type": "conversation.item.create", "item": item }));
    let shown = client.first("conversation.item.done").clone();
    assert_eq!(client.told(), ["conversation.item.added", "conversation.item.done"]);
    shown
}

#[test]
fn a_conversation_that_is_carried_over_is_shown_remembered_and_read() {
    let (test, read) = channel();
    let mut client = Client::open(Reader { known: 0, test });
    let transcription =
        json!({ "type": "realtime", "audio": { "input": { "transcription": { "model": "m" } } } });
    client.send(json!({ "type": "session.update", "session": transcription }));
    let mut before = Value::Null;
    for item in [
        message("system", "input_text", "The call was interrupted."),
        message("user", "input_text", "A cake, please."),
        message("assistant", "output_text", "For how many?"),
        json!({ "type": "function_call", "call_id": "c1", "name": "bake", "arguments": r#"{"for":7}"# }),
        json!({ "type": "function_call_output", "call_id": "c1", "output": "done" }),
    ] {
        let shown = put(&mut client, item.clone());
        assert_eq!(shown["previous_item_id"], before, "it stands behind the one before");
        before = shown["item"]["id"].clone();
        for (name, value) in item.as_object().unwrap() {
            assert_eq!(&shown["item"][name], value);
        }
    }
    let first = json!({
        "type": "conversation.item.create", "previous_item_id": "root",
        "item": message("user", "input_text", "Hello."),
    });
    client.send(first);
    assert_eq!(client.first("conversation.item.added")["previous_item_id"], Value::Null);
    client.say(&[silence(300), speech(1200), silence(1000)].concat());
    client.run(5000);
    let known = [
        "user: Hello.",
        "system: The call was interrupted.",
        "user: A cake, please.",
        "assistant: For how many?",
        r#"call: bake {"for":7}"#,
        "output: done",
        "user: And with cherries.",
    ];
    assert_eq!(read.try_iter().collect::<Vec<_>>(), [known]);
    let conversation = client.server.conversation();
    assert_eq!(conversation[..7], known);
    assert_eq!(conversation[7..], ["assistant: I know of 7 things."]);
}

#[test]
fn what_came_of_a_call_that_the_conversation_does_not_know_is_refused() {
    let mut client = Client::open(Parrot::new());
    let output = json!({ "type": "conversation.item.create", "item": {
        "type": "function_call_output", "call_id": "c1", "output": "done",
    }});
    let call = json!({ "type": "function_call", "call_id": "c1", "name": "bake", "arguments": "{}" });
    let refusal = "Tool call ID 'c1' not found in conversation.";
    assert_eq!(client.error(output.clone()), ("invalid_tool_call_id".into(), refusal.into()));
    put(&mut client, call);
    client.send(output);
    assert_eq!(client.server.conversation(), ["call: bake {}", "output: done"]);
}

#[test]
fn a_call_without_a_name_of_its_own_is_given_one() {
    let mut client = Client::open(Parrot::new());
    let shown = put(&mut client, json!({ "type": "function_call", "name": "bake", "arguments": "{}" }));
    assert!(shown["item"]["call_id"].as_str().is_some_and(|id| id.starts_with("call_")));
}

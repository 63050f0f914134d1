//! What goes wrong while a session stands.

use super::*;

fn says(millis: usize, transcript: &str) -> Speech {
    Speech { samples: speech(millis), rate: 24_000, transcript: transcript.into() }
}

fn answers(answers: impl IntoIterator<Item = Answer>) -> Client {
    Client::open(Script::new(answers))
}

/// Asks for an answer and gives the response as it ends.
fn answer(client: &mut Client) -> Value {
    client.events.clear();
    client.send(json!({ "type": "response.create" }));
    client.run(5000);
    client.first("response.done")["response"].clone()
}

#[test]
fn a_limit_that_is_reached_says_when_it_is_reset() {
    let mut client = answers([Answer::RateLimited { reset: Duration::from_millis(7500) }]);
    let response = answer(&mut client);
    assert_eq!(response["status"], "failed");
    assert_eq!(response["status_details"]["error"]["code"], "rate_limit_exceeded");
    let limits = &client.first("rate_limits.updated")["rate_limits"];
    assert_eq!((&limits[1]["remaining"], &limits[1]["reset_seconds"]), (&json!(0), &json!(7.5)));
    assert_eq!(client.told(), ["response.created", "rate_limits.updated", "response.done"]);
}

#[test]
fn an_answer_may_end_early_with_and_without_a_word() {
    for (reason, millis) in
        [("content_filter", 0), ("content_filter", 400), ("max_output_tokens", 0), ("max_output_tokens", 400)]
    {
        let speech = (millis > 0).then(|| says(millis, "I think"));
        let mut client = answers([Answer::Incomplete { speech, reason: reason.into() }]);
        let response = answer(&mut client);
        assert_eq!(response["status_details"], json!({ "type": "incomplete", "reason": reason }));
        assert_eq!((response["status"].as_str(), client.spoken().len()), (Some("incomplete"), millis * 24));
        if millis > 0 {
            assert_eq!(response["output"][0]["status"], "incomplete");
        }
    }
}

#[test]
fn an_answer_may_break_after_a_few_words() {
    let mut client = answers([Answer::Broken { speech: says(400, "I am"), code: "server_error".into() }]);
    let response = answer(&mut client);
    assert_eq!(response["status"], "failed");
    assert_eq!(response["status_details"]["error"]["code"], "server_error");
    assert_eq!((client.spoken().len(), &response["output"][0]["status"]), (400 * 24, &json!("incomplete")));
}

#[test]
fn a_turn_that_was_not_answered_is_answered_when_it_is_asked_for_again() {
    let failures = [
        Answer::Nothing,
        Answer::Failure { code: "server_error".into() },
        Answer::RateLimited { reset: Duration::from_secs(1) },
        Answer::Incomplete { speech: None, reason: "content_filter".into() },
    ];
    for failure in failures {
        let mut client = Client::open(Parrot::new());
        client.put(Input::Fault(&Fault::Answer(failure.clone())));
        let audio = [silence(700), speech(1200), silence(1000)].concat();
        client.say(&audio);
        client.run(5000);
        assert_eq!(client.first("input_audio_buffer.committed")["type"], "input_audio_buffer.committed");
        let begun = client.events.iter().any(|event| event["type"] == "response.created");
        assert_eq!(begun, failure != Answer::Nothing, "{failure:?}");
        assert!(client.spoken().is_empty());
        answer(&mut client);
        assert_eq!(
            client.spoken(),
            audio[400 * 24..2400 * 24],
            "{failure:?}: the parrot still knows the turn"
        );
    }
}

#[test]
fn a_session_may_end_before_its_time() {
    let mut client = Client::open(Parrot::new());
    client.run(10_000);
    client.put(Input::Fault(&Fault::Expired));
    assert_eq!(client.first("error")["error"]["code"], "session_expired");
    let reason = "Your session hit the maximum duration of 60 minutes.";
    assert_eq!(client.closed, Some((1001, reason.to_owned())));
    client.put(Input::Fault(&Fault::Expired));
    assert_eq!(client.events.len(), 1, "nothing is left to end");
}

#[test]
fn an_error_may_come_out_of_nothing_and_the_session_stays() {
    let mut client = Client::open(Parrot::new());
    for code in [Some("internal_error".to_owned()), None] {
        client.events.clear();
        client.put(Input::Fault(&Fault::Error { kind: "server_error".into(), code: code.clone() }));
        let error = &client.first("error")["error"];
        assert_eq!((&error["type"], &error["code"]), (&json!("server_error"), &json!(code)));
        assert_eq!(error["event_id"], Value::Null);
    }
    assert_eq!(answer(&mut client)["status"], "completed");
}

#[test]
fn a_server_that_has_fallen_silent_takes_everything() {
    let mut client = Client::open(Parrot::new());
    client.put(Input::Fault(&Fault::Silent));
    client.say(&[silence(300), speech(1200), silence(1000)].concat());
    client.send(json!({ "type": "response.create" }));
    client.send(json!({ "type": "nonsense" }));
    client.run(3_700_000);
    assert!(client.events.is_empty() && client.closed.is_none());
}

#[test]
fn the_whole_conversation_is_paid_for_each_time_and_less_for_what_was_there_before() {
    let mut client = Client::open(Parrot::new());
    let mut said = Vec::new();
    for _ in 0..3 {
        client.events.clear();
        client.say(&[silence(700), speech(1200), silence(1000)].concat());
        client.run(5000);
        let usage = client.first("response.done")["response"]["usage"].clone();
        let (input, output) = (&usage["input_token_details"], &usage["output_token_details"]);
        said.push([
            input["audio_tokens"].as_u64().unwrap(),
            input["cached_tokens_details"]["audio_tokens"].as_u64().unwrap(),
            output["audio_tokens"].as_u64().unwrap(),
        ]);
        let sum = |details: &Value| {
            details["text_tokens"].as_u64().unwrap() + details["audio_tokens"].as_u64().unwrap()
        };
        assert_eq!(
            (usage["input_tokens"].as_u64(), usage["output_tokens"].as_u64()),
            (Some(sum(input)), Some(sum(output)))
        );
        assert_eq!(usage["total_tokens"], sum(input) + sum(output));
        assert_eq!(input["cached_tokens"], sum(&input["cached_tokens_details"]));
        assert!(input["text_tokens"].as_u64() > Some(0), "the instructions are read as well");
    }
    // A turn of 2 s is 20 tokens when it is heard and 40 when it is said.
    assert_eq!(said, [[20, 0, 40], [80, 20, 40], [140, 80, 40]]);
}

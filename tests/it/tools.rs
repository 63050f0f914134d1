//! What the model calls: functions, the end of the call, a transfer; and the tools of MCP servers.

use crate::stories::{SECOND, asked};
use ari_bridge_core::call::EndReason;
use ari_bridge_core::observe::{Observation, ToolFault};
use ari_bridge_core::settings::{
    Approval, BargeIn, CallSettings, Function, McpServer, SessionSettings, Tool, Transfer,
};
use ari_bridge_core::sim::asterisk::CallerState;
use ari_bridge_core::sim::realtime::{
    Agent, Answer, FunctionCall, McpCall, Prompt, Script, Speech, two_tones,
};
use ari_bridge_core::time::Duration;
use ari_bridge_tests::scene::{Line, Performance, Scene, Stage};
use serde_json::json;

/// 1.2 seconds of tones.
fn says(words: &str) -> Speech {
    Speech { samples: two_tones(), rate: 24_000, transcript: words.into() }
}

fn call(name: &str, arguments: &str) -> FunctionCall {
    FunctionCall { name: name.into(), arguments: arguments.into() }
}

fn calls(speech: Option<Speech>, calls: &[FunctionCall]) -> Answer {
    Answer::Calls { speech, calls: calls.to_vec() }
}

/// A call with a function `look_up`, one place to be transferred to, and an agent that answers so.
fn stage(answers: impl IntoIterator<Item = Answer>) -> Stage {
    let look_up = Function {
        name: "look_up".into(),
        description: "Looks something up".into(),
        parameters: json!({
            "type": "object", "properties": { "what": { "type": "string" } }, "required": ["what"],
        }),
    };
    let operator = Transfer {
        name: "operator".into(),
        context: "internal".into(),
        extension: "1001".into(),
        priority: 1,
    };
    let session = SessionSettings { tools: vec![Tool::Function(look_up)], ..SessionSettings::default() };
    Stage {
        call: CallSettings { session, transfers: vec![operator], ..CallSettings::default() },
        agent: Some(Box::new(Script::new(answers))),
        ..Stage::default()
    }
}

/// The outputs that the model was told.
fn outputs(scene: &Scene) -> Vec<String> {
    let items = scene.sent("conversation.item.create");
    items.iter().filter_map(|event| event["item"]["output"].as_str().map(str::to_owned)).collect()
}

fn performs(name: &'static str, after_ms: u64, body: &'static str) -> Performance {
    Performance { name, after: Duration::from_millis(after_ms), reply: Ok((200, body)) }
}

fn no_error(scene: &Scene) {
    let errors: Vec<_> =
        scene.observations.iter().filter(|(_, o)| matches!(o, Observation::RealtimeError { .. })).collect();
    assert!(errors.is_empty(), "{errors:?}");
}

#[test]
fn a_function_is_performed_and_its_result_answered_once() {
    let look = call("look_up", r#"{"what":"hours"}"#);
    let answers = [calls(Some(says("One moment.")), &[look]), Answer::Speech(says("Nine to five."))];
    let mut scene =
        asked(Stage { functions: vec![performs("look_up", 300, r#"{"from":9,"to":17}"#)], ..stage(answers) });
    scene.run_for(8 * SECOND);
    assert_eq!(scene.performed, [("look_up".to_owned(), r#"{"what":"hours"}"#.to_owned())]);
    assert_eq!(outputs(&scene), [r#"{"from":9,"to":17}"#]);
    assert_eq!(scene.sent("response.create").len(), 1);
    let lines: Vec<_> = scene.record.iter().map(|(_, line)| line.clone()).collect();
    assert!(
        lines.contains(&Line::Agent("One moment.".into()))
            && lines.contains(&Line::Agent("Nine to five.".into()))
    );
    assert!(lines.contains(&Line::Returned("look_up".into(), r#"{"from":9,"to":17}"#.into())));
    no_error(&scene);
}

#[test]
fn parallel_calls_are_answered_together_when_the_last_result_is_there() {
    let look = |what: &str| call("look_up", &format!(r#"{{"what":"{what}"}}"#));
    let slow = Performance { name: "slow", ..performs("slow", 2_000, "2") };
    let mut set =
        stage([calls(None, &[look("a"), look("b"), call("slow", "{}")]), Answer::Speech(says("Done."))]);
    set.call.session.tools.push(Tool::Function(Function {
        name: "slow".into(),
        description: String::new(),
        parameters: json!({ "type": "object" }),
    }));
    let mut scene = asked(Stage { functions: vec![performs("look_up", 100, "1"), slow], ..set });
    scene.run_until("the results", 8 * SECOND, |scene| outputs(scene).len() == 3);
    scene.run_for(2 * SECOND);
    let events = &scene.client_events;
    let last_output = events.iter().rposition(|event| event.contains("function_call_output"));
    let create = events.iter().position(|event| event.contains("response.create"));
    assert!(create > last_output, "the answer is asked for behind the last result");
    assert_eq!(scene.sent("response.create").len(), 1);
    no_error(&scene);
}

#[test]
fn a_result_that_races_with_a_turn_is_answered_and_answered_once() {
    // The caller speaks again while the function is under way; its result comes around the moment in which the
    // server answers the turn by itself.
    for after_ms in (1_200..2_600).step_by(20) {
        let look = call("look_up", r#"{"what":"x"}"#);
        let answers = [
            calls(None, &[look]),
            Answer::Speech(says("first")),
            Answer::Speech(says("second")),
            Answer::Speech(says("third")),
        ];
        let mut scene = asked(Stage {
            functions: vec![performs("look_up", after_ms, "42")],
            server_lag: Duration::from_millis(60),
            ..stage(answers)
        });
        scene.run_until("the function is called", 5 * SECOND, |scene| !scene.performed.is_empty());
        scene.run_for(SECOND / 10);
        scene.speak(1);
        scene.run_for(9 * SECOND);
        assert_eq!(outputs(&scene), ["42"], "{after_ms} ms");
        // Either the turn's own answer has the result in it, or one more follows; never more, never none.
        let said = scene.said.iter().filter(|said| said.heard_ms > 0).count();
        assert!((1..=2).contains(&said), "{after_ms} ms: {:?}", scene.said);
        assert!(!scene.said.iter().any(|said| said.text == "third"), "{after_ms} ms");
        assert_eq!(scene.calls(), 1);
    }
}

#[test]
fn what_the_model_makes_up_is_told_to_it_and_the_call_goes_on() {
    for (name, arguments, why) in [
        ("made_up", "{}", ToolFault::Unknown),
        ("look_up", r#"{"what":"#, ToolFault::NotAnObject),
        ("look_up", "[1]", ToolFault::NotAnObject),
        ("look_up", r#"{"what":7}"#, ToolFault::DoesNotFit),
        ("look_up", "{}", ToolFault::DoesNotFit),
        ("transfer", r#"{"destination":"+4990012345"}"#, ToolFault::DoesNotFit),
        ("transfer", r#"{"destination":"internal,1001,1"}"#, ToolFault::DoesNotFit),
        ("hang_up", r#"{"now":true}"#, ToolFault::DoesNotFit),
    ] {
        let answers = [calls(None, &[call(name, arguments)]), Answer::Speech(says("Sorry."))];
        let mut scene = asked(stage(answers));
        scene.run_for(6 * SECOND);
        let refusals: Vec<_> =
            scene.observations.iter().filter(|(_, o)| matches!(o, Observation::ToolRefused { .. })).collect();
        assert_eq!(refusals.len(), 1, "{name}({arguments})");
        assert_eq!(refusals[0].1, Observation::ToolRefused { why }, "{name}({arguments})");
        assert!(scene.performed.is_empty() && outputs(&scene)[0].contains("error"), "{name}({arguments})");
        assert!(scene.said.iter().any(|said| said.text == "Sorry."), "{name}({arguments})");
        assert_eq!(scene.calls(), 1, "{name}({arguments})");
    }
}

#[test]
fn a_function_that_fails_or_takes_too_long_is_told_to_the_model() {
    use ari_bridge_core::call::IoFault;
    for (reply, after_s, told) in [
        (Ok((500, "secret")), 0, "500"),
        (Err(IoFault::Reset), 0, "broke"),
        (Ok((200, "late")), 11, "in time"),
    ] {
        let look = call("look_up", r#"{"what":"x"}"#);
        let answers = [calls(None, &[look]), Answer::Speech(says("Sorry."))];
        let performance = Performance { name: "look_up", after: Duration::from_secs(after_s), reply };
        let mut scene = asked(Stage { functions: vec![performance], ..stage(answers) });
        scene.run_for(16 * SECOND);
        let [output] = &outputs(&scene)[..] else { panic!("{:?}", outputs(&scene)) };
        assert!(output.contains(told) && !output.contains("secret"), "{output}");
        assert!(scene.said.iter().any(|said| said.text == "Sorry."));
    }
}

#[test]
fn the_agent_hangs_up_when_its_last_word_was_heard() {
    let mut scene = asked(stage([calls(Some(says("Goodbye.")), &[call("hang_up", "{}")])]));
    scene.run_until("the end", 8 * SECOND, |scene| scene.calls() == 0);
    assert_eq!(scene.outcomes[0].ended, EndReason::AgentHungUp);
    let [said] = &scene.said[..] else { panic!("{:?}", scene.said) };
    assert_eq!((said.text.as_str(), said.heard_ms), ("Goodbye.", said.received_ms));
    scene.run_for(SECOND);
    assert_eq!(scene.state(1), Some(CallerState::Gone), "hung up");
    assert_eq!((scene.asterisk.channel_count(), scene.asterisk.bridge_count()), (0, 0));
    assert!(outputs(&scene).is_empty() && scene.sent("response.create").is_empty());
}

#[test]
fn a_caller_who_speaks_into_the_goodbye_stays_on_the_line() {
    let answers =
        [calls(Some(says("Goodbye.")), &[call("hang_up", "{}")]), Answer::Speech(says("Yes, please?"))];
    let mut scene = asked(stage(answers));
    scene.run_until("the goodbye is heard", 6 * SECOND, |scene| {
        scene.saw(|o| matches!(o, Observation::FirstAudio(_)))
    });
    scene.run_for(SECOND / 2);
    scene.speak(1);
    scene.run_for(6 * SECOND);
    assert_eq!(scene.calls(), 1, "the call goes on: {:?}", scene.outcomes);
    assert!(scene.saw(|o| *o == Observation::StaysOnTheLine));
    assert!(outputs(&scene)[0].contains("still on the line"));
    assert!(scene.said.iter().any(|said| said.text == "Yes, please?"));
}

#[test]
fn where_nobody_can_interrupt_the_goodbye_is_the_last_word() {
    let mut set = stage([calls(Some(says("Goodbye.")), &[call("hang_up", "{}")])]);
    set.call.barge_in = BargeIn::Off;
    let mut scene = asked(set);
    scene.run_until("the goodbye is heard", 6 * SECOND, |scene| {
        scene.saw(|o| matches!(o, Observation::FirstAudio(_)))
    });
    scene.speak(1);
    scene.run_until("the end", 6 * SECOND, |scene| scene.calls() == 0);
    assert_eq!(scene.outcomes[0].ended, EndReason::AgentHungUp);
}

#[test]
fn the_agent_transfers_the_caller_to_a_place_that_the_operator_named() {
    let transfer = call("transfer", r#"{"destination":"operator"}"#);
    let mut scene = asked(stage([calls(Some(says("I put you through.")), &[transfer])]));
    scene.run_until("the end", 8 * SECOND, |scene| scene.calls() == 0);
    assert_eq!(scene.outcomes[0].ended, EndReason::Transferred);
    assert_eq!(scene.state(1), Some(CallerState::InDialplan));
    assert_eq!(scene.asterisk.continued_at(1), Some("internal,1001,1"));
    let [said] = &scene.said[..] else { panic!("{:?}", scene.said) };
    assert_eq!(said.heard_ms, said.received_ms, "what was said before was heard");
    assert_eq!((scene.asterisk.channel_count(), scene.asterisk.bridge_count()), (1, 0), "the caller alone");
}

#[test]
fn a_caller_who_is_being_transferred_gets_there_although_the_agent_is_lost() {
    let transfer = call("transfer", r#"{"destination":"operator"}"#);
    let mut scene = asked(stage([calls(Some(says("I put you through.")), &[transfer])]));
    scene.run_until("the call of the function", 6 * SECOND, |scene| {
        scene.saw(|o| matches!(o, Observation::ToolCalled { .. }))
    });
    scene.forge_message(
        br#"{"type":"response.done","response":{"status":"failed",
            "status_details":{"type":"failed","error":{"code":"insufficient_quota"}}}}"#,
    );
    scene.run_until("the end", SECOND, |scene| scene.calls() == 0);
    assert_eq!(scene.outcomes[0].ended, EndReason::Transferred);
    assert_eq!(scene.asterisk.continued_at(1), Some("internal,1001,1"));
}

#[test]
fn without_a_place_or_with_hanging_up_forbidden_the_model_is_not_told_of_either() {
    let mut set = stage([]);
    set.call.transfers.clear();
    set.call.hang_up = false;
    let scene = asked(set);
    let update = &scene.sent("session.update")[0];
    let names: Vec<_> =
        update["session"]["tools"].as_array().unwrap().iter().map(|tool| &tool["name"]).collect();
    assert_eq!(names, ["look_up"]);
}

#[test]
fn the_arguments_of_a_call_that_was_cut_off_are_not_taken() {
    let answers = [
        calls(
            Some(says("I will look.")),
            &[call("look_up", &format!(r#"{{"what":"{}"}}"#, "x".repeat(400)))],
        ),
        Answer::Speech(says("Yes?")),
    ];
    let mut scene = asked(stage(answers));
    scene
        .run_until("it is heard", 6 * SECOND, |scene| scene.saw(|o| matches!(o, Observation::FirstAudio(_))));
    scene.speak(1);
    scene.run_for(6 * SECOND);
    let cancelled = scene
        .saw(|o| matches!(o, Observation::ResponseDone { status, .. } if status.as_str() == "cancelled"));
    // Either the call was complete before the caller spoke, or it was not taken.
    assert_eq!(scene.performed.is_empty(), cancelled, "{:?}", scene.performed);
}

/// An agent that calls a tool of an MCP server and then says what came of it.
#[derive(Debug)]
struct Asks(u32);

impl Agent for Asks {
    fn answer(&mut self, _: Prompt<'_>) -> Answer {
        self.0 += 1;
        if self.0 > 1 {
            return Answer::Speech(says("There are seven."));
        }
        Answer::Mcp(McpCall {
            server_label: "stock".into(),
            name: "count".into(),
            arguments: "{}".into(),
            output: Ok("7".into()),
        })
    }
}

fn with_stock(approval: Approval) -> Stage {
    let stock = McpServer {
        label: "stock".into(),
        url: "https://stock.example/mcp".into(),
        description: None,
        allowed_tools: None,
        approval,
    };
    let mut set = Stage { agent: Some(Box::new(Asks(0))), ..stage([]) };
    set.call.session.tools = vec![Tool::Mcp(stock)];
    set
}

#[test]
fn a_tool_of_an_mcp_server_is_called_by_the_server_and_answered_when_it_is_asked_for() {
    let mut scene = asked(with_stock(Approval::Never));
    scene.run_for(6 * SECOND);
    let told: Vec<_> = scene
        .observations
        .iter()
        .filter_map(|(_, o)| if let Observation::Mcp(event) = o { Some(event.what()) } else { None })
        .collect();
    assert_eq!(told.len(), 3, "listed, called, answered: {told:?}");
    assert!(scene.said.iter().any(|said| said.text == "There are seven."), "{:?}", scene.said);
    assert_eq!(scene.sent("response.create").len(), 1);
    no_error(&scene);
}

#[test]
fn a_tool_that_must_be_approved_is_asked_for_and_declined_without_anybody_to_ask() {
    for (approved, functions) in [(true, vec![performs("stock/count", 100, "")]), (false, Vec::new())] {
        let mut scene = asked(Stage { functions, ..with_stock(Approval::Always) });
        scene.run_for(8 * SECOND);
        assert_eq!(scene.performed[0].0, "stock/count");
        let answer = &scene.sent("conversation.item.create")[0]["item"];
        assert_eq!(
            (&answer["type"], &answer["approve"]),
            (&"mcp_approval_response".into(), &approved.into())
        );
        assert!(
            scene.said.iter().any(|said| said.text == "There are seven."),
            "{approved}: {:?}",
            scene.said
        );
        no_error(&scene);
    }
}

/// An agent that looks something up at the first word, hangs up when it is told the result, and goes on with a caller
/// who speaks on.
#[derive(Debug)]
struct Hasty {
    has_looked: bool,
}

impl Agent for Hasty {
    fn answer(&mut self, prompt: Prompt<'_>) -> Answer {
        match prompt {
            Prompt::Items { turn: None, .. } => calls(Some(says("Goodbye.")), &[call("hang_up", "{}")]),
            _ if std::mem::replace(&mut self.has_looked, true) => Answer::Speech(says("Yes, please?")),
            _ => calls(None, &[call("look_up", r#"{"what":"x"}"#)]),
        }
    }
}

#[test]
fn a_caller_who_begins_to_speak_before_the_answer_to_a_result_begins_is_neither_spoken_over_nor_sent_away() {
    for interrupt_response in [true, false] {
        for spoken_ms in (400..1_400).step_by(40) {
            let mut set = stage([]);
            set.call.session.interrupt_response = interrupt_response;
            let mut scene = asked(Stage {
                functions: vec![performs("look_up", 1_000, "42")],
                agent: Some(Box::new(Hasty { has_looked: false })),
                server_lag: Duration::from_millis(250),
                ..set
            });
            scene.run_until("the function is called", 5 * SECOND, |scene| !scene.performed.is_empty());
            scene.run_for(Duration::from_millis(spoken_ms));
            scene.speak(1);
            scene.run_for(7 * SECOND);
            let told = scene.told();
            let name = format!("{interrupt_response}, {spoken_ms} ms");
            assert_eq!(scene.calls(), 1, "{name}: the caller spoke on: {:?} {told:#?}", scene.said);
            assert!(
                scene
                    .said
                    .iter()
                    .any(|said| said.text == "Yes, please?" && said.heard_ms == said.received_ms),
                "{name}: the turn is answered: {:?} {told:#?}",
                scene.said
            );
        }
    }
}

#[test]
fn a_caller_who_spoke_on_stays_also_if_only_the_arguments_of_hang_up_are_told() {
    // A server that tells of a call in its arguments only, and whose answer is complete before it can be stopped.
    let mut scene = asked(stage([Answer::Speech(says("Hm.")), Answer::Speech(says("Yes, please?"))]));
    scene.run_for(4 * SECOND);
    scene.forge_message(br#"{"type":"response.created","response":{"id":"r"}}"#);
    let before = scene.observations.iter().filter(|(_, o)| *o == Observation::SpeechStarted).count();
    scene.speak(1);
    scene.run_until("the caller is heard", SECOND, |scene| {
        scene.observations.iter().filter(|(_, o)| *o == Observation::SpeechStarted).count() > before
    });
    scene.forge_message(
        br#"{"type":"response.function_call_arguments.done","response_id":"r","item_id":"f","call_id":"c",
            "name":"hang_up","arguments":"{}"}"#,
    );
    scene.forge_message(br#"{"type":"response.done","response":{"id":"r","status":"completed"}}"#);
    scene.run_for(4 * SECOND);
    assert_eq!(scene.calls(), 1, "{:?}", scene.outcomes);
}

#[test]
fn the_arguments_of_one_answer_are_not_taken_because_another_one_is_complete() {
    let mut scene = asked(stage([Answer::Speech(says("Hm."))]));
    scene.run_for(4 * SECOND);
    // The first is cut off, and the server does not tell that it was.
    for message in [
        r#"{"type":"response.created","response":{"id":"r"}}"#,
        r#"{"type":"response.function_call_arguments.done","response_id":"r","item_id":"f","call_id":"c",
            "name":"look_up","arguments":"{\"what\":\"part\"}"}"#,
        r#"{"type":"response.created","response":{"id":"s"}}"#,
        r#"{"type":"response.done","response":{"id":"s","status":"completed"}}"#,
    ] {
        scene.forge_message(message.as_bytes());
    }
    scene.run_for(SECOND);
    assert!(scene.performed.is_empty(), "{:?}", scene.performed);
}

//! What the next session is told.

use super::*;

#[test]
fn a_turn_without_an_answer_is_told_when_its_audio_is_not_kept_any_more() {
    let mut scene = asked(stage(with(BargeIn::On), [failure(), failure()]));
    scene.run_for(40 * SECOND);
    assert!(recoveries(&scene).contains(&Recovery::AnswerGivenUp));
    scene.cut_realtime(IoFault::Reset);
    scene.run_for(3 * SECOND);
    assert_eq!(by_user(&scene.told_on(LinkId(2))), 1, "{:#?}", scene.told());
}

#[test]
fn a_turn_whose_audio_is_given_again_is_not_told_because_the_agent_has_ended_behind_it() {
    let call = with(BargeIn::Off);
    let mut scene = asked(stage(call, [long_speech("A long story.", 8.0), Answer::Nothing]));
    scene.run_for(4 * SECOND);
    scene.speak(1);
    scene.run_until("the turn is over", 4 * SECOND, |scene| turns_over(scene) == 2);
    scene.run_until("the agent has ended", 9 * SECOND, |scene| scene.said.len() == 1);
    scene.cut_realtime(IoFault::Reset);
    scene.run_for(3 * SECOND);
    assert!(delivered_ms(&scene) > 1_000, "{:#?}", scene.told());
    let told = scene.told_on(LinkId(2));
    assert_eq!(by_user(&told), 1, "{told:?}");
}

#[test]
fn nor_because_keys_came_behind_it() {
    let mut scene = asked(stage(with(BargeIn::On), [Answer::Nothing]));
    scene.run_until("the turn is over", 4 * SECOND, |scene| turns_over(scene) == 1);
    scene.run_for(5 * MS);
    scene.realtime_falls_silent();
    scene.press(1, "12#");
    scene.cut_realtime(IoFault::Reset);
    scene.run_for(3 * SECOND);
    assert!(delivered_ms(&scene) > 1_000, "{:#?}", scene.told());
    let told = scene.told_on(LinkId(2));
    assert_eq!(by_user(&told), 1, "{told:?}");
}

#[test]
fn keys_stand_behind_the_sentence_that_was_said_before_them() {
    let mut scene = asked(stage(with(BargeIn::On), [Answer::Nothing]));
    scene.run_until("the turn is over", 4 * SECOND, |scene| turns_over(scene) == 1);
    scene.run_for(5 * MS);
    scene.next_attempts([unreachable_for(3)]);
    scene.cut_realtime(IoFault::Reset);
    scene.run_for(SECOND / 2);
    scene.press(1, "40#");
    scene.run_for(8 * SECOND);
    let conversation = scene.conversation_on(LinkId(3));
    let keyed = conversation.iter().position(|item| item.contains("keyed in")).unwrap();
    let spoken = conversation.iter().position(|item| item.starts_with("user") && !item.contains("keyed in"));
    assert!(spoken.is_some_and(|spoken| spoken < keyed), "{conversation:?}");
}

#[test]
fn an_answer_is_not_asked_for_while_the_function_is_under_way() {
    let mut scene = answered(function(4 * SECOND, r#"{"price":3}"#, with(BargeIn::On)), &[]);
    scene.forge_message(br#"{"type":"response.created","response":{"id":"resp_1","status":"in_progress"}}"#);
    scene.forge_message(
        br#"{"type":"response.output_item.done","response_id":"resp_1","output_index":0,"item":{"id":"i",
        "type":"function_call","status":"completed","call_id":"call_1","name":"look_up","arguments":"{}"}}"#,
    );
    scene.run_for(5 * MS);
    assert_eq!(scene.performed.len(), 1);
    scene.next_attempts([Attempt::agent(Script::new([speech("Three euros."), speech("Once more.")]))]);
    scene.cut_realtime(IoFault::Reset);
    scene.run_for(12 * SECOND);
    let sent = scene.sent_on(LinkId(2));
    let at = |what: &dyn Fn(&Value) -> bool| sent.iter().position(what);
    let output = at(&|event| event["item"]["type"] == "function_call_output").unwrap();
    let create = at(&|event| event["type"] == "response.create").unwrap();
    assert!(output < create, "{sent:#?}");
    assert_eq!(heard(&scene), ["Three euros."]);
}

#[test]
fn a_long_result_does_not_wipe_out_the_conversation() {
    let body: &'static str = Box::leak("bread ".repeat(5_000).into_boxed_str());
    let mut scene = asked(Stage {
        agent: Some(Box::new(Script::new([speech("Good day."), calls(None)]))),
        ..function(2 * SECOND, body, with(BargeIn::On))
    });
    scene.run_for(5 * SECOND);
    scene.speak(1);
    scene.run_until("it is performed", 6 * SECOND, |scene| !scene.performed.is_empty());
    scene.next_attempts([unreachable_for(4), Attempt::agent(Script::new([speech("Three euros.")]))]);
    scene.cut_realtime(IoFault::Reset);
    scene.run_for(10 * SECOND);
    let told = scene.told_on(LinkId(3));
    assert!(told.iter().any(|item| item.starts_with("output: bread")), "{told:?}");
    assert!(told.iter().any(|item| item == "assistant: Good day."), "{told:?}");
}

#[test]
fn who_wants_no_history_is_still_told_what_waits_for_an_answer() {
    let recovery = settings::Recovery { history_tokens: 0, ..settings::Recovery::default() };
    let call = CallSettings { recovery, ..with(BargeIn::On) };
    let mut scene = asked(Stage {
        agent: Some(Box::new(Script::new([calls(None)]))),
        ..function(2 * SECOND, r#"{"price":3}"#, call)
    });
    scene.run_until("it is performed", 6 * SECOND, |scene| !scene.performed.is_empty());
    scene.next_attempts([unreachable_for(4), Attempt::agent(Script::new([speech("Three euros.")]))]);
    scene.cut_realtime(IoFault::Reset);
    scene.run_for(SECOND / 2);
    scene.press(1, "40#");
    scene.run_for(10 * SECOND);
    let told = scene.told_on(LinkId(3)).join("\n");
    assert!(told.contains("keyed in on the telephone: 40") && told.contains(r#"{"price":3}"#), "{told}");
}

#[test]
fn turns_before_the_one_that_is_heard_again_are_told_also_where_no_words_of_the_agent_are_known() {
    let answers = [speech(""), speech(""), Answer::Nothing];
    let mut scene = asked(stage(with(BargeIn::On), answers));
    for _ in 0..2 {
        scene.run_for(5 * SECOND);
        scene.speak(1);
    }
    scene.run_for(3 * SECOND);
    assert_eq!(turns_over(&scene), 3);
    scene.cut_realtime(IoFault::Reset);
    scene.run_for(3 * SECOND);
    let told = scene.told_on(LinkId(2));
    assert_eq!(by_user(&told), 2, "{told:?}");
}

#[test]
fn all_that_was_said_is_told_at_a_renewal_also_where_no_words_of_the_agent_are_known() {
    const TURNS: usize = 14;
    let mut scene = answered(
        Stage { agent: Some(Box::new(Script::new((0..TURNS).map(|_| speech(""))))), ..expiring(100) },
        &utterance(1, 0.8),
    );
    for _ in 0..TURNS {
        scene.speak(1);
        scene.run_for(4_500 * MS);
    }
    assert_eq!((turns_over(&scene), scene.sessions()), (TURNS, 1), "{:#?}", scene.told());
    scene.run_until("it is renewed", 100 * SECOND, |scene| scene.links_open() == [LinkId(2)]);
    assert_eq!(by_user(&scene.told_on(LinkId(2))), TURNS);
}

#[test]
fn a_call_of_the_same_name_in_another_session_is_another_call() {
    let stage =
        Stage { agent: Some(Box::new(Script::new([]))), ..function(MS, r#"{"price":3}"#, with(BargeIn::On)) };
    let mut scene = answered(stage, &[]);
    let call = br#"{"type":"response.output_item.done","response_id":"r","output_index":0,"item":{"id":"i",
        "type":"function_call","status":"completed","call_id":"call_1","name":"look_up","arguments":"{}"}}"#;
    scene.forge_message(call);
    scene.run_for(SECOND);
    scene.cut_realtime(IoFault::Reset);
    scene.run_for(SECOND);
    scene.forge_message(call);
    scene.run_for(SECOND);
    assert_eq!((scene.sessions(), scene.performed.len()), (2, 2), "{:#?}", scene.told());
}

#[test]
fn an_answer_whose_end_is_told_twice_is_paid_once() {
    let mut scene = answered(Stage::default(), &[]);
    let done = br#"{"type":"response.done","response":{"id":"resp_1","status":"completed","usage":
        {"total_tokens":30,"input_tokens":10,"output_tokens":20,"input_token_details":{"text_tokens":10},
        "output_token_details":{"text_tokens":20}}}}"#;
    scene.forge_message(done);
    scene.forge_message(done);
    scene.run_for(SECOND);
    assert_eq!(count(&scene, |o| matches!(o, Observation::Used { .. })), 1);
}

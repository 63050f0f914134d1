//! Who answers what, and when it is asked for.

use super::*;

const CLEAR: Circumstances = Circumstances {
    caller_is_busy: false,
    waits_for_agent: false,
    agent_is_heard: false,
    results_are_due: false,
    now: Instant::START,
};

/// A server that repeats numbers, as OpenAI's does.
fn answers() -> Answers {
    Answers { repeats_numbers: true, ..Answers::default() }
}

#[test]
fn a_result_that_came_before_the_servers_own_answer_is_answered_by_it() {
    let mut answers = answers();
    answers.owe(Debt::Result, 1, false);
    answers.is_asked(Purpose::Answer, 2, 0);
    answers.is_known(1);
    answers.begins("theirs", None, 0);
    assert_eq!(answers.refused(Some(2), true, 0), Some(Purpose::Answer));
    answers.ends("theirs", None);
    assert_eq!(answers.next(CLEAR), None);
}

#[test]
fn a_result_that_came_too_late_for_it_is_asked_for_again_when_it_is_done() {
    let mut answers = answers();
    answers.begins("theirs", None, 0);
    answers.owe(Debt::Result, 1, false);
    answers.is_known(1);
    assert_eq!(answers.next(CLEAR), None, "one answer at a time");
    answers.ends("theirs", None);
    assert_eq!(answers.next(CLEAR), Some(Purpose::Answer));
    answers.is_asked(Purpose::Answer, 2, 0);
    answers.begins("theirs too", None, 0);
    answers.refused(None, true, 0);
    answers.ends("theirs too", None);
    assert_eq!(answers.next(CLEAR), None, "the second of theirs has answered it");
}

#[test]
fn without_numbers_a_refusal_tells_that_the_answer_that_began_was_another() {
    let mut answers = Answers::default();
    answers.owe(Debt::Result, 1, false);
    answers.is_asked(Purpose::Answer, 2, 0);
    answers.begins("r", None, 0);
    answers.refused(None, true, 0);
    answers.ends("r", None);
    assert_eq!(answers.next(CLEAR), Some(Purpose::Answer));
    answers.is_asked(Purpose::Answer, 3, 0);
    answers.begins("s", None, 0);
    answers.ends("s", None);
    assert_eq!(answers.next(CLEAR), None);
}

#[test]
fn results_wait_for_each_other_but_a_caller_does_not_wait_for_them() {
    let mut answers = answers();
    answers.owe(Debt::Result, 1, true);
    let due = Circumstances { results_are_due: true, ..CLEAR };
    assert_eq!(answers.next(due), None);
    assert_eq!(answers.next(CLEAR), Some(Purpose::Answer));
    answers.owe(Debt::Keys, 2, true);
    assert_eq!(answers.next(due), Some(Purpose::Answer));
    assert_eq!(answers.next(Circumstances { caller_is_busy: true, ..CLEAR }), None);
    assert_eq!(answers.next(Circumstances { waits_for_agent: true, ..CLEAR }), None);
}

#[test]
fn what_is_refused_again_and_again_is_given_up() {
    for for_another in [false, true] {
        let mut answers = answers();
        answers.owe(Debt::Turn, 0, true);
        let mut asked = 0;
        while answers.next(CLEAR).is_some() {
            asked += 1;
            answers.is_asked(Purpose::Answer, asked, 0);
            answers.refused(Some(asked), for_another, 0);
            answers.ends("", None);
            assert!(asked < 10, "it asks for ever");
        }
        assert_eq!(asked, if for_another { u32::from(MAX_TRIES) } else { 1 });
    }
}

#[test]
fn what_came_behind_the_question_is_not_refused_with_it() {
    let mut answers = answers();
    answers.owe(Debt::Keys, 1, true);
    answers.is_asked(Purpose::Answer, 2, 0);
    // A tool of an MCP server answers, for which no event of ours stands.
    answers.owe(Debt::Result, 2, true);
    answers.refused(Some(2), false, 0);
    assert_eq!(answers.next(CLEAR), Some(Purpose::Answer));
}

#[test]
fn an_answer_of_which_nothing_more_is_heard_stands_in_nobodys_way() {
    let mut answers = answers();
    answers.begins("r", None, 1_000);
    answers.owe(Debt::Keys, 1, true);
    answers.give_up_on_lost(11_000);
    assert_eq!(answers.next(CLEAR), None);
    answers.give_up_on_lost(11_001);
    assert_eq!(answers.next(CLEAR), Some(Purpose::Answer));
    answers.is_asked(Purpose::Answer, 2, 11_001);
    answers.give_up_on_lost(21_002);
    assert_eq!(answers.next(CLEAR), Some(Purpose::Answer), "nor one that never begins");
}

#[test]
fn what_the_server_is_about_to_answer_is_not_asked_for() {
    let mut answers = answers();
    answers.owe(Debt::Keys, 1, true);
    answers.expect(1_000);
    answers.give_up_on_lost(2_500);
    assert_eq!(answers.next(CLEAR), None);
    answers.give_up_on_lost(2_501);
    assert_eq!(answers.next(CLEAR), Some(Purpose::Answer), "it does not, after all");
    answers.expect(3_000);
    answers.begins("theirs", None, 3_000);
    answers.ends("theirs", None);
    assert_eq!(answers.next(CLEAR), None, "it did");
    answers.expect(4_000);
    answers.want(Purpose::Goodbye);
    assert_eq!(answers.next(CLEAR), Some(Purpose::Goodbye), "which waits for nobody");
}

#[test]
fn the_end_of_another_answer_is_not_the_end_of_the_one_that_was_asked_for() {
    let mut answers = answers();
    answers.is_asked(Purpose::Goodbye, 5, 0);
    answers.begins("theirs", None, 0);
    assert_eq!(answers.ends("theirs", None), None);
    assert!(answers.is_under_way());
    answers.begins("ours", Some(5), 0);
    assert_eq!(answers.ends("ours", Some(5)), Some(Purpose::Goodbye));
}

#[test]
fn an_end_that_is_told_twice_settles_nothing_that_came_in_between() {
    let mut answers = answers();
    answers.begins("r", None, 0);
    answers.ends("r", None);
    answers.owe_turn(1);
    answers.ends("r", None);
    assert_eq!(answers.next(CLEAR), Some(Purpose::Answer));
    answers.begins("s", None, 0);
    answers.owe_turn(2);
    answers.ends("r", None);
    assert_eq!(answers.next(CLEAR), None, "another one is being made");
    answers.ends("s", None);
    assert_eq!(answers.next(CLEAR), Some(Purpose::Answer));
    // Nor is it the end of one that was asked for since, also where a server repeats no numbers.
    let mut answers = Answers::default();
    answers.begins("r", None, 0);
    answers.ends("r", None);
    answers.is_asked(Purpose::Goodbye, 5, 0);
    assert_eq!(answers.ends("r", None), None);
    assert!(answers.is_under_way());
}

#[test]
fn the_end_of_an_answer_of_which_only_a_refusal_told_is_its_end() {
    let mut answers = answers();
    answers.begins("r", None, 0);
    answers.ends("r", None);
    answers.owe_turn(1);
    answers.is_asked(Purpose::Answer, 2, 0);
    answers.refused(Some(2), true, 0);
    answers.ends("theirs", None);
    assert_eq!(answers.next(CLEAR), Some(Purpose::Answer));
}

#[test]
fn an_answer_may_end_without_a_word_of_its_beginning() {
    let mut answers = answers();
    answers.is_asked(Purpose::Goodbye, 5, 0);
    assert_eq!(answers.ends("ours", Some(5)), Some(Purpose::Goodbye));
    assert!(!answers.is_under_way());
}

#[test]
fn a_failed_answer_is_asked_for_once_more_and_not_before_its_time() {
    let mut answers = answers();
    let at = |millis: u64| Circumstances { now: Instant::from_millis(millis), ..CLEAR };
    let fails = |answers: &mut Answers, reset: Option<u64>| {
        answers.begins("r", None, 0);
        let purpose = answers.ends("r", None);
        answers.failed(purpose, 0, Instant::from_millis(1_000), reset.map(Duration::from_millis))
    };
    assert_eq!(fails(&mut answers, None), Failed::Again { wait: Duration::from_secs(1) });
    assert_eq!((answers.next(at(1_999)), answers.next(at(2_000))), (None, Some(Purpose::Answer)));
    assert_eq!(fails(&mut answers, None), Failed::GivenUp);
    assert_eq!(answers.next(at(60_000)), None);
    for (reset, wait) in [(3_000, 3), (10, 1), (3_600_000, 8)] {
        let wait = Duration::from_secs(wait);
        assert_eq!(fails(&mut answers, Some(reset)), Failed::Again { wait });
        answers.succeeded();
    }
}

#[test]
fn what_a_lost_session_owed_the_next_one_owes() {
    // Asked for, and nothing of it came.
    let mut answers = answers();
    answers.want(Purpose::Greeting);
    answers.is_asked(Purpose::Greeting, 1, 0);
    answers.session_ends(true);
    assert_eq!(answers.next(CLEAR), Some(Purpose::Greeting));
    // Begun by the server, and nothing of it came.
    let mut answers = Answers::default();
    answers.begins("theirs", None, 0);
    answers.owe(Debt::Keys, 7, false);
    answers.session_ends(true);
    assert_eq!(answers.next(CLEAR), Some(Purpose::Answer));
    answers.is_asked(Purpose::Answer, 8, 0);
    answers.begins("one for both", Some(8), 0);
    answers.ends("one for both", Some(8));
    assert_eq!(answers.next(CLEAR), None);
}

#[test]
fn an_answer_that_was_cut_off_is_gone_on_with_when_what_came_of_it_was_heard() {
    let cut = |done: bool, resumes: bool| {
        let mut answers = Answers::default();
        answers.begins("r", None, 0);
        answers.speaks();
        if done {
            answers.has_spoken_out();
        }
        answers.session_ends(resumes);
        answers
    };
    let mut answers = cut(false, true);
    assert_eq!(answers.next(Circumstances { agent_is_heard: true, ..CLEAR }), None);
    assert_eq!(answers.next(Circumstances { caller_is_busy: true, ..CLEAR }), None);
    assert_eq!(answers.next(CLEAR), Some(Purpose::Resume));
    answers.speech_begins();
    assert_eq!(answers.next(CLEAR), None, "the caller has something to say");
    assert_eq!(cut(true, true).next(CLEAR), None, "all of it had come");
    assert_eq!(cut(false, false).next(CLEAR), None, "nobody wants it");
}

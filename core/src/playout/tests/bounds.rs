//! What the ledger's edges are: which item is named when several could be, and what is kept of what was sent.

use super::*;

#[test]
fn an_item_that_is_muted_again_and_again_pushes_no_other_one_out() {
    let mut playout = playout();
    assert!(playout.mute_item("a"));
    assert!(playout.mute_item("b"));
    for _ in 0..MAX_MUTED {
        assert!(!playout.mute_item("b"), "that is no news");
    }
    assert!(playout.is_muted("a") && playout.is_muted("b"));
}

#[test]
fn what_has_no_name_cannot_be_muted() {
    let mut playout = playout();
    assert!(!playout.mute_item(""));
    assert!(!playout.is_muted(""));
    assert_eq!(push(&mut playout, "", 0, &[1; 24]), Pushed::Queued);
}

#[test]
fn a_hundred_prompts_one_after_the_other_are_all_heard() {
    let mut playout = playout();
    for n in 0..100 {
        playout.push_own(&[n; 2 * 24 * 20], false);
        assert_eq!(frame(&mut playout), (vec![i16::from_le_bytes([n, n]); FRAME], FRAME), "prompt {n}");
    }
}

#[test]
fn no_more_sounds_wait_than_there_are_items() {
    let mut playout = playout();
    playout.push_own(&[], false);
    for _ in 0..=MAX_ITEMS {
        playout.push_own(&[1; 2 * 24], false);
    }
    assert_eq!(
        playout.queued_samples(),
        MAX_ITEMS * 24,
        "the last one had no place, and what is empty takes none"
    );
}

#[test]
fn behind_what_was_sent_of_an_item_a_prompt_is_next_and_behind_a_prompt_another_one() {
    let mut playout = playout();
    push(&mut playout, "a", 0, &[1; FRAME]);
    playout.push_own(&[2; 2 * FRAME], false);
    playout.push_own(&[3; 2 * FRAME], false);
    for _ in 0..2 {
        frame(&mut playout);
        assert!(playout.is_own_next());
    }
    frame(&mut playout);
    assert!(!playout.is_own_next());
}

#[test]
fn what_was_heard_is_not_told_before_its_text_is_complete() {
    let mut playout = playout();
    push(&mut playout, "a", 0, &[1; FRAME]);
    playout.push_text("a", 0, "Good");
    playout.done("a", 0);
    frame(&mut playout);
    assert_eq!(told(&mut playout, false), []);
    playout.push_text("a", 0, " morning.");
    playout.text_done("a", 0, "Good morning.");
    assert_eq!(told(&mut playout, false), [line("a", 20, "Good morning.")]);
}

#[test]
fn an_item_without_audio_is_not_told_as_heard_by_the_one_behind_it() {
    let mut playout = playout();
    playout.push_text("a", 0, "Never spoken.");
    push(&mut playout, "b", 0, &[1; FRAME]);
    playout.all_done();
    frame(&mut playout);
    assert_eq!(told(&mut playout, true), [line("b", 20, "")]);
}

#[test]
fn an_item_of_which_only_text_stands_before_the_interruption_is_unheard() {
    let mut playout = playout();
    playout.push_text("a", 0, "Written.");
    push(&mut playout, "b", 0, &[1; 2 * FRAME]);
    push(&mut playout, "a", 1, &[1; FRAME]);
    frame(&mut playout);
    let cut = playout.clear().unwrap();
    assert_eq!((cut.item_id.as_str(), cut.unheard), ("b", vec!["a".to_owned()]));
}

#[test]
fn an_item_that_was_heard_between_two_parts_of_another_is_not_unheard() {
    let mut playout = playout();
    push(&mut playout, "a", 0, &[1; FRAME]);
    push(&mut playout, "b", 0, &[1; FRAME]);
    frame(&mut playout);
    frame(&mut playout);
    push(&mut playout, "a", 1, &[1; FRAME]);
    let cut = playout.clear().unwrap();
    assert_eq!((cut.item_id.as_str(), cut.content_index), ("a", 0));
    assert_eq!((cut.is_complete, cut.unheard.len()), (false, 0));
}

#[test]
fn of_two_items_that_were_heard_to_their_end_the_second_is_the_last_one_heard() {
    let mut playout = playout();
    push(&mut playout, "a", 0, &[1; FRAME]);
    push(&mut playout, "b", 0, &[1; FRAME]);
    frame(&mut playout);
    frame(&mut playout);
    assert_eq!(playout.clear().unwrap().item_id, "b");
}

#[test]
fn a_part_without_audio_is_not_the_part_that_was_being_heard() {
    let mut playout = playout();
    playout.push_text("a", 0, "Written.");
    push(&mut playout, "a", 1, &[1; FRAME]);
    let cut = playout.clear().unwrap();
    assert_eq!((cut.item_id.as_str(), cut.content_index, cut.heard_ms), ("a", 1, 0));
}

#[test]
fn no_more_unheard_items_are_named_than_a_barge_in_can_take_back() {
    let mut playout = playout();
    for n in 0..MAX_UNHEARD + 3 {
        push(&mut playout, &format!("item_{n}"), 0, &[1; 2 * FRAME]);
    }
    frame(&mut playout);
    let unheard = playout.clear().unwrap().unheard;
    assert_eq!((unheard.len(), unheard[0].as_str()), (MAX_UNHEARD, "item_1"));
}

#[test]
fn the_room_that_a_long_answer_took_is_given_back_but_for_twenty_seconds() {
    let kept = KEPT_ROOM_MS as usize * 24 * 2;
    let mut sent = playout();
    push(&mut sent, "a", 0, &vec![1; 24 * 60_000]);
    while frame(&mut sent).1 > 0 {}
    assert_eq!(sent.queue.capacity(), kept);
    let mut cut = playout();
    push(&mut cut, "a", 0, &vec![1; 24 * 60_000]);
    cut.clear();
    assert_eq!(cut.queue.capacity(), kept);
}

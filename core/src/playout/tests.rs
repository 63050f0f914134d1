//! The ledger as stories.

use super::*;
use proptest::prelude::*;

const FRAME: usize = 480;
const SAMPLES_PER_MS: u64 = 24;

fn playout() -> Playout {
    Playout::new(ModelFormat::Pcm24)
}

fn push(playout: &mut Playout, item: &str, part: u32, samples: &[i16]) -> Pushed {
    let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
    playout.push(item, part, &bytes)
}

fn frame(playout: &mut Playout) -> (Vec<i16>, usize) {
    let mut frame = Vec::new();
    let taken = playout.next_frame(&mut frame);
    (frame.chunks(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect(), taken)
}

/// All that [`Playout::next_said`] has to tell.
fn told(playout: &mut Playout, is_over: bool) -> Vec<(String, u64, String)> {
    let mut all = Vec::new();
    while let Some(said) = playout.next_said(is_over) {
        all.push((said.item_id.to_owned(), said.heard_ms, said.text.to_owned()));
    }
    all
}

fn line(item: &str, heard_ms: u64, text: &str) -> (String, u64, String) {
    (item.to_owned(), heard_ms, text.to_owned())
}

#[test]
fn frames_come_in_order_and_the_last_is_what_is_left() {
    let mut playout = playout();
    assert_eq!(push(&mut playout, "a", 0, &[1; 400]), Pushed::Queued);
    assert_eq!(push(&mut playout, "a", 0, &[2; 200]), Pushed::Queued);
    let (first, taken) = frame(&mut playout);
    assert_eq!((taken, first[399], first[400], first[479]), (FRAME, 1, 2, 2));
    let (last, taken) = frame(&mut playout);
    assert_eq!((taken, last.len(), last[119]), (120, 120, 2));
    assert_eq!(frame(&mut playout), (vec![], 0));
}

#[test]
fn barge_in_tells_what_was_heard_of_what_was_received() {
    let mut playout = playout();
    push(&mut playout, "a", 0, &[1; 24 * 100]);
    frame(&mut playout);
    frame(&mut playout);
    let cut = playout.clear().unwrap();
    assert_eq!((cut.item_id.as_str(), cut.content_index), ("a", 0));
    assert_eq!((cut.heard_ms, cut.received_ms, cut.dropped_ms), (40, 100, 60));
    assert_eq!(playout.queued_ms(), 0);
    assert_eq!(playout.clear(), None);
}

#[test]
fn what_still_comes_of_an_interrupted_item_is_dropped_and_the_next_item_is_heard() {
    let mut playout = playout();
    push(&mut playout, "a", 0, &[1; 2400]);
    push(&mut playout, "b", 0, &[2; 2400]);
    frame(&mut playout);
    let cut = playout.clear().unwrap();
    assert_eq!((cut.item_id.as_str(), cut.unheard), ("a", vec!["b".to_owned()]));
    assert_eq!(push(&mut playout, "a", 0, &[3; 2400]), Pushed::Muted);
    assert_eq!(push(&mut playout, "b", 1, &[3; 2400]), Pushed::Muted);
    assert_eq!(push(&mut playout, "c", 0, &[4; 2400]), Pushed::Queued);
    assert_eq!(frame(&mut playout).0, [4; FRAME]);
}

#[test]
fn the_ledger_follows_the_queue_from_item_to_item() {
    let mut playout = playout();
    push(&mut playout, "a", 0, &[1; 24 * 30]);
    push(&mut playout, "a", 1, &[1; 24 * 30]);
    push(&mut playout, "b", 0, &[1; 24 * 30]);
    frame(&mut playout);
    frame(&mut playout);
    let cut = playout.clear().unwrap();
    assert_eq!((cut.item_id.as_str(), cut.content_index), ("a", 1));
    assert_eq!((cut.heard_ms, cut.received_ms, cut.dropped_ms), (10, 30, 50));
}

#[test]
fn between_two_items_it_is_the_next_one_that_is_cut() {
    let mut playout = playout();
    push(&mut playout, "a", 0, &[1; FRAME]);
    push(&mut playout, "b", 0, &[1; FRAME]);
    frame(&mut playout);
    let cut = playout.clear().unwrap();
    assert_eq!((cut.item_id.as_str(), cut.heard_ms, cut.received_ms, cut.dropped_ms), ("b", 0, 20, 20));
}

#[test]
fn an_item_heard_to_its_end_is_the_last_one_heard() {
    let mut playout = playout();
    push(&mut playout, "a", 0, &[1; 250]);
    frame(&mut playout);
    let cut = playout.clear().unwrap();
    assert_eq!((cut.heard_ms, cut.received_ms, cut.dropped_ms), (10, 10, 0));
}

#[test]
fn a_full_queue_drops_the_end_of_the_item_and_says_so() {
    let mut playout = playout();
    let minute = vec![1; 24 * 60_000];
    for _ in 0..5 {
        assert_eq!(push(&mut playout, "a", 0, &minute), Pushed::Queued);
    }
    assert_eq!(playout.queued_ms(), MAX_QUEUED_MS);
    assert_eq!(push(&mut playout, "a", 0, &[1; 25]), Pushed::Full { dropped_ms: 2 });
    frame(&mut playout);
    assert_eq!(push(&mut playout, "a", 0, &[1; 24]), Pushed::Full { dropped_ms: 1 }, "no hole in mid-item");
    assert_eq!(push(&mut playout, "b", 0, &[1; 24]), Pushed::Queued);
    assert_eq!(playout.clear().unwrap().heard_ms, 20);
}

#[test]
fn neither_items_nor_muted_names_grow_without_bound() {
    let mut playout = playout();
    let long = "x".repeat(100_000);
    for round in 0..3 {
        for n in 0..1000 {
            push(&mut playout, &format!("{}{long}", 1000 * round + n), 0, &[1]);
        }
        assert_eq!((playout.items.len(), playout.queued_samples()), (MAX_ITEMS, MAX_ITEMS));
        playout.clear();
    }
    assert_eq!(playout.muted.0.len(), MAX_MUTED);
    assert!(playout.muted.0.iter().all(|id| id.len() <= MAX_ITEM_ID_BYTES));
    assert_eq!(
        push(&mut playout, &format!("2063{long}"), 0, &[1]),
        Pushed::Muted,
        "a cut name is told from others"
    );
}

proptest! {
    /// Whatever is pushed, sent and cleared in whatever order: heard <= received, and no sample is made or lost.
    #[test]
    fn the_ledger_balances(story in proptest::collection::vec((0u8..8, 0u8..5, 0usize..3000), 1..80)) {
        let mut playout = playout();
        let (mut queued, mut sent) = (0, 0);
        for (what, item, samples) in story {
            match what {
                0 => {
                    if let Some(cut) = playout.clear() {
                        prop_assert!(cut.heard_ms <= cut.received_ms);
                        prop_assert_eq!(cut.dropped_ms, (queued - sent) as u64 / SAMPLES_PER_MS);
                    }
                    (queued, sent) = (0, 0);
                }
                1..=3 => sent += frame(&mut playout).1,
                _ => if push(&mut playout, &item.to_string(), 0, &vec![1; samples]) == Pushed::Queued {
                    queued += samples;
                },
            }
            prop_assert_eq!(playout.queued_samples(), queued - sent);
            prop_assert_eq!(playout.items.iter().map(|item| item.queued).sum::<u64>(), (queued - sent) as u64);
        }
    }
}

#[test]
fn what_was_heard_is_told_once_when_it_was_heard() {
    let mut playout = playout();
    playout.push_text("a", 0, "Good morning.");
    push(&mut playout, "a", 0, &[1; 2 * FRAME]);
    playout.done("a", 0);
    playout.text_done("a", 0, "Good morning.");
    playout.push_text("b", 0, "How are you?");
    push(&mut playout, "b", 0, &[1; FRAME]);
    assert_eq!(told(&mut playout, false), []);
    frame(&mut playout);
    assert_eq!(told(&mut playout, false), [], "it is being heard");
    assert_eq!(playout.said("a", 0).unwrap().heard_ms, 20);
    frame(&mut playout);
    assert_eq!(told(&mut playout, false), [line("a", 40, "Good morning.")]);
    assert_eq!(told(&mut playout, true), [], "and only once");
    frame(&mut playout);
    assert_eq!(told(&mut playout, false), [], "more may come of it");
    playout.all_done();
    assert_eq!(told(&mut playout, false), [line("b", 20, "How are you?")]);
    assert_eq!(playout.items.len(), 1, "what was told is forgotten when the next one is heard");
}

#[test]
fn a_call_that_ends_in_mid_sentence_has_heard_half_of_it() {
    let mut playout = playout();
    playout.push_text("a", 0, "one two three four");
    push(&mut playout, "a", 0, &[1; 4 * FRAME]);
    playout.all_done();
    frame(&mut playout);
    frame(&mut playout);
    assert_eq!(told(&mut playout, false), []);
    assert_eq!(told(&mut playout, true), [line("a", 40, "one two")]);
}

#[test]
fn an_item_without_an_end_is_told_when_the_next_one_is_heard() {
    let mut playout = playout();
    push(&mut playout, "a", 0, &[1; FRAME]);
    playout.push_text("a", 0, "Hm.");
    push(&mut playout, "b", 0, &[1; 2 * FRAME]);
    frame(&mut playout);
    assert_eq!(told(&mut playout, false), []);
    frame(&mut playout);
    assert_eq!(told(&mut playout, false), [line("a", 20, "Hm.")]);
}

#[test]
fn what_the_full_queue_dropped_was_not_heard() {
    let mut playout = playout();
    playout.push_text("a", 0, "one two three four five six");
    let minutes = vec![1; 24 * MAX_QUEUED_MS as usize * 6 / 5];
    assert!(matches!(push(&mut playout, "a", 0, &minutes), Pushed::Full { .. }));
    playout.all_done();
    while frame(&mut playout).1 > 0 {}
    assert_eq!(told(&mut playout, false), [line("a", MAX_QUEUED_MS, "one two three four")]);
    assert!(playout.queue.capacity() < 24 * 2 * 30_000, "and the room for it is given back");
}

#[test]
fn an_item_of_which_only_the_text_has_come_is_unheard() {
    let mut playout = playout();
    push(&mut playout, "a", 0, &[1; FRAME]);
    playout.done("a", 0);
    frame(&mut playout);
    playout.push_text("b", 0, "Never");
    let cut = playout.clear().unwrap();
    assert_eq!(
        (cut.item_id.as_str(), cut.heard_ms, cut.is_complete, cut.unheard),
        ("a", 20, true, vec!["b".into()])
    );
    playout.push_text("b", 0, " heard");
    assert!(playout.items.is_empty(), "what still comes of it is dropped");
}

#[test]
fn g711_is_counted_in_its_own_samples() {
    let mut playout = Playout::new(ModelFormat::Pcmu);
    assert_eq!(playout.push("a", 0, &[0x55; 400]), Pushed::Queued);
    let mut frame = Vec::new();
    assert_eq!((playout.queued_ms(), playout.next_frame(&mut frame), frame.len()), (50, 160, 160));
    let cut = playout.clear().unwrap();
    assert_eq!((cut.heard_ms, cut.received_ms, cut.dropped_ms), (20, 50, 30));
}

#[test]
fn an_item_that_was_heard_and_told_is_not_taken_back_when_more_of_it_comes_behind_another() {
    let mut playout = playout();
    push(&mut playout, "a", 0, &[1; FRAME]);
    push(&mut playout, "b", 0, &[1; 2 * FRAME]);
    frame(&mut playout);
    frame(&mut playout);
    assert_eq!(told(&mut playout, false), [line("a", 20, "")]);
    assert_eq!(told(&mut playout, false), [], "and forgotten");
    push(&mut playout, "a", 1, &[1; FRAME]);
    push(&mut playout, "c", 0, &[1; FRAME]);
    let cut = playout.clear().unwrap();
    assert_eq!((cut.item_id.as_str(), cut.unheard), ("b", vec!["c".to_owned()]));
}

#[test]
fn an_item_whose_parts_lie_around_those_of_the_one_that_is_cut_is_not_taken_back_once_it_was_heard() {
    let mut playout = playout();
    push(&mut playout, "a", 0, &[1; FRAME / 2]);
    push(&mut playout, "b", 0, &[1; FRAME / 2]);
    frame(&mut playout);
    push(&mut playout, "a", 1, &[1; FRAME]);
    push(&mut playout, "b", 1, &[1; FRAME]);
    let cut = playout.clear().unwrap();
    assert_eq!((cut.item_id.as_str(), cut.heard_ms, cut.unheard), ("a", 10, Vec::new()));
}

#[test]
fn a_sound_of_the_bridges_own_does_not_end_the_item_before_it() {
    let mut playout = playout();
    push(&mut playout, "a", 0, &[1; FRAME]);
    playout.push_text("a", 0, "Well");
    frame(&mut playout);
    playout.push_own(&[7; 4 * FRAME], true);
    frame(&mut playout);
    assert_eq!(told(&mut playout, false), [], "the server has not ended it");
    frame(&mut playout);
    push(&mut playout, "a", 0, &[1; FRAME]);
    playout.push_text("a", 0, ", yes.");
    frame(&mut playout);
    playout.all_done();
    assert_eq!(told(&mut playout, false), [line("a", 40, "Well, yes.")]);
}

#[test]
fn what_was_heard_of_a_former_session_says_nothing_of_an_item_with_the_same_name() {
    let mut playout = playout();
    push(&mut playout, "item1", 0, &[1; 2 * FRAME]);
    frame(&mut playout);
    playout.session_ends();
    push(&mut playout, "item1", 0, &[1; FRAME]);
    let cut = playout.clear().unwrap();
    assert_eq!((cut.item_id.as_str(), cut.is_former, cut.unheard), ("item1", true, vec!["item1".to_owned()]));
    // The same where the former one was heard to its end.
    push(&mut playout, "item2", 0, &[1; FRAME]);
    frame(&mut playout);
    playout.session_ends();
    push(&mut playout, "item2", 0, &[1; FRAME]);
    let cut = playout.clear().unwrap();
    assert_eq!((cut.item_id.as_str(), cut.is_former, cut.heard_ms), ("item2", false, 0));
}

#[test]
fn an_item_of_which_a_part_was_heard_is_cut_behind_that_part_and_not_taken_back() {
    let mut playout = playout();
    push(&mut playout, "a", 0, &[1; FRAME]);
    push(&mut playout, "a", 1, &[1; FRAME]);
    push(&mut playout, "b", 0, &[1; FRAME]);
    frame(&mut playout);
    let cut = playout.clear().unwrap();
    assert_eq!((cut.item_id.as_str(), cut.content_index, cut.heard_ms, cut.is_complete), ("a", 0, 20, false));
    assert_eq!(cut.unheard, ["b"]);
}

#[test]
fn an_item_whose_parts_come_among_those_of_another_is_not_taken_back_once_it_was_heard() {
    let mut playout = playout();
    push(&mut playout, "a", 0, &[1; FRAME]);
    push(&mut playout, "b", 0, &[1; FRAME]);
    push(&mut playout, "a", 0, &[1; FRAME]);
    frame(&mut playout);
    let cut = playout.clear().unwrap();
    assert_eq!((cut.item_id.as_str(), cut.heard_ms), ("b", 0));
    assert!(cut.unheard.is_empty(), "{cut:?}");
}

#[test]
fn text_that_comes_long_after_its_item_was_heard_does_not_make_it_unheard() {
    let mut playout = playout();
    for id in ["a", "b", "c"] {
        push(&mut playout, id, 0, &[1; FRAME]);
        playout.done(id, 0);
        playout.text_done(id, 0, "");
    }
    for _ in 0..3 {
        frame(&mut playout);
        told(&mut playout, false);
    }
    playout.push_text("a", 0, "late");
    let cut = playout.clear().unwrap();
    assert!(cut.item_id == "c" && cut.unheard.is_empty(), "{cut:?}");
}

#[test]
fn however_many_items_are_cut_off_what_still_comes_of_each_is_dropped() {
    let mut playout = playout();
    let names: Vec<String> = (0..MAX_ITEMS).map(|n| format!("i{n}")).collect();
    for name in &names {
        push(&mut playout, name, 0, &[1; 2 * FRAME]);
    }
    frame(&mut playout);
    playout.clear().unwrap();
    assert!(names.iter().all(|name| playout.is_muted(name)));
}

#[test]
fn a_flood_of_items_does_not_displace_the_one_that_is_being_heard() {
    let mut playout = playout();
    push(&mut playout, "a", 0, &[1; FRAME]);
    // It ran dry, and more of it is on its way.
    frame(&mut playout);
    for n in 0..2 * MAX_ITEMS {
        playout.push_text(&format!("t{n}"), 0, "x");
    }
    let cut = playout.clear().unwrap();
    assert_eq!((cut.item_id.as_str(), cut.heard_ms), ("a", 20));
}

#[test]
fn a_prompt_is_heard_and_is_nobodys_words() {
    let mut playout = playout();
    playout.push_own(&[1; 2 * 24 * 30], false);
    push(&mut playout, "a", 0, &[2; 24 * 100]);
    assert!(playout.is_own_next());
    frame(&mut playout);
    frame(&mut playout);
    assert!(!playout.is_own_next(), "its last 10 ms were in the second frame");
    assert_eq!(told(&mut playout, false), []);
    let cut = playout.clear().unwrap();
    assert_eq!((cut.item_id.as_str(), cut.heard_ms, cut.received_ms), ("a", 10, 100));
}

#[test]
fn who_interrupts_a_prompt_has_interrupted_nobody() {
    let mut playout = playout();
    playout.push_own(&[1; 2 * 24 * 30], false);
    assert_eq!(playout.clear(), None);
    playout.push_own(&[1; 2 * 24 * 30], false);
    push(&mut playout, "a", 0, &[2; 24 * 100]);
    frame(&mut playout);
    let cut = playout.clear().unwrap();
    assert_eq!((cut.item_id.as_str(), cut.heard_ms, cut.dropped_ms), ("a", 0, 110));
}

#[test]
fn a_sound_that_yields_makes_room_wherever_it_stands() {
    let mut playout = playout();
    push(&mut playout, "a", 0, &[1; 24 * 20]);
    playout.push_own(&[7; 2 * 24 * 50], true);
    playout.push_own(&[8; 2 * 24 * 20], false);
    assert!(playout.make_room() && !playout.make_room());
    assert_eq!(frame(&mut playout).0[0], 1);
    assert_eq!(frame(&mut playout).0[0], i16::from_le_bytes([8, 8]));
    assert_eq!(playout.queued_ms(), 0);
}

#[test]
fn what_a_former_session_has_said_is_heard_and_its_names_are_free_again() {
    let mut playout = playout();
    playout.push_text("item_1", 0, "Of the first.");
    push(&mut playout, "item_1", 0, &[1; 24 * 40]);
    playout.push_text("item_1", 0, " And its end never came.");
    playout.mute_item("item_2");
    playout.session_ends();
    assert!(!playout.is_muted("item_2"), "that was another one");
    push(&mut playout, "item_1", 0, &[2; 24 * 40]);
    playout.push_text("item_1", 0, "Of the second.");
    frame(&mut playout);
    let cut_short = playout.said("item_1", 0).unwrap();
    assert_eq!((cut_short.received_ms, cut_short.heard_ms, cut_short.is_former), (40, 0, false));
    frame(&mut playout);
    let said = playout.next_said(false).unwrap();
    assert_eq!((said.text, said.heard_ms, said.is_former), ("Of the first.", 40, true));
    frame(&mut playout);
    let cut = playout.clear().unwrap();
    assert_eq!((cut.is_former, cut.heard_ms, cut.received_ms), (false, 20, 40));
    assert!(playout.is_muted("item_1"));
}

#[test]
fn an_interruption_of_what_a_former_session_has_said_names_no_item_of_it() {
    let mut playout = playout();
    push(&mut playout, "a", 0, &[1; 24 * 100]);
    push(&mut playout, "b", 0, &[1; 24 * 100]);
    playout.session_ends();
    push(&mut playout, "c", 0, &[1; 24 * 100]);
    frame(&mut playout);
    let cut = playout.clear().unwrap();
    assert!(cut.is_former);
    assert_eq!(cut.unheard, ["c"], "the server of today knows this one only");
    assert!(playout.is_muted("c") && !playout.is_muted("a"));
}

mod bounds;

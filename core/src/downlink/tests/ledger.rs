//! What a barge-in tells, held against a queue that is kept beside it in the plainest way.

use super::*;
use std::collections::BTreeMap;
use std::collections::VecDeque;

#[derive(Clone, Debug)]
enum Event {
    /// So many samples of the item that is being made.
    Delta(usize),
    Text,
    /// The item is complete, and the next one begins; or so is the whole answer.
    NextItem,
    NextAnswer,
    /// So many slots of 20 ms go by.
    Slots(u64),
    BargeIn,
    /// So many samples still come of the item that was cut off last.
    Late(usize),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (1usize..6000).prop_map(Event::Delta),
        2 => Just(Event::Text),
        2 => Just(Event::NextItem),
        2 => Just(Event::NextAnswer),
        5 => (1u64..6).prop_map(Event::Slots),
        3 => Just(Event::BargeIn),
        1 => (1usize..3000).prop_map(Event::Late),
    ]
}

/// A server that makes its items one behind the other, and the plain queue.
struct Story {
    downlink: Downlink,
    now: u64,
    item: usize,
    queue: VecDeque<(usize, u64)>,
    received: BTreeMap<usize, u64>,
    sent: BTreeMap<usize, u64>,
    last_sent: Option<usize>,
    cut: Vec<usize>,
}

fn name(item: usize) -> String {
    format!("item{item}")
}

impl Story {
    fn new() -> Self {
        let mut downlink = Downlink::new(Encoding::G722, CUSHION, &mut Rng::new(1));
        downlink.start(at(0));
        Self {
            downlink,
            now: 0,
            item: 0,
            queue: VecDeque::new(),
            received: BTreeMap::new(),
            sent: BTreeMap::new(),
            last_sent: None,
            cut: Vec::new(),
        }
    }

    fn push(&mut self, item: usize, samples: usize) -> Pushed {
        self.downlink.push_base64(at(self.now), &name(item), 0, delta(&vec![5; samples]).as_bytes())
    }

    fn sent(&self, item: usize) -> u64 {
        self.sent.get(&item).copied().unwrap_or(0)
    }

    fn tell(&mut self, event: &Event) -> Result<(), TestCaseError> {
        match *event {
            Event::Delta(samples) => {
                let pushed = self.push(self.item, samples);
                if self.cut.contains(&self.item) {
                    prop_assert_eq!(pushed, Pushed::Muted);
                } else {
                    prop_assert_eq!(pushed, Pushed::Queued);
                    self.queue.push_back((self.item, samples as u64));
                    *self.received.entry(self.item).or_default() += samples as u64;
                }
            }
            Event::Text => self.downlink.push_text(&name(self.item), 0, " word"),
            Event::NextItem => {
                self.downlink.item_done(at(self.now), &name(self.item), 0);
                self.item += 1;
            }
            Event::NextAnswer => {
                self.downlink.response_done(at(self.now));
                self.item += 1;
            }
            Event::Slots(slots) => (0..slots).try_for_each(|_| self.slot())?,
            Event::BargeIn => self.barge_in()?,
            Event::Late(samples) => {
                if let Some(&item) = self.cut.last() {
                    prop_assert_eq!(self.push(item, samples), Pushed::Muted);
                }
            }
        }
        Ok(())
    }

    fn slot(&mut self) -> Result<(), TestCaseError> {
        self.now += 20;
        let before = self.downlink.playout.queued_samples();
        self.downlink.poll(at(self.now), &mut Vec::new());
        let mut taken = (before - self.downlink.playout.queued_samples()) as u64;
        prop_assert!(taken <= 480);
        while let Some((item, left)) = self.queue.front_mut().filter(|_| taken > 0) {
            let part = taken.min(*left);
            (*left, taken) = (*left - part, taken - part);
            *self.sent.entry(*item).or_default() += part;
            self.last_sent = Some(*item);
            if *left == 0 {
                self.queue.pop_front();
            }
        }
        prop_assert_eq!(taken, 0, "no more is sent than was received");
        while self.downlink.next_said(false).is_some() {}
        Ok(())
    }

    fn barge_in(&mut self) -> Result<(), TestCaseError> {
        let cut = self.downlink.barge_in();
        let head = self.queue.front().map(|(item, _)| *item);
        prop_assert!(head.is_none() || cut.is_some(), "audio was thrown away, and nothing is told");
        if let Some(cut) = cut {
            let item: usize = cut.item_id["item".len()..].parse().unwrap();
            if let Some(head) = head {
                prop_assert_eq!(item, head);
            } else if self.sent(item) > 0 {
                prop_assert_eq!(Some(item), self.last_sent);
            }
            prop_assert_eq!(cut.heard_ms, self.sent(item) / 24);
            prop_assert_eq!(cut.received_ms, self.received.get(&item).copied().unwrap_or(0) / 24);
            for unheard in &cut.unheard {
                prop_assert_eq!(
                    self.sent(unheard["item".len()..].parse().unwrap()),
                    0,
                    "{} was heard",
                    unheard
                );
            }
            let behind = self.queue.iter().map(|(behind, _)| *behind).filter(|&behind| behind != item);
            for behind in behind {
                let is_told = cut.unheard.contains(&name(behind));
                prop_assert!(is_told || cut.unheard.len() == crate::playout::MAX_UNHEARD);
            }
            self.cut.push(item);
        }
        let waiting = self.queue.drain(..).map(|(item, _)| item);
        self.cut.extend(waiting.filter(|item| self.received.contains_key(item)));
        // What came of the newest one belongs to what was interrupted, also if all of it was heard.
        if self.received.contains_key(&self.item) || self.downlink.playout.is_muted(&name(self.item)) {
            self.cut.push(self.item);
        }
        self.last_sent = None;
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// The server is told of the item at the head of the queue, to the millisecond; of those behind it only if
    /// nothing of them was heard; and what still comes of all of them is dropped.
    #[test]
    fn a_barge_in_tells_what_a_plain_queue_knows(story in proptest::collection::vec(event(), 1..150)) {
        let mut told = Story::new();
        for event in &story {
            told.tell(event)?;
        }
    }
}

#[test]
fn a_prompt_sounds_the_same_whatever_the_model_and_the_line_speak() {
    // 400 ms of 1 kHz.
    let tone: Vec<i16> =
        (0..9_600).map(|n| (8_000.0 * (f64::from(n) / 24.0 * core::f64::consts::TAU).sin()) as i16).collect();
    for (line, model) in [
        (Encoding::G722, ModelFormat::Pcm24),
        (Encoding::Pcmu, ModelFormat::Pcm24),
        (Encoding::Pcmu, ModelFormat::Pcmu),
        (Encoding::Pcma, ModelFormat::Pcma),
        (Encoding::G722, ModelFormat::Pcmu),
    ] {
        let mut downlink = Downlink::new(line, CUSHION, &mut Rng::new(1));
        downlink.set_model_format(model);
        downlink.start(at(0));
        downlink.push_prompt(at(5), &tone, false);
        assert!(downlink.is_playing() && downlink.plays_prompt());
        let (mut decoder, mut heard) = (Decoder::new(line), Vec::new());
        while let Some(due) = downlink.deadline() {
            let mut datagram = Vec::new();
            downlink.poll(due, &mut datagram);
            decoder.decode(Packet::parse(&datagram).unwrap().payload, &mut heard);
        }
        let rate = line.sample_rate() as usize;
        let loud = heard.iter().filter(|sample| sample.abs() > 2_000).count();
        // A sine is above a quarter of its peak for 84 % of the time.
        assert!((rate * 30 / 100..rate * 36 / 100).contains(&loud), "{line:?} {model:?}: {loud} of {rate}");
        let peak = heard.iter().map(|sample| sample.abs()).max().unwrap();
        assert!((7_000..9_500).contains(&peak), "{line:?} {model:?}: {peak}");
    }
}

#[test]
fn a_sound_that_yields_fades_in_one_frame_when_the_agent_speaks() {
    let mut agent = Agent::answered(Encoding::G722, 0);
    agent.downlink.push_prompt(at(1), &[5_000; 24_000], true);
    for millis in [20, 40, 60] {
        assert!(agent.poll(millis).is_some());
    }
    agent.push(61, "a", 100);
    assert!(agent.poll(80).is_some_and(|seen| !seen.marker), "the fade");
    assert!(agent.poll(100).is_some_and(|seen| seen.marker), "the agent");
    assert!(!agent.downlink.plays_prompt());
    assert_eq!(agent.downlink.queued_ms(), 80);
    assert_eq!(agent.downlink.said("a", 0).unwrap().heard_ms, 20);
}

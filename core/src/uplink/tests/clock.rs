//! What the model is given, against the clock on the wall: whatever a network does, the two stay together.

use super::*;

/// A packet of 20 ms in µ-law that is a loud constant.
const LOUD: [u8; 160] = [0x20; 160];

/// A line in µ-law whose driver wakes up at every deadline, and a count of what the model is given.
struct Line {
    uplink: Uplink,
    now: u64,
    /// In milliseconds, like all that follows.
    given: u64,
    concealed: u64,
    lost: u32,
}

impl Line {
    fn answered() -> Self {
        let mut uplink = Uplink::new(Encoding::Pcmu, 1.0);
        uplink.start(at(0), ModelFormat::Pcmu);
        Self { uplink, now: 0, given: 0, concealed: 0, lost: 0 }
    }

    fn poll(&mut self) {
        let mut out = Vec::new();
        let poll = self.uplink.poll(at(self.now), true, &mut out);
        self.given += out.len() as u64 / 8;
        self.concealed += u64::from(poll.concealed_ms);
        self.lost += poll.lost_packets;
    }

    /// Sleeps until this time, and wakes up whenever something is due.
    fn wait(&mut self, until: u64) {
        while let Some((due, _)) = self.uplink.deadline() {
            let due = due.as_nanos().div_ceil(1_000_000);
            if due > until {
                break;
            }
            self.now = due.max(self.now);
            self.poll();
        }
        self.now = until;
    }

    fn hear(
        &mut self,
        millis: u64,
        sequence: usize,
        timestamp: usize,
        payload: &[u8],
    ) -> Result<(), RtpDrop> {
        self.wait(millis);
        let received =
            self.uplink.receive(at(millis), &datagram(0, sequence as u16, timestamp as u32, payload));
        self.poll();
        received
    }

    /// How far the model's audio is ahead of the clock.
    fn ahead(&self) -> i64 {
        self.given as i64 - self.now as i64
    }
}

#[test]
fn a_network_that_delivers_in_bursts_does_not_stretch_the_callers_time() {
    let mut line = Line::answered();
    let mut sequence = 0;
    for burst in 1..=1000 {
        for _ in 0..13 {
            line.hear(burst * 260, sequence, sequence * 160, &LOUD).unwrap();
            sequence += 1;
        }
    }
    // Silence was put before some of the first bursts, and then no more.
    assert!((0..=(MAX_AHEAD_MS + 260) as i64).contains(&line.ahead()), "{} ms ahead", line.ahead());
}

#[test]
fn a_stall_in_mid_speech_is_paid_back_in_the_next_long_pause_and_not_before() {
    let mut line = Line::answered();
    let say = |line: &mut Line, millis: u64, n: &mut usize| {
        line.hear(millis, *n, *n * 160, &LOUD).unwrap();
        *n += 1;
    };
    let mut n = 0;
    (1..=50).for_each(|k| say(&mut line, k * 20, &mut n));
    // What was said in the next 400 ms comes at once at their end; as much silence came before it.
    (0..20).for_each(|_| say(&mut line, 1_400, &mut n));
    assert_eq!(line.ahead(), 400);
    // The end of a turn is heard as soon as ever.
    line.wait(1_600);
    assert_eq!(line.ahead(), 400, "200 ms of silence after 200 ms");
    line.wait(2_400);
    assert_eq!(line.ahead(), 400);
    line.wait(2_800);
    assert!(line.ahead() <= 20, "{}", line.ahead());
    line.wait(9_000);
    assert!((-20..=20).contains(&line.ahead()), "and then it keeps pace: {}", line.ahead());
}

#[test]
fn a_telephone_that_sends_nothing_between_its_words_keeps_pace() {
    for ptime in [20, 60, 100] {
        let mut line = Line::answered();
        let packet = vec![0x20; 8 * ptime];
        let mut sequence = 0;
        // It speaks for 300 ms and is silent for as long; a packet comes when its last sample was spoken.
        for word in 1..=1000 {
            for part in 1..=300 / ptime {
                let end = word * 600 + part * ptime;
                line.hear(end as u64, sequence, (end - ptime) * 8, &packet).unwrap();
                sequence += 1;
            }
        }
        assert!((-300..=(MAX_AHEAD_MS + 100) as i64).contains(&line.ahead()), "{ptime}: {}", line.ahead());
    }
}

#[test]
fn keys_and_keepalives_that_use_up_numbers_cost_no_time() {
    let mut line = Line::answered();
    let mut sequence = 0;
    for n in 0..500 {
        line.hear(n as u64 * 20, sequence, n * 160, &LOUD).unwrap();
        sequence += 1;
        if n % 2 == 0 {
            assert_eq!(line.hear(line.now, sequence, n * 160, &[]), Err(RtpDrop::Malformed));
            sequence += 1;
        }
    }
    assert_eq!((line.given, line.concealed, line.lost), (10_000, 0, 0));
}

#[test]
fn no_more_can_be_missing_than_there_was_time_for() {
    // Each second packet's timestamp leaps four seconds; all of them come on time.
    let mut line = Line::answered();
    for n in 0..500 {
        line.hear(n as u64 * 20, n, n * 160 + n.div_ceil(2) * 32_000, &LOUD).unwrap();
    }
    line.wait(10_100);
    assert!(line.ahead() <= (MAX_AHEAD_MS + 20) as i64, "{}", line.ahead());
    // The numbers leap, and nothing can be believed of the timestamps.
    let mut line = Line::answered();
    for n in 0..500 {
        line.hear(n as u64 * 62, n * 900, n, &LOUD).unwrap();
    }
    assert!(line.ahead() <= (MAX_AHEAD_MS + 20) as i64, "{}", line.ahead());
}

#[test]
fn who_sends_more_than_there_is_time_for_is_refused() {
    let mut line = Line::answered();
    let second = [0x20; 1600];
    let refused =
        (0..1000).filter(|&n| line.hear(n as u64, n, n * 1600, &second) == Err(RtpDrop::Flood)).count();
    assert!(refused > 900, "{refused}");
    // What is held for its turn is not given yet, so it comes on top.
    let held = crate::jitter::MAX_HELD as u64 * 200;
    assert!(line.given <= MAX_BACKLOG_MS + 1000 + held + 200, "{}", line.given);
}

#[test]
fn the_backlog_of_a_stall_is_no_flood() {
    // Asterisk stood still for four seconds, in which silence was given.
    let mut line = Line::answered();
    line.hear(20, 0, 0, &LOUD).unwrap();
    for n in 1..200 {
        line.hear(4_000, n, n * 160, &LOUD).unwrap();
    }
    assert_eq!((line.concealed, line.lost), (0, 0));
    // This machine stood still, and finds ten seconds unread.
    let mut line = Line::answered();
    line.hear(20, 0, 0, &LOUD).unwrap();
    line.now = 10_020;
    for n in 1..=500 {
        let datagram = datagram(0, n as u16, n * 160, &LOUD);
        assert_eq!(line.uplink.receive(at(line.now), &datagram), Ok(()), "packet {n}");
        let mut out = Vec::new();
        line.uplink.poll(at(line.now), false, &mut out);
        line.given += out.len() as u64 / 8;
    }
    assert_eq!(line.ahead(), 0);
}

#[test]
fn after_a_flood_the_line_is_heard_again() {
    let mut line = Line::answered();
    for n in 0..1000 {
        let _ = line.hear(n as u64, n, n * 1600, &[0x20; 1600]);
    }
    line.wait(30_000);
    assert_eq!(line.hear(30_000, 1001, 0, &LOUD), Ok(()));
}

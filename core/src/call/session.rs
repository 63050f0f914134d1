//! One Realtime session: from the opening of its socket until it is given up.

use super::history::{Entry, History, NOT_WRITTEN_DOWN, shortened};
use crate::format::{ModelFormat, PTIME_MS};
use crate::id::LinkId;
use crate::realtime::{ClientEvent, Dialect};
use crate::time::{Duration, Instant, UtcNanos};

/// How long it may take until a session has confirmed its settings, since its socket was asked for.
pub(super) const READY_WITHIN: Duration = Duration::from_secs(5);

/// Of a server that has said nothing for so long it is asked whether it is there.
const PING_AFTER: Duration = Duration::from_secs(5);

/// A server that has said nothing to that for so long is not there any more.
const DEAD_AFTER: Duration = Duration::from_secs(5);

/// So much of the caller's voice, in milliseconds, may a server be given without saying anything at all; then it is asked
/// whether it is still at work. What is loud need not be a voice, so this proves nothing yet.
const UNHEARD_VOICE_MS: u64 = 3_000;

/// The next session is opened so long before this one ends, or a quarter of its life before that if this is less.
const RENEW_BEFORE: Duration = Duration::from_secs(120);

/// So long before its end it is left without a pause being waited for, or a twentieth of its life if this is less.
const LEAVE_BEFORE: Duration = Duration::from_secs(10);

/// What a server tells of the end of its sessions is believed within these bounds: beyond them its clock or ours is
/// wrong.
const BELIEVED_LIFE: core::ops::RangeInclusive<Duration> =
    Duration::from_secs(4)..=Duration::from_secs(86_400);

/// How many calls of functions are remembered that a session knows of; more are not under way.
const MAX_CALLS: usize = 64;

/// How much of the conversation one step tells, in items and in bytes of their text.
const ITEMS_AT_ONCE: u32 = 12;
const BYTES_AT_ONCE: usize = 16 * 1024;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stage {
    /// The socket is being opened, or the server has not said its first word.
    Opening,
    /// Our settings are sent.
    Updating,
    Ready,
}

/// When a session ends by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Life {
    /// The next one is opened.
    pub(super) renew_at: Instant,
    /// It is left, pause or not.
    pub(super) leave_at: Instant,
    pub(super) ends_at: Instant,
}

#[derive(Debug)]
pub(super) struct Session {
    pub(super) link: LinkId,
    pub(super) stage: Stage,
    opened_at: Instant,
    /// Since when the conversation has taken place in it.
    pub(super) live_since: Instant,
    /// The format in which the agent speaks: asked for, or agreed.
    pub(super) format: ModelFormat,
    pub(super) life: Option<Life>,
    /// How much this one was given, in bytes.
    pub(super) given: u64,
    /// Something came of the server last then, and by then it had been given so much, in milliseconds of all.
    heard_at: Instant,
    heard_ms: u64,
    pinged_at: Option<Instant>,
    /// How much it had been given when it said something last, in milliseconds of all.
    said_ms: u64,
    /// How much of the caller's voice it was given since it said something, in milliseconds.
    unheard_voice_ms: u64,
    /// It was asked something that every server answers, and has said nothing since.
    asked_at: Option<Instant>,
    /// The number of the first entry of the history that it was not told.
    told: u64,
    /// How many items it was told.
    pub(super) items: u32,
    /// The functions' calls that it knows of.
    calls: Vec<String>,
}

impl Session {
    pub(super) fn open(link: LinkId, format: ModelFormat, now: Instant) -> Self {
        Self {
            link,
            stage: Stage::Opening,
            opened_at: now,
            live_since: now,
            format,
            life: None,
            given: 0,
            heard_at: now,
            heard_ms: 0,
            pinged_at: None,
            said_ms: 0,
            unheard_voice_ms: 0,
            asked_at: None,
            told: 0,
            items: 0,
            calls: Vec::new(),
        }
    }

    pub(super) fn is_ready(&self) -> bool {
        self.stage == Stage::Ready
    }

    /// By when it must be ready.
    pub(super) fn ready_by(&self) -> Option<Instant> {
        (!self.is_ready()).then(|| self.opened_at + READY_WITHIN)
    }

    /// The server has said something, and has been given so much of the caller's audio.
    pub(super) fn is_heard(&mut self, now: Instant, given_ms: u64) {
        (self.heard_at, self.heard_ms, self.pinged_at) = (now, given_ms, None);
    }

    /// The server has said something that is more than a sign of life.
    pub(super) fn has_spoken(&mut self, given_ms: u64) {
        (self.said_ms, self.unheard_voice_ms, self.asked_at) = (given_ms, 0, None);
    }

    /// What of the audio that it was given it has surely heard, in milliseconds of all. Of what was given last so much may
    /// be lost on the way; and a server that does not answer has listened to nothing since it said something.
    pub(super) fn has_heard_ms(&self, given_ms: u64, may_be_lost_ms: u64) -> u64 {
        if self.asked_at.is_some() {
            return self.said_ms;
        }
        self.heard_ms.max(given_ms.saturating_sub(may_be_lost_ms))
    }

    /// It was given so much of the caller's voice, in milliseconds.
    pub(super) fn was_given_voice(&mut self, millis: u64) {
        self.unheard_voice_ms = self.unheard_voice_ms.saturating_add(millis);
    }

    /// Whether the server is to be asked whether it is still at work: once.
    pub(super) fn is_to_be_asked(&mut self, now: Instant) -> bool {
        let is_due = self.asked_at.is_none() && self.unheard_voice_ms >= UNHEARD_VOICE_MS;
        if is_due {
            self.asked_at = Some(now);
        }
        is_due
    }

    /// When something is to be done about a server that says nothing.
    pub(super) fn silence_deadline(&self) -> Instant {
        let ping = self.pinged_at.map_or(self.heard_at + PING_AFTER, |pinged| pinged + DEAD_AFTER);
        self.asked_at.map_or(ping, |asked| ping.min(asked + DEAD_AFTER))
    }

    /// Whether the server is to be asked whether it is there: once.
    pub(super) fn is_to_be_pinged(&mut self, now: Instant) -> bool {
        let is_due = self.pinged_at.is_none() && now >= self.heard_at + PING_AFTER;
        if is_due {
            self.pinged_at = Some(now);
        }
        is_due
    }

    pub(super) fn is_dead(&self, now: Instant) -> bool {
        [self.pinged_at, self.asked_at].into_iter().flatten().any(|asked| now >= asked + DEAD_AFTER)
    }

    /// The session stands, and ends then, as the server says or as is known of such servers.
    pub(super) fn stands(
        &mut self,
        dialect: Dialect,
        expires_at: Option<u64>,
        now: Instant,
        start: UtcNanos,
    ) {
        let until = |at: u64| Duration::from_nanos(at.saturating_mul(1_000_000_000).saturating_sub(start.0));
        let told = expires_at.map(|at| until(at).saturating_sub(now.since(Instant::START)));
        let told = told.filter(|left| BELIEVED_LIFE.contains(left));
        let Some(left) = told.or(dialect.session_life()) else { return };
        let ends_at = now + left;
        self.life = Some(Life {
            renew_at: ends_at - RENEW_BEFORE.min(left / 4),
            leave_at: ends_at - LEAVE_BEFORE.min(left / 20),
            ends_at,
        });
    }

    /// How much it was given, in milliseconds; `hears` is the format in which it hears.
    pub(super) fn given_ms(&self, hears: ModelFormat) -> u64 {
        self.given * PTIME_MS / hears.frame_bytes().max(1) as u64
    }

    /// It knows this call: it has made it, or was told of it.
    pub(super) fn knows_call(&mut self, call_id: &str) {
        if self.calls.len() >= MAX_CALLS {
            self.calls.remove(0);
        }
        self.calls.push(call_id.to_owned());
    }

    /// Whether it knows this call.
    pub(super) fn has_call(&self, call_id: &str) -> bool {
        self.calls.iter().any(|known| known == call_id)
    }

    /// Whether there is something of the history before this number that it was not told.
    pub(super) fn has_news(&self, history: &History, before: u64) -> bool {
        self.told < before.min(history.end())
    }

    /// Tells it the next part of the history before this number, a bounded one, by `send`.
    pub(super) fn tell(
        &mut self,
        history: &History,
        before: u64,
        mut send: impl FnMut(LinkId, ClientEvent<'_>),
    ) {
        let (mut items, mut bytes) = (0, 0);
        while items < ITEMS_AT_ONCE && bytes < BYTES_AT_ONCE {
            let Some((number, entry)) = history.at(self.told).filter(|(number, _)| *number < before) else {
                break;
            };
            self.told = number + 1;
            self.tell_one(entry, |link, event, text| {
                bytes += text;
                send(link, event);
            });
            items += 1;
        }
    }

    /// Tells it one entry; `send` gets the length of its text too.
    pub(super) fn tell_one(&mut self, entry: &Entry, mut send: impl FnMut(LinkId, ClientEvent<'_>, usize)) {
        self.items += u32::from(*entry != Entry::GivenAgain);
        let link = self.link;
        let mut say = |text: &str, by_agent: bool| {
            let text = shortened(text);
            let event =
                if by_agent { ClientEvent::AssistantText { text } } else { ClientEvent::UserText { text } };
            send(link, event, text.len());
        };
        match entry {
            Entry::Caller { text, .. } => say(text.as_deref().unwrap_or(NOT_WRITTEN_DOWN), false),
            Entry::Told(text) => say(text, false),
            Entry::GivenAgain => {}
            Entry::Agent(text) => say(text, true),
            // JSON that was cut is none.
            Entry::Called { call_id, name, arguments } if arguments.len() == shortened(arguments).len() => {
                self.knows_call(call_id);
                send(link, ClientEvent::FunctionCall { call_id, name, arguments }, arguments.len());
            }
            Entry::Called { name, .. } => say(&format!("(I have called the function {name}.)"), true),
            Entry::Returned { call_id, output, .. } if self.has_call(call_id) => {
                let output = shortened(output);
                send(link, ClientEvent::FunctionOutput { call_id, output }, output.len());
            }
            Entry::Returned { name, output, .. } => {
                say(&format!("(The function {name} has returned: {output})"), false);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session() -> Session {
        Session::open(LinkId(1), ModelFormat::Pcm24, Instant::START)
    }

    const START: UtcNanos = UtcNanos(1_795_000_000_000_000_000);

    fn life(expires_at: Option<u64>, dialect: Dialect) -> Option<[u64; 3]> {
        let mut session = session();
        session.stands(dialect, expires_at, Instant::from_millis(10_000), START);
        session.life.map(|life| [life.renew_at, life.leave_at, life.ends_at].map(|at| at.as_millis() / 1000))
    }

    #[test]
    fn a_session_is_renewed_before_the_end_that_its_server_has_told() {
        assert_eq!(life(Some(1_795_003_600), Dialect::OpenAi), Some([3_480, 3_590, 3_600]));
        assert_eq!(life(Some(1_795_000_030), Dialect::OpenAi), Some([25, 29, 30]), "a short life");
    }

    #[test]
    fn an_end_that_is_not_told_or_cannot_be_is_taken_from_what_is_known_of_the_server() {
        for expires_at in [None, Some(0), Some(1_795_000_012), Some(u64::MAX), Some(1_794_000_000)] {
            assert_eq!(life(expires_at, Dialect::Azure), Some([1_690, 1_800, 1_810]), "{expires_at:?}");
        }
        assert_eq!(life(None, Dialect::Xai), None);
    }

    #[test]
    fn a_server_that_says_nothing_is_asked_once_and_then_taken_for_dead() {
        let at = Instant::from_millis;
        let mut session = session();
        assert!(!session.is_to_be_pinged(at(4_999)));
        assert!(session.is_to_be_pinged(at(5_000)) && !session.is_to_be_pinged(at(5_001)));
        assert_eq!((session.is_dead(at(9_999)), session.is_dead(at(10_000))), (false, true));
        session.is_heard(at(10_000), 0);
        assert!(!session.is_dead(at(19_999)));
        assert_eq!(session.silence_deadline(), at(15_000));
    }

    #[test]
    fn a_server_that_is_spoken_to_and_says_nothing_is_asked_and_a_pong_is_no_answer() {
        let at = Instant::from_millis;
        let mut session = session();
        session.was_given_voice(2_999);
        assert!(!session.is_to_be_asked(at(1_000)));
        session.was_given_voice(1);
        assert!(session.is_to_be_asked(at(4_000)) && !session.is_to_be_asked(at(4_001)));
        session.is_heard(at(8_999), 0);
        assert_eq!((session.is_dead(at(8_999)), session.is_dead(at(9_000))), (false, true));
        session.has_spoken(0);
        assert!(!session.is_dead(at(9_000)));
    }

    #[test]
    fn a_session_is_told_the_conversation_in_small_parts_and_what_is_given_again_not_at_all() {
        let mut history = History::new(100_000);
        for n in 0..20 {
            history.push(Entry::Agent(format!("answer {n}")));
        }
        history.push(Entry::Caller { item_id: "u".into(), text: None });
        let mut session = session();
        let mut told = Vec::new();
        let mut steps = 0;
        while session.has_news(&history, 20) {
            session.tell(&history, 20, |_, event| told.push(format!("{event:?}")));
            steps += 1;
        }
        assert_eq!((told.len(), steps, session.items), (20, 2, 20));
        assert!(session.has_news(&history, u64::MAX));
        history.give_turns_again(20);
        history.push(Entry::Agent("one more".into()));
        session.tell(&history, u64::MAX, |_, event| told.push(format!("{event:?}")));
        assert!(told.len() == 21 && told[20].contains("one more"), "{told:?}");
    }

    #[test]
    fn a_result_whose_call_is_not_known_is_told_in_words() {
        let returned =
            |id: &str| Entry::Returned { call_id: id.into(), name: "price".into(), output: "5".into() };
        let mut history = History::new(100_000);
        history.push(returned("c0"));
        history.push(Entry::Called { call_id: "c1".into(), name: "price".into(), arguments: "{}".into() });
        history.push(returned("c1"));
        let mut told = Vec::new();
        session().tell(&history, u64::MAX, |_, event| told.push(format!("{event:?}")));
        assert!(told[0].contains("UserText") && told[0].contains("price has returned: 5"), "{told:?}");
        assert!(told[1].contains("FunctionCall") && told[2].contains("FunctionOutput"), "{told:?}");
    }
}

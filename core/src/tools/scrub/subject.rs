//! What of each machine's inputs is scrubbed, and how.

use super::alike::{is_call_alike, is_switchboard_alike};
use super::line::CallerVoice;
use super::rules::{Known, Message, Rules};
use super::text::{fill, fill_address};
use super::tone::{AGENT_SWINGS, Tones, Written};
use super::voice::AgentVoice;
use super::{ScrubFault, json};
use crate::actions::Actions;
use crate::call::{self, Call, Origin, Start};
use crate::capture::{Machine, SwitchboardStart};
use crate::format::ModelFormat;
use crate::pcm;
use crate::realtime::ServerEvent;
use crate::settings::{CallSettings, Dialect, Prompt, Prompts, SwitchboardSettings};
use crate::switchboard::{self, Switchboard};
use core::net::SocketAddr;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;

/// What stands in the place of a caller's tag.
const TAG: [u8; 32] = [0x55; 32];

/// What a key becomes that does not act by itself; the first of these that does not.
const KEYS: &[u8] = b"5678901234";

/// Whatever scrubs the inputs of one capture, one after the other.
#[derive(Debug)]
pub(super) struct Scrubber {
    known: Known,
    line: CallerVoice,
    agent: AgentVoice,
    dialect: Dialect,
    hot: Vec<char>,
    /// How many bytes of inputs were exchanged.
    pub(super) changed_bytes: u64,
    /// In how many inputs.
    pub(super) changed_inputs: u64,
}

/// Where a scrubbed input lies.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    bytes: Vec<u8>,
    settings: Option<SwitchboardSettings>,
}

/// A machine whose captures can be scrubbed.
pub(super) trait Subject: Machine {
    /// The settings, and a scrubber that knows them.
    fn scrub_settings(settings: &Self::Settings) -> Result<(Self::Settings, Scrubber), ScrubFault>;

    /// What was ambient.
    fn scrub_start<'a>(
        start: Self::Start<'_>,
        scrubber: &mut Scrubber,
        scratch: &'a mut Scratch,
    ) -> Self::Start<'a>;

    /// An input that `machine` is about to be given.
    fn scrub_input<'a>(
        input: Self::Input<'_>,
        machine: &Self,
        scrubber: &mut Scrubber,
        scratch: &'a mut Scratch,
    ) -> Result<Self::Input<'a>, ScrubFault>;

    /// Whether an action is the same as before, but for its texts and sounds.
    fn is_alike(
        was: (&Self::Action, &Actions<Self::Action>),
        is: (&Self::Action, &Actions<Self::Action>),
    ) -> bool;
}

impl Subject for Call {
    fn scrub_settings(settings: &CallSettings) -> Result<(CallSettings, Scrubber), ScrubFault> {
        let format = settings.session.audio_format;
        let mut scrubber = Scrubber::new(format);
        let mut scrubbed: CallSettings = scrubber.settings(settings)?;
        scrubbed.prompts = Arc::new(prompts(&settings.prompts));
        scrubber.dialect = settings.session.dialect;
        scrubber.hot = settings.keys.hot.iter().map(|(key, _)| *key).collect();
        Ok((scrubbed, scrubber))
    }

    fn scrub_start<'a>(start: Start<'_>, scrubber: &mut Scrubber, scratch: &'a mut Scratch) -> Start<'a> {
        let entry = start.origin.entry();
        let (Origin::Arrived { event: about } | Origin::Adopted { channel: about }) = start.origin;
        let origin = Origin::new(entry, scrubber.json(about, scratch, Message::AriReply));
        Start { caller_tag: start.caller_tag.map(|_| TAG), origin, ..start }
    }

    fn scrub_input<'a>(
        input: call::Input<'_>,
        machine: &Self,
        scrubber: &mut Scrubber,
        scratch: &'a mut Scratch,
    ) -> Result<call::Input<'a>, ScrubFault> {
        use call::Input as I;
        Ok(match input {
            I::Ari(bytes) => {
                let hot = core::mem::take(&mut scrubber.hot);
                let is_keying = machine.is_keying();
                let event =
                    scrubber.json(bytes, scratch, Message::Ari(&|pressed| key(pressed, &hot, is_keying)));
                scrubber.hot = hot;
                I::Ari(event)
            }
            I::AriReply { id, status, body } => {
                I::AriReply { id, status, body: scrubber.json(body, scratch, Message::AriReply) }
            }
            I::MediaUp { leg, local } => I::MediaUp { leg, local: fill_socket(local) },
            I::Media { leg, from, bytes } => {
                scratch.bytes.clear();
                scratch.bytes.extend_from_slice(bytes);
                scrubber.line.replace(&mut scratch.bytes);
                I::Media { leg, from: fill_socket(from), bytes: scrubber.counted(bytes, scratch) }
            }
            I::Realtime { link, bytes } => I::Realtime { link, bytes: scrubber.realtime(bytes, scratch) },
            I::RealtimeDown { link, http_status, retry_after, code, reason, fault } => {
                let reason = scrubber.reason(reason, scratch);
                I::RealtimeDown { link, http_status, retry_after, code, reason, fault }
            }
            I::ToolReply { id, status, body } => {
                I::ToolReply { id, status, body: scrubber.json(body, scratch, Message::Tool) }
            }
            I::AriFailed { id, fault } => I::AriFailed { id, fault },
            I::AriLink(state) => I::AriLink(state),
            I::MediaDown { leg, fault } => I::MediaDown { leg, fault },
            I::RealtimeUp { link } => I::RealtimeUp { link },
            I::RealtimePong { link } => I::RealtimePong { link },
            I::ToolFailed { id, fault } => I::ToolFailed { id, fault },
            I::Timer => I::Timer,
            I::Stop(reason) => I::Stop(reason),
        })
    }

    fn is_alike(was: (&call::Action, &call::Actions), is: (&call::Action, &call::Actions)) -> bool {
        is_call_alike(was, is)
    }
}

impl Subject for Switchboard {
    fn scrub_settings(settings: &SwitchboardSettings) -> Result<(SwitchboardSettings, Scrubber), ScrubFault> {
        let mut scrubber = Scrubber::new(ModelFormat::default());
        Ok((scrubber.settings(settings)?, scrubber))
    }

    fn scrub_start(start: SwitchboardStart, _: &mut Scrubber, _: &mut Scratch) -> SwitchboardStart {
        start
    }

    fn scrub_input<'a>(
        input: switchboard::Input<'_>,
        _: &Self,
        scrubber: &mut Scrubber,
        scratch: &'a mut Scratch,
    ) -> Result<switchboard::Input<'a>, ScrubFault> {
        use switchboard::Input as I;
        Ok(match input {
            I::Ari(bytes) => {
                I::Ari(scrubber.json(bytes, scratch, Message::Ari(&|pressed| key(pressed, &[], true))))
            }
            I::AriReply { id, status, body } => {
                I::AriReply { id, status, body: scrubber.json(body, scratch, Message::AriReply) }
            }
            I::Settings(settings) => I::Settings(scratch.settings.insert(scrubber.settings(settings)?)),
            I::AriUp => I::AriUp,
            I::AriDown { http_status, fault } => I::AriDown { http_status, fault },
            I::AriPong => I::AriPong,
            I::AriFailed { id, fault } => I::AriFailed { id, fault },
            I::CallTold { call, news } => I::CallTold { call, news },
            I::CallFinished { call, outcome } => I::CallFinished { call, outcome },
            I::CallPanicked { call } => I::CallPanicked { call },
            I::Drain => I::Drain,
            I::StopNow => I::StopNow,
            I::Timer => I::Timer,
        })
    }

    fn is_alike(
        was: (&switchboard::Action, &switchboard::Actions),
        is: (&switchboard::Action, &switchboard::Actions),
    ) -> bool {
        is_switchboard_alike(was, is)
    }
}

impl Scrubber {
    fn new(format: ModelFormat) -> Self {
        Self {
            known: Known::default(),
            line: CallerVoice::new(),
            agent: AgentVoice::new(format),
            dialect: Dialect::default(),
            hot: Vec::new(),
            changed_bytes: 0,
            changed_inputs: 0,
        }
    }

    fn settings<T: Serialize + DeserializeOwned>(&mut self, settings: &T) -> Result<T, ScrubFault> {
        let json = serde_json::to_vec(settings).map_err(|error| ScrubFault::Settings(error.to_string()))?;
        let mut out = Vec::with_capacity(json.len());
        json::exchange(&json, &mut Rules { message: Message::Settings, known: &mut self.known }, &mut out);
        serde_json::from_slice(&out).map_err(|error| ScrubFault::Settings(error.to_string()))
    }

    /// A message; what is no JSON is filled as a text.
    fn json<'a>(&mut self, bytes: &[u8], scratch: &'a mut Scratch, message: Message<'_>) -> &'a [u8] {
        exchange(bytes, scratch, Rules { message, known: &mut self.known });
        self.counted(bytes, scratch)
    }

    fn realtime<'a>(&mut self, bytes: &[u8], scratch: &'a mut Scratch) -> &'a [u8] {
        let Self { known, agent, dialect, .. } = self;
        let voice = match dialect.read(bytes) {
            Some(ServerEvent::AudioDelta { item_id, content_index, .. }) => {
                agent.is_of(item_id.as_bytes(), content_index);
                Some(agent)
            }
            _ => None,
        };
        exchange(bytes, scratch, Rules { message: Message::Realtime(voice), known });
        self.counted(bytes, scratch)
    }

    /// Why a session ended: JSON, or `<type>.<code>`, or prose.
    fn reason<'a>(&mut self, reason: &[u8], scratch: &'a mut Scratch) -> &'a [u8] {
        if reason.trim_ascii_start().starts_with(b"{") {
            return self.json(reason, scratch, Message::Realtime(None));
        }
        scratch.bytes.clear();
        if super::rules::is_name(reason) {
            scratch.bytes.extend_from_slice(reason);
        } else {
            fill(reason, &mut scratch.bytes);
        }
        self.counted(reason, scratch)
    }

    fn counted<'a>(&mut self, before: &[u8], scratch: &'a Scratch) -> &'a [u8] {
        let changed = before.iter().zip(&scratch.bytes).filter(|(was, is)| was != is).count();
        self.changed_bytes += changed as u64;
        self.changed_inputs += u64::from(changed > 0);
        &scratch.bytes
    }
}

fn exchange(bytes: &[u8], scratch: &mut Scratch, mut rules: Rules<'_>) {
    scratch.bytes.clear();
    if json::is_json(bytes) {
        json::exchange(bytes, &mut rules, &mut scratch.bytes);
    } else {
        fill(bytes, &mut scratch.bytes);
    }
}

/// What becomes of a key. One that acts by itself where an entry begins is the caller's choice from a menu, and stays; all
/// others may be somebody's number.
fn key(pressed: u8, hot: &[char], is_keying: bool) -> u8 {
    let acts = |key: u8| hot.contains(&char::from(key));
    match pressed {
        b'#' | b'*' => pressed,
        _ if acts(pressed) && !is_keying => pressed,
        b'0'..=b'9' | b'A'..=b'D' => KEYS.iter().copied().find(|key| !acts(*key)).unwrap_or(pressed),
        // It is no key, and does nothing.
        _ => b'?',
    }
}

fn fill_socket(address: SocketAddr) -> SocketAddr {
    let mut other = address;
    other.set_ip(fill_address(address.ip()));
    other
}

fn prompts(prompts: &Prompts) -> Prompts {
    let mut scrubbed = Prompts::default();
    let mut tones = Tones::new(Written::Model(ModelFormat::Pcm24), AGENT_SWINGS);
    let (mut bytes, mut samples) = (Vec::new(), Vec::new());
    for prompt in Prompt::ALL {
        let Some(own) = prompts.own(prompt) else { continue };
        bytes.clear();
        samples.clear();
        pcm::to_le_bytes(own, &mut bytes);
        tones.replace(&mut bytes);
        pcm::from_le_bytes(&bytes, &mut samples);
        scrubbed.set(prompt, &samples);
    }
    scrubbed
}

//! The ARI side of a call: setting it up, answering it, and leaving nothing behind.
//!
//! The order is the one that a real Asterisk was measured to need: names first, so that every event finds its
//! call; the bridge is filled only after the media channel's own `StasisStart`, because before it `addChannel`
//! is refused with 422; the caller is answered last, when both audio and agent are there.

mod look;
mod request;

use super::io::{Action, Actions, EndReason, IoFault, Span};
use crate::ari::{self, Channel, Event, EventKind, HangupReason};
use crate::format::MediaFormat;
use crate::holding::Holding;
use crate::id::{IdPrefix, RequestId, ResourceId};
use crate::observe::Observation;
use crate::settings::{Place, Transfer};
use crate::time::{Duration, Instant};
use core::net::{IpAddr, SocketAddr};
use look::Watch;
use request::Purpose;

/// How long a reply is waited for. Asterisk answers within milliseconds; a command that waits for the
/// channel's own thread took up to 200 ms (measured).
pub(crate) const REPLY_WITHIN: Duration = Duration::from_secs(5);

/// How long the caller waits for it that the dialplan is told why: a millisecond or two mostly (measured). The
/// caller goes on without it too.
pub(crate) const STATUS_WITHIN: Duration = Duration::from_secs(1);

/// How often a request that may safely be sent twice is sent when no reply comes.
const MAX_SENDS: u8 = 2;

/// The call's first resource on Asterisk is its media channel, its second the bridge. The switchboard relies
/// on these numbers when it cleans up after a call that panicked.
pub(crate) const MEDIA_CHANNEL: u32 = 1;
pub(crate) const BRIDGE: u32 = 2;

/// How the caller is let go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Farewell<'a> {
    /// Hung up.
    HangUp,
    /// Hung up as one who could not be served.
    Refuse,
    /// Sent on in the dialplan, which is told why.
    Continue {
        /// The value of [`crate::ari::STATUS_VARIABLE`].
        status: &'static str,
        /// Where; `None` means where [`Line::send_to`] has said.
        to: Option<&'a Place>,
    },
}

/// A step of the set-up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step {
    /// To be sent; so often it was sent before.
    Open(u8),
    /// Sent.
    Asked(u8),
    Done,
}

#[derive(Debug)]
pub(super) struct Line {
    app: String,
    format: MediaFormat,
    caller_id: String,
    caller_is_up: bool,
    is_held: bool,
    media_id: ResourceId,
    bridge_id: ResourceId,
    caller: Holding,
    media: Holding,
    bridge: Holding,
    /// Where Asterisk is told to send.
    ours: Option<(String, u16)>,
    theirs: (Option<IpAddr>, Option<u16>),
    media_replied: bool,
    media_in_stasis: bool,
    filling: Step,
    answering: Step,
    /// How the caller is hung up, if it does not go on.
    hangs_up: Option<HangupReason>,
    /// Where the caller goes on.
    goes_to: Place,
    /// What the dialplan is told of the caller's channel before it goes on.
    status: &'static str,
    telling: Step,
    watch: Watch,
    pending: Vec<(RequestId, Purpose)>,
    last_request: u32,
}

impl Line {
    pub(super) fn new(app: &str, format: MediaFormat, ids: IdPrefix, caller: Option<&Channel<'_>>) -> Self {
        Self {
            app: app.to_owned(),
            format,
            caller_id: caller.map(|channel| channel.id.to_string()).unwrap_or_default(),
            caller_is_up: caller.is_some_and(Channel::is_up),
            is_held: false,
            media_id: ids.resource(MEDIA_CHANNEL),
            bridge_id: ids.resource(BRIDGE),
            caller: if caller.is_some() { Holding::present() } else { Holding::nothing() },
            media: Holding::nothing(),
            bridge: Holding::nothing(),
            ours: None,
            theirs: (None, None),
            media_replied: false,
            media_in_stasis: false,
            filling: Step::Open(0),
            answering: Step::Open(0),
            hangs_up: None,
            goes_to: Place::default(),
            status: "",
            telling: Step::Open(0),
            watch: Watch::default(),
            pending: Vec::with_capacity(8),
            last_request: 0,
        }
    }

    /// The media socket stands.
    pub(super) fn media_is_up(&mut self, host: String, port: u16) {
        self.ours.get_or_insert((host, port));
    }

    /// The address that Asterisk told for the media.
    pub(super) fn media_address(&self) -> Option<SocketAddr> {
        Some(SocketAddr::new(self.theirs.0?, self.theirs.1?))
    }

    pub(super) fn is_answered(&self) -> bool {
        self.answering == Step::Done
    }

    /// Whether the caller was answered before the call began, by the dialplan.
    pub(super) const fn caller_is_up(&self) -> bool {
        self.caller_is_up
    }

    /// Whether audio can flow between the caller and us.
    pub(super) fn is_bridged(&self) -> bool {
        self.filling == Step::Done && self.media_address().is_some()
    }

    /// Where the caller goes on when it is let go.
    pub(super) fn send_to(&mut self, place: Transfer) {
        let Transfer { context, extension, priority, .. } = place;
        self.goes_to = Place { context: Some(context), extension: Some(extension), priority: Some(priority) };
    }

    /// Whether a channel is the caller's.
    pub(super) fn is_caller(&self, channel: Option<&Channel<'_>>) -> bool {
        channel.is_some_and(|channel| *channel.id == *self.caller_id)
    }

    /// Whether the caller has put the call on hold.
    pub(super) fn is_held(&self) -> bool {
        self.is_held
    }

    /// Whether the media channel is gone, so that nothing comes to our port any more.
    pub(super) fn media_is_gone(&self) -> bool {
        self.media.is_settled()
    }

    /// An event that concerns this call. An error means that the call cannot go on.
    pub(super) fn event(&mut self, event: &Event<'_>) -> Result<(), EndReason> {
        let channel = event.channel.as_ref();
        let is_caller = self.is_caller(channel);
        let is_media = channel.is_some_and(|channel| self.media_id.is(&channel.id));
        match event.kind {
            EventKind::StasisStart if is_media => {
                self.media_in_stasis = true;
                self.media.seen();
                Ok(())
            }
            EventKind::StasisStart => {
                let replaced = event.replaces.as_ref().is_some_and(|old| *old.id == *self.caller_id);
                if let (true, Some(new)) = (replaced, channel) {
                    self.caller_id = new.id.to_string();
                    self.caller.seen();
                    self.is_held = false;
                    self.watch.caller_is_another(self.is_pending(Purpose::Look));
                    // What the dialplan was told of the old channel, it does not know of this one.
                    if self.telling == Step::Done {
                        self.telling = Step::Open(0);
                    }
                }
                Ok(())
            }
            EventKind::ChannelHold | EventKind::ChannelUnhold if is_caller => {
                self.is_held = event.kind == EventKind::ChannelHold;
                Ok(())
            }
            EventKind::StasisEnd | EventKind::ChannelDestroyed if is_caller => {
                self.caller.gone();
                Err(EndReason::CallerHungUp)
            }
            EventKind::ChannelDestroyed if is_media => {
                self.media.gone();
                Err(EndReason::AriFault)
            }
            EventKind::StasisEnd if is_media => Err(EndReason::AriFault),
            EventKind::BridgeDestroyed
                if event.bridge.as_ref().is_some_and(|bridge| self.bridge_id.is(&bridge.id)) =>
            {
                self.bridge.gone();
                Err(EndReason::AriFault)
            }
            _ => Ok(()),
        }
    }

    /// Sends whatever the set-up can send now.
    pub(super) fn set_up(&mut self, session_is_ready: bool, out: &mut Actions) {
        if self.bridge.is_untouched() {
            self.bridge.create_sent();
            self.send(Purpose::CreateBridge, out);
        }
        if self.media.is_untouched() && self.ours.is_some() {
            self.media.create_sent();
            self.send(Purpose::CreateMedia, out);
        }
        let ready_to_fill = self.media_replied && self.media_in_stasis && self.bridge.is_there();
        if let (true, Step::Open(sends)) = (ready_to_fill, self.filling) {
            self.filling = Step::Asked(sends + 1);
            self.send(Purpose::FillBridge, out);
        }
        let ready_to_answer =
            self.filling == Step::Done && self.media_address().is_some() && session_is_ready;
        if let (true, Step::Open(sends)) = (ready_to_answer, self.answering) {
            if self.caller_is_up {
                self.answering = Step::Done;
            } else {
                self.answering = Step::Asked(sends + 1);
                self.send(Purpose::Answer, out);
            }
        }
    }

    /// Lets go of whatever can be let go of now: the caller first, because a channel's hangup cause is lost
    /// when its bridge is removed at the same moment. Returns whether nothing is left and every request is
    /// answered.
    pub(super) fn let_go(
        &mut self,
        farewell: Farewell<'_>,
        now: Instant,
        timer: bool,
        out: &mut Actions,
    ) -> bool {
        self.watch.stop();
        self.caller.release();
        match farewell {
            Farewell::HangUp => self.hangs_up = Some(HangupReason::Normal),
            Farewell::Refuse => self.hangs_up = Some(HangupReason::Congestion),
            Farewell::Continue { status, to } => {
                if let Some(to) = to.filter(|to| **to != self.goes_to) {
                    self.goes_to = to.clone();
                }
                self.status = status;
                if matches!(self.telling, Step::Open(_)) && self.caller.is_there() {
                    self.telling = Step::Asked(1);
                    self.send(Purpose::SetStatus, out);
                }
            }
        }
        if !self.is_telling() && self.caller.poll(now, timer) {
            self.send(Purpose::LetGoCaller, out);
        }
        if self.caller.is_settled() || self.caller.is_stuck() {
            self.media.release();
            self.bridge.release();
        }
        if self.media.poll(now, timer) {
            self.send(Purpose::LetGoMedia, out);
        }
        if self.bridge.poll(now, timer) {
            self.send(Purpose::LetGoBridge, out);
        }
        self.pending.is_empty()
            && [&self.caller, &self.media, &self.bridge].iter().all(|held| held.is_settled())
    }

    /// Whether the caller waits for it that the dialplan is told.
    fn is_telling(&self) -> bool {
        matches!(self.telling, Step::Asked(_))
    }

    /// Whether something was given up on.
    pub(super) fn left_behind(&self) -> bool {
        [&self.caller, &self.media, &self.bridge].iter().any(|held| held.is_abandoned())
    }

    /// When to let go again at the latest.
    pub(super) fn deadline(&self) -> Option<Instant> {
        // While the dialplan is being told, it is the reply to that which the caller waits for.
        let caller = Some(&self.caller).filter(|_| !self.is_telling());
        caller.into_iter().chain([&self.media, &self.bridge]).filter_map(Holding::deadline).min()
    }

    /// The caller's channel left, although no event said so.
    pub(super) fn caller_left(&mut self) {
        self.caller.gone();
    }

    /// Another Asterisk runs than the one that had our channels: all of them are gone, and of what was asked of that one
    /// only a create matters still, because the new one may have got it.
    pub(super) fn asterisk_restarted(&mut self) {
        self.watch.stop();
        [&mut self.caller, &mut self.media, &mut self.bridge].into_iter().for_each(Holding::lost);
        self.pending.retain(|(_, purpose)| purpose.creates());
        self.telling = Step::Done;
    }

    /// A reply. An error means that the call cannot go on.
    pub(super) fn reply(
        &mut self,
        now: Instant,
        id: RequestId,
        status: u16,
        body: &[u8],
        out: &mut Actions,
    ) -> Result<(), EndReason> {
        let Some(purpose) = self.take(id) else { return Ok(()) };
        let ok = matches!(status, 200..=299);
        let tolerated = purpose.tolerates(status);
        if !ok && !tolerated && self.is_told_of(purpose) {
            out.observe(Observation::AriRefused { what: self.request(purpose).what(), status });
        }
        match purpose {
            Purpose::CreateMedia => {
                self.media.create_replied(status);
                self.media_replied = true;
                self.look_for_media_soon(now);
                if let Some(address) = ari::media_address(body) {
                    self.theirs = (Some(address.ip()), Some(address.port()));
                } else if (ok || tolerated) && !self.watch.is_over() {
                    self.send(Purpose::MediaAddress, out);
                    self.send(Purpose::MediaPort, out);
                }
            }
            Purpose::CreateBridge => self.bridge.create_replied(status),
            Purpose::MediaAddress => {
                self.theirs.0 = ari::variable_address(body);
                return if self.theirs.0.is_some() { Ok(()) } else { Err(EndReason::AriFault) };
            }
            Purpose::MediaPort => {
                self.theirs.1 = ari::variable_port(body);
                return if self.theirs.1.is_some() { Ok(()) } else { Err(EndReason::AriFault) };
            }
            Purpose::FillBridge if ok => self.filling = Step::Done,
            Purpose::Answer if ok => self.answering = Step::Done,
            Purpose::FillBridge | Purpose::Answer => {}
            Purpose::Look => return self.looked_at_caller(now, Some((status, body)), out),
            Purpose::LookAtMedia => return self.looked_at_media(now, Some((status, body)), out),
            Purpose::SetStatus => self.telling = Step::Done,
            Purpose::LetGoCaller => self.caller.let_go_replied(status, now),
            Purpose::LetGoMedia => self.media.let_go_replied(status, now),
            Purpose::LetGoBridge => self.bridge.let_go_replied(status, now),
        }
        if ok || tolerated || purpose.lets_go() { Ok(()) } else { Err(EndReason::AriFault) }
    }

    /// No reply will come. An error means that the call cannot go on.
    pub(super) fn no_reply(
        &mut self,
        now: Instant,
        id: RequestId,
        fault: IoFault,
        out: &mut Actions,
    ) -> Result<(), EndReason> {
        let Some(purpose) = self.take(id) else { return Ok(()) };
        if self.is_told_of(purpose) {
            out.observe(Observation::AriNoReply { what: self.request(purpose).what(), fault });
        }
        match purpose {
            Purpose::CreateMedia => self.media.create_failed(now, fault),
            Purpose::CreateBridge => self.bridge.create_failed(now, fault),
            Purpose::FillBridge => return send_again(&mut self.filling),
            Purpose::Answer => return send_again(&mut self.answering),
            Purpose::MediaAddress | Purpose::MediaPort => {}
            Purpose::Look => return self.looked_at_caller(now, None, out),
            Purpose::LookAtMedia => return self.looked_at_media(now, None, out),
            Purpose::SetStatus => self.telling = Step::Done,
            Purpose::LetGoCaller => self.caller.let_go_failed(now),
            Purpose::LetGoMedia => self.media.let_go_failed(now),
            Purpose::LetGoBridge => self.bridge.let_go_failed(now),
        }
        if purpose.lets_go() { Ok(()) } else { Err(EndReason::AriFault) }
    }

    fn is_pending(&self, purpose: Purpose) -> bool {
        self.pending.iter().any(|(_, pending)| *pending == purpose)
    }

    fn take(&mut self, id: RequestId) -> Option<Purpose> {
        let at = self.pending.iter().position(|(pending, _)| *pending == id)?;
        Some(self.pending.swap_remove(at).1)
    }

    fn send(&mut self, purpose: Purpose, out: &mut Actions) {
        self.last_request = self.last_request.wrapping_add(1);
        let id = RequestId(self.last_request);
        self.pending.push((id, purpose));
        let request = self.request(purpose);
        let path = out.write(|arena| request.write_path(arena));
        let (method, body) = (request.method(), Span::default());
        out.push(Action::Ari { id, method, path, body, timeout: purpose.timeout() });
    }
}

/// Sends a step again that does no harm when it is executed twice, a bounded number of times.
fn send_again(step: &mut Step) -> Result<(), EndReason> {
    match *step {
        Step::Asked(sends) if sends < MAX_SENDS => {
            *step = Step::Open(sends);
            Ok(())
        }
        _ => Err(EndReason::AriFault),
    }
}

#[cfg(test)]
mod tests;

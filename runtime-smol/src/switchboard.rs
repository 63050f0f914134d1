//! The driver of the switchboard: one task that owns the event socket of ARI.

use ari_bridge_core::id::LinkId;
use ari_bridge_core::switchboard::Input;
use ari_bridge_host::link::{Link, LinkEvent};
use ari_bridge_host::mailbox::Mailbox;
use ari_bridge_host::switchboard::{Desk, Errand, Machine, Notice};
use std::task::{Context, Poll};

use crate::alarm::Alarm;
use crate::ready::Source;
use crate::tasks::Tasks;
use crate::{call, net};

/// How many turns the switchboard takes before it looks at its timers.
const TURNS_PER_WAKE_UP: usize = 64;

/// The switchboard and what it drives.
pub(crate) struct Driver {
    machine: Machine,
    notices: Mailbox<Notice>,
    desk: Desk,
    tasks: Tasks,
    alarm: Alarm,
    events: Option<Link>,
    event_source: Source,
}

impl Driver {
    pub(crate) fn new(machine: Machine, notices: Mailbox<Notice>, desk: Desk, tasks: Tasks) -> Self {
        Self { machine, notices, desk, tasks, alarm: Alarm::new(), events: None, event_source: Source::new() }
    }

    /// Runs until the switchboard is drained.
    pub(crate) async fn run(mut self) {
        self.perform();
        smol::future::poll_fn(|cx| self.poll(cx)).await;
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut has_looked_again = false;
        loop {
            let exhausted = self.take_inputs(cx);
            if !self.desk.is_finished() && !exhausted && self.machine.is_due() {
                if self.machine.is_overdue() && !has_looked_again {
                    // The reactor, too, may have stood still: the sockets themselves are asked.
                    self.event_source.wake();
                    has_looked_again = true;
                    continue;
                }
                self.step(Input::Timer);
            }
            if self.desk.is_finished() {
                return Poll::Ready(());
            }
            if let Some(alive) = self.desk.beat(self.machine.clock().now()) {
                self.tasks.spawn(alive);
            }
            if exhausted || self.machine.is_due() {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let deadline = self.machine.deadline().into_iter().chain(self.desk.deadline()).min();
            if self.alarm.poll(cx, self.machine.clock(), deadline).is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// As in a call: one input of each source in turn; the answer is whether the turns are used up.
    fn take_inputs(&mut self, cx: &mut Context<'_>) -> bool {
        let (mut events, mut notices) = (self.event_source.take(cx), true);
        for _ in 0..TURNS_PER_WAKE_UP {
            events = events && self.take_event();
            notices = notices && self.take_notice(cx);
            if self.desk.is_finished() || !(events || notices) {
                return false;
            }
        }
        if events {
            self.event_source.wake();
        }
        true
    }

    fn take_event(&mut self) -> bool {
        let Some(events) = &mut self.events else { return false };
        let Poll::Ready(event) = events.poll_event(&mut self.event_source.context()) else { return false };
        if matches!(event, LinkEvent::Down(_)) {
            self.events = None;
        }
        self.step(event.of_ari());
        true
    }

    fn take_notice(&mut self, cx: &mut Context<'_>) -> bool {
        let Poll::Ready(notice) = self.notices.poll_next(cx) else { return false };
        self.desk.note(&notice);
        self.step(notice.input());
        true
    }

    fn step(&mut self, input: Input<'_>) {
        self.machine.step(input);
        self.perform();
    }

    fn perform(&mut self) {
        let (_, out) = self.machine.take_actions();
        for action in out.iter() {
            match self.desk.perform(action, &out) {
                None => {}
                Some(Errand::OpenAri(target)) => {
                    self.events = Some(Link::open(LinkId(0), net::open(target)));
                    self.event_source.wake();
                }
                Some(Errand::PingAri) => {
                    if let Some(events) = &mut self.events
                        && events.ping(&mut self.event_source.context())
                    {
                        self.event_source.wake();
                    }
                }
                Some(Errand::CloseAri) => self.events = None,
                Some(Errand::StartCall(opening)) => {
                    let tasks = self.tasks.clone();
                    self.tasks.spawn(opening.task(|opening| call::Driver::new(opening, tasks).run()));
                }
            }
        }
        self.machine.return_actions(out);
    }
}

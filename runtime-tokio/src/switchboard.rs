//! The driver of the switchboard: one task that owns the event socket of ARI.

use ari_bridge_core::id::LinkId;
use ari_bridge_core::switchboard::Input;
use ari_bridge_host::link::{Link, LinkEvent};
use ari_bridge_host::mailbox::Mailbox;
use ari_bridge_host::switchboard::{Desk, Errand, Machine, Notice};
use std::future::poll_fn;
use std::task::{Context, Poll, ready};
use tokio::task::unconstrained;

use crate::alarm::{Alarm, Timer};
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
}

impl Driver {
    pub(crate) const fn new(machine: Machine, notices: Mailbox<Notice>, desk: Desk, tasks: Tasks) -> Self {
        Self { machine, notices, desk, tasks, alarm: Alarm::new(), events: None }
    }

    /// Runs until the switchboard is drained.
    pub(crate) async fn run(mut self) {
        let mut is_new = true;
        // As in a call.
        let driven = poll_fn(|cx| {
            if std::mem::take(&mut is_new) {
                self.perform(cx);
            }
            self.poll(cx)
        });
        unconstrained(driven).await;
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(alive) = self.desk.beat(self.machine.clock().now()) {
            self.tasks.spawn(alive);
        }
        for _ in 0..TURNS_PER_WAKE_UP {
            if self.desk.is_finished() {
                return Poll::Ready(());
            }
            if !self.take_inputs(cx) && ready!(self.take_timer(cx)) == Timer::NotDue {
                ready!(self.sleep(cx));
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// As in a call: one input of each source.
    fn take_inputs(&mut self, cx: &mut Context<'_>) -> bool {
        self.take_event(cx) | self.take_notice(cx)
    }

    fn take_event(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(Poll::Ready(event)) = self.events.as_mut().map(|events| events.poll_event(cx)) else {
            return false;
        };
        if matches!(event, LinkEvent::Down(_)) {
            self.events = None;
        }
        self.step(cx, event.of_ari());
        true
    }

    fn take_notice(&mut self, cx: &mut Context<'_>) -> bool {
        let Poll::Ready(notice) = self.notices.poll_next(cx) else { return false };
        self.desk.note(&notice);
        self.step(cx, notice.input());
        true
    }

    /// Gives the machine its timer, if it is due. Where that is so late that the runtime, too, may have stood still, the
    /// runtime looks at its sockets first, and what is there is taken.
    fn take_timer(&mut self, cx: &mut Context<'_>) -> Poll<Timer> {
        if !self.machine.is_due() {
            return Poll::Ready(Timer::NotDue);
        }
        if self.machine.is_overdue() {
            ready!(self.alarm.look_again(cx));
        }
        self.step(cx, Input::Timer);
        Poll::Ready(Timer::Given)
    }

    /// Sleeps until the machine or the supervisor wants something.
    fn sleep(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let deadline = self.machine.deadline().into_iter().chain(self.desk.deadline()).min();
        self.alarm.poll(cx, self.machine.clock(), deadline)
    }

    fn step(&mut self, cx: &mut Context<'_>, input: Input<'_>) {
        self.machine.step(input);
        self.perform(cx);
    }

    fn perform(&mut self, cx: &mut Context<'_>) {
        let (_, out) = self.machine.take_actions();
        // Who watches may start tasks, and those do not belong on this thread.
        let tasks = self.tasks.clone();
        let _their_place = tasks.enter();
        for errand in out.iter().filter_map(|action| self.desk.perform(action, &out)) {
            match errand {
                Errand::OpenAri(target) => self.events = Some(Link::open(LinkId(0), net::open(target))),
                Errand::PingAri => {
                    if let Some(events) = &mut self.events {
                        // What goes wrong comes out of the next turn.
                        let _ = events.ping(cx);
                    }
                }
                Errand::CloseAri => self.events = None,
                Errand::StartCall(opening) => {
                    let tasks = self.tasks.clone();
                    self.tasks.spawn(opening.task(|opening| call::Driver::new(opening, tasks).run()));
                }
            }
        }
        self.machine.return_actions(out);
    }
}

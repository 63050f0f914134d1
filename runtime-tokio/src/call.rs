//! The driver of one call: one task that owns the machine, its media sockets and its Realtime sockets.
//!
//! It answers four questions and no others: which inputs are ready, what time it is, how an action is performed,
//! how to sleep until a deadline. What a message says is the machine's business.

use ari_bridge_core::call::{Input, IoFault, Outcome};
use ari_bridge_core::id::LegId;
use ari_bridge_host::call::{Desk, Errand, Inbox, Machine, Opening};
use ari_bridge_host::link::{Link, LinkEvent};
use ari_bridge_host::media::{Datagram, datagram};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::task::{Context, Poll, ready};
use tokio::task::unconstrained;
use tokio::time::sleep;

use crate::alarm::{Alarm, Timer};
use crate::leg::Leg;
use crate::net;
use crate::tasks::Tasks;

/// How many turns a call takes before other calls get theirs. In a turn each source gives one input at most.
const TURNS_PER_WAKE_UP: usize = 64;

/// A call and its sockets. Dropping it closes them and gives the ports back.
pub(crate) struct Driver {
    machine: Machine,
    inbox: Inbox,
    desk: Desk,
    tasks: Tasks,
    alarm: Alarm,
    legs: Vec<Leg>,
    links: Vec<Link>,
    /// Media sockets that were to be opened; the machine hears of them in its next steps.
    opened: VecDeque<(LegId, Result<SocketAddr, IoFault>)>,
    datagram: Datagram,
}

impl Driver {
    /// Makes the call. Its first actions are performed at the first poll.
    pub(crate) fn new(opening: Opening, tasks: Tasks) -> Self {
        let (machine, inbox, desk) = opening.begin();
        Self {
            machine,
            inbox,
            desk,
            tasks,
            alarm: Alarm::new(),
            legs: Vec::new(),
            links: Vec::new(),
            opened: VecDeque::new(),
            datagram: datagram(),
        }
    }

    /// Runs the call to its end.
    pub(crate) async fn run(mut self) -> Outcome {
        let mut is_new = true;
        // The turns are the budget here. The runtime's own would make sockets look empty that are not, and then the
        // timer would condemn a peer whose answer lies unread.
        let driven = poll_fn(|cx| {
            if std::mem::take(&mut is_new) {
                self.perform(cx);
            }
            self.poll(cx)
        });
        unconstrained(driven).await
    }

    /// One wake-up: every input that is ready, then the timer, then sleep.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Outcome> {
        for _ in 0..TURNS_PER_WAKE_UP {
            if let Some(outcome) = self.desk.outcome() {
                return Poll::Ready(outcome);
            }
            if !self.take_inputs(cx) && ready!(self.take_timer(cx)) == Timer::NotDue {
                ready!(self.sleep(cx));
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Takes one input of each source, so that none keeps another waiting. The runtime knows without a system call
    /// which socket has nothing.
    fn take_inputs(&mut self, cx: &mut Context<'_>) -> bool {
        self.take_opened(cx) | self.take_letter(cx) | self.take_datagrams(cx) | self.take_link_events(cx)
    }

    fn take_opened(&mut self, cx: &mut Context<'_>) -> bool {
        let Some((leg, opened)) = self.opened.pop_front() else { return false };
        let input = match opened {
            Ok(local) => Input::MediaUp { leg, local },
            Err(fault) => Input::MediaDown { leg, fault },
        };
        self.step(cx, input);
        true
    }

    fn take_letter(&mut self, cx: &mut Context<'_>) -> bool {
        let Poll::Ready(letter) = self.inbox.poll_next(cx) else { return false };
        self.step(cx, letter.input());
        true
    }

    fn take_datagrams(&mut self, cx: &mut Context<'_>) -> bool {
        let mut any = false;
        let mut index = 0;
        // A step may open and close legs.
        while let Some(socket) = self.legs.get(index) {
            let leg = socket.id;
            index += 1;
            let Poll::Ready(received) = socket.poll_receive(cx, &mut self.datagram) else { continue };
            any = true;
            match received {
                Ok((len, from)) => {
                    let bytes = self.datagram.get(..len).unwrap_or_default();
                    self.machine.step(Input::Media { leg, from, bytes });
                }
                Err(fault) => {
                    self.legs.retain(|socket| socket.id != leg);
                    self.machine.step(Input::MediaDown { leg, fault });
                }
            }
            self.perform(cx);
        }
        any
    }

    fn take_link_events(&mut self, cx: &mut Context<'_>) -> bool {
        let mut any = false;
        let mut index = 0;
        while let Some(socket) = self.links.get_mut(index) {
            let link = socket.id;
            index += 1;
            let Poll::Ready(event) = socket.poll_event(cx) else { continue };
            any = true;
            if matches!(event, LinkEvent::Down(_)) {
                self.links.retain(|socket| socket.id != link);
            }
            self.step(cx, event.of_realtime(link));
        }
        any
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

    fn sleep(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.alarm.poll(cx, self.machine.clock(), self.machine.deadline())
    }

    fn step(&mut self, cx: &mut Context<'_>, input: Input<'_>) {
        self.machine.step(input);
        self.perform(cx);
    }

    /// Performs the actions of the last step.
    fn perform(&mut self, cx: &mut Context<'_>) {
        let (now, out) = self.machine.take_actions();
        for action in out.iter() {
            if let Some(errand) = self.desk.perform(now, action, &out) {
                self.run_errand(cx, errand);
            }
        }
        self.machine.return_actions(out);
    }

    fn run_errand(&mut self, cx: &mut Context<'_>, errand: Errand<'_>) {
        match errand {
            Errand::OpenMedia { leg, bound } => {
                let opened = bound.and_then(|bound| Leg::new(leg, bound));
                self.opened.push_back((
                    leg,
                    opened.map(|socket| {
                        let local = socket.local;
                        self.legs.push(socket);
                        local
                    }),
                ));
            }
            Errand::SendMedia { leg, to, bytes } => {
                if let Some(socket) = self.legs.iter().find(|socket| socket.id == leg) {
                    socket.send(to, bytes);
                }
            }
            Errand::CloseMedia { leg } => self.legs.retain(|socket| socket.id != leg),
            Errand::OpenRealtime { link, target } => self.links.push(Link::open(link, net::open(target))),
            // What goes wrong with a link comes out of the next turn.
            Errand::SendRealtime { link, text } => {
                if let Some(socket) = self.links.iter_mut().find(|socket| socket.id == link) {
                    let _ = socket.send(cx, text);
                }
            }
            Errand::PingRealtime { link } => {
                if let Some(socket) = self.links.iter_mut().find(|socket| socket.id == link) {
                    let _ = socket.ping(cx);
                }
            }
            Errand::CloseRealtime { link, code } => {
                let closed = self.links.iter().position(|socket| socket.id == link);
                if let Some(socket) = closed.and_then(|index| self.links.swap_remove(index).into_socket()) {
                    self.tasks.spawn(net::close(socket, code));
                }
            }
            Errand::Later { after, act } => self.tasks.spawn(async move {
                sleep(after).await;
                act();
            }),
        }
    }
}

//! What goes into the stand-in for Asterisk and what comes out of it.

use crate::actions::Span;
use core::net::SocketAddr;

/// The output buffer of the stand-in.
pub type Actions = crate::actions::Actions<Output>;

/// What happened.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// An HTTP request came that is not an upgrade.
    Request {
        /// Comes back with [`Output::Reply`].
        id: u64,
        /// `GET`, `POST`, …
        method: &'a str,
        /// Path and query, with or without the leading `/ari`.
        target: &'a str,
        /// The `Authorization` header.
        authorization: Option<&'a str>,
        /// The body: JSON or nothing.
        body: &'a [u8],
    },
    /// A client asks for the event socket. Answered by [`Output::Accepted`] or [`Output::Refused`].
    EventsOpened {
        /// How the driver names the socket.
        socket: u64,
        /// Path and query.
        target: &'a str,
        /// The `Authorization` header.
        authorization: Option<&'a str>,
    },
    /// An event socket is gone.
    EventsClosed {
        /// Which.
        socket: u64,
    },
    /// A datagram came on a port that [`Output::BindRtp`] asked for.
    Datagram {
        /// The port it came to.
        local_port: u16,
        /// Whose it is.
        from: SocketAddr,
        /// The datagram.
        bytes: &'a [u8],
    },
    /// Somebody calls: a new channel runs the dialplan, which hands it to `Stasis(app, number, exten)`.
    Dial {
        /// How the test names the caller; a name in use is ignored.
        caller: u64,
        /// Who calls.
        number: &'a str,
        /// What was dialled.
        exten: &'a str,
        /// Whether the dialplan answers before it enters Stasis.
        answered: bool,
    },
    /// The telephone of a caller who is in a bridge makes an attended transfer: another one takes its place.
    Transfer {
        /// Whose telephone.
        caller: u64,
        /// How the test names who is there instead; a name in use is ignored.
        by: u64,
        /// Its number.
        number: &'a str,
    },
    /// Another client of ARI has called somebody, who answers and is in [`super::Settings::app`].
    Originate {
        /// How the test names whom; a name in use is ignored.
        caller: u64,
        /// Its number.
        number: &'a str,
    },
    /// The caller hangs up.
    Hangup {
        /// Who.
        caller: u64,
    },
    /// The caller presses a key, and lets it go after 120 ms.
    Press {
        /// Who.
        caller: u64,
        /// `0` to `9`, `A` to `D`, `*` or `#`.
        digit: char,
    },
    /// The caller begins to say this, now, after what it is still saying. Words spoken while the line is not
    /// answered or not bridged are lost.
    Speak {
        /// Who.
        caller: u64,
        /// 16 kHz mono.
        pcm: &'a [i16],
    },
    /// The deadline has passed.
    Timer,
}

/// What the driver is to do, or a test wants to know.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Output {
    /// Answer a request.
    Reply {
        /// Which.
        id: u64,
        /// The HTTP status.
        status: u16,
        /// The body: JSON, or empty.
        body: Span,
    },
    /// Complete the upgrade.
    Accepted {
        /// Of which socket.
        socket: u64,
    },
    /// Refuse the upgrade.
    Refused {
        /// Of which socket.
        socket: u64,
        /// The HTTP status.
        status: u16,
    },
    /// Send a text message.
    Event {
        /// On which socket.
        socket: u64,
        /// The JSON.
        text: Span,
    },
    /// Close an event socket.
    CloseSocket {
        /// Which.
        socket: u64,
    },
    /// Receive on this UDP port from now on. Comes before the reply that tells the port to the client.
    BindRtp {
        /// The port, one of [`super::Settings::rtp_ports`].
        port: u16,
    },
    /// Receive no more on this port.
    UnbindRtp {
        /// The port.
        port: u16,
    },
    /// Send a datagram.
    SendRtp {
        /// From which port.
        from_port: u16,
        /// To whom.
        to: SocketAddr,
        /// The datagram.
        bytes: Span,
    },
    /// What the caller's ear gets in 20 ms: 320 samples, 16 kHz, little-endian. Comes once per 20 ms while the
    /// line is answered and bridged, silence included.
    Heard {
        /// Who.
        caller: u64,
        /// The samples.
        pcm: Span,
    },
    /// The line of a caller changed.
    CallerState {
        /// Whose.
        caller: u64,
        /// To what.
        state: CallerState,
    },
}

/// What a caller's line does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CallerState {
    /// It rings.
    Ringing,
    /// It is answered.
    Answered,
    /// The application gave the call back (`continue`), or was not there: the dialplan goes on with it.
    InDialplan,
    /// The call is over.
    Gone,
}

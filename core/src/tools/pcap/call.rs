//! What a call hears and says: RTP, ARI, the Realtime socket, tools.

use super::Traffic;
use super::file::{Message, Packets, Way};
use super::message::{ARI, Answer, REALTIME, TOOL, word};
use crate::call::{Action, Actions, Call, Input, Origin, Start, ToolAsk};
use crate::format::{Encoding, MediaFormat, PTIME_MS};
use crate::id::LegId;
use crate::replay::Step;
use crate::settings::CallSettings;
use crate::time::UtcNanos;
use crate::tools::input::Body;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use serde::Serialize;
use std::io::{self, Write};

/// The payload type on which Asterisk sends telephone events (RFC 4733) where there is no SDP.
const TELEPHONE_EVENT: u8 = 101;

/// To how many addresses at most streams are described. A call has two.
const MAX_DESCRIBED: usize = 16;

/// What is known of a call's media.
#[derive(Debug)]
pub struct CallTraffic {
    format: MediaFormat,
    /// How Asterisk is told to reach the bridge, if that is an address.
    advertised: Option<IpAddr>,
    /// The leg that was opened last, and where.
    local: Option<(LegId, SocketAddr)>,
    /// Where streams go to that were described.
    described: Vec<SocketAddr>,
}

/// A tool that is called.
#[derive(Serialize)]
struct Called<'a> {
    id: u32,
    asks: &'static str,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    arguments: Option<Body<'a>>,
}

/// That a Realtime socket is open or is to be.
#[derive(Serialize)]
struct Link {
    link: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    close_code: Option<u16>,
}

/// That it has ended.
#[derive(Serialize)]
struct Down<'a> {
    link: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    http_status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    close_code: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Body<'a>>,
}

impl Traffic for Call {
    type Known = CallTraffic;

    fn known(settings: &CallSettings, start: &Start<'_>) -> CallTraffic {
        CallTraffic {
            format: start.media.format,
            advertised: settings.advertise_host.as_ref().and_then(|host| host.parse().ok()),
            local: None,
            described: Vec::new(),
        }
    }

    fn begun(start: &Start<'_>) -> UtcNanos {
        start.utc
    }

    fn write_start<W: Write>(start: &Start<'_>, packets: &mut Packets<W>) -> io::Result<()> {
        match start.origin {
            Origin::Arrived { event } => packets.as_it_is(Way::In, ARI, "event from Asterisk", event),
            Origin::Adopted { channel } => packets.as_it_is(Way::In, ARI, "channel at Asterisk", channel),
        }
    }

    fn write_step<W: Write>(
        known: &mut CallTraffic,
        step: &Step<'_, Self>,
        packets: &mut Packets<W>,
    ) -> io::Result<()> {
        if let Some(input) = step.input {
            known.input(input, packets)?;
        }
        step.out.iter().try_for_each(|action| known.action(action, step.out, packets))
    }
}

impl CallTraffic {
    fn input<W: Write>(&mut self, input: Input<'_>, packets: &mut Packets<W>) -> io::Result<()> {
        match input {
            Input::Ari(bytes) => packets.as_it_is(Way::In, ARI, "event from Asterisk", bytes),
            Input::AriReply { id, status, body } => {
                packets.answer(ARI, "request", id.0, Answer::Came { status, body })
            }
            Input::AriFailed { id, fault } => packets.answer(ARI, "request", id.0, Answer::Failed(fault)),
            Input::MediaUp { leg, local } => {
                self.local = Some((leg, local));
                Ok(())
            }
            Input::Media { leg, from, bytes } => {
                let from = canonical(from);
                let local = self.local_on(leg, from);
                self.describe(Way::In, local, self.format.from_asterisk(), packets)?;
                packets.datagram(Way::In, from, local, bytes)
            }
            Input::RealtimeUp { link } => {
                let value = Link { link: link.0, close_code: None };
                packets.as_json(Way::In, REALTIME, format_args!("link {} is open", link.0), &value)
            }
            Input::Realtime { link, bytes } => {
                packets.as_it_is(Way::In, REALTIME, format_args!("from the model, link {}", link.0), bytes)
            }
            Input::RealtimeDown { link, http_status, code, reason, fault, .. } => {
                let value = Down {
                    link: link.0,
                    http_status,
                    close_code: code,
                    fault: fault.map(|fault| fault.to_string()),
                    reason: Body::of(reason),
                };
                packets.as_json(Way::In, REALTIME, format_args!("link {} has ended", link.0), &value)
            }
            Input::ToolReply { id, status, body } => {
                packets.answer(TOOL, "tool", id.0, Answer::Came { status, body })
            }
            Input::ToolFailed { id, fault } => packets.answer(TOOL, "tool", id.0, Answer::Failed(fault)),
            Input::AriLink(_)
            | Input::MediaDown { .. }
            | Input::RealtimePong { .. }
            | Input::Timer
            | Input::Stop(_) => Ok(()),
        }
    }

    fn action<W: Write>(
        &mut self,
        action: Action,
        out: &Actions,
        packets: &mut Packets<W>,
    ) -> io::Result<()> {
        match action {
            Action::Ari { id, method, path, body, .. } => {
                packets.request(id, method, out.text(path), out.bytes(body))
            }
            Action::SendMedia { leg, to, bytes } => {
                let to = canonical(to);
                self.describe(Way::Out, to, self.format.to_asterisk(), packets)?;
                packets.datagram(Way::Out, self.local_on(leg, to), to, out.bytes(bytes))
            }
            Action::SendRealtime { link, bytes } => {
                let whose = format_args!("to the model, link {}", link.0);
                packets.as_it_is(Way::Out, REALTIME, whose, out.bytes(bytes))
            }
            Action::OpenRealtime { link, .. } => {
                let value = Link { link: link.0, close_code: None };
                packets.as_json(Way::Out, REALTIME, format_args!("link {} is opened", link.0), &value)
            }
            Action::CloseRealtime { link, code } => {
                let value = Link { link: link.0, close_code: Some(code) };
                packets.as_json(Way::Out, REALTIME, format_args!("link {} is closed", link.0), &value)
            }
            Action::Tool { id, asks, name, arguments, .. } => {
                let asks = match asks {
                    ToolAsk::Function => "function",
                    ToolAsk::Approval => "approval",
                };
                let (name, arguments) = (out.text(name), Body::of(out.bytes(arguments)));
                let comment = format!("tool {}: {asks} {}", id.0, word(name));
                packets.as_json(Way::Out, TOOL, comment, &Called { id: id.0, asks, name, arguments })
            }
            Action::OpenMedia { .. }
            | Action::CloseMedia { .. }
            | Action::PingRealtime { .. }
            | Action::Record(_)
            | Action::Tell(_)
            | Action::Observe(_)
            | Action::Finish(_) => Ok(()),
        }
    }

    /// The address of the leg, as this peer sees it: a socket that is bound to every address says none, and then it is the
    /// one that Asterisk is told, if it is told one.
    fn local_on(&self, leg: LegId, peer: SocketAddr) -> SocketAddr {
        let local = self.local.filter(|(open, _)| *open == leg).map(|(_, local)| canonical(local));
        let port = local.map_or(0, |local| local.port());
        let is_usable = |ip: &IpAddr| !ip.is_unspecified() && ip.is_ipv4() == peer.is_ipv4();
        let none = if peer.is_ipv4() {
            IpAddr::V4(Ipv4Addr::UNSPECIFIED)
        } else {
            IpAddr::V6(Ipv6Addr::UNSPECIFIED)
        };
        let ip = [local.map(|local| local.ip()), self.advertised].into_iter().flatten().find(is_usable);
        SocketAddr::new(ip.unwrap_or(none), port)
    }

    /// Describes the stream that goes to `to`, once.
    fn describe<W: Write>(
        &mut self,
        way: Way,
        to: SocketAddr,
        encoding: Encoding,
        packets: &mut Packets<W>,
    ) -> io::Result<()> {
        if self.described.contains(&to) || self.described.len() >= MAX_DESCRIBED {
            return Ok(());
        }
        self.described.push(to);
        let sdp = sdp(to, encoding);
        let comment = format!("what is sent to {to}; described here, never sent");
        packets.message(Message {
            way,
            dissector: "sdp",
            protocol: "SDP",
            comment: &comment,
            bytes: sdp.as_bytes(),
        })
    }
}

/// The stream that goes to this address (RFC 8866, with the formats of RFC 3551 and RFC 4733).
fn sdp(to: SocketAddr, encoding: Encoding) -> String {
    let family = if to.is_ipv4() { "IP4" } else { "IP6" };
    let (payload_type, clock, ip, port) =
        (encoding.payload_type(), encoding.clock_rate(), to.ip(), to.port());
    let name = match encoding {
        Encoding::Pcmu => "PCMU",
        Encoding::Pcma => "PCMA",
        Encoding::G722 => "G722",
        Encoding::L16Wideband => "L16",
    };
    format!(
        "v=0\r\no=- 0 0 IN {family} {ip}\r\ns=ari-bridge\r\nc=IN {family} {ip}\r\nt=0 0\r\n\
         m=audio {port} RTP/AVP {payload_type} {TELEPHONE_EVENT}\r\na=rtpmap:{payload_type} {name}/{clock}\r\n\
         a=rtpmap:{TELEPHONE_EVENT} telephone-event/8000\r\na=ptime:{PTIME_MS}\r\n"
    )
}

/// On a socket that is bound to `::`, an IPv4 peer appears as an IPv6 one (RFC 4291 §2.5.5.2).
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

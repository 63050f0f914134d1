//! The Asterisk REST Interface as values: events and replies in, requests out.
//!
//! Names and shapes are those of the API description that Asterisk serves (`/ari/api-docs`, read at 22.10.1).
//! Unknown events and fields are ignored; an optional field may be absent or null.

mod snapshot;

pub use snapshot::{Started, application_channels, bridges};

use crate::format::MediaFormat;
use crate::id::ResourceId;
use crate::json::{Object, Text, lenient, lenient_list, object, only_string};
use crate::settings::Place;
use crate::uri::{Encoded, authority};
use core::net::{IpAddr, SocketAddr};
use serde::Deserialize;

/// The longest reply body that is looked at, in bytes: some ten thousand bridges, of which Asterisk shows some 350 bytes
/// each.
pub const MAX_REPLY_BYTES: usize = 4 * 1024 * 1024;

/// The longest event that is looked at, in bytes. Asterisk itself stays below 65,535 a frame.
pub const MAX_EVENT_BYTES: usize = 256 * 1024;

/// What an event tells, as far as the bridge acts on it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EventKind {
    /// A channel entered the application.
    StasisStart,
    /// A channel left it: hung up, or continued in the dialplan. For a caller who came from the dialplan this
    /// is the last event; `ChannelDestroyed` follows only for channels that ARI made (measured).
    StasisEnd,
    /// A channel is gone.
    ChannelDestroyed,
    /// The telephone of a channel put the call on hold. Asterisk plays music to the bridge from now on.
    ChannelHold,
    /// It took the call back.
    ChannelUnhold,
    /// The caller has pressed a key, and let it go.
    ChannelDtmfReceived,
    /// A bridge is gone.
    BridgeDestroyed,
    /// Another client registered our application name; this socket is deaf from now on.
    ApplicationReplaced,
    /// Anything else.
    Other,
}

/// An event, borrowed from its bytes.
#[derive(Clone, Debug)]
pub struct Event<'a> {
    /// What it tells.
    pub kind: EventKind,
    /// The channel that it is about.
    pub channel: Option<Channel<'a>>,
    /// The channel whose place `channel` takes (an attended transfer); only in `StasisStart`.
    pub replaces: Option<Channel<'a>>,
    /// The bridge that it is about.
    pub bridge: Option<Bridge<'a>>,
    /// The key; only in `ChannelDtmfReceived`.
    pub digit: Text<'a>,
    /// The arguments that the dialplan gave to `Stasis(…)`; only in `StasisStart`.
    pub args: Vec<Text<'a>>,
}

/// A channel, as far as the bridge looks at it.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Channel<'a> {
    /// Its id: opaque, and ours if we made it.
    #[serde(borrow, default)]
    pub id: Text<'a>,
    /// `<technology>/<resource>-<unique part>`.
    #[serde(borrow, default)]
    pub name: Text<'a>,
    /// `Up` once answered; `Ring` before.
    #[serde(borrow, default)]
    pub state: Text<'a>,
    /// Who calls.
    #[serde(borrow, default, deserialize_with = "lenient")]
    pub caller: Party<'a>,
    /// What is executed on it.
    #[serde(borrow, default, deserialize_with = "lenient")]
    pub dialplan: Dialplan<'a>,
}

/// What is executed on a channel.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Dialplan<'a> {
    /// The application of the dialplan: `Stasis` while an ARI application has the channel.
    #[serde(borrow, default)]
    pub app_name: Text<'a>,
    /// What the dialplan gave to it, with commas between: for `Stasis` the ARI application and its arguments.
    #[serde(borrow, default)]
    pub app_data: Text<'a>,
}

/// Somebody at one end of a channel.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Party<'a> {
    /// The telephone number; empty if it is withheld.
    #[serde(borrow, default)]
    pub number: Text<'a>,
}

/// A bridge, as far as the bridge looks at it.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Bridge<'a> {
    /// Its id.
    #[serde(borrow, default)]
    pub id: Text<'a>,
    /// Its name, which its maker chose; ours bears the name of our application ([`Request::CreateBridge`]).
    #[serde(borrow, default)]
    pub name: Text<'a>,
}

impl<'a> Channel<'a> {
    /// Reads a channel, as `GET /channels/{id}` shows it; `None` if it is not JSON of a channel's shape.
    #[must_use]
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        object(bytes).filter(|channel: &Self| !channel.id.is_empty())
    }

    /// Whether the channel is in the ARI application of that name at this moment.
    #[must_use]
    pub fn is_in(&self, app: &str) -> bool {
        &*self.dialplan.app_name == "Stasis" && self.app_data().next() == Some(app)
    }

    /// The name of the ARI application and its arguments.
    fn app_data(&self) -> impl Iterator<Item = &str> {
        self.dialplan.app_data.split(',')
    }

    /// Whether the channel was made to carry media to an application, ours or another's: never a caller.
    #[must_use]
    pub fn is_media(&self) -> bool {
        const TECHNOLOGIES: [&str; 6] =
            ["UnicastRTP/", "WebSocket/", "AudioSocket/", "Snoop/", "Announcer/", "Recorder/"];
        TECHNOLOGIES.iter().any(|technology| self.name.starts_with(technology))
    }

    /// Whether somebody has answered it already.
    #[must_use]
    pub fn is_up(&self) -> bool {
        &*self.state == "Up"
    }
}

impl<'a> Event<'a> {
    /// Reads an event; `None` if it is not JSON of an event's shape.
    #[must_use]
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Raw<'a> {
            #[serde(rename = "type", borrow, deserialize_with = "only_string")]
            kind: Text<'a>,
            #[serde(borrow, default)]
            channel: Option<Object<Channel<'a>>>,
            #[serde(borrow, default)]
            replace_channel: Option<Object<Channel<'a>>>,
            #[serde(borrow, default)]
            bridge: Option<Object<Bridge<'a>>>,
            #[serde(borrow, default)]
            digit: Text<'a>,
            #[serde(borrow, default, deserialize_with = "lenient_list")]
            args: Vec<Text<'a>>,
        }

        if bytes.len() > MAX_EVENT_BYTES {
            return None;
        }
        let raw: Raw<'a> = object(bytes)?;
        let kind = match &*raw.kind {
            "StasisStart" => EventKind::StasisStart,
            "StasisEnd" => EventKind::StasisEnd,
            "ChannelDestroyed" => EventKind::ChannelDestroyed,
            "ChannelHold" => EventKind::ChannelHold,
            "ChannelUnhold" => EventKind::ChannelUnhold,
            "ChannelDtmfReceived" => EventKind::ChannelDtmfReceived,
            "BridgeDestroyed" => EventKind::BridgeDestroyed,
            "ApplicationReplaced" => EventKind::ApplicationReplaced,
            "" => return None,
            _ => EventKind::Other,
        };
        let Raw { channel, replace_channel, bridge, digit, args, .. } = raw;
        let (channel, replaces) = (channel.map(|it| it.0), replace_channel.map(|it| it.0));
        Some(Self { kind, channel, replaces, bridge: bridge.map(|it| it.0), digit, args })
    }

    /// The event by which a channel entered the application, from what `GET /channels/{id}` shows of it; `None` if it
    /// is not JSON of a channel's shape.
    #[must_use]
    pub fn of_channel(bytes: &'a [u8]) -> Option<Self> {
        let channel = Channel::parse(bytes)?;
        let args = channel.app_data().skip(1).map(|arg| Text::from(arg.to_owned())).collect();
        let (kind, channel) = (EventKind::StasisStart, Some(channel));
        Some(Self { kind, channel, replaces: None, bridge: None, digit: Text::default(), args })
    }

    /// The caller's number: that of the channel, or else the first argument of `Stasis(…)`. Empty if it is withheld.
    #[must_use]
    pub fn caller_number(&self) -> &str {
        let of_channel = self.channel.as_ref().map(|channel| &*channel.caller.number).unwrap_or_default();
        let given = self.args.first().map(|arg| &**arg).unwrap_or_default();
        if of_channel.is_empty() { given } else { of_channel }
    }
}

/// The address on which the media channel listens, from the reply to [`Request::ExternalMedia`].
///
/// Older versions do not put it there; then it is asked for by [`Request::Variable`].
#[must_use]
pub fn media_address(reply: &[u8]) -> Option<SocketAddr> {
    #[derive(Default, Deserialize)]
    struct Vars<'a> {
        #[serde(rename = "UNICASTRTP_LOCAL_ADDRESS", borrow, default)]
        address: Text<'a>,
        #[serde(rename = "UNICASTRTP_LOCAL_PORT", borrow, default)]
        port: Text<'a>,
    }
    #[derive(Deserialize)]
    struct Reply<'a> {
        #[serde(borrow, default, deserialize_with = "lenient")]
        channelvars: Vars<'a>,
    }

    let vars = object::<Reply<'_>>(reply)?.channelvars;
    Some(SocketAddr::new(vars.address.parse().ok()?, port(&vars.port)?))
}

/// Whether the channel in the reply to [`Request::Look`] is in the ARI application of that name; `None` if the reply
/// does not show that.
#[must_use]
pub fn is_shown_in(reply: &[u8], app: &str) -> Option<bool> {
    #[derive(Deserialize)]
    struct Shown<'a> {
        #[serde(borrow)]
        dialplan: Object<Dialplan<'a>>,
    }

    let Object(dialplan) = object::<Shown<'_>>(reply)?.dialplan;
    Some(Channel { dialplan, ..Channel::default() }.is_in(app))
}

/// The value in the reply to [`Request::Variable`], read as an IP address.
#[must_use]
pub fn variable_address(reply: &[u8]) -> Option<IpAddr> {
    variable(reply)?.parse().ok()
}

/// The value in the reply to [`Request::Variable`], read as a port.
#[must_use]
pub fn variable_port(reply: &[u8]) -> Option<u16> {
    port(&variable(reply)?)
}

fn variable(reply: &[u8]) -> Option<Text<'_>> {
    #[derive(Deserialize)]
    struct Reply<'a> {
        #[serde(borrow)]
        value: Text<'a>,
    }
    Some(object::<Reply<'_>>(reply)?.value)
}

fn port(text: &str) -> Option<u16> {
    text.parse().ok().filter(|&port| port != 0)
}

/// An HTTP method that ARI uses.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Method {
    /// GET
    Get,
    /// POST
    Post,
    /// DELETE
    Delete,
}

impl Method {
    /// As it stands in a request line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Delete => "DELETE",
        }
    }
}

/// Why a channel is hung up, as far as its far end is to know.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HangupReason {
    /// The call is over. A SIP caller who was not answered gets 603 (measured).
    Normal,
    /// It could not be taken. A SIP caller who was not answered gets 503 with cause 34 (measured), on which a
    /// provider may try another route, and a telephone plays the tone for congestion.
    Congestion,
}

/// The channel variable that tells the dialplan why a caller comes back to it.
pub const STATUS_VARIABLE: &str = "ARI_BRIDGE_STATUS";

/// A request to ARI.
#[derive(Clone, Copy, Debug)]
pub enum Request<'a> {
    /// Make the channel that carries the media.
    ExternalMedia {
        /// Our application.
        app: &'a str,
        /// The id that it is to bear.
        channel: ResourceId,
        /// The host to which Asterisk is to send.
        host: &'a str,
        /// The port to which Asterisk is to send.
        port: u16,
        /// In which format.
        format: MediaFormat,
    },
    /// Read a variable of the media channel.
    Variable {
        /// The channel.
        channel: ResourceId,
        /// The variable.
        name: &'static str,
    },
    /// Make a mixing bridge.
    CreateBridge {
        /// The id that it is to bear.
        bridge: ResourceId,
        /// Our application, whose name it bears: by that, a later run of the bridge knows that it is ours.
        app: &'a str,
    },
    /// Put the caller and the media channel into the bridge.
    AddToBridge {
        /// The bridge.
        bridge: ResourceId,
        /// The caller's channel.
        caller: &'a str,
        /// The media channel.
        media: ResourceId,
    },
    /// Ask since when which Asterisk is running.
    Info,
    /// Ask for the channels of an application.
    Application {
        /// Which.
        app: &'a str,
    },
    /// Ask for all bridges.
    Bridges,
    /// Look whether the caller's channel is still there, and in our application ([`is_shown_in`]).
    Look {
        /// The caller's channel.
        caller: &'a str,
    },
    /// Look the same of the media channel.
    LookAtMedia(ResourceId),
    /// Answer the caller.
    Answer {
        /// The caller's channel.
        caller: &'a str,
    },
    /// Set [`STATUS_VARIABLE`] on the caller's channel. It works only as long as the channel is ours: after
    /// [`Request::Continue`] it is a 404 (measured).
    SetStatus {
        /// The caller's channel.
        caller: &'a str,
        /// Why the caller goes on in the dialplan.
        value: &'static str,
    },
    /// Send the caller on in the dialplan.
    ///
    /// What the place does not name is Asterisk's to fill in (measured on 22.10.1, from a third priority): with
    /// nothing named it is the next priority; a context alone is its extension `s` and priority 1, an extension
    /// alone is priority 1 of it in the channel's own context, and a priority alone is that of the channel's own
    /// extension, so that 1 leads back into `Stasis()`. A place that is not there is no error of the request: the
    /// channel is hung up.
    Continue {
        /// The caller's channel.
        caller: &'a str,
        /// Where.
        to: &'a Place,
    },
    /// Hang up the caller.
    HangUp {
        /// The caller's channel.
        caller: &'a str,
        /// What the caller learns.
        reason: HangupReason,
    },
    /// Remove a channel of ours.
    DeleteChannel(ResourceId),
    /// Remove a bridge of ours.
    DeleteBridge(ResourceId),
}

impl Request<'_> {
    /// The HTTP method.
    #[must_use]
    pub const fn method(&self) -> Method {
        match self {
            Self::ExternalMedia { .. }
            | Self::CreateBridge { .. }
            | Self::AddToBridge { .. }
            | Self::Answer { .. }
            | Self::SetStatus { .. }
            | Self::Continue { .. } => Method::Post,
            Self::Variable { .. } | Self::Look { .. } | Self::LookAtMedia(_) => Method::Get,
            Self::Info | Self::Application { .. } | Self::Bridges => Method::Get,
            Self::HangUp { .. } | Self::DeleteChannel(_) | Self::DeleteBridge(_) => Method::Delete,
        }
    }

    /// What it is for, to be read after "refused to".
    #[must_use]
    pub const fn what(&self) -> &'static str {
        match self {
            Self::ExternalMedia { .. } => "make the media channel",
            Self::Variable { .. } => "tell the media address",
            Self::CreateBridge { .. } => "make the bridge",
            Self::AddToBridge { .. } => "bridge the caller",
            Self::Info => "tell since when it is running",
            Self::Application { .. } => "show the application's channels",
            Self::Bridges => "show its bridges",
            Self::Look { .. } => "show the caller's channel",
            Self::LookAtMedia(_) => "show the media channel",
            Self::Answer { .. } => "answer the caller",
            Self::SetStatus { .. } => "tell the dialplan why the caller goes on",
            Self::Continue { .. } => "send the caller on in the dialplan",
            Self::HangUp { .. } => "hang up the caller",
            Self::DeleteChannel(_) => "remove the media channel",
            Self::DeleteBridge(_) => "remove the bridge",
        }
    }

    /// Appends the path below `/ari`, with its query. Everything that somebody else chose is percent-encoded,
    /// so that a channel's name cannot become another request.
    pub fn write_path(&self, out: &mut Vec<u8>) {
        use std::io::Write;
        // Writing to a Vec cannot fail.
        let _ = match *self {
            Self::ExternalMedia { app, channel, host, port, format } => write!(
                out,
                "/channels/externalMedia?app={}&channelId={channel}&external_host={}&format={format}\
                 &encapsulation=rtp&transport=udp&connection_type=client&direction=both&data=ari-bridge",
                Encoded(app),
                Encoded(&authority(host, port))
            ),
            Self::Variable { channel, name } => write!(out, "/channels/{channel}/variable?variable={name}"),
            Self::CreateBridge { bridge, app } => {
                write!(out, "/bridges?type=mixing&bridgeId={bridge}&name={}", Encoded(app))
            }
            Self::AddToBridge { bridge, caller, media } => {
                write!(out, "/bridges/{bridge}/addChannel?channel={},{media}", Encoded(caller))
            }
            Self::Info => out.write_all(b"/asterisk/info"),
            Self::Application { app } => write!(out, "/applications/{}", Encoded(app)),
            Self::Bridges => out.write_all(b"/bridges"),
            Self::Look { caller } | Self::HangUp { caller, reason: HangupReason::Normal } => {
                write!(out, "/channels/{}", Encoded(caller))
            }
            Self::HangUp { caller, reason: HangupReason::Congestion } => {
                write!(out, "/channels/{}?reason=congestion", Encoded(caller))
            }
            Self::Answer { caller } => write!(out, "/channels/{}/answer", Encoded(caller)),
            Self::SetStatus { caller, value } => write!(
                out,
                "/channels/{}/variable?variable={STATUS_VARIABLE}&value={}",
                Encoded(caller),
                Encoded(value)
            ),
            Self::Continue { caller, to } => {
                let _ = write!(out, "/channels/{}/continue", Encoded(caller));
                write_place(to, out)
            }
            Self::LookAtMedia(id) | Self::DeleteChannel(id) => write!(out, "/channels/{id}"),
            Self::DeleteBridge(id) => write!(out, "/bridges/{id}"),
        };
    }
}

/// Appends a place as a query: the parts that it names.
fn write_place(place: &Place, out: &mut Vec<u8>) -> std::io::Result<()> {
    use std::io::Write;
    let mut sign = '?';
    let texts = [("context", &place.context), ("extension", &place.extension)];
    for (name, text) in texts.iter().filter_map(|(name, text)| Some((name, text.as_deref()?))) {
        write!(out, "{sign}{name}={}", Encoded(text))?;
        sign = '&';
    }
    place.priority.map_or(Ok(()), |priority| write!(out, "{sign}priority={priority}"))
}

#[cfg(test)]
mod tests;

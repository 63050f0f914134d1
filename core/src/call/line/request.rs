//! What the line asks of Asterisk, and for what.

use super::{Line, REPLY_WITHIN, STATUS_WITHIN};
use crate::ari::Request;
use crate::time::Duration;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Purpose {
    CreateMedia,
    MediaAddress,
    MediaPort,
    CreateBridge,
    FillBridge,
    Answer,
    Look,
    LookAtMedia,
    SetStatus,
    LetGoCaller,
    LetGoMedia,
    LetGoBridge,
}

impl Purpose {
    /// Whether it is part of the clean-up, and its failure no reason to end the call.
    pub(super) const fn lets_go(self) -> bool {
        matches!(self, Self::SetStatus | Self::LetGoCaller | Self::LetGoMedia | Self::LetGoBridge)
    }

    /// Whether it makes something.
    pub(super) const fn creates(self) -> bool {
        matches!(self, Self::CreateMedia | Self::CreateBridge)
    }

    /// Whether it asks if something is still there.
    pub(super) const fn looks(self) -> bool {
        matches!(self, Self::Look | Self::LookAtMedia)
    }

    /// Whether this status, which is none of success, is an answer all the same.
    pub(super) const fn tolerates(self, status: u16) -> bool {
        match self {
            Self::CreateMedia | Self::CreateBridge => status == 409,
            Self::Look
            | Self::LookAtMedia
            | Self::SetStatus
            | Self::LetGoCaller
            | Self::LetGoMedia
            | Self::LetGoBridge => matches!(status, 404 | 409),
            Self::MediaAddress | Self::MediaPort | Self::FillBridge | Self::Answer => false,
        }
    }

    /// How long the reply is waited for.
    pub(super) const fn timeout(self) -> Duration {
        if matches!(self, Self::SetStatus) { STATUS_WITHIN } else { REPLY_WITHIN }
    }
}

impl Line {
    /// The request that serves a purpose.
    pub(super) fn request(&self, purpose: Purpose) -> Request<'_> {
        let caller = self.caller_id.as_str();
        match purpose {
            Purpose::CreateMedia => {
                let (host, port) = self.ours.as_ref().map_or(("", 0), |(host, port)| (host.as_str(), *port));
                Request::ExternalMedia {
                    app: &self.app,
                    channel: self.media_id,
                    host,
                    port,
                    format: self.format,
                }
            }
            Purpose::MediaAddress => {
                Request::Variable { channel: self.media_id, name: "UNICASTRTP_LOCAL_ADDRESS" }
            }
            Purpose::MediaPort => Request::Variable { channel: self.media_id, name: "UNICASTRTP_LOCAL_PORT" },
            Purpose::CreateBridge => Request::CreateBridge { bridge: self.bridge_id, app: &self.app },
            Purpose::FillBridge => {
                Request::AddToBridge { bridge: self.bridge_id, caller, media: self.media_id }
            }
            Purpose::Answer => Request::Answer { caller },
            Purpose::Look => Request::Look { caller },
            Purpose::LookAtMedia => Request::LookAtMedia(self.media_id),
            Purpose::SetStatus => Request::SetStatus { caller, value: self.status },
            Purpose::LetGoCaller => match self.hangs_up {
                Some(reason) => Request::HangUp { caller, reason },
                None => Request::Continue { caller, to: &self.goes_to },
            },
            Purpose::LetGoMedia => Request::DeleteChannel(self.media_id),
            Purpose::LetGoBridge => Request::DeleteBridge(self.bridge_id),
        }
    }
}

//! What there is to tell of answers and of what the model calls.

use crate::time::Duration;
use core::fmt;

/// How long an answer took, since the server said that the caller had stopped.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash)]
pub struct TurnLatency {
    /// Until the server began the answer, if it said so.
    pub created: Option<Duration>,
    /// Until the first audio of it came.
    pub first_delta: Duration,
    /// Until the first packet of it left for the caller.
    pub first_packet: Duration,
}

/// What became of a request to a server of tools.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum McpEvent {
    /// It has listed its tools.
    Listed,
    /// It did not, and none of them can be called.
    ListFailed,
    /// One of its tools is being called.
    Called,
    /// The tool has answered.
    Answered,
    /// It has not.
    CallFailed,
}

impl McpEvent {
    /// In words, for the log.
    #[must_use]
    pub const fn what(self) -> &'static str {
        match self {
            Self::Listed => "an MCP server has listed its tools",
            Self::ListFailed => "an MCP server did not list its tools; the model cannot call them",
            Self::Called => "a tool of an MCP server is being called",
            Self::Answered => "a tool of an MCP server has answered",
            Self::CallFailed => "a tool of an MCP server failed",
        }
    }
}

/// Why a function that the model called was not performed; the model is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum ToolFault {
    /// There is no function of that name.
    Unknown,
    /// The arguments are not a JSON object.
    NotAnObject,
    /// The arguments do not fit the function's schema.
    DoesNotFit,
    /// The call is longer than a call may be.
    TooLong,
    /// More are under way than a conversation may have.
    TooMany,
    /// The call is coming to its end.
    Leaving,
}

impl fmt::Display for ToolFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "there is no function of that name",
            Self::NotAnObject => "the arguments are not a JSON object",
            Self::DoesNotFit => "the arguments do not fit the function's parameters",
            Self::TooLong => "its name, its id or its arguments are too long",
            Self::TooMany => "too many functions are under way",
            Self::Leaving => "the caller is being sent away already",
        })
    }
}

//! The inputs in a piece of a capture of a call, which begins at a record and has no head.

use super::machine::format::Format;
use super::wire::{Bad, Cursor};
use super::{DIGEST, END, GAVE, MAX_GAVE_BYTES};
use crate::call::{Call, Input};
use crate::id::LegId;
use core::net::{Ipv4Addr, SocketAddr};
use core::ops::Range;

/// What a record of a piece carries, as far as it may be audio.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Carried {
    /// A datagram, which lies there.
    Datagram(Range<usize>),
    /// A message of the Realtime server.
    Message(Range<usize>),
    /// Something else.
    Other,
}

/// Where in a piece the reading has come to.
#[derive(Debug)]
pub(crate) struct Place {
    at: usize,
    memory: <Call as Format>::Memory,
}

impl Place {
    /// The begin.
    pub(crate) const fn begin() -> Self {
        // On which leg the datagrams before the piece came is nothing that it tells.
        Self {
            at: 0,
            memory: Some((LegId(0), SocketAddr::new(core::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0))),
        }
    }

    /// What the next record carries; nothing at the end, and where a record cannot be read.
    pub(crate) fn next(&mut self, piece: &[u8]) -> Option<Carried> {
        let rest = piece.get(self.at..)?;
        let mut cursor = Cursor::new(rest);
        let carried = read(&mut cursor, &mut self.memory, piece).ok();
        self.at += cursor.at();
        carried.flatten()
    }
}

fn read(
    cursor: &mut Cursor<'_>,
    memory: &mut <Call as Format>::Memory,
    piece: &[u8],
) -> Result<Option<Carried>, Bad> {
    let kind = cursor.byte()?;
    match kind {
        GAVE => drop(cursor.block(MAX_GAVE_BYTES)?),
        DIGEST => drop(cursor.eight()?),
        END => return Ok(None),
        _ => {
            let _later = cursor.number()?;
            return Ok(Some(match Call::read_input(kind, cursor, memory)? {
                Input::Media { bytes, .. } => Carried::Datagram(range(piece, bytes)),
                Input::Realtime { bytes, .. } => Carried::Message(range(piece, bytes)),
                _ => Carried::Other,
            }));
        }
    }
    Ok(Some(Carried::Other))
}

/// Where in the whole this part of it lies.
fn range(whole: &[u8], part: &[u8]) -> Range<usize> {
    let begin = (part.as_ptr() as usize).saturating_sub(whole.as_ptr() as usize);
    begin..begin + part.len()
}

//! What a switchboard hears and says: events, requests and replies of ARI.

use super::Traffic;
use super::file::{Packets, Way};
use super::message::{ARI, Answer};
use crate::capture::SwitchboardStart;
use crate::replay::Step;
use crate::settings::SwitchboardSettings;
use crate::switchboard::{Action, Input, Switchboard};
use crate::time::UtcNanos;
use std::io::{self, Write};

impl Traffic for Switchboard {
    type Known = ();

    fn known(_: &SwitchboardSettings, _: &SwitchboardStart) {}

    fn begun(start: &SwitchboardStart) -> UtcNanos {
        start.utc
    }

    fn write_start<W: Write>(_: &SwitchboardStart, _: &mut Packets<W>) -> io::Result<()> {
        Ok(())
    }

    fn write_step<W: Write>((): &mut (), step: &Step<'_, Self>, packets: &mut Packets<W>) -> io::Result<()> {
        match step.input {
            Some(Input::Ari(bytes)) => packets.as_it_is(Way::In, ARI, "event from Asterisk", bytes)?,
            Some(Input::AriReply { id, status, body }) => {
                packets.answer(ARI, "request", id.0, Answer::Came { status, body })?;
            }
            Some(Input::AriFailed { id, fault }) => {
                packets.answer(ARI, "request", id.0, Answer::Failed(fault))?;
            }
            _ => {}
        }
        for action in step.out.iter() {
            if let Action::Ari { id, method, path, .. } = action {
                packets.request(id, method, step.out.text(path), &[])?;
            }
        }
        Ok(())
    }
}

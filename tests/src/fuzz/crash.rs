//! A crash as a capture, which `replay`, `show` and the other tools open.

use super::call::live;
use crate::taped::{Encore, Shelf};
use crate::{simulation, world};
use ari_bridge_core::capture::open;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The targets whose inputs are calls.
pub const CALLS: [&str; 3] = ["call", "world", "capture_file"];

/// Lives through an input of one of the targets in [`CALLS`] and gives the capture of it: whole if nothing happens, and
/// up to the last input that the call was given if it panics, or what watches over it does.
///
/// # Errors
///
/// In words, if the target has no captures, or this input is none.
pub fn to_capture(target: &str, bytes: &[u8]) -> Result<Vec<u8>, String> {
    let shelf = Shelf::default();
    let encore = Encore::Never(shelf.clone());
    // That it panics is why one wants its capture; the panic has told of itself already.
    let _told = match target {
        "call" => catch_unwind(AssertUnwindSafe(|| live(bytes, encore))),
        "world" => catch_unwind(AssertUnwindSafe(|| {
            let _report = world::run_taped(bytes, encore);
            let _report = simulation::live_recorded(bytes, &simulation::Options::default(), &shelf);
        })),
        "capture_file" => {
            open(bytes).map_err(|fault| fault.to_string())?;
            return Ok(bytes.to_vec());
        }
        other => return Err(format!("{other} has no captures; these have: {}", CALLS.join(", "))),
    };
    let of_calls = |capture: &Vec<u8>| simulation::is_of_a_call(capture);
    shelf.take().into_iter().rfind(of_calls).ok_or_else(|| "the call was not even made".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ari_bridge_core::replay::replay;

    #[test]
    fn an_input_becomes_a_capture_that_replays() {
        for target in ["call", "world"] {
            for bytes in [&[][..], &[7; 900], &[0; 40], &[200; 500]] {
                let capture = to_capture(target, bytes).expect("a capture");
                let replayed = replay(&capture).expect("a good capture");
                assert!(replayed.is_whole() && replayed.difference.is_none(), "{target}: {replayed:?}");
                assert_eq!(to_capture("capture_file", &capture), Ok(capture));
            }
        }
    }

    #[test]
    fn what_is_no_call_is_refused_in_words() {
        assert!(to_capture("rtp", b"").unwrap_err().contains("call, world, capture_file"));
        assert_eq!(to_capture("capture_file", b"x").unwrap_err(), "it is not a capture");
    }
}

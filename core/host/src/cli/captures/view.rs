//! `show`.

use ari_bridge_core::capture;
use ari_bridge_core::tools::show::{ShowFault, Style, show as write_log};
use std::io::{self, BufWriter, ErrorKind, Read, Write};
use std::path::Path;
use std::thread;
use std::time::Duration;

use super::ShowArgs;
use crate::recorder;

/// How often it is looked whether a capture that is being written has grown.
const LOOK: Duration = Duration::from_millis(200);

pub(super) fn show(args: &ShowArgs) -> Result<u8, String> {
    let ShowArgs { path, json, each, messages, follow } = args;
    let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let style = Style { is_json: *json, each: *each, messages: *messages };
    let read = recorder::open_file(path).map_err(|error| error.to_string())?;
    let follows = if *follow { Some(path.as_path()) } else { None };
    let capture = capture::read(Followed { read, follows }).map_err(|fault| failed(&fault))?;
    // While a capture is followed, each line is wanted as soon as it is there.
    let stdout = io::stdout().lock();
    let shown = if *follow {
        write_log(capture, style, &mut { stdout })
    } else {
        let mut write = BufWriter::new(stdout);
        write_log(capture, style, &mut write).and_then(|end| Ok(write.flush().map(|()| end)?))
    };
    match shown {
        Ok(_) => Ok(0),
        // Who reads has seen enough.
        Err(ShowFault::Write(error)) if error.kind() == ErrorKind::BrokenPipe => Ok(0),
        Err(fault) => Err(failed(&fault)),
    }
}

/// A capture that may be growing. Its end is the end once it has lost the name that it has while it is written.
struct Followed<'a, R> {
    read: R,
    /// Its name, if it is followed.
    follows: Option<&'a Path>,
}

impl<R: Read> Read for Followed<'_, R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            // Looked at before it is read: what is written until it is renamed is read.
            let is_growing = self.follows.is_some_and(|path| recorder::is_unfinished(path) && path.exists());
            match self.read.read(buf) {
                Ok(0) if is_growing => thread::sleep(LOOK),
                read => return read,
            }
        }
    }
}

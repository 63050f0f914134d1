//! The runtimes held against each other: the same stories on each of them, over real sockets and in real time, between
//! the stand-ins of `ari_bridge_host::standin`. What a story comes to is a [`Trace`], and that of one runtime must be that
//! of the other.
//!
//! What is decided, and when, the simulated calls of `tests/it` hold to the millisecond. Here it is the order of things
//! that counts, and that the runtimes do them: everything is waited for, and nothing is timed.
//!
//! The stories wait nearly all of their time, for speech to be spoken and for peers to be given up. So they run many at
//! once, which is why they have a harness of their own:
//!
//! ```sh
//! cargo test -p ari-bridge-tests --test parity -- hangs_up        # the stories of that name, on both
//! cargo test -p ari-bridge-tests --test parity -- on_tokio        # all of them, on one
//! ```

mod around;
mod asterisk;
mod calls;
mod captures;
mod harness;
mod line;
mod logs;
mod process;
mod program;
mod records;
mod relay;
mod sessions;
mod stops;
mod tools;
mod trace;

use ari_bridge_host::Runtime;
use std::process::ExitCode;

use harness::Trial;
use trace::Trace;

/// What is held against each other, each under the name that stands in the names of the tests.
const RUNTIMES: [(&str, &Runtime); 2] =
    [("smol", &ari_bridge_smol::RUNTIME), ("tokio", &ari_bridge_tokio::RUNTIME)];

/// A call or two, told with a runtime, and what must be equal with another one.
type Story = fn(on: &'static Runtime) -> Trace;

/// Lists stories under their names.
macro_rules! stories {
    ($($story:ident),+ $(,)?) => {
        pub(crate) const STORIES: &[(&str, crate::Story)] = &[$((stringify!($story), $story)),+];
    };
}
pub(crate) use stories;

/// In this order they begin: first those that take long.
const CHAPTERS: [(&str, &[(&str, Story)]); 9] = [
    ("sessions", sessions::STORIES),
    ("around", around::STORIES),
    ("asterisk", asterisk::STORIES),
    ("calls", calls::STORIES),
    ("captures", captures::STORIES),
    ("process", process::STORIES),
    ("records", records::STORIES),
    ("stops", stops::STORIES),
    ("tools", tools::STORIES),
];

fn main() -> ExitCode {
    // The stories about the program start this one again, as the program.
    if let Some(code) = program::is_asked_for() {
        return code;
    }
    let told = CHAPTERS.iter().flat_map(|(chapter, stories)| {
        stories.iter().flat_map(move |(name, story)| {
            RUNTIMES.map(|(runtime, on)| Trial {
                name: format!("{chapter}::{name}::on_{runtime}"),
                run: Box::new(move || trace::compare(name, runtime, story(on))),
            })
        })
    });
    let alarm = Trial {
        name: "trace::a_difference_is_found".to_owned(),
        run: Box::new(trace::a_difference_is_found),
    };
    harness::run(told.chain([alarm]).collect())
}

//! Samples of everything that a Realtime server says, and of what becomes of it on a bad day.
//!
//! [`server_events`] are honest: full examples of the GA interface, with every optional field present.
//! [`variants`] are what another server, or the same one next year, may make of one, and [`broken`] what is no
//! event any more. All of it is the same at every run.

mod events;
mod items;
mod session;
mod variants;

pub use events::server_events;
pub use variants::{MAX_VARIANTS, broken, variants};

#[cfg(test)]
mod tests;

//! The integration tests of ari-bridge.

mod ari_side;
mod bad_input;
mod barge_in;
mod call_machine;
mod call_properties;
mod call_record;
mod capture;
mod continuity;
mod conversations;
mod desk;
mod echo;
mod fallback;
mod formats;
mod keys;
mod line_kept;
mod resync;
mod scrub;
mod server_events;
mod sessions;
mod silence;
mod sound;
mod stories;
mod switchboard;
mod tidy;
mod tools;
mod turns;

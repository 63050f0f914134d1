//! The integration tests of ari-bridge.

mod bad_input;
mod call_properties;
mod conversations;
mod tidy;

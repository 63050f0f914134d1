//! The integration tests of ari-bridge.

mod call_properties;
mod tidy;

//! The simulated world of ari-bridge.

pub mod choices;
pub mod world;

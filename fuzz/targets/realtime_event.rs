//! See `ari_bridge_tests::fuzz::realtime_event`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ari_bridge_tests::fuzz::realtime_event(bytes));

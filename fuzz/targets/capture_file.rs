//! See `ari_bridge_tests::fuzz::capture_file`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ari_bridge_tests::fuzz::capture_file(bytes));

//! See `ari_bridge_tests::fuzz::call`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ari_bridge_tests::fuzz::call(bytes));

//! libFuzzer's way into [`fuzz::standard_signature`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::standard_signature(data));

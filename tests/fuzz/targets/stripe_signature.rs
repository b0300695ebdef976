//! libFuzzer's way into [`fuzz::stripe_signature`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::stripe_signature(data));

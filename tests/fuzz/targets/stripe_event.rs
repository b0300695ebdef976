//! libFuzzer's way into [`fuzz::stripe_event`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::stripe_event(data));

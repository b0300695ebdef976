//! libFuzzer's way into [`fuzz::gateway_event`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::gateway_event(data));

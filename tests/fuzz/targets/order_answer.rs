//! libFuzzer's way into [`fuzz::order_answer`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::order_answer(data));

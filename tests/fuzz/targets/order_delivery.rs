//! libFuzzer's way into [`fuzz::order_delivery`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::order_delivery(data));

//! libFuzzer's way into [`fuzz::sqs_batch`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::sqs_batch(data));

//! libFuzzer's door to the property of the same name.
#![no_main]
#[path = "../properties/import.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|data: &[u8]| property::check(data));

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| stead::fuzzing::check("split", bytes));

//! [`ghmesh_fuzz::request`] under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| ghmesh_fuzz::request(input));

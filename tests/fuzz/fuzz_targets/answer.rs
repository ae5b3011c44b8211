//! [`ghmesh_fuzz::answer`] under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| ghmesh_fuzz::answer(input));

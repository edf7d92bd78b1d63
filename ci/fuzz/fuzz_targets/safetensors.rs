//! A whole safetensors file.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| porter_fuzz::read_as("model.safetensors", bytes));

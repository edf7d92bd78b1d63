//! A whole PyTorch file: an archive, or a legacy run of pickles.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| porter_fuzz::read_as("model.pt", bytes));

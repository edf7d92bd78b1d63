//! A whole ONNX file: read, imported, recognised and printed.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| porter_fuzz::import_onnx(bytes));

//! An index, beside one good shard named `s.safetensors`.
#![no_main]

use std::{fs, sync::Once};

/// The good shard of `ci/fixtures`.
const SHARD: &[u8] = include_bytes!("../../fixtures/bad/st_ok_control.safetensors");

static WRITE_SHARD: Once = Once::new();

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    WRITE_SHARD.call_once(|| {
        fs::write(porter_fuzz::folder().join("s.safetensors"), SHARD).expect("the folder can be written");
    });
    porter_fuzz::read_as("model.safetensors.index.json", bytes);
});

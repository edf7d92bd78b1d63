//! What the integration tests share.

use std::path::PathBuf;

use porter_ir::DType;
use porter_weights::{Checkpoint, Encoding, TensorInfo, TensorView};

/// A path under `ci/fixtures`.
pub(crate) fn fixture(path: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "/../../ci/fixtures/", path].concat().into()
}

/// Opens a fixture.
pub(crate) fn open(path: &str) -> Box<dyn Checkpoint> {
    porter_weights::open(&fixture(path)).unwrap()
}

/// Every element of a tensor as `f32`.
pub(crate) fn f32s(checkpoint: &dyn Checkpoint, name: &str) -> Vec<f32> {
    let view = checkpoint.tensor(name).unwrap();
    let mut bytes = vec![0; view.info.shape.elements() * 4];
    view.read_into(DType::F32, &mut bytes).unwrap();
    bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
}

/// Fails at the first element whose bits differ.
pub(crate) fn assert_same_bits(found: &[f32], expected: &[f32], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (i, (f, e)) in found.iter().zip(expected).enumerate() {
        assert_eq!(f.to_bits(), e.to_bits(), "{what}[{i}]: {f:e}, expected {e:e}");
    }
}

/// Reads stored bytes of an encoding as `f32`.
pub(crate) fn decode(bytes: &[u8], encoding: Encoding, shape: &[usize]) -> Vec<f32> {
    let info = TensorInfo { shape: shape.to_vec().into(), encoding, bytes: bytes.len() };
    let mut out = vec![0; info.shape.elements() * 4];
    TensorView { info: &info, bytes: bytes.into() }.read_into(DType::F32, &mut out).unwrap();
    out.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
}

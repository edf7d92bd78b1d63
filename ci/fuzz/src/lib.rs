//! What the fuzz targets share.

use std::{fs, path::Path, sync::OnceLock};

use porter_ir::DType;
use porter_weights::Format;
use tempfile::TempDir;

/// A folder of this process, gone when the system cleans its temporary files.
pub fn folder() -> &'static Path {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    FOLDER.get_or_init(|| tempfile::tempdir().expect("a temporary folder")).path()
}

/// Opens `bytes` as a checkpoint file of this name, and reads every tensor of it that is a number.
/// Only a panic, a hang or too much memory is a finding; an error is a right answer.
pub fn read_as(name: &str, bytes: &[u8]) {
    let path = folder().join(name);
    fs::write(&path, bytes).expect("the temporary folder can be written");
    let Ok(checkpoint) = porter_weights::open(&path) else { return };
    for (name, info) in checkpoint.tensors() {
        let view = match checkpoint.tensor(name) {
            Ok(view) => view,
            // Some tensors of PyTorch are listed only.
            Err(_) if matches!(checkpoint.format(), Format::PyTorch(_)) => continue,
            Err(error) => panic!("a listed tensor can be read: {error}"),
        };
        assert_eq!(view.bytes.len(), info.bytes);
        if info.encoding.dtype().is_some() {
            let mut out = vec![0; info.shape.elements() * 4];
            view.read_into(DType::F32, &mut out).expect("numbers can be read as f32");
        }
    }
}

/// Imports `bytes` as an ONNX model, recognises what is in it and prints the program. Only a panic, a hang or too much
/// memory is a finding.
pub fn import_onnx(bytes: &[u8]) {
    let Ok(model) = porter_onnx::Model::decode(bytes.to_vec().into(), Path::new("model.onnx")) else { return };
    let Ok(program) = porter_onnx::import(&model, &porter_onnx::Options::default()) else { return };
    let read = |name: &str| porter_onnx::weight(&model, name);
    let (lifted, _) = porter_onnx::recognise(&program, &read).expect("what is recognised can be written");
    assert_eq!(lifted.verify(), []);
    drop(lifted.to_string());
}

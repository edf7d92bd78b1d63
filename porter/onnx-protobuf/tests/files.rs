//! Hostile files, and tensors beside a model.

#![allow(clippy::unwrap_used)]

use std::{fs, path::Path};

use onnx_protobuf::{GraphProto, Message, Model, ModelProto, StringStringEntryProto, TensorProto};

fn beside(location: &str, offset: &str, length: Option<&str>, dims: &[i64]) -> TensorProto {
    let entry =
        |key: &str, value: &str| StringStringEntryProto { key: Some(key.into()), value: Some(value.into()) };
    let mut external_data = vec![entry("location", location), entry("offset", offset)];
    external_data.extend(length.map(|length| entry("length", length)));
    TensorProto {
        name: Some("w".to_owned()),
        dims: dims.to_vec(),
        data_type: Some(1),
        data_location: Some(1),
        external_data,
        ..TensorProto::default()
    }
}

fn model(folder: &Path) -> Model {
    let proto = ModelProto { graph: Some(GraphProto::default()), ..ModelProto::default() };
    Model::decode(proto.encode_to_vec().into(), &folder.join("m.onnx")).unwrap()
}

#[test]
fn external_data_is_read_where_it_lies() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("data")).unwrap();
    let bytes: Vec<u8> = (0..32).collect();
    fs::write(folder.path().join("data/w.bin"), &bytes).unwrap();
    let model = model(folder.path());
    let tensor = beside("data/w.bin", "4", Some("16"), &[2, 2]);
    assert_eq!(model.packed(&tensor).unwrap().as_ref(), &bytes[4..20]);
}

#[test]
fn external_data_stays_in_the_folder_and_in_the_file() {
    let outer = tempfile::tempdir().unwrap();
    let folder = outer.path().join("model");
    fs::create_dir(&folder).unwrap();
    fs::write(outer.path().join("secret"), [0; 64]).unwrap();
    fs::write(folder.join("w.bin"), [0; 64]).unwrap();
    std::os::unix::fs::symlink("../secret", folder.join("link")).unwrap();
    let model = model(&folder);
    let error = |tensor: TensorProto| model.packed(&tensor).unwrap_err().to_string();
    let absolute = outer.path().join("secret").display().to_string();
    for location in ["../secret", "a/../../secret", "", &absolute] {
        let found = error(beside(location, "0", None, &[4]));
        assert!(found.ends_with("is no path below the model's folder"), "{found}");
    }
    assert!(error(beside("link", "0", None, &[4])).contains("is a link out of the model's folder"));
    assert!(
        error(beside("w.bin", "60", None, &[4])).contains("16 bytes from 60 do not fit in the file of 64")
    );
    assert!(error(beside("w.bin", "-1", None, &[4])).contains("offset \"-1\" is no size"));
    assert!(error(beside("w.bin", "0", Some("8"), &[4])).contains("length is 8, expected 16"));
    assert!(error(beside("w.bin", "0", None, &[1 << 40])).contains("do not fit"));
    assert!(error(beside("none", "0", None, &[4])).contains("No such file"));
    assert!(error(beside("w.bin", &u64::MAX.to_string(), None, &[4])).contains("do not fit"));
}

#[test]
fn nesting_is_limited() {
    // A group within a group, as long as a file is: these two bytes open field 100 as a group.
    let groups = [0xA3, 0x06].repeat(2 << 20);
    let error = Model::decode(groups.into(), Path::new("m.onnx")).err().unwrap().to_string();
    assert!(error.contains("recursion"), "{error}");
}

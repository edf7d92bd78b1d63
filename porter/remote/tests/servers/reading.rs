//! Checkpoints in a bucket against the same files on this machine.

use std::fs;

use porter_remote::open_in;
use porter_weights::{ErrorKind, open};

use crate::{
    common::{assert_same, bucket, fixture, model, s3, through, upload},
    proxy::{Fault, Proxy},
};

#[test]
fn every_format_is_what_the_local_file_is() {
    let root = bucket("formats");
    let client = through(&s3(), &root);
    for file in ["tiny/llama/model.safetensors", "bad/st_ok_control.safetensors", "bad/gguf_ok_control.gguf"]
    {
        let url = root.join(file).unwrap();
        upload(&url, &fs::read(fixture(file)).unwrap());
        let remote = open_in(&client, &url).unwrap();
        assert_same(&*remote, &*open(&fixture(file)).unwrap());
        assert_eq!(remote.path().to_str(), Some(url.to_string().as_str()));
    }
    for entry in fs::read_dir(fixture("gguf")).unwrap() {
        let path = entry.unwrap().path();
        let split = path.to_str().unwrap().contains("-of-");
        if path.extension().is_some_and(|kind| kind == "gguf") && !split {
            let url = root.join(path.file_name().unwrap().to_str().unwrap()).unwrap();
            upload(&url, &fs::read(&path).unwrap());
            assert_same(&*open_in(&client, &url).unwrap(), &*open(&path).unwrap());
        }
    }
}

#[test]
fn shards_under_an_index() {
    let root = bucket("shards");
    let folder = tempfile::tempdir().unwrap();
    let names: Vec<String> = (1..4).map(|i| format!("model-{i}.safetensors")).collect();
    let map: Vec<String> =
        (0..3).map(|i| format!("\"t{i}.weight\": \"model-{}.safetensors\"", i + 1)).collect();
    let whole = model(3, 3);
    let whole = safetensors::SafeTensors::deserialize(&whole).unwrap();
    for (i, name) in names.iter().enumerate() {
        let tensor = format!("t{i}.weight");
        let bytes = safetensors::serialize([(tensor.clone(), whole.tensor(&tensor).unwrap())], None).unwrap();
        fs::write(folder.path().join(name), &bytes).unwrap();
        upload(&root.join(&format!("m/{name}")).unwrap(), &bytes);
    }
    let index = format!("{{\"metadata\": {{\"total_size\": 1}}, \"weight_map\": {{{}}}}}", map.join(", "));
    let path = folder.path().join("model.safetensors.index.json");
    fs::write(&path, &index).unwrap();
    let url = root.join("m/model.safetensors.index.json").unwrap();
    upload(&url, index.as_bytes());
    let client = through(&s3(), &root);
    assert_same(&*open_in(&client, &url).unwrap(), &*open(&path).unwrap());

    upload(&url, index.replace("model-2", "../model-2").as_bytes());
    let error = open_in(&client, &url).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains("not a plain file name"), "{error}");
}

#[test]
fn only_what_is_asked_for_travels() {
    let root = bucket("travels");
    let proxy = Proxy::new(&s3(), |_, _| Fault::None);
    let client = through(&proxy.endpoint, &root);
    let url = root.join("model.safetensors").unwrap();
    // Twelve tensors of 4 MiB.
    let bytes = model(12, 1024);
    upload(&url, &bytes);
    let travelled = || proxy.seen().iter().map(|seen| seen.answered).sum::<usize>();
    let remote = open_in(&client, &url).unwrap();
    let header = travelled();
    assert!(header <= 1 << 20, "{header}");
    remote.tensor("t5.weight").unwrap();
    assert_eq!(travelled() - header, 4 << 20);

    // A thousand rows of 100 bytes, one after another, are a few requests.
    let before = proxy.seen().len();
    let mut row = [0; 100];
    for i in 0..1000 {
        remote.read_at("t7.weight", i * 4096, &mut row).unwrap();
    }
    assert!(proxy.seen().len() - before <= 4, "{}", proxy.seen().len() - before);
}

#[test]
fn a_source_that_changes_is_an_error() {
    let root = bucket("changes");
    let client = through(&s3(), &root);
    let url = root.join("model.safetensors").unwrap();
    upload(&url, &model(2, 8));
    let remote = open_in(&client, &url).unwrap();
    let before = remote.identity().unwrap();
    assert_eq!(remote.identity().unwrap(), before);
    // The same size and header, other values.
    let mut other = model(2, 8);
    *other.last_mut().unwrap() ^= 1;
    upload(&url, &other);
    for error in
        [remote.tensor("t0.weight").err().unwrap(), remote.read_at("t1.weight", 0, &mut [0; 8]).unwrap_err()]
    {
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.to_string().contains("changed while it was read"), "{error}");
    }
    assert_ne!(remote.identity().unwrap(), before);
}

#[test]
fn what_cannot_be_read_is_named() {
    let root = bucket("named");
    let client = through(&s3(), &root);
    let missing = root.join("a/model.safetensors").unwrap();
    let error = open_in(&client, &missing).err().unwrap().to_string();
    assert!(error.contains(&missing.to_string()) && error.contains("does not exist"), "{error}");
    let pickle = root.join("pytorch_model.bin").unwrap();
    let error = open_in(&client, &pickle).err().unwrap().to_string();
    assert!(error.contains("download other files"), "{error}");
    for file in
        ["bad/st_size_mismatch.safetensors", "bad/gguf_truncated.gguf", "bad/st_header_100mb.safetensors"]
    {
        let url = root.join(file).unwrap();
        upload(&url, &fs::read(fixture(file)).unwrap());
        let error = open_in(&client, &url).err().unwrap();
        assert_eq!(error.kind(), open(&fixture(file)).err().unwrap().kind(), "{error}");
    }
    let good = root.join("good.safetensors").unwrap();
    upload(&good, &model(1, 1));
    let remote = open_in(&client, &good).unwrap();
    assert_eq!(remote.read_at("t0.weight", 4090, &mut [0; 8]).unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(remote.tensor("none").err().unwrap().kind(), ErrorKind::Mismatch);
}

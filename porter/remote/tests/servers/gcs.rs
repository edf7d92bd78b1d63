//! Google Cloud Storage: its XML API, as far as it is S3's, which is all that is used of it.

use std::{fs, sync::Arc};

use porter_remote::{Bucket, RemoteError, RemoteUrl, Variables, open_in};
use porter_weights::{open, stream::Store};

use crate::{
    common::{self, QUICK, assert_same, fixture, s3, upload},
    output::{assert_converts, source, store},
    proxy::{Fault, Proxy},
};

/// The bucket of a test as one of Google's, through `endpoint`.
fn bucket(test: &str, endpoint: &str) -> (RemoteUrl, Arc<Bucket>) {
    let url = common::bucket(test).to_string().replace("s3://", "gs://");
    let url = RemoteUrl::parse(&url).unwrap();
    let variables: Variables = [("GOOGLE_BASE_URL", endpoint), ("GOOGLE_BEARER_TOKEN", "test")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    let client = Bucket::open_with(&url, &variables, QUICK).unwrap();
    (url, Arc::new(client))
}

#[test]
fn a_checkpoint_is_what_the_local_file_is() {
    let (root, client) = bucket("gcsreads", &s3());
    let path = fixture("tiny/llama/model.safetensors");
    let url = root.join("m/model.safetensors").unwrap();
    upload(&url, &fs::read(&path).unwrap());
    let remote = open_in(&client, &url).unwrap();
    assert_same(&*remote, &*open(&path).unwrap());
    upload(&url, &common::model(1, 1));
    let name = remote.tensors().keys().next().unwrap();
    let error = remote.tensor(name).err().unwrap().to_string();
    assert!(error.contains("changed while it was read"), "{error}");
}

#[test]
fn a_conversion_gives_the_same_bytes_as_into_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let (root, client) = bucket("gcsconverts", &s3());
    let source = source(folder.path(), 10, 1024);
    assert_converts(&client, &root.join("one").unwrap(), &*source, None);
    let store = store(&client, &root.join("one").unwrap(), folder.path());
    assert_eq!(store.list().unwrap(), ["model.safetensors", "porter-convert.json"]);
}

#[test]
fn credentials_that_expire_say_what_to_do() {
    let proxy = Proxy::new(&s3(), |_, _| Fault::Refused(401, "AuthenticationRequired"));
    let (root, client) = bucket("gcsexpire", &proxy.endpoint);
    let error = client.look(&root.join("x").unwrap()).unwrap_err();
    assert!(matches!(error, RemoteError::Denied { .. }), "{error}");
    assert!(error.to_string().contains("gcloud auth application-default login"), "{error}");
}

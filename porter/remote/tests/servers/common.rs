//! Buckets to test with.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use porter_remote::{Bucket, Patience, RemoteUrl, Variables};
use porter_weights::Checkpoint;

/// Waits are short, so that a fault costs no time.
pub(crate) const QUICK: Patience =
    Patience { retries: 4, first_wait: Duration::from_millis(1), longest_wait: Duration::from_millis(5) };

/// The server does not check signatures, but wants one.
pub(crate) const SIGNED: (&str, &str) = (
    "Authorization",
    "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0",
);

/// The S3 server.
pub(crate) fn s3() -> String {
    std::env::var("PORTER_TEST_S3").expect("run ci/remote/test.sh")
}

/// A new bucket of the S3 server, for the test of that name.
pub(crate) fn bucket(test: &str) -> RemoteUrl {
    let name = format!("{test}{}", std::process::id());
    ureq::put(format!("{}/{name}", s3())).header(SIGNED.0, SIGNED.1).send_empty().unwrap();
    RemoteUrl::parse(&format!("s3://{name}")).unwrap()
}

/// A client of the bucket through `endpoint`.
pub(crate) fn through(endpoint: &str, url: &RemoteUrl) -> Arc<Bucket> {
    let variables: Variables = [
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ALLOW_HTTP", "true"),
        ("AWS_ENDPOINT_URL", endpoint),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    Arc::new(Bucket::open_with(url, &variables, QUICK).unwrap())
}

/// Puts an object there, past the client that is tested.
pub(crate) fn upload(url: &RemoteUrl, bytes: &[u8]) {
    ureq::put(format!("{}/{}/{}", s3(), url.bucket(), url.key()))
        .header(SIGNED.0, SIGNED.1)
        .send(bytes)
        .unwrap();
}

/// Gets an object, past the client that is tested.
pub(crate) fn download(url: &RemoteUrl) -> Option<Vec<u8>> {
    let got = ureq::get(format!("{}/{}/{}", s3(), url.bucket(), url.key())).header(SIGNED.0, SIGNED.1).call();
    match got {
        Err(ureq::Error::StatusCode(404)) => None,
        got => Some(got.unwrap().body_mut().with_config().limit(1 << 30).read_to_vec().unwrap()),
    }
}

/// A path under `ci/fixtures`.
pub(crate) fn fixture(path: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "/../../ci/fixtures/", path].concat().into()
}

/// A safetensors file of `count` tensors of `rows` x 1024 f32, all different.
pub(crate) fn model(count: usize, rows: usize) -> Vec<u8> {
    let values = |tensor: usize| -> Vec<u8> {
        (0..rows * 1024).flat_map(|i| ((i * 31 + tensor * 7) as f32).to_le_bytes()).collect()
    };
    let data: BTreeMap<String, Vec<u8>> = (0..count).map(|i| (format!("t{i}.weight"), values(i))).collect();
    let views = data.iter().map(|(name, bytes)| {
        let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![rows, 1024], bytes);
        (name.clone(), view.unwrap())
    });
    safetensors::serialize(views, None).unwrap()
}

/// Both hold the same names, entries, metadata and bytes.
pub(crate) fn assert_same(remote: &dyn Checkpoint, local: &dyn Checkpoint) {
    assert_eq!(remote.format(), local.format());
    assert_eq!(remote.metadata(), local.metadata());
    assert_eq!(remote.tensors(), local.tensors());
    for (name, info) in local.tensors() {
        let bytes = local.tensor(name).unwrap().bytes;
        assert!(remote.tensor(name).unwrap().bytes == bytes, "{name}");
        let (begin, end) = (info.bytes / 3, info.bytes - info.bytes / 5);
        let mut part = vec![0; end - begin];
        remote.read_at(name, begin as u64, &mut part).unwrap();
        assert!(part == bytes[begin..end], "{name}");
    }
}

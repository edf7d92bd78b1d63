//! Models in a bucket of a real server, which `ci/remote/test.sh` starts.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use porter_import::remote::resolve_in;
use porter_import::{ErrorKind, Event, ImportError, ModelFiles, Progress};
use porter_remote::{Bucket, Patience, RemoteUrl, Variables};

/// The server does not check signatures, but wants one.
const SIGNED: &str =
    "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0";

struct Place {
    root: RemoteUrl,
    bucket: Arc<Bucket>,
    cache: tempfile::TempDir,
    fetched: Fetched,
}

/// The objects that were fetched.
#[derive(Default)]
struct Fetched(Mutex<Vec<String>>);

impl Progress for Fetched {
    fn event(&self, event: Event<'_>) {
        if let Event::Started { name, .. } = event {
            self.0.lock().unwrap().push(name.to_owned());
        }
    }
}

fn server() -> String {
    std::env::var("PORTER_TEST_S3").expect("run ci/remote/test.sh")
}

impl Place {
    fn new(test: &str) -> Self {
        let name = format!("{test}{}", std::process::id());
        ureq::put(format!("{}/{name}", server())).header("Authorization", SIGNED).send_empty().unwrap();
        let root = RemoteUrl::parse(&format!("s3://{name}")).unwrap();
        let variables: Variables = [
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ALLOW_HTTP", "true"),
            ("AWS_ENDPOINT_URL", &server()),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        let bucket = Arc::new(Bucket::open_with(&root, &variables, Patience::default()).unwrap());
        Self { root, bucket, cache: tempfile::tempdir().unwrap(), fetched: Fetched::default() }
    }

    fn upload(&self, key: &str, bytes: &[u8]) {
        let url = format!("{}/{}/{key}", server(), self.root.bucket());
        ureq::put(url).header("Authorization", SIGNED).send(bytes).unwrap();
    }

    fn resolve(&self, key: &str) -> Result<ModelFiles, ImportError> {
        let url = if key.is_empty() { self.root.clone() } else { self.root.join(key).unwrap() };
        resolve_in(&self.bucket, &url, self.cache.path(), &self.fetched)
    }

    fn fetched(&self) -> usize {
        std::mem::take(&mut *self.fetched.0.lock().unwrap()).len()
    }
}

fn tiny() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "/../../ci/fixtures/tiny/llama"].concat().into()
}

fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files
        .filter(|path| path.is_file())
        .map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(&path).unwrap()))
        .collect()
}

#[test]
fn a_model_under_a_prefix_and_its_file_are_the_same_model() {
    let place = Place::new("model");
    for (name, bytes) in files(&tiny()) {
        place.upload(&format!("m/{name}"), &bytes);
    }
    let found = place.resolve("m").unwrap();
    assert!(place.fetched() >= 1);
    assert_eq!(found.weights.to_str().unwrap(), format!("{}/m/model.safetensors", place.root));
    let local = porter_import::resolve(&porter_import::Source::Path(tiny()), &porter_import::Silent).unwrap();
    assert_eq!(found.config.unwrap().value, local.config.unwrap().value);
    assert_eq!(found.tokenizer.is_some(), local.tokenizer.is_some());
    assert!(!found.root.join("model.safetensors").exists(), "the weights stay where they are");

    let file = place.resolve("m/model.safetensors").unwrap();
    assert_eq!((file.weights, file.root), (found.weights, found.root));
    assert_eq!(place.fetched(), 0, "what is there is not fetched again");

    place.upload("m/config.json", br#"{"model_type": "other"}"#);
    assert_eq!(place.resolve("m").unwrap().config.unwrap().value["model_type"], "other");
    assert!(place.fetched() >= 1);
}

#[test]
fn several_models_and_none_are_told_by_their_urls() {
    let place = Place::new("several");
    place.upload("q/a.gguf", b"1");
    place.upload("q/b.gguf", b"2");
    place.upload("readme.md", b"3");
    let several = place.resolve("q").unwrap_err();
    assert_eq!(several.kind(), ErrorKind::Usage);
    let names = format!("{0}/q/a.gguf, {0}/q/b.gguf", place.root);
    assert!(several.to_string().contains(&names), "{several}");
    let one = place.resolve("q/b.gguf").unwrap();
    assert!(one.weights.ends_with("q/b.gguf") && one.config.is_none());
    assert_eq!(place.resolve("").unwrap_err().kind(), ErrorKind::Unsupported);
    assert_eq!(place.resolve("none/model.safetensors").unwrap_err().kind(), ErrorKind::Usage);
    assert_eq!(place.resolve("readme.md").unwrap_err().kind(), ErrorKind::Usage);
}

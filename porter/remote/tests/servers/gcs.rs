//! Google Cloud Storage, as far as a server on 127.0.0.1 has it.

use std::{fs, sync::Arc};

use porter_remote::{Bucket, RemoteUrl, Variables, open_in};
use porter_weights::open;

use crate::common::{QUICK, assert_same, fixture};

fn gcs() -> String {
    std::env::var("PORTER_TEST_GCS").expect("run ci/remote/test.sh")
}

fn bucket(test: &str) -> (RemoteUrl, Arc<Bucket>) {
    let name = format!("{test}-{}", std::process::id());
    let made = ureq::post(format!("{}/storage/v1/b?project=p", gcs()));
    made.header("Content-Type", "application/json").send(format!("{{\"name\": \"{name}\"}}")).unwrap();
    let url = RemoteUrl::parse(&format!("gs://{name}")).unwrap();
    let variables: Variables = [("GOOGLE_BASE_URL", gcs().as_str()), ("GOOGLE_SKIP_SIGNATURE", "true")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    let client = Bucket::open_with(&url, &variables, QUICK).unwrap();
    (url, Arc::new(client))
}

#[test]
fn a_checkpoint_is_what_the_local_file_is() {
    let (root, client) = bucket("gcs-reads");
    let path = fixture("tiny/llama/model.safetensors");
    let upload = format!(
        "{}/upload/storage/v1/b/{}/o?uploadType=media&name=m/model.safetensors",
        gcs(),
        root.bucket()
    );
    ureq::post(upload).send(fs::read(&path).unwrap()).unwrap();
    let url = root.join("m/model.safetensors").unwrap();
    assert_same(&*open_in(&client, &url).unwrap(), &*open(&path).unwrap());
}

//! Buckets as a user names them. `ci/remote/test.sh` starts the server.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{fs, path::Path};

use assert_cmd::Command;

const TINY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../ci/fixtures/tiny/llama");
/// moto makes a bucket for whoever says that this is a signed request.
const SIGNED: &str =
    "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0";

/// Runs `porter` with the server's credentials, unless `key` is another.
fn porter(key: &str, arguments: &[&str]) -> (i32, String) {
    let mut command = Command::cargo_bin("porter").unwrap();
    let server = std::env::var("PORTER_TEST_S3").expect("run ci/remote/test.sh");
    command.args(arguments).env("AWS_ENDPOINT_URL", server).env("AWS_ALLOW_HTTP", "true");
    command.env("AWS_ACCESS_KEY_ID", key).env("AWS_SECRET_ACCESS_KEY", "test").env("AWS_REGION", "us-east-1");
    let output = command.output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(said).unwrap())
}

fn bucket(name: &str) -> String {
    let name = format!("{name}{}", std::process::id());
    let server = std::env::var("PORTER_TEST_S3").expect("run ci/remote/test.sh");
    ureq::put(format!("{server}/{name}")).header("Authorization", SIGNED).send_empty().unwrap();
    format!("s3://{name}")
}

fn same(ours: &Path) {
    let name = "model.safetensors";
    let ours = ours.join(name);
    let reference = format!("{TINY}/{name}");
    let (code, said) = porter("test", &["compare", ours.to_str().unwrap(), &reference, "--level", "exact"]);
    assert_eq!(code, 0, "{said}");
}

#[test]
fn a_model_goes_into_a_bucket_and_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let (there, back) = (format!("{}/models/llama", bucket("verb")), folder.path().join("back"));
    let (code, said) =
        porter("test", &["convert", TINY, "-o", &there, "--max-shard-size", "100kB", "--verify"]);
    assert_eq!(code, 0, "{said}");
    let (code, said) = porter("test", &["inspect", &there]);
    assert!(code == 0 && said.contains("LlamaForCausalLM"), "{code}: {said}");
    let convert = ["convert", there.as_str(), "-o", back.to_str().unwrap(), "--max-shard-size", "none"];
    let (code, said) = porter("test", &convert);
    assert_eq!(code, 0, "{said}");
    same(&back);
    assert!(fs::exists(back.join("config.json")).unwrap());
}

#[test]
fn shares_in_a_bucket_are_merged() {
    let folder = tempfile::tempdir().unwrap();
    let (there, back) = (format!("{}/shares", bucket("shares")), folder.path().join("back"));
    for share in ["2/2", "1/2"] {
        let convert = ["convert", TINY, "-o", &there, "--max-shard-size", "100kB", "--shard-of", share];
        let (code, said) = porter("test", &convert);
        assert_eq!(code, 0, "{said}");
    }
    let (code, said) = porter("test", &["merge-index", &there]);
    assert_eq!(code, 0, "{said}");
    let convert = ["convert", there.as_str(), "-o", back.to_str().unwrap(), "--max-shard-size", "none"];
    let (code, said) = porter("test", &convert);
    assert_eq!(code, 0, "{said}");
    same(&back);
}

#[test]
fn what_is_not_there_is_said_with_its_address() {
    let empty = bucket("empty");
    let (code, said) = porter("test", &["inspect", &format!("{empty}/nothing")]);
    assert!(code == 2 && said.contains(&format!("{empty} has no nothing")), "{code}: {said}");
}

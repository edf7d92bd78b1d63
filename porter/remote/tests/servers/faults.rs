//! What goes wrong on the way, and what comes of it.

use std::fs;

use porter_remote::{RemoteError, open_in};
use porter_weights::{
    ErrorKind, open,
    stream::{Conversion, Options, write},
};

use crate::{
    common::{assert_same, bucket, download, model, s3, through, upload},
    output::{assert_converts, layout, source, store},
    proxy::{Fault, Proxy},
};

/// Every third request fails like this, of those of a method.
fn sometimes(fault: Fault, of: &'static str) -> impl Fn(usize, &str) -> Fault {
    move |turn, method| if turn % 3 == 1 && (of.is_empty() || method == of) { fault } else { Fault::None }
}

#[test]
fn what_passes_is_read_through() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    fs::write(&path, model(5, 700)).unwrap();
    let root = bucket("through");
    let url = root.join("model.safetensors").unwrap();
    upload(&url, &fs::read(&path).unwrap());
    for fault in [Fault::Dropped, Fault::Cut, Fault::Failed, Fault::Refused(503, "SlowDown")] {
        let proxy = Proxy::new(&s3(), sometimes(fault, ""));
        let remote = open_in(&through(&proxy.endpoint, &root), &url).unwrap();
        assert_same(&*remote, &*open(&path).unwrap());
    }
}

#[test]
fn what_passes_is_written_through() {
    let folder = tempfile::tempdir().unwrap();
    let root = bucket("written");
    let source = source(folder.path(), 9, 1024);
    for (name, fault) in [
        ("dropped", Fault::Dropped),
        ("cut", Fault::Cut),
        ("failed", Fault::Failed),
        ("slow", Fault::Refused(503, "SlowDown")),
    ] {
        let proxy = Proxy::new(&s3(), sometimes(fault, "PUT"));
        let client = through(&proxy.endpoint, &root);
        assert_converts(&client, &root.join(name).unwrap(), &*source, None);
        assert!(proxy.seen().iter().any(|seen| seen.method == "POST"), "no multipart upload");
    }
}

#[test]
fn half_of_a_body_is_an_error() {
    let root = bucket("half");
    let url = root.join("model.safetensors").unwrap();
    upload(&url, &model(5, 700));
    let proxy = Proxy::new(
        &s3(),
        |turn, method| if method == "GET" && turn > 1 { Fault::Short } else { Fault::None },
    );
    let remote = open_in(&through(&proxy.endpoint, &root), &url).unwrap();
    let error = remote.tensor("t3.weight").err().unwrap();
    assert!(error.to_string().contains("not what was asked for"), "{error}");
}

#[test]
fn a_server_that_never_recovers_is_an_error_that_names_it() {
    let root = bucket("never");
    let url = root.join("model.safetensors").unwrap();
    upload(&url, &model(1, 1));
    for fault in [Fault::Dropped, Fault::Failed] {
        let proxy = Proxy::new(&s3(), move |_, _| fault);
        let client = through(&proxy.endpoint, &root);
        let error = client.look(&url).unwrap_err();
        assert!(matches!(error, RemoteError::Unreachable { .. }), "{error}");
        assert!(error.to_string().contains(&url.to_string()), "{error}");
    }
    let gone = {
        let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", unused.local_addr().unwrap())
    };
    let error = through(&gone, &root).look(&url).unwrap_err();
    assert!(matches!(error, RemoteError::Unreachable { .. }), "{error}");
}

#[test]
fn credentials_that_expire_say_so_and_what_to_do() {
    let root = bucket("expire");
    let url = root.join("model.safetensors").unwrap();
    upload(&url, &model(4, 64));
    // S3 answers 400 to expired tokens, other servers 403.
    for status in [400, 403] {
        let expires =
            move |turn, _: &str| if turn > 1 { Fault::Refused(status, "ExpiredToken") } else { Fault::None };
        let proxy = Proxy::new(&s3(), expires);
        let remote = open_in(&through(&proxy.endpoint, &root), &url).unwrap();
        let error = remote.tensor("t1.weight").err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        let said = error.to_string();
        assert!(said.contains("have expired (ExpiredToken") && said.contains("AWS_SESSION_TOKEN"), "{said}");
    }
    let proxy = Proxy::new(&s3(), |_, _| Fault::Refused(403, "AccessDenied"));
    let client = through(&proxy.endpoint, &root);
    let error = client.list(&root, 10).unwrap_err().to_string();
    assert!(error.contains("AccessDenied") && error.contains("AWS_ACCESS_KEY_ID"), "{error}");
}

#[test]
fn a_conversion_whose_credentials_expire_goes_on_with_new_ones() {
    let folder = tempfile::tempdir().unwrap();
    let root = bucket("goes-on");
    let url = root.join("out").unwrap();
    let source = source(folder.path(), 6, 256);
    let layout = layout(&*source, Some(1 << 20));
    let conversion = Conversion { what: "test", checkpoint: &*source, layout: &layout };
    let options = Options::within(64 << 20);
    // The answer to a HEAD has no body that could say why.
    let expires = |turn, method: &str| match method {
        "HEAD" => Fault::None,
        _ if turn > 12 => Fault::Refused(400, "ExpiredToken"),
        _ => Fault::None,
    };
    let proxy = Proxy::new(&s3(), expires);
    let first =
        write(&conversion, &store(&through(&proxy.endpoint, &root), &url, folder.path()), &options, &());
    let said = first.unwrap_err().to_string();
    assert!(said.contains("have expired"), "{said}");
    assert!(download(&url.join("model.safetensors.index.json").unwrap()).is_none());
    let client = through(&s3(), &root);
    let second = write(&conversion, &store(&client, &url, folder.path()), &options, &()).unwrap();
    assert_eq!(second.files.len(), 7);
    assert_converts(&client, &root.join("whole").unwrap(), &*source, Some(1 << 20));
    for path in second.files.keys() {
        let whole = download(&root.join("whole").unwrap().join(path).unwrap());
        assert!(download(&url.join(path).unwrap()) == whole, "{path}");
    }
}

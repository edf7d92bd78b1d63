//! Where a conversion goes.

use std::path::Path;

use porter_weights::stream::{LocalStore, Store};

use crate::PipelineError;

/// What a user names as the output: `s3://` and `gs://` prefixes, a file if it `is_file`, or a folder,
/// which is made if it is not there.
pub fn place(output: &Path, is_file: bool) -> Result<Box<dyn Store>, PipelineError> {
    if let Some(url) = output.to_str().filter(|text| text.starts_with("s3://") || text.starts_with("gs://")) {
        return bucket(url);
    }
    let store = if is_file { LocalStore::file(output) } else { LocalStore::folder(output) };
    let failed = |source| PipelineError::File { doing: "write", path: output.to_owned(), source };
    Ok(Box::new(store.map_err(failed)?))
}

#[cfg(feature = "remote")]
fn bucket(url: &str) -> Result<Box<dyn Store>, PipelineError> {
    use std::sync::Arc;

    use porter_import::ImportError;
    use porter_remote::{Bucket, RemoteStore, RemoteUrl};

    let url = RemoteUrl::parse(url).map_err(ImportError::from)?;
    let bucket = Bucket::open(&url).map_err(ImportError::from)?;
    let locks = std::env::temp_dir().join("porter-locks");
    Ok(Box::new(RemoteStore::new(Arc::new(bucket), url, locks)))
}

#[cfg(not(feature = "remote"))]
fn bucket(url: &str) -> Result<Box<dyn Store>, PipelineError> {
    Err(porter_import::ImportError::WithoutRemote(url.to_owned()).into())
}

//! One bucket, by blocking calls.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use object_store::aws::AmazonS3Builder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::path::Path;
use object_store::{
    BackoffConfig, GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt, RetryConfig,
};
use tokio::runtime::Runtime;

use crate::http::Connector;
use crate::{Provider, RemoteError, RemoteUrl};

/// One request asks for at most these bytes.
const RANGE_BYTES: u64 = 8 << 20;
/// Requests for one read that travel at the same time.
const AT_ONCE: usize = 4;
/// Reads below this size come from blocks of this size, so that a row of a matrix is not a request each.
const BLOCK_BYTES: u64 = 1 << 20;
/// Blocks that are kept.
const BLOCKS: usize = 32;

/// Where credentials and endpoints come from: variables by name. Of them count
/// - for `s3://` those that begin with `AWS_`: `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`,
///   `AWS_REGION`, `AWS_ENDPOINT_URL`, `AWS_ALLOW_HTTP`, `AWS_SKIP_SIGNATURE`, ...: every one of `object_store`'s
///   `AmazonS3ConfigKey`; without keys, the machine's or container's role;
/// - for `gs://` those that begin with `GOOGLE_`: `GOOGLE_APPLICATION_CREDENTIALS`, `GOOGLE_SERVICE_ACCOUNT`,
///   `GOOGLE_BEARER_TOKEN`, `GOOGLE_BASE_URL`, `GOOGLE_SKIP_SIGNATURE`, ...: every one of `GoogleConfigKey`; without them,
///   gcloud's application default credentials, or the machine's account.
pub type Variables = BTreeMap<String, String>;

/// How long a request that fails for a passing reason is sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Further attempts after the first.
    pub retries: usize,
    /// The wait before the second attempt; it doubles, with chance, up to [`Self::longest_wait`].
    pub first_wait: Duration,
    /// No wait is longer.
    pub longest_wait: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { retries: 8, first_wait: Duration::from_millis(200), longest_wait: Duration::from_secs(20) }
    }
}

/// An object as it was when it was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Where it is.
    pub url: RemoteUrl,
    /// Bytes.
    pub bytes: u64,
    /// What tells it from what may be there later.
    pub etag: String,
}

/// A bucket.
#[derive(Debug)]
pub struct Bucket {
    root: RemoteUrl,
    pub(crate) store: Arc<dyn ObjectStore>,
    runtime: Runtime,
    blocks: Mutex<VecDeque<Block>>,
}

#[derive(Debug)]
struct Block {
    key: String,
    range: Range<u64>,
    bytes: Bytes,
}

impl Bucket {
    /// The bucket that `url` lies in, with this process's variables.
    pub fn open(url: &RemoteUrl) -> Result<Self, RemoteError> {
        let text = |value: std::ffi::OsString| value.into_string().ok();
        let variables = std::env::vars_os().filter_map(|(name, value)| Some((text(name)?, text(value)?)));
        Self::open_with(url, &variables.collect(), Patience::default())
    }

    /// The bucket that `url` lies in. Nothing is asked of it yet.
    pub fn open_with(
        url: &RemoteUrl,
        variables: &Variables,
        patience: Patience,
    ) -> Result<Self, RemoteError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(4 * AT_ONCE)
            .thread_name("porter-remote")
            .enable_time()
            .build()
            .map_err(|error| RemoteError::Unreachable { url: url.to_string(), reason: error.to_string() })?;
        let retry = RetryConfig {
            max_retries: patience.retries,
            backoff: BackoffConfig {
                init_backoff: patience.first_wait,
                max_backoff: patience.longest_wait,
                base: 2.0,
            },
            ..RetryConfig::default()
        };
        let store: Arc<dyn ObjectStore> = match url.provider() {
            Provider::S3 => {
                let named = settings("AWS_", variables);
                let builder = named
                    .fold(AmazonS3Builder::new(), |builder, (key, value)| builder.with_config(key, value));
                let builder = builder.with_bucket_name(url.bucket()).with_retry(retry);
                Arc::new(builder.with_http_connector(Connector).build().map_err(|error| unset(url, &error))?)
            }
            Provider::Gcs => {
                let named = settings("GOOGLE_", variables);
                let builder = named.fold(GoogleCloudStorageBuilder::new(), |builder, (key, value)| {
                    builder.with_config(key, value)
                });
                let builder = builder.with_bucket_name(url.bucket()).with_retry(retry);
                Arc::new(builder.with_http_connector(Connector).build().map_err(|error| unset(url, &error))?)
            }
        };
        let root = RemoteUrl::parse(&format!("{}://{}", url.provider().scheme(), url.bucket()))?;
        Ok(Self { root, store, runtime, blocks: Mutex::default() })
    }

    /// Waits for a request.
    pub(crate) fn wait<T>(&self, request: impl Future<Output = T>) -> T {
        self.runtime.handle().block_on(request)
    }

    /// Lets a request run beside the caller.
    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        request: impl Future<Output = T> + Send + 'static,
    ) -> tokio::task::JoinHandle<T> {
        self.runtime.spawn(request)
    }

    /// Everything under a prefix, in the order of the keys, at most `limit` objects of it.
    pub fn list(&self, prefix: &RemoteUrl, limit: usize) -> Result<Vec<Object>, RemoteError> {
        let path = path(prefix)?;
        let listed = self.store.list(Some(&path)).take(limit).try_collect::<Vec<ObjectMeta>>();
        let listed = self.wait(listed).map_err(|error| RemoteError::of(prefix, &error))?;
        let mut objects = Vec::with_capacity(listed.len());
        for meta in listed {
            // A key that is no plain path cannot be one of Porter's.
            if let Ok(url) = self.root.join(meta.location.as_ref()) {
                objects.push(object(url, &meta));
            }
        }
        objects.sort_by(|a, b| a.url.cmp(&b.url));
        Ok(objects)
    }

    /// An object, without its bytes.
    pub fn look(&self, url: &RemoteUrl) -> Result<Object, RemoteError> {
        let path = path(url)?;
        let meta = self.wait(self.store.head(&path)).map_err(|error| RemoteError::of(url, &error))?;
        Ok(object(url.clone(), &meta))
    }

    /// All bytes of a small object.
    pub fn small(&self, object: &Object, limit: u64) -> Result<Vec<u8>, RemoteError> {
        if object.bytes > limit {
            return Err(RemoteError::TooLarge { url: object.url.to_string(), found: object.bytes, limit });
        }
        let mut bytes = vec![0; usize::try_from(object.bytes).unwrap_or(usize::MAX)];
        self.read(object, 0, &mut bytes)?;
        Ok(bytes)
    }

    /// Reads an object from byte `offset` on into `out`, which must lie within it.
    pub fn read(&self, object: &Object, offset: u64, out: &mut [u8]) -> Result<(), RemoteError> {
        let ranges = out.chunks_mut(RANGE_BYTES as usize).scan(offset, |begin, part| {
            let range = *begin..*begin + part.len() as u64;
            *begin = range.end;
            Some((range, part))
        });
        let requests = ranges.map(|(range, part)| async move {
            part.copy_from_slice(&self.range(object, range).await?);
            Ok(())
        });
        self.wait(stream::iter(requests).buffer_unordered(AT_ONCE).try_collect::<()>())
    }

    /// The same for small reads close to each other: they come from larger blocks, which do not leave `within`.
    pub fn read_within(
        &self,
        object: &Object,
        within: &Range<u64>,
        offset: u64,
        out: &mut [u8],
    ) -> Result<(), RemoteError> {
        if out.len() as u64 >= BLOCK_BYTES {
            return self.read(object, offset, out);
        }
        let mut begin = offset;
        let mut rest = out;
        while !rest.is_empty() {
            let block_start = within.start + (begin - within.start) / BLOCK_BYTES * BLOCK_BYTES;
            let block = self.block(object, block_start..(block_start + BLOCK_BYTES).min(within.end))?;
            let skip = (begin - block_start) as usize;
            let stored = block.get(skip..).unwrap_or_default();
            let count = stored.len().min(rest.len());
            if count == 0 {
                let reason = format!("byte {begin} is past the end of {} bytes", object.bytes);
                return Err(RemoteError::Answer { url: object.url.to_string(), reason });
            }
            let (now, later) = rest.split_at_mut(count);
            now.copy_from_slice(stored.get(..count).unwrap_or_default());
            begin += count as u64;
            rest = later;
        }
        Ok(())
    }

    fn block(&self, object: &Object, range: Range<u64>) -> Result<Bytes, RemoteError> {
        let kept = || self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        let key = format!("{} {}", object.url, object.etag);
        if let Some(block) = kept().iter().find(|block| block.key == key && block.range == range) {
            return Ok(block.bytes.clone());
        }
        let bytes = self.wait(self.range(object, range.clone()))?;
        let mut blocks = kept();
        blocks.truncate(BLOCKS - 1);
        blocks.push_front(Block { key, range, bytes: bytes.clone() });
        Ok(bytes)
    }

    /// One request: exactly the bytes of `range`, of exactly this object.
    async fn range(&self, object: &Object, range: Range<u64>) -> Result<Bytes, RemoteError> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let options = GetOptions {
            if_match: Some(object.etag.clone()),
            range: Some(GetRange::Bounded(range.clone())),
            ..GetOptions::default()
        };
        let of = |error| RemoteError::of(&object.url, &error);
        let answer = self.store.get_opts(&path(&object.url)?, options).await.map_err(of)?;
        if answer.meta.e_tag.as_deref() != Some(&object.etag) {
            let found = answer.meta.e_tag.as_deref().unwrap_or("none");
            let reason = format!("its ETag was {} and is {found}", object.etag);
            return Err(RemoteError::Changed { url: object.url.to_string(), reason });
        }
        let bytes = answer.bytes().await.map_err(of)?;
        let expected = range.end - range.start;
        if bytes.len() as u64 != expected {
            let reason = format!("{} bytes of {expected} at {}", bytes.len(), range.start);
            return Err(RemoteError::Answer { url: object.url.to_string(), reason });
        }
        Ok(bytes)
    }
}

/// The variables that a store knows, by their names' beginning.
fn settings<'a, K: std::str::FromStr>(
    prefix: &'static str,
    variables: &'a Variables,
) -> impl Iterator<Item = (K, &'a str)> {
    let named = variables.iter().filter(move |(name, value)| name.starts_with(prefix) && !value.is_empty());
    named.filter_map(|(name, value)| Some((name.to_ascii_lowercase().parse().ok()?, value.as_str())))
}

fn unset(url: &RemoteUrl, error: &object_store::Error) -> RemoteError {
    let variables = match url.provider() {
        Provider::S3 => "AWS_",
        Provider::Gcs => "GOOGLE_",
    };
    RemoteError::Settings { url: url.to_string(), reason: error.to_string(), variables }
}

/// The object's path in its store.
pub(crate) fn path(url: &RemoteUrl) -> Result<Path, RemoteError> {
    Path::parse(url.key())
        .map_err(|error| RemoteError::Url { url: url.to_string(), reason: error.to_string() })
}

fn object(url: RemoteUrl, meta: &ObjectMeta) -> Object {
    // Every store here sends one; without it, what else tells a change.
    let etag = meta.e_tag.clone().unwrap_or_else(|| format!("{} {}", meta.size, meta.last_modified));
    Object { url, bytes: meta.size, etag }
}

//! A prefix of a bucket as the place of a conversion.
//!
//! A file is a multipart upload that is completed at its end and aborted on the way out of everything else, so an
//! unfinished object is never seen; a small file is one request. Journals are small objects beside the files. Nothing of
//! an unfinished file is kept for the next run, which goes on with the first file that is not there: use shards.

use std::collections::VecDeque;
use std::fs::{self, File, TryLockError};
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use object_store::{MultipartUpload, ObjectStoreExt, PutPayload};
use porter_weights::stream::{Durable, Lock, Part, Store};
use sha2::{Digest, Sha256};
use tokio::task::JoinHandle;

use crate::bucket::path;
use crate::{Bucket, Object, RemoteError, RemoteUrl};

/// Bytes of the first parts of an upload. S3 takes at most 10,000 parts, each but the last of at least 5 MiB: they grow.
const PART_BYTES: usize = 16 << 20;
/// The parts double in size after so many: 40 GB in equal parts, 600 GB in all.
const PARTS_OF_A_SIZE: usize = 2500;
/// Parts of a file that travel at the same time, each of them in memory.
const AT_ONCE: usize = 2;
/// Objects that are looked at in one place.
const MAX_LISTED: usize = 1_000_000;
/// Journals and indices are not larger.
const MAX_SMALL_BYTES: u64 = 256 << 20;

/// The objects under a prefix.
#[derive(Debug, Clone)]
pub struct RemoteStore {
    bucket: Arc<Bucket>,
    root: RemoteUrl,
    locks: PathBuf,
}

impl RemoteStore {
    /// The prefix `root` of `bucket`. A bucket has no locks that end with a process: conversions on one machine are kept
    /// apart by files in `locks`, a folder of this machine.
    pub fn new(bucket: Arc<Bucket>, root: RemoteUrl, locks: PathBuf) -> Self {
        Self { bucket, root, locks }
    }

    fn at(&self, path: &str) -> io::Result<RemoteUrl> {
        self.root.join(path).map_err(RemoteError::into_io)
    }

    fn look(&self, path: &str) -> io::Result<Option<Object>> {
        match self.bucket.look(&self.at(path)?) {
            Err(RemoteError::Missing { .. }) => Ok(None),
            found => found.map(Some).map_err(RemoteError::into_io),
        }
    }
}

impl Store for RemoteStore {
    fn name(&self) -> String {
        self.root.to_string()
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let objects = self.bucket.list(&self.root, MAX_LISTED).map_err(RemoteError::into_io)?;
        let prefix = match self.root.key() {
            "" => String::new(),
            key => format!("{key}/"),
        };
        let name = |object: Object| object.url.key().strip_prefix(&prefix).map(str::to_owned);
        Ok(objects.into_iter().filter_map(name).collect())
    }

    fn get(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        let Some(object) = self.look(path)? else { return Ok(None) };
        self.bucket.small(&object, MAX_SMALL_BYTES).map(Some).map_err(RemoteError::into_io)
    }

    fn put(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        put(&self.bucket, &self.at(path)?, Bytes::copy_from_slice(bytes))
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        let url = self.at(path)?;
        let place = crate::bucket::path(&url).map_err(RemoteError::into_io)?;
        match self.bucket.wait(self.bucket.store.delete(&place)) {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(RemoteError::of(&url, &error).into_io()),
        }
    }

    fn lock(&self, path: &str) -> io::Result<Box<dyn Lock>> {
        let url = self.at(path)?;
        fs::create_dir_all(&self.locks)?;
        let hash = Sha256::digest(url.to_string());
        let (short, _) = hash.split_first_chunk::<16>().ok_or(io::ErrorKind::InvalidData)?;
        let name = format!("{:032x}.lock", u128::from_be_bytes(*short));
        let file = File::create(self.locks.join(name))?;
        match file.try_lock() {
            Ok(()) => Ok(Box::new(Held { _file: file })),
            Err(TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn open(&self, path: &str) -> io::Result<Box<dyn Read + Send>> {
        let object = self.look(path)?.ok_or_else(|| {
            let url = format!("{}/{path}", self.root);
            RemoteError::Missing { url, reason: "no such object".to_owned() }.into_io()
        })?;
        Ok(Box::new(Reader { bucket: self.bucket.clone(), object, next: 0, buffer: Vec::new(), taken: 0 }))
    }

    fn begin(&self, path: &str, _keep: u64) -> io::Result<Box<dyn Part>> {
        let url = self.at(path)?;
        Ok(Box::new(Upload {
            bucket: self.bucket.clone(),
            url,
            buffer: Vec::new(),
            begun: None,
            travelling: VecDeque::new(),
            parts: 0,
            bytes: 0,
        }))
    }
}

/// A lock on this machine; the system frees it with the process.
struct Held {
    _file: File,
}

impl Lock for Held {}

/// One request, after which the object is there as a whole.
fn put(bucket: &Bucket, url: &RemoteUrl, bytes: Bytes) -> io::Result<()> {
    let place = path(url).map_err(RemoteError::into_io)?;
    let sent = bucket.wait(bucket.store.put(&place, PutPayload::from_bytes(bytes)));
    sent.map(|_| ()).map_err(|error| RemoteError::of(url, &error).into_io())
}

/// An object that is being written.
struct Upload {
    bucket: Arc<Bucket>,
    url: RemoteUrl,
    buffer: Vec<u8>,
    begun: Option<Box<dyn MultipartUpload>>,
    travelling: VecDeque<JoinHandle<object_store::Result<()>>>,
    parts: usize,
    bytes: u64,
}

impl Upload {
    fn part_bytes(&self) -> usize {
        PART_BYTES << (self.parts / PARTS_OF_A_SIZE).min(4)
    }

    fn failed(&self, error: &object_store::Error) -> io::Error {
        RemoteError::of(&self.url, error).into_io()
    }

    /// Sends the buffer as a part.
    fn send(&mut self) -> io::Result<()> {
        while self.travelling.len() >= AT_ONCE {
            self.arrive()?;
        }
        if self.begun.is_none() {
            let place = path(&self.url).map_err(RemoteError::into_io)?;
            let begun = self.bucket.wait(self.bucket.store.put_multipart(&place));
            self.begun = Some(begun.map_err(|error| self.failed(&error))?);
        }
        let bytes = Bytes::from(std::mem::take(&mut self.buffer));
        if let Some(upload) = &mut self.begun {
            let part = upload.put_part(PutPayload::from_bytes(bytes));
            self.travelling.push_back(self.bucket.spawn(part));
            self.parts += 1;
        }
        Ok(())
    }

    /// Waits for the part that was sent first.
    fn arrive(&mut self) -> io::Result<()> {
        let Some(part) = self.travelling.pop_front() else { return Ok(()) };
        let arrived = self.bucket.wait(part).map_err(io::Error::other)?;
        arrived.map_err(|error| self.failed(&error))
    }
}

impl Part for Upload {
    fn kept(&self) -> u64 {
        0
    }

    fn read_kept(&self) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(io::empty()))
    }

    fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        self.bytes += bytes.len() as u64;
        while !bytes.is_empty() {
            let room = self.part_bytes().saturating_sub(self.buffer.len());
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.buffer.extend_from_slice(now);
            bytes = later;
            if self.buffer.len() >= self.part_bytes() {
                self.send()?;
            }
        }
        Ok(())
    }

    fn durable(&self) -> io::Result<Option<Durable>> {
        Ok(None)
    }

    fn finish(mut self: Box<Self>) -> io::Result<()> {
        if self.begun.is_none() {
            put(&self.bucket, &self.url, Bytes::from(std::mem::take(&mut self.buffer)))?;
        } else {
            if !self.buffer.is_empty() {
                self.send()?;
            }
            while !self.travelling.is_empty() {
                self.arrive()?;
            }
            if let Some(upload) = &mut self.begun {
                let completed = self.bucket.wait(upload.complete());
                completed.map_err(|error| self.failed(&error))?;
            }
            self.begun = None;
        }
        let found = self.bucket.look(&self.url).map_err(RemoteError::into_io)?.bytes;
        if found == self.bytes {
            return Ok(());
        }
        let reason = format!("{} bytes were sent, and {found} are there", self.bytes);
        Err(RemoteError::Answer { url: self.url.to_string(), reason }.into_io())
    }
}

/// What was not finished is given back to the store.
impl Drop for Upload {
    fn drop(&mut self) {
        while let Some(part) = self.travelling.pop_front() {
            part.abort();
            let _ = self.bucket.wait(part);
        }
        if let Some(mut upload) = self.begun.take() {
            // The store's own rules for unfinished uploads are what is left if this fails.
            let _ = self.bucket.wait(upload.abort());
        }
    }
}

/// An object from its first byte on.
struct Reader {
    bucket: Arc<Bucket>,
    object: Object,
    next: u64,
    buffer: Vec<u8>,
    taken: usize,
}

impl Read for Reader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        const AHEAD: u64 = 16 << 20;
        if self.taken == self.buffer.len() {
            let length = AHEAD.min(self.object.bytes - self.next);
            self.buffer.resize(length as usize, 0);
            self.bucket.read(&self.object, self.next, &mut self.buffer).map_err(RemoteError::into_io)?;
            self.next += length;
            self.taken = 0;
        }
        let stored = self.buffer.get(self.taken..).unwrap_or_default();
        let count = stored.len().min(out.len());
        out[..count].copy_from_slice(&stored[..count]);
        self.taken += count;
        Ok(count)
    }
}

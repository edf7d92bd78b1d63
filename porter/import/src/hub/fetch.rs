//! Fetching a model's files into the cache, several at a time.

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use super::blob::{Download, Ended, Told};
use super::cache::RepositoryCache;
use super::listing::{self, Listing, RemoteFile};
use super::remote::HfHub;
use super::retry::attempt;
use super::{Found, HubSettings, Repository};
use crate::choice::{Asked, choose};
use crate::error::ImportError;
use crate::model_files::JsonFile;
use crate::progress::{Event, Progress};

/// Files that travel at the same time.
const AT_ONCE: usize = 4;

/// Fetches what is missing of the model that is asked for.
pub(super) fn fetch(
    settings: &HubSettings,
    cache: &RepositoryCache,
    repository: &Repository,
    asked: Asked<'_>,
    progress: &dyn Progress,
) -> Result<Found, ImportError> {
    let hub = HfHub::new(settings, repository)?;
    let listing = attempt(settings.retry, || hub.list())?;
    let choice = choose(&listing.names(), asked)?;
    let files = Files { hub: &hub, cache, settings, listing: &listing, place: asked.place };
    let weights = cache.snapshot_folder(&listing.commit).join(choice.weights);
    let mut wanted = choice.others;
    wanted.push(choice.weights);
    if listing::is_index(choice.weights) {
        files.fetch(&wanted, choice.weights, progress)?;
        let shards = listing::shards(&JsonFile::read(&weights)?, choice.weights)?;
        wanted = shards.iter().map(|name| files.shard(name, choice.weights)).collect::<Result<_, _>>()?;
    }
    files.fetch(&wanted, choice.weights, progress)?;
    cache.remember(repository, &listing.commit)?;
    Ok(Found { root: cache.snapshot_folder(&listing.commit), weights })
}

struct Files<'a> {
    hub: &'a HfHub<'a>,
    cache: &'a RepositoryCache,
    settings: &'a HubSettings,
    listing: &'a Listing,
    place: &'a str,
}

impl<'a> Files<'a> {
    /// A shard that an index names, which must be in the listing.
    fn shard(&self, name: &str, index: &str) -> Result<&'a str, ImportError> {
        let found = self.listing.find(name).map(|file| file.name.as_str());
        found.ok_or_else(|| ImportError::Untrusted {
            name: format!("{}: {index}", self.place),
            reason: format!("it names {name:?}, which the repository does not hold"),
        })
    }

    /// Fetches files, at most [`AT_ONCE`] at the same time; the first failure ends all. The progress is that of all of
    /// them together.
    fn fetch(&self, names: &[&str], title: &str, progress: &dyn Progress) -> Result<(), ImportError> {
        let mut files: Vec<&RemoteFile> = names.iter().filter_map(|name| self.listing.find(name)).collect();
        files.retain(|file| !self.cache.holds(&self.listing.commit, file));
        // The largest first, so that none of them is left alone at the end.
        files.sort_by_key(|file| std::cmp::Reverse(file.size));
        if files.is_empty() {
            return Ok(());
        }
        let name = match files.as_slice() {
            [one] => one.name.clone(),
            several => format!("{title} and {} more files", several.len() - 1),
        };
        progress.event(Event::Started { name: &name, bytes: files.iter().map(|file| file.size).sum() });
        self.in_parallel(&files, progress)?;
        progress.event(Event::Finished);
        Ok(())
    }

    fn in_parallel(&self, files: &[&RemoteFile], progress: &dyn Progress) -> Result<(), ImportError> {
        let next = AtomicUsize::new(0);
        let stop = AtomicBool::new(false);
        let failed = Mutex::new(None);
        thread::scope(|scope| {
            let (sender, receiver) = channel();
            for _ in 0..AT_ONCE.min(files.len()) {
                let (sender, next, stop, failed) = (sender.clone(), &next, &stop, &failed);
                scope.spawn(move || {
                    let tell = |told| sender.send(told).is_ok() && !stop.load(Ordering::Relaxed);
                    while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                        if let Err(Ended::Failed(error)) = self.file(file, &tell) {
                            stop.store(true, Ordering::Relaxed);
                            if let Ok(mut failed) = failed.lock() {
                                failed.get_or_insert(error);
                            }
                        }
                        if stop.load(Ordering::Relaxed) {
                            break;
                        }
                    }
                });
            }
            drop(sender);
            show(&receiver, progress);
        });
        failed.into_inner().ok().flatten().map_or(Ok(()), Err)
    }

    fn file(&self, file: &RemoteFile, tell: &dyn Fn(Told) -> bool) -> Result<PathBuf, Ended> {
        let download = Download {
            hub: self.hub,
            cache: self.cache,
            commit: &self.listing.commit,
            retry: self.settings.retry,
            tell,
        };
        download.file(file)
    }
}

/// Passes on what the downloads tell, until the last of them ends.
fn show(receiver: &Receiver<Told>, progress: &dyn Progress) {
    for told in receiver {
        match told {
            Told::Bytes(0) => {}
            Told::Bytes(bytes) => progress.event(Event::Advanced { bytes }),
            Told::Note(note) => progress.event(Event::Note(&note)),
        }
    }
}

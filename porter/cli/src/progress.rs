//! What libraries report, on the console.

use std::{
    cell::RefCell,
    sync::{Mutex, PoisonError},
};

use indicatif::ProgressBar;
use porter_import::{Event, Progress};
use porter_pipeline::Observer;
use porter_weights::{Loaded, stream};

use crate::console::{Console, Unit};

/// Shows downloads.
pub(crate) struct Fetching<'a> {
    console: &'a Console,
    bar: RefCell<Option<ProgressBar>>,
}

impl<'a> Fetching<'a> {
    pub(crate) fn new(console: &'a Console) -> Self {
        Self { console, bar: RefCell::new(None) }
    }
}

impl Progress for Fetching<'_> {
    fn event(&self, event: Event<'_>) {
        match event {
            Event::Note(text) => self.console.note(text),
            Event::Started { name, bytes } => {
                self.bar.replace(Some(self.console.bar(name, bytes, Unit::Bytes)));
            }
            Event::Advanced { bytes } => {
                if let Some(bar) = &*self.bar.borrow() {
                    bar.inc(bytes);
                }
            }
            Event::Finished => {
                if let Some(bar) = self.bar.take() {
                    bar.finish_and_clear();
                }
            }
        }
    }
}

/// Shows a conversion.
pub(crate) struct Converting<'a> {
    console: &'a Console,
    bar: Mutex<Option<ProgressBar>>,
}

impl<'a> Converting<'a> {
    pub(crate) fn new(console: &'a Console) -> Self {
        Self { console, bar: Mutex::new(None) }
    }
}

impl stream::Observer for Converting<'_> {
    fn event(&self, event: stream::Event<'_>) {
        let mut bar = self.bar.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            stream::Event::Note(text) => self.console.note(text),
            stream::Event::Begin { what, bytes, done } => {
                let shown = self.console.bar(what, bytes, Unit::Bytes);
                shown.set_position(done);
                // The rate is that of this run.
                shown.reset_eta();
                *bar = Some(shown);
            }
            stream::Event::Advanced(bytes) => {
                if let Some(bar) = &*bar {
                    bar.inc(bytes);
                }
            }
            stream::Event::End => {
                if let Some(bar) = bar.take() {
                    bar.finish_and_clear();
                }
            }
        }
    }
}

/// Shows what the pipeline does.
pub(crate) struct Working<'a> {
    console: &'a Console,
    /// What is counted, and its bar.
    bar: RefCell<Option<(String, ProgressBar)>>,
}

impl<'a> Working<'a> {
    pub(crate) fn new(console: &'a Console) -> Self {
        Self { console, bar: RefCell::new(None) }
    }
}

impl Observer for Working<'_> {
    fn note(&self, text: &str) {
        self.console.note(text);
    }

    fn detail(&self, text: &str) {
        self.console.detail(text);
    }

    fn loaded(&self, loaded: Loaded<'_>) {
        self.step("weights", loaded.done, loaded.total);
    }

    fn step(&self, what: &str, done: usize, total: usize) {
        let mut bar = self.bar.borrow_mut();
        if bar.as_ref().is_none_or(|(name, _)| name != what) {
            if let Some((_, old)) = bar.take() {
                old.finish_and_clear();
            }
            *bar = Some((what.to_owned(), self.console.bar(what, total as u64, Unit::Items)));
        }
        if let Some((_, shown)) = &*bar {
            shown.set_length(total as u64);
            shown.set_position(done as u64);
            if done == total {
                shown.finish_and_clear();
                *bar = None;
            }
        }
    }
}

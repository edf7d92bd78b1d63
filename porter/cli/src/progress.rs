//! What libraries report, on the console.

use std::cell::RefCell;

use indicatif::ProgressBar;
use porter_import::{Event, Progress};
use porter_weights::Loaded;

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

/// Shows the loading of weights: a callback for `WeightMap::load`.
pub(crate) fn loading(console: &Console) -> impl FnMut(Loaded<'_>) {
    let bar = console.bar("weights", 0, Unit::Items);
    move |loaded| {
        bar.set_length(loaded.total as u64);
        bar.set_position(loaded.done as u64);
        if loaded.done == loaded.total {
            bar.finish_and_clear();
        }
    }
}

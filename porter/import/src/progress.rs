//! What a long fetch tells its caller.

/// Something that happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'a> {
    /// Something worth a line: a package is fetched, a cached copy is used.
    Note(&'a str),
    /// A download begins.
    Started {
        /// The file, or the files that come at the same time.
        name: &'a str,
        /// Their size together.
        bytes: u64,
    },
    /// More of the download that began last is there; what an earlier run left counts.
    Advanced {
        /// Since the last event.
        bytes: u64,
    },
    /// The download that began last is complete and verified.
    Finished,
}

/// Receives events.
pub trait Progress {
    /// Takes one event. Called often; must be quick.
    fn event(&self, event: Event<'_>);
}

/// Ignores everything.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn event(&self, _: Event<'_>) {}
}

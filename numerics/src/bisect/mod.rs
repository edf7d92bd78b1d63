//! The first module of a port that leaves its budget, and every other that would if the ones before
//! it were right.
//!
//! The programs of the port and of the reference are cut at their modules' borders (`units`). The
//! port's own values are carried from part to part and compared with the reference's until a part
//! leaves its budget: one pass over the model, one part in memory at a time. There the reference is
//! injected: the part runs on the reference's inputs, so that an error which came in does not count,
//! and what is still wrong is looked for among its own parts, down to the op. Then the search goes on
//! behind it, again from the reference's values, so that no fault hides behind another.
//!
//! A budget is what rounding does to that very value: the reference program is run a third time, each
//! op rounding as it is written, on the same inputs.

mod diff;
mod pairs;
mod search;
mod suspect;
mod taps;
mod units;

use std::collections::BTreeMap;

use porter_ir::{OpError, Program};

use crate::{CompareError, Positions, View};
pub use suspect::{Bisection, Reach, Suspect, Truth};
pub use taps::tapped;

/// A tensor that its holder owns.
pub type Tensor = View<'static>;

/// Runs parts of a program.
pub trait Runner<E> {
    /// The results of `part` by name, given its arguments by name. Argument values come in any number
    /// type that holds them, and are converted to the type that the part takes; weights are the
    /// runner's own.
    fn run(
        &mut self,
        part: &Program,
        arguments: &BTreeMap<String, Tensor>,
    ) -> Result<BTreeMap<String, Tensor>, E>;
}

/// What is searched.
pub struct Search<'a, E> {
    /// The port's program, before what the target makes of its parts.
    pub port: &'a Program,
    /// Runs the port's parts.
    pub port_runner: &'a mut dyn Runner<E>,
    /// The program that it should be: the same modules.
    pub reference: &'a Program,
    /// Runs the reference's parts without rounding, in double precision.
    pub exact: &'a mut dyn Runner<E>,
    /// Runs the reference's parts with every op rounding to its own type.
    pub rounded: &'a mut dyn Runner<E>,
    /// True if the port rounds to a narrower type than f32.
    pub narrow: bool,
    /// The values of the programs' arguments and states, by name.
    pub arguments: BTreeMap<String, Tensor>,
    /// Recorded values that count more than the reference runner's: by a program's result name
    /// (`hidden_states.3`) or a module's path (`model.layers.3.mlp`).
    pub recorded: BTreeMap<String, Tensor>,
    /// Which positions of `[batch, position, ...]` recorded values count.
    pub positions: Positions,
}

impl<E> Search<'_, E> {
    /// Every module that is at fault, in the order of the program.
    pub fn run(self) -> Result<Bisection, BisectError<E>> {
        search::run(self)
    }
}

/// Why a search ended without an answer.
#[derive(Debug, thiserror::Error)]
pub enum BisectError<E> {
    /// A part did not run.
    #[error("running {part} of the {side}: {source}")]
    Run {
        /// The part.
        part: String,
        /// `port` or `reference`.
        side: &'static str,
        /// Why.
        source: E,
    },
    /// A part could not be cut out, which is a bug.
    #[error(transparent)]
    Op(#[from] OpError),
    /// A part's outputs cannot be compared.
    #[error("comparing {part}: {source}")]
    Compare {
        /// The part.
        part: String,
        /// Why.
        source: CompareError,
    },
    /// The programs have nothing in common that could be searched.
    #[error("{0}")]
    Structure(String),
}

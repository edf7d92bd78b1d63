//! Programs as XLA's compiler leaves them.
//!
//! Only what the estimate needs is decoded, from the bytes that a plugin gives as the optimised program
//! (`hlo_with_config`). Bytes are not trusted: what does not hang together is an error.

mod decode;
mod groups;
mod products;
mod proto;
mod shape;

pub use decode::HloError;
pub use shape::{Array, Space};

/// A program: computations that call each other, scheduled.
#[derive(Clone, Debug, PartialEq)]
pub struct Module {
    /// The program's name.
    pub name: String,
    /// Every computation; [`Instruction::calls`] are positions here.
    pub computations: Vec<Computation>,
    /// The position of the one that runs.
    pub entry: usize,
}

/// Instructions that run one after the other.
#[derive(Clone, Debug, PartialEq)]
pub struct Computation {
    /// The instructions; [`Instruction::operands`] are positions here.
    pub instructions: Vec<Instruction>,
    /// The position of the one whose value is the result.
    pub root: usize,
}

/// One instruction.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Instruction {
    /// Its name in the compiler's dumps.
    pub name: String,
    /// HLO's name of what it does: `fusion`, `copy-start`, ...
    pub opcode: String,
    /// The arrays that it gives, tuples flattened.
    pub arrays: Vec<Array>,
    /// What it reads.
    pub operands: Vec<usize>,
    /// The computations that it calls.
    pub calls: Vec<usize>,
    /// Where it comes from: Porter's source path, or what another frontend wrote.
    pub source: String,
    /// The compiler's estimate (`window_config.estimated_cycles`); none where it makes none.
    pub cycles: Option<u64>,
    /// How often a `while` runs its body, where the compiler knows.
    pub trip_count: Option<u64>,
    /// The operations of a `dot` or a `convolution`.
    pub flops: f64,
    /// The number of a `parameter`.
    pub parameter: usize,
    /// The element of a `get-tuple-element`.
    pub tuple_index: usize,
    /// The value of an integer scalar `constant`.
    pub constant: Option<i64>,
    /// The direction of a `compare`.
    pub direction: String,
    /// The target of a `custom-call`.
    pub target: String,
    /// The devices of a collective, one list a group; empty means one group of all.
    pub groups: Vec<Vec<i64>>,
    /// Who sends to whom in a `collective-permute`.
    pub pairs: Vec<(i64, i64)>,
}

impl Computation {
    /// The instruction at a position that [`Module::decode`] checked.
    pub(crate) fn at(&self, position: usize) -> Option<&Instruction> {
        self.instructions.get(position)
    }

    /// The instruction whose value is the result.
    pub(crate) fn result(&self) -> Option<&Instruction> {
        self.at(self.root)
    }

    /// The instructions that `instruction` reads, in order.
    pub(crate) fn operands<'a>(
        &'a self,
        instruction: &'a Instruction,
    ) -> impl Iterator<Item = &'a Instruction> {
        instruction.operands.iter().filter_map(|&operand| self.at(operand))
    }
}

impl Module {
    /// The first computation that an instruction calls.
    pub(crate) fn called(&self, instruction: &Instruction) -> Option<&Computation> {
        instruction.calls.first().and_then(|&call| self.computations.get(call))
    }
}

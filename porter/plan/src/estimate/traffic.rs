//! The bytes that an instruction moves to and from HBM.

use std::collections::HashMap;

use crate::hlo::{Array, Computation, Instruction, Module, Space};

/// Fusions are nested this deep at most.
const DEEPEST: usize = 32;

/// Bytes of HBM.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Traffic {
    pub(super) read: f64,
    pub(super) written: f64,
}

impl Traffic {
    pub(super) fn total(self) -> f64 {
        self.read + self.written
    }
}

/// The part of an operand that is read.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Used {
    All,
    /// The greatest part that one reader takes, in bytes as they lie.
    Bytes(f64),
}

/// What a fusion does with its operands and its result.
#[derive(Clone, Debug, Default)]
struct Fusion {
    used: Vec<Used>,
    /// Bytes written of each result; none where all of it is.
    written: Vec<Option<f64>>,
}

/// Works out traffic; fusions are looked at once.
pub(super) struct Meter<'a> {
    module: &'a Module,
    fusions: HashMap<usize, Fusion>,
}

impl<'a> Meter<'a> {
    pub(super) fn new(module: &'a Module) -> Self {
        Self { module, fusions: HashMap::new() }
    }

    /// The traffic of one run of `instruction`, without what it calls other than a fusion.
    pub(super) fn of(&mut self, within: &Computation, instruction: &Instruction) -> Traffic {
        let written = || instruction.arrays.iter().map(hbm).sum();
        let read = || within.operands(instruction).flat_map(|x| &x.arrays).map(hbm).sum();
        match instruction.opcode.as_str() {
            "fusion" => self.fusion_traffic(within, instruction),
            "dynamic-update-slice" | "scatter" => updated(within, instruction),
            "slice" | "dynamic-slice" | "gather" => sliced(within, instruction),
            // The first of what it gives is the copy, the others are the source and a semaphore.
            "copy-start" => Traffic { read: read(), written: instruction.arrays.first().map_or(0.0, hbm) },
            "async-start" => self.async_traffic(within, instruction),
            "custom-call" if is_view(instruction) => Traffic::default(),
            opcode if moves_nothing(opcode) => Traffic::default(),
            // What a start reads and a done gives is counted at the start.
            opcode if opcode.ends_with("-start") => Traffic { read: read(), written: read() },
            _ => Traffic { read: read(), written: written() },
        }
    }

    /// A copy of a part in the background: as much as the part has, on either side.
    fn async_traffic(&mut self, within: &Computation, instruction: &Instruction) -> Traffic {
        let Some(inner) = self.module.called(instruction) else { return Traffic::default() };
        let Some(result) = inner.result() else { return Traffic::default() };
        let moved: f64 = result.arrays.iter().map(|array| array.bytes as f64).sum();
        let part = matches!(result.opcode.as_str(), "slice" | "dynamic-slice" | "gather");
        let sources = within.operands(instruction).flat_map(|x| &x.arrays);
        let read = if part {
            let from_hbm = sources.take(1).any(|array| array.space == Space::Hbm);
            if from_hbm { moved } else { 0.0 }
        } else {
            sources.map(hbm).sum()
        };
        Traffic { read, written: result.arrays.iter().map(hbm).sum() }
    }

    fn fusion_traffic(&mut self, within: &Computation, instruction: &Instruction) -> Traffic {
        let fusion = instruction.calls.first().map(|&call| self.fusion(call, DEEPEST)).unwrap_or_default();
        let operands = within.operands(instruction).enumerate();
        let read = operands.map(|(i, operand)| {
            let whole: f64 = operand.arrays.iter().map(hbm).sum();
            match fusion.used.get(i) {
                Some(&Used::Bytes(bytes)) => whole.min(bytes),
                _ => whole,
            }
        });
        let results = instruction.arrays.iter().enumerate();
        let written = results.map(|(i, array)| {
            let whole = hbm(array);
            fusion.written.get(i).copied().flatten().map_or(whole, |bytes| whole.min(bytes))
        });
        Traffic { read: read.sum(), written: written.sum() }
    }

    fn fusion(&mut self, call: usize, depth: usize) -> Fusion {
        if let Some(known) = self.fusions.get(&call) {
            return known.clone();
        }
        let module = self.module;
        let Some(computation) = module.computations.get(call).filter(|_| depth > 0) else {
            return Fusion::default();
        };
        let readers = readers(computation);
        let mut used = vec![Used::Bytes(0.0); parameters(computation)];
        for (at, instruction) in computation.instructions.iter().enumerate() {
            if instruction.opcode != "parameter" {
                continue;
            }
            if let Some(slot) = used.get_mut(instruction.parameter) {
                *slot = self.used(computation, &readers, at, depth);
            }
        }
        let fusion = Fusion { used, written: written(computation) };
        self.fusions.insert(call, fusion.clone());
        fusion
    }

    /// How much of the value at `at` its readers inside a fusion take: their parts of it, but not more than it has.
    fn used(&mut self, computation: &Computation, readers: &[Vec<Reader>], at: usize, depth: usize) -> Used {
        let whole = computation.at(at).map_or(f64::INFINITY, |value| bytes(&value.arrays));
        let mut taken = 0.0_f64;
        let mut waiting = vec![at];
        let mut seen = vec![false; computation.instructions.len()];
        while let Some(value) = waiting.pop() {
            if computation.root == value {
                return Used::All;
            }
            for &Reader { at, operand } in readers.get(value).into_iter().flatten() {
                let Some(reader) = computation.at(at) else { continue };
                if self.is_view(reader) {
                    if let Some(seen) = seen.get_mut(at).filter(|seen| !**seen) {
                        *seen = true;
                        waiting.push(at);
                    }
                    continue;
                }
                match self.read_by(reader, operand, depth) {
                    Used::All => return Used::All,
                    Used::Bytes(part) => taken = whole.min(taken + part),
                }
            }
        }
        Used::Bytes(taken)
    }

    /// Whether an instruction of a fusion gives its operand as it is or in another layout, of which its readers take what
    /// they need.
    fn is_view(&self, instruction: &Instruction) -> bool {
        let moves = |instruction: &Instruction| matches!(instruction.opcode.as_str(), "bitcast" | "copy");
        let inner = instruction.calls.first().and_then(|&call| self.module.computations.get(call));
        match inner.filter(|_| instruction.opcode == "fusion") {
            Some(inner) => inner.instructions.iter().all(|step| step.opcode == "parameter" || moves(step)),
            None => moves(instruction),
        }
    }

    /// How much of its operand an instruction of a fusion takes.
    fn read_by(&mut self, reader: &Instruction, operand: usize, depth: usize) -> Used {
        match (reader.opcode.as_str(), operand) {
            ("slice" | "dynamic-slice" | "gather", 0) => Used::Bytes(bytes(&reader.arrays)),
            // In place: what is not updated is not touched.
            ("dynamic-update-slice" | "scatter", 0) => Used::Bytes(0.0),
            ("fusion", operand) => {
                let inner = reader.calls.first().map(|&call| self.fusion(call, depth - 1));
                inner.and_then(|inner| inner.used.get(operand).copied()).unwrap_or(Used::All)
            }
            _ => Used::All,
        }
    }
}

/// An instruction that reads a value, and as which operand.
#[derive(Clone, Copy)]
struct Reader {
    at: usize,
    operand: usize,
}

/// Who reads each value of a computation.
fn readers(computation: &Computation) -> Vec<Vec<Reader>> {
    let mut readers = vec![Vec::new(); computation.instructions.len()];
    for (at, instruction) in computation.instructions.iter().enumerate() {
        for (operand, &value) in instruction.operands.iter().enumerate() {
            if let Some(readers) = readers.get_mut(value) {
                readers.push(Reader { at, operand });
            }
        }
    }
    readers
}

/// Bytes written of each result of a fusion: an update writes what it updates.
fn written(computation: &Computation) -> Vec<Option<f64>> {
    let Some(root) = computation.result() else { return Vec::new() };
    let results: Vec<&Instruction> =
        if root.opcode == "tuple" { computation.operands(root).collect() } else { vec![root] };
    results.into_iter().map(|result| updated_part(computation, result)).collect()
}

/// Bytes of the update that a result is made by; none where it is made whole.
fn updated_part<'a>(computation: &'a Computation, mut result: &'a Instruction) -> Option<f64> {
    for _ in 0..computation.instructions.len() {
        match result.opcode.as_str() {
            "bitcast" => result = computation.operands(result).next()?,
            "dynamic-update-slice" => {
                return computation.operands(result).nth(1).map(|x| bytes(&x.arrays));
            }
            _ => return None,
        }
    }
    None
}

/// Bytes of an update in place: the update is read and written.
fn updated(within: &Computation, instruction: &Instruction) -> Traffic {
    let place = if instruction.opcode == "scatter" { 2 } else { 1 };
    let update = within.operands(instruction).nth(place);
    let into_hbm = instruction.arrays.first().is_some_and(|array| array.space == Space::Hbm);
    Traffic {
        read: update.map_or(0.0, |x| x.arrays.iter().map(hbm).sum()),
        written: if into_hbm { update.map_or(0.0, |x| bytes(&x.arrays)) } else { 0.0 },
    }
}

/// Bytes of a part: as many are read as it has.
fn sliced(within: &Computation, instruction: &Instruction) -> Traffic {
    let source = within.operands(instruction).next().and_then(|x| x.arrays.first());
    let from_hbm = source.is_some_and(|array| array.space == Space::Hbm);
    Traffic {
        read: if from_hbm { bytes(&instruction.arrays) } else { 0.0 },
        written: instruction.arrays.iter().map(hbm).sum(),
    }
}

fn parameters(computation: &Computation) -> usize {
    // Numbers beyond the instructions would be a lie.
    computation.instructions.iter().filter(|x| x.opcode == "parameter").count()
}

fn hbm(array: &Array) -> f64 {
    array.hbm() as f64
}

fn bytes(arrays: &[Array]) -> f64 {
    arrays.iter().map(|array| array.bytes as f64).sum()
}

/// Custom calls that give their operands another name.
pub(super) fn is_view(instruction: &Instruction) -> bool {
    matches!(
        instruction.target.as_str(),
        "ConcatBitcast" | "AllocateBuffer" | "Sharding" | "AssumeGatherIndicesInBound"
    )
}

/// Instructions that only name what is there, or that wait for what was counted at its start.
pub(super) fn moves_nothing(opcode: &str) -> bool {
    opcode.ends_with("-done")
        || matches!(
            opcode,
            "parameter"
                | "constant"
                | "tuple"
                | "get-tuple-element"
                | "bitcast"
                | "after-all"
                | "opt-barrier"
                | "optimization-barrier"
                | "add-dependency"
                | "partition-id"
                | "replica-id"
                | "async-update"
                | "while"
                | "call"
                | "conditional"
        )
}

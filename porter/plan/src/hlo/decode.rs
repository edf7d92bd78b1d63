//! From bytes to a module whose references hold.

use std::collections::HashMap;

use prost::Message as _;
use serde::Deserialize;

use super::{Array, Computation, Instruction, Module, groups, products, proto};

/// Tuples are nested this deep at most.
const DEEPEST: usize = 16;

/// Why bytes are no program.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HloError {
    /// The bytes are no protobuf message of the kind.
    #[error("read the compiled program: {0}")]
    Message(String),
    /// Something refers to what is not there.
    #[error("read the compiled program: {what} of {place} is not there")]
    Missing {
        /// What is referred to.
        what: String,
        /// What refers to it.
        place: String,
    },
    /// The program calls itself, or is larger than what is walked.
    #[error("walk the compiled program: it is nested without end, or has more than {0} steps")]
    Endless(usize),
}

/// What the TPU compiler writes beside an instruction, as JSON.
#[derive(Default, Deserialize)]
#[serde(default)]
struct BackendConfig {
    window_config: Option<WindowConfig>,
    known_trip_count: Option<TripCount>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WindowConfig {
    /// 64-bit numbers are texts in protobuf's JSON.
    estimated_cycles: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct TripCount {
    n: String,
}

impl Module {
    /// Reads a serialized `HloModuleProtoWithConfig`, as plugins give their optimised programs.
    pub fn decode(bytes: &[u8]) -> Result<Self, HloError> {
        let message = proto::ModuleWithConfig::decode(bytes).map_err(|e| HloError::Message(e.to_string()))?;
        let module = message.hlo_module.ok_or_else(|| HloError::Message("it holds no module".to_owned()))?;
        let ids: HashMap<i64, usize> =
            module.computations.iter().enumerate().map(|(i, computation)| (computation.id, i)).collect();
        let entry = *ids.get(&module.entry_computation_id).ok_or_else(|| HloError::Missing {
            what: "the entry computation".to_owned(),
            place: module.name.clone(),
        })?;
        let computations =
            module.computations.iter().map(|c| computation(c, &ids)).collect::<Result<_, _>>()?;
        Ok(Self { name: module.name, computations, entry })
    }
}

fn computation(
    from: &proto::Computation,
    computations: &HashMap<i64, usize>,
) -> Result<Computation, HloError> {
    let ids: HashMap<i64, usize> = from.instructions.iter().enumerate().map(|(i, x)| (x.id, i)).collect();
    let arrays: Vec<Vec<Array>> = from
        .instructions
        .iter()
        .map(|instruction| {
            instruction.shape.as_ref().map_or_else(Vec::new, |shape| Array::all(shape, DEEPEST))
        })
        .collect();
    let read = |(i, message)| instruction(message, arrays.get(i), &arrays, &ids, computations);
    let instructions: Vec<Instruction> =
        from.instructions.iter().enumerate().map(read).collect::<Result<_, _>>()?;
    let root = *ids.get(&from.root_id).ok_or_else(|| HloError::Missing {
        what: "the root".to_owned(),
        place: format!("computation {}", from.id),
    })?;
    Ok(Computation { instructions, root })
}

fn instruction(
    from: &proto::Instruction,
    own: Option<&Vec<Array>>,
    arrays: &[Vec<Array>],
    ids: &HashMap<i64, usize>,
    computations: &HashMap<i64, usize>,
) -> Result<Instruction, HloError> {
    let look = |id: &i64, what: &str, among: &HashMap<i64, usize>| {
        let missing = || HloError::Missing { what: format!("{what} {id}"), place: from.name.clone() };
        among.get(id).copied().ok_or_else(missing)
    };
    let operands: Vec<usize> =
        from.operand_ids.iter().map(|id| look(id, "operand", ids)).collect::<Result<_, _>>()?;
    let calls = from
        .called_computation_ids
        .iter()
        .map(|id| look(id, "computation", computations))
        .collect::<Result<_, _>>()?;
    let dims = |operand: usize| {
        operands.get(operand).and_then(|&at| arrays.get(at)?.first()).map(|array| array.dims.as_slice())
    };
    let config: BackendConfig = serde_json::from_slice(&from.backend_config).unwrap_or_default();
    let cycles = config.window_config.and_then(|window| window.estimated_cycles.parse().ok());
    Ok(Instruction {
        name: from.name.clone(),
        opcode: from.opcode.clone(),
        arrays: own.cloned().unwrap_or_default(),
        calls,
        source: from.metadata.as_ref().map(|metadata| metadata.op_name.clone()).unwrap_or_default(),
        cycles: cycles.filter(|&cycles| cycles > 0),
        trip_count: config.known_trip_count.and_then(|count| count.n.parse().ok()),
        flops: products::flops(from, dims(0), dims(1)),
        parameter: usize::try_from(from.parameter_number).unwrap_or(0),
        tuple_index: usize::try_from(from.tuple_index).unwrap_or(0),
        constant: from.literal.as_ref().and_then(scalar),
        direction: from.comparison_direction.clone(),
        target: from.custom_call_target.clone(),
        groups: groups::groups(from),
        pairs: from.source_target_pairs.iter().map(|pair| (pair.source, pair.target)).collect(),
        operands,
    })
}

fn scalar(literal: &proto::Literal) -> Option<i64> {
    let proto::Literal { s32s, s64s, u32s } = literal;
    match (s32s.as_slice(), s64s.as_slice(), u32s.as_slice()) {
        ([one], [], []) => Some((*one).into()),
        ([], [one], []) => Some(*one),
        ([], [], [one]) => Some((*one).into()),
        _ => None,
    }
}

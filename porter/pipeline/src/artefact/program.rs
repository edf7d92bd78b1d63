//! A program in a manifest.

use porter_ir::{DType, Entry, InputRole, Mesh, OutputRole, Sharding, Slot, TensorType};
use porter_zoo::{Phase, Taps};
use serde::{Deserialize, Serialize};

use crate::ahead::Job;

/// A program: where its StableHLO lies, and what a caller of it has to know.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProgramEntry {
    /// The program's name, which its file is called by: `programs/NAME.mlir`.
    pub name: String,
    /// What it is for.
    pub phase: PhaseRecord,
    /// The SHA-256 of its file.
    pub sha256: String,
    /// The arithmetic of the model in it, on all devices together.
    pub flops: f64,
    /// What it takes, in order.
    pub inputs: Vec<SlotRecord>,
    /// What it gives, in order. The next value of a state has the state's name.
    pub outputs: Vec<SlotRecord>,
}

/// A phase and its static sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum PhaseRecord {
    Forward {
        batch: usize,
        tokens: usize,
    },
    Prefill {
        batch: usize,
        tokens: usize,
        cache: usize,
    },
    Extend {
        batch: usize,
        tokens: usize,
        cache: usize,
    },
    Decode {
        batch: usize,
        cache: usize,
    },
    /// The program of an ONNX graph. Those of its weights that are no tensors are results of `weights`.
    Graph,
    /// What is computed of a graph's weights alone, once they are loaded.
    Weights,
}

/// An input or an output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SlotRecord {
    /// Its name; a weight's is that of its tensor.
    pub name: String,
    /// `weight`, `argument` or `state`; of an output `result` or `state`.
    pub role: String,
    /// The element type, as NumPy and JAX call it: `bfloat16`.
    pub dtype: String,
    /// The shape of the whole tensor.
    pub shape: Vec<usize>,
    /// For each dimension the mesh axes that split it, as a `PartitionSpec` of JAX; none where every device
    /// has all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sharding: Option<Vec<Vec<String>>>,
}

impl ProgramEntry {
    pub(super) fn new(phase: PhaseRecord, job: &Job, sha256: String) -> Self {
        let Entry { name, inputs, outputs, .. } = &job.program.entry;
        let input = |role| match role {
            InputRole::Weight => "weight",
            InputRole::Argument => "argument",
            InputRole::State => "state",
        };
        let output = |role| match role {
            OutputRole::Result => "result",
            OutputRole::State => "state",
        };
        Self {
            name: name.clone(),
            phase,
            sha256,
            flops: job.flops,
            inputs: inputs.iter().map(|slot| SlotRecord::new(slot, input(slot.role))).collect(),
            outputs: outputs.iter().map(|slot| SlotRecord::new(slot, output(slot.role))).collect(),
        }
    }

    /// What the program takes and gives, or what is wrong with what the manifest says.
    pub(super) fn entry(&self, mesh: Option<&Mesh>) -> Result<Entry, String> {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if self.name.is_empty() || !self.name.chars().all(plain) {
            return Err(format!("{:?} is no name of a program: letters, digits, _ and - are", self.name));
        }
        let input = |role: &str| match role {
            "weight" => Some(InputRole::Weight),
            "argument" => Some(InputRole::Argument),
            "state" => Some(InputRole::State),
            _ => None,
        };
        let output = |role: &str| match role {
            "result" => Some(OutputRole::Result),
            "state" => Some(OutputRole::State),
            _ => None,
        };
        Ok(Entry {
            name: self.name.clone(),
            mesh: mesh.cloned(),
            inputs: self.inputs.iter().map(|slot| slot.read(mesh, input)).collect::<Result<_, _>>()?,
            outputs: self.outputs.iter().map(|slot| slot.read(mesh, output)).collect::<Result<_, _>>()?,
        })
    }
}

impl SlotRecord {
    fn new<Role>(slot: &Slot<Role>, role: &str) -> Self {
        Self {
            name: slot.name.clone(),
            role: role.to_owned(),
            dtype: slot.ty.dtype.numpy().to_owned(),
            shape: slot.ty.shape.to_vec(),
            sharding: slot.sharding.as_ref().map(|sharding| sharding.dims.clone()),
        }
    }

    fn read<Role>(&self, mesh: Option<&Mesh>, role: fn(&str) -> Option<Role>) -> Result<Slot<Role>, String> {
        let name = &self.name;
        let role = role(&self.role).ok_or_else(|| format!("{name}: {:?} is no role", self.role))?;
        let dtype: DType = self.dtype.parse().map_err(|error| format!("{name}: {error}"))?;
        let bytes = self.shape.iter().try_fold(dtype.host_bytes(), |all, &size| all.checked_mul(size));
        if bytes.is_none_or(|bytes| isize::try_from(bytes).is_err()) {
            return Err(format!("{name}: no memory holds a tensor of shape {:?}", self.shape));
        }
        let ty = TensorType::new(dtype, self.shape.clone());
        let sharding = match (&self.sharding, mesh) {
            (Some(dims), Some(mesh)) => {
                Some(sharding(dims, mesh, &ty).map_err(|what| format!("{name}: {what}"))?)
            }
            (Some(_), None) => return Err(format!("{name}: it is split, and there is no mesh")),
            (None, _) => None,
        };
        Ok(Slot { name: name.clone(), role, ty, sharding })
    }
}

/// How a tensor lies over a mesh, if it divides.
fn sharding(dims: &[Vec<String>], mesh: &Mesh, ty: &TensorType) -> Result<Sharding, String> {
    let sharding = Sharding { dims: dims.to_vec() };
    if let Some(axis) = sharding.axes().find(|axis| mesh.size(axis).is_none()) {
        return Err(format!("the mesh {mesh} has no axis {axis:?}"));
    }
    let parts = sharding.parts(mesh);
    let divides = ty.shape.iter().zip(&parts).all(|(&size, &parts)| parts > 0 && size.is_multiple_of(parts));
    if parts.len() > ty.shape.rank() || !divides {
        return Err(format!("{ty} does not divide into {parts:?} parts"));
    }
    Ok(sharding)
}

impl From<Phase> for PhaseRecord {
    fn from(phase: Phase) -> Self {
        match phase {
            Phase::Forward { batch, tokens, .. } => Self::Forward { batch, tokens },
            Phase::Prefill { batch, tokens, cache } => Self::Prefill { batch, tokens, cache },
            Phase::Extend { batch, tokens, cache } => Self::Extend { batch, tokens, cache },
            Phase::Decode { batch, cache } => Self::Decode { batch, cache },
        }
    }
}

impl PhaseRecord {
    /// The phase of a model of sequences; none of a graph.
    pub(super) fn of_sequences(self) -> Option<Phase> {
        Some(match self {
            Self::Forward { batch, tokens } => Phase::Forward { batch, tokens, taps: Taps::None },
            Self::Prefill { batch, tokens, cache } => Phase::Prefill { batch, tokens, cache },
            Self::Extend { batch, tokens, cache } => Phase::Extend { batch, tokens, cache },
            Self::Decode { batch, cache } => Phase::Decode { batch, cache },
            Self::Graph | Self::Weights => return None,
        })
    }
}

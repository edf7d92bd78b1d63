//! Compile options, as the protobuf messages that plugins take.

use std::{collections::BTreeMap, num::NonZeroU32};

use prost::Message;

use crate::{Error, Result};

/// How a program is to be compiled.
///
/// What is sent always names both counts: plugins abort the process where one is missing.
#[derive(Clone, Debug, PartialEq)]
pub struct CompileOptions {
    /// How many copies of the program run together, each on other data.
    pub replicas: NonZeroU32,
    /// Over how many devices each copy is spread.
    pub partitions: NonZeroU32,
    /// Who spreads it.
    pub partitioner: Partitioner,
    /// The ids of the devices, one list of `partitions` ids a replica; the plugin's choice where `None`.
    pub device_ids: Option<Vec<Vec<i32>>>,
    /// Compiler flags for this program, as in `XLA_FLAGS` without the dashes.
    pub flags: BTreeMap<String, Flag>,
}

/// Who turns a program with sharding annotations into the program of one device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Partitioner {
    /// Nobody: each device runs the program as it is written.
    None,
    /// Shardy, which reads `sdy.sharding` annotations.
    Shardy,
    /// GSPMD, which reads `mhlo.sharding` annotations.
    Gspmd,
}

/// The value of a compiler flag.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the variants are their types")]
pub enum Flag {
    String(String),
    Bool(bool),
    Int(i64),
    Float(f64),
}

impl Default for CompileOptions {
    /// For one device.
    fn default() -> Self {
        Self {
            replicas: NonZeroU32::MIN,
            partitions: NonZeroU32::MIN,
            partitioner: Partitioner::None,
            device_ids: None,
            flags: BTreeMap::new(),
        }
    }
}

/// A flag of XLA's CPU backend, and the value with which it gives YNNPACK dots and convolutions one by one.
///
/// By default it fuses what comes before and after with them. Where one operand repeats a single number
/// (`stablehlo.constant dense<0.02>`, a broadcast scalar) and a reduction follows, the fused kernel reads
/// past that number, and every result is garbage: XLA of jaxlib 0.10.2 and of the default plugin, found by
/// the ONNX suite (docs/onnx.md). Programs that may hold such a product are compiled with this.
pub const SINGLE_YNN_OPS: (&str, &str) = (
    "xla_cpu_experimental_ynn_fusion_type",
    "LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT,LIBRARY_FUSION_TYPE_INDIVIDUAL_CONVOLUTION",
);

impl CompileOptions {
    /// For a program with `sdy.sharding` annotations over `partitions` devices.
    pub fn sharded(partitions: NonZeroU32) -> Self {
        Self { partitions, partitioner: Partitioner::Shardy, ..Self::default() }
    }

    /// Adds a compiler flag.
    #[must_use]
    pub fn flag(mut self, name: impl Into<String>, value: Flag) -> Self {
        self.flags.insert(name.into(), value);
        self
    }

    /// The devices that the program needs.
    pub fn devices(&self) -> usize {
        self.replicas.get() as usize * self.partitions.get() as usize
    }

    /// The serialized `CompileOptionsProto`. Equal options give equal bytes.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        self.check()?;
        let shardy = self.partitioner == Partitioner::Shardy;
        let build = ExecutableBuildOptionsProto {
            device_ordinal: -1,
            num_replicas: self.replicas.get().into(),
            num_partitions: self.partitions.get().into(),
            use_spmd_partitioning: self.partitioner != Partitioner::None,
            device_assignment: self.device_ids.as_deref().map(device_assignment),
            use_shardy_partitioner: shardy,
        };
        let flag = |(name, value): (&String, &Flag)| {
            (name.clone(), OptionOverrideProto { value: Some(value.into()) })
        };
        let options = CompileOptionsProto {
            executable_build_options: Some(build),
            env_option_overrides: self.flags.iter().map(flag).collect(),
        };
        Ok(options.encode_to_vec())
    }

    fn check(&self) -> Result<()> {
        if self.partitions.get() > 1 && self.partitioner == Partitioner::None && self.replicas.get() > 1 {
            return Err(Error::Options(
                "a program over several partitions and replicas needs a partitioner".into(),
            ));
        }
        let Some(ids) = &self.device_ids else { return Ok(()) };
        let (replicas, partitions) = (self.replicas.get() as usize, self.partitions.get() as usize);
        if ids.len() != replicas || ids.iter().any(|r| r.len() != partitions) {
            return Err(Error::Options(format!(
                "device ids must be {replicas} lists (replicas) of {partitions} ids (partitions)"
            )));
        }
        let mut all: Vec<i32> = ids.iter().flatten().copied().collect();
        all.sort_unstable();
        let repeated = all.windows(2).find(|pair| pair.first() == pair.last());
        repeated
            .map_or(Ok(()), |pair| Err(Error::Options(format!("device id {} is assigned twice", pair[0]))))
    }
}

/// The message lists the devices by partition first, then by replica.
fn device_assignment(ids: &[Vec<i32>]) -> DeviceAssignmentProto {
    let partitions = ids.first().map_or(0, Vec::len);
    let partition = |p: usize| ComputationDevice {
        replica_device_ids: ids.iter().filter_map(|replica| replica.get(p)).map(|&id| id.into()).collect(),
    };
    DeviceAssignmentProto {
        replica_count: ids.len() as i32,
        computation_count: partitions as i32,
        computation_devices: (0..partitions).map(partition).collect(),
    }
}

impl From<&Flag> for FlagValue {
    fn from(flag: &Flag) -> Self {
        match flag {
            Flag::String(text) => Self::String(text.clone()),
            Flag::Bool(b) => Self::Bool(*b),
            Flag::Int(n) => Self::Int(*n),
            Flag::Float(x) => Self::Float(*x),
        }
    }
}

// The part of xla/pjrt/proto/compile_options.proto and xla/xla_data.proto that is used here. Field
// numbers are theirs.

#[derive(Clone, PartialEq, Message)]
struct CompileOptionsProto {
    #[prost(message, optional, tag = "3")]
    executable_build_options: Option<ExecutableBuildOptionsProto>,
    #[prost(btree_map = "string, message", tag = "7")]
    env_option_overrides: BTreeMap<String, OptionOverrideProto>,
}

#[derive(Clone, PartialEq, Message)]
struct OptionOverrideProto {
    #[prost(oneof = "FlagValue", tags = "1, 2, 3, 4")]
    value: Option<FlagValue>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum FlagValue {
    #[prost(string, tag = "1")]
    String(String),
    #[prost(bool, tag = "2")]
    Bool(bool),
    #[prost(int64, tag = "3")]
    Int(i64),
    #[prost(double, tag = "4")]
    Float(f64),
}

#[derive(Clone, PartialEq, Message)]
struct ExecutableBuildOptionsProto {
    #[prost(int64, tag = "1")]
    device_ordinal: i64,
    #[prost(int64, tag = "4")]
    num_replicas: i64,
    #[prost(int64, tag = "5")]
    num_partitions: i64,
    #[prost(bool, tag = "6")]
    use_spmd_partitioning: bool,
    #[prost(message, optional, tag = "9")]
    device_assignment: Option<DeviceAssignmentProto>,
    #[prost(bool, tag = "19")]
    use_shardy_partitioner: bool,
}

#[derive(Clone, PartialEq, Message)]
struct DeviceAssignmentProto {
    #[prost(int32, tag = "1")]
    replica_count: i32,
    #[prost(int32, tag = "2")]
    computation_count: i32,
    #[prost(message, repeated, tag = "3")]
    computation_devices: Vec<ComputationDevice>,
}

#[derive(Clone, PartialEq, Message)]
struct ComputationDevice {
    #[prost(int64, repeated, tag = "1")]
    replica_device_ids: Vec<i64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes that `facts/pjrt.md` part 2 found to be the least that a plugin takes are among
    /// what is sent: replica count (field 4) and partition count (field 5).
    #[test]
    fn both_counts_are_always_sent() {
        let bytes = CompileOptions::default().to_bytes().unwrap();
        assert_eq!(bytes[0], 0x1a);
        assert!(bytes.windows(4).any(|w| w == [0x20, 1, 0x28, 1]), "{bytes:x?}");
    }

    #[test]
    fn device_ids_must_fit_the_counts_and_differ() {
        let with = |device_ids| CompileOptions { device_ids: Some(device_ids), ..CompileOptions::default() };
        assert!(with(vec![vec![3]]).to_bytes().is_ok());
        assert!(with(vec![]).to_bytes().is_err());
        assert!(with(vec![vec![0, 1]]).to_bytes().is_err());
        let two = NonZeroU32::new(2).unwrap();
        let twice = CompileOptions { partitions: two, ..with(vec![vec![1, 1]]) };
        assert!(twice.to_bytes().unwrap_err().to_string().contains("device id 1 is assigned twice"));
    }

    #[test]
    fn the_order_in_which_flags_were_added_does_not_change_the_bytes() {
        let (a, b) = (Flag::Bool(true), Flag::String("x".into()));
        let one = CompileOptions::default().flag("a", a.clone()).flag("b", b.clone());
        let other = CompileOptions::default().flag("b", b).flag("a", a);
        assert_eq!(one.to_bytes().unwrap(), other.to_bytes().unwrap());
    }
}

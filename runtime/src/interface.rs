//! What a compiled program says that it takes.
//!
//! The C API tells the types of a program's results but not of its arguments, and plugins do not
//! check the arguments of an execution. The optimised program does tell, so that a signature which
//! the program does not have is refused before anything runs with it.

use std::collections::BTreeSet;

use porter_ir::{DType, TensorType};
use prost::Message;

use crate::{Error, OptimizedProgram, Result};

impl Interface {
    /// Reads it from a compiled program.
    pub(crate) fn read(program: &OptimizedProgram) -> Result<Self> {
        let misbehaved =
            |found: String| Error::Misbehaved { doing: "read the optimised program".into(), found };
        if program.format != "hlo_with_config" {
            return Err(misbehaved(format!("gives it as {:?} instead of hlo_with_config", program.format)));
        }
        HloModuleProtoWithConfig::decode(program.code.as_slice())
            .map_err(|e| misbehaved(format!("gives what is no HloModuleProtoWithConfig: {e}")))?
            .hlo_module
            .ok_or_else(|| misbehaved("gives it without a module".into()))
    }

    /// The types of the arguments on one device; `None` for types that Porter does not know.
    pub(crate) fn inputs(&self) -> Vec<Option<TensorType>> {
        self.host_program_shape
            .iter()
            .flat_map(|shape| &shape.parameters)
            .map(ShapeProto::tensor_type)
            .collect()
    }

    /// The arguments whose memory the program may reuse.
    pub(crate) fn donated(&self) -> BTreeSet<usize> {
        let aliased =
            self.input_output_alias.iter().flat_map(|alias| &alias.entries).map(|e| e.parameter_number);
        let given = self.buffer_donor.iter().flat_map(|donor| &donor.entries).map(|e| e.parameter_number);
        aliased.chain(given).filter_map(|n| usize::try_from(n).ok()).collect()
    }
}

impl ShapeProto {
    fn tensor_type(&self) -> Option<TensorType> {
        let dims: Option<Vec<usize>> = self.dimensions.iter().map(|&d| usize::try_from(d).ok()).collect();
        Some(TensorType::new(dtype(self.element_type)?, dims?))
    }
}

/// The dtype of an `xla.PrimitiveType`, whose numbers are not those of the C API.
fn dtype(primitive_type: i32) -> Option<DType> {
    Some(match primitive_type {
        1 => DType::Bool,
        2 => DType::I8,
        3 => DType::I16,
        4 => DType::I32,
        5 => DType::I64,
        6 => DType::U8,
        7 => DType::U16,
        8 => DType::U32,
        9 => DType::U64,
        10 => DType::F16,
        11 => DType::F32,
        12 => DType::F64,
        16 => DType::BF16,
        19 => DType::F8E5M2,
        20 => DType::F8E4M3FN,
        21 => DType::I4,
        22 => DType::U4,
        32 => DType::F4E2M1FN,
        _ => return None,
    })
}

// The part of xla/service/hlo.proto and xla/xla_data.proto that is used here. Field numbers are theirs.

#[derive(Clone, PartialEq, Message)]
struct HloModuleProtoWithConfig {
    #[prost(message, optional, tag = "1")]
    hlo_module: Option<Interface>,
}

/// What a compiled program takes: of `HloModuleProto`, the fields about the program's arguments.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Interface {
    #[prost(message, optional, tag = "4")]
    host_program_shape: Option<ProgramShapeProto>,
    #[prost(message, optional, tag = "8")]
    input_output_alias: Option<HloInputOutputAliasProto>,
    #[prost(message, optional, tag = "18")]
    buffer_donor: Option<HloBufferDonorProto>,
}

#[derive(Clone, PartialEq, Message)]
struct ProgramShapeProto {
    #[prost(message, repeated, tag = "1")]
    parameters: Vec<ShapeProto>,
}

#[derive(Clone, PartialEq, Message)]
struct ShapeProto {
    #[prost(int32, tag = "2")]
    element_type: i32,
    #[prost(int64, repeated, tag = "3")]
    dimensions: Vec<i64>,
}

#[derive(Clone, PartialEq, Message)]
struct HloInputOutputAliasProto {
    #[prost(message, repeated, tag = "1")]
    entries: Vec<AliasEntryProto>,
}

#[derive(Clone, PartialEq, Message)]
struct AliasEntryProto {
    #[prost(int64, tag = "2")]
    parameter_number: i64,
}

#[derive(Clone, PartialEq, Message)]
struct HloBufferDonorProto {
    #[prost(message, repeated, tag = "1")]
    entries: Vec<BufferDonorEntryProto>,
}

#[derive(Clone, PartialEq, Message)]
struct BufferDonorEntryProto {
    #[prost(int64, tag = "1")]
    parameter_number: i64,
}

//! The part of `xla/service/hlo.proto` and `xla/xla_data.proto` that is used here. Field numbers are theirs.

use prost::Message;

#[derive(Clone, PartialEq, Message)]
pub(super) struct ModuleWithConfig {
    #[prost(message, optional, tag = "1")]
    pub(super) hlo_module: Option<Module>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Module {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(message, repeated, tag = "3")]
    pub(super) computations: Vec<Computation>,
    #[prost(int64, tag = "6")]
    pub(super) entry_computation_id: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Computation {
    #[prost(message, repeated, tag = "2")]
    pub(super) instructions: Vec<Instruction>,
    #[prost(int64, tag = "5")]
    pub(super) id: i64,
    #[prost(int64, tag = "6")]
    pub(super) root_id: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Instruction {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, tag = "2")]
    pub(super) opcode: String,
    #[prost(message, optional, tag = "3")]
    pub(super) shape: Option<Shape>,
    #[prost(message, optional, tag = "7")]
    pub(super) metadata: Option<Metadata>,
    #[prost(message, optional, tag = "8")]
    pub(super) literal: Option<Literal>,
    #[prost(int64, tag = "9")]
    pub(super) parameter_number: i64,
    #[prost(int64, tag = "13")]
    pub(super) tuple_index: i64,
    #[prost(message, optional, tag = "15")]
    pub(super) window: Option<Window>,
    #[prost(message, optional, tag = "16")]
    pub(super) convolution: Option<ConvolutionDimensions>,
    #[prost(string, tag = "28")]
    pub(super) custom_call_target: String,
    #[prost(message, optional, tag = "30")]
    pub(super) dot: Option<DotDimensions>,
    #[prost(int64, tag = "35")]
    pub(super) id: i64,
    #[prost(int64, repeated, tag = "36")]
    pub(super) operand_ids: Vec<i64>,
    #[prost(int64, repeated, tag = "38")]
    pub(super) called_computation_ids: Vec<i64>,
    #[prost(bytes = "vec", tag = "43")]
    pub(super) backend_config: Vec<u8>,
    #[prost(message, repeated, tag = "49")]
    pub(super) replica_groups: Vec<ReplicaGroup>,
    #[prost(int64, tag = "50")]
    pub(super) feature_group_count: i64,
    #[prost(message, repeated, tag = "52")]
    pub(super) source_target_pairs: Vec<SourceTarget>,
    #[prost(int64, tag = "58")]
    pub(super) batch_group_count: i64,
    #[prost(string, tag = "63")]
    pub(super) comparison_direction: String,
    #[prost(message, optional, tag = "87")]
    pub(super) devices: Option<DeviceList>,
    #[prost(message, optional, tag = "92")]
    pub(super) iota_devices: Option<IotaGroups>,
    #[prost(message, optional, tag = "93")]
    pub(super) mesh_devices: Option<MeshGroups>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Metadata {
    #[prost(string, tag = "2")]
    pub(super) op_name: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Shape {
    #[prost(int32, tag = "2")]
    pub(super) element_type: i32,
    #[prost(int64, repeated, tag = "3")]
    pub(super) dimensions: Vec<i64>,
    #[prost(message, repeated, tag = "4")]
    pub(super) tuple_shapes: Vec<Shape>,
    #[prost(message, optional, tag = "5")]
    pub(super) layout: Option<Layout>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Layout {
    #[prost(int64, repeated, tag = "1")]
    pub(super) minor_to_major: Vec<i64>,
    #[prost(message, repeated, tag = "6")]
    pub(super) tiles: Vec<Tile>,
    #[prost(int64, tag = "7")]
    pub(super) element_size_in_bits: i64,
    #[prost(int64, tag = "8")]
    pub(super) memory_space: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Tile {
    #[prost(int64, repeated, tag = "1")]
    pub(super) dimensions: Vec<i64>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Literal {
    #[prost(int32, repeated, tag = "4")]
    pub(super) s32s: Vec<i32>,
    #[prost(int64, repeated, tag = "5")]
    pub(super) s64s: Vec<i64>,
    #[prost(uint32, repeated, tag = "6")]
    pub(super) u32s: Vec<u32>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Window {
    #[prost(message, repeated, tag = "1")]
    pub(super) dimensions: Vec<WindowDimension>,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct WindowDimension {
    #[prost(int64, tag = "1")]
    pub(super) size: i64,
    #[prost(int64, tag = "2")]
    pub(super) stride: i64,
    #[prost(int64, tag = "3")]
    pub(super) padding_low: i64,
    #[prost(int64, tag = "5")]
    pub(super) window_dilation: i64,
    #[prost(int64, tag = "6")]
    pub(super) base_dilation: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ConvolutionDimensions {
    #[prost(int64, tag = "3")]
    pub(super) kernel_input_feature: i64,
    #[prost(int64, repeated, tag = "6")]
    pub(super) kernel_spatial: Vec<i64>,
    #[prost(int64, repeated, tag = "11")]
    pub(super) input_spatial: Vec<i64>,
    #[prost(int64, tag = "9")]
    pub(super) output_batch: i64,
    #[prost(int64, tag = "10")]
    pub(super) output_feature: i64,
    #[prost(int64, repeated, tag = "12")]
    pub(super) output_spatial: Vec<i64>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct DotDimensions {
    #[prost(int64, repeated, tag = "1")]
    pub(super) lhs_contracting: Vec<i64>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ReplicaGroup {
    #[prost(int64, repeated, tag = "1")]
    pub(super) replica_ids: Vec<i64>,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct SourceTarget {
    #[prost(int64, tag = "1")]
    pub(super) source: i64,
    #[prost(int64, tag = "2")]
    pub(super) target: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct DeviceList {
    #[prost(message, repeated, tag = "1")]
    pub(super) replica_groups: Vec<ReplicaGroup>,
    #[prost(message, optional, tag = "2")]
    pub(super) iota: Option<IotaGroups>,
}

/// Groups of the devices of a mesh that differ along some of its axes.
#[derive(Clone, PartialEq, Message)]
pub(super) struct MeshGroups {
    #[prost(message, optional, tag = "1")]
    pub(super) mesh: Option<Mesh>,
    #[prost(message, repeated, tag = "2")]
    pub(super) axes: Vec<AxisRef>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Mesh {
    #[prost(message, repeated, tag = "1")]
    pub(super) axes: Vec<MeshAxis>,
    #[prost(int64, repeated, tag = "2")]
    pub(super) device_ids: Vec<i64>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct MeshAxis {
    #[prost(int64, tag = "2")]
    pub(super) size: i64,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct AxisRef {
    #[prost(int64, tag = "1")]
    pub(super) axis: i64,
    #[prost(message, optional, tag = "2")]
    pub(super) part: Option<AxisPart>,
}

/// Part `size` of an axis as `[pre_size, size, ..]`.
#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct AxisPart {
    #[prost(int64, tag = "1")]
    pub(super) pre_size: i64,
    #[prost(int64, tag = "2")]
    pub(super) size: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct IotaGroups {
    #[prost(int64, tag = "1")]
    pub(super) groups: i64,
    #[prost(int64, tag = "2")]
    pub(super) group_size: i64,
    #[prost(int64, repeated, tag = "3")]
    pub(super) reshape: Vec<i64>,
    #[prost(int32, repeated, tag = "4")]
    pub(super) transpose: Vec<i32>,
}

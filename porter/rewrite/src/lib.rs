//! Named rewrites of programs and weight maps, each one a patch with a reason.
//!
//! A [`Rewrite`] looks at a [`Port`] and proposes a [`Patch`]; applying the patch makes a new port.
//! [`Target`] says which rewrites serve which machine.

mod batched_dots_as_reduce;
mod bf16_products;
mod blocked_attention;
mod conv_kernels_hwio;
mod experts;
mod fp8_activations;
mod fuse_parallel_dots;
mod gathered_experts;
mod grouped_experts;
mod int4_weights;
mod int8_activations;
mod int8_experts;
mod int8_weights;
mod kernel_name;
mod linear;
mod matvec_as_reduce;
mod new_weight;
mod order_parallel_dots;
mod pad_experts;
mod pad_heads;
mod pad_intermediate;
mod pad_vocab;
mod patch;
mod pin_state_updates;
mod quantised;
mod rebuild;
mod resize;
mod roll_layers;
mod shard;
mod split_weights;
mod target;
mod toeplitz_convolutions;
mod weights_in_out;

pub use batched_dots_as_reduce::BatchedDotsAsReduce;
pub use bf16_products::Bf16Products;
pub use blocked_attention::BlockedAttention;
pub use conv_kernels_hwio::ConvKernelsHwio;
pub use fp8_activations::Fp8Activations;
pub use fuse_parallel_dots::FuseParallelDots;
pub use gathered_experts::GatheredExperts;
pub use grouped_experts::GroupedExperts;
pub use int4_weights::Int4Weights;
pub use int8_activations::Int8Activations;
pub use int8_experts::Int8Experts;
pub use int8_weights::Int8Weights;
pub use matvec_as_reduce::MatvecAsReduce;
pub use order_parallel_dots::OrderParallelDots;
pub use pad_experts::PadExperts;
pub use pad_heads::PadHeads;
pub use pad_intermediate::PadIntermediate;
pub use pad_vocab::PadVocab;
pub use patch::{CompilerFlag, Effect, FlagValue, Patch, Port, Rewrite};
pub use pin_state_updates::PinStateUpdates;
pub use rebuild::{Edit, Replacement, Site};
pub use roll_layers::RollLayers;
pub use shard::{
    Collective, Pads, Profile, Rules, RulesError, Shard, ShardError, ShardProblem, Share, Tables,
};
pub use split_weights::SplitWeights;
pub use target::{Applied, Target, apply};
pub use toeplitz_convolutions::ToeplitzConvolutions;
pub use weights_in_out::WeightsInOut;

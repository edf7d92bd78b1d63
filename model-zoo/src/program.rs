//! What programs a model has, and in which number types.

use porter_ir::{DType, OpError};

/// Which of a model's programs.
///
/// # Inputs
/// Decoders take
/// - `input_ids`: `i32[batch, tokens]`,
/// - `padding`: `i32[batch]`, the number of padding tokens at the left of each row: the position of
///   slot `s` is `s - padding`, and slots below `padding` are never seen. One mechanism serves
///   prompts padded to a bucket and batches of unequal prompts;
/// - in [`Phase::Extend`] and [`Phase::Decode`] `offset`: `i32[]`, the cache slot that this run's first
///   token is written to.
///
/// Encoders have [`Phase::Forward`] only and take `input_ids`, `attention_mask` and
/// `token_type_ids`, all `i32[batch, tokens]`.
///
/// # Results
/// [`Phase::Forward`] gives the outputs of the Hugging Face class, in `f32`; the cached phases give
/// `logits`: `f32[batch, vocab]` of the last slot. Outputs at padding positions are meaningless.
///
/// # States
/// The cached phases keep `cache.{layer}.key` and `cache.{layer}.value`, each
/// `[batch, kv_heads, cache, head_dim]`, one pair a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Phase {
    /// Whole sequences without a cache.
    Forward {
        /// Sequences.
        batch: usize,
        /// Tokens of each.
        tokens: usize,
        /// Which values inside the model are results too.
        taps: Taps,
    },
    /// Prompts from slot 0 of an empty cache.
    Prefill {
        /// Sequences.
        batch: usize,
        /// Tokens of each, padding included.
        tokens: usize,
        /// Slots of the cache.
        cache: usize,
    },
    /// Tokens after what the cache holds: the next chunk of a long prompt.
    Extend {
        /// Sequences.
        batch: usize,
        /// Tokens of each.
        tokens: usize,
        /// Slots of the cache.
        cache: usize,
    },
    /// One token a sequence, after what the cache holds.
    Decode {
        /// Sequences.
        batch: usize,
        /// Slots of the cache.
        cache: usize,
    },
}

/// Which values inside a model are results of its program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Taps {
    /// None.
    None,
    /// `hidden_states.N` in `f32`, numbered as transformers numbers them: 0 is the embedding
    /// output, and in decoders the last one is after the final norm.
    HiddenStates,
}

impl Phase {
    /// Sequences.
    pub fn batch(&self) -> usize {
        match *self {
            Phase::Forward { batch, .. }
            | Phase::Prefill { batch, .. }
            | Phase::Extend { batch, .. }
            | Phase::Decode { batch, .. } => batch,
        }
    }

    /// Tokens of each sequence that one run reads.
    pub fn tokens(&self) -> usize {
        match *self {
            Phase::Forward { tokens, .. } | Phase::Prefill { tokens, .. } | Phase::Extend { tokens, .. } => {
                tokens
            }
            Phase::Decode { .. } => 1,
        }
    }

    /// Slots of the cache, if there is one.
    pub fn cache(&self) -> Option<usize> {
        match *self {
            Phase::Forward { .. } => None,
            Phase::Prefill { cache, .. } | Phase::Extend { cache, .. } | Phase::Decode { cache, .. } => {
                Some(cache)
            }
        }
    }

    /// The program's name, an MLIR identifier: `prefill_2x128_512`.
    pub fn name(&self) -> String {
        match *self {
            Phase::Forward { batch, tokens, .. } => format!("forward_{batch}x{tokens}"),
            Phase::Prefill { batch, tokens, cache } => format!("prefill_{batch}x{tokens}_{cache}"),
            Phase::Extend { batch, tokens, cache } => format!("extend_{batch}x{tokens}_{cache}"),
            Phase::Decode { batch, cache } => format!("decode_{batch}_{cache}"),
        }
    }
}

/// In which number types a model's programs compute.
///
/// Norm weights, biases, norm statistics, attention scores, softmax, rotary angles and logits are
/// `f32` whatever is chosen here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Precision {
    /// Weight matrices and embedding tables, and so the operands of their products.
    pub weights: DType,
    /// The residual stream and what lies between operations.
    pub activations: DType,
    /// The KV cache, and what it is multiplied with; of 8 bits, what is stored alone.
    pub cache: DType,
}

impl Precision {
    /// One type for all.
    pub const fn uniform(dtype: DType) -> Self {
        Self { weights: dtype, activations: dtype, cache: dtype }
    }

    /// The type that a parameter of `rank` dimensions is stored in: matrices as `weights`, norm
    /// weights and biases as `f32`.
    pub const fn parameter(&self, rank: usize) -> DType {
        if rank >= 2 { self.weights } else { DType::F32 }
    }
}

/// Why a program cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// The model has no such program.
    #[error(
        "{architecture} has no {phase} program: it is an encoder, and encoders have forward programs only"
    )]
    NoPhase {
        /// The Hugging Face class.
        architecture: &'static str,
        /// The name of the phase's program.
        phase: String,
    },
    /// The sizes of the phase do not fit the model or each other.
    #[error("{architecture} cannot run {phase}: {problem}")]
    Sizes {
        /// The Hugging Face class.
        architecture: &'static str,
        /// The name of the phase's program.
        phase: String,
        /// What was found and what was expected.
        problem: String,
    },
    /// A number type that models do not compute in.
    #[error("models compute in floating point: {found} is not a floating-point type")]
    Precision {
        /// The type found.
        found: DType,
    },
    /// An op does not fit its operands: a bug in the architecture, or sizes that contradict each other.
    #[error(transparent)]
    Op(#[from] OpError),
    /// The quantised tensors of a checkpoint are not what the config says.
    #[error(transparent)]
    Checkpoint(#[from] porter_weights::Error),
}

//! Programs in the form that a target wants.

use porter_ir::DType;
use porter_rewrite::{Applied, Port, Target};
use porter_zoo::{Phase, Precision};

use super::{Opened, PipelineError};

/// A model's programs and weights in a target's form.
pub(crate) struct Lowered {
    pub(crate) port: Port,
    pub(crate) applied: Vec<Applied>,
}

/// In which types a model runs where the user asks for `dtype` on `target`.
///
/// On the CPU only weights are narrow: products take narrow operands and give f32, which costs
/// nothing there and rounds less, and attention over an f32 cache is faster (docs/performance.md).
/// Elsewhere activations and the cache are narrow too.
pub(crate) fn precision(dtype: DType, target: Target) -> Precision {
    match target {
        Target::Cpu => Precision { weights: dtype, activations: DType::F32, cache: DType::F32 },
        Target::Plain => Precision::uniform(dtype),
    }
}

/// The programs of `phases`, lowered for `target`.
pub(crate) fn lower(
    opened: &Opened,
    phases: &[Phase],
    precision: Precision,
    target: Target,
) -> Result<Lowered, PipelineError> {
    let programs =
        phases.iter().map(|phase| opened.model.program(phase, &precision)).collect::<Result<_, _>>()?;
    let (port, applied) = target.lower(Port::new(programs, opened.weight_map.clone()))?;
    Ok(Lowered { port, applied })
}

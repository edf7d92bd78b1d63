//! What every op tells of itself.

use crate::{Program, RegionId, TensorType};

pub use crate::attribute::Attribute;

/// The types at a region's borders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegionType {
    /// The types of its arguments.
    pub arguments: Vec<TensorType>,
    /// The types of its results.
    pub results: Vec<TensorType>,
}

impl RegionType {
    /// The border of `region` in `program`.
    pub fn of(program: &Program, region: RegionId) -> Self {
        let types = |values: &[crate::Value]| values.iter().map(|&v| program.ty(v).clone()).collect();
        let region = program.region(region);
        Self { arguments: types(&region.arguments), results: types(&region.results) }
    }
}

/// An op's specification: its name, how its result types follow from its operands, and its
/// attributes as MLIR text.
///
/// One implementation a file in `ops/`, each with the link to its section of the StableHLO
/// specification.
pub trait Operation {
    /// The name with its dialect: `stablehlo.add`.
    fn name(&self) -> &'static str;

    /// The types of the results, or what does not fit: what was found and what was expected.
    fn infer(&self, operands: &[&TensorType], regions: &[RegionType]) -> Result<Vec<TensorType>, String>;

    /// Whether its regions may read values from outside, as control flow does. All others see their
    /// arguments only.
    fn regions_capture(&self) -> bool {
        false
    }

    /// The attributes, printed between `<{` and `}>`. None where the op has none.
    fn attributes(&self) -> Vec<Attribute> {
        Vec::new()
    }
}

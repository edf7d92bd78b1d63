//! Weight maps: each parameter of a model as a typed expression over checkpoint tensors.

mod boxes;
mod cost;
mod error;
pub(crate) mod evaluate;
mod expr;
mod infer;
mod inverse;
mod load;
mod report;
mod runs;
mod terms;
mod weight_map;

pub use cost::Cost;
pub use error::ExprError;
pub use expr::{Expr, QuantisedPart};
pub use inverse::NoInverse;
pub use load::{HostTensor, Loaded};
pub use report::{MisShaped, Missing, Report, Unfit};
pub use weight_map::{Parameter, WeightMap};

//! Weight maps: each parameter of a model as a typed expression over checkpoint tensors.

mod boxes;
mod cost;
mod error;
pub(crate) mod evaluate;
mod expr;
mod infer;
mod inverse;
mod json;
mod load;
mod narrow;
mod rename;
mod report;
mod runs;
mod show;
mod terms;
mod uses;
mod weight_map;

pub use cost::Cost;
pub use error::ExprError;
pub use expr::{Expr, QuantisedPart, QuantisedTo};
pub use inverse::{Inverse, NoInverse};
pub use load::{HostTensor, Loaded};
pub use rename::{Rename, RenameError, rename_all};
pub use report::{MisShaped, Missing, Report, Unfit};
pub use uses::Use;
pub use weight_map::{Parameter, WeightMap, matches};

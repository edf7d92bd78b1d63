//! Residual branches.

use porter_ir::{Builder, Result, Value};

use super::norm::rms_norm;

/// `x + branch(norm(x))`, the norm being the RMS norm `norm` under the builder's path.
pub(crate) fn pre_norm(
    b: &Builder,
    norm: &str,
    epsilon: f64,
    x: Value,
    branch: impl FnOnce(Value) -> Result<Value>,
) -> Result<Value> {
    b.add(x, branch(rms_norm(&b.scope(norm), x, epsilon)?)?)
}

//! What stands for the executor in a build without Burn.

use std::collections::BTreeMap;

use porter_ir::{Input, Program, TensorType};

use crate::{ExecuteError, Floats, Tensor};

/// Runs nothing: this build has no Burn.
#[derive(Clone, Copy, Debug)]
pub struct Executor;

impl Executor {
    /// One that says so.
    pub fn new(_: Floats) -> Self {
        Self
    }

    /// [`ExecuteError::Absent`].
    pub fn run<E: From<ExecuteError>>(
        &self,
        _: &Program,
        _: impl FnMut(&Input, &TensorType) -> Result<Tensor, E>,
    ) -> Result<BTreeMap<String, Tensor>, E> {
        Err(ExecuteError::Absent.into())
    }
}

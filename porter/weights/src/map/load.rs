//! Evaluating a whole weight map.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use host_memory::AlignedBytes;
use porter_ir::{DType, Shape, TensorType};

use super::{Expr, ExprError, Parameter, WeightMap};
use crate::{Checkpoint, Error};

/// A parameter in host memory, row-major, 64-byte aligned.
#[derive(Clone, Debug)]
pub struct HostTensor {
    /// Its dtype and shape.
    pub ty: TensorType,
    /// Its bytes. Tied parameters share them.
    pub bytes: Arc<AlignedBytes>,
}

/// Says that one parameter was loaded.
#[derive(Clone, Copy, Debug)]
pub struct Loaded<'a> {
    /// The parameter.
    pub name: &'a str,
    /// Parameters loaded, this one included; tied ones do not count.
    pub done: usize,
    /// Parameters to load.
    pub total: usize,
    /// Its bytes in memory.
    pub bytes: usize,
}

impl WeightMap {
    /// Checks the map, then evaluates every parameter as the dtype that `dtype` picks from its name
    /// and inferred type. Each source's pages are given back once the last parameter that reads it
    /// is done, so peak memory is the result and little more.
    pub fn load(
        &self,
        checkpoint: &dyn Checkpoint,
        dtype: impl Fn(&str, &TensorType) -> DType,
        mut progress: impl FnMut(Loaded<'_>),
    ) -> Result<BTreeMap<String, HostTensor>, Error> {
        let report = self.check(checkpoint);
        if !report.fits() {
            return Err(Error::Map { path: checkpoint.path().to_owned(), report: Box::new(report) });
        }
        let computed: Vec<(&String, &Shape, &Expr)> = self.computed().collect();
        let mut uses = uses(&computed);
        let mut tensors = BTreeMap::new();
        for (i, (name, _, expr)) in computed.iter().enumerate() {
            let tensor = evaluate(name, expr, checkpoint, &dtype)
                .map_err(|source| Error::Parameter { parameter: (*name).clone(), source })?;
            progress(Loaded { name, done: i + 1, total: computed.len(), bytes: tensor.bytes.len() });
            tensors.insert((*name).clone(), tensor);
            release_used_up(expr, checkpoint, &mut uses);
        }
        self.add_tied(&mut tensors);
        Ok(tensors)
    }

    pub(super) fn computed(&self) -> impl Iterator<Item = (&String, &Shape, &Expr)> {
        self.parameters().iter().filter_map(|(name, parameter)| match parameter {
            Parameter::Computed { shape, expr } => Some((name, shape, expr)),
            Parameter::Tied { .. } => None,
        })
    }

    fn add_tied(&self, tensors: &mut BTreeMap<String, HostTensor>) {
        for (name, parameter) in self.parameters() {
            if let Parameter::Tied { to } = parameter
                && let Some(tensor) = tensors.get(to).cloned()
            {
                tensors.insert(name.clone(), tensor);
            }
        }
    }
}

fn evaluate(
    name: &str,
    expr: &Expr,
    checkpoint: &dyn Checkpoint,
    dtype: impl Fn(&str, &TensorType) -> DType,
) -> Result<HostTensor, ExprError> {
    let inferred = expr.infer(checkpoint)?;
    let ty = TensorType { dtype: dtype(name, &inferred), shape: inferred.shape };
    let mut bytes = AlignedBytes::zeroed(ty.host_bytes());
    expr.evaluate(checkpoint, ty.dtype, &mut bytes)?;
    Ok(HostTensor { ty, bytes: Arc::new(bytes) })
}

/// How many parameters read each source.
fn uses<'a>(computed: &[(&String, &Shape, &'a Expr)]) -> HashMap<&'a str, usize> {
    let mut uses = HashMap::new();
    for source in computed.iter().flat_map(|(_, _, expr)| expr.sources()) {
        *uses.entry(source).or_insert(0) += 1;
    }
    uses
}

fn release_used_up(expr: &Expr, checkpoint: &dyn Checkpoint, uses: &mut HashMap<&str, usize>) {
    for source in expr.sources() {
        if let Some(left) = uses.get_mut(source) {
            *left -= 1;
            if *left == 0 {
                checkpoint.release(source);
            }
        }
    }
}

//! The quantised tensors of a checkpoint, as the tensors that they stand for.

use std::collections::{BTreeMap, BTreeSet};

use porter_ir::DType;

use super::{QuantisedConfig, find::Found, find::Lookup};
use crate::{Checkpoint, Encoding, Error, Expr, Problem, WeightMap, map::matches};

/// What the quantised tensors of one checkpoint stand for, each an expression over its pieces.
///
/// ```no_run
/// use porter_weights::{QuantisedConfig, QuantisedTensors, WeightMap};
/// # fn of_the_model() -> WeightMap { WeightMap::new() }
///
/// let checkpoint = porter_weights::open("model".as_ref())?;
/// let json = serde_json::json!({"quantization_config": {"quant_method": "mxfp4"}});
/// if let Ok(Some(config)) = QuantisedConfig::from_config(&json) {
///     let quantised = QuantisedTensors::find(&config, checkpoint.as_ref())?;
///     let map = quantised.resolve(of_the_model());
/// }
/// # Ok::<(), porter_weights::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct QuantisedTensors {
    tensors: BTreeMap<String, Expr>,
    tolerated: Vec<(String, String)>,
}

impl QuantisedTensors {
    /// Finds them. Reads headers, and the few bytes that some schemes keep their sizes in.
    ///
    /// # Errors
    /// [`Error::Corrupt`] with every quantised tensor of which a piece is missing or does not fit, and
    /// every weight that is stored as codes without what they mean.
    pub fn find(config: &QuantisedConfig, checkpoint: &dyn Checkpoint) -> Result<Self, Error> {
        let lookup = Lookup(checkpoint);
        let mut quantised = Self::default();
        let (mut problems, mut wrong) = (Vec::new(), BTreeSet::new());
        for name in checkpoint.tensors().keys() {
            match agreed(config.find(name, &lookup)) {
                Some(Found { name, expr: Ok(expr), tolerated }) => {
                    quantised.tensors.insert(name, expr);
                    let tolerated = tolerated.into_iter().map(|(name, why)| (name, why.to_owned()));
                    quantised.tolerated.extend(tolerated);
                }
                Some(Found { name, expr: Err(problem), .. }) => {
                    problems.push(problem);
                    wrong.insert(name);
                }
                None => {}
            }
        }
        let refused = quantised.meaningless(config, checkpoint);
        problems.extend(
            refused.into_iter().filter(|(name, _)| !wrong.contains(name)).map(|(_, problem)| problem),
        );
        if !problems.is_empty() {
            return Err(Error::Corrupt { path: checkpoint.path().to_owned(), problems });
        }
        let beside = config.beside().iter().map(|(name, why)| ((*name).to_owned(), (*why).to_owned()));
        quantised.tolerated.extend(beside);
        Ok(quantised)
    }

    /// Weights that are codes, and of which nothing says what the codes mean.
    fn meaningless(&self, config: &QuantisedConfig, checkpoint: &dyn Checkpoint) -> Vec<(String, Problem)> {
        let used: BTreeSet<&str> = self.tensors.values().flat_map(Expr::sources).collect();
        let codes = [DType::I8, DType::U8, DType::F8E4M3FN, DType::F8E5M2];
        let weights = checkpoint.tensors().iter().filter(|(name, info)| {
            let is_code = matches!(&info.encoding, Encoding::Plain(dtype) if codes.contains(dtype));
            is_code && name.ends_with(".weight") && !used.contains(name.as_str())
        });
        let what = |encoding: &Encoding| {
            format!(
                "is stored as {encoding}, and nothing of {config} lies beside it that says what that means"
            )
        };
        weights.map(|(name, info)| (name.clone(), Problem::tensor(name, what(&info.encoding)))).collect()
    }

    /// The tensors, by the names that they would have if they were not quantised.
    pub fn tensors(&self) -> &BTreeMap<String, Expr> {
        &self.tensors
    }

    /// True for a tensor that lies beside quantised ones and that weights do not need.
    pub fn leaves_out(&self, name: &str) -> bool {
        self.tolerated.iter().any(|(pattern, _)| matches(pattern, name))
    }

    /// `map`, with each source that is a quantised tensor replaced by what it stands for. Its pieces count
    /// as used; tensors beside them that weights do not need are tolerated.
    #[must_use]
    pub fn resolve(&self, map: WeightMap) -> WeightMap {
        let mut resolved = map.map_exprs(|expr| expr.substitute(&|source| self.tensors.get(source).cloned()));
        for (pattern, reason) in &self.tolerated {
            resolved.tolerate(pattern, reason);
        }
        resolved
    }
}

/// The one way to read a tensor: several groups of a config may apply, if all of them that fit agree.
fn agreed(mut found: Vec<Found>) -> Option<Found> {
    if found.iter().any(|found| found.expr.is_ok()) {
        found.retain(|found| found.expr.is_ok());
    }
    let first = found.pop()?;
    if let Some(other) = found.iter().find(|other| first.expr.is_ok() && other.expr != first.expr) {
        let what = "several config_groups fit it and differ; which is meant is not read from their targets";
        return Some(Found::refused(&other.name, Problem::tensor(&other.name, what)));
    }
    Some(first)
}

/// True if `checkpoint` holds the tensor `name`, as it is or as pieces of a quantised one. Which scheme
/// they are of is for [`QuantisedTensors`] to say.
pub fn holds(checkpoint: &dyn Checkpoint, name: &str) -> bool {
    /// The one piece of each scheme that has another name than the tensor: by the end of the tensor's name,
    /// that of the piece.
    const PIECES: [(&str, &str); 3] = [("weight", "qweight"), ("weight", "weight_packed"), ("", "_blocks")];
    let tensors = checkpoint.tensors();
    tensors.contains_key(name)
        || PIECES.iter().any(|(end, piece)| {
            name.strip_suffix(end).is_some_and(|start| tensors.contains_key(&format!("{start}{piece}")))
        })
}

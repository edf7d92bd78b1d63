//! `composite`: a named function of a model, with its decomposition into ops.

use super::check;
use crate::{
    AttributeValue, Builder, Result, TensorType, Value,
    attribute::{Attribute, dictionary, string},
    op::{Operation, RegionType},
};

/// A call of `name` whose meaning is its one region (<https://openxla.org/stablehlo/spec#composite>), so
/// that rewrites and references see `attention` or `rms_norm` whole. The region reads its arguments
/// only.
#[derive(Clone, Debug, PartialEq)]
pub struct Composite {
    /// With a namespace: `porter.rms_norm`.
    pub name: String,
    /// What the name needs to be known besides its operands: `eps`.
    pub attributes: Vec<(String, AttributeValue)>,
}

impl Operation for Composite {
    fn name(&self) -> &'static str {
        "stablehlo.composite"
    }

    fn infer(&self, operands: &[&TensorType], regions: &[RegionType]) -> Result<Vec<TensorType>, String> {
        let parts: Vec<&str> = self.name.split('.').collect();
        let word = |part: &&str| part.starts_with(|c: char| c.is_ascii_alphabetic()) && part.chars().all(named);
        if parts.len() < 2 || !parts.iter().all(word) {
            return Err(format!("the name is {:?}, expected namespace.name", self.name));
        }
        let [decomposition] = check::regions(regions)?;
        let arguments: Vec<TensorType> = operands.iter().map(|&ty| ty.clone()).collect();
        check::region("decomposition", decomposition, &arguments, &decomposition.results)?;
        Ok(decomposition.results.clone())
    }

    /// Without the decomposition, whose symbol only the printer knows.
    fn attributes(&self) -> Vec<Attribute> {
        let mut attributes = vec![("name", string(&self.name))];
        if !self.attributes.is_empty() {
            attributes.push(("composite_attributes", dictionary(&self.attributes)));
        }
        attributes
    }
}

fn named(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

impl Builder {
    /// A call of `name` that means what `decomposition` builds from its arguments. See [`Composite`].
    pub fn composite(
        &self,
        name: &str,
        attributes: Vec<(String, AttributeValue)>,
        operands: &[Value],
        decomposition: impl FnOnce(&Builder, &[Value]) -> Result<Vec<Value>>,
    ) -> Result<Vec<Value>> {
        let types: Vec<TensorType> = operands.iter().map(|&v| self.ty(v)).collect();
        let region = self.region(&types, decomposition)?;
        self.push(Composite { name: name.to_owned(), attributes }, operands, &[region])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DType;

    #[test]
    fn gives_what_its_decomposition_returns() {
        let b = Builder::new("main");
        let x = b.argument("x", TensorType::new(DType::F32, [2])).unwrap();
        let y = b.composite("porter.twice", vec![], &[x], |b, a| Ok(vec![b.add(a[0], a[0])?])).unwrap();
        assert_eq!(b.ty(y[0]), b.ty(x));
        let error = b.composite("twice", vec![], &[x], |_, a| Ok(a.to_vec())).unwrap_err();
        assert_eq!(error.problem, "the name is \"twice\", expected namespace.name");
        let error = b.composite("porter.twice", vec![], &[x], |b, _| Ok(vec![b.negate(x)?])).unwrap_err();
        assert!(error.problem.ends_with("reads %0: f32[2] from outside, but may read its arguments only"));
    }
}

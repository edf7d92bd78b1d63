//! All parameters of a model over one checkpoint.

use std::collections::{BTreeMap, BTreeSet};

use porter_ir::Shape;

use super::{
    Expr,
    report::{MisShaped, Missing, Report, Unfit},
};
use crate::Checkpoint;

/// How a model's parameter comes from a checkpoint.
#[derive(Clone, Debug, PartialEq)]
pub enum Parameter {
    /// An expression over checkpoint tensors.
    Computed {
        /// The shape that the model wants.
        shape: Shape,
        /// The expression.
        expr: Expr,
    },
    /// The same tensor as another parameter.
    Tied {
        /// The other parameter's name.
        to: String,
    },
}

/// Every parameter of a model, by name, as an expression over checkpoint tensors.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WeightMap {
    parameters: BTreeMap<String, Parameter>,
    tolerated: Vec<(String, String)>,
}

impl WeightMap {
    /// A map without parameters.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the parameter `name`, of `shape`. Replaces an earlier one of that name.
    pub fn insert(&mut self, name: impl Into<String>, shape: impl Into<Shape>, expr: Expr) {
        self.parameters.insert(name.into(), Parameter::Computed { shape: shape.into(), expr });
    }

    /// Adds the parameter `name` as the same tensor as parameter `to`, in any order.
    pub fn tie(&mut self, name: impl Into<String>, to: impl Into<String>) {
        self.parameters.insert(name.into(), Parameter::Tied { to: to.into() });
    }

    /// Keeps only the parameters whose name `keep` accepts.
    pub fn retain(&mut self, mut keep: impl FnMut(&str) -> bool) {
        self.parameters.retain(|name, _| keep(name));
    }

    /// The same parameters, each computed by what `change` makes of its expression.
    #[must_use]
    pub fn map_exprs(mut self, change: impl Fn(Expr) -> Expr) -> Self {
        for parameter in self.parameters.values_mut() {
            if let Parameter::Computed { expr, .. } = parameter {
                *expr = change(expr.clone());
            }
        }
        self
    }

    /// Accepts checkpoint tensors that no parameter uses, where their name matches `pattern`: `*`
    /// stands for any text. `reason` says why leaving them out changes nothing.
    pub fn tolerate(&mut self, pattern: impl Into<String>, reason: impl Into<String>) {
        self.tolerated.push((pattern.into(), reason.into()));
    }

    /// Every parameter, in name order.
    pub fn parameters(&self) -> &BTreeMap<String, Parameter> {
        &self.parameters
    }

    /// The expression of `name`, and the name of the parameter that it is tied to, if it is.
    pub fn resolve<'a>(&'a self, name: &'a str) -> Option<(&'a str, &'a Shape, &'a Expr)> {
        match self.parameters.get_key_value(name)? {
            (name, Parameter::Computed { shape, expr }) => Some((name, shape, expr)),
            // One step only: a tie to a tie is reported, not followed, so that none can be a circle.
            (_, Parameter::Tied { to }) => match self.parameters.get_key_value(to)? {
                (name, Parameter::Computed { shape, expr }) => Some((name, shape, expr)),
                (_, Parameter::Tied { .. }) => None,
            },
        }
    }

    /// Compares the map with a checkpoint's header: everything that does not fit, at once.
    pub fn check(&self, checkpoint: &dyn Checkpoint) -> Report {
        let mut report = Report::default();
        for (name, parameter) in &self.parameters {
            match parameter {
                Parameter::Computed { shape, expr } => check_one(name, shape, expr, checkpoint, &mut report),
                Parameter::Tied { to } if self.resolve(name).is_none() => {
                    report.unfit.push(Unfit {
                        parameter: name.clone(),
                        what: format!("tied to {to:?}, which is no parameter of its own"),
                    });
                }
                Parameter::Tied { .. } => {}
            }
        }
        self.check_unused(checkpoint, &mut report);
        report
    }

    fn check_unused(&self, checkpoint: &dyn Checkpoint, report: &mut Report) {
        let used = self.sources();
        for name in checkpoint.tensors().keys().filter(|name| !used.contains(name.as_str())) {
            match self.tolerated.iter().find(|(pattern, _)| matches(pattern, name)) {
                Some((_, reason)) => report.tolerated.push((name.clone(), reason.clone())),
                None => report.unused.push(name.clone()),
            }
        }
    }

    /// The checkpoint tensors that any parameter reads.
    pub fn sources(&self) -> BTreeSet<&str> {
        let exprs = self.parameters.values().filter_map(|parameter| match parameter {
            Parameter::Computed { expr, .. } => Some(expr),
            Parameter::Tied { .. } => None,
        });
        exprs.flat_map(Expr::sources).collect()
    }
}

fn check_one(name: &str, shape: &Shape, expr: &Expr, checkpoint: &dyn Checkpoint, report: &mut Report) {
    let absent = expr.sources().into_iter().filter(|source| !checkpoint.tensors().contains_key(*source));
    let before = report.missing.len();
    report
        .missing
        .extend(absent.map(|source| Missing { parameter: name.to_owned(), source: source.to_owned() }));
    if report.missing.len() > before {
        return;
    }
    match expr.infer(checkpoint) {
        Ok(found) if found.shape == *shape => {}
        Ok(found) => report.mis_shaped.push(MisShaped {
            parameter: name.to_owned(),
            expected: shape.clone(),
            found: found.shape,
            sources: expr.sources().into_iter().map(str::to_owned).collect(),
        }),
        Err(error) => report.unfit.push(Unfit { parameter: name.to_owned(), what: error.to_string() }),
    }
}

/// True if `name` is `pattern`, in which every `*` stands for any text.
pub fn matches(pattern: &str, name: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut name) = name.strip_prefix(start) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let Some(end) = parts.pop() else { return false };
    for part in parts {
        match name.split_once(part) {
            Some((_, after)) => name = after,
            None => return false,
        }
    }
    name.ends_with(end)
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn stars_stand_for_any_text() {
        assert!(matches("*.rotary_emb.inv_freq", "model.layers.3.self_attn.rotary_emb.inv_freq"));
        assert!(matches("a*b*c", "a.b.b.c"));
        assert!(matches("exact", "exact"));
        assert!(!matches("*.bias", "model.bias.weight"));
        assert!(!matches("a*bc*c", "abc"));
        assert!(!matches("exact", "inexact"));
    }
}

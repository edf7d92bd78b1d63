//! One case of a bundle.

use super::{Bundle, Layout, Output};
use crate::{
    Budget, BundleError, CompareError, Measured, Positions, Roundings, View, compare, compare_logits,
};

/// The output that is a distribution over tokens or classes.
const LOGITS: &str = "logits";

/// One recorded run: inputs, outputs and greedy tokens.
#[derive(Clone, Copy)]
pub struct Case<'a> {
    bundle: &'a Bundle,
    layout: &'a Layout,
}

/// Greedy tokens as recorded.
pub struct Generated<'a> {
    /// The tensor's name in the bundle.
    pub name: &'a str,
    /// The prompt: the first row of the case's input ids.
    pub prompt: Vec<i64>,
    /// What the model continued it with.
    pub tokens: Vec<i64>,
    /// The logits that each token was taken from, `[token, vocabulary]`, if recorded.
    pub logits: Option<View<'a>>,
}

impl<'a> Case<'a> {
    pub(super) fn new(bundle: &'a Bundle, layout: &'a Layout) -> Self {
        Self { bundle, layout }
    }

    /// Empty for the plain case, else `padded` or a number.
    pub fn name(&self) -> &'a str {
        &self.layout.name
    }

    /// The arguments that were recorded, in name order.
    pub fn arguments(&self) -> impl Iterator<Item = &'a str> {
        self.layout.inputs.keys().map(String::as_str)
    }

    /// The value of an argument; `None` where it was not recorded.
    pub fn input(&self, argument: &str) -> Result<Option<View<'a>>, BundleError> {
        self.layout.inputs.get(argument).map(|tensor| self.bundle.input_view(tensor)).transpose()
    }

    /// The outputs that were recorded, in natural name order.
    pub fn outputs(&self) -> &'a [Output] {
        &self.layout.outputs
    }

    /// The recorded value of an output.
    pub fn reference(&self, output: &Output) -> Result<View<'a>, BundleError> {
        self.bundle.reference_view(&output.tensor)
    }

    /// The greedy tokens, where they were recorded.
    pub fn generated(&self) -> Result<Option<Generated<'a>>, BundleError> {
        let Some(name) = &self.layout.generated else { return Ok(None) };
        let ids = |view: &View<'_>| view.to_i64().unwrap_or_default();
        let (mut prompt, mut length) = (Vec::new(), 0);
        if let Some(view) = self.input("input_ids")? {
            length = view.shape().last().copied().unwrap_or(0);
            prompt = ids(&view);
        }
        prompt.truncate(length);
        let logits = self.layout.generated_logits.as_deref();
        Ok(Some(Generated {
            name,
            prompt,
            tokens: ids(&self.bundle.reference_view(name)?),
            logits: logits.map(|tensor| self.bundle.reference_view(tensor)).transpose()?,
        }))
    }

    /// The positions that are no padding, for a tensor `[batch, position, ...]`, or its last
    /// positions only: where the attention mask is not zero. All, where there is no mask or the
    /// tensor has no positions (a pooled output).
    pub fn positions(&self, tensor: &View<'_>) -> Result<Positions, BundleError> {
        let Some(mask) = self.input("attention_mask")? else { return Ok(Positions::All) };
        let (&[batch, length], [first, kept, _, ..]) = (&**mask.shape(), &**tensor.shape()) else {
            return Ok(Positions::All);
        };
        if *first != batch || *kept > length {
            return Ok(Positions::All);
        }
        let flags = mask.last_positions(*kept).to_i64().unwrap_or_default();
        Ok(Positions::Rows(flags.into_iter().map(|flag| flag != 0).collect()))
    }

    /// Measures what the port returned for `output` against what was recorded, at the positions
    /// that are no padding, and judges it: by [`Budget::recorded`], or, with `narrower`, by
    /// [`Budget::derived`] if that is greater.
    ///
    /// Where the bundle holds only the last positions of a sequence, as models that are asked for a
    /// few logits return them, the port's last positions are compared.
    pub fn measure(
        &self,
        output: &Output,
        ours: &View<'_>,
        narrower: Option<&Roundings>,
    ) -> Result<Measured, MeasureError> {
        let reference = self.reference(output)?;
        let ours = match (&**ours.shape(), &**reference.shape()) {
            ([_, _, _, ..], [_, kept, _, ..]) => ours.last_positions(*kept),
            _ => ours.clone(),
        };
        let positions = self.positions(&reference)?;
        let comparison = compare(&output.tensor, &ours, &reference, &positions)?;
        let recorded = Budget::recorded(self.bundle.noise(), comparison.scale);
        let budget = match narrower.map(|roundings| Budget::derived(roundings, &comparison)) {
            Some(derived) if derived.max_abs > recorded.max_abs => derived,
            _ => recorded,
        };
        let logits = (output.name == LOGITS)
            .then(|| compare_logits(&ours, &reference, &positions, budget.max_abs))
            .transpose()?;
        Ok(Measured::new(comparison, budget, logits))
    }
}

/// Why an output cannot be measured.
#[derive(Debug, thiserror::Error)]
pub enum MeasureError {
    /// The bundle's side cannot be read.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The two sides do not fit.
    #[error(transparent)]
    Compare(#[from] CompareError),
}

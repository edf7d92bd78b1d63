//! One case of a bundle.

use super::{Bundle, Continuation, Layout, Output};
use crate::{
    Budget, BundleError, CompareError, Comparison, Measured, Positions, Roundings, View, compare, compare_logits,
};

/// The output that is a distribution over tokens or classes.
const LOGITS: &str = "logits";

/// One recorded run: inputs, outputs and greedy tokens.
#[derive(Clone, Copy)]
pub struct Case<'a> {
    bundle: &'a Bundle,
    layout: &'a Layout,
}

/// A continuation of a prompt as recorded: greedy tokens, or any that the cached path was given.
pub struct Generated<'a> {
    /// The tensor's name in the bundle.
    pub name: &'a str,
    /// The prompt: the first row of the case's input ids.
    pub prompt: Vec<i64>,
    /// What the model continued it with, or what it was given one by one.
    pub tokens: Vec<i64>,
    /// The logits before each token, `[token, vocabulary]`, if recorded: those that a greedy token was
    /// taken from.
    pub logits: Option<View<'a>>,
    /// Whether the tokens are the model's own choice.
    pub greedy: bool,
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

    /// The recorded value of an output in double precision, where there is one.
    pub fn twin(&self, output: &Output) -> Result<Option<View<'a>>, BundleError> {
        output.twin.as_ref().map(|twin| self.bundle.reference_view(twin)).transpose()
    }

    /// The continuation of the case's first row, where one was recorded.
    pub fn generated(&self) -> Result<Option<Generated<'a>>, BundleError> {
        let Some(Continuation { tokens: name, logits, greedy }) = &self.layout.continuation else {
            return Ok(None);
        };
        let ids = |view: &View<'_>| view.to_i64().unwrap_or_default();
        let (mut prompt, mut length) = (Vec::new(), 0);
        if let Some(view) = self.input("input_ids")? {
            length = view.shape().last().copied().unwrap_or(0);
            prompt = ids(&view);
        }
        prompt.truncate(length);
        Ok(Some(Generated {
            name,
            prompt,
            tokens: ids(&self.bundle.reference_view(name)?),
            logits: logits.as_deref().map(|tensor| self.bundle.reference_view(tensor)).transpose()?,
            greedy: *greedy,
        }))
    }

    /// Measures the logits of the cached path before each token of the continuation, `[token, vocabulary]`,
    /// against what was recorded; `None` where no logits were.
    pub fn measure_generated(
        &self,
        ours: &View<'_>,
        narrower: Option<&Roundings>,
    ) -> Result<Option<Measured>, MeasureError> {
        let Some((tensor, reference)) = self.continuation_logits()? else { return Ok(None) };
        self.measure_logits(tensor, ours, &reference, narrower).map(Some)
    }

    /// The same for the logits before the last token alone, `[1, vocabulary]`, that a run gave which
    /// read the tokens before it at once: `chunked_logits`.
    pub fn measure_last_generated(
        &self,
        ours: &View<'_>,
        narrower: Option<&Roundings>,
    ) -> Result<Option<Measured>, MeasureError> {
        let Some((tensor, reference)) = self.continuation_logits()? else { return Ok(None) };
        let name = tensor.replace("forced_logits", "chunked_logits");
        let bytes = reference.bytes();
        let row = bytes.len() / reference.shape().first().copied().unwrap_or(1).max(1);
        let last = bytes.get(bytes.len() - row..).unwrap_or_default();
        let last = View::new(reference.dtype(), ours.shape().clone(), last)?;
        self.measure_logits(&name, ours, &last, narrower).map(Some)
    }

    fn continuation_logits(&self) -> Result<Option<(&'a str, View<'a>)>, BundleError> {
        let tensor = self.layout.continuation.as_ref().and_then(|c| c.logits.as_deref());
        tensor.map(|tensor| Ok((tensor, self.bundle.reference_view(tensor)?))).transpose()
    }

    fn measure_logits(
        &self,
        name: &str,
        ours: &View<'_>,
        reference: &View<'_>,
        narrower: Option<&Roundings>,
    ) -> Result<Measured, MeasureError> {
        let comparison = compare(name, ours, reference, &Positions::All)?;
        let recorded = Budget::recorded(self.bundle.noise(), comparison.scale);
        let budget = wider(recorded, narrower, &comparison);
        let logits = compare_logits(ours, reference, &Positions::All, budget.max_abs)?;
        Ok(Measured::new(comparison, budget, Some(logits)))
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
    /// that are no padding, and judges it: by [`Budget::of_twin`] where the output was also recorded
    /// in f64, else by [`Budget::recorded`]; or, with `narrower`, by [`Budget::derived`] if that is
    /// greater.
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
        let recorded = match &output.twin {
            Some(twin) => {
                let double = self.bundle.reference_view(twin)?;
                let error = compare(twin, &reference, &double, &positions)?.max_abs;
                Budget::of_twin(error, comparison.scale)
            }
            None => Budget::recorded(self.bundle.noise(), comparison.scale),
        };
        let budget = wider(recorded, narrower, &comparison);
        let logits = (output.name == LOGITS)
            .then(|| compare_logits(&ours, &reference, &positions, budget.max_abs))
            .transpose()?;
        Ok(Measured::new(comparison, budget, logits))
    }
}

/// The budget of a port in the reference's own type, or that of its narrower one if it is greater.
fn wider(recorded: Budget, narrower: Option<&Roundings>, comparison: &Comparison) -> Budget {
    match narrower.map(|roundings| Budget::derived(roundings, comparison)) {
        Some(derived) if derived.max_abs > recorded.max_abs => derived,
        _ => recorded,
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

#[cfg(test)]
mod tests {
    use std::fs;

    use safetensors::{Dtype, tensor::TensorView};

    use crate::{
        View,
        bundle::{Bundle, INPUTS, REFERENCE, tests::fixture},
    };

    /// State 29 reaches 7,900, with a standard deviation of 159. `record_smollm2_f64.py` printed that
    /// torch's own run in f32 is 5.79e-3 off there, 3.6e-5 of that deviation.
    #[test]
    fn a_state_with_a_twin_is_judged_by_its_own_error() {
        let bundle = fixture("real/smollm2");
        let case = bundle.cases().next().unwrap();
        let output = case.outputs().iter().find(|output| output.name == "hidden_states.29").unwrap();
        let reference = case.reference(output).unwrap();
        let off_by = |by: f64| {
            let shifted: Vec<f64> = reference.to_f64().iter().map(|x| x + by).collect();
            case.measure(output, &View::f64(&shifted, reference.shape().clone()).unwrap(), None).unwrap()
        };
        let near = off_by(0.11);
        assert!(near.pass, "more than 1e-4 of the deviation: {:?}", near.budget);
        assert!(near.budget.why.contains("own f32-vs-f64 error 5.79e-3"), "{:?}", near.budget);
        let far = off_by(0.12);
        assert!(!far.pass, "20 x 5.79e-3 is the limit: {:?}", far.budget);
    }

    #[test]
    fn the_error_of_a_twin_is_that_of_the_compared_positions() {
        let dir = tempfile::tempdir().unwrap();
        let bytes = |values: &[u64]| values.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>();
        let save = |file: &str, tensors: Vec<(&str, Dtype, Vec<usize>, Vec<u8>)>| {
            let views = tensors.iter().map(|(name, dtype, shape, data)| {
                (*name, TensorView::new(*dtype, shape.clone(), data).unwrap())
            });
            fs::write(dir.path().join(file), safetensors::serialize(views, None).unwrap()).unwrap();
        };
        save(
            INPUTS,
            vec![
                ("input_ids", Dtype::I64, vec![1, 2], bytes(&[5, 0])),
                ("attention_mask", Dtype::I64, vec![1, 2], bytes(&[1, 0])),
            ],
        );
        let single: Vec<u8> = [2.0_f32, -2.0, 2.0, -2.0].iter().flat_map(|x| x.to_le_bytes()).collect();
        let double = [2.0_f64, -2.0 - 1e-4, 2.0, -2.0 - 1e-2].map(f64::to_bits);
        save(
            REFERENCE,
            vec![
                ("last_hidden_state", Dtype::F32, vec![1, 2, 2], single),
                ("last_hidden_state_f64", Dtype::F64, vec![1, 2, 2], bytes(&double)),
            ],
        );
        let bundle = Bundle::open(dir.path()).unwrap();
        let case = bundle.cases().next().unwrap();
        let [output] = case.outputs() else { panic!("{:?}", case.outputs()) };
        let measured = case.measure(output, &case.reference(output).unwrap(), None).unwrap();
        assert!((measured.budget.max_abs - 20.0 * 1e-4).abs() < 1e-12, "{:?}", measured.budget);
        assert!((bundle.noise().unwrap() - 1e-2).abs() < 1e-12, "over all positions: {:?}", bundle.noise());
    }
}

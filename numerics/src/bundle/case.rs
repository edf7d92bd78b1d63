//! One case of a bundle.

use super::{Bundle, Continuation, Layout, Output, layout::PADDED};
use crate::{
    Budget, BundleError, CompareError, Comparison, Floor, Judge, Measured, Positions, Roundings, View,
    compare, compare_logits, compare_next,
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
        judge: &Judge<'_>,
    ) -> Result<Option<Measured>, MeasureError> {
        let Some((tensor, reference)) = self.continuation_logits()? else { return Ok(None) };
        self.measure_logits(tensor, ours, &reference, judge).map(Some)
    }

    /// The same for the logits before the last token alone, `[1, vocabulary]`, that a run gave which
    /// read the tokens before it at once: `chunked_logits`.
    pub fn measure_last_generated(
        &self,
        ours: &View<'_>,
        judge: &Judge<'_>,
    ) -> Result<Option<Measured>, MeasureError> {
        let Some((tensor, reference)) = self.continuation_logits()? else { return Ok(None) };
        let name = tensor.replace("forced_logits", "chunked_logits");
        let bytes = reference.bytes();
        let row = bytes.len() / reference.shape().first().copied().unwrap_or(1).max(1);
        let last = bytes.get(bytes.len() - row..).unwrap_or_default();
        let last = View::new(reference.dtype(), ours.shape().clone(), last)?;
        self.measure_logits(&name, ours, &last, judge).map(Some)
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
        judge: &Judge<'_>,
    ) -> Result<Measured, MeasureError> {
        let comparison = compare(name, ours, reference, &Positions::All)?;
        let recorded = Budget::recorded(self.bundle.noise(), comparison.scale);
        let derived = wider(recorded, judge.roundings, &comparison);
        let measured = judge.measured(name, derived, comparison);
        let logits = compare_logits(ours, reference, &Positions::All, measured.budget.max_abs)?;
        Ok(Measured { logits: Some(logits), ..measured })
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

    /// [`Case::measure_by`] with derived budgets; with `narrower`, those of a port that rounds to a
    /// narrower type.
    pub fn measure(
        &self,
        output: &Output,
        ours: &View<'_>,
        narrower: Option<&Roundings>,
    ) -> Result<Measured, MeasureError> {
        self.measure_by(output, ours, &Judge::derived(narrower))
    }

    /// Measures what the port returned for `output` against what was recorded, at the positions
    /// that are no padding, and judges it: by [`Budget::of_twin`] where the output was also recorded
    /// in f64, else by [`Budget::recorded`]; or, with the judge's roundings, by [`Budget::derived`] if
    /// that is greater; or by what the judge has in place of it.
    ///
    /// Where the bundle holds only the last positions of a sequence, as models that are asked for a
    /// few logits return them, the port's last positions are compared.
    pub fn measure_by(
        &self,
        output: &Output,
        ours: &View<'_>,
        judge: &Judge<'_>,
    ) -> Result<Measured, MeasureError> {
        let reference = self.reference(output)?;
        let ours = match (&**ours.shape(), &**reference.shape()) {
            ([_, _, _, ..], [_, kept, _, ..]) => ours.last_positions(*kept),
            _ => ours.clone(),
        };
        let positions = self.positions(&reference)?;
        let comparison = compare(&output.tensor, &ours, &reference, &positions)?;
        let error = self.twin_error(output, &reference, &positions)?;
        let recorded = match error {
            Some(error) => Budget::of_twin(error, comparison.scale),
            None => Budget::recorded(self.bundle.noise(), comparison.scale),
        };
        let derived = wider(recorded, judge.roundings, &comparison);
        let twin = error.and_then(|error| Floor::new(error, Floor::TWIN));
        let measured = judge.measured(&output.tensor, derived, comparison);
        let logits = (output.name == LOGITS)
            .then(|| {
                let next = self.input("input_ids")?;
                let noise = measured.budget.max_abs;
                Ok::<_, MeasureError>(compare_next(&ours, &reference, &positions, noise, next.as_ref())?)
            })
            .transpose()?;
        let floor = Floor::higher(twin, self.padded_floor(output)?);
        Ok(Measured { logits, floor, ..measured })
    }

    /// The greatest |f32 - f64| of an output that was recorded in both.
    fn twin_error(
        &self,
        output: &Output,
        reference: &View<'_>,
        positions: &Positions,
    ) -> Result<Option<f64>, MeasureError> {
        let Some(twin) = &output.twin else { return Ok(None) };
        let double = self.bundle.reference_view(twin)?;
        Ok(Some(compare(twin, reference, &double, positions)?.max_abs))
    }

    /// How far the same sequence is from itself beside a padded one: over the rows whose ids are the
    /// same, and unmasked, in the plain and the padded case. `None` where there are none, or one of
    /// the cases was not recorded.
    fn padded_floor(&self, output: &Output) -> Result<Option<Floor>, MeasureError> {
        let other = self
            .bundle
            .cases()
            .filter(|case| case.name() != self.name())
            .find(|case| matches!((self.name(), case.name()), ("", PADDED) | (PADDED, "")));
        let Some(other) = other else { return Ok(None) };
        let Some(twin) = other.outputs().iter().find(|o| o.name == output.name) else { return Ok(None) };
        let (Some(ours), Some(theirs)) = (self.whole_rows()?, other.whole_rows()?) else { return Ok(None) };
        let (one, two) = (self.reference(output)?, other.reference(twin)?);
        let same: Vec<bool> = ours.iter().zip(&theirs).map(|(a, b)| a.is_some() && a == b).collect();
        let batched = one.shape().first() == Some(&same.len());
        if ours.len() != theirs.len() || one.shape() != two.shape() || !batched || !same.contains(&true) {
            return Ok(None);
        }
        let apart = compare(&output.tensor, &one, &two, &Positions::Rows(same))?;
        Ok(Floor::new(apart.max_abs, Floor::PADDED))
    }

    /// The ids of every sequence of the batch; `None` for one with a masked position.
    fn whole_rows(&self) -> Result<Option<Vec<Option<Vec<i64>>>>, BundleError> {
        let Some(ids) = self.input("input_ids")? else { return Ok(None) };
        let &[batch, length] = &**ids.shape() else { return Ok(None) };
        let mask = self.input("attention_mask")?.and_then(|mask| mask.to_i64());
        let mask = mask.unwrap_or_else(|| vec![1; batch * length]);
        let ids = ids.to_i64().unwrap_or_default();
        let rows = ids.chunks(length.max(1)).zip(mask.chunks(length.max(1)));
        Ok(Some(rows.map(|(ids, mask)| mask.iter().all(|&m| m != 0).then(|| ids.to_vec())).collect()))
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

    use approx::assert_relative_eq;
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
        assert_relative_eq!(measured.budget.max_abs, 20.0 * 1e-4, max_relative = 1e-9);
        // That of the bundle is over all positions.
        assert_relative_eq!(bundle.noise().unwrap(), 1e-2, max_relative = 1e-9);
    }
}

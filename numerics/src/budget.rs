//! How far a tensor may be from its reference, and why.

mod file;
mod judge;
mod level;

use serde::Serialize;

use crate::{Comparison, Element, Roundings, greatest, worst::WORST};
pub use file::{BudgetFile, BudgetFileError, BudgetProblem};
pub use judge::{Judge, Loosened, Ruling};
pub use level::Level;

/// How many times the reference's own rounding error a port in the same type may be off. The same
/// sums in another order err independently; the factor covers longer chains and other kernels.
const FLOOR_FACTOR: f64 = 20.0;
/// The least relative error that a port is allowed, where the reference's own error was not
/// recorded or is by luck small: some 800 roundings of f32.
const LEAST: f64 = 1e-4;

/// How many times what rounding does to a value a port in a narrow type may be off: both sides round at
/// the same places, and only what lies between two roundings is in another order.
const NARROW_FACTOR: f64 = 4.0;

/// How far a tensor may be from its reference. The reason is part of the value.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Budget {
    /// The greatest |ours - reference| that passes.
    pub max_abs: f64,
    /// The share of itself that an element which is off by more may be off: narrow types round
    /// relative to the value, so an outlier of `k` standard deviations carries `k` times the error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relative: Option<f64>,
    /// How it was derived.
    pub why: String,
}

impl Budget {
    /// The budget of a port in the reference's own type, for an output without a twin of its own:
    /// `max(20 e, 1e-4)` times `scale`. `e`, the `noise`, is the greatest f32-vs-f64 error of the
    /// bundle's other outputs, if recorded ([`Bundle::noise`](crate::Bundle::noise)); it is read as a
    /// part of `scale`, the standard deviation of the reference tensor ([`Comparison::scale`]).
    pub fn recorded(noise: Option<f64>, scale: f64) -> Self {
        let noisy = noise.map_or(0.0, |e| FLOOR_FACTOR * e);
        let floor = noise.map_or_else(
            || format!("{LEAST:e} (no f64 twin of this output is recorded)"),
            |e| format!("max({FLOOR_FACTOR} x the reference's f32-vs-f64 error {e:.2e}, {LEAST:e})"),
        );
        let why = format!("{floor} x the reference's std {scale:.3e}");
        Self { max_abs: noisy.max(LEAST) * scale, relative: None, why }
    }

    /// The budget of a port in the reference's own type, for an output whose own greatest
    /// |f32 - f64| is `error`: `max(20 r, 1e-4)` times `scale`, where `r` is `error / scale`, as an
    /// absolute error is not in units of the standard deviation; or `error` as it is, where the scale
    /// is less than one, so that no budget is greater than that of [`recorded`](Self::recorded).
    pub fn of_twin(error: f64, scale: f64) -> Self {
        let max_abs = (FLOOR_FACTOR * error * scale.min(1.0)).max(LEAST * scale);
        let unit = if scale < 1.0 { format!(" x the reference's std {scale:.3e}") } else { String::new() };
        let why = format!(
            "the greater of {FLOOR_FACTOR} x this output's own f32-vs-f64 error {error:.2e}{unit} \
             and {LEAST:e} x the reference's std {scale:.3e}"
        );
        Self { max_abs, relative: None, why }
    }

    /// The budget of a port that rounds to a narrower type than the reference's, from what rounding
    /// alone does: see [`Roundings::relative_error`].
    pub fn derived(roundings: &Roundings, comparison: &Comparison) -> Self {
        Self::rounded(roundings.deviation(), &roundings.describe(), comparison)
    }

    /// [`Budget::derived`] of roundings that were written down: the deviation of the error that they make, as a share
    /// of the value's, and what they are.
    pub fn rounded(deviation: f64, of: &str, comparison: &Comparison) -> Self {
        let relative = deviation * greatest(comparison.count);
        let why = format!(
            "{of}, the greatest of {} errors: {relative:.2e} x the reference's std {:.3e}, or x the element \
             where that is greater",
            comparison.count, comparison.scale
        );
        Self { max_abs: relative * comparison.scale, relative: Some(relative), why }
    }

    /// The budget of a value that rounding moves by `rounding`, as measured: the reference program with
    /// every op rounding to its own type, against itself without rounding, on the same inputs. `narrow`
    /// says that a type below f32 is rounded to.
    pub fn measured(rounding: f64, narrow: bool, scale: f64) -> Self {
        let factor = if narrow { NARROW_FACTOR } else { FLOOR_FACTOR };
        let max_abs = (factor * rounding).max(LEAST * scale);
        let why = format!(
            "the greater of {factor} x what rounding does to this value, {rounding:.2e} by the built-in executor, \
             and {LEAST:e} x the reference's std {scale:.3e}"
        );
        Self { max_abs, relative: None, why }
    }

    /// True if the comparison is within the budget: some finite values were compared, NaNs and
    /// infinities are where the reference has them, and no difference is greater than `max_abs` or,
    /// in up to nine elements, than `relative` of the element.
    pub fn allows(&self, comparison: &Comparison) -> bool {
        comparison.comparable() && (comparison.max_abs <= self.max_abs || self.allows_outliers(comparison))
    }

    /// True if every element that is off by more than `max_abs` is among the worst that the
    /// comparison lists, and off by no more than its share of itself.
    fn allows_outliers(&self, comparison: &Comparison) -> bool {
        self.relative.is_some() && self.all_over_are_listed(comparison) && self.share(comparison) <= 1.0
    }

    fn all_over_are_listed(&self, comparison: &Comparison) -> bool {
        let listed = &comparison.worst;
        listed.len() < WORST || listed.last().is_some_and(|e| off(e) <= self.max_abs)
    }

    /// The greatest share of what it may be off that an element is off: of `max_abs`, or of its own
    /// `relative` share where that is more and no other element is over that is not listed.
    pub fn share(&self, comparison: &Comparison) -> f64 {
        if comparison.max_abs == 0.0 {
            return 0.0;
        }
        let Some(relative) = self.relative.filter(|_| self.all_over_are_listed(comparison)) else {
            return comparison.max_abs / self.max_abs;
        };
        let of_itself = |e: &Element| off(e) / self.max_abs.max(relative * e.reference.abs());
        comparison.worst.iter().map(of_itself).fold(0.0, f64::max)
    }
}

fn off(e: &Element) -> f64 {
    (e.ours - e.reference).abs()
}

#[cfg(test)]
mod tests {
    use approx::assert_relative_eq;

    use super::*;
    use crate::{Positions, View, compare};

    fn comparison(ours: &[f64], reference: &[f64]) -> Comparison {
        let view = |values| View::f64(values, [values.len()]).unwrap();
        compare("x", &view(ours), &view(reference), &Positions::All).unwrap()
    }

    #[test]
    fn the_floor_of_a_bundle_is_its_error_or_the_least() {
        assert_relative_eq!(Budget::recorded(Some(3.5e-6), 2.0).max_abs, 2e-4);
        assert_relative_eq!(Budget::recorded(Some(3e-4), 2.0).max_abs, 20.0 * 3e-4 * 2.0);
        let none = Budget::recorded(None, 0.5);
        assert_relative_eq!(none.max_abs, 5e-5);
        assert!(none.why.contains("no f64 twin"), "{}", none.why);
    }

    #[test]
    fn an_own_twin_counts_in_the_outputs_units_and_never_loosens_the_rule() {
        let wide = Budget::of_twin(6e-3, 160.0);
        assert_relative_eq!(wide.max_abs, 20.0 * 6e-3);
        assert!(wide.why.contains("own f32-vs-f64 error 6.00e-3 and"), "{}", wide.why);
        assert_relative_eq!(Budget::of_twin(2e-4, 160.0).max_abs, 1e-4 * 160.0);
        assert_relative_eq!(Budget::of_twin(0.0, 0.1).max_abs, 1e-4 * 0.1);
        let narrow = Budget::of_twin(1e-3, 0.25);
        assert_relative_eq!(narrow.max_abs, 20.0 * 1e-3 * 0.25);
        assert!(narrow.why.contains("1.00e-3 x the reference's std 2.500e-1 and"), "{}", narrow.why);
        for (error, scale) in [(1e-6, 0.1), (1e-3, 0.1), (1e-6, 1.0), (1e-3, 1.0), (1e-6, 30.0), (1e-3, 30.0)]
        {
            let rule = Budget::recorded(Some(error), scale);
            assert!(Budget::of_twin(error, scale).max_abs <= rule.max_abs, "{error} {scale}");
        }
    }

    #[test]
    fn an_outlier_may_be_off_by_its_share_of_itself_and_nothing_else_may() {
        let mut reference = vec![1.0; 100];
        reference[7] = 1000.0;
        let budget = Budget { max_abs: 0.5, relative: Some(0.01), why: String::new() };
        let allows = |index: usize, by: f64| {
            let mut ours = reference.clone();
            ours[index] += by;
            budget.allows(&comparison(&ours, &reference))
        };
        assert!(allows(7, 9.0) && allows(3, 0.4));
        assert!(!allows(7, 11.0) && !allows(3, 0.6));
        let share = |by: f64| {
            let mut ours = reference.clone();
            ours[7] += by;
            budget.share(&comparison(&ours, &reference))
        };
        assert!((share(9.0) - 0.9).abs() < 1e-12 && (share(12.0) - 1.2).abs() < 1e-12);
        // More elements than the comparison lists are over: nobody saw them all.
        let ours: Vec<f64> = reference.iter().map(|r| r * 1.009 + 0.6).collect();
        assert!(!budget.allows(&comparison(&ours, &reference)));
    }

    #[test]
    fn nan_where_the_reference_has_none_is_never_allowed() {
        let budget = Budget { max_abs: 1.0, relative: None, why: String::new() };
        assert!(budget.allows(&comparison(&[1.0, 2.0], &[1.5, 2.0])));
        assert!(!budget.allows(&comparison(&[1.0, 2.0], &[1.0, 3.5])));
        assert!(!budget.allows(&comparison(&[f64::NAN, 2.0], &[1.0, 2.0])));
        assert!(!budget.allows(&comparison(&[f64::INFINITY, 2.0], &[f64::NEG_INFINITY, 2.0])));
        assert!(budget.allows(&comparison(&[f64::INFINITY, 2.0], &[f64::INFINITY, 2.0])));
        assert!(!budget.allows(&comparison(&[f64::NAN], &[f64::NAN])), "nothing was compared");
    }
}

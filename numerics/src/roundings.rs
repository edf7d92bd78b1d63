//! The roundings that reach an output, counted on its program.

mod events;
mod rules;
mod trips;
mod walk;

use std::{collections::BTreeMap, fmt::Write};

use porter_ir::{DType, Program};

use events::Event;

/// The roundings on the path from the inputs to a tensor: what [`Budget::derived`](crate::Budget::derived)
/// is derived from.
#[derive(Clone, Debug, PartialEq)]
pub struct Roundings {
    counts: Vec<(DType, u64)>,
    longest: Option<Sum>,
    kinds: BTreeMap<&'static str, u64>,
    notes: Vec<String>,
    variance: f64,
}

/// A sum: how many terms it has, and the type in which they are added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sum {
    /// How many terms are added up.
    pub terms: u64,
    /// The type of the running sum.
    pub accumulate: DType,
}

/// The greatest of so many errors of one normal distribution, in its deviations.
pub fn greatest(elements: u64) -> f64 {
    (2.0 * (elements.max(2) as f64).ln()).sqrt()
}

impl Roundings {
    /// The roundings that reach the output named `output`; `None` where `program` has no such output.
    ///
    /// Each op that rounds and each weight in a type narrower than f32 is one rounding. A product of
    /// any kind takes over the roundings of all its factors, each rounding once: the errors that its
    /// factors gathered since they parted add up. A sum, a choice or a concatenation takes over those
    /// of the operand that has gathered most, as the signal grows with the error. Composites and
    /// branches are walked through; what a loop's body rounds counts once a trip where the trips can be
    /// told from constants, and else once, which [`notes`](Self::notes) say.
    pub fn of(program: &Program, output: &str) -> Option<Self> {
        Self::all(program).remove(output)
    }

    /// [`Roundings::of`] every output, in one walk.
    pub fn all(program: &Program) -> BTreeMap<String, Self> {
        walk::outputs(program)
    }

    fn from_events<'e>(events: impl Iterator<Item = &'e Event>) -> Self {
        let mut found = Self {
            counts: Vec::new(),
            longest: None,
            kinds: BTreeMap::new(),
            notes: Vec::new(),
            variance: 0.0,
        };
        for event in events {
            found.variance += event.variance();
            let kind = found.kinds.entry(event.kind).or_default();
            *kind = kind.saturating_add(event.times);
            match found.counts.iter_mut().find(|(dtype, _)| *dtype == event.dtype) {
                Some((_, count)) => *count = count.saturating_add(event.times),
                None => found.counts.push((event.dtype, event.times)),
            }
            if event.sum.is_some_and(|sum| found.longest.is_none_or(|longest| sum.terms > longest.terms)) {
                found.longest = event.sum;
            }
            found.notes.extend(event.note.clone().filter(|note| !found.notes.contains(note)));
        }
        let share = |dtype: DType, count: u64| count as f64 * unit_roundoff(dtype).powi(2);
        found.counts.sort_by(|a, b| share(b.0, b.1).total_cmp(&share(a.0, a.1)));
        found
    }

    /// How many values in a row are rounded to each type, weights included; the type whose roundings
    /// weigh most first.
    pub fn counts(&self) -> &[(DType, u64)] {
        &self.counts
    }

    /// How many values in a row are rounded to `dtype`.
    pub fn count(&self, dtype: DType) -> u64 {
        self.counts.iter().find(|(counted, _)| *counted == dtype).map_or(0, |(_, count)| *count)
    }

    /// The longest sum on the path.
    pub fn longest_sum(&self) -> Option<Sum> {
        self.longest
    }

    /// How often each kind of op rounds, weights as `weight`.
    pub fn kinds(&self) -> &BTreeMap<&'static str, u64> {
        &self.kinds
    }

    /// What could not be counted as it is.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The greatest error among `elements` results, in units of their standard deviation.
    ///
    /// One rounding errs uniformly within `±u`, `u` the unit roundoff, that is by `u / sqrt 3` in the
    /// root mean square. Errors of different roundings are independent and add up as squares; so do
    /// the roundings inside a sum, one a term, with the accumulation type's `u`. A dot passes the
    /// relative error of its operands on unchanged, as both the error and the signal are sums of
    /// independent terms, so the error in units of the signal grows with the root of the number of
    /// roundings (Higham and Mary, "A new approach to probabilistic rounding error analysis", 2019).
    /// The greatest of `n` normal errors is `sqrt(2 ln n)` deviations.
    pub fn relative_error(&self, elements: u64) -> f64 {
        self.deviation() * greatest(elements)
    }

    /// The deviation of the error, as a share of the value's: that of a uniform error is its half width over √3.
    pub fn deviation(&self) -> f64 {
        (self.variance / 3.0).sqrt()
    }

    /// What was counted, as text.
    pub fn describe(&self) -> String {
        let counts: Vec<String> =
            self.counts.iter().map(|(dtype, count)| format!("{count} roundings to {dtype}")).collect();
        let mut text = if counts.is_empty() { "no roundings".to_owned() } else { counts.join(", ") };
        let mut kinds: Vec<_> = self.kinds.iter().collect();
        kinds.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
        let named: Vec<String> = kinds.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        if !named.is_empty() {
            // Writing to a string does not fail.
            let _ = write!(text, " ({})", named.join(", "));
        }
        if let Some(Sum { terms, accumulate }) = self.longest {
            let _ = write!(text, ", sums of up to {terms} in {accumulate}");
        }
        self.notes.iter().for_each(|note| text = format!("{text}; {note}"));
        text
    }
}

/// Half the distance from 1 to the next number: the greatest relative error of one rounding.
/// Zero for types that do not round.
fn unit_roundoff(dtype: DType) -> f64 {
    let significand_bits = match dtype {
        DType::F64 => 53,
        DType::F32 => 24,
        DType::F16 => 11,
        DType::BF16 => 8,
        DType::F8E4M3FN => 4,
        DType::F8E5M2 => 3,
        DType::F4E2M1FN => 2,
        _ => return 0.0,
    };
    0.5_f64.powi(significand_bits)
}

#[cfg(test)]
mod tests;

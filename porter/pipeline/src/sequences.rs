//! Whole sequences as a model's forward program takes them.

use porter_ir::Shape;
use porter_runtime::HostTensor;
use porter_zoo::{Model, Phase, Taps, Task};

use crate::PipelineError;

/// Integer inputs by the names of the model's arguments, as transformers takes them.
#[derive(Clone, Debug, Default)]
pub struct Sequences {
    inputs: Vec<(String, Shape, Vec<i64>)>,
}

/// `[batch, tokens]` of an input, and its values in row-major order.
type Matrix<'a> = (usize, usize, &'a [i64]);

/// The arguments that Porter's programs know, and which tasks take them.
const KNOWN: [(&str, &[Task]); 4] = [
    ("input_ids", &[Task::Encode, Task::Generate]),
    ("attention_mask", &[Task::Encode, Task::Generate]),
    ("token_type_ids", &[Task::Encode]),
    ("position_ids", &[Task::Generate]),
];

impl Sequences {
    /// Adds an input; `values` are in row-major order.
    pub fn insert(&mut self, name: &str, shape: Shape, values: Vec<i64>) {
        self.inputs.push((name.to_owned(), shape, values));
    }

    /// Every input, with its shape and values.
    pub fn inputs(&self) -> impl Iterator<Item = (&str, &Shape, &[i64])> {
        self.inputs.iter().map(|(name, shape, values)| (name.as_str(), shape, &values[..]))
    }

    /// The forward program for these inputs.
    pub fn phase(&self, taps: Taps) -> Result<Phase, PipelineError> {
        let (batch, tokens, _) = self.matrix("input_ids")?.ok_or_else(|| {
            PipelineError::Usage(
                "the inputs hold no input_ids: [batch, tokens] token ids are expected".into(),
            )
        })?;
        Ok(Phase::Forward { batch, tokens, taps })
    }

    /// The arguments of `model`'s forward program. Ids outside the vocabulary, masks that are not
    /// 0 or 1, and inputs that the model does not take are all reported.
    pub fn arguments(&self, model: &Model) -> Result<Vec<(&'static str, HostTensor)>, PipelineError> {
        let Phase::Forward { batch, tokens, .. } = self.phase(Taps::None)? else { return Ok(Vec::new()) };
        let mut problems = self.problems(model, [batch, tokens]);
        let filled = |name: &str, value: i64| match self.values(name) {
            Some(values) => values.to_vec(),
            None => vec![value; batch * tokens],
        };
        let matrix = |values: &[i64]| {
            let values: Vec<i32> = values.iter().map(|&v| v as i32).collect();
            HostTensor::from_slice([batch, tokens], &values)
        };
        let ids = filled("input_ids", 0);
        let mask = filled("attention_mask", 1);
        let arguments = match model.task() {
            Task::Encode => vec![
                ("input_ids", matrix(&ids)?),
                ("attention_mask", matrix(&mask)?),
                ("token_type_ids", matrix(&filled("token_type_ids", 0))?),
            ],
            Task::Generate => {
                let (mut padding, holes) = left_padding(&mask, tokens);
                problems.extend(holes);
                if let Some(positions) = self.values("position_ids") {
                    problems.extend(start_later(&mut padding, positions, tokens));
                }
                vec![("input_ids", matrix(&ids)?), ("padding", HostTensor::from_slice([batch], &padding)?)]
            }
        };
        if problems.is_empty() { Ok(arguments) } else { Err(PipelineError::Usage(problems.join("\n"))) }
    }

    fn problems(&self, model: &Model, expected: [usize; 2]) -> Vec<String> {
        let mut problems = Vec::new();
        let vocabulary = model.dimensions().vocab_size as i64;
        for (name, shape, values) in &self.inputs {
            let taken = KNOWN.iter().any(|(known, tasks)| known == name && tasks.contains(&model.task()));
            if !taken {
                problems.push(format!("{} does not take an input {name:?}", model.class()));
            } else if **shape != expected {
                problems.push(format!("{name} is {shape}, input_ids is {expected:?}: they must agree"));
            }
            let limit = match name.as_str() {
                "input_ids" => vocabulary,
                "position_ids" => model.dimensions().max_positions as i64,
                _ => 2,
            };
            if let Some(at) = values.iter().position(|v| !(0..limit).contains(v)) {
                let found = values[at];
                problems
                    .push(format!("{name} holds {found} at element {at}: 0 to {} are expected", limit - 1));
            }
        }
        problems
    }

    fn values(&self, name: &str) -> Option<&[i64]> {
        self.inputs.iter().find(|(n, ..)| n == name).map(|(_, _, values)| &values[..])
    }

    fn matrix(&self, name: &str) -> Result<Option<Matrix<'_>>, PipelineError> {
        let Some((_, shape, values)) = self.inputs.iter().find(|(n, ..)| n == name) else { return Ok(None) };
        match shape[..] {
            [batch, tokens] => Ok(Some((batch, tokens, values))),
            _ => Err(PipelineError::Usage(format!("{name} is {shape}: [batch, tokens] is expected"))),
        }
    }
}

/// The leading zeros of each row of a mask, and the rows that have zeros between ones. Zeros at the
/// end need nothing: no token before them sees them.
fn left_padding(mask: &[i64], tokens: usize) -> (Vec<i32>, Vec<String>) {
    let rows: Vec<&[i64]> = mask.chunks_exact(tokens.max(1)).collect();
    let padding = rows.iter().map(|row| row.iter().take_while(|&&m| m == 0).count() as i32).collect();
    let has_hole = |row: &&[i64]| {
        let inside = row.iter().skip_while(|&&m| m == 0).skip_while(|&&m| m != 0);
        inside.copied().any(|m| m != 0)
    };
    let holes = rows.iter().enumerate().filter(|(_, row)| has_hole(row)).map(|(i, _)| {
        format!("attention_mask has zeros between ones in row {i}: only padding at either end can be masked")
    });
    (padding, holes.collect())
}

/// Makes rows start at the positions that are given: a row that starts at position `p` has `-p` padding
/// tokens, as the position of slot `s` is `s - padding`. Programs number positions one after the other,
/// so other positions are told as problems.
fn start_later(padding: &mut [i32], positions: &[i64], tokens: usize) -> Vec<String> {
    let mut problems = Vec::new();
    for (row, (padding, positions)) in
        padding.iter_mut().zip(positions.chunks_exact(tokens.max(1))).enumerate()
    {
        let real = positions.iter().skip(*padding as usize);
        let first = real.clone().next().copied().unwrap_or(0);
        if !real.zip(first..).all(|(&position, expected)| position == expected) {
            problems
                .push(format!("position_ids of row {row} do not follow one another: they are expected to"));
        } else if *padding == 0 {
            *padding = -(first as i32);
        } else if first != 0 {
            problems.push(format!(
                "row {row} has padding at its left and starts at position {first}: position 0 is expected there"
            ));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_is_counted_at_the_left_and_holes_are_refused() {
        let (padding, holes) = left_padding(&[0, 0, 1, 1, 1, 1, 1, 0, 1, 0, 1, 1], 4);
        assert_eq!(padding, [2, 0, 0]);
        assert_eq!(holes.len(), 1);
        assert!(holes[0].contains("row 2"));
    }

    #[test]
    fn positions_that_follow_one_another_start_anywhere() {
        let mut padding = [0, 2, 0, 1];
        let positions = [7, 8, 9, 1, 1, 0, 4, 6, 7, 0, 3, 4];
        let problems = start_later(&mut padding, &positions, 3);
        assert_eq!(padding[..2], [-7, 2]);
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(
            problems[0].contains("row 2") && problems[1].contains("starts at position 3"),
            "{problems:?}"
        );
    }

    #[test]
    fn inputs_of_a_wrong_rank_are_refused() {
        let mut sequences = Sequences::default();
        assert!(sequences.phase(Taps::None).is_err());
        sequences.insert("input_ids", Shape::new([3]), vec![1, 2, 3]);
        assert!(sequences.phase(Taps::None).unwrap_err().to_string().contains("[batch, tokens]"));
    }
}

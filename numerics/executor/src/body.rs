//! Regions over scalars, as `reduce`, `map`, `sort` and `scatter` have them: run on many elements at once.

use std::collections::HashMap;

use porter_ir::{DType, Op, OpId, RegionId, TensorType, Value};

use crate::{array::Array, failure::Outcome, interpreter::Interpreter, lane::Lane, ops::elementwise};

/// A region that takes scalars and returns scalars and reads nothing from outside.
pub(crate) struct Body<'i> {
    interpreter: &'i Interpreter<'i>,
    region: RegionId,
    /// Whether every op in it works element by element, so that it can run on lanes of any length.
    elementwise: bool,
}

/// A region that does one thing with its two first arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fold {
    Add,
    Multiply,
    Maximum,
    Minimum,
    And,
    Or,
    Xor,
}

impl<'i> Body<'i> {
    pub(crate) fn new(interpreter: &'i Interpreter<'i>, region: RegionId) -> Self {
        let program = interpreter.program;
        let simple = |op: &OpId| {
            let data = program.op(*op);
            let scalars = data.operands.iter().chain(&data.results).all(|&v| program.ty(v).shape.rank() == 0);
            scalars && elementwise::is(data.op.kind())
        };
        let elementwise = program.region(region).ops.iter().all(simple);
        Self { interpreter, region, elementwise }
    }

    /// The one op of a region that folds its two arguments with one.
    pub(crate) fn fold(&self) -> Option<Fold> {
        let program = self.interpreter.program;
        let region = program.region(self.region);
        let (&[so_far, element], &[op], &[result]) =
            (&region.arguments[..], &region.ops[..], &region.results[..])
        else {
            return None;
        };
        let data = program.op(op);
        let both = data.operands == [so_far, element] || data.operands == [element, so_far];
        if !both || data.results != [result] {
            return None;
        }
        match data.op {
            Op::Add(_) => Some(Fold::Add),
            Op::Multiply(_) => Some(Fold::Multiply),
            Op::Maximum(_) => Some(Fold::Maximum),
            Op::Minimum(_) => Some(Fold::Minimum),
            Op::And(_) => Some(Fold::And),
            Op::Or(_) => Some(Fold::Or),
            Op::Xor(_) => Some(Fold::Xor),
            _ => None,
        }
    }

    /// The region's arguments' indices that it returns as they are, where it does nothing else.
    pub(crate) fn returns_arguments(&self) -> Option<Vec<usize>> {
        let region = self.interpreter.program.region(self.region);
        let position = |result: &Value| region.arguments.iter().position(|argument| argument == result);
        region.results.iter().map(position).collect()
    }

    /// What the region returns for each of `n` elements.
    pub(crate) fn call(&self, arguments: Vec<Lane>, n: usize) -> Outcome<Vec<Lane>> {
        if self.elementwise { self.at_once(arguments, n) } else { self.one_by_one(&arguments, n) }
    }

    fn held(&self, value: Value) -> DType {
        self.interpreter.floats.held_dtype(self.interpreter.program.ty(value).dtype)
    }

    fn at_once(&self, arguments: Vec<Lane>, n: usize) -> Outcome<Vec<Lane>> {
        let program = self.interpreter.program;
        let region = program.region(self.region);
        let mut lanes: HashMap<Value, Lane> = region.arguments.iter().copied().zip(arguments).collect();
        for &id in &region.ops {
            let data = program.op(id);
            let Some(&result) = data.results.first() else { continue };
            let operands =
                data.operands.iter().map(|value| lanes.get(value).ok_or("an operand is not defined"));
            let operands = operands.collect::<Result<Vec<_>, _>>()?;
            let floats = self.interpreter.floats;
            let lane = elementwise::evaluate(&data.op, &operands, floats, self.held(result), n)?;
            lanes.insert(result, lane);
        }
        let result = |value: &Value| lanes.get(value).cloned().ok_or("a result is not defined");
        Ok(region.results.iter().map(result).collect::<Result<_, _>>()?)
    }

    fn one_by_one(&self, arguments: &[Lane], n: usize) -> Outcome<Vec<Lane>> {
        let program = self.interpreter.program;
        let region = program.region(self.region);
        let types: Vec<DType> = region.arguments.iter().map(|&value| self.held(value)).collect();
        let mut results: Vec<Lane> = Vec::new();
        for i in 0..n {
            let scalar = |(lane, &dtype): (&Lane, &DType)| {
                Array::of_lane(&TensorType::scalar(dtype), &lane.repeated(i, 1))
            };
            let scalars = arguments.iter().zip(&types).map(scalar).collect::<Result<Vec<_>, _>>()?;
            let returned = self.interpreter.region(self.region, scalars, None)?;
            if results.is_empty() {
                results = returned.iter().map(|array| array.lane().repeated(0, n)).collect();
            } else {
                for (lane, array) in results.iter_mut().zip(&returned) {
                    lane.put(&[i], &array.lane());
                }
            }
        }
        if n == 0 {
            let empty = |&value: &Value| Lane::decode(self.held(value), &[]);
            results = region.results.iter().map(empty).collect();
        }
        Ok(results)
    }
}

//! What the dimensions of all values become, from those of a few.

use std::collections::BTreeMap;

use porter_ir::{
    InputRole, Op, OpError, OpId, OutputRole, Program, Value, ops::DotDimensions, program::OpData,
};

use super::{
    Factor, Kind, Seed, Sizes,
    factor::{merged, regrouped},
};

/// More rounds than any program needs: each carries a size through all ops, forth and back.
const MOST_ROUNDS: usize = 64;

impl Sizes {
    /// Carries `seeds` through the program. An error names the op that cannot be resized.
    pub(crate) fn solve(program: &Program, seeds: &[Seed]) -> Result<Self, OpError> {
        let mut solver = Solver { program, dims: BTreeMap::new(), changed: false };
        for seed in seeds {
            solver.set(seed.value, seed.dim, &seed.factors, None)?;
        }
        let ops: Vec<OpId> = program.ops().map(|(id, _)| id).collect();
        for _ in 0..MOST_ROUNDS {
            solver.changed = false;
            for &op in &ops {
                solver.op(op)?;
            }
            for &op in ops.iter().rev() {
                solver.op(op)?;
            }
            solver.states()?;
            if !solver.changed {
                break;
            }
        }
        Ok(Self { dims: solver.dims })
    }
}

struct Solver<'a> {
    program: &'a Program,
    dims: BTreeMap<(Value, usize), Vec<Factor>>,
    changed: bool,
}

impl Solver<'_> {
    fn set(&mut self, value: Value, dim: usize, factors: &[Factor], op: Option<OpId>) -> Result<(), OpError> {
        let factors = merged(factors.iter().copied());
        if factors.iter().all(|factor| factor.kind == Kind::Same) {
            return Ok(());
        }
        match self.dims.get(&(value, dim)) {
            Some(known) if *known == factors => Ok(()),
            Some(known) => {
                Err(self.error(op, format!("dimension {dim} of {value} becomes {known:?} and {factors:?}")))
            }
            None => {
                self.dims.insert((value, dim), factors);
                self.changed = true;
                Ok(())
            }
        }
    }

    /// What one of two equal dimensions becomes, the other becomes.
    fn link(&mut self, a: (Value, usize), b: (Value, usize), op: Option<OpId>) -> Result<(), OpError> {
        match (self.dims.get(&a).cloned(), self.dims.get(&b).cloned()) {
            (Some(factors), _) => self.set(b.0, b.1, &factors, op),
            (None, Some(factors)) => self.set(a.0, a.1, &factors, op),
            (None, None) => Ok(()),
        }
    }

    fn link_all(&mut self, a: Value, b: Value, op: OpId) -> Result<(), OpError> {
        (0..self.rank(a)).try_for_each(|dim| self.link((a, dim), (b, dim), Some(op)))
    }

    fn rank(&self, value: Value) -> usize {
        self.program.ty(value).shape.rank()
    }

    fn size(&self, value: Value, dim: usize) -> usize {
        self.program.ty(value).shape.get(dim).copied().unwrap_or(1)
    }

    fn op(&mut self, id: OpId) -> Result<(), OpError> {
        let program = self.program;
        let data = program.op(id);
        match (&data.op, &data.operands[..], &data.results[..]) {
            (Op::BroadcastInDim(op), &[x], &[y]) => {
                let pairs = op.dimensions.iter().enumerate();
                let kept = pairs.filter(|&(i, &dim)| self.size(x, i) == self.size(y, dim));
                let kept: Vec<(usize, usize)> = kept.map(|(i, &dim)| (i, dim)).collect();
                kept.into_iter().try_for_each(|(i, dim)| self.link((x, i), (y, dim), Some(id)))
            }
            (Op::Transpose(op), &[x], &[y]) => {
                let pairs = op.permutation.iter().enumerate();
                pairs.clone().try_for_each(|(i, &dim)| self.link((x, dim), (y, i), Some(id)))
            }
            (Op::Reshape(_), &[x], &[y]) => {
                self.reshape(x, y, id)?;
                self.reshape(y, x, id)
            }
            (Op::Reduce(op), operands, results) => {
                let (inputs, _) = operands.split_at(results.len());
                for (&x, &y) in inputs.iter().zip(results) {
                    let kept = (0..self.rank(x)).filter(|dim| !op.dimensions.contains(dim));
                    let kept: Vec<usize> = kept.collect();
                    for (i, dim) in kept.into_iter().enumerate() {
                        self.link((x, dim), (y, i), Some(id))?;
                    }
                }
                Ok(())
            }
            (Op::DotGeneral(op), &[lhs, rhs], &[y]) => self.dot(&op.dimensions, lhs, rhs, y, id),
            (Op::DynamicUpdateSlice(_), &[x, update, ..], &[y]) => {
                self.link_all(x, y, id)?;
                let whole = (0..self.rank(x)).filter(|&dim| self.size(x, dim) == self.size(update, dim));
                let whole: Vec<usize> = whole.collect();
                whole.into_iter().try_for_each(|dim| self.link((x, dim), (update, dim), Some(id)))
            }
            (Op::Slice(op), &[x], &[y]) => {
                let rank = 0..self.rank(x);
                let whole =
                    rank.filter(|&dim| self.size(x, dim) == self.size(y, dim) && op.strides[dim] == 1);
                let whole: Vec<usize> = whole.collect();
                whole.into_iter().try_for_each(|dim| self.link((x, dim), (y, dim), Some(id)))
            }
            (Op::Concatenate(op), operands, &[y]) => {
                let others: Vec<usize> = (0..self.rank(y)).filter(|&dim| dim != op.dimension).collect();
                for &x in operands {
                    for &dim in &others {
                        self.link((x, dim), (y, dim), Some(id))?;
                    }
                }
                Ok(())
            }
            (Op::Composite(_), ..) => self.composite(data, id),
            (Op::OptimizationBarrier(_), ..) => {
                let pairs: Vec<_> = data.operands.iter().copied().zip(data.results.iter().copied()).collect();
                pairs.into_iter().try_for_each(|(x, y)| self.link_all(x, y, id))
            }
            (Op::Constant(_) | Op::Iota(_) | Op::Gather(_), ..) => Ok(()),
            _ => self.elementwise(data, id),
        }
    }

    /// Every operand that has the result's shape changes with it.
    fn elementwise(&mut self, data: &OpData, id: OpId) -> Result<(), OpError> {
        let &[y] = &data.results[..] else { return Ok(()) };
        let shape = &self.program.ty(y).shape;
        let alike = |x: &&Value| self.program.ty(**x).shape == *shape;
        let alike: Vec<Value> = data.operands.iter().filter(alike).copied().collect();
        alike.into_iter().try_for_each(|x| self.link_all(x, y, id))
    }

    fn composite(&mut self, data: &OpData, id: OpId) -> Result<(), OpError> {
        let program = self.program;
        let Some(&region) = data.regions.first() else { return Ok(()) };
        let region = program.region(region);
        let inside = region.arguments.iter().chain(&region.results);
        let outside = data.operands.iter().chain(&data.results);
        inside.zip(outside).try_for_each(|(&a, &b)| self.link_all(a, b, id))
    }

    fn dot(&mut self, d: &DotDimensions, lhs: Value, rhs: Value, y: Value, id: OpId) -> Result<(), OpError> {
        let paired = |l: &[usize], r: &[usize]| l.iter().copied().zip(r.iter().copied()).collect::<Vec<_>>();
        let batching = paired(&d.lhs_batching, &d.rhs_batching);
        for (l, r) in batching.iter().copied().chain(paired(&d.lhs_contracting, &d.rhs_contracting)) {
            self.link((lhs, l), (rhs, r), Some(id))?;
        }
        let free = |value: Value, used: [&[usize]; 2]| {
            (0..self.rank(value))
                .filter(|dim| !used.iter().any(|used| used.contains(dim)))
                .collect::<Vec<_>>()
        };
        let lhs_free = free(lhs, [&d.lhs_batching, &d.lhs_contracting]);
        let rhs_free = free(rhs, [&d.rhs_batching, &d.rhs_contracting]);
        let batch = batching.iter().map(|&(l, _)| (lhs, l));
        let from = batch.chain(lhs_free.into_iter().map(|dim| (lhs, dim)));
        let from: Vec<(Value, usize)> = from.chain(rhs_free.into_iter().map(|dim| (rhs, dim))).collect();
        from.into_iter().enumerate().try_for_each(|(i, from)| self.link(from, (y, i), Some(id)))
    }

    /// Carries factors of `from` to `to`, which are the same elements under two shapes.
    fn reshape(&mut self, from: Value, to: Value, id: OpId) -> Result<(), OpError> {
        let program = self.program;
        let known = |dim: usize| self.dims.get(&(from, dim)).cloned();
        if (0..self.rank(from)).all(|dim| known(dim).is_none()) {
            return Ok(());
        }
        let sizes = program.ty(from).shape.iter().enumerate();
        let all = sizes.flat_map(|(dim, &size)| known(dim).unwrap_or_else(|| vec![Factor::same(size)]));
        let Some(groups) = regrouped(all.collect(), &program.ty(to).shape) else {
            return Err(self.error(Some(id), "splits what is resized as one"));
        };
        groups.iter().enumerate().try_for_each(|(dim, group)| self.set(to, dim, group, Some(id)))
    }

    /// A state's next content has the state's sizes.
    fn states(&mut self) -> Result<(), OpError> {
        let program = self.program;
        for output in program.outputs().iter().filter(|output| output.role == OutputRole::State) {
            let state =
                |input: &&porter_ir::Input| input.role == InputRole::State && input.name == output.name;
            let Some(input) = program.inputs().iter().find(state) else { continue };
            for dim in 0..self.rank(input.value) {
                self.link((input.value, dim), (output.value, dim), None)?;
            }
        }
        Ok(())
    }

    fn error(&self, op: Option<OpId>, problem: impl Into<String>) -> OpError {
        let data = op.map(|op| self.program.op(op));
        OpError {
            path: data.map_or_else(String::new, |data| self.program.path(data.path).to_owned()),
            op: data.map_or("resize", |data| data.op.as_operation().name()),
            operands: data
                .map(|data| data.operands.iter().map(|&v| self.program.ty(v).clone()).collect())
                .unwrap_or_default(),
            problem: problem.into(),
        }
    }
}

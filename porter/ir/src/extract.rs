//! A part of a program as a program of its own.

use std::collections::{HashMap, HashSet};

use crate::{
    Builder, InputRole, OpId, Program, RegionId, Result, TensorType, Value,
    program::{Definition, OpData},
};

impl Program {
    /// The part of the body that computes the values `wanted` from the values `fed`, as a program
    /// called `name`.
    ///
    /// Fed values, which are of the body, become arguments of the names given with them, all of them in
    /// their order; wanted values become results. Weights and arguments that the part reads keep their
    /// names and roles; a state that it reads becomes an argument of its name, as nothing is kept between
    /// the runs of a part. Ops keep their source paths. Names must differ, as those of any program.
    pub fn extract(&self, name: &str, fed: &[(Value, &str)], wanted: &[(Value, &str)]) -> Result<Program> {
        let part = Builder::new(name);
        let mut copy = Copy { source: self, part: part.clone(), values: HashMap::new() };
        for &(value, name) in fed {
            let argument = part.argument(name, self.ty(value).clone())?;
            copy.insert(&part, value, argument)?;
        }
        let needed = self.needed(fed, wanted);
        for &op in self.region(self.body()).ops.iter().filter(|op| needed.contains(op)) {
            copy.op(&part, op)?;
        }
        for &(value, name) in wanted {
            let value = copy.value(value)?;
            part.result(name, value)?;
        }
        drop(copy);
        Ok(part.finish())
    }

    /// The ops of the body that `wanted` depends on, without those that only `fed` depends on.
    fn needed(&self, fed: &[(Value, &str)], wanted: &[(Value, &str)]) -> HashSet<OpId> {
        let fed: HashSet<Value> = fed.iter().map(|&(value, _)| value).collect();
        let mut needed = HashSet::new();
        let mut pending: Vec<Value> = wanted.iter().map(|&(value, _)| value).collect();
        while let Some(value) = pending.pop() {
            if fed.contains(&value) {
                continue;
            }
            let Definition::Result { op, .. } = self.value(value).definition else { continue };
            if needed.insert(op) {
                pending.extend(self.reads(op));
            }
        }
        needed
    }

    /// What an op reads from the region that holds it and those around: its operands, and what its
    /// regions capture.
    pub fn reads(&self, op: OpId) -> impl Iterator<Item = Value> + '_ {
        let data = self.op(op);
        let captured = data.regions.iter().flat_map(|&region| self.captures(region));
        data.operands.iter().copied().chain(captured)
    }
}

struct Copy<'a> {
    source: &'a Program,
    part: Builder,
    values: HashMap<Value, Value>,
}

impl Copy<'_> {
    fn op(&mut self, b: &Builder, id: OpId) -> Result<()> {
        let OpData { op, operands, results, regions, path, .. } = self.source.op(id);
        let b = b.at(self.source.path(*path));
        let operands: Vec<Value> = operands.iter().map(|&v| self.value(v)).collect::<Result<_>>()?;
        let regions: Vec<RegionId> = regions.iter().map(|&r| self.region(&b, r)).collect::<Result<_>>()?;
        let copied = b.push(op.clone(), &operands, &regions)?;
        results.iter().zip(copied).try_for_each(|(&old, new)| self.insert(&b, old, new))
    }

    /// Takes `new` for `old`, whose dimensions mean the same.
    fn insert(&mut self, b: &Builder, old: Value, new: Value) -> Result<()> {
        self.values.insert(old, new);
        match &self.source.value(old).axes {
            Some(axes) => b.logical_axes(new, axes),
            None => Ok(()),
        }
    }

    fn region(&mut self, b: &Builder, id: RegionId) -> Result<RegionId> {
        let region = self.source.region(id);
        let types: Vec<TensorType> = region.arguments.iter().map(|&v| self.source.ty(v).clone()).collect();
        b.region(&types, |inner, arguments| {
            self.values.extend(region.arguments.iter().copied().zip(arguments.iter().copied()));
            for &op in &region.ops {
                self.op(inner, op)?;
            }
            region.results.iter().map(|&v| self.value(v)).collect()
        })
    }

    /// The part's counterpart of a value; an input of the program becomes one of the part here.
    fn value(&mut self, old: Value) -> Result<Value> {
        if let Some(&new) = self.values.get(&old) {
            return Ok(new);
        }
        let top = self.part.at("");
        let Some(input) = self.source.inputs().iter().find(|i| i.value == old) else {
            return Err(top.error("extract", &[], format!("{old} is no value of the body")));
        };
        let ty = self.source.ty(old).clone();
        let new = match input.role {
            InputRole::Weight => top.weight(&input.name, ty)?,
            InputRole::Argument | InputRole::State => top.argument(&input.name, ty)?,
        };
        self.insert(&top, old, new)?;
        Ok(new)
    }
}

#[cfg(test)]
mod tests {
    use crate::{DType, OpKind, TensorType};

    use super::*;

    fn ty() -> TensorType {
        TensorType::new(DType::F32, [2])
    }

    /// `y = (x + w) · state`, and a `while` that reads the sum from outside.
    fn whole() -> (Program, Value, Value) {
        let b = Builder::new("whole");
        let x = b.argument("x", ty()).unwrap();
        let w = b.scope("first").weight("weight", ty()).unwrap();
        let sum = b.scope("first").add(x, w).unwrap();
        let state = b.state("cache", ty()).unwrap();
        let product = b.scope("second").multiply(sum, state).unwrap();
        b.update("cache", product).unwrap();
        let looped = b
            .scope("third")
            .while_(
                &[product],
                |b, _| b.full(TensorType::scalar(DType::Bool), 0.0),
                |b, carried| Ok(vec![b.add(carried[0], sum)?]),
            )
            .unwrap();
        b.result("y", looped[0]).unwrap();
        (b.finish(), sum, product)
    }

    fn inputs(program: &Program) -> Vec<(&str, InputRole)> {
        program.inputs().iter().map(|i| (i.name.as_str(), i.role)).collect()
    }

    #[test]
    fn a_part_reads_only_what_it_needs() {
        let (program, sum, product) = whole();
        let part = program.extract("part", &[(sum, "sum")], &[(product, "product")]).unwrap();
        assert!(part.verify().is_empty(), "{:?}", part.verify());
        assert_eq!(inputs(&part), [("sum", InputRole::Argument), ("cache", InputRole::Argument)]);
        let kinds: Vec<OpKind> = part.ops().map(|(_, op)| op.op.kind()).collect();
        assert_eq!(kinds, [OpKind::Multiply]);
        let paths: Vec<&str> = part.ops().map(|(_, op)| part.path(op.path)).collect();
        assert_eq!(paths, ["second"]);
    }

    #[test]
    fn what_a_region_captures_comes_along() {
        let (program, _, product) = whole();
        let y = program.outputs().iter().find(|o| o.name == "y").unwrap().value;
        let part = program.extract("part", &[(product, "product")], &[(y, "y")]).unwrap();
        assert!(part.verify().is_empty(), "{:?}", part.verify());
        let names: Vec<&str> = inputs(&part).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["product", "x", "first.weight"]);
    }

    #[test]
    fn the_whole_is_a_part_and_a_fed_value_can_be_wanted() {
        let (program, sum, _) = whole();
        let y = program.outputs().iter().find(|o| o.name == "y").unwrap().value;
        let part = program.extract("part", &[], &[(y, "y"), (sum, "sum")]).unwrap();
        assert_eq!(part.ops().count(), program.ops().count());
        let echo = program.extract("echo", &[(sum, "in")], &[(sum, "out")]).unwrap();
        assert_eq!((echo.ops().count(), echo.outputs().len()), (0, 1));
    }
}

//! Building programs: every op's types are inferred and checked where it is added.

use std::{cell::RefCell, rc::Rc};

use crate::{
    DType, Input, InputRole, LogicalAxis, Mesh, Op, OpError, OpId, Output, OutputRole, PathId, Program,
    RegionId, Result, Shape, Sharding, TensorType, Value,
    op::{Operation, RegionType},
    program::{Definition, OpData, Region, ValueData},
};

/// A handle that adds ops to one region of a program, under one source path.
///
/// Handles are cheap to clone and share the program, so expressions nest:
///
/// ```
/// # use porter_ir::{Builder, DType, TensorType};
/// # fn main() -> porter_ir::Result<()> {
/// let b = Builder::new("main");
/// let x = b.argument("x", TensorType::new(DType::F32, [2, 3]))?;
/// let mlp = b.scope("mlp");
/// let y = mlp.add(mlp.multiply(x, x)?, x)?;
/// b.result("y", y)?;
/// println!("{}", b.finish());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Builder {
    program: Rc<RefCell<Program>>,
    region: RegionId,
    path: PathId,
}

impl Builder {
    /// An empty program. `name` should be an MLIR identifier.
    pub fn new(name: impl Into<String>) -> Self {
        let program = Program {
            name: name.into(),
            values: Vec::new(),
            ops: Vec::new(),
            regions: vec![Region::default()],
            paths: vec![String::new()],
            path_ids: [(String::new(), PathId(0))].into(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            mesh: None,
        };
        Self { program: Rc::new(RefCell::new(program)), region: RegionId(0), path: PathId(0) }
    }

    /// The same region under the path `self.path + "." + name`.
    #[must_use]
    pub fn scope(&self, name: &str) -> Self {
        self.at(&self.join(name))
    }

    /// The same region under an absolute path.
    #[must_use]
    pub fn at(&self, path: &str) -> Self {
        let mut program = self.program.borrow_mut();
        let known = program.path_ids.get(path).copied();
        let id = known.unwrap_or_else(|| {
            let id = PathId::at(program.paths.len());
            program.paths.push(path.to_owned());
            program.path_ids.insert(path.to_owned(), id);
            id
        });
        Self { program: Rc::clone(&self.program), region: self.region, path: id }
    }

    /// The source path of this handle.
    pub fn path(&self) -> String {
        self.program.borrow().path(self.path).to_owned()
    }

    /// The program so far, to look at. Adding to it while this is held is a bug that panics.
    pub fn program(&self) -> std::cell::Ref<'_, Program> {
        self.program.borrow()
    }

    /// A value's type.
    pub fn ty(&self, value: Value) -> TensorType {
        self.program.borrow().ty(value).clone()
    }

    /// A value's shape.
    pub fn shape(&self, value: Value) -> Shape {
        self.program.borrow().ty(value).shape.clone()
    }

    /// A value's element type.
    pub fn dtype(&self, value: Value) -> DType {
        self.program.borrow().ty(value).dtype
    }

    /// Sets the mesh that shardings refer to.
    pub fn set_mesh(&self, mesh: Mesh) {
        self.program.borrow_mut().mesh = Some(mesh);
    }

    /// The parameter `name` under this path (`scope("q_proj").weight("weight", ..)`). Asking twice
    /// for one name gives one value, so tied parameters are one input.
    pub fn weight(&self, name: &str, ty: TensorType) -> Result<Value> {
        self.input(InputRole::Weight, self.join(name), ty)
    }

    /// An input that the caller gives at each run.
    pub fn argument(&self, name: &str, ty: TensorType) -> Result<Value> {
        self.input(InputRole::Argument, name.to_owned(), ty)
    }

    /// A buffer kept on the device between runs and donated to each; see [`Builder::update`].
    pub fn state(&self, name: &str, ty: TensorType) -> Result<Value> {
        self.input(InputRole::State, name.to_owned(), ty)
    }

    /// Returns `value` to the caller as `name`.
    pub fn result(&self, name: &str, value: Value) -> Result<()> {
        self.output(OutputRole::Result, name, value)
    }

    /// Makes `value` the next content of state `name`.
    pub fn update(&self, name: &str, value: Value) -> Result<()> {
        self.output(OutputRole::State, name, value)
    }

    /// Says what the dimensions of `value` mean, one entry a dimension: none for one that is never split.
    pub fn logical_axes(&self, value: Value, axes: &[Option<LogicalAxis>]) -> Result<()> {
        let mut program = self.program.borrow_mut();
        check_visible(&program, self.region, &[value])
            .and_then(|()| match program.ty(value).shape.rank() {
                rank if rank == axes.len() => Ok(()),
                rank => Err(format!("{} logical axes were given to {rank} dimensions", axes.len())),
            })
            .map_err(|problem| self.error_in(&program, "logical axes", &[value], problem))?;
        program.values[value.index()].axes = Some(axes.to_vec());
        Ok(())
    }

    /// Sets how an input lies over the mesh.
    pub fn shard_input(&self, name: &str, sharding: Sharding) -> Result<()> {
        let mut program = self.program.borrow_mut();
        match program.inputs.iter_mut().find(|i| i.name == name) {
            Some(input) => {
                input.sharding = Some(sharding);
                Ok(())
            }
            None => Err(self.error_in(&program, "input", &[], format!("no input is named {name:?}"))),
        }
    }

    /// Sets how an output lies over the mesh.
    pub fn shard_output(&self, name: &str, sharding: Sharding) -> Result<()> {
        let mut program = self.program.borrow_mut();
        match program.outputs.iter_mut().find(|o| o.name == name) {
            Some(output) => {
                output.sharding = Some(sharding);
                Ok(())
            }
            None => Err(self.error_in(&program, "output", &[], format!("no output is named {name:?}"))),
        }
    }

    /// Adds an op whose regions were built with [`Builder::region`]; its result types are inferred.
    ///
    /// The named methods (`add`, `dot_general`, ...) are what models call; this is for rewrites and
    /// importers, which hold ops as data.
    pub fn push(&self, op: impl Into<Op>, operands: &[Value], regions: &[RegionId]) -> Result<Vec<Value>> {
        let op = op.into();
        let mut program = self.program.borrow_mut();
        let operation = op.as_operation();
        let inferred = self
            .check_scope(&program, operation, operands, regions)
            .and_then(|()| {
                let types: Vec<&TensorType> = operands.iter().map(|&v| program.ty(v)).collect();
                let borders: Vec<RegionType> = regions.iter().map(|&r| RegionType::of(&program, r)).collect();
                operation.infer(&types, &borders)
            })
            .map_err(|problem| self.error_in(&program, operation.name(), operands, problem))?;
        Ok(self.append(&mut program, op, operands, regions, inferred))
    }

    /// Every operand is visible here, and every region was built here, for this op, and reads from
    /// outside only where the op allows it.
    fn check_scope(
        &self,
        program: &Program,
        operation: &dyn Operation,
        operands: &[Value],
        regions: &[RegionId],
    ) -> Result<(), String> {
        if program.region(self.region).op.is_some() {
            return Err("the region is closed: its op was added already".to_owned());
        }
        check_visible(program, self.region, operands)?;
        for (i, &id) in regions.iter().enumerate() {
            let region =
                program.regions.get(id.index()).ok_or_else(|| format!("{id} is of another program"))?;
            if region.parent != Some(self.region) || region.op.is_some() || regions[..i].contains(&id) {
                return Err(format!("{id} was not built here, or belongs to another op"));
            }
            if operation.regions_capture() {
                continue;
            }
            if let Some(&value) = program.captures(id).first() {
                let ty = program.ty(value);
                return Err(format!(
                    "{id} reads {value}: {ty} from outside, but may read its arguments only"
                ));
            }
        }
        Ok(())
    }

    fn append(
        &self,
        program: &mut Program,
        op: Op,
        operands: &[Value],
        regions: &[RegionId],
        types: Vec<TensorType>,
    ) -> Vec<Value> {
        let id = OpId::at(program.ops.len());
        let mut results = Vec::with_capacity(types.len());
        for (index, ty) in types.into_iter().enumerate() {
            results.push(Value::at(program.values.len()));
            program.values.push(ValueData::new(ty, Definition::Result { op: id, index }));
        }
        program.ops.push(OpData {
            op,
            operands: operands.to_vec(),
            results: results.clone(),
            regions: regions.to_vec(),
            path: self.path,
            parent: self.region,
        });
        program.regions[self.region.index()].ops.push(id);
        for region in regions {
            program.regions[region.index()].op = Some(id);
        }
        results
    }

    /// Adds an op with exactly one result.
    pub(crate) fn push_single(
        &self,
        op: impl Into<Op>,
        operands: &[Value],
        regions: &[RegionId],
    ) -> Result<Value> {
        let op = op.into();
        let name = op.as_operation().name();
        let results = self.push(op, operands, regions)?;
        match results[..] {
            [value] => Ok(value),
            _ => Err(self.error(name, operands, format!("has {} results, expected one", results.len()))),
        }
    }

    /// Adds an op with exactly one result and no regions.
    pub(crate) fn push_one(&self, op: impl Into<Op>, operands: &[Value]) -> Result<Value> {
        self.push_single(op, operands, &[])
    }

    /// Builds a region for an op that will be added next: `fill` gets a handle to it and its
    /// arguments, and returns its results.
    pub fn region(
        &self,
        arguments: &[TensorType],
        fill: impl FnOnce(&Builder, &[Value]) -> Result<Vec<Value>>,
    ) -> Result<RegionId> {
        let (id, values) = {
            let mut program = self.program.borrow_mut();
            let id = RegionId::at(program.regions.len());
            let values: Vec<Value> = arguments
                .iter()
                .enumerate()
                .map(|(index, ty)| {
                    let value = Value::at(program.values.len());
                    let definition = Definition::Argument { region: id, index };
                    program.values.push(ValueData::new(ty.clone(), definition));
                    value
                })
                .collect();
            let parent = Some(self.region);
            program.regions.push(Region { arguments: values.clone(), parent, ..Region::default() });
            (id, values)
        };
        let inner = Self { program: Rc::clone(&self.program), region: id, path: self.path };
        let results = fill(&inner, &values)?;
        let mut program = self.program.borrow_mut();
        check_visible(&program, id, &results)
            .map_err(|problem| self.error_in(&program, "stablehlo.return", &results, problem))?;
        program.regions[id.index()].results = results;
        Ok(id)
    }

    /// The finished program.
    pub fn finish(self) -> Program {
        match Rc::try_unwrap(self.program) {
            Ok(cell) => cell.into_inner(),
            Err(shared) => shared.borrow().clone(),
        }
    }

    /// An error about an op at this path.
    pub fn error(&self, op: &'static str, operands: &[Value], problem: impl Into<String>) -> OpError {
        self.error_in(&self.program.borrow(), op, operands, problem)
    }

    fn error_in(
        &self,
        program: &Program,
        op: &'static str,
        operands: &[Value],
        problem: impl Into<String>,
    ) -> OpError {
        OpError {
            path: program.path(self.path).to_owned(),
            op,
            operands: operands
                .iter()
                .filter_map(|v| program.values.get(v.index()))
                .map(|v| v.ty.clone())
                .collect(),
            problem: problem.into(),
        }
    }

    fn join(&self, name: &str) -> String {
        let program = self.program.borrow();
        match program.path(self.path) {
            "" => name.to_owned(),
            path => format!("{path}.{name}"),
        }
    }

    fn input(&self, role: InputRole, name: String, ty: TensorType) -> Result<Value> {
        let mut program = self.program.borrow_mut();
        if let Some(known) = program.inputs.iter().find(|i| i.name == name) {
            let value = known.value;
            if known.role == role && *program.ty(value) == ty {
                return Ok(value);
            }
            let problem =
                format!("{name:?} is already an input of type {} as {:?}", program.ty(value), known.role);
            return Err(self.error_in(&program, "input", &[], problem));
        }
        let value = Value::at(program.values.len());
        let index = program.inputs.len();
        let definition = Definition::Argument { region: RegionId(0), index };
        program.values.push(ValueData::new(ty, definition));
        program.regions[0].arguments.push(value);
        program.inputs.push(Input { value, role, name, sharding: None });
        Ok(value)
    }

    fn output(&self, role: OutputRole, name: &str, value: Value) -> Result<()> {
        let mut program = self.program.borrow_mut();
        check_visible(&program, program.body(), &[value])
            .map_err(|problem| self.error_in(&program, "output", &[value], problem))?;
        if program.outputs.iter().any(|o| o.name == name) {
            let problem = format!("{name:?} is already an output");
            return Err(self.error_in(&program, "output", &[value], problem));
        }
        if role == OutputRole::State {
            let state = program.inputs.iter().find(|i| i.role == InputRole::State && i.name == name);
            let expected = state.map(|i| program.ty(i.value).clone());
            if expected.as_ref() != Some(program.ty(value)) {
                let problem = match expected {
                    None => format!("no state is named {name:?}"),
                    Some(ty) => format!("state {name:?} is {ty}"),
                };
                return Err(self.error_in(&program, "output", &[value], problem));
            }
        }
        program.regions[0].results.push(value);
        program.outputs.push(Output { value, role, name: name.to_owned(), sharding: None });
        Ok(())
    }
}

/// Every value is defined in `region` or around it. What is defined there was added before what is
/// added now, so it also comes first in the order of execution.
fn check_visible(program: &Program, region: RegionId, values: &[Value]) -> Result<(), String> {
    for &value in values {
        if value.index() >= program.values.len() {
            return Err(format!("{value} is of another program"));
        }
        if !program.encloses(program.region_of(value), region) {
            return Err(format!(
                "{value}: {} is defined in a region that is not around here",
                program.ty(value)
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn f32() -> TensorType {
        TensorType::scalar(DType::F32)
    }

    #[test]
    fn values_stay_in_their_region() {
        let b = Builder::new("main");
        let x = b.argument("x", f32()).unwrap();
        let mut inner = x;
        let region = b.region(&[f32()], |b, args| {
            inner = b.add(args[0], x)?;
            Ok(vec![inner])
        });
        let error = b.negate(inner).unwrap_err();
        assert_eq!(error.problem, "%2: f32[] is defined in a region that is not around here");
        let error = b.result("y", inner).unwrap_err();
        assert_eq!(error.problem, "%2: f32[] is defined in a region that is not around here");
        let captures = crate::ops::Composite { name: "porter.f".to_owned(), attributes: Vec::new() };
        let error = b.push(captures, &[x], &[region.unwrap()]).unwrap_err();
        assert_eq!(error.problem, "region1 reads %0: f32[] from outside, but may read its arguments only");
    }

    #[test]
    fn a_region_belongs_to_one_op_and_is_closed_by_it() {
        let b = Builder::new("main");
        let x = b.argument("x", f32()).unwrap();
        let mut kept = None;
        let region = b
            .region(&[f32()], |b, args| {
                kept = Some(b.clone());
                Ok(args.to_vec())
            })
            .unwrap();
        let op = crate::ops::Composite { name: "porter.f".to_owned(), attributes: Vec::new() };
        b.push(op.clone(), &[x], &[region]).unwrap();
        let error = b.push(op, &[x], &[region]).unwrap_err();
        assert_eq!(error.problem, "region1 was not built here, or belongs to another op");
        let error = kept.unwrap().negate(x).unwrap_err();
        assert_eq!(error.problem, "the region is closed: its op was added already");
    }

    #[test]
    fn values_of_another_program_are_refused() {
        let (b, other) = (Builder::new("main"), Builder::new("other"));
        let foreign = other.argument("x", f32()).unwrap();
        assert_eq!(b.negate(foreign).unwrap_err().problem, "%0 is of another program");
    }

    #[test]
    fn tied_weights_are_one_input_of_one_type() {
        let b = Builder::new("main");
        let w = b.scope("lm_head").weight("weight", f32()).unwrap();
        assert_eq!(b.at("lm_head").weight("weight", f32()).unwrap(), w);
        let error = b.weight("lm_head.weight", TensorType::scalar(DType::BF16)).unwrap_err();
        assert_eq!(error.problem, "\"lm_head.weight\" is already an input of type f32[] as Weight");
    }

    #[test]
    fn a_state_is_updated_with_its_own_type() {
        let b = Builder::new("main");
        let cache = b.state("cache", f32()).unwrap();
        let half = b.convert(cache, DType::BF16).unwrap();
        assert_eq!(b.update("cache", half).unwrap_err().problem, "state \"cache\" is f32[]");
        assert_eq!(b.update("cash", cache).unwrap_err().problem, "no state is named \"cash\"");
        b.update("cache", cache).unwrap();
        assert_eq!(b.update("cache", cache).unwrap_err().problem, "\"cache\" is already an output");
    }
}

//! # Sharding
//!
//! **What.** Every input, output and state of a program, and every activation that the model names the
//! dimensions of, is laid out over a mesh of devices.
//!
//! **Why.** A model that does not fit one device, or is to be faster than one. The compiler is told how each
//! value lies in place of being left to guess: left alone it gathers weights (`facts/aot.md` part 6).
//!
//! **Before and after.** `q_proj.weight: [heads, embed]` over `data=2,tensor=4` with the rules `heads = ["tensor"]`,
//! `embed = ["fsdp"]` gets `sdy.sharding = <@mesh, [{"tensor"}, {}]>`, and what it gives is constrained to
//! `[{"data"}, {}, {"tensor"}, {}]`. A weight that lies split over an axis that it is gathered over (`fsdp`) is
//! constrained to be whole along it where it is read; one that stays split has what meets it constrained.
//!
//! What does not divide is refused with its sizes, and so is a mesh axis that splits nothing: no tensor is
//! copied to every device because its size is odd.
//!
//! **Effect on the numbers.** Neutral: sums over a dimension that is split are summed in parts.
//!
//! **Undo.** The weights are untouched.
//!
//! **Evidence.** docs/sharding.md: eight virtual CPU devices give the numbers of one, with the collectives that
//! [`Shard::collectives`] predicts.

mod live;
mod pads;
mod predict;
mod problem;
mod profile;
mod resolve;
mod rules;
mod stays;

use std::collections::{BTreeMap, HashMap};

use porter_ir::{InputRole, Layout, Mesh, OpId, OutputRole, Program, Result, Sharding, Value};

pub use pads::Pads;
pub use predict::{Collective, Share};
pub(crate) use problem::gcd;
pub use problem::{ShardError, ShardProblem};
pub use profile::Profile;
pub use rules::{Rules, RulesError, Tables};

use crate::{Edit, Effect, Patch, Port, Site};
use profile::named;
use resolve::Resolver;
use stays::Moved;

/// Lays a port out over a mesh; see the module's documentation. It comes after all rewrites.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shard {
    /// The mesh.
    pub mesh: Mesh,
    /// Which of its axes split what.
    pub tables: Tables,
}

/// How the values of one program lie.
struct Placed {
    layout: Layout,
    /// Weights that are read gathered: how they lie then.
    gathered: HashMap<Value, Sharding>,
    /// Ops whose weight stays split.
    moved: HashMap<OpId, Moved>,
    /// Results of ops that have a layout.
    results: HashMap<Value, Sharding>,
}

impl Shard {
    /// The port laid out over the mesh, or everything that stands against it.
    pub fn patch(&self, port: &Port) -> Result<Patch, ShardError> {
        let placed = self.place(port)?;
        let mut patch = Patch::new("shard", Effect::Neutral, port);
        for (i, (program, placed)) in port.programs.iter().zip(placed).enumerate() {
            let ops = program.region(program.body()).ops.iter();
            patch.edits[i] = ops.filter_map(|&op| placed.edit(program, op)).collect();
            patch.layouts[i] = Some(placed.layout);
        }
        patch.reason = format!("{} devices as {}", self.mesh.devices(), self.mesh);
        Ok(patch)
    }

    /// The collectives that the rules ask for in each program: no others should be in what is compiled.
    pub fn collectives(&self, port: &Port) -> Result<Vec<Vec<Collective>>, ShardError> {
        let share = |program: &Program| self.share(&Profile::of(program), program.name());
        port.programs.iter().map(|program| Ok(share(program)?.collectives)).collect()
    }

    /// How every input and output lies, by program.
    pub fn layouts(&self, port: &Port) -> Result<Vec<Layout>, ShardError> {
        Ok(self.place(port)?.into_iter().map(|placed| placed.layout).collect())
    }

    fn place(&self, port: &Port) -> Result<Vec<Placed>, ShardError> {
        let mut problems = Vec::new();
        let placed: Vec<Placed> =
            port.programs.iter().map(|program| self.place_program(program, &mut problems)).collect();
        if problems.is_empty() {
            problems.extend(differences(&port.programs, &placed));
        }
        let mesh = self.mesh.clone();
        if problems.is_empty() { Ok(placed) } else { Err(ShardError { mesh, problems }) }
    }

    fn place_program(&self, program: &Program, problems: &mut Vec<ShardProblem>) -> Placed {
        let rules = self.rules(Profile::of(program).one_token());
        let mut resolver = Resolver::new(&self.mesh, rules);
        let layout = Layout {
            mesh: self.mesh.clone(),
            inputs: program
                .inputs()
                .iter()
                .map(|i| (i.name.clone(), resolver.value(program, i.value, &i.name)))
                .collect(),
            outputs: program
                .outputs()
                .iter()
                .map(|o| (o.name.clone(), resolver.result(program, o.value, &o.name)))
                .collect(),
        };
        let mut results = HashMap::new();
        for &op in &program.region(program.body()).ops {
            let data = program.op(op);
            for &result in data.results.iter().filter(|&&result| program.value(result).axes.is_some()) {
                results.insert(result, resolver.value(program, result, program.path(data.path)));
            }
        }
        let moved = moved(program, &layout, &self.mesh, rules, &mut resolver);
        // What stands against one program mostly stands against the others too.
        for problem in resolver.problems(program.name()) {
            if !problems.contains(&problem) {
                problems.push(problem);
            }
        }
        let weights = program.inputs().iter().filter(|i| i.role == InputRole::Weight);
        let gathered = weights.filter_map(|input| {
            let stored = layout.inputs.get(&input.name)?;
            let gathers = stored.axes().any(|axis| rules.gathers(axis));
            gathers.then(|| (input.value, without(stored, rules)))
        });
        Placed { gathered: gathered.collect(), moved, results, layout }
    }

    /// The table of a program: that of decoding where the tokens of a row are one.
    fn rules(&self, one_token: bool) -> &Rules {
        if one_token { &self.tables.decode } else { &self.tables.prefill }
    }
}

/// The ops whose weights stay split, if all ops that read one agree.
fn moved(
    program: &Program,
    layout: &Layout,
    mesh: &Mesh,
    rules: &Rules,
    resolver: &mut Resolver<'_>,
) -> HashMap<OpId, Moved> {
    let of_weight = |(weight, uses): (Value, Vec<(OpId, stays::Use)>)| {
        let input = program.inputs().iter().find(|input| input.value == weight)?;
        let (stored, weight) = (layout.inputs.get(&input.name)?, named(program, weight)?);
        let one = |(op, of): (OpId, stays::Use)| {
            let x = resolver.axes(&of.x.axes, &of.x.ty, "");
            Some((op, of.moved(&weight, stored, &x, mesh, rules)?))
        };
        uses.into_iter().map(one).collect::<Option<Vec<_>>>()
    };
    stays::uses(program).into_iter().filter_map(of_weight).flatten().collect()
}

/// How a weight lies once it is gathered.
fn without(stored: &Sharding, rules: &Rules) -> Sharding {
    let kept = |axes: &Vec<String>| axes.iter().filter(|axis| !rules.gathers(axis)).cloned().collect();
    Sharding { dims: stored.dims.iter().map(kept).collect() }
}

/// Weights and states that do not lie alike in all programs: one set of buffers serves all of them.
fn differences(programs: &[Program], placed: &[Placed]) -> Vec<ShardProblem> {
    let mut first: BTreeMap<&str, (&Program, &Sharding)> = BTreeMap::new();
    let mut problems = Vec::new();
    for (program, placed) in programs.iter().zip(placed) {
        let kept = program.inputs().iter().filter(|i| i.role != InputRole::Argument);
        let updated = program.outputs().iter().filter(|o| o.role == OutputRole::State);
        let all = kept.filter_map(|i| Some((i.name.as_str(), placed.layout.inputs.get(&i.name)?)));
        let all =
            all.chain(updated.filter_map(|o| Some((o.name.as_str(), placed.layout.outputs.get(&o.name)?))));
        for (name, sharding) in all {
            let (other, known) = *first.entry(name).or_insert((program, sharding));
            if known != sharding {
                let programs = [other.name().to_owned(), program.name().to_owned()];
                problems.push(ShardProblem::Differs { tensor: name.to_owned(), programs });
            }
        }
    }
    problems
}

impl Placed {
    /// The constraints around an op: on the weights that it reads gathered, or on what meets one that stays, and on
    /// what it gives.
    fn edit(&self, program: &Program, op: OpId) -> Option<Edit> {
        let data = program.op(op);
        let given = |values: &[Value], of: &HashMap<Value, Sharding>| -> Vec<Option<Sharding>> {
            values.iter().map(|value| of.get(value).cloned()).collect()
        };
        let operands = data.operands.clone();
        let (read, inner) = match self.moved.get(&op) {
            Some(moved) => {
                let is_weight = |value: &Value| self.gathered.contains_key(value);
                let x = |value| (!is_weight(value)).then(|| moved.x.clone());
                (operands.iter().map(x).collect(), vec![Some(moved.result.clone())])
            }
            None => (given(&operands, &self.gathered), vec![None; data.results.len()]),
        };
        let results = given(&data.results, &self.results);
        read.iter().chain(&inner).chain(&results).any(Option::is_some).then(|| {
            Edit::one(program, op, move |site| {
                let operands: Vec<Value> =
                    operands.iter().map(|&old| site.value(old)).collect::<Result<_>>()?;
                let operands = constrained(site, operands, &read)?;
                let given = constrained(site, site.repeat(&site.b, op, &operands)?, &inner)?;
                constrained(site, given, &results)
            })
        })
    }
}

/// The values, those with a sharding constrained to it.
fn constrained(site: &Site<'_>, values: Vec<Value>, shardings: &[Option<Sharding>]) -> Result<Vec<Value>> {
    let one = |(value, sharding): (Value, &Option<Sharding>)| match sharding {
        Some(sharding) => site.b.sharding_constraint(value, sharding.clone()),
        None => Ok(value),
    };
    values.into_iter().zip(shardings).map(one).collect()
}

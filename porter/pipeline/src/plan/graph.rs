//! Planning an ONNX graph, which runs on one device.

use std::collections::{BTreeMap, HashSet};

use porter_ir::{InputRole, Mesh, Op, OutputRole, Program, Value};
use porter_onnx::Recorded;
use porter_plan::{CHIPS, Demand, Memory, Roofline, Target, Verdict};
use porter_rewrite::{Applied, Profile, Shard, Tables};

use crate::{
    Chosen, Job, PipelineError,
    onnx::{Dims, ForTpu, Graph, GraphForm, Products, one_device},
};

/// What a graph asks of one device.
pub struct GraphPlan {
    /// The target.
    pub target: Target,
    /// Numbers of the weights that its program reads.
    pub parameters: usize,
    /// What a device holds and does.
    pub demand: Demand,
    /// The least time of a run.
    pub roofline: Roofline,
    /// Whether it fits.
    pub verdict: Verdict,
    /// Where it does not, the one device with the least memory that it fits.
    pub smallest: Option<Target>,
    /// The types of its arguments, by name.
    pub arguments: BTreeMap<String, String>,
    /// What was recognised in it, and how often.
    pub recognised: BTreeMap<String, usize>,
    /// What else was done to its programs, in order.
    pub applied: Vec<Applied>,
    /// Its programs, for the TPU compiler: what depends on weights alone, where there is such work, and the graph.
    pub jobs: Vec<Job>,
}

impl GraphPlan {
    /// Plans a graph with the sizes `dims` of named dimensions; with `inputs`, with their shapes, and with the values
    /// of those that shapes depend on.
    pub fn new(
        graph: &Graph,
        dims: &Dims,
        inputs: Option<&[Recorded]>,
        target: &Target,
        products: Products,
    ) -> Result<Self, PipelineError> {
        one_device(target)?;
        let for_tpu = graph.for_tpu(dims, inputs, GraphForm { products, rewrites: Chosen::All })?;
        let (demand, parameters) = demand(&for_tpu)?;
        let ForTpu { before, main, arguments, recognised, applied, .. } = for_tpu;
        let verdict = demand.memory.verdict(target);
        Ok(Self {
            target: target.clone(),
            parameters,
            roofline: Roofline::new(&demand, &Mesh { axes: Vec::new() }, target),
            verdict,
            smallest: if verdict == Verdict::Fits { None } else { smallest(&demand.memory) },
            demand,
            arguments,
            recognised,
            applied,
            jobs: before.into_iter().chain([main]).collect(),
        })
    }
}

/// What a run asks for, and the numbers of its weights. A run reads every weight but those of which it looks up rows.
fn demand(graph: &ForTpu) -> Result<(Demand, usize), PipelineError> {
    let ForTpu { program, main, .. } = graph;
    let shard = Shard { mesh: Mesh { axes: Vec::new() }, tables: Tables::serving()? };
    let share = shard.share(&Profile::of(program), program.name())?;
    let tables = tables(program);
    let (mut memory, mut read, mut parameters) = (Memory::default(), 0_usize, 0_usize);
    for input in &main.program.entry.inputs {
        let bytes = input.ty.device_bytes();
        if input.role == InputRole::Weight {
            memory.weights = memory.weights.saturating_add(bytes);
            parameters = parameters.saturating_add(input.ty.shape.elements());
            read = read.saturating_add(if tables.contains(input.name.as_str()) { 0 } else { bytes });
        } else {
            memory.interface = memory.interface.saturating_add(bytes);
        }
    }
    for output in main.program.entry.outputs.iter().filter(|output| output.role == OutputRole::Result) {
        memory.interface = memory.interface.saturating_add(output.ty.device_bytes());
    }
    memory.temporaries = share.temporaries;
    let traffic = read as f64 + memory.interface as f64;
    Ok((Demand { memory, traffic, flops: main.flops, exchanges: Vec::new() }, parameters))
}

/// The inputs that are tables of which rows are looked up, and nothing else.
fn tables(program: &Program) -> HashSet<&str> {
    let (mut looked_up, mut read) = (HashSet::<Value>::new(), HashSet::<Value>::new());
    for (id, data) in program.ops() {
        let table = if matches!(data.op, Op::Gather(_)) { data.operands.first().copied() } else { None };
        looked_up.extend(table);
        read.extend(program.reads(id).filter(|&value| Some(value) != table));
    }
    let only = program.inputs().iter().filter(|i| looked_up.contains(&i.value) && !read.contains(&i.value));
    only.map(|input| input.name.as_str()).collect()
}

/// The target of one device with the least memory that holds so much.
fn smallest(memory: &Memory) -> Option<Target> {
    let one = CHIPS.iter().flat_map(|chip| Target::all(chip)).filter(|target| target.devices() == 1);
    let fits = one.filter(|target| memory.verdict(target) == Verdict::Fits);
    fits.min_by(|a, b| a.chip().usable_hbm.value.total_cmp(&b.chip().usable_hbm.value))
}

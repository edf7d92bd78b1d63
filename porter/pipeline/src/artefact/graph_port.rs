//! From an ONNX graph to an artefact.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufRead, BufReader},
    path::Path,
};

use porter_ir::{DType, Program};
use porter_numerics::Roundings;
use porter_onnx::Recorded;
use porter_plan::Target;
use porter_weights::{
    Checkpoint, WeightMap,
    write::{Layout, OutputFile},
};
use sha2::{Digest, Sha256};

use super::{
    PortedGraph,
    manifest::{
        CheckRecord, FixedRecord, GraphRecord, MANIFEST, Manifest, RewriteRecord, RoundingsRecord, SCHEMA,
        SourceRecord,
    },
    port::{tensors_sha256, undo, weights_layout, write_programs},
    program::PhaseRecord,
};
use crate::{
    PipelineError,
    ahead::Job,
    onnx::{Dims, FOLDED, ForTpu, Graph, GraphForm, OnnxCheckpoint, Products, one_device},
};

/// A graph for a target, before it is written.
pub struct GraphPort<'a> {
    graph: &'a Graph,
    target: Target,
    /// What its products take, where that is not the file's.
    dtype: Option<DType>,
    record: GraphRecord,
    rewrites: Vec<RewriteRecord>,
    checkpoint: OnnxCheckpoint,
    weights: WeightMap,
    /// The graph's program, and before it what is computed of weights alone.
    jobs: Vec<(PhaseRecord, Job)>,
}

impl<'a> GraphPort<'a> {
    /// The program of a graph with the sizes `dims` of named dimensions; with `inputs`, with their shapes, and with
    /// the values of those that shapes depend on.
    pub fn new(
        graph: &'a Graph,
        dims: &Dims,
        inputs: Option<&[Recorded]>,
        target: &Target,
        form: GraphForm<'_>,
    ) -> Result<Self, PipelineError> {
        one_device(target)?;
        let ForTpu { before, main, recognised, applied, weights, fixed, program, .. } =
            graph.for_tpu(dims, inputs, form)?;
        let roundings = match form.products {
            Products::AsStored => BTreeMap::new(),
            Products::Bf16 => RoundingsRecord::of(&program),
        };
        let before = before.map(|job| (PhaseRecord::Weights, job));
        let jobs = before.into_iter().chain([(PhaseRecord::Graph, main)]).collect();
        let checkpoint = OnnxCheckpoint::open(&graph.files.weights)?;
        let given = inputs.unwrap_or_default();
        let fixed = given.iter().filter(|input| fixed.contains(&input.name));
        let fixed = fixed.map(|input| (input.name.clone(), FixedRecord::of(input))).collect();
        let [inputs, outputs] = graph.names();
        let recognised = RewriteRecord::recognised(&recognised);
        let record = GraphRecord { dims: dims.clone(), inputs, outputs, fixed, roundings };
        Ok(Self {
            graph,
            target: target.clone(),
            dtype: form.products.dtype(),
            record,
            rewrites: recognised.into_iter().chain(applied.iter().map(RewriteRecord::from)).collect(),
            checkpoint,
            weights,
            jobs,
        })
    }

    /// What was recognised in the graph, and what else was done to its programs.
    pub fn rewrites(&self) -> &[RewriteRecord] {
        &self.rewrites
    }

    /// The source's weights.
    pub fn checkpoint(&self) -> &dyn Checkpoint {
        &self.checkpoint
    }

    /// What the program was made for.
    pub fn record(&self) -> &GraphRecord {
        &self.record
    }

    /// The port as it will be read, over the source's weights.
    pub fn ported(&self) -> PortedGraph<'_> {
        PortedGraph {
            record: &self.record,
            dtype: self.dtype,
            programs: self.jobs.iter().map(|(phase, job)| (*phase, &job.program)).collect(),
            weights: &self.weights,
            checkpoint: &self.checkpoint,
        }
    }

    /// Every file of the artefact.
    pub fn layout(
        &self,
        max_shard_bytes: Option<u64>,
        check: Option<CheckRecord>,
    ) -> Result<Layout, PipelineError> {
        let entries: Vec<_> = self.jobs.iter().map(|(_, job)| &job.program.entry).collect();
        let mut layout = weights_layout(&self.weights, &entries, max_shard_bytes)?;
        let programs = write_programs(self.jobs.iter().map(|(phase, job)| (*phase, job)), &mut layout);
        let mut undo = undo(&self.weights, &self.checkpoint, &entries)?;
        for name in self.checkpoint.tensors().keys().filter(|name| !undo.tensors.contains_key(*name)) {
            undo.lost.entry(name.clone()).or_insert_with(|| FOLDED.to_owned());
        }
        let manifest = Manifest {
            schema: SCHEMA.to_owned(),
            porter: env!("CARGO_PKG_VERSION").to_owned(),
            source: self.source()?,
            target: self.target.to_string(),
            mesh: None,
            dtype: self.dtype.map(|dtype| dtype.name().to_owned()),
            quantize: None,
            keep: Vec::new(),
            rewrites: self.rewrites.clone(),
            programs,
            graph: Some(self.record.clone()),
            undo,
            check,
        };
        layout.closing.push(OutputFile::bytes(MANIFEST, manifest.bytes()?));
        Ok(layout)
    }

    fn source(&self) -> Result<SourceRecord, PipelineError> {
        let files = &self.graph.files;
        let failed = |source| PipelineError::File { doing: "read", path: files.weights.clone(), source };
        Ok(SourceRecord {
            name: files.name.clone(),
            architecture: "ONNX".to_owned(),
            graph_sha256: Some(sha256(&files.weights).map_err(failed)?),
            config_sha256: None,
            tensors_sha256: tensors_sha256(&self.checkpoint),
            weights: self.checkpoint.identity()?,
        })
    }
}

/// The SHA-256 of a file.
fn sha256(path: &Path) -> io::Result<String> {
    let mut file = BufReader::with_capacity(1 << 20, File::open(path)?);
    let mut hash = Sha256::new();
    loop {
        let bytes = file.fill_buf()?;
        if bytes.is_empty() {
            return Ok(hex::encode(hash.finalize()));
        }
        hash.update(bytes);
        let read = bytes.len();
        file.consume(read);
    }
}

impl RoundingsRecord {
    /// Those that reach each float that a program gives: an index is right or wrong.
    fn of(program: &Program) -> BTreeMap<String, Self> {
        let mut all = Roundings::all(program);
        let floats = program.outputs().iter().filter(|output| program.ty(output.value).dtype.is_float());
        let of = |roundings: Roundings| Self { deviation: roundings.deviation(), of: roundings.describe() };
        floats.filter_map(|output| Some((output.name.clone(), of(all.remove(&output.name)?)))).collect()
    }
}

impl FixedRecord {
    /// The value of an input.
    pub(super) fn of(input: &Recorded) -> Self {
        Self { ty: input.ty.to_string(), sha256: hex::encode(Sha256::digest(&input.bytes)) }
    }
}

impl RewriteRecord {
    /// Composites in the place of what exporters wrote out, by name and how often.
    fn recognised(found: &BTreeMap<String, usize>) -> Option<Self> {
        let counts: Vec<String> = found.iter().map(|(name, count)| format!("{count} {name}")).collect();
        (!counts.is_empty()).then(|| Self {
            rewrite: "recognise".to_owned(),
            reason: format!("the graph spells out {}", counts.join(", ")),
            effect: "neutral".to_owned(),
        })
    }
}

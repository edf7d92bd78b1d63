//! `--search`: forms that the compiler judged, by time and drift.

use std::collections::HashMap;

use porter_ir::{DType, Mesh};
use porter_numerics::Judge;
use porter_pipeline::{
    Chosen, Engine, Narrow, Opened, Plan, Planner, Quantize, Search, Trial, Variant,
    check::{Checker, Computed, Inputs},
    open_with,
};
use porter_rewrite::Target as Form;
use porter_weights::OpenOptions;
use serde::{Serialize, Serializer};

use super::document::{gib, name};
use crate::{
    args::{Global, PlanArgs},
    console::{Console, Tone},
    exit::Failure,
    progress::{Fetching, Working},
    table,
    verbs::compile,
};

/// A form, and what the compiler says of it. Times in seconds, sizes in bytes a device.
#[derive(Serialize)]
pub(super) struct Row {
    mesh: String,
    rules: String,
    batch: usize,
    /// The type, or the form of the weights, and of the cache where it is another.
    precision: String,
    /// `all`, `none`, or `without NAME`.
    #[serde(serialize_with = "spelled")]
    rewrites: Chosen<'static>,
    fits: bool,
    /// Of the program that runs once a token, and of the other.
    seconds: Option<Vec<f64>>,
    peak: Option<i64>,
    /// The root mean square error of the worst output, as a share of its deviation.
    drift: f64,
    /// Whether that was measured with the model's weights, or is what roundings explain at most.
    drift_measured: bool,
    /// No other is better in the objective and as good in drift.
    pareto: bool,
    #[serde(skip)]
    mesh_flag: Option<Mesh>,
    #[serde(skip)]
    narrow: Narrow,
}

/// Has the compiler judge forms of the best meshes; the best first.
pub(super) fn rows(
    args: &PlanArgs,
    meshes: usize,
    planner: &Planner<'_>,
    plan: &Plan,
    global: &Global,
    console: &Console,
) -> Result<Vec<Row>, Failure> {
    let search = Search { planner, compiler: compile::compiler(args.time_limit, global, console)?, meshes };
    let trials = search.trials(plan, &mut |text| console.note(text))?;
    let mut drifts = Drifts::new(args, planner, console)?;
    let mut rows = Vec::new();
    for trial in &trials {
        let drift = drifts.of(trial.narrow, console)?;
        rows.push((trial.cost(planner.objective), Row::new(trial, planner, drift, drifts.measures())));
    }
    let points: Vec<(f64, f64)> = rows.iter().map(|(cost, row)| (*cost, row.drift)).collect();
    let better = |a: (f64, f64), b: (f64, f64)| a.0 <= b.0 && a.1 <= b.1 && a != b;
    let mut seen: Vec<(f64, f64)> = Vec::new();
    for ((_, row), &point) in rows.iter_mut().zip(&points) {
        row.pareto = row.fits && !points.iter().any(|&other| better(other, point)) && !seen.contains(&point);
        seen.push(point);
    }
    Ok(rows.into_iter().map(|(_, row)| row).collect())
}

fn spelled<S: Serializer>(rewrites: &Chosen<'_>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(rewrites)
}

impl Row {
    fn new(trial: &Trial<'_>, planner: &Planner<'_>, drift: f64, drift_measured: bool) -> Self {
        let shard = &trial.candidate.shard;
        Self {
            mesh: name(&shard.mesh),
            rules: shard.tables.name.clone(),
            batch: trial.candidate.batch,
            precision: trial.narrow.name(planner.variant.dtype),
            rewrites: trial.rewrites,
            fits: trial.seconds().is_some(),
            seconds: trial.seconds(),
            peak: trial.peak(),
            drift,
            drift_measured,
            pareto: false,
            mesh_flag: (shard.mesh.devices() > 1).then(|| shard.mesh.clone()),
            narrow: trial.narrow,
        }
    }

    pub(super) fn fits(&self) -> bool {
        self.fits
    }

    fn cells(&self, console: &Console) -> Vec<String> {
        let time = |i: usize| {
            let seconds = self.seconds.as_ref().and_then(|seconds| seconds.get(i));
            seconds.map_or_else(|| "-".to_owned(), |seconds| format!("{:.3} ms", seconds * 1e3))
        };
        vec![
            self.mesh.clone(),
            self.rules.clone(),
            self.batch.to_string(),
            self.precision.clone(),
            self.rewrites.to_string(),
            time(0),
            time(1),
            self.peak.map_or_else(|| "-".to_owned(), |peak| gib(peak.try_into().unwrap_or(0))),
            format!("{:.1e}", self.drift),
            match (self.fits, self.pareto) {
                (true, true) => console.paint("best", Tone::Good),
                (true, false) => String::new(),
                (false, _) => console.paint("does not compile or fit", Tone::Bad),
            },
        ]
    }

    /// What `porter port` is given for this form.
    fn flags(&self) -> String {
        let mesh = self.mesh_flag.as_ref().map(|mesh| format!("--mesh {mesh} --rules {}", self.rules));
        let quantize = self.narrow.quantize.map(Quantize::name).map(|form| format!("--quantize {form}"));
        let cache = self.narrow.cache.map(|_| "--cache-dtype fp8".to_owned());
        let rewrites = match self.rewrites {
            Chosen::None => Some("--without all".to_owned()),
            Chosen::Without(name) => Some(format!("--without {name}")),
            Chosen::With(name) => Some(format!("--with {name}")),
            Chosen::All | Chosen::Only(_) => None,
        };
        let batch = Some(format!("--batch {}", self.batch));
        [batch, mesh, quantize, cache, rewrites].into_iter().flatten().collect::<Vec<_>>().join(" ")
    }
}

pub(super) fn render(rows: &[Row], console: &Console) -> String {
    let heading =
        ["MESH", "RULES", "BATCH", "PRECISION", "REWRITES", "STEP", "PREFILL", "PEAK GiB", "DRIFT", ""];
    let table = table::render(&heading, rows.iter().map(|row| row.cells(console)), &[2, 5, 6, 7, 8]);
    let how = if rows.iter().any(|row| row.drift_measured) {
        "drift: the worst output on hard inputs against the model in f64, root mean square error over the output's \
         deviation, on this machine's device"
    } else {
        "drift: what the roundings of narrowed products explain at most, over an output's deviation; --drift measures \
         it where the weights are there"
    };
    let best = rows.iter().filter(|row| row.pareto).map(|row| format!("porter port ... {}", row.flags()));
    let lines = ["times are compiler estimates, not checked on hardware".to_owned(), how.to_owned()];
    [vec![table], lines.to_vec(), best.collect()].concat().join("\n")
}

/// How far each precision is off.
enum Drifts<'a> {
    /// By what its roundings explain.
    Derived { layers: usize },
    /// As measured.
    Measured(Box<Measured<'a>>),
}

/// A model with its weights, and what it is compared with.
struct Measured<'a> {
    opened: Opened,
    engine: Engine,
    hard: Computed,
    variant: Variant<'a>,
    known: HashMap<Narrow, f64>,
}

impl<'a> Drifts<'a> {
    fn new(args: &PlanArgs, planner: &Planner<'a>, console: &Console) -> Result<Self, Failure> {
        if !args.drift {
            return Ok(Self::Derived { layers: planner.model.model.dimensions().layers });
        }
        let opened =
            open_with(&args.model, &args.ignore_config, &OpenOptions::default(), &Fetching::new(console))?;
        let mut engine = Engine::start(None, &mut |note| console.note(note))?;
        engine.target = Form::Tpu;
        let hard = Computed::new(&opened, Inputs::Hard, &Working::new(console))?;
        let (variant, known) = (planner.variant, HashMap::new());
        Ok(Self::Measured(Box::new(Measured { opened, engine, hard, variant, known })))
    }

    const fn measures(&self) -> bool {
        matches!(self, Self::Measured(_))
    }

    fn of(&mut self, narrow: Narrow, console: &Console) -> Result<f64, Failure> {
        match self {
            Self::Derived { layers } => Ok(narrow.error(*layers)),
            Self::Measured(model) => model.drift(narrow, console),
        }
    }
}

impl Measured<'_> {
    fn drift(&mut self, narrow: Narrow, console: &Console) -> Result<f64, Failure> {
        if let Some(&known) = self.known.get(&narrow) {
            return Ok(known);
        }
        let name = narrow.name(self.variant.dtype);
        console.note(&format!("measuring the drift of {name} on hard inputs"));
        let checker = Checker {
            engine: &self.engine,
            opened: &self.opened,
            variant: narrow.of(self.variant),
            reference: DType::F32,
            judge: Judge::default(),
            observer: &Working::new(console),
        };
        let findings = checker.check(self.hard.bundle())?;
        let drifts = findings.comparisons.iter().map(|m| m.comparison.rmse / m.comparison.scale);
        let worst = drifts.fold(0.0, f64::max);
        self.known.insert(narrow, worst);
        Ok(worst)
    }
}

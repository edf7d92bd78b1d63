//! On eight virtual devices a model gives the numbers that it gives on one, and the compiled programs hold
//! the collectives that the rules predict and no others.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod collectives;
mod models;

use std::{collections::BTreeMap, path::Path};

use porter_executor::{Executor, Floats, Tensor};
use porter_import::{Event, Progress};
use porter_ir::{DType, InputRole};
use porter_numerics::{Bundle, Judge, Positions, View, compare};
use porter_pipeline::{
    Chosen, Engine, Opened, PipelineError, Running, Silent, Variant, bring_up, check::Checker, lower, open,
    programs,
};
use porter_rewrite::{Shard, ShardError, Tables};
use porter_runtime::{HostTensor, States};
use porter_weights::Checkpoint;
use porter_zoo::{Phase, Taps, Task};

use collectives::{compiled, predicted};
use models::{MODELS, write};

const TINY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../ci/fixtures/tiny");

/// Rows, tokens of the prompt and slots of the cache: rows divide over eight devices.
const BATCH: usize = 8;
const TOKENS: usize = 12;
const CACHE: usize = 16;
const STEPS: usize = 2;

/// Another order of sums: both sides err from the exact value alike, neither by more than this many times
/// what one device in f32 is measured to err from the same program without rounding.
const ORDER: f64 = 4.0;

struct Quiet;

impl Progress for Quiet {
    fn event(&self, _: Event<'_>) {}
}

fn opened(path: &Path) -> Opened {
    open(path.to_str().unwrap(), &[], &Quiet).unwrap()
}

fn shard(mesh: &str) -> Shard {
    Shard { mesh: mesh.parse().unwrap(), tables: Tables::serving().unwrap() }
}

/// Weights stay split along both dimensions, and activations are summed over both axes (arXiv:2211.05102,
/// 2D weight-stationary).
fn two_dimensional(mesh: &str) -> Shard {
    Shard { mesh: mesh.parse().unwrap(), tables: Tables::two_dimensional().unwrap() }
}

/// The model as the zoo writes it.
fn plain() -> Variant<'static> {
    Variant { rewrites: Chosen::None, ..Variant::new(DType::F32) }
}

fn phases(opened: &Opened) -> Vec<Phase> {
    match opened.model.task() {
        Task::Generate => vec![
            Phase::Prefill { batch: BATCH, tokens: TOKENS, cache: CACHE },
            Phase::Decode { batch: BATCH, cache: CACHE },
        ],
        Task::Encode => vec![Phase::Forward { batch: BATCH, tokens: TOKENS, taps: Taps::None }],
    }
}

fn ids(opened: &Opened, tokens: usize, seed: usize) -> HostTensor {
    let vocab = opened.model.dimensions().vocab_size;
    let ids: Vec<i32> = (0..BATCH * tokens).map(|i| ((i + seed) * 7919 % vocab) as i32).collect();
    HostTensor::from_slice([BATCH, tokens], &ids).unwrap()
}

/// The arguments of the first program. Rows are padded by different amounts.
fn arguments(opened: &Opened) -> Vec<(&'static str, HostTensor)> {
    let padding: Vec<i32> = (0..BATCH as i32).map(|row| row % 3).collect();
    match opened.model.task() {
        Task::Generate => vec![
            ("input_ids", ids(opened, TOKENS, 1)),
            ("padding", HostTensor::from_slice([BATCH], &padding).unwrap()),
        ],
        Task::Encode => {
            let mask: Vec<i32> =
                (0..BATCH * TOKENS).map(|i| i32::from(i % TOKENS < TOKENS - i / TOKENS % 3)).collect();
            vec![
                ("input_ids", ids(opened, TOKENS, 1)),
                ("attention_mask", HostTensor::from_slice([BATCH, TOKENS], &mask).unwrap()),
                ("token_type_ids", HostTensor::zeros(ids(opened, TOKENS, 0).ty().clone()).unwrap()),
            ]
        }
    }
}

/// Everything that the model gives: of the prompt, and of two tokens after it through the cache.
fn outputs(engine: &Engine, opened: &Opened) -> (Running, BTreeMap<String, HostTensor>) {
    let running = bring_up(engine, opened, &phases(opened), &plain(), &Silent).unwrap();
    let steps = &running.resident.steps;
    let mut states = States::zeros(&engine.devices, &running.programs[0].entry()).unwrap();
    let mut outputs = BTreeMap::new();
    let mut add = |step: usize, results: BTreeMap<String, HostTensor>| {
        outputs.extend(results.into_iter().map(|(name, tensor)| (format!("{name}.{step}"), tensor)));
    };
    let first = arguments(opened);
    add(0, steps[0].run(&first, &mut states).unwrap());
    for step in 0..steps.get(1).map_or(0, |_| STEPS) {
        let offset = HostTensor::scalar((TOKENS + step) as i32);
        let given = [("input_ids", ids(opened, 1, step)), first[1].clone(), ("offset", offset)];
        add(step + 1, steps[1].run(&given, &mut states).unwrap());
    }
    (running, outputs)
}

fn view(tensor: &HostTensor) -> View<'_> {
    View::new(tensor.ty().dtype, tensor.ty().shape.clone(), tensor.bytes()).unwrap()
}

/// How far one device in f32 is from the same program without rounding, by output of the first program.
fn rounding(opened: &Opened, one: &BTreeMap<String, HostTensor>) -> f64 {
    let program = programs(opened, &phases(opened)[..1], &plain(), porter_rewrite::Target::Cpu).unwrap();
    let given = arguments(opened);
    let exact = Executor::new(Floats::Double)
        .run(&program[0], |input, ty| {
            let argument = given.iter().find(|(name, _)| *name == input.name);
            let bytes = match (input.role, argument) {
                (InputRole::Weight, _) => weight(opened, &*opened.checkpoint, &input.name),
                (_, Some((_, tensor))) => {
                    return Ok::<_, PipelineError>(Tensor::new(ty.clone(), tensor.bytes().to_vec()).unwrap());
                }
                _ => vec![0; ty.shape.elements() * 8],
            };
            let ty = porter_ir::TensorType::new(DType::F64, ty.shape.clone());
            Ok(Tensor::new(ty, bytes).unwrap())
        })
        .unwrap();
    let off = |(name, exact): (&String, &Tensor)| {
        let exact = View::new(exact.ty().dtype, exact.ty().shape.clone(), exact.bytes()).unwrap();
        one.get(&format!("{name}.0"))
            .map(|ours| compare(name, &view(ours), &exact, &Positions::All).unwrap().max_abs)
    };
    exact.iter().filter_map(off).fold(0.0, f64::max)
}

fn weight(opened: &Opened, checkpoint: &dyn Checkpoint, name: &str) -> Vec<u8> {
    let (_, shape, expr) = opened.weight_map.resolve(name).unwrap();
    let mut bytes = vec![0; shape.elements() * 8];
    expr.evaluate(checkpoint, DType::F64, &mut bytes).unwrap();
    bytes
}

/// Runs every model over `meshes`, and says what differs from one device or from the prediction.
fn differences(models: &[&str], shards: &[Shard]) -> Vec<String> {
    let mut problems = Vec::new();
    for (name, config) in MODELS().into_iter().filter(|(name, _)| models.contains(name)) {
        let folder = tempfile::tempdir().unwrap();
        write(&config, folder.path());
        let opened = opened(folder.path());
        let (_, one) = outputs(&Engine::start(None, &mut |_| {}).unwrap(), &opened);
        let rounding = rounding(&opened, &one);
        assert!(rounding > 0.0);
        for shard in shards {
            let mesh = &shard.mesh;
            let engine = Engine::start_over(None, Some(shard.clone()), &mut |_| {}).unwrap();
            let (running, many) = outputs(&engine, &opened);
            for (output, reference) in &one {
                let found = compare(output, &view(&many[output]), &view(reference), &Positions::All).unwrap();
                if !found.comparable() || found.max_abs > ORDER * rounding {
                    problems.push(format!(
                        "{name} over {mesh}: {output} is off by {:.2e}, rounding is {rounding:.2e}",
                        found.max_abs
                    ));
                }
            }
            let plain = lower(
                &opened,
                programs(&opened, &phases(&opened), &plain(), engine.target).unwrap(),
                &plain(),
                engine.target,
            );
            let expected = shard.collectives(&plain.unwrap().port).unwrap();
            for ((program, step), expected) in
                running.programs.iter().zip(&running.resident.steps).zip(&expected)
            {
                let (found, expected) = (compiled(step), predicted(expected));
                if found != expected {
                    problems.push(format!(
                        "{name} over {mesh}: {} has {found:?}, expected {expected:?}",
                        program.name()
                    ));
                }
            }
        }
    }
    problems
}

fn check(models: &[&str], meshes: &[&str]) {
    let shards: Vec<Shard> = meshes.iter().map(|mesh| shard(mesh)).collect();
    let problems = differences(models, &shards);
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

const DECODERS: [&str; 3] = ["llama", "qwen3", "mistral"];

#[test]
fn tensor_parallel_decoders() {
    check(&DECODERS, &["tensor=2", "tensor=4"]);
}

#[test]
fn data_parallel_decoders() {
    check(&DECODERS, &["data=2", "data=4"]);
}

#[test]
fn fully_sharded_decoders() {
    check(&DECODERS, &["fsdp=2", "fsdp=8"]);
}

#[test]
fn mixed_meshes_of_decoders() {
    check(&DECODERS, &["data=2,tensor=2", "data=2,tensor=4", "data=2,fsdp=2,tensor=2"]);
}

#[test]
fn weights_split_along_both_dimensions() {
    let shards = ["fsdp=2,tensor=2", "data=2,fsdp=2,tensor=2", "fsdp=4"].map(two_dimensional);
    let problems = differences(&DECODERS, &shards);
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

/// One row does not divide over two devices: the cache lies whole along them, and nothing is gathered.
#[test]
fn a_row_alone_lies_whole_along_the_second_dimension() {
    let tables = Tables::two_dimensional().unwrap();
    let mesh: porter_ir::Mesh = "fsdp=2,tensor=2".parse().unwrap();
    let gathers = |rows: usize| {
        let folder = tempfile::tempdir().unwrap();
        write(&MODELS().into_iter().find(|(name, _)| *name == "llama").unwrap().1, folder.path());
        let opened = opened(folder.path());
        let decode = Phase::Decode { batch: rows, cache: 16 };
        let programs = programs(&opened, &[decode], &plain(), porter_rewrite::Target::Plain).unwrap();
        let port = porter_rewrite::Port::new(programs, opened.weight_map.clone());
        let shard = Shard { mesh: mesh.clone(), tables: tables.clone() };
        let asked = shard.collectives(&port).unwrap().remove(0);
        asked.iter().filter(|one| one.kind == "all-gather").map(|one| one.count).sum::<usize>()
    };
    assert_eq!([gathers(1), gathers(2)], [0, 2]);
}

/// Eight rows of 12 tokens and their logits are fewer bytes than a table of 320 ids; 64 rows of 48 are not.
#[test]
fn few_rows_come_to_a_vocabulary_and_many_do_not() {
    let folder = tempfile::tempdir().unwrap();
    write(&MODELS().into_iter().find(|(name, _)| *name == "llama").unwrap().1, folder.path());
    let opened = opened(folder.path());
    let asked = |batch: usize, tokens: usize| {
        let prefill = Phase::Prefill { batch, tokens, cache: tokens };
        let programs = programs(&opened, &[prefill], &plain(), porter_rewrite::Target::Plain).unwrap();
        let port = porter_rewrite::Port::new(programs, opened.weight_map.clone());
        predicted(&shard("fsdp=8").collectives(&port).unwrap().remove(0))
    };
    let of_layers = 7 * opened.model.dimensions().layers;
    let count = |kind: &str, count: usize| (kind.to_owned(), count);
    let few = [count("all-gather", of_layers + 1), count("all-to-all", 2), count("all-reduce", 1)];
    assert_eq!(asked(8, 12), few.into());
    assert_eq!(asked(64, 48), [count("all-gather", of_layers + 2)].into());
}

#[test]
fn experts_over_devices_of_their_own_and_as_tensors() {
    check(&["qwen3_moe"], &["tensor=2", "expert=4", "expert=2,tensor=2"]);
    // XLA's CPU backend gathers the rows of a top-k, one a layer; the TPU's does not (docs/sharding.md).
    let problems = differences(&["qwen3_moe"], &[shard("data=2,expert=2")]);
    let gathers = r#"has {"all-gather": 2, "all-reduce": 5}, expected {"all-reduce": 5}"#;
    let all_are = problems.len() == 2 && problems.iter().all(|problem| problem.ends_with(gathers));
    assert!(all_are, "{}", problems.join("\n"));
}

#[test]
fn encoders() {
    check(&["bert"], &["tensor=2", "tensor=4", "data=4", "fsdp=8", "data=2,fsdp=2,tensor=2"]);
}

/// Two all-reduces a layer and one for the embedding, nothing else (Megatron-LM, arXiv:1909.08053).
#[test]
fn tensor_parallelism_asks_for_two_sums_a_layer() {
    let folder = tempfile::tempdir().unwrap();
    let config = MODELS().into_iter().find(|(name, _)| *name == "llama").unwrap().1;
    write(&config, folder.path());
    let opened = opened(folder.path());
    let plain_port = lower(
        &opened,
        programs(&opened, &phases(&opened), &plain(), porter_rewrite::Target::Cpu).unwrap(),
        &plain(),
        porter_rewrite::Target::Cpu,
    );
    let expected = shard("tensor=4").collectives(&plain_port.unwrap().port).unwrap();
    let layers = opened.model.dimensions().layers;
    for program in &expected {
        assert_eq!(predicted(program), [("all-reduce".to_owned(), 2 * layers + 1)].into());
    }
}

/// What transformers recorded of the tiny models, against two devices.
#[test]
fn recorded_references_hold_over_two_devices() {
    let text = "[axes]\nvocab = []\nactivation_vocab = []";
    let tables = Tables::of_user("whole vocabulary", text).unwrap();
    let shard = Shard { mesh: "tensor=2".parse().unwrap(), tables };
    let engine = Engine::start_over(None, Some(shard), &mut |_| {}).unwrap();
    for name in ["llama", "qwen3", "mistral", "bert"] {
        let path = Path::new(TINY).join(name);
        let opened = opened(&path);
        let checker = Checker {
            engine: &engine,
            opened: &opened,
            variant: Variant::new(DType::F32),
            reference: DType::F32,
            judge: Judge::default(),
            observer: &Silent,
        };
        let findings = checker.check(&Bundle::open(&path).unwrap()).unwrap();
        let failed: Vec<&str> =
            findings.comparisons.iter().filter(|m| !m.pass).map(|m| m.comparison.name.as_str()).collect();
        assert!(failed.is_empty() && findings.problems.is_empty(), "{name}: {failed:?}");
        assert!(!findings.comparisons.is_empty() && findings.tokens.iter().all(|t| t.pass), "{name}");
    }
}

#[test]
fn what_does_not_divide_is_refused_with_its_sizes() {
    let opened = opened(&Path::new(TINY).join("llama"));
    let engine = Engine::start_over(None, Some(shard("data=2,tensor=4")), &mut |_| {}).unwrap();
    let phases = [Phase::Decode { batch: 1, cache: CACHE }];
    let Err(PipelineError::Shard(error)) = bring_up(&engine, &opened, &phases, &plain(), &Silent) else {
        panic!("a mesh that does not fit was taken")
    };
    let text = error.to_string();
    for part in [
        "vocab: 997 do not divide over tensor=4",
        "kv_heads: 2 do not divide over tensor=4",
        "heads: 6 do not divide over tensor=4",
        "activation_batch: 1 do not divide over data=2",
        "model.layers.0.self_attn.k_proj.weight",
        "pad it to 1000",
        "run 2 rows",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
}

#[test]
fn a_mesh_axis_that_splits_nothing_is_refused() {
    let opened = opened(&Path::new(TINY).join("llama"));
    let given =
        programs(&opened, &[Phase::Decode { batch: 2, cache: CACHE }], &plain(), porter_rewrite::Target::Cpu);
    let port = lower(&opened, given.unwrap(), &plain(), porter_rewrite::Target::Cpu).unwrap().port;
    let ShardError { problems, .. } = shard("stage=2").patch(&port).err().unwrap();
    assert!(problems[0].to_string().starts_with("the mesh axis stage=2 splits nothing in decode_2_16"));
}

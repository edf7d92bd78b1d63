//! Damaged models: whatever is changed in one, importing it, recognising what is in it and printing it end in a program
//! or in an error, without a panic and without much memory.
//!
//! The models are the committed ones, and all below `PORTER_ONNX_MODELS` where that is set; each is changed in so many
//! ways as `PORTER_ONNX_MUTATIONS` says. What is drawn depends on the model's name only, so that a finding comes again.
//! A test binary of its own, because it counts every allocation of the process.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Mutex,
};

use onnx_protobuf::{AttributeProto, Message, ModelProto, NodeProto, TensorProto};
use peak_alloc::PeakAlloc;
use porter_onnx::{Model, Options, import, operators, recognise, weight};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// What an import may take beside thirty-two times its file: a few tensors of 2²⁰ elements, which are computed at
/// import, at sixteen bytes each.
const FREE: usize = 96 << 20;
/// Ways in which each model is changed.
const MUTATIONS: usize = 60;

/// Numbers that come out the same each time.
struct Random(u64);

impl Random {
    fn new(name: &str, round: usize) -> Self {
        let seed = name
            .bytes()
            .fold(0x9e37_79b9_7f4a_7c15_u64, |s, b| (s ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
        Self(seed ^ (round as u64 + 1).wrapping_mul(0x2545_f491_4f6c_dd1d))
    }

    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % limit.max(1)
    }

    fn pick<'a, T>(&mut self, list: &'a [T]) -> Option<&'a T> {
        list.get(self.below(list.len()))
    }

    fn of<'a, T>(&mut self, list: &'a mut [T]) -> Option<&'a mut T> {
        let at = self.below(list.len());
        list.get_mut(at)
    }

    /// A number that breaks things.
    fn number(&mut self) -> i64 {
        const NUMBERS: [i64; 16] = [
            0,
            1,
            -1,
            2,
            -2,
            3,
            5,
            7,
            64,
            1 << 16,
            1 << 31,
            -(1 << 31),
            1 << 40,
            i64::MAX,
            i64::MIN,
            i64::MAX / 2,
        ];
        NUMBERS[self.below(NUMBERS.len())]
    }
}

/// One change of a decoded model.
fn change(model: &mut ModelProto, random: &mut Random) {
    let Some(graph) = &mut model.graph else { return };
    match random.below(9) {
        0 => change_attribute(random.of(&mut graph.node), random),
        1 => {
            // Another operator.
            let all = operators();
            if let (Some(node), Some(&(domain, name))) = (random.of(&mut graph.node), random.pick(&all)) {
                (node.domain, node.op_type) = (Some(domain.to_owned()), Some(name.to_owned()));
            }
        }
        2 => {
            // Other inputs.
            let names: Vec<String> =
                graph.node.iter().flat_map(|n| n.output.iter().chain(&n.input).cloned()).collect();
            if let (Some(node), Some(name)) = (random.of(&mut graph.node), random.pick(&names)) {
                match random.of(&mut node.input) {
                    Some(input) if !random.0.is_multiple_of(3) => input.clone_from(name),
                    _ => node.input.push(name.clone()),
                }
            }
        }
        3 => {
            if let Some(node) = random.of(&mut graph.node) {
                let keep = random.below(node.input.len() + 1);
                node.input.truncate(keep);
            }
        }
        4 => change_tensor(random.of(&mut graph.initializer), random),
        5 => {
            // The shape or the element type of an input.
            let ty = random
                .of(&mut graph.input)
                .and_then(|i| i.r#type.as_mut())
                .and_then(|t| t.tensor_type.as_mut());
            if let Some(ty) = ty {
                let dim = ty.shape.as_mut().and_then(|s| random.of(&mut s.dim));
                match dim {
                    Some(dim) if !random.0.is_multiple_of(4) => dim.dim_value = Some(random.number()),
                    _ => ty.elem_type = Some(random.below(28) as i32),
                }
            }
        }
        6 => {
            let at = random.below(graph.node.len() + 1);
            if let Some(node) = random.pick(&graph.node).cloned() {
                graph.node.insert(at, node);
            }
        }
        7 => {
            if let Some(opset) = random.of(&mut model.opset_import) {
                opset.version = Some(random.below(30) as i64);
            }
        }
        _ => {
            let name = ["axis", "axes", "perm", "to", "mode", "group", "num_heads"][random.below(7)];
            let number = random.number();
            let attribute = AttributeProto {
                name: Some(name.to_owned()),
                i: Some(number),
                ints: vec![number, random.number()],
                ..AttributeProto::default()
            };
            if let Some(node) = random.of(&mut graph.node) {
                node.attribute.retain(|a| a.name() != name);
                node.attribute.push(attribute);
            }
        }
    }
}

fn change_attribute(node: Option<&mut NodeProto>, random: &mut Random) {
    let Some(attribute) = node.and_then(|node| random.of(&mut node.attribute)) else { return };
    if let Some(tensor) = &mut attribute.t {
        return change_tensor(Some(tensor), random);
    }
    match random.of(&mut attribute.ints) {
        Some(number) => *number = random.number(),
        None if attribute.f.is_some() => attribute.f = Some(f32::from_bits(random.0 as u32)),
        None => attribute.i = Some(random.number()),
    }
}

fn change_tensor(tensor: Option<&mut TensorProto>, random: &mut Random) {
    let Some(tensor) = tensor else { return };
    match random.below(4) {
        0 => tensor.data_type = Some(random.below(28) as i32),
        1 => match random.of(&mut tensor.dims) {
            Some(dim) => *dim = random.number(),
            None => tensor.dims.push(random.number()),
        },
        2 => {
            if let Some(number) = random.of(&mut tensor.int64_data) {
                *number = random.number();
            }
        }
        _ => {
            // A number of eight bytes among the packed ones.
            if let Some(raw) = &tensor.raw_data {
                let mut bytes = raw.to_vec();
                let words = bytes.len() / 8;
                let at = random.below(words) * 8;
                if let Some(word) = bytes.get_mut(at..at + 8) {
                    word.copy_from_slice(&random.number().to_le_bytes());
                }
                tensor.raw_data = Some(bytes.into());
            }
        }
    }
}

/// Damages bytes.
fn damage(bytes: &mut Vec<u8>, random: &mut Random) {
    let at = random.below(bytes.len());
    match random.below(4) {
        0 => bytes.truncate(at),
        1 => {
            bytes.drain(at..(at + 1 + random.below(16)).min(bytes.len()));
        }
        2 => {
            let again = bytes[at..(at + 16).min(bytes.len())].to_vec();
            bytes.splice(at..at, again);
        }
        _ => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = random.below(256) as u8;
            }
        }
    }
}

/// Imports a model as far as it goes; the most bytes that took.
fn peak(bytes: &[u8]) -> usize {
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    if let Ok(model) = Model::decode(bytes.to_vec().into(), Path::new("m.onnx"))
        && let Ok(program) = import(&model, &Options::default())
    {
        assert_eq!(program.verify(), []);
        let (lifted, _) = recognise(&program, &|name| weight(&model, name)).unwrap();
        assert_eq!(lifted.verify(), []);
        let _ = lifted.to_string();
    }
    MEMORY.peak_usage().saturating_sub(before)
}

fn models(folder: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            models(&path, found);
        } else if path.extension().is_some_and(|e| e == "onnx") {
            found.push(path);
        }
    }
}

/// What panicked, and where.
static PANICS: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

#[test]
fn damaged_models_end_in_a_program_or_an_error() {
    let ci = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../ci");
    let mut files = Vec::new();
    models(&ci.join("onnx/contrib/fixtures"), &mut files);
    models(&ci.join("fixtures/bad"), &mut files);
    files.push(ci.join("onnx/transformers/fixtures/bert.script.onnx"));
    files.push(ci.join("onnx/transformers/fixtures/llama.dynamo.onnx"));
    if let Some(more) = std::env::var_os("PORTER_ONNX_MODELS") {
        models(Path::new(&more), &mut files);
    }
    let mutations = std::env::var("PORTER_ONNX_MUTATIONS").map_or(MUTATIONS, |n| n.parse().unwrap());

    std::panic::set_hook(Box::new(|info| {
        let what: Vec<String> = info.to_string().lines().take(2).map(str::to_owned).collect();
        let trace = std::backtrace::Backtrace::force_capture().to_string();
        let at = trace.lines().find(|line| line.contains("./src/")).unwrap_or_default().trim();
        PANICS.lock().unwrap().insert(format!("{} {at}", what.join(" ")));
    }));
    let mut wrong = BTreeSet::new();
    for file in files {
        let name: PathBuf = file.components().rev().take(2).collect();
        let name = name.display().to_string();
        let good = std::fs::read(&file).unwrap();
        for round in 0..mutations {
            let mut random = Random::new(&name, round);
            let mut bytes = good.clone();
            match ModelProto::decode(&good[..]) {
                Ok(mut model) if round % 4 > 0 => {
                    (0..=random.below(3)).for_each(|_| change(&mut model, &mut random));
                    bytes = model.encode_to_vec();
                }
                _ => (0..=random.below(3)).for_each(|_| damage(&mut bytes, &mut random)),
            }
            let taken = std::panic::catch_unwind(|| peak(&bytes));
            match taken {
                Ok(taken) if taken <= FREE + 32 * bytes.len() => {}
                Ok(taken) => drop(wrong.insert(format!("{name}, {round}: took {} MiB", taken >> 20))),
                Err(_) => drop(wrong.insert(format!("{name}, {round}: panics"))),
            }
        }
    }
    drop(std::panic::take_hook());
    let panics = PANICS.lock().unwrap();
    assert!(wrong.is_empty() && panics.is_empty(), "{wrong:#?}\n{panics:#?}");
}

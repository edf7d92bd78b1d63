//! Which tensors of a bundle belong together.

use std::collections::{BTreeMap, BTreeSet};

use porter_ir::DType;
use porter_weights::{Encoding, TensorInfo};

use super::{INPUTS, REFERENCE};
use crate::BundleProblem;

type Tensors = BTreeMap<String, TensorInfo>;

/// An argument that every language model has: a case is named by what stands before it.
const IDS: &str = "input_ids";
/// The case of a padded batch, which needs no input ids to be one.
pub(super) const PADDED: &str = "padded";
/// Outputs that are numbered by layer, not by case.
const LAYERS: &str = "hidden_states";
/// The suffix of an output's twin in double precision.
const TWIN: &str = "_f64";
/// Token ids that follow the prompt, the logits before each, and whether the model chose them.
const CONTINUATIONS: [(&str, &str, bool); 2] =
    [("generated", "generated_logits", true), ("forced", "forced_logits", false)];

/// One case: its inputs, outputs and greedy tokens by the names of their tensors.
#[derive(Debug, Default)]
pub(super) struct Layout {
    pub(super) name: String,
    /// Tensor by argument.
    pub(super) inputs: BTreeMap<String, String>,
    /// In natural order: `hidden_states.2` before `hidden_states.10`.
    pub(super) outputs: Vec<Output>,
    pub(super) continuation: Option<Continuation>,
}

/// What follows a prompt, by the names of its tensors.
#[derive(Clone, Debug)]
pub(super) struct Continuation {
    pub(super) tokens: String,
    pub(super) logits: Option<String>,
    pub(super) greedy: bool,
}

/// One recorded output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// The model's name for it: `logits`, `hidden_states.3`, `model.layers.3.mlp`.
    pub name: String,
    /// The tensor in `reference.safetensors`: `padded.logits`, `logits.0`.
    pub tensor: String,
    /// The tensor that holds it in double precision, if recorded.
    pub twin: Option<String>,
}

impl Output {
    /// True for what lies inside the model: a layer's hidden state, a module's output. A case's number
    /// is no part of the name.
    pub(super) fn inner(&self) -> bool {
        self.name.contains('.')
    }
}

/// Groups a bundle's tensors into cases and checks them, adding everything wrong to `problems`.
pub(super) fn cases(inputs: &Tensors, reference: &Tensors, problems: &mut Vec<BundleProblem>) -> Vec<Layout> {
    for (file, tensors) in [(INPUTS, inputs), (REFERENCE, reference)] {
        check_tensors(file, tensors, problems);
    }
    let naming = Naming::of(inputs);
    let mut cases: BTreeMap<Key, Layout> = BTreeMap::new();
    for tensor in inputs.keys() {
        let (key, argument) = naming.split(tensor);
        cases.entry(key).or_default().inputs.insert(argument.to_owned(), tensor.clone());
    }
    for (key, outputs) in by_case(&naming, reference) {
        match cases.get_mut(&key) {
            Some(case) => add_outputs(case, &outputs),
            None => problems.extend(outputs.into_values().map(|tensor| no_inputs(tensor, key.example()))),
        }
    }
    for (key, case) in &mut cases {
        case.name = key.name();
        check_case(case, inputs, reference, problems);
    }
    cases.into_values().collect()
}

/// A case, in the order of cases.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Plain,
    Numbered(u64),
    Named(String),
}

impl Key {
    fn name(&self) -> String {
        match self {
            Key::Plain => String::new(),
            Key::Numbered(n) => n.to_string(),
            Key::Named(name) => name.clone(),
        }
    }

    fn example(&self) -> String {
        match self {
            Key::Plain => IDS.to_owned(),
            Key::Numbered(n) => format!("{IDS}.{n}"),
            Key::Named(name) => format!("{name}.{IDS}"),
        }
    }
}

/// How a bundle names its cases.
struct Naming {
    /// The first number, where inputs are numbered.
    first: Option<u64>,
    /// The names of cases that have one: `padded` always, and what stands before `input_ids`.
    names: BTreeSet<String>,
}

impl Naming {
    fn of(inputs: &Tensors) -> Self {
        let before_ids = |name: &String| Some(name.strip_suffix(IDS)?.strip_suffix('.')?.to_owned());
        Self {
            first: inputs.keys().filter_map(|name| numbered(name)).map(|(_, n)| n).min(),
            names: inputs.keys().filter_map(before_ids).chain([PADDED.to_owned()]).collect(),
        }
    }

    fn split<'a>(&self, tensor: &'a str) -> (Key, &'a str) {
        if let Some((name, rest)) = tensor.split_once('.')
            && self.names.contains(name)
        {
            return (Key::Named(name.to_owned()), rest);
        }
        match (self.first, numbered(tensor)) {
            (Some(_), Some((stem, n))) => (Key::Numbered(n), stem),
            (Some(first), None) => (Key::Numbered(first), tensor),
            (None, _) => (Key::Plain, tensor),
        }
    }
}

/// `logits.3` as `("logits", 3)`. Layers and module paths are not numbered by case.
fn numbered(tensor: &str) -> Option<(&str, u64)> {
    let (stem, number) = tensor.split_once('.')?;
    (stem != LAYERS).then_some((stem, number.parse().ok()?))
}

/// Tensor by output, by case.
fn by_case(naming: &Naming, reference: &Tensors) -> BTreeMap<Key, BTreeMap<String, String>> {
    let mut cases: BTreeMap<Key, BTreeMap<String, String>> = BTreeMap::new();
    for tensor in reference.keys() {
        let (key, name) = naming.split(tensor);
        cases.entry(key).or_default().insert(name.to_owned(), tensor.clone());
    }
    cases
}

fn add_outputs(case: &mut Layout, outputs: &BTreeMap<String, String>) {
    case.continuation = CONTINUATIONS.iter().find_map(|&(tokens, logits, greedy)| {
        let tokens = outputs.get(tokens)?.clone();
        Some(Continuation { tokens, logits: outputs.get(logits).cloned(), greedy })
    });
    let is_twin = |name: &str| name.strip_suffix(TWIN).is_some_and(|single| outputs.contains_key(single));
    for (name, tensor) in outputs {
        if !is_continuation(name) && !is_twin(name) {
            let twin = outputs.get(&format!("{name}{TWIN}")).cloned();
            case.outputs.push(Output { name: name.clone(), tensor: tensor.clone(), twin });
        }
    }
    case.outputs.sort_by(|a, b| natural(&a.name).cmp(&natural(&b.name)));
}

fn is_continuation(name: &str) -> bool {
    CONTINUATIONS.iter().any(|&(tokens, logits, _)| name == tokens || name == logits)
}

/// Dotted parts, numbers as numbers.
fn natural(name: &str) -> Vec<(Option<u64>, &str)> {
    name.split('.').map(|part| (part.parse().ok(), part)).collect()
}

/// Checks what one file's tensors are by themselves.
pub(super) fn check_tensors(file: &'static str, tensors: &Tensors, problems: &mut Vec<BundleProblem>) {
    if tensors.is_empty() {
        problems.push(BundleProblem::NoTensors { file });
    }
    for (tensor, info) in tensors {
        let readable = match &info.encoding {
            Encoding::Plain(dtype) => {
                dtype.bits() > 8 || matches!(dtype, DType::Bool | DType::I8 | DType::U8)
            }
            _ => false,
        };
        if !readable {
            problems.push(BundleProblem::Tensor {
                file,
                tensor: tensor.clone(),
                found: format!("elements of {}", info.encoding),
                expected: "floats of 16 bits or more, integers of 8 bits or more, or bool".to_owned(),
            });
        }
    }
}

fn check_case(case: &Layout, inputs: &Tensors, reference: &Tensors, problems: &mut Vec<BundleProblem>) {
    let ids = case.inputs.get("input_ids").and_then(|t| inputs.get(t).map(|info| (t, info)));
    if let Some((tensor, info)) = ids {
        check(
            INPUTS,
            tensor,
            info,
            "i64 or i32 [batch, position]",
            is_ids(info) && info.shape.rank() == 2,
            problems,
        );
    }
    let mask = case.inputs.get("attention_mask").and_then(|t| inputs.get(t).map(|info| (t, info)));
    if let Some((tensor, mask)) = mask {
        let shape = ids.map(|(_, info)| &info.shape);
        let expected = shape
            .map_or_else(|| "i64 or i32".to_owned(), |shape| format!("i64 or i32 {shape}, as the input ids"));
        let fits = is_ids(mask) && shape.is_none_or(|shape| *shape == mask.shape);
        check(INPUTS, tensor, mask, &expected, fits, problems);
    }
    let of = |tensor: &Option<String>| {
        tensor.as_ref().and_then(|t| reference.get(t).map(|info| (t.clone(), info)))
    };
    if let Some(Continuation { tokens, logits, .. }) = &case.continuation
        && let Some((tensor, tokens)) = of(&Some(tokens.clone()))
    {
        let is_row = matches!(*tokens.shape, [1, _]);
        check(REFERENCE, &tensor, tokens, "token ids, i64 or i32 [1, n]", is_ids(tokens) && is_row, problems);
        if ids.is_none() {
            problems.push(no_inputs(tensor, "input_ids".to_owned()));
        }
        if let Some((tensor, logits)) = of(logits) {
            let steps = tokens.shape.last().copied().unwrap_or(0);
            let fits = matches!(*logits.shape, [n, _] if n == steps);
            let expected = format!("[{steps}, vocabulary], a row for each token");
            check(REFERENCE, &tensor, logits, &expected, fits, problems);
        }
    }
    // Where nothing was recorded at all, that is said once.
    if case.outputs.is_empty() && case.continuation.is_none() && !reference.is_empty() {
        let tensor = case.inputs.values().next().cloned().unwrap_or_default();
        let expected = if case.name.is_empty() { "logits".to_owned() } else { example_output(&case.name) };
        problems.push(BundleProblem::NoOutputs { tensor, expected });
    }
    for output in &case.outputs {
        let (Some((tensor, twin)), Some(single)) = (of(&output.twin), reference.get(&output.tensor)) else {
            continue;
        };
        let is_float = single.encoding.dtype().is_some_and(DType::is_float);
        let encoding = if is_float { &Encoding::Plain(DType::F64) } else { &single.encoding };
        let expected = format!("{} in {encoding}, as {:?}", single.shape, output.tensor);
        let fits = twin.shape == single.shape && twin.encoding == *encoding;
        check(REFERENCE, &tensor, twin, &expected, fits, problems);
    }
}

/// An output's name in a case that has one: cases are numbered at the end, and named at the start.
fn example_output(case: &str) -> String {
    if case.parse::<u64>().is_ok() { format!("logits.{case}") } else { format!("{case}.logits") }
}

fn no_inputs(tensor: String, expected: String) -> BundleProblem {
    BundleProblem::NoInputs { tensor, expected }
}

fn is_ids(info: &TensorInfo) -> bool {
    matches!(info.encoding, Encoding::Plain(DType::I64 | DType::I32))
}

fn check(
    file: &'static str,
    tensor: &str,
    info: &TensorInfo,
    expected: &str,
    holds: bool,
    problems: &mut Vec<BundleProblem>,
) {
    if !holds {
        let (tensor, expected) = (tensor.to_owned(), expected.to_owned());
        problems.push(BundleProblem::Tensor {
            file,
            tensor,
            found: format!("{}{}", info.encoding, info.shape),
            expected,
        });
    }
}

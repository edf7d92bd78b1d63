//! Finding the tensors in what a pickle builds, and naming them by their path.
//!
//! Keys of dicts and places in lists, joined by dots: `model.layers.0.weight`. A tensor that is the
//! whole file is called `tensor`.

use super::{
    fault::Fault,
    globals::{Meaning, meaning},
    numpy::{self, Buffers},
    pickle::{Id, Object, Pickle, Value},
    rebuild::{Tensor, bare_storage, rebuild},
};
use crate::{
    Metadata, Value as Plain,
    error::{Problem, Problems},
};

/// Deeper nesting is refused. Real checkpoints have some ten levels.
const MAX_DEPTH: usize = 100;
/// No tensor's name is longer.
const MAX_PATH: usize = 1 << 12;
/// Plain values that are kept as metadata, and the length of a text.
const MAX_PLAIN: usize = 4096;

/// A tensor and its path.
#[derive(Debug)]
pub(super) struct Found<'a> {
    pub(super) name: String,
    /// Where each part of the path ends in the name.
    pub(super) ends: Vec<usize>,
    pub(super) tensor: Tensor<'a>,
}

/// Everything found in a pickle.
#[derive(Debug, Default)]
pub(super) struct Findings<'a> {
    pub(super) tensors: Vec<Found<'a>>,
    /// Numbers and texts, by path.
    pub(super) plain: Metadata,
    pub(super) problems: Problems,
    /// Objects of unknown classes, by path: `config: my.module.Class`.
    pub(super) opaque: Vec<String>,
}

/// What is understood besides tensors and plain containers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Understood {
    /// Objects of unknown classes are looked into.
    pub(super) lenient: bool,
    /// TorchScript's modules are containers.
    pub(super) torch_script: bool,
}

/// Walks through everything that the pickle's root holds.
pub(super) fn walk<'a>(pickle: &Pickle<'a>, understood: Understood) -> Result<Findings<'a>, Fault> {
    // Shared values are walked once a path, so a small pickle may have very many paths.
    let steps = pickle.ids().count() * 8 + 1024;
    let room = pickle.length * 16 + (1 << 16);
    let mut walk = Walk {
        pickle,
        understood,
        findings: Findings::default(),
        buffers: Buffers::new(),
        path: String::new(),
        ends: Vec::new(),
        open: Vec::new(),
        steps,
        room,
        plain: 0,
    };
    walk.value(pickle.root())?;
    Ok(walk.findings)
}

struct Walk<'p, 'a> {
    pickle: &'p Pickle<'a>,
    understood: Understood,
    findings: Findings<'a>,
    buffers: Buffers,
    path: String,
    ends: Vec<usize>,
    /// The values around the one that is looked at.
    open: Vec<Id>,
    /// Values that may still be visited.
    steps: usize,
    /// Bytes that what is found may still take. Names and tensors may be shared too.
    room: usize,
    plain: usize,
}

type Step = Result<(), Fault>;

impl<'a> Walk<'_, 'a> {
    fn value(&mut self, id: Id) -> Step {
        self.look_at(1)?;
        if self.open.len() > MAX_DEPTH {
            return Err(Fault::Corrupt(format!("the pickle nests its values more than {MAX_DEPTH} deep")));
        }
        // A value inside of itself holds nothing new.
        if self.open.contains(&id) {
            return Ok(());
        }
        self.open.push(id);
        self.visit(id)?;
        self.open.pop();
        Ok(())
    }

    /// Counts values that are looked at.
    fn look_at(&mut self, count: usize) -> Step {
        let left = self.steps.checked_sub(count);
        self.steps = left.ok_or_else(|| {
            "the pickle refers to its own parts so often that it has more paths than a checkpoint".to_owned()
        })?;
        Ok(())
    }

    fn visit(&mut self, id: Id) -> Step {
        let pickle = self.pickle;
        match pickle.get(id) {
            Value::Tuple(items) => self.items(items),
            Value::List(items) | Value::Set(items) => self.items(items),
            Value::Dict(entries) => self.entries(entries),
            Value::Object(object) => self.object(object),
            Value::Persistent(_) => {
                let tensor = bare_storage(pickle, id);
                self.tensor(tensor)
            }
            Value::Bool(value) => self.plain(Plain::Bool(*value)),
            Value::Int(value) => self.plain(Plain::I64(*value)),
            Value::Float(value) => self.plain(Plain::F64(*value)),
            Value::Str(text) if text.len() <= MAX_PLAIN => self.plain(Plain::String((*text).to_owned())),
            Value::None | Value::Long(_) | Value::Str(_) | Value::Bytes(_) | Value::Global(_) => Ok(()),
        }
    }

    fn inside(&mut self, part: &str, id: Id) -> Step {
        let before = self.path.len();
        if before + part.len() > MAX_PATH {
            return Err(Fault::Corrupt(format!("the pickle holds a name of more than {MAX_PATH} bytes")));
        }
        if before > 0 {
            self.path.push('.');
        }
        self.path.push_str(part);
        self.ends.push(self.path.len());
        self.value(id)?;
        self.ends.pop();
        self.path.truncate(before);
        Ok(())
    }

    fn items(&mut self, items: &[Id]) -> Step {
        self.look_at(items.len())?;
        for (index, item) in items.iter().enumerate() {
            // Lists of numbers are long and say nothing that a path could name.
            let scalar = matches!(self.pickle.get(*item), Value::Int(_) | Value::Float(_) | Value::Bool(_));
            if !scalar {
                self.inside(&index.to_string(), *item)?;
            }
        }
        Ok(())
    }

    fn entries(&mut self, entries: &[(Id, Id)]) -> Step {
        for (key, value) in entries {
            let pickle = self.pickle;
            match pickle.get(*key) {
                Value::Str(text) => self.inside(text, *value)?,
                Value::Int(number) => self.inside(&number.to_string(), *value)?,
                Value::Bool(truth) => self.inside(if *truth { "True" } else { "False" }, *value)?,
                Value::None => self.inside("None", *value)?,
                // Keys of other types are no part of a path that could be asked for.
                _ => self.inside("?", *value)?,
            }
        }
        Ok(())
    }

    fn object(&mut self, object: &Object) -> Step {
        let pickle = self.pickle;
        let Some((module, name)) = pickle.global(object.callable) else {
            return self.unknown(object, "the result of a call");
        };
        let args = pickle.sequence(object.args).unwrap_or_default();
        match meaning(module, name, self.understood.torch_script) {
            None => self.unknown(object, &format!("{module}.{name}")),
            Some(Meaning::Plain) => Ok(()),
            Some(Meaning::Dict) => {
                for arg in args {
                    self.look_at(1 + pickle.sequence(*arg).map_or(0, <[Id]>::len))?;
                    for pair in pickle.sequence(*arg).unwrap_or_default() {
                        if let Some([key, value]) = pickle.sequence(*pair) {
                            self.entries(&[(*key, *value)])?;
                        }
                    }
                    if let Some(entries) = pickle.entries(*arg) {
                        self.entries(entries)?;
                    }
                }
                self.entries(&object.entries)
            }
            Some(Meaning::Sequence) => {
                if let Some(items) = args.first().and_then(|first| pickle.sequence(*first)) {
                    self.items(items)?;
                }
                self.items(&object.items)
            }
            Some(Meaning::First) => match args.first() {
                Some(first) => self.value(*first),
                None => Ok(()),
            },
            Some(Meaning::Module) => self.attributes(object),
            Some(Meaning::Tensor(function)) => self.tensor(rebuild(pickle, object, function)),
            Some(Meaning::NumpyArray) => {
                let array = numpy::reconstructed(pickle, object, &mut self.buffers);
                self.tensor(array)
            }
            Some(Meaning::NumpyFromBuffer) => {
                let array = numpy::from_buffer(pickle, object, &mut self.buffers);
                self.tensor(array)
            }
        }
    }

    /// An object of a class that is not understood. Lenient, its attributes and items are looked into.
    fn unknown(&mut self, object: &Object, class: &str) -> Step {
        if !self.understood.lenient {
            let what = format!("is made by {class}, which is not called");
            return self.problem(|problems| &mut problems.unsupported, what);
        }
        if self.findings.opaque.len() < MAX_PLAIN {
            self.spend(self.path.len() + class.len())?;
            self.findings.opaque.push(format!("{:?}: {class}", self.path));
        }
        self.items(&object.items)?;
        self.entries(&object.entries)?;
        self.attributes(object)
    }

    /// The attributes of an object. Those in which a PyTorch module keeps its tensors are no part of
    /// a name, as they are none in its state dict.
    fn attributes(&mut self, object: &Object) -> Step {
        let pickle = self.pickle;
        let Some(state) = object.state else { return Ok(()) };
        for (key, value) in pickle.entries(state).unwrap_or_default() {
            match pickle.str(*key) {
                Some("_parameters" | "_buffers" | "_modules") => self.value(*value)?,
                _ => self.entries(&[(*key, *value)])?,
            }
        }
        Ok(())
    }

    fn tensor(&mut self, tensor: Result<Tensor<'a>, String>) -> Step {
        let (name, ends) = match self.path.as_str() {
            "" => ("tensor".to_owned(), vec![6]),
            path => (path.to_owned(), self.ends.clone()),
        };
        match tensor {
            Ok(tensor) => {
                // A layout holds sizes and strides.
                let words = ends.len() + 4 * tensor.rank();
                self.spend(size_of::<Found<'_>>() + name.len() + words * size_of::<usize>())?;
                self.findings.tensors.push(Found { name, ends, tensor });
                Ok(())
            }
            Err(what) => self.problem(|problems| &mut problems.corrupt, what),
        }
    }

    fn problem(&mut self, list: fn(&mut Problems) -> &mut Vec<Problem>, what: String) -> Step {
        self.spend(self.path.len() + what.len())?;
        if !self.findings.problems.are_enough() {
            list(&mut self.findings.problems).push(Problem::tensor(self.path.clone(), what));
        }
        Ok(())
    }

    fn plain(&mut self, value: Plain) -> Step {
        if self.plain < MAX_PLAIN && !self.path.is_empty() {
            let length = value.as_str().map_or(0, str::len);
            self.spend(self.path.len() + length)?;
            self.plain += 1;
            self.findings.plain.insert(self.path.clone(), value);
        }
        Ok(())
    }

    fn spend(&mut self, bytes: usize) -> Step {
        let left = self.room.checked_sub(bytes);
        self.room =
            left.ok_or_else(|| "the pickle's names are longer than the pickle explains".to_owned())?;
        Ok(())
    }
}

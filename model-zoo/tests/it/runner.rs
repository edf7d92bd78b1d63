//! Running a model on the CPU plugin.

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap},
    sync::{Arc, LazyLock},
};

use porter_ir::{DType, Shape};
use porter_numerics::{Case, View};
use porter_runtime::{
    Client, ClientOptions, CompileOptions, Devices, Generator, HostTensor, Next, Placement, Plugin,
    Signature, States, Step, Weights, plugins,
};
use porter_weights::Checkpoint;
use porter_zoo::{Model, Phase, Precision, Task};

static CLIENT: LazyLock<Client> = LazyLock::new(|| {
    let located = plugins::ensure(Some("cpu"), &mut |_| {}).unwrap();
    let options = ClientOptions { cpu_device_count: Some(1), ..ClientOptions::default() };
    Client::create(&Plugin::load(&located.path).unwrap(), &options).unwrap()
});

/// A model with its weights on the device.
pub(crate) struct Runner {
    pub(crate) model: Model,
    precision: Precision,
    weights: Weights,
    forward: RefCell<HashMap<Phase, (Step, States)>>,
}

impl Runner {
    /// The model in `f32`.
    pub(crate) fn new(model: Model, checkpoint: &dyn Checkpoint) -> Self {
        Self::with_precision(model, checkpoint, Precision::uniform(DType::F32))
    }

    pub(crate) fn with_precision(model: Model, checkpoint: &dyn Checkpoint, precision: Precision) -> Self {
        let map = model.weight_map(checkpoint).unwrap();
        let tensors = map.load(checkpoint, |_, ty| precision.parameter(ty.shape.rank()), |_| ()).unwrap();
        let upload = |tensor: porter_weights::HostTensor| {
            let tensor = HostTensor::new(tensor.ty, tensor.bytes).unwrap();
            Arc::new(devices().upload(&tensor, &Placement::One).unwrap())
        };
        Self {
            model,
            precision,
            weights: tensors.into_iter().map(|(name, tensor)| (name, upload(tensor))).collect(),
            forward: RefCell::default(),
        }
    }

    /// The results of one run without states.
    pub(crate) fn forward(
        &self,
        phase: &Phase,
        arguments: &[(&str, HostTensor)],
    ) -> BTreeMap<String, HostTensor> {
        let mut compiled = self.forward.borrow_mut();
        let (step, states) = compiled.entry(*phase).or_insert_with(|| self.step(phase));
        step.run(arguments, states).unwrap()
    }

    /// `count` greedy tokens after the first of `prompts`, the others running beside it, and the
    /// logits of each step. The bucket is longer than the longest prompt.
    pub(crate) fn greedy(&self, prompts: &[Vec<u32>], count: usize) -> (Vec<i64>, Vec<f32>) {
        let batch = prompts.len();
        let bucket = prompts.iter().map(Vec::len).max().unwrap() + 3;
        let cache = bucket + count;
        let (prefill, mut states) = self.step(&Phase::Prefill { batch, tokens: bucket, cache });
        let (decode, _) = self.step(&Phase::Decode { batch, cache });
        let generator = Generator { prefill: &prefill, decode: &decode, batch, bucket, cache };
        let (mut tokens, mut steps) = (Vec::new(), Vec::new());
        generator
            .generate::<porter_runtime::Error>(prompts, &mut states, |row, logits| {
                let next = argmax(logits);
                if row == 0 {
                    steps.extend_from_slice(logits);
                    tokens.push(i64::from(next));
                }
                Ok(if tokens.len() < count { Next::Token(next) } else { Next::Stop })
            })
            .unwrap();
        (tokens, steps)
    }

    fn step(&self, phase: &Phase) -> (Step, States) {
        let program = self.model.program(phase, &self.precision).unwrap();
        let options = CompileOptions::default();
        let executable =
            CLIENT.compile(&program.to_string(), &Signature::of(&program.entry()), &options).unwrap();
        let states = States::zeros(&devices(), &program.entry()).unwrap();
        (Step::new(&program.entry(), executable, &devices(), &self.weights).unwrap(), states)
    }

    /// The arguments of a recorded case: masks become paddings where the model is a decoder.
    pub(crate) fn arguments(&self, case: &Case<'_>) -> (Shape, Vec<(&'static str, HostTensor)>) {
        let ids = case.input("input_ids").unwrap().unwrap();
        let shape = ids.shape().clone();
        let like_ids = |name, default| match case.input(name).unwrap() {
            Some(view) => integers(&view),
            None => vec![default; shape.elements()],
        };
        let mask = like_ids("attention_mask", 1);
        let tensor = |values: &[i32]| HostTensor::from_slice(shape.clone(), values).unwrap();
        let mut arguments = vec![("input_ids", tensor(&integers(&ids)))];
        match self.model.task() {
            Task::Generate => {
                let left = |row: &[i32]| row.iter().take_while(|&&seen| seen == 0).count() as i32;
                let padding: Vec<i32> = mask.chunks_exact(shape[1]).map(left).collect();
                arguments.push(("padding", HostTensor::from_slice([shape[0]], &padding).unwrap()));
            }
            Task::Encode => {
                arguments.push(("attention_mask", tensor(&mask)));
                arguments.push(("token_type_ids", tensor(&like_ids("token_type_ids", 0))));
            }
        }
        (shape, arguments)
    }
}

/// A result as numbers.
pub(crate) fn view(tensor: &HostTensor) -> View<'_> {
    View::new(tensor.ty().dtype, tensor.ty().shape.clone(), tensor.bytes()).unwrap()
}

fn devices() -> Devices {
    Devices::of(&CLIENT)
}

fn integers(view: &View<'_>) -> Vec<i32> {
    view.to_i64().unwrap().into_iter().map(|id| i32::try_from(id).unwrap()).collect()
}

fn argmax(logits: &[f32]) -> u32 {
    let best = logits.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).unwrap();
    u32::try_from(best.0).unwrap()
}

//! Every fixture model against what transformers recorded: every output and hidden state, the
//! padded batch, and greedy tokens through the cache.
//!
//! The budget is [`Budget::recorded`]: 20 times the reference's own f32-vs-f64 error or 1e-4,
//! whichever is larger, times the tensor's scale.

use porter_numerics::{Budget, Bundle, Positions, View, compare};
use porter_zoo::{Model, Phase, Taps, Task};

use crate::{
    common::{folder, gguf, model},
    runner::{Runner, view},
};

fn check(name: &str, runner: &Runner, bundle: &Bundle) {
    let mut compared = 0;
    for case in bundle.cases() {
        let (shape, arguments) = runner.arguments(&case);
        let phase = Phase::Forward { batch: shape[0], tokens: shape[1], taps: Taps::HiddenStates };
        let results = runner.forward(&phase, &arguments);
        for output in case.outputs().iter().filter(|output| !is_tap(bundle, &output.name)) {
            let ours = results.get(&output.name).unwrap_or_else(|| panic!("{name}: no {}", output.name));
            let measured = case.measure(output, &view(ours), None).unwrap();
            let (found, budget) = (&measured.comparison, &measured.budget);
            assert!(budget.allows(found), "{name}: {}: {} > {budget:?}", output.tensor, found.max_abs);
            compared += 1;
        }
    }
    let hidden_states = runner.model.dimensions().layers + 1;
    assert!(compared >= hidden_states + 2, "{name}: {compared} outputs were compared");
    if runner.model.task() == Task::Generate {
        check_greedy(name, runner, bundle);
    }
}

/// True for a module's output, which no program of the zoo returns.
fn is_tap(bundle: &Bundle, name: &str) -> bool {
    bundle.notes().is_some_and(|notes| notes["taps"].get(name).is_some())
}

/// The recorded tokens, beside a shorter prompt, with the logits of every step.
fn check_greedy(name: &str, runner: &Runner, bundle: &Bundle) {
    let case = bundle.cases().next().unwrap();
    let recorded = case.generated().unwrap().unwrap();
    let prompt: Vec<u32> = recorded.prompt.iter().map(|&id| u32::try_from(id).unwrap()).collect();
    let expected = recorded.logits.unwrap();
    let shorter = prompt[8..].to_vec();
    let (tokens, logits) = runner.greedy(&[prompt, shorter], recorded.tokens.len());
    assert_eq!(tokens, recorded.tokens, "{name}");
    let ours = View::f32(&logits, expected.shape().clone()).unwrap();
    let comparison = compare("generated_logits", &ours, &expected, &Positions::All).unwrap();
    let budget = Budget::recorded(bundle.noise(), comparison.scale);
    assert!(budget.allows(&comparison), "{name}: {} > {budget:?}", comparison.max_abs);
}

fn check_folder(name: &str) {
    let checkpoint = porter_weights::open(&folder(name)).unwrap();
    check(name, &Runner::new(model(name), checkpoint.as_ref()), &Bundle::open(&folder(name)).unwrap());
}

fn check_gguf(name: &str) {
    let checkpoint = porter_weights::open(&gguf(&format!("{name}.gguf"))).unwrap();
    let model = Model::from_gguf(checkpoint.as_ref(), &[]).unwrap();
    check(name, &Runner::new(model, checkpoint.as_ref()), &Bundle::open(&folder("llama")).unwrap());
}

macro_rules! parity {
    ($($check:ident: $($name:ident)+;)*) => {
        $($(#[test] #[allow(non_snake_case, reason = "named as the file")] fn $name() { $check(stringify!($name)); })+)*
    };
}

parity! {
    check_folder: llama llama_bf16 llama_f16 llama_sharded llama_long llama_yarn mistral mistral_window
        qwen2 qwen3 bert bert_cls;
    check_gguf: llama_open_F32;
}

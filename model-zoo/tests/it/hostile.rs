//! Configurations with any value at any key: refused or built, never a panic.

use porter_ir::DType;
use porter_zoo::{Model, Phase, Precision, Taps};
use proptest::{prelude::*, sample::select};
use serde_json::{Value, json};

use crate::common::config;

fn any_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (0_u64..300).prop_map(Value::from),
        (0_u64..22).prop_map(|bits| json!(1_u64 << bits)),
        ".{0,8}".prop_map(Value::from),
        select(vec!["linear", "dynamic", "yarn", "longrope", "llama3", "sliding_attention"]).prop_map(
            |kind| json!({"rope_type": kind, "factor": 2, "low_freq_factor": 0, "high_freq_factor": 0})
        ),
        prop::collection::vec(any::<i32>().prop_map(Value::from), 0..4).prop_map(Value::from),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn no_config_panics(
        name in select(vec!["llama", "mistral", "qwen2", "qwen3", "qwen3_moe", "mixtral", "bert", "bert_cls"]),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any_value()), 1..4),
    ) {
        let mut config = config(&format!("{name}/config.json"));
        let keys: Vec<String> = config.as_object().unwrap().keys().cloned().collect();
        for (index, value) in changes {
            config[index.get(&keys)] = value;
        }
        if let Ok(model) = Model::from_hf(&config, &[]) {
            let phase = Phase::Forward { batch: 1, tokens: 2, taps: Taps::None };
            let _ = model.program(&phase, &Precision::uniform(DType::F32));
            let _ = model.program(&Phase::Decode { batch: 1, cache: 4 }, &Precision::uniform(DType::BF16));
        }
    }
}

//! The composites here are those of the model zoo, op by op.

use std::collections::{BTreeSet, HashMap};

use porter_ir::{Op, Program, RegionId, TensorType, program::OpData};
use porter_zoo::{Model, Phase, Precision, Taps};
use serde_json::{Value as Json, json};

use super::*;

fn llama(activation: &str) -> Json {
    json!({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 32, "intermediate_size": 48,
        "num_hidden_layers": 1, "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 48,
        "rms_norm_eps": 1e-5, "max_position_embeddings": 32, "rope_theta": 1e4, "hidden_act": activation,
        "tie_word_embeddings": true
    })
}

fn bert() -> Json {
    json!({
        "architectures": ["BertModel"], "model_type": "bert", "hidden_size": 32, "intermediate_size": 48,
        "num_hidden_layers": 1, "num_attention_heads": 4, "vocab_size": 48, "layer_norm_eps": 1e-12,
        "max_position_embeddings": 32, "type_vocab_size": 2, "hidden_act": "gelu"
    })
}

/// What a region says, with its values numbered as they come.
fn text(program: &Program, region: RegionId, numbers: &mut HashMap<Value, usize>) -> Vec<String> {
    let data = program.region(region);
    for &value in &data.arguments {
        let next = numbers.len();
        numbers.insert(value, next);
    }
    let mut lines = Vec::new();
    for &op in &data.ops {
        let OpData { op, operands, results, regions, .. } = program.op(op);
        let operands: Vec<usize> = operands.iter().map(|v| numbers[v]).collect();
        let types: Vec<&TensorType> = results.iter().map(|&v| program.ty(v)).collect();
        lines.push(format!("{op:?} {operands:?} {types:?}"));
        for &region in regions {
            lines.extend(text(program, region, numbers));
        }
        for &value in results {
            let next = numbers.len();
            numbers.insert(value, next);
        }
    }
    lines.push(format!("{:?}", data.results.iter().map(|v| numbers[v]).collect::<Vec<_>>()));
    lines
}

fn f64_of(op: &Op, key: &str) -> f64 {
    let Op::Composite(composite) = op else { panic!("not a composite") };
    match composite.attributes.iter().find(|(name, _)| name == key) {
        Some((_, AttributeValue::F64(x))) => *x,
        other => panic!("{key}: {other:?}"),
    }
}

/// Ours, of operands of the same types and with the same attributes.
fn ours(program: &Program, name: &str, op: &OpData) -> Option<Program> {
    let b = Builder::new("ours");
    let operand = |(i, &v): (usize, &Value)| b.argument(&format!("x{i}"), program.ty(v).clone()).unwrap();
    let x: Vec<Value> = op.operands.iter().enumerate().map(operand).collect();
    let y = match (name, &x[..]) {
        ("porter.rms_norm", &[x, w]) => rms_norm(&b, x, w, f64_of(&op.op, "epsilon")),
        ("porter.layer_norm", &[x, w, bias]) => layer_norm(&b, [x, w, bias], f64_of(&op.op, "epsilon")),
        ("porter.rotary", &[x, cos, sin]) => rotary(&b, x, cos, sin),
        ("porter.attention", &[q, k, v, mask]) => attention(&b, [q, k, v, mask], f64_of(&op.op, "scale")),
        ("porter.silu", &[x]) => Activation::Silu.apply(&b, x),
        ("porter.gelu", &[x]) => Activation::Gelu.apply(&b, x),
        ("porter.gelu_tanh", &[x]) => Activation::GeluTanh.apply(&b, x),
        ("porter.quick_gelu", &[x]) => Activation::QuickGelu.apply(&b, x),
        _ => return None,
    };
    b.result("y", y.unwrap()).unwrap();
    Some(b.finish())
}

#[test]
fn every_composite_of_the_zoo_is_written_as_the_zoo_writes_it() {
    let mut seen = BTreeSet::new();
    let configs = [llama("silu"), llama("gelu_pytorch_tanh"), llama("quick_gelu"), bert()];
    for (config, dtype) in configs.iter().flat_map(|c| [(c, DType::F32), (c, DType::BF16)]) {
        let model = Model::from_hf(config, &[]).unwrap();
        let phase = Phase::Forward { batch: 2, tokens: 5, taps: Taps::None };
        let program = model.program(&phase, &Precision::uniform(dtype)).unwrap();
        for (_, op) in program.ops() {
            let Op::Composite(composite) = &op.op else { continue };
            let Some(own) = ours(&program, &composite.name, op) else { continue };
            let (_, mine) = own.ops().find(|(_, op)| matches!(op.op, Op::Composite(_))).unwrap();
            assert_eq!(mine.op, op.op);
            let both = (mine.regions[0], op.regions[0]);
            assert_eq!(
                text(&own, both.0, &mut HashMap::new()),
                text(&program, both.1, &mut HashMap::new()),
                "{} in {dtype}",
                composite.name
            );
            seen.insert(composite.name.clone());
        }
    }
    let expected =
        ["attention", "gelu", "gelu_tanh", "layer_norm", "quick_gelu", "rms_norm", "rotary", "silu"];
    assert_eq!(seen, expected.iter().map(|name| format!("porter.{name}")).collect());
}

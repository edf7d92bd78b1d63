//! Models written as GGUF, against the files of a converter, and back to Hugging Face's words.

use std::path::Path;

use porter_ir::DType;
use porter_weights::{
    Checkpoint, Encoding, Format, GgmlType,
    stream::{self, Conversion, LocalStore, Options},
    write::{
        Layout, OutputTensor,
        gguf::{Contents, GgufOptions},
        safetensors,
    },
};
use porter_zoo::Model;
use serde_json::{Value, json};

use crate::common::{MODELS, config, folder, gguf, model};

fn write(checkpoint: &dyn Checkpoint, layout: &Layout, folder: &Path) {
    let store = LocalStore::folder(folder).unwrap();
    let conversion = Conversion { what: "a test", checkpoint, layout };
    stream::write(&conversion, &store, &Options::within(1 << 30), &()).unwrap();
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks().0.iter().map(|four| f32::from_le_bytes(*four)).collect()
}

/// Writes a model as `model.gguf` in `folder` and opens that.
fn to_gguf(
    model: &Model,
    checkpoint: &dyn Checkpoint,
    encoding: &Encoding,
    folder: &Path,
) -> Box<dyn Checkpoint> {
    let contents = model.to_gguf(checkpoint, encoding).unwrap();
    let options = GgufOptions { stem: "model".to_owned(), max_shard_bytes: None };
    write(checkpoint, &porter_weights::write::gguf::plan(contents, &options).unwrap(), folder);
    porter_weights::open(&folder.join("model.gguf")).unwrap()
}

#[test]
fn llama_is_what_the_converter_made_of_it() {
    let source = porter_weights::open(&folder("llama")).unwrap();
    for (file, encoding) in [
        ("llama_open_F32.gguf", Encoding::Plain(DType::F32)),
        ("llama_open_F16.gguf", Encoding::Plain(DType::F16)),
        ("llama_open_Q8_0.gguf", Encoding::Block(GgmlType::Q8_0)),
    ] {
        let expected = porter_weights::open(&gguf(file)).unwrap();
        let written = tempfile::tempdir().unwrap();
        let written = to_gguf(&model("llama"), &*source, &encoding, written.path());
        assert_eq!(written.tensors(), expected.tensors(), "{file}");
        for name in expected.tensors().keys().filter(|name| *name != "rope_freqs.weight") {
            let (found, expected) = (written.tensor(name).unwrap(), expected.tensor(name).unwrap());
            assert!(found.bytes == expected.bytes, "{file}: {name}");
        }
        // As the converter's own formula gives them in PyTorch 2.15; the recorded files took f64.
        let factors = floats(&written.tensor("rope_freqs.weight").unwrap().bytes);
        assert_eq!(factors, [&[1.0, 4.287_408_4][..], &[8.0; 8]].concat());
        for (key, value) in expected.metadata().iter() {
            assert_eq!(written.metadata().get(key), Some(value), "{file}: {key}");
        }
    }
}

/// Names and bytes of a model's tensors, in Hugging Face's order.
fn parameters(model: &Model, checkpoint: &dyn Checkpoint, dtype: DType) -> Vec<(String, Vec<u8>)> {
    let map = model.weight_map(checkpoint).unwrap();
    let parameters = model.parameters().unwrap();
    let evaluate = |name: &String| {
        let (_, shape, expr) = map.resolve(name).unwrap();
        let mut bytes = vec![0; shape.elements() * dtype.host_bytes()];
        expr.evaluate(checkpoint, dtype, &mut bytes).unwrap();
        (name.clone(), bytes)
    };
    parameters.keys().map(evaluate).collect()
}

#[test]
fn there_and_back_is_the_same_checkpoint() {
    let cases = [
        ("llama", DType::F32),
        ("llama_bf16", DType::BF16),
        ("llama_f16", DType::F16),
        ("llama_sharded", DType::F32),
        ("llama_yarn", DType::F32),
        ("mistral", DType::F32),
        ("qwen2", DType::F32),
        ("qwen3", DType::F32),
    ];
    for (name, dtype) in cases {
        let mut described = config(&format!("{name}/config.json"));
        if name == "mistral" {
            // GGUF has no windows.
            described["sliding_window"] = Value::Null;
        }
        let model = Model::from_hf(&described, &[]).unwrap();
        let source = porter_weights::open(&folder(name)).unwrap();
        let written = tempfile::tempdir().unwrap();
        let there = to_gguf(&model, &*source, &Encoding::Plain(dtype), written.path());
        let read = Model::from_gguf(&*there, &[]).unwrap();
        assert!(read.weight_map(&*there).unwrap().check(&*there).fits(), "{name}");

        // Back, through the executor.
        let map = read.weight_map(&*there).unwrap();
        let tensors = read.parameters().unwrap().into_iter().map(|(parameter, shape)| {
            let expr = map.resolve(&parameter).unwrap().2.clone();
            OutputTensor { name: parameter, expr, shape, encoding: Encoding::Plain(dtype) }
        });
        let layout =
            safetensors::plan(tensors.collect(), &safetensors::SafetensorsOptions::default()).unwrap();
        let back = written.path().join("back");
        write(&*there, &layout, &back);
        let back = porter_weights::open(&back).unwrap();
        assert!(!source.tensors().is_empty());
        for (tensor, info) in source.tensors() {
            assert_eq!(back.tensors()[tensor], *info, "{name}: {tensor}");
            let (found, expected) = (back.tensor(tensor).unwrap(), source.tensor(tensor).unwrap());
            assert!(found.bytes == expected.bytes, "{name}: {tensor}");
        }
        assert_eq!(back.tensors().len(), source.tensors().len());

        let config = Value::Object(read.hf_config(dtype).unwrap());
        let again = Model::from_hf(&config, &[]).unwrap();
        if name == "mistral" {
            assert_eq!(again.class(), "LlamaForCausalLM", "as llama.cpp has it");
            assert_eq!(again.dimensions(), model.dimensions());
        } else {
            assert_eq!(format!("{again:?}"), format!("{model:?}"), "{name}");
        }
    }
}

#[test]
fn a_config_written_is_the_config_read() {
    let mut decoders = 0;
    for name in MODELS {
        let model = model(name);
        let Some(config) = model.hf_config(DType::F32) else { continue };
        let again = Model::from_hf(&Value::Object(config), &[]).unwrap();
        assert_eq!(format!("{again:?}"), format!("{model:?}"), "{name}");
        decoders += 1;
    }
    assert_eq!(decoders, 12);
    let mut variants: Value = config("qwen2/config.json");
    variants["use_sliding_window"] = json!(true);
    variants["sliding_window"] = json!(16);
    variants["max_window_layers"] = json!(1);
    variants["layer_types"] = Value::Null;
    let windows = Model::from_hf(&variants, &[]).unwrap();
    let again = Model::from_hf(&Value::Object(windows.hf_config(DType::F32).unwrap()), &[]).unwrap();
    assert_eq!(format!("{again:?}"), format!("{windows:?}"));
}

#[test]
fn quantised_matrices_are_those_of_the_source_quantised() {
    let source = porter_weights::open(&folder("llama")).unwrap();
    let model = model("llama");
    let original = parameters(&model, &*source, DType::F32);
    for block in [GgmlType::Q4_0, GgmlType::Q4_1, GgmlType::Q5_0, GgmlType::Q5_1, GgmlType::Q8_0] {
        let written = tempfile::tempdir().unwrap();
        let there = to_gguf(&model, &*source, &Encoding::Block(block), written.path());
        assert_eq!(there.format(), Format::Gguf { version: 3, parts: 1 });
        let encodings: Vec<&Encoding> = there.tensors().values().map(|info| &info.encoding).collect();
        assert!(encodings.contains(&&Encoding::Block(block)));
        let read = parameters(&Model::from_gguf(&*there, &[]).unwrap(), &*there, DType::F32);
        for ((name, expected), (_, found)) in original.iter().zip(&read) {
            let (expected, found) = (floats(expected), floats(found));
            let largest = expected.iter().fold(0.0_f32, |a, b| a.max(b.abs()));
            // Half a step of four bits over the whole range, and the scale's own rounding.
            let step = largest * 2.0 / 15.0;
            for (found, expected) in found.iter().zip(&expected) {
                assert!((found - expected).abs() <= step, "{block} {name}: {found} for {expected}");
            }
        }
    }
}

fn refused(fixture: &str, changes: &Value) -> String {
    let mut config = config(&format!("{fixture}/config.json"));
    for (key, value) in changes.as_object().unwrap() {
        config[key] = value.clone();
    }
    let model = Model::from_hf(&config, &[]).unwrap();
    let source = porter_weights::open(&folder(fixture)).unwrap();
    model.to_gguf(&*source, &Encoding::Plain(DType::F16)).err().unwrap().to_string()
}

#[test]
fn what_ggufs_readers_would_compute_otherwise_is_refused() {
    let message = refused("llama", &json!({"hidden_act": "gelu"}));
    assert!(
        message.contains("hidden_act: found \"gelu\"") && message.contains("compute \"silu\""),
        "{message}"
    );
    let message = refused("mistral", &json!({"sliding_window": 16}));
    assert!(message.contains("sliding_window: found 16"), "{message}");
    let kinds = config("qwen2/config.json")["layer_types"].as_array().unwrap().len();
    let window = json!({
        "use_sliding_window": true, "sliding_window": 16, "layer_types": vec!["sliding_attention"; kinds],
    });
    let message = refused("qwen2", &window);
    assert!(message.contains("use_sliding_window: found true"), "{message}");
    let dynamic = json!({"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10000.0});
    let message = refused("llama", &json!({"rope_parameters": dynamic}));
    assert!(message.contains("rope_scaling.rope_type: found \"dynamic\""), "{message}");
    let yarn = json!({
        "rope_type": "yarn", "factor": 2.0, "attention_factor": 1.5, "mscale": 1.0, "mscale_all_dim": 1.0,
        "rope_theta": 10000.0,
    });
    let message = refused("llama", &json!({"rope_parameters": yarn}));
    for key in ["attention_factor", "mscale", "mscale_all_dim"] {
        assert!(message.contains(&format!("rope_scaling.{key}: found")), "{message}");
    }
    let message = refused("bert", &json!({}));
    assert!(
        message.contains("BertForMaskedLM is not supported; supported are llama, qwen2, qwen3"),
        "{message}"
    );
    let source = porter_weights::open(&folder("llama")).unwrap();
    let refused = model("llama").to_gguf(&*source, &Encoding::Block(GgmlType::Q4_K)).err().unwrap();
    assert!(refused.to_string().ends_with("not as Q4_K"), "{refused}");
    let Contents { tensors, .. } =
        model("llama").to_gguf(&*source, &Encoding::Block(GgmlType::Q4_0)).unwrap();
    let encoding =
        |name: &str| tensors.iter().find(|tensor| tensor.name == name).unwrap().encoding.to_string();
    assert_eq!(encoding("output.weight"), "Q8_0");
    assert_eq!(encoding("token_embd.weight"), "Q4_0");
    assert_eq!(encoding("blk.0.ffn_down.weight"), "f16", "rows of 200");
    assert_eq!(encoding("blk.0.attn_norm.weight"), "f32");
}

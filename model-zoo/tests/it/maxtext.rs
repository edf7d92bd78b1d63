//! Models as `MaxText` checkpoints, and back.

use std::path::Path;

use crate::common::{MODELS, folder, model};
use porter_ir::DType;
use porter_weights::{
    Checkpoint, Encoding, OrbaxCheckpoint, Parameter, WeightMap,
    stream::{self, Conversion, LocalStore, Options},
    write::{
        Layout, OutputTensor,
        safetensors::{self, SafetensorsOptions},
    },
};
use porter_zoo::{MaxTextError, Model};

/// The decoders that `MaxText` has.
const DECODERS: [&str; 9] = [
    "llama",
    "llama_bf16",
    "llama_sharded",
    "llama_long",
    "llama_yarn",
    "mistral",
    "mistral_window",
    "qwen2",
    "qwen3",
];

/// Small enough that the fixtures' arrays have several chunks.
const CHUNK_BYTES: usize = 32 << 10;

fn write(checkpoint: &dyn Checkpoint, layout: &Layout, out: &Path) {
    let conversion = Conversion { what: "a test", checkpoint, layout };
    let store = LocalStore::folder(out).unwrap();
    stream::write(&conversion, &store, &Options::within(64 << 20), &()).unwrap();
}

fn to_maxtext(model: &Model, checkpoint: &dyn Checkpoint, scan_layers: bool, out: &Path) {
    let maxtext = model.to_maxtext(checkpoint, scan_layers, None).unwrap();
    write(checkpoint, &maxtext.layout(checkpoint, CHUNK_BYTES).unwrap(), out);
}

/// Every parameter of `map` as a tensor of its inferred type.
fn tensors(map: &WeightMap, checkpoint: &dyn Checkpoint) -> Vec<OutputTensor> {
    let report = map.check(checkpoint);
    assert!(report.fits(), "{report}");
    let tensor = |(name, parameter): (&String, &Parameter)| {
        let Parameter::Computed { shape, expr } = parameter else { panic!("{name} is tied") };
        let encoding = Encoding::Plain(expr.infer(checkpoint).unwrap().dtype);
        OutputTensor { name: name.clone(), expr: expr.clone(), shape: shape.clone(), encoding }
    };
    map.parameters().iter().map(tensor).collect()
}

fn f32s(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
}

/// True for the queries that a block scales by no power of two.
fn is_rounded(model: &Model, name: &str, found: &Encoding) -> bool {
    let scaled = matches!(model.class(), "LlamaForCausalLM" | "MistralForCausalLM");
    scaled && name.ends_with("q_proj.weight") && *found == Encoding::Plain(DType::F32)
}

#[test]
fn every_decoder_comes_back_from_maxtext() {
    for name in DECODERS {
        for scan_layers in [true, false] {
            let (model, hf) = (model(name), porter_weights::open(&folder(name)).unwrap());
            let out = tempfile::tempdir().unwrap();
            let (forth, back) = (out.path().join("maxtext"), out.path().join("hf"));
            to_maxtext(&model, hf.as_ref(), scan_layers, &forth);

            let maxtext = porter_weights::open(&forth).unwrap();
            let map = model.from_maxtext(maxtext.as_ref()).unwrap();
            let plan = safetensors::plan(tensors(&map, maxtext.as_ref()), &SafetensorsOptions::default());
            write(maxtext.as_ref(), &plan.unwrap(), &back);

            let found = porter_weights::open(&back).unwrap();
            assert!(found.tensors().keys().eq(hf.tensors().keys()), "{name}");
            for (tensor, info) in hf.tensors() {
                assert_eq!(found.tensors()[tensor], *info, "{name}: {tensor}");
                let (found, expected) = (found.tensor(tensor).unwrap(), hf.tensor(tensor).unwrap());
                if is_rounded(&model, tensor, &info.encoding) {
                    for (found, expected) in f32s(&found.bytes).into_iter().zip(f32s(&expected.bytes)) {
                        // Two products and two factors, each rounded to half a unit in the last place.
                        let bound = 2.0 * f32::EPSILON * expected.abs();
                        assert!((found - expected).abs() <= bound, "{name}: {tensor}: {found} {expected}");
                    }
                } else {
                    assert!(found.bytes == expected.bytes, "{name}, scan_layers {scan_layers}: {tensor}");
                }
            }
        }
    }
}

/// Every chunk of every array of the written folder agrees with a second reading of it at odd places.
#[test]
fn any_stretch_of_an_array_is_that_of_the_whole() {
    let hf = porter_weights::open(&folder("llama")).unwrap();
    let out = tempfile::tempdir().unwrap();
    to_maxtext(&model("llama"), hf.as_ref(), true, out.path());
    let maxtext = OrbaxCheckpoint::open(out.path()).unwrap();
    for (name, info) in maxtext.tensors() {
        let whole = maxtext.tensor(name).unwrap().bytes;
        for (begin, len) in [(0, 7), (13, 4099), (info.bytes / 2 + 1, 901), (info.bytes.saturating_sub(5), 5)]
        {
            let begin = begin.min(info.bytes);
            let end = (begin + len).min(info.bytes);
            let mut stretch = vec![0; end - begin];
            maxtext.read_at(name, begin as u64, &mut stretch).unwrap();
            assert!(stretch == whole[begin..end], "{name}: {begin}..{end}");
        }
        assert!(maxtext.read_at(name, info.bytes as u64, &mut [0]).is_err(), "{name}");
    }
}

#[test]
fn what_maxtext_lacks_is_refused_by_name() {
    let refused = |name: &str| {
        let checkpoint = porter_weights::open(&folder(name)).unwrap();
        model(name).to_maxtext(checkpoint.as_ref(), true, None).unwrap_err()
    };
    for bert in MODELS.iter().filter(|name| name.starts_with("bert")) {
        assert!(matches!(refused(bert), MaxTextError::NoBlock { .. }));
    }
    let MaxTextError::NoPlace { block, names } = refused("llama_f16") else {
        panic!("not refused for its biases")
    };
    assert_eq!(block, "llama2");
    assert!(names.contains(&"model.layers.0.self_attn.o_proj.bias".to_owned()), "{names:?}");
}

#[test]
fn what_maxtext_computes_otherwise_is_said() {
    let differences = |name: &str| {
        let checkpoint = porter_weights::open(&folder(name)).unwrap();
        model(name).to_maxtext(checkpoint.as_ref(), true, None).unwrap().differences
    };
    for same in ["llama_bf16", "qwen2", "qwen3"] {
        assert!(differences(same).is_empty(), "{same}: {:?}", differences(same));
    }
    assert!(differences("mistral_window")[0].contains("up to 24 tokens"));
    assert!(differences("llama")[0].contains("8192"));
}

/// Needs `PORTER_ORBAX_PYTHON`: a Python with the packages of ci/orbax/requirements.txt.
#[cfg(feature = "orbax")]
mod orbax {
    use std::{collections::BTreeMap, fs, path::PathBuf, process::Command};

    use serde_json::json;

    use super::{DECODERS, folder, model, to_maxtext};

    /// Restores every fixture with orbax-checkpoint as `MaxText` does, and compares each array with numpy's.
    #[test]
    fn orbax_restores_every_decoder() {
        let python = std::env::var_os("PORTER_ORBAX_PYTHON").expect("PORTER_ORBAX_PYTHON is not set");
        let out = tempfile::tempdir().unwrap();
        let mut cases = BTreeMap::new();
        for name in DECODERS {
            let (model, hf) = (model(name), porter_weights::open(&folder(name)).unwrap());
            for scan_layers in [true, false] {
                let path: PathBuf = out.path().join(format!("{name}-{scan_layers}"));
                to_maxtext(&model, hf.as_ref(), scan_layers, &path);
                cases.insert(path, json!({ "hf": folder(name), "scan_layers": scan_layers }));
            }
        }
        let cases: BTreeMap<String, _> =
            cases.into_iter().map(|(path, case)| (path.display().to_string(), case)).collect();
        fs::write(out.path().join("cases.json"), json!(cases).to_string()).unwrap();
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../ci/orbax/restore.py");
        let status = Command::new(python).arg(script).arg(out.path().join("cases.json")).status().unwrap();
        assert!(status.success(), "{status}");
    }
}

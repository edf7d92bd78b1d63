//! `porter plan` as a user runs it: from a configuration alone.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{fs, path::Path};

use assert_cmd::{Command, assert::Assert};
use predicates::{prelude::*, str::contains};
use serde_json::{Value, json};

fn plan(model: &Path, args: &[&str]) -> Assert {
    let mut command = Command::cargo_bin("porter").unwrap();
    command.env("NO_COLOR", "1").arg("plan").arg(model).args(args).assert()
}

fn document(assert: &Assert) -> Value {
    serde_json::from_slice(&assert.get_output().stdout).unwrap()
}

/// The configuration of a Llama of these widths.
fn llama(hidden: usize, intermediate: usize, layers: usize, heads: [usize; 2]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let config = json!({
        "architectures": ["LlamaForCausalLM"], "hidden_size": hidden, "intermediate_size": intermediate,
        "num_hidden_layers": layers, "num_attention_heads": heads[0], "num_key_value_heads": heads[1],
        "head_dim": 128, "vocab_size": 128_256, "rms_norm_eps": 1e-5, "max_position_embeddings": 131_072,
        "rope_theta": 500_000.0, "hidden_act": "silu", "tie_word_embeddings": false
    });
    fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    folder
}

/// Qwen3-30B-A3B over four chips: experts on devices of their own, whose every byte is a quarter of those of all.
#[test]
fn mixtures_lie_over_an_axis_of_experts() {
    let folder = tempfile::tempdir().unwrap();
    let config = json!({
        "architectures": ["Qwen3MoeForCausalLM"], "hidden_size": 2048, "moe_intermediate_size": 768, "num_experts": 128,
        "num_experts_per_tok": 8, "norm_topk_prob": true, "num_hidden_layers": 48, "num_attention_heads": 32,
        "num_key_value_heads": 4, "head_dim": 128, "vocab_size": 151_936, "rope_theta": 1e6, "hidden_act": "silu"
    });
    fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    let args = ["--target", "v6e:2x2", "--batch", "8", "--prompt", "128", "--context", "1024", "--json"];
    let planned = document(&plan(folder.path(), &args).success());
    assert_eq!(planned["parameters"], 30_532_122_624_u64);
    let best = &planned["candidates"][0];
    assert_eq!(best["mesh"], "expert=4");
    let layer: u64 = 2 * 32 * 128 * 2048 + 2 * 4 * 128 * 2048 + 128 * 3 * 768 * 2048;
    // Routers are whole on every device, norms are f32.
    let whole = 48 * 2 * 128 * 2048 + 4 * (97 * 2048 + 48 * 2 * 128);
    let ends = 2 * 2 * 151_936 * 2048;
    assert_eq!(best["memory"]["weights"], (2 * 48 * layer + ends) / 4 + whole);

    // In 8 bits they fit one chip; a step reads them as they are, and what is widened takes no memory.
    let args = ["--target", "v6e:1x1", "--batch", "8", "--prompt", "128", "--context", "2048", "--json"];
    let planned = document(&plan(folder.path(), &[&args[..], &["--quantize", "int8"]].concat()).success());
    let best = &planned["candidates"][0];
    let scales = 4 * 48 * (32 * 128 + 2 * 4 * 128 + 2048 + 128 * (2 * 768 + 2048));
    let weights = 48 * layer + scales + ends + whole;
    assert_eq!(best["memory"]["weights"], weights);
    let read = best["programs"][0]["traffic"].as_f64().unwrap() - best["memory"]["cache"].as_f64().unwrap();
    assert!(read > (weights - ends / 2 - whole - scales) as f64, "{read} of {weights}");
    assert!(best["memory"]["temporaries"].as_u64().unwrap() < 1 << 28, "{best}");
}

/// Llama-3.1-8B over eight chips, every byte by hand.
#[test]
fn the_bytes_of_a_device_are_those_of_the_model() {
    let folder = llama(4096, 14336, 32, [32, 8]);
    let args = ["--target", "v6e:2x4", "--batch", "8", "--prompt", "128", "--context", "1024", "--json"];
    let document = document(&plan(folder.path(), &args).success());
    assert_eq!(document["parameters"], 8_030_261_248_u64);
    let best = &document["candidates"][0];
    assert_eq!(best["mesh"], "tensor=8");
    let layer: u64 = 2 * 4096 * 4096 + 2 * 1024 * 4096 + 3 * 14336 * 4096;
    let split = 2 * (32 * layer + 2 * 128_256 * 4096) / 8;
    let norms = 65 * 4096 * 4;
    assert_eq!(best["memory"]["weights"], split + norms);
    assert_eq!(best["memory"]["cache"], 2 * 2 * 32 * 8 * 1024 * 128_u64);
    // Of the embedding table only rows are read.
    let decode = &best["programs"][0];
    let traffic = split + norms - 2 * 128_256 * 4096 / 8;
    let read = decode["traffic"].as_f64().unwrap() - best["memory"]["cache"].as_f64().unwrap();
    // Norm weights are no operands of products; ids, paddings and logits are read and written.
    let interface = 8 * 128_256 / 8 * 4 + 8 * 4 + 8 * 4 + 4;
    assert!((read - (traffic - norms + interface) as f64).abs() < 0.5, "{read}");
    assert_eq!(
        decode["collectives"],
        json!([
            { "kind": "all-reduce", "axes": ["tensor"], "count": 1, "bytes": 8.0 * 4096.0 * 2.0 },
            { "kind": "all-reduce", "axes": ["tensor"], "count": 32, "bytes": 8.0 * 4096.0 * 2.0 },
            { "kind": "all-reduce", "axes": ["tensor"], "count": 32, "bytes": 8.0 * 4096.0 * 2.0 },
        ])
    );
}

/// The same with narrow weights and a narrow cache: what is divided over devices stays so, a scale an output channel
/// with the channels.
#[test]
fn narrow_weights_take_their_own_bytes() {
    let folder = llama(4096, 14336, 32, [32, 8]);
    let args = ["--target", "v6e:2x4", "--batch", "8", "--prompt", "128", "--context", "1024", "--json"];
    let narrow = [&args[..], &["--quantize", "int8", "--cache-dtype", "fp8"]].concat();
    let document = document(&plan(folder.path(), &narrow).success());
    assert_eq!((&document["dtype"], &document["precision"]), (&json!("bf16"), &json!("int8, fp8 cache")));
    let best = &document["candidates"][0];
    assert_eq!(best["mesh"], "tensor=8");
    let layer: u64 = 2 * 4096 * 4096 + 2 * 1024 * 4096 + 3 * 14336 * 4096;
    let scales = 4 * 32 * ((4096 + 2 * 1024 + 2 * 14336) / 8 + 2 * 4096);
    let ends = 2 * 2 * 128_256 * 4096 / 8;
    let norms = 65 * 4096 * 4;
    assert_eq!(best["memory"]["weights"], 32 * layer / 8 + scales + ends + norms);
    assert_eq!(best["memory"]["cache"], 2 * 32 * 8 * 1024 * 128_u64);
    plan(folder.path(), &["--target", "v5e:2x4", "--quantize", "fp8"]).code(2).stderr(contains("take w8a8"));
}

#[test]
fn what_does_not_fit_is_a_no_with_the_smallest_slice_that_does() {
    let folder = llama(8192, 28672, 80, [64, 8]);
    let args = ["--target", "v6e:2x2", "--batch", "16", "--prompt", "128", "--context", "2048"];
    plan(folder.path(), &args)
        .code(1)
        .stdout(contains("does not fit"))
        .stdout(contains("the smallest v6e that it fits: v6e:2x4"))
        .stdout(contains("nothing of it was compiled or run"));
    let on = |target: &str| plan(folder.path(), &[&["--target", target], &args[2..]].concat());
    on("v6e:2x4").success();
}

#[test]
fn rows_that_do_not_divide_are_left_out_with_the_reason() {
    let folder = llama(8192, 28672, 80, [64, 8]);
    let args = ["--target", "v5e:4x4", "--batch", "3", "--json"];
    let document = document(&plan(folder.path(), &args).success());
    let refused = document["refused"].to_string();
    assert!(refused.contains("activation_batch: 3 do not divide over data=2"), "{refused}");
    assert!(!refused.contains("kv_heads"), "{refused}");
}

/// Llama-3.1-70B over sixteen chips: its eight key-value heads twice, so cache and their projections are twice
/// as large.
#[test]
fn heads_that_do_not_divide_are_padded_and_the_bytes_said() {
    let folder = llama(8192, 28672, 80, [64, 8]);
    let with = |mesh: &str| {
        let args = ["--target", "v6e:4x4", "--batch", "2", "--mesh", mesh, "--rules", "serving", "--json"];
        document(&plan(folder.path(), &args).success())["candidates"][0].clone()
    };
    let (padded, divides) = (with("tensor=16"), with("data=2,tensor=8"));
    assert_eq!(divides["pads"], json!([]));
    assert!(padded["pads"][0].as_str().unwrap().starts_with("pad_heads: 8 key-value heads"), "{padded}");
    assert_eq!(padded["padded_bytes"], 80 * 2 * 1024 * 8192 * 2_u64);
    // A head of two rows on each device, and a head of one row.
    let cache = |row: &Value| row["memory"]["cache"].as_u64().unwrap();
    assert_eq!(cache(&padded), 2 * cache(&divides));
    let share = padded["padded_flops"].as_f64().unwrap();
    let layer = 2 * 8192 * 8192 + 2 * 1024 * 8192 + 3 * 28672 * 8192_u64;
    let products = (80 * layer + 128_256 * 8192) as f64;
    let expected = (80 * 2 * 1024 * 8192_u64) as f64 / products;
    assert!(share > 0.9 * expected && share < 1.1 * expected, "{share} {expected}");
}

#[test]
fn prompts_choose_the_prefill_programs() {
    let folder = llama(4096, 14336, 2, [32, 8]);
    let prompts = folder.path().join("prompts.txt");
    fs::write(&prompts, "100 50\n120 50\n1000 10\n").unwrap();
    let args = ["--target", "v6e:1x1", "--prompts", prompts.to_str().unwrap()];
    let found = document(&plan(folder.path(), &[&args[..], &["--json"]].concat()).success());
    assert_eq!((&found["prompt"], &found["buckets"][1]["sizes"]), (&json!(1024), &json!([128, 1024])));
    plan(folder.path(), &args).success().stdout(contains("PREFILL PROGRAMS"));
    fs::write(&prompts, "100 fifty\n").unwrap();
    plan(folder.path(), &args).code(2).stderr(contains("line 1: \"100 fifty\""));
}

#[test]
fn objectives_choose_otherwise() {
    let folder = llama(4096, 14336, 32, [32, 8]);
    let best = |objective: &str| {
        let args = ["--target", "v6e:2x2", "--context", "1024", "--objective", objective, "--json"];
        document(&plan(folder.path(), &args).success())["candidates"][0].clone()
    };
    let (latency, throughput) = (best("latency"), best("throughput"));
    assert_eq!((&latency["mesh"], &latency["batch"]), (&json!("tensor=4"), &json!(1)));
    assert!(throughput["batch"].as_u64().unwrap() >= 256, "{throughput}");
    let rate = |row: &Value| row["tokens_a_second"].as_f64().unwrap();
    assert!(rate(&throughput) > 20.0 * rate(&latency));
    assert!(best("fit")["total"].as_u64() <= latency["total"].as_u64());
}

#[test]
fn wrong_usage_says_what_is_expected() {
    let folder = llama(4096, 14336, 2, [32, 8]);
    plan(folder.path(), &["--target", "v6e:2x2", "--mesh", "tensor=3"])
        .code(2)
        .stderr(contains("the mesh tensor=3 has 3 devices, there are 4").and(contains("tensor=4")));
    plan(folder.path(), &["--target", "v6e:2x2", "--mesh", "tensor"])
        .code(2)
        .stderr(contains("data=2,tensor=4"));
    plan(folder.path(), &["--target", "v6e:3x3"]).code(2).stderr(contains("near ones"));
    let rules = folder.path().join("rules.toml");
    fs::write(&rules, "[axes]\nvocab = 1").unwrap();
    plan(folder.path(), &["--target", "v6e:2x2", "--rules", rules.to_str().unwrap()])
        .code(2)
        .stderr(contains("the rule table").and(contains("vocab")));
}

/// The compiler's own sizes of a program's arguments, over four devices: what is counted is what lies there,
/// but for tiles of small tensors that are padded.
#[test]
fn the_compiler_finds_the_bytes_and_collectives_that_were_planned() {
    let folder = llama(1024, 4096, 2, [8, 4]);
    let args =
        ["--target", "v6e:2x2", "--batch", "8", "--prompt", "128", "--context", "1024", "--verify", "--json"];
    let document = document(&plan(folder.path(), &args).success());
    let (best, verified) = (&document["candidates"][0], &document["verified"]);
    assert_eq!(best["mesh"], verified["mesh"]);
    assert_eq!(verified["notes"], json!([]));
    let planned: f64 = ["weights", "cache"].iter().map(|part| best["memory"][part].as_f64().unwrap()).sum();
    for program in verified["programs"].as_array().unwrap() {
        let found = program["arguments"].as_f64().unwrap();
        assert!((found / planned - 1.0).abs() < 0.01, "{found} of {planned}: {program}");
        assert_eq!(program["predicted"], json!({ "all-reduce": 5 }));
    }
}

/// 7x multiplies 8-bit floats and no integers, so that fp8 is a form for it and w8a8 is none.
#[test]
fn the_compiler_chooses_among_the_precisions_and_rewrites_of_the_chip() {
    let tiny = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ci/fixtures/tiny/llama");
    let args = ["--target", "7x:1x1x1", "--mesh", "tensor=2", "--batch", "2", "--prompt", "16", "--context"];
    let args = [&args[..], &["32", "--search", "1", "--drift", "--json"]].concat();
    let document = document(&plan(&tiny, &args).success());
    let rows = document["search"].as_array().unwrap();
    let step = |row: &Value| row["seconds"][0].as_f64().unwrap();
    assert!(rows.iter().all(|row| row["fits"] == true && step(row) > 0.0), "{rows:?}");
    assert!(rows.windows(2).all(|pair| step(&pair[0]) <= step(&pair[1])), "the fastest first");
    let of = |precision: &str| rows.iter().filter(|row| row["precision"] == precision).collect::<Vec<_>>();
    let forms = |precision| {
        let mut forms: Vec<&str> =
            of(precision).iter().map(|row| row["rewrites"].as_str().unwrap()).collect();
        forms.sort_unstable();
        forms
    };
    assert_eq!(forms("bf16"), ["all", "none", "with roll_layers", "without weights_in_out"]);
    assert!(["int4", "int8", "fp8"].iter().all(|precision| forms(precision) == forms("bf16")), "{rows:?}");
    let cached = ["bf16, fp8 cache", "int4, fp8 cache", "int8, fp8 cache", "fp8, fp8 cache"];
    assert!(cached.iter().all(|precision| forms(precision) == ["all"]));
    assert_eq!(rows.len(), 20);
    // int8 rounds what bf16 does, and its weights; fp8 rounds coarser than int8, and int4 than fp8.
    let drift = |precision: &str| of(precision)[0]["drift"].as_f64().unwrap();
    assert!(drift("bf16") > 1e-4 && drift("int8") > 1.2 * drift("bf16") && drift("int8") < 0.1, "{rows:?}");
    assert!(drift("int4") > drift("fp8"), "{rows:?}");
    assert!(drift("fp8") > 2.0 * drift("int8") && drift("bf16, fp8 cache") > 1.2 * drift("bf16"), "{rows:?}");
    assert_eq!(rows[0]["pareto"], true);
    let dominated = |row: &&Value| {
        let better = |other: &Value| {
            let drift = |row: &Value| row["drift"].as_f64().unwrap();
            step(other) <= step(row) && drift(other) < drift(row)
        };
        rows.iter().any(better)
    };
    assert!(!rows.iter().filter(|row| row["pareto"] == true).any(|row| dominated(&row)), "{rows:?}");
}

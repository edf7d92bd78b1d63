//! Estimates against libtpu's own analysis, arithmetic by hand, and what was measured before.

use std::num::NonZeroU32;

use porter_plan::{CAVEAT, Estimate, Inputs, Resource, Row, model_flops};
use porter_runtime::CompileOptions;
use porter_zoo::Phase;

use crate::common::{compile, compile_with, cost, estimate, llama_8b, module, target};

fn near(found: f64, expected: f64, tolerance: f64) {
    assert!((found / expected - 1.0).abs() <= tolerance, "found {found:e}, expected {expected:e}");
}

/// A product, and what it takes at least: 2 m n k operations.
fn product(m: usize, k: usize, n: usize) -> String {
    format!(
        "func.func @main(%a: tensor<{m}x{k}xbf16>, %b: tensor<{k}x{n}xbf16>) -> tensor<{m}x{n}xbf16> {{
  %0 = stablehlo.dot_general %a, %b, contracting_dims = [1] x [0] : (tensor<{m}x{k}xbf16>, tensor<{k}x{n}xbf16>) -> tensor<{m}x{n}xbf16> loc(\"model.layers.3.mlp\")
  return %0 : tensor<{m}x{n}xbf16> }}"
    )
}

#[test]
fn operations_are_those_of_the_compilers_analysis() {
    let batched = "func.func @main(%a: tensor<8x256x128xbf16>, %b: tensor<8x128x384xbf16>) -> tensor<8x256x384xbf16> {
  %0 = stablehlo.dot_general %a, %b, batching_dims = [0] x [0], contracting_dims = [2] x [1] : (tensor<8x256x128xbf16>, tensor<8x128x384xbf16>) -> tensor<8x256x384xbf16>
  return %0 : tensor<8x256x384xbf16> }";
    for (program, by_hand) in [
        (product(512, 1024, 2048), 2.0 * 512.0 * 1024.0 * 2048.0),
        (batched.to_owned(), 2.0 * 8.0 * 256.0 * 128.0 * 384.0),
    ] {
        for name in ["v5e:1x1", "v6e:1x1"] {
            let compiled = compile(&target(name), &program);
            let found = estimate(&target(name), &compiled).compiled_flops;
            near(found, by_hand, 1e-12);
            // The analysis is in single precision.
            near(found, cost(&compiled, "flops"), 1e-6);
        }
    }
}

/// Windows of large bf16 products lie within a fifth of the peak on v5e and v5p, as `facts/aot.md` part 2
/// has them (0.97 and 0.96), which holds the clock to the table's peak.
#[test]
fn a_large_product_is_near_the_peak() {
    for (name, share) in [("v5e:1x1", 0.97), ("v5p:1x1x1", 0.96), ("v6e:1x1", 0.87)] {
        let found = estimate(&target(name), &compile(&target(name), &product(4096, 4096, 4096)));
        assert_eq!(found.bound, Resource::Core);
        near(found.mfu, share, 0.02);
        assert_eq!(found.by_source.first().map(|row| row.name.as_str()), Some("model.layers.*.mlp"));
    }
}

/// 12 turns of a product of 1024 cubed.
#[test]
fn loops_count_their_turns() {
    let program = "func.func @main(%x: tensor<1024x1024xbf16>, %w: tensor<12x1024x1024xbf16>) -> tensor<1024x1024xbf16> {
  %c0 = stablehlo.constant dense<0> : tensor<i32>
  %c1 = stablehlo.constant dense<1> : tensor<i32>
  %c12 = stablehlo.constant dense<12> : tensor<i32>
  %r:2 = stablehlo.while(%i = %c0, %h = %x) : tensor<i32>, tensor<1024x1024xbf16>
  cond { %p = stablehlo.compare LT, %i, %c12 : (tensor<i32>, tensor<i32>) -> tensor<i1> stablehlo.return %p : tensor<i1> }
  do { %s = stablehlo.dynamic_slice %w, %i, %c0, %c0, sizes = [1, 1024, 1024] : (tensor<12x1024x1024xbf16>, tensor<i32>, tensor<i32>, tensor<i32>) -> tensor<1x1024x1024xbf16>
    %m = stablehlo.reshape %s : (tensor<1x1024x1024xbf16>) -> tensor<1024x1024xbf16>
    %d = stablehlo.dot_general %h, %m, contracting_dims = [1] x [0] : (tensor<1024x1024xbf16>, tensor<1024x1024xbf16>) -> tensor<1024x1024xbf16>
    %n = stablehlo.add %i, %c1 : tensor<i32>
    stablehlo.return %n, %d : tensor<i32>, tensor<1024x1024xbf16> }
  return %r#1 : tensor<1024x1024xbf16> }";
    let compiled = compile(&target("v6e:1x1"), program);
    let found = estimate(&target("v6e:1x1"), &compiled);
    near(found.compiled_flops, 12.0 * 2.0 * 1024_f64.powi(3), 1e-12);
    assert!(cost(&compiled, "flops") < found.compiled_flops / 10.0, "the compiler counts a body once");
    // Of the stack, each turn reads one matrix: 25 MB in all, and the first operand and the result once.
    near(found.hbm_bytes, 14.0 * 2.0 * 1024_f64.powi(2), 0.1);
    assert!(found.notes.iter().all(|note| !note.contains("unknown length")), "{:?}", found.notes);
}

/// Slices of 8-bit numbers, which the compiler takes of a copy of the stack in another tiling, inside the fusion.
#[test]
fn a_slice_of_a_copy_inside_a_fusion_is_what_is_read() {
    let program = "func.func @main(%x: tensor<8x4096xbf16>, %w: tensor<8x4096x4096xi8>) -> tensor<8x4096xbf16> {
  %c0 = stablehlo.constant dense<0> : tensor<i32>
  %c1 = stablehlo.constant dense<1> : tensor<i32>
  %c8 = stablehlo.constant dense<8> : tensor<i32>
  %r:2 = stablehlo.while(%i = %c0, %h = %x) : tensor<i32>, tensor<8x4096xbf16>
  cond { %p = stablehlo.compare LT, %i, %c8 : (tensor<i32>, tensor<i32>) -> tensor<i1> stablehlo.return %p : tensor<i1> }
  do { %s = stablehlo.dynamic_slice %w, %i, %c0, %c0, sizes = [1, 4096, 4096] : (tensor<8x4096x4096xi8>, tensor<i32>, tensor<i32>, tensor<i32>) -> tensor<1x4096x4096xi8>
    %m = stablehlo.reshape %s : (tensor<1x4096x4096xi8>) -> tensor<4096x4096xi8>
    %f = stablehlo.convert %m : (tensor<4096x4096xi8>) -> tensor<4096x4096xbf16>
    %d = stablehlo.dot_general %h, %f, contracting_dims = [1] x [1] : (tensor<8x4096xbf16>, tensor<4096x4096xbf16>) -> tensor<8x4096xbf16>
    %n = stablehlo.add %i, %c1 : tensor<i32>
    stablehlo.return %n, %d : tensor<i32>, tensor<8x4096xbf16> }
  return %r#1 : tensor<8x4096xbf16> }";
    let found = estimate(&target("v6e:1x1"), &compile(&target("v6e:1x1"), program));
    near(found.hbm_bytes, 8.0 * 4096_f64.powi(2), 0.02);
}

/// Three slices of one stack in one fusion, and their sum.
#[test]
fn a_fusion_reads_every_slice_that_it_takes() {
    let ty = "(tensor<64x1024x1024xbf16>, tensor<i32>, tensor<i32>, tensor<i32>) -> tensor<1x1024x1024xbf16>";
    let slice = |n: usize| {
        format!("%s{n} = stablehlo.dynamic_slice %w, %i{n}, %c0, %c0, sizes = [1, 1024, 1024] : {ty}")
    };
    let program = format!(
        "func.func @main(%w: tensor<64x1024x1024xbf16>, %i0: tensor<i32>, %i1: tensor<i32>, %i2: tensor<i32>) -> tensor<1x1024x1024xbf16> {{
  %c0 = stablehlo.constant dense<0> : tensor<i32>
  {}
  {}
  {}
  %a = stablehlo.add %s0, %s1 : tensor<1x1024x1024xbf16>
  %b = stablehlo.add %a, %s2 : tensor<1x1024x1024xbf16>
  return %b : tensor<1x1024x1024xbf16> }}",
        slice(0),
        slice(1),
        slice(2)
    );
    let found = estimate(&target("v6e:1x1"), &compile(&target("v6e:1x1"), &program));
    near(found.hbm_bytes, 4.0 * 2.0 * 1024_f64.powi(2), 0.01);
}

/// Weights and cache once, without the table of embeddings, of which a step reads eight rows.
#[test]
fn a_decode_step_reads_what_it_must_and_is_bound_by_it() {
    let (layers, batch, cache) = (2.0, 8.0, 1024.0);
    let program = llama_8b(2, &Phase::Decode { batch: 8, cache: 1024 });
    let target = target("v6e:1x1");
    let compiled = compile(&target, &program.to_string());
    let inputs = Inputs { model_flops: Some(model_flops(&program)) };
    let found = Estimate::new(&module(&compiled), &target, &inputs).unwrap();

    let (hidden, wide, kv, vocab) = (4096.0, 14336.0, 1024.0, 128_256.0);
    let layer = 2.0 * hidden * hidden + 2.0 * hidden * kv + 3.0 * hidden * wide;
    let weights = layers * layer + vocab * hidden;
    let cached = layers * 2.0 * batch * cache * kv;
    // At most, the compiler also writes back whole what it updated in vector memory.
    let (least, most) = (2.0 * (weights + cached), 2.0 * (weights + 2.0 * cached));
    assert!(found.hbm_bytes > 0.99 * least && found.hbm_bytes < 1.01 * most, "{found}");
    // Attention reads every slot, for 32 heads of 128.
    let attention = layers * 2.0 * 2.0 * batch * cache * 32.0 * 128.0;
    near(found.model_flops, 2.0 * batch * weights + attention, 1e-3);
    assert!(found.seconds >= found.hbm_seconds && found.seconds < 2.0 * found.hbm_seconds, "{found}");
    assert!(found.mfu < 0.05 && found.hbm_share > 0.5, "{found}");
    assert_eq!(found.bound, Resource::Hbm, "{found}");

    for rows in [&found.by_source, &found.by_kind] {
        near(rows.iter().map(|row: &Row| row.seconds).sum(), found.seconds, 1e-9);
        near(rows.iter().map(|row| row.hbm_bytes).sum(), found.hbm_bytes, 1e-9);
    }
    let has = |name: &str| found.by_source.iter().any(|row| row.name == name);
    assert!(has("model.layers.*.mlp.down_proj") && has("lm_head"), "{found}");
    assert_eq!(found.notes.first().map(String::as_str), Some(CAVEAT));
    assert!(found.to_string().contains(CAVEAT));
    let json = serde_json::to_value(&found).unwrap();
    assert_eq!(json["notes"][0], CAVEAT);
}

/// Rows over x, contraction over y: the partial products of two devices are added up.
#[test]
fn collectives_are_found_with_their_bytes() {
    let program = "module @f { sdy.mesh @mesh = <[\"x\"=2, \"y\"=2]>
  func.func public @main(%a: tensor<4096x4096xbf16> {sdy.sharding = #sdy.sharding<@mesh, [{\"x\"}, {\"y\"}]>}, %b: tensor<4096x4096xbf16> {sdy.sharding = #sdy.sharding<@mesh, [{\"y\"}, {}]>}) -> (tensor<4096x4096xbf16> {sdy.sharding = #sdy.sharding<@mesh, [{\"x\"}, {}]>}) {
    %0 = stablehlo.dot_general %a, %b, contracting_dims = [1] x [0] : (tensor<4096x4096xbf16>, tensor<4096x4096xbf16>) -> tensor<4096x4096xbf16>
    return %0 : tensor<4096x4096xbf16> } }";
    let target = target("v5e:2x2");
    let options = CompileOptions::sharded(NonZeroU32::new(4).unwrap());
    let found = estimate(&target, &compile_with(&target, program, options));
    near(found.compiled_flops, 2.0 * 4096_f64.powi(3) / 4.0, 1e-12);
    let reduced: f64 = found.collectives.iter().filter(|c| c.kind == "all-reduce").map(|c| c.bytes).sum();
    // Half the rows, in bf16 or in the f32 of the accumulator.
    let rows = 2048.0 * 4096.0;
    assert!([2.0 * rows, 4.0 * rows].contains(&reduced), "{:?}", found.collectives);
    // Two devices on a line of one 45 GB/s link: an all-reduce sends what they hold once each way.
    near(found.ici_seconds, reduced / 45e9, 0.05);
    assert!(found.ici_share > 0.0 && found.seconds > found.core_seconds, "{found}");
}

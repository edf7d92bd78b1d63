//! Each form of each pattern: it is found, and both forms give the same on random inputs; and near misses, which are
//! left alone.
//!
//! Both forms are f32 and sum in another order: [`Budget::recorded`] allows 1e-4 of the result's standard deviation.
use std::f64::consts::{FRAC_1_SQRT_2, PI, SQRT_2};

use crate::support::{Tensors, client, compared, run, within};
use porter_ir::{Builder, DType, Direction, DotDimensions, Literal, Program, Result, TensorType, Value};
use porter_numerics::{Budget, Positions};
use porter_onnx::recognise;

fn f32(shape: &[usize]) -> TensorType {
    TensorType::new(DType::F32, shape)
}

/// Uniform in -2..2 for floats, 0 or 1 for booleans.
fn random(name: &str, ty: &TensorType) -> Vec<u8> {
    let mut state =
        name.bytes().fold(0x9e37_79b9_u64, |s, b| (s ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state >> 40
    };
    let count = ty.shape.elements();
    match ty.dtype {
        DType::Bool => (0..count).map(|_| u8::from(next() % 3 > 0)).collect(),
        _ => (0..count).flat_map(|_| (next() as f32 / (1 << 22) as f32 - 2.0).to_le_bytes()).collect(),
    }
}

/// What is found in `program`.
fn found(program: &Program) -> Vec<String> {
    let (lifted, found) = recognise(program, &|_| None).unwrap();
    assert_eq!(lifted.verify(), []);
    found.into_iter().map(|one| one.composite).collect()
}

/// `build` over arguments of these types is `name` and nothing else, and both forms give the same.
fn is(name: &str, types: &[TensorType], build: impl Fn(&Builder, &[Value]) -> Result<Value>) {
    let program = program(types, build);
    let (lifted, found) = recognise(&program, &|_| None).unwrap();
    assert_eq!(lifted.verify(), []);
    assert_eq!(found.iter().map(|one| one.composite.as_str()).collect::<Vec<_>>(), [name], "{program}");
    let given: Tensors = program
        .inputs()
        .iter()
        .map(|i| {
            let ty = program.ty(i.value).clone();
            (i.name.clone(), (ty.clone(), random(&i.name, &ty)))
        })
        .collect();
    let client = client();
    let (before, after) = (&run(&client, &program, &given)["y"], &run(&client, &lifted, &given)["y"]);
    let comparison =
        compared(name, (after.ty(), after.bytes()), (before.ty(), before.bytes()), &Positions::All);
    within(&Budget::recorded(None, comparison.scale), &comparison);
}

fn program(types: &[TensorType], build: impl Fn(&Builder, &[Value]) -> Result<Value>) -> Program {
    let b = Builder::new("main");
    let arguments: Vec<Value> =
        types.iter().enumerate().map(|(i, ty)| b.argument(&format!("x{i}"), ty.clone()).unwrap()).collect();
    b.result("y", build(&b, &arguments).unwrap()).unwrap();
    b.finish()
}

fn power(b: &Builder, x: Value, n: f64) -> Result<Value> {
    b.power(x, b.full_like(x, n)?)
}

#[test]
fn activations_in_every_arrangement() {
    let x = [f32(&[3, 17])];
    is("porter.silu", &x, |b, x| b.multiply(b.logistic(x[0])?, x[0]));
    is("porter.quick_gelu", &x, |b, x| b.multiply(x[0], b.logistic(b.multiply_scalar(x[0], 1.702)?)?));
    let gate = |b: &Builder, x: Value| b.add_scalar(b.erf(b.divide(x, b.full_like(x, SQRT_2)?)?)?, 1.0);
    is("porter.gelu", &x, |b, x| b.multiply_scalar(b.multiply(x[0], gate(b, x[0])?)?, 0.5));
    is("porter.gelu", &x, |b, x| b.multiply(b.multiply_scalar(x[0], 0.5)?, gate(b, x[0])?));
    is("porter.gelu", &x, |b, x| {
        let half = b.multiply_scalar(x[0], 0.5)?;
        b.add(half, b.multiply(half, b.erf(b.multiply_scalar(x[0], FRAC_1_SQRT_2)?)?)?)
    });
    let slope = (2.0 / PI).sqrt();
    is("porter.gelu_tanh", &x, |b, x| {
        let inner = b.add(x[0], b.multiply_scalar(power(b, x[0], 3.0)?, 0.044_715)?)?;
        let gate = b.add_scalar(b.tanh(b.multiply_scalar(inner, slope)?)?, 1.0)?;
        b.multiply(b.multiply_scalar(x[0], 0.5)?, gate)
    });
    is("porter.gelu_tanh", &x, |b, x| {
        let square = b.multiply_scalar(b.multiply(x[0], x[0])?, 0.044_715)?;
        let line = b.multiply(b.multiply_scalar(x[0], slope)?, b.add_scalar(square, 1.0)?)?;
        b.multiply(x[0], b.multiply_scalar(b.add_scalar(b.tanh(line)?, 1.0)?, 0.5)?)
    });
}

#[test]
fn what_is_nearly_an_activation_is_left_alone() {
    let x = [f32(&[3, 17]), f32(&[3, 17])];
    let not = |build: fn(&Builder, &[Value]) -> Result<Value>| {
        assert_eq!(found(&program(&x, build)), [""; 0]);
    };
    not(|b, x| b.multiply(x[1], b.logistic(x[0])?));
    not(|b, x| b.multiply(x[0], b.logistic(b.multiply_scalar(x[0], 1.7)?)?));
    not(|b, x| {
        let gate = b.add_scalar(b.erf(b.multiply_scalar(x[0], 0.7)?)?, 1.0)?;
        b.multiply(b.multiply_scalar(x[0], 0.5)?, gate)
    });
    not(|b, x| {
        let gate = b.add_scalar(b.erf(b.multiply_scalar(x[0], FRAC_1_SQRT_2)?)?, 1.0)?;
        b.multiply(x[0], gate)
    });
}

fn spread(b: &Builder, x: Value, shape: &[usize], dims: &[usize]) -> Result<Value> {
    b.broadcast_in_dim(x, shape, dims)
}

/// The mean over the last dimension, kept at size 1.
fn mean(b: &Builder, x: Value) -> Result<Value> {
    let shape = b.shape(x);
    let last = shape.rank() - 1;
    let sum = b.reduce_sum_keep(x, &[last])?;
    b.divide(sum, b.full_like(sum, shape[last] as f64)?)
}

const ROWS: [usize; 3] = [2, 5, 16];

fn rows(b: &Builder, x: Value) -> Result<Value> {
    spread(b, x, &ROWS, &[0, 1, 2])
}

fn last(b: &Builder, x: Value) -> Result<Value> {
    spread(b, x, &ROWS, &[2])
}

#[test]
fn rms_norms_in_every_form() {
    let types = [f32(&ROWS), f32(&[16])];
    let variance = |b: &Builder, x: Value| b.add_scalar(mean(b, b.multiply(x, x)?)?, 1e-5);
    is("porter.rms_norm", &types, |b, x| {
        let inverse = b.rsqrt(variance(b, x[0])?)?;
        b.multiply(last(b, x[1])?, b.multiply(x[0], rows(b, inverse)?)?)
    });
    is("porter.rms_norm", &types, |b, x| {
        let unit = b.divide(x[0], rows(b, b.sqrt(variance(b, x[0])?)?)?)?;
        b.multiply(unit, last(b, x[1])?)
    });
    is("porter.rms_norm", &types, |b, x| {
        let square = b.add_scalar(mean(b, power(b, x[0], 2.0)?)?, 1e-6)?;
        let unit = b.multiply(x[0], rows(b, power(b, square, -0.5)?)?)?;
        b.multiply(unit, last(b, b.add_scalar(x[1], 1.0)?)?)
    });
}

#[test]
fn layer_norms_with_and_without_bias() {
    let types = [f32(&ROWS), f32(&[16]), f32(&[16])];
    let unit = |b: &Builder, x: Value| -> Result<Value> {
        let centred = b.subtract(x, rows(b, mean(b, x)?)?)?;
        let root = b.sqrt(b.add_scalar(mean(b, b.multiply(centred, centred)?)?, 1e-12)?)?;
        b.divide(centred, rows(b, root)?)
    };
    is("porter.layer_norm", &types, |b, x| {
        b.add(b.multiply(unit(b, x[0])?, last(b, x[1])?)?, last(b, x[2])?)
    });
    is("porter.layer_norm", &types[..2], |b, x| b.multiply(unit(b, x[0])?, last(b, x[1])?));
}

#[test]
fn what_is_nearly_a_norm_is_left_alone() {
    let square = [4, 4];
    let types = [f32(&square), f32(&[4])];
    let norm = |b: &Builder, x: &[Value], scale: f64, dims: [usize; 2]| -> Result<Value> {
        let sum = b.reduce_sum(b.multiply(x[0], x[0])?, &[1])?;
        let inverse = b.rsqrt(b.add_scalar(b.multiply_scalar(sum, scale)?, 1e-5)?)?;
        let unit = b.multiply(x[0], spread(b, inverse, &square, &[dims[0]])?)?;
        b.multiply(unit, spread(b, x[1], &square, &[dims[1]])?)
    };
    let found_of = |scale, dims| found(&program(&types, move |b, x| norm(b, x, scale, dims)));
    assert_eq!(found_of(0.25, [0, 1]), ["porter.rms_norm"]);
    // Another mean; statistics of the wrong rows; weights along the wrong dimension.
    assert_eq!(found_of(0.5, [0, 1]), [""; 0]);
    assert_eq!(found_of(0.25, [1, 1]), [""; 0]);
    assert_eq!(found_of(0.25, [0, 0]), [""; 0]);
}

const HEADS: [usize; 4] = [2, 4, 5, 8];

fn rotate_half(b: &Builder, x: Value) -> Result<Value> {
    let half = b.shape(x)[3] / 2;
    b.concatenate(&[b.negate(b.slice_dim(x, 3, half, 2 * half)?)?, b.slice_dim(x, 3, 0, half)?], 3)
}

#[test]
fn rotary_positions() {
    // transformers: tables over the whole width, of angles that are joined with themselves.
    is("porter.rotary", &[f32(&HEADS), f32(&[2, 5, 4])], |b, x| {
        let angles = b.concatenate(&[x[1], x[1]], 2)?;
        let table = |v| spread(b, b.reshape(v, [2, 1, 5, 8])?, &HEADS, &[0, 1, 2, 3]);
        let (cos, sin) = (table(b.cosine(angles)?)?, table(b.sine(angles)?)?);
        b.add(b.multiply(x[0], cos)?, b.multiply(rotate_half(b, x[0])?, sin)?)
    });
    // Tokens before heads, and tables of constants.
    is("porter.rotary", &[f32(&[2, 5, 4, 8])], |b, x| {
        let table = |f: fn(f32) -> f32| -> Result<Value> {
            let values: Vec<f32> = (0..40).map(|i| f((i / 8 * (i % 4)) as f32)).collect();
            spread(b, b.constant(Literal::from_slice([5, 8], &values).unwrap())?, &[2, 5, 4, 8], &[1, 3])
        };
        let plain = b.multiply(x[0], table(f32::cos)?)?;
        b.add(b.multiply(rotate_half(b, x[0])?, table(f32::sin)?)?, plain)
    });
    // ONNX's operator: tables over half the width.
    is("porter.rotary", &[f32(&HEADS), f32(&[5, 4]), f32(&[5, 4])], |b, x| {
        let (first, second) = (b.slice_dim(x[0], 3, 0, 4)?, b.slice_dim(x[0], 3, 4, 8)?);
        let table = |v| spread(b, v, &[2, 4, 5, 4], &[2, 3]);
        let (cos, sin) = (table(x[1])?, table(x[2])?);
        let real = b.subtract(b.multiply(cos, first)?, b.multiply(sin, second)?)?;
        let imaginary = b.add(b.multiply(sin, first)?, b.multiply(cos, second)?)?;
        b.concatenate(&[real, imaginary], 3)
    });
}

#[test]
fn tables_that_may_differ_in_their_halves_or_between_heads_are_left_alone() {
    let turn = |b: &Builder, x: Value, cos: Value, sin: Value| {
        b.add(b.multiply(x, cos)?, b.multiply(rotate_half(b, x)?, sin)?)
    };
    let halves = program(&[f32(&HEADS), f32(&[5, 8])], |b, x| {
        let table = spread(b, x[1], &HEADS, &[2, 3])?;
        turn(b, x[0], table, table)
    });
    assert_eq!(found(&halves), [""; 0]);
    let heads = program(&[f32(&HEADS), f32(&[4, 5, 4])], |b, x| {
        let table = spread(b, b.concatenate(&[x[1], x[1]], 2)?, &HEADS, &[1, 2, 3])?;
        turn(b, x[0], table, table)
    });
    assert_eq!(found(&heads), [""; 0]);
}

fn dot(b: &Builder, x: Value, y: Value) -> Result<Value> {
    let dimensions = DotDimensions {
        lhs_batching: vec![0, 1],
        rhs_batching: vec![0, 1],
        lhs_contracting: vec![3],
        rhs_contracting: vec![2],
    };
    b.dot_general(x, y, dimensions, DType::F32)
}

fn softmax(b: &Builder, x: Value) -> Result<Value> {
    let shape = b.shape(x);
    let e = b.exponential(
        b.subtract(x, b.broadcast_in_dim(b.reduce_max_keep(x, &[3])?, shape.clone(), &[0, 1, 2, 3])?)?,
    )?;
    b.divide(e, b.broadcast_in_dim(b.reduce_sum_keep(e, &[3])?, shape, &[0, 1, 2, 3])?)
}

const SCORES: [usize; 4] = [2, 4, 5, 5];

/// `q`, `k`, `v` as `[batch, heads, tokens, width]`, through `scores` to the result.
fn attend(b: &Builder, x: &[Value], scores: impl FnOnce(&Builder, Value) -> Result<Value>) -> Result<Value> {
    let raw = dot(b, x[0], b.transpose(x[1], &[0, 1, 3, 2])?)?;
    dot(b, softmax(b, scores(b, raw)?)?, x[2])
}

fn qkv(more: &[TensorType]) -> Vec<TensorType> {
    [&[f32(&HEADS), f32(&HEADS), f32(&HEADS)][..], more].concat()
}

fn mask_type() -> TensorType {
    TensorType::new(DType::Bool, [2, 1, 1, 5])
}

fn over(b: &Builder, x: Value) -> Result<Value> {
    spread(b, x, &SCORES, &[0, 1, 2, 3])
}

#[test]
fn attention_scaled_in_every_place() {
    is("porter.attention", &qkv(&[]), |b, x| attend(b, x, |_, s| Ok(s)));
    is("porter.attention", &qkv(&[]), |b, x| attend(b, x, |b, s| b.multiply_scalar(s, 0.3)));
    is("porter.attention", &qkv(&[]), |b, x| attend(b, x, |b, s| b.divide(s, b.full_like(s, 2.5)?)));
    is("porter.attention", &qkv(&[]), |b, x| {
        let (q, k) = (b.multiply_scalar(x[0], 0.5)?, b.multiply_scalar(x[1], 0.6)?);
        attend(b, &[q, k, x[2]], |_, s| Ok(s))
    });
    is("porter.attention", &qkv(&[]), |b, x| {
        let keys = b.multiply_scalar(b.transpose(x[1], &[0, 1, 3, 2])?, 0.4)?;
        dot(b, softmax(b, dot(b, x[0], keys)?)?, x[2])
    });
}

#[test]
fn attention_with_masks() {
    let most = f64::from(f32::MIN);
    let types = qkv(&[mask_type()]);
    is("porter.attention", &types, |b, x| {
        attend(b, x, |b, s| b.select(over(b, x[3])?, s, b.full_like(s, f64::NEG_INFINITY)?))
    });
    is("porter.attention", &types, |b, x| {
        attend(b, x, |b, s| b.select(over(b, x[3])?, b.full_like(s, most)?, s))
    });
    is("porter.attention", &types, |b, x| {
        let shape = TensorType::new(DType::F32, [2, 1, 1, 5]);
        let term = b.select(x[3], b.full(shape.clone(), 0.0)?, b.full(shape, most)?)?;
        attend(b, x, |b, s| b.add(over(b, term)?, s))
    });
    // A causal mask of known numbers, and one of the caller's.
    is("porter.attention", &types, |b, x| {
        let causal: Vec<f32> =
            (0..25).map(|i| if i % 5 <= i / 5 { 0.0 } else { f32::NEG_INFINITY }).collect();
        let causal = spread(b, b.constant(Literal::from_slice([5, 5], &causal).unwrap())?, &SCORES, &[2, 3])?;
        attend(b, x, |b, s| b.add(b.select(over(b, x[3])?, s, b.full_like(s, most)?)?, causal))
    });
}

/// A mask under which row 2 sees nothing.
fn blind(b: &Builder, mask: Value) -> Result<Value> {
    let shape = [2, 1, 5, 5];
    let rows = b.iota(TensorType::new(DType::I32, shape), 2)?;
    let rows = b.compare(rows, b.full_like(rows, 2.0)?, Direction::Ne)?;
    over(b, b.and(spread(b, mask, &shape, &[0, 1, 2, 3])?, rows)?)
}

#[test]
fn rows_that_see_nothing_give_what_they_gave() {
    let types = qkv(&[mask_type()]);
    let guarded = |b: &Builder, x: &[Value], scores: Value| -> Result<Value> {
        let weights = softmax(b, scores)?;
        let nan = b.compare(weights, weights, Direction::Ne)?;
        dot(b, b.select(nan, b.full_like(weights, 0.0)?, weights)?, x[2])
    };
    let raw = |b: &Builder, x: &[Value]| dot(b, x[0], b.transpose(x[1], &[0, 1, 3, 2])?);
    is("porter.attention", &types, |b, x| {
        let s = raw(b, x)?;
        guarded(b, x, b.select(blind(b, x[3])?, s, b.full_like(s, f64::NEG_INFINITY)?)?)
    });
    is("porter.attention", &types, |b, x| {
        let s = raw(b, x)?;
        guarded(b, x, b.select(blind(b, x[3])?, s, b.full_like(s, f64::from(f32::MIN))?)?)
    });
    is("porter.biased_attention", &qkv(&[f32(&[4, 5, 5]), mask_type()]), |b, x| {
        let s = b.add(raw(b, x)?, spread(b, x[3], &SCORES, &[1, 2, 3])?)?;
        guarded(b, x, b.select(blind(b, x[4])?, s, b.full_like(s, f64::NEG_INFINITY)?)?)
    });
}

#[test]
fn biases_and_soft_caps() {
    is("porter.biased_attention", &qkv(&[f32(&[1, 4, 5, 5])]), |b, x| {
        attend(b, x, |b, s| b.add(b.multiply_scalar(s, 0.3)?, over(b, x[3])?))
    });
    is("porter.biased_attention", &qkv(&[mask_type()]), |b, x| {
        attend(b, x, |b, s| {
            let capped = b.multiply_scalar(b.tanh(b.multiply_scalar(s, 0.3 / 5.0)?)?, 5.0)?;
            b.select(over(b, x[3])?, capped, b.full_like(s, f64::from(f32::MIN))?)
        })
    });
}

#[test]
fn grouped_heads_are_read_in_place_and_joined_heads_are_part_of_it() {
    let types = [f32(&[2, 5, 32]), f32(&[2, 2, 5, 8]), f32(&[2, 2, 5, 8])];
    let repeat =
        |b: &Builder, x: Value| b.reshape(b.broadcast_in_dim(x, [2, 2, 2, 5, 8], &[0, 1, 3, 4])?, HEADS);
    let build = |b: &Builder, x: &[Value]| -> Result<Value> {
        let q = b.transpose(b.reshape(x[0], [2, 5, 4, 8])?, &[0, 2, 1, 3])?;
        let y = attend(b, &[q, repeat(b, x[1])?, repeat(b, x[2])?], |b, s| b.multiply_scalar(s, 0.35))?;
        b.reshape(b.transpose(y, &[0, 2, 1, 3])?, [2, 5, 32])
    };
    is("porter.attention", &types, build);
    let (lifted, _) = recognise(&program(&types, build), &|_| None).unwrap();
    let transposes = lifted.region(lifted.body()).ops.iter();
    let transposes = transposes.filter(|&&op| lifted.op(op).op.kind() == porter_ir::OpKind::Transpose);
    assert_eq!(transposes.count(), 0, "{lifted}");
}

#[test]
fn what_is_nearly_attention_is_left_alone() {
    let not = |build: fn(&Builder, &[Value]) -> Result<Value>| {
        assert_eq!(found(&program(&qkv(&[mask_type()]), build)), [""; 0]);
    };
    // A mask that scores may come near, the softmax of another dimension, keys and values of other groups.
    not(|b, x| attend(b, x, |b, s| b.select(over(b, x[3])?, s, b.full_like(s, -3.0)?)));
    not(|b, x| {
        let s = dot(b, x[0], b.transpose(x[1], &[0, 1, 3, 2])?)?;
        let e = b.exponential(b.subtract(s, over(b, b.reduce_max_keep(s, &[2])?)?)?)?;
        dot(b, b.divide(e, over(b, b.reduce_sum_keep(e, &[2])?)?)?, x[2])
    });
}

#[test]
fn quantised_pairs() {
    let quantize = |b: &Builder, x: Value, scale: Value, zero: Value, dtype: DType| -> Result<Value> {
        let whole = b.add(b.round_nearest_even(b.divide(x, scale)?)?, b.convert(zero, DType::F32)?)?;
        let (low, high) = if dtype == DType::U8 { (0.0, 255.0) } else { (-128.0, 127.0) };
        let bounded = b.minimum(b.maximum(whole, b.full_like(whole, low)?)?, b.full_like(whole, high)?)?;
        b.convert(b.convert(bounded, DType::I32)?, dtype)
    };
    let dequantize = |b: &Builder, q: Value, scale: Value, zero: Value| -> Result<Value> {
        let centred = b.subtract(b.convert(q, DType::I32)?, b.convert(zero, DType::I32)?)?;
        b.multiply(b.convert(centred, DType::F32)?, scale)
    };
    let shape = [3, 6];
    let one = |b: &Builder, dtype, value| -> Result<Value> {
        spread(b, b.full(TensorType::scalar(dtype), value)?, &shape, &[])
    };
    is("porter.quantize_dequantize", &[f32(&shape)], |b, x| {
        let (scale, zero) = (one(b, DType::F32, 0.02)?, one(b, DType::U8, 120.0)?);
        dequantize(b, quantize(b, x[0], scale, zero, DType::U8)?, scale, zero)
    });
    // Scales along a dimension.
    is("porter.quantize_dequantize", &[f32(&shape)], |b, x| {
        let scales = Literal::from_slice([6], &[0.01_f32, 0.02, 0.03, 0.04, 0.05, 0.06]).unwrap();
        let (scale, zero) = (spread(b, b.constant(scales)?, &shape, &[1])?, one(b, DType::I8, 0.0)?);
        dequantize(b, quantize(b, x[0], scale, zero, DType::I8)?, scale, zero)
    });
    // Another scale: two ops, not a pair.
    let other = program(&[f32(&shape)], |b, x| {
        let zero = one(b, DType::I8, 0.0)?;
        let q = quantize(b, x[0], one(b, DType::F32, 0.02)?, zero, DType::I8)?;
        dequantize(b, q, one(b, DType::F32, 0.03)?, zero)
    });
    assert_eq!(found(&other), ["porter.quantize", "porter.dequantize"]);
}

//! Whole programs, printed and compiled by the tests.

use porter_ir::{
    AttributeValue, Builder, DType, Direction, DotDimensions, Mesh, Program, Result, Sharding, TensorType,
    Value,
};

fn rms_norm(b: &Builder, x: Value, weight: Value) -> Result<Value> {
    let attributes = vec![("epsilon".to_owned(), AttributeValue::F64(1e-5))];
    let normed = b.composite("porter.rms_norm", attributes, &[x, weight], |b, args| {
        let (x, weight) = (args[0], args[1]);
        let squares = b.multiply(x, x)?;
        let mean = b.multiply_scalar(b.reduce_sum_keep(squares, &[1])?, 0.25)?;
        let scale = b.rsqrt(b.add_scalar(mean, 1e-5)?)?;
        let scaled = b.multiply(x, b.broadcast_to(scale, b.shape(x), &[0, 1])?)?;
        Ok(vec![b.multiply(scaled, b.broadcast_to(weight, b.shape(x), &[1])?)?])
    })?;
    Ok(normed[0])
}

/// A decoder step in small: an embedding, a norm, a cache that is written and read.
pub(crate) fn step() -> Result<Program> {
    let b = Builder::new("decode");
    let ids = b.argument("ids", TensorType::new(DType::I32, [1]))?;
    let position = b.argument("position", TensorType::scalar(DType::I32))?;
    let table = b.at("model.embed_tokens").weight("weight", TensorType::new(DType::BF16, [8, 4]))?;
    let x = b.at("model.embed_tokens").embedding(table, ids)?;
    let x = b.convert(x, DType::F32)?;

    let layer = b.at("model.layers.0");
    let norm = layer.scope("input_layernorm");
    let weight = norm.weight("weight", TensorType::new(DType::F32, [4]))?;
    let x = rms_norm(&norm, x, weight)?;

    let attention = layer.scope("self_attn");
    let cache = attention.state("layers.0.keys", TensorType::new(DType::F32, [16, 4]))?;
    let column = attention.full_like(position, 0.0)?;
    let keys = attention.dynamic_update_slice(cache, x, &[position, column])?;
    let dimensions =
        DotDimensions { lhs_contracting: vec![1], rhs_contracting: vec![1], ..DotDimensions::default() };
    let scores = attention.dot_general(x, keys, dimensions, DType::F32)?;
    b.result("scores", scores)?;
    b.update("layers.0.keys", keys)?;
    Ok(b.finish())
}

/// A loop and a choice that read values from outside, under names that must be escaped.
pub(crate) fn control_flow() -> Result<Program> {
    let b = Builder::new("control flow");
    let n = b.argument("n", TensorType::scalar(DType::I32))?;
    let x = b.argument("x", TensorType::new(DType::F32, [2]))?;
    let looped = b.at("it's a \"loop\"").while_(
        &[b.full_like(n, 0.0)?, x],
        |b, a| b.compare(a[0], n, Direction::Lt),
        |b, a| Ok(vec![b.add_scalar(a[0], 1.0)?, b.add(a[1], x)?]),
    )?;
    let any = b.compare(n, b.full_like(n, 0.0)?, Direction::Gt)?;
    let chosen = b.if_(any, |_| Ok(vec![looped[1]]), |b| Ok(vec![b.full_like(x, f64::INFINITY)?]))?;
    b.result("y", chosen[0])?;
    Ok(b.finish())
}

/// A linear layer over a mesh of two by four devices.
pub(crate) fn sharded() -> Result<Program> {
    let split = |dims: [&[&str]; 2]| Sharding {
        dims: dims.iter().map(|axes| axes.iter().map(ToString::to_string).collect()).collect(),
    };
    let b = Builder::new("sharded");
    b.set_mesh(Mesh { axes: vec![("data".to_owned(), 2), ("model".to_owned(), 4)] });
    let x = b.argument("x", TensorType::new(DType::BF16, [2, 8]))?;
    let w = b.weight("proj.weight", TensorType::new(DType::BF16, [8, 8]))?;
    b.shard_input("x", split([&["data"], &[]]))?;
    b.shard_input("proj.weight", split([&["model"], &[]]))?;
    let y = b.at("proj").linear(x, w, DType::F32)?;
    let y = b.sharding_constraint(y, split([&["data"], &["model"]]))?;
    b.result("y", y)?;
    b.shard_output("y", split([&[], &["data", "model"]]))?;
    Ok(b.finish())
}

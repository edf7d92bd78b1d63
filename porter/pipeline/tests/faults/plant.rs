//! Faults, each a rewrite that makes one module of a program wrong.

use porter_ir::{
    AttributeValue, Builder, DType, Direction, InputRole, Op, OpId, OpKind, Program, Result, TensorType, Value,
    program::OpData,
};
use porter_rewrite::{Edit, Effect, Patch, Port, Rewrite, Site};

/// How one op is built wrong: its operands in the new program, and its old form.
pub(crate) type Wrong = fn(&Site<'_>, &Program, OpId, &[Value]) -> Result<Vec<Value>>;

/// A fault in the ops of one kind at one path.
pub(crate) struct Fault {
    pub(crate) name: &'static str,
    pub(crate) path: &'static str,
    pub(crate) op: fn(&OpData) -> bool,
    pub(crate) wrong: Wrong,
}

impl Rewrite for Fault {
    fn name(&self) -> &'static str {
        self.name
    }

    fn propose(&self, port: &Port) -> Patch {
        let mut patch = Patch::new(self.name, Effect::Approximate, port);
        for (edits, program) in patch.edits.iter_mut().zip(&port.programs) {
            let body = program.region(program.body());
            let here = |&&op: &&OpId| {
                let data = program.op(op);
                program.path(data.path) == self.path && (self.op)(data)
            };
            edits.extend(body.ops.iter().filter(here).map(|&op| {
                let (source, wrong) = (program.clone(), self.wrong);
                Edit::one(program, op, move |site| {
                    let operands: Vec<Value> =
                        source.op(op).operands.iter().map(|&v| site.value(v)).collect::<Result<_>>()?;
                    wrong(site, &source, op, &operands)
                })
            }));
        }
        patch
    }
}

fn is_composite(data: &OpData, name: &str) -> bool {
    matches!(&data.op, Op::Composite(composite) if composite.name == name)
}

/// The two halves of every head change places before they are rotated.
pub(crate) const ROTARY_HALVES: Fault = Fault {
    name: "rotary_halves_swapped",
    path: "model.layers.1.self_attn",
    op: |data| is_composite(data, "porter.rotary"),
    wrong: |site, _, op, operands| {
        let b = &site.b;
        let size = b.shape(operands[0])[3];
        let (first, second) =
            (b.slice_dim(operands[0], 3, 0, size / 2)?, b.slice_dim(operands[0], 3, size / 2, size)?);
        let swapped = b.concatenate(&[second, first], 3)?;
        site.repeat(b, op, &[swapped, operands[1], operands[2]])
    },
};

/// Scores are not divided by the root of the head's size.
pub(crate) const NO_SCALE: Fault = Fault {
    name: "missing_attention_scale",
    path: "model.layers.1.self_attn",
    op: |data| is_composite(data, "porter.attention"),
    wrong: |site, _, op, operands| {
        let b = &site.b;
        let size = b.shape(operands[0])[3];
        let unscaled = b.multiply_scalar(operands[0], (size as f64).sqrt())?;
        site.repeat(b, op, &[unscaled, operands[1], operands[2], operands[3]])
    },
};

/// Another epsilon under the root of a norm.
pub(crate) const EPSILON: Fault = Fault {
    name: "wrong_norm_epsilon",
    path: "model.layers.2.post_attention_layernorm",
    op: |data| is_composite(data, "porter.rms_norm"),
    wrong: |site, _, _, operands| {
        const EPSILON: f64 = 1e-3;
        let attributes = vec![("epsilon".to_owned(), AttributeValue::F64(EPSILON))];
        site.b.composite("porter.rms_norm", attributes, operands, |b, args| rms_norm(b, args, EPSILON))
    },
};

fn rms_norm(b: &Builder, args: &[Value], epsilon: f64) -> Result<Vec<Value>> {
    let (x, shape) = (args[0], b.shape(args[0]));
    let last = shape.rank() - 1;
    let sum = b.reduce_sum(b.multiply(x, x)?, &[last])?;
    let mean = b.multiply_scalar(sum, 1.0 / shape[last] as f64)?;
    let root = b.rsqrt(b.add_scalar(mean, epsilon)?)?;
    let leading: Vec<usize> = (0..last).collect();
    let normed = b.multiply(x, b.broadcast_in_dim(root, shape.clone(), &leading)?)?;
    Ok(vec![b.multiply(b.broadcast_in_dim(args[1], shape, &[last])?, normed)?])
}

/// A weight that is read as `[in, out]` where it is `[out, in]`.
pub(crate) const TRANSPOSED: Fault = Fault {
    name: "transposed_projection",
    path: "model.layers.0.self_attn.o_proj",
    op: |data| data.op.kind() == OpKind::DotGeneral,
    wrong: |site, source, op, operands| {
        let b = &site.b;
        let weight = source.op(op).operands.iter().position(|&value| {
            source.inputs().iter().any(|i| i.value == value && i.role == InputRole::Weight)
        });
        let mut operands = operands.to_vec();
        let place = weight.expect("a projection has a weight");
        let [out, inner] = b.shape(operands[place]).to_vec()[..] else { panic!("a matrix") };
        let turned = b.transpose(b.reshape(operands[place], [inner, out])?, &[1, 0])?;
        operands[place] = turned;
        site.repeat(b, op, &operands)
    },
};

/// Positions from 64 on are one too great.
pub(crate) const LATE_POSITIONS: Fault = Fault {
    name: "off_by_one_after_64",
    path: "model.rotary_emb",
    op: |data| data.op.kind() == OpKind::Subtract,
    wrong: |site, _, op, operands| {
        let b = &site.b;
        let positions = site.repeat(b, op, operands)?[0];
        let late = b.compare(positions, b.full_like(positions, 64.0)?, Direction::Ge)?;
        Ok(vec![b.add(positions, b.convert(late, DType::I32)?)?])
    },
};

/// Tokens see the padding at the left of their row.
pub(crate) const LEAKING_PADDING: Fault = Fault {
    name: "padded_lane_leaks",
    path: "model.causal_mask",
    op: |data| data.op.kind() == OpKind::And,
    // `causal & (key >= padding)`: the first operand alone.
    wrong: |_, _, _, operands| Ok(vec![operands[0]]),
};

/// A step writes its key and value into the slot after its own.
pub(crate) const LATE_CACHE: Fault = Fault {
    name: "cache_one_slot_late",
    path: "model.layers.1.self_attn",
    op: |data| data.op.kind() == OpKind::DynamicUpdateSlice,
    wrong: |site, _, op, operands| {
        let b = &site.b;
        let mut operands = operands.to_vec();
        operands[4] = b.add(operands[4], b.full(TensorType::scalar(DType::I32), 1.0)?)?;
        site.repeat(b, op, &operands)
    },
};

/// The sums of a product are kept in bf16.
pub(crate) const NARROW_SUMS: Fault = Fault {
    name: "bf16_accumulation",
    path: "model.layers.1.mlp.down_proj",
    op: |data| data.op.kind() == OpKind::DotGeneral,
    wrong: |site, source, op, operands| {
        let b = &site.b;
        let Op::DotGeneral(dot) = &source.op(op).op else { panic!("a product") };
        let sums = b.dot_general(operands[0], operands[1], dot.dimensions.clone(), DType::BF16)?;
        Ok(vec![b.convert(sums, dot.output)?])
    },
};

//! What a value is, where the program up to it depends on constants only: shape arithmetic, computed
//! exactly.
//!
//! Values are evaluated on demand by walking the program back from them, so an op's lowering is its
//! folding too. Integers wrap as StableHLO's do; floats are computed in `f64` and rounded to their type
//! after every op, which is the correctly rounded result for the basic operations.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    rc::Rc,
};

use porter_ir::{
    DType, Direction, InputRole, Op, Program, RegionId, TensorType, Value,
    program::{Definition, OpData},
};

use crate::host::{Data, Host, indices, round, strides, wrap};

/// The largest tensor that is computed at import, in elements.
const LIMIT: usize = 1 << 20;
/// How many ops all regions together may run.
const STEPS: usize = 1 << 22;

/// Why a value is not known at import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unknown {
    /// It depends on these inputs of the program.
    Inputs(BTreeSet<String>),
    /// It depends on something that is not computed at import.
    Op(String),
}

/// Values found so far.
#[derive(Default)]
pub(crate) struct Known(HashMap<Value, Rc<Host>>);

impl Known {
    /// Says what an input is.
    pub(crate) fn insert(&mut self, value: Value, host: Host) {
        self.0.insert(value, Rc::new(host));
    }

    /// The elements of `value`.
    pub(crate) fn find(&mut self, program: &Program, value: Value) -> Result<Rc<Host>, Unknown> {
        let mut pending = vec![value];
        let (mut seen, mut ops, mut inputs) = (HashSet::new(), BTreeSet::new(), BTreeSet::new());
        while let Some(value) = pending.pop() {
            if self.0.contains_key(&value) || !seen.insert(value) {
                continue;
            }
            match program.value(value).definition {
                Definition::Argument { region, .. } if region == program.body() => {
                    let input = program.inputs().iter().find(|i| i.value == value);
                    match input {
                        Some(input) if input.role == InputRole::Argument => {
                            inputs.insert(input.name.clone());
                        }
                        Some(input) => return Err(Unknown::Op(format!("the tensor {:?}", input.name))),
                        None => return Err(Unknown::Op("an input".to_owned())),
                    }
                }
                Definition::Argument { .. } => return Err(Unknown::Op("a value of a loop".to_owned())),
                Definition::Result { op, .. } => {
                    ops.insert(op);
                    pending.extend(program.reads(op));
                }
            }
        }
        if !inputs.is_empty() {
            return Err(Unknown::Inputs(inputs));
        }
        let mut evaluator = Evaluator { program, known: &mut self.0, steps: STEPS };
        for op in ops {
            evaluator.run(program.op(op))?;
        }
        self.0.get(&value).cloned().ok_or_else(|| Unknown::Op("a value".to_owned()))
    }
}

struct Evaluator<'p> {
    program: &'p Program,
    known: &'p mut HashMap<Value, Rc<Host>>,
    steps: usize,
}

impl Evaluator<'_> {
    fn run(&mut self, op: &OpData) -> Result<(), Unknown> {
        let refused =
            || Unknown::Op(format!("{} at {:?}", op.op.as_operation().name(), self.program.path(op.path)));
        let refuse = refused();
        if self.steps == 0 || op.results.iter().any(|&v| self.program.ty(v).shape.elements() > LIMIT) {
            return Err(refuse);
        }
        self.steps -= 1;
        let operands: Option<Vec<Rc<Host>>> =
            op.operands.iter().map(|v| self.known.get(v).cloned()).collect();
        let operands = operands.ok_or_else(|| refuse.clone())?;
        let types: Vec<TensorType> = op.results.iter().map(|&v| self.program.ty(v).clone()).collect();
        let results = match &op.op {
            Op::Reduce(reduce) => self.reduce(op, &operands, &reduce.dimensions)?,
            Op::If(_) => {
                let taken = operands.first().and_then(|p| p.to_ints()).and_then(|p| p.first().copied());
                let region = op.regions.get(usize::from(taken == Some(0))).ok_or_else(|| refuse.clone())?;
                self.region(*region, &[])?
            }
            Op::While(_) => self.repeat(op, operands)?,
            _ => {
                let ty = types.first().ok_or_else(|| refuse.clone())?;
                let data = single(&op.op, &operands, ty).ok_or(refuse)?;
                vec![Rc::new(Host { ty: ty.clone(), data })]
            }
        };
        for (&value, host) in op.results.iter().zip(results) {
            self.known.insert(value, host);
        }
        Ok(())
    }

    fn region(&mut self, region: RegionId, arguments: &[Rc<Host>]) -> Result<Vec<Rc<Host>>, Unknown> {
        let region = self.program.region(region);
        for (&value, host) in region.arguments.iter().zip(arguments) {
            self.known.insert(value, Rc::clone(host));
        }
        for &op in &region.ops {
            self.run(self.program.op(op))?;
        }
        let results: Option<Vec<_>> = region.results.iter().map(|v| self.known.get(v).cloned()).collect();
        results.ok_or_else(|| Unknown::Op("a region".to_owned()))
    }

    fn repeat(&mut self, op: &OpData, mut state: Vec<Rc<Host>>) -> Result<Vec<Rc<Host>>, Unknown> {
        let &[condition, body] = &op.regions[..] else { return Err(Unknown::Op("a loop".to_owned())) };
        loop {
            let more = self.region(condition, &state)?;
            if more.first().and_then(|c| c.to_ints()).and_then(|c| c.first().copied()) != Some(1) {
                return Ok(state);
            }
            if self.steps == 0 {
                return Err(Unknown::Op("a long loop".to_owned()));
            }
            state = self.region(body, &state)?;
        }
    }

    fn reduce(
        &mut self,
        op: &OpData,
        operands: &[Rc<Host>],
        dims: &[usize],
    ) -> Result<Vec<Rc<Host>>, Unknown> {
        let refuse = || Unknown::Op("a reduction".to_owned());
        let ([input, init], [region], [result]) = (operands, &op.regions[..], &op.results[..]) else {
            return Err(refuse());
        };
        let ty = self.program.ty(*result).clone();
        let steps = strides(&ty.shape);
        let mut sums: Vec<Rc<Host>> = vec![Rc::clone(init); ty.shape.elements()];
        for (flat, index) in indices(&input.ty.shape).enumerate() {
            let kept = index.iter().enumerate().filter(|(i, _)| !dims.contains(i)).map(|(_, &x)| x);
            let at: usize = kept.zip(&steps).map(|(i, s)| i * s).sum();
            let element = Host { ty: init.ty.clone(), data: input.data.take(&[flat]).ok_or_else(refuse)? };
            let slot = sums.get_mut(at).ok_or_else(refuse)?;
            let folded = self.region(*region, &[Rc::clone(slot), Rc::new(element)])?;
            *slot = folded.first().cloned().ok_or_else(refuse)?;
            if self.steps == 0 {
                return Err(refuse());
            }
        }
        let data = if ty.dtype.is_float() {
            Data::Floats(sums.iter().flat_map(|s| s.to_floats()).collect())
        } else {
            Data::Ints(
                sums.iter()
                    .flat_map(|s| if let Data::Ints(x) = &s.data { x.clone() } else { vec![] })
                    .collect(),
            )
        };
        Ok(vec![Rc::new(Host { ty, data })])
    }
}

/// An op without regions that has one result.
fn single(op: &Op, x: &[Rc<Host>], ty: &TensorType) -> Option<Data> {
    match op {
        Op::Constant(op) => Some(Host::from_literal(&op.value)?.data),
        Op::Iota(op) => {
            let at = indices(&ty.shape).map(|i| i.get(op.dimension).copied().unwrap_or(0));
            Some(if ty.dtype.is_float() {
                Data::Floats(at.map(|i| i as f64).collect())
            } else {
                Data::Ints(at.map(|i| i as i128).collect())
            })
        }
        Op::Convert(_) => Some(convert(x.first()?, ty.dtype)),
        Op::Reshape(_) => Some(x.first()?.data.clone()),
        Op::BroadcastInDim(op) => {
            let input = x.first()?;
            let steps = strides(&input.ty.shape);
            gather(input, ty, |index| {
                let places = op.dimensions.iter().zip(&steps).zip(input.ty.shape.iter());
                places.map(|((&d, s), &size)| if size == 1 { Some(0) } else { Some(index.get(d)? * s) }).sum()
            })
        }
        Op::Transpose(op) => {
            let steps = strides(&x.first()?.ty.shape);
            gather(x.first()?, ty, |index| {
                op.permutation.iter().zip(index).map(|(&d, i)| Some(steps.get(d)? * i)).sum()
            })
        }
        Op::Slice(op) => {
            let steps = strides(&x.first()?.ty.shape);
            gather(x.first()?, ty, |index| {
                let dims = op.starts.iter().zip(&op.strides).zip(&steps).zip(index);
                Some(dims.map(|(((start, stride), step), i)| (start + i * stride) * step).sum())
            })
        }
        Op::Reverse(op) => {
            let shape = x.first()?.ty.shape.clone();
            let steps = strides(&shape);
            gather(x.first()?, ty, |index| {
                let flip = |(d, (&i, &size)): (usize, (&usize, &usize))| {
                    if op.dimensions.contains(&d) { size.saturating_sub(i + 1) } else { i }
                };
                let flipped = index.iter().zip(shape.iter()).enumerate().map(flip);
                Some(flipped.zip(&steps).map(|(i, s)| i * s).sum())
            })
        }
        Op::Concatenate(op) => concatenate(x, op.dimension, ty),
        Op::Pad(op) => pad(x, op, ty),
        Op::Gather(op) => gather_op(x, op, ty),
        Op::Select(_) => {
            let [p, a, b] = x else { return None };
            let Data::Ints(p) = &p.data else { return None };
            Some(match (&a.data, &b.data) {
                (Data::Ints(a), Data::Ints(b)) => Data::Ints(choose(p, a, b)),
                (Data::Floats(a), Data::Floats(b)) => Data::Floats(choose(p, a, b)),
                _ => return None,
            })
        }
        Op::Compare(op) => {
            let [a, b] = x else { return None };
            Some(Data::Ints(match (&a.data, &b.data) {
                (Data::Ints(a), Data::Ints(b)) => compare(a, b, op.direction),
                (Data::Floats(a), Data::Floats(b)) => compare(a, b, op.direction),
                _ => return None,
            }))
        }
        _ => match x {
            [a] => unary(op, &a.data, ty.dtype),
            [a, b] => binary(op, &a.data, &b.data, ty.dtype),
            _ => None,
        },
    }
}

fn choose<T: Copy>(p: &[i128], a: &[T], b: &[T]) -> Vec<T> {
    let repeats = if p.len() == 1 { a.len() } else { 1 };
    let p = p.iter().flat_map(|&p| std::iter::repeat_n(p, repeats));
    p.zip(a.iter().zip(b)).map(|(p, (&a, &b))| if p != 0 { a } else { b }).collect()
}

fn compare<T: PartialOrd>(a: &[T], b: &[T], direction: Direction) -> Vec<i128> {
    let holds = |(a, b): (&T, &T)| match direction {
        Direction::Eq => a == b,
        Direction::Ne => a != b,
        Direction::Lt => a < b,
        Direction::Le => a <= b,
        Direction::Gt => a > b,
        Direction::Ge => a >= b,
    };
    a.iter().zip(b).map(|pair| i128::from(holds(pair))).collect()
}

fn convert(x: &Host, dtype: DType) -> Data {
    match (&x.data, dtype.is_float(), dtype) {
        (Data::Floats(x), true, _) => Data::Floats(x.iter().map(|&x| round(dtype, x)).collect()),
        (Data::Floats(x), false, DType::Bool) => {
            Data::Ints(x.iter().map(|&x| i128::from(x != 0.0)).collect())
        }
        (Data::Floats(x), false, _) => Data::Ints(x.iter().map(|&x| wrap(dtype, x as i128)).collect()),
        (Data::Ints(x), true, _) => Data::Floats(x.iter().map(|&x| round(dtype, x as f64)).collect()),
        (Data::Ints(x), false, _) => Data::Ints(x.iter().map(|&x| wrap(dtype, x)).collect()),
    }
}

fn gather(x: &Host, ty: &TensorType, place: impl Fn(&[usize]) -> Option<usize>) -> Option<Data> {
    let places: Vec<usize> = indices(&ty.shape).map(|index| place(&index)).collect::<Option<_>>()?;
    x.data.take(&places)
}

fn concatenate(x: &[Rc<Host>], dim: usize, ty: &TensorType) -> Option<Data> {
    let mut ints = Vec::new();
    let mut floats = Vec::new();
    for index in indices(&ty.shape) {
        let mut index = index;
        let mut part = x.iter();
        let input = loop {
            let input = part.next()?;
            let size = *input.ty.shape.get(dim)?;
            let at = index.get_mut(dim)?;
            if *at < size {
                break input;
            }
            *at -= size;
        };
        let at: usize = index.iter().zip(strides(&input.ty.shape)).map(|(i, s)| i * s).sum();
        match &input.data {
            Data::Ints(x) => ints.push(*x.get(at)?),
            Data::Floats(x) => floats.push(*x.get(at)?),
        }
    }
    Some(if ty.dtype.is_float() { Data::Floats(floats) } else { Data::Ints(ints) })
}

fn pad(x: &[Rc<Host>], op: &porter_ir::ops::Pad, ty: &TensorType) -> Option<Data> {
    let [input, value] = x else { return None };
    let steps = strides(&input.ty.shape);
    let joined = |data: &Data| data.take(&[0]);
    let fill = joined(&value.data)?;
    let place = |index: &[usize]| -> Option<usize> {
        let mut at = 0;
        for (d, &i) in index.iter().enumerate() {
            let from = (i as i64).checked_sub(*op.low.get(d)?)?;
            let interior = i64::try_from(*op.interior.get(d)?).ok()?.checked_add(1)?;
            let place = usize::try_from(from / interior).ok()?;
            let inside = from >= 0 && from % interior == 0 && place < *input.ty.shape.get(d)?;
            at += if inside { place * steps.get(d)? } else { return None };
        }
        Some(at)
    };
    let places = indices(&ty.shape).map(|index| place(&index));
    Some(match (&input.data, fill) {
        (Data::Ints(x), Data::Ints(f)) => Data::Ints(filled(places, x, f.first()?)?),
        (Data::Floats(x), Data::Floats(f)) => Data::Floats(filled(places, x, f.first()?)?),
        _ => return None,
    })
}

/// The elements at `places`, and `fill` where there is none.
fn filled<T: Copy>(places: impl Iterator<Item = Option<usize>>, x: &[T], fill: &T) -> Option<Vec<T>> {
    places.map(|at| at.map_or(Some(fill), |at| x.get(at)).copied()).collect()
}

/// <https://openxla.org/stablehlo/spec#gather>
fn gather_op(x: &[Rc<Host>], op: &porter_ir::ops::Gather, ty: &TensorType) -> Option<Data> {
    let [operand, starts] = x else { return None };
    let Data::Ints(starts_data) = &starts.data else { return None };
    let d = &op.dimensions;
    let (steps, start_steps) = (strides(&operand.ty.shape), strides(&starts.ty.shape));
    let batch_dims: Vec<usize> = (0..ty.shape.rank()).filter(|i| !d.offset_dims.contains(i)).collect();
    let offset_operand: Vec<usize> = (0..operand.ty.shape.rank())
        .filter(|i| !d.collapsed_slice_dims.contains(i) && !d.operand_batching_dims.contains(i))
        .collect();
    let start_dims: Vec<usize> = (0..starts.ty.shape.rank()).filter(|&i| i != d.index_vector_dim).collect();
    gather(operand, ty, |index| {
        let batch: Vec<usize> = batch_dims.iter().map(|&i| index.get(i).copied()).collect::<Option<_>>()?;
        let base: usize =
            start_dims.iter().zip(&batch).map(|(&i, b)| Some(start_steps.get(i)? * b)).sum::<Option<_>>()?;
        let mut at = vec![0_usize; operand.ty.shape.rank()];
        for (k, &dim) in d.start_index_map.iter().enumerate() {
            let step = start_steps.get(d.index_vector_dim).copied().unwrap_or(0);
            let start = starts_data.get(base + k * step).copied().unwrap_or(0);
            let last = operand.ty.shape.get(dim)?.checked_sub(*op.slice_sizes.get(dim)?)?;
            *at.get_mut(dim)? = usize::try_from(start.clamp(0, last as i128)).unwrap_or(0);
        }
        for (&dim, &start_dim) in d.operand_batching_dims.iter().zip(&d.start_indices_batching_dims) {
            let place = start_dims.iter().position(|&i| i == start_dim)?;
            *at.get_mut(dim)? += batch.get(place)?;
        }
        for (&dim, &offset) in offset_operand.iter().zip(&d.offset_dims) {
            *at.get_mut(dim)? += index.get(offset)?;
        }
        Some(at.iter().zip(&steps).map(|(i, s)| i * s).sum())
    })
}

fn unary(op: &Op, x: &Data, dtype: DType) -> Option<Data> {
    match x {
        Data::Ints(x) => {
            let f = |x: i128| {
                Some(match op {
                    Op::Abs(_) => x.abs(),
                    Op::Negate(_) => -x,
                    Op::Not(_) => !x & if dtype == DType::Bool { 1 } else { -1 },
                    Op::Sign(_) => x.signum(),
                    _ => return None,
                })
            };
            Some(Data::Ints(x.iter().map(|&x| f(x).map(|x| wrap(dtype, x))).collect::<Option<_>>()?))
        }
        Data::Floats(x) => {
            let f = |x: f64| {
                Some(match op {
                    Op::Abs(_) => x.abs(),
                    Op::Negate(_) => -x,
                    Op::Floor(_) => x.floor(),
                    Op::Ceil(_) => x.ceil(),
                    Op::RoundNearestEven(_) => x.round_ties_even(),
                    Op::RoundNearestAfz(_) => x.round(),
                    Op::Sqrt(_) => x.sqrt(),
                    Op::Sign(_) if x == 0.0 || x.is_nan() => x,
                    Op::Sign(_) => x.signum(),
                    _ => return None,
                })
            };
            Some(Data::Floats(x.iter().map(|&x| f(x).map(|x| round(dtype, x))).collect::<Option<_>>()?))
        }
    }
}

fn binary(op: &Op, a: &Data, b: &Data, dtype: DType) -> Option<Data> {
    match (a, b) {
        (Data::Ints(a), Data::Ints(b)) => {
            let f = |(&a, &b): (&i128, &i128)| {
                Some(wrap(
                    dtype,
                    match op {
                        Op::Add(_) if dtype == DType::Bool => a | b,
                        Op::Add(_) => a.wrapping_add(b),
                        Op::Subtract(_) => a.wrapping_sub(b),
                        Op::Multiply(_) => a.wrapping_mul(b),
                        Op::Divide(_) => a.checked_div(b)?,
                        Op::Remainder(_) => a.checked_rem(b)?,
                        Op::Maximum(_) => a.max(b),
                        Op::Minimum(_) => a.min(b),
                        Op::And(_) => a & b,
                        Op::Or(_) => a | b,
                        Op::Xor(_) => a ^ b,
                        Op::Power(_) => a.checked_pow(u32::try_from(b).ok()?)?,
                        _ => return None,
                    },
                ))
            };
            Some(Data::Ints(a.iter().zip(b).map(f).collect::<Option<_>>()?))
        }
        (Data::Floats(a), Data::Floats(b)) => {
            let f = |(&a, &b): (&f64, &f64)| {
                Some(round(
                    dtype,
                    match op {
                        Op::Add(_) => a + b,
                        Op::Subtract(_) => a - b,
                        Op::Multiply(_) => a * b,
                        Op::Divide(_) => a / b,
                        Op::Remainder(_) => a % b,
                        Op::Maximum(_) => {
                            if a.is_nan() || b.is_nan() {
                                f64::NAN
                            } else {
                                a.max(b)
                            }
                        }
                        Op::Minimum(_) => {
                            if a.is_nan() || b.is_nan() {
                                f64::NAN
                            } else {
                                a.min(b)
                            }
                        }
                        _ => return None,
                    },
                ))
            };
            Some(Data::Floats(a.iter().zip(b).map(f).collect::<Option<_>>()?))
        }
        _ => None,
    }
}

//! Ops with regions.

use porter_ir::{
    AttributeValue, Builder, DType, Direction, OpKind, Result, TensorType, Value,
    ops::{ScatterDimensions, SelectAndScatter, Window},
};

use super::{Example, one, row, tensor, zero};

fn add(b: &Builder, args: &[Value]) -> Result<Vec<Value>> {
    Ok(vec![b.add(args[0], args[1])?])
}

pub(super) fn examples(kind: OpKind) -> Vec<Example> {
    use OpKind as K;
    match kind {
        // 7 is no branch, so the last one runs.
        K::Case => [(0_i32, 1.0_f32), (1, -1.0), (7, -1.0)].map(|(index, y)| branch(index, y)).into(),
        K::Composite => composites(),
        K::If => [(true, -1.0), (false, 1.0)].map(|(pred, y)| choice(pred, y)).into(),
        K::Map => {
            vec![one([row(&[1.0_f32, 2.0]), row(&[3.0_f32, 4.0])], [row(&[4.0_f32, 6.0])], |b, [x, y]| {
                Ok(vec![b.map(&[x, y], |b, a| b.add(a[0], a[1]))?])
            })]
        }
        K::Reduce => reductions(),
        K::ReduceWindow => windows(),
        K::Scatter => scatters(),
        K::SelectAndScatter => select_and_scatter(),
        K::Sort => sorts(),
        K::While => loops(),
        _ => Vec::new(),
    }
}

fn branch(index: i32, y: f32) -> Example {
    one([tensor([], &[index]), row(&[1.0_f32])], [row(&[y])], |b, [index, x]| {
        b.case(index, &[&|_| Ok(vec![x]), &|b| Ok(vec![b.negate(x)?])])
    })
}

fn choice(pred: bool, y: f32) -> Example {
    one([tensor([], &[pred]), row(&[1.0_f32])], [row(&[y])], |b, [pred, x]| {
        b.if_(pred, |b| Ok(vec![b.negate(x)?]), |_| Ok(vec![x]))
    })
}

/// One that calls another and returns an argument too, called twice.
fn composites() -> Vec<Example> {
    let scaled = |b: &Builder, x: Value, by: f64| {
        b.composite("porter.scale", vec![("by".to_owned(), AttributeValue::F64(by))], &[x], |b, a| {
            Ok(vec![b.multiply_scalar(a[0], by)?])
        })
    };
    let nested = one([row(&[1.0_f32, 2.0])], [row(&[9.0_f32, 18.0]), row(&[3.0_f32, 6.0])], |b, [x]| {
        let tripled = scaled(b, x, 3.0)?;
        b.scope("outer")
            .composite("porter.outer", vec![], &tripled, |b, a| Ok(vec![scaled(b, a[0], 3.0)?[0], a[0]]))
    });
    vec![nested]
}

fn reductions() -> Vec<Example> {
    let x = tensor([2, 2], &[1.0_f32, 2.0, 3.0, 4.0]);
    let sums = one([x.clone()], [row(&[4.0_f32, 6.0])], |b, [x]| Ok(vec![b.reduce_sum(x, &[0])?]));
    let max =
        one([x.clone()], [tensor([2, 1], &[2.0_f32, 4.0])], |b, [x]| Ok(vec![b.reduce_max_keep(x, &[1])?]));
    let all = one([row(&[true, false])], [tensor([], &[true])], |b, [x]| Ok(vec![b.reduce_max(x, &[0])?]));
    let two =
        one([x, tensor([2, 2], &[1_i32, 2, 3, 4])], [row(&[4.0_f32, 6.0]), row(&[3_i32, 8])], |b, [x, n]| {
            let first = b.full(TensorType::scalar(DType::I32), 1.0)?;
            b.reduce(&[x, n], &[zero(b)?, first], &[0], |b, a| {
                Ok(vec![b.add(a[0], a[2])?, b.multiply(a[1], a[3])?])
            })
        });
    vec![sums, max, all, two]
}

fn windows() -> Vec<Example> {
    let x = row(&[1.0_f32, 2.0, 3.0, 4.0, 5.0]);
    let pool = |window: Window, y: &[f32]| {
        one([x.clone()], [row(y)], move |b, [x]| b.reduce_window(&[x], &[zero(b)?], &[2], window, add))
    };
    let strided = Window { strides: vec![2], padding: vec![(1, 0)], ..Window::plain(1) };
    let dilated = Window { window_dilations: vec![2], ..Window::plain(1) };
    let spread = Window { base_dilations: vec![2], ..Window::plain(1) };
    vec![
        pool(Window::plain(1), &[3.0, 5.0, 7.0, 9.0]),
        pool(strided, &[1.0, 5.0, 9.0]),
        pool(dilated, &[4.0, 6.0, 8.0]),
        pool(spread, &[1.0, 2.0, 2.0, 3.0, 3.0, 4.0, 4.0, 5.0]),
    ]
}

/// Rows added at indices, of which one is outside and left out.
fn scatters() -> Vec<Example> {
    let dimensions = ScatterDimensions {
        update_window_dims: vec![1],
        inserted_window_dims: vec![0],
        scatter_dims_to_operand_dims: vec![0],
        index_vector_dim: 1,
        ..ScatterDimensions::default()
    };
    vec![one(
        [
            tensor([3, 2], &[1.0_f32, 2.0, 3.0, 4.0, 5.0, 6.0]),
            row(&[1_i32, 9, 1]),
            tensor([3, 2], &[10.0_f32, 20.0, 30.0, 40.0, 50.0, 60.0]),
        ],
        [tensor([3, 2], &[1.0_f32, 2.0, 63.0, 84.0, 5.0, 6.0])],
        |b, [x, at, rows]| b.scatter(&[x], at, &[rows], dimensions, add),
    )]
}

/// Each of two windows gives its value to its largest element.
fn select_and_scatter() -> Vec<Example> {
    let op = SelectAndScatter { sizes: vec![2], strides: vec![2], padding: vec![(0, 0)] };
    let inputs = [row(&[1.0_f32, 3.0, 4.0, 2.0]), row(&[10.0_f32, 20.0])];
    vec![one(inputs, [row(&[0.0_f32, 10.0, 20.0, 0.0])], |b, [x, source]| {
        let larger = |b: &Builder, a: &[Value]| b.compare(a[0], a[1], Direction::Ge);
        let scattered = b.select_and_scatter(op, [x, source, zero(b)?], larger, |b, a| b.add(a[0], a[1]))?;
        Ok(vec![scattered])
    })]
}

/// Keys with their positions, equal keys in their order.
fn sorts() -> Vec<Example> {
    let keys = row(&[2.0_f32, 3.0, 2.0, 1.0]);
    let sorted = [row(&[3.0_f32, 2.0, 2.0, 1.0]), row(&[1_i32, 0, 2, 3])];
    vec![one([keys], sorted, |b, [keys]| {
        let positions = b.iota(TensorType::new(DType::I32, [4]), 0)?;
        b.sort(&[keys, positions], 0, true, |b, a| b.compare(a[0], a[1], Direction::Gt))
    })]
}

/// A sum of 0..n, with `n`, a row and a constant read from outside, and a loop within the loop.
fn loops() -> Vec<Example> {
    let count =
        one([tensor([], &[4_i32]), row(&[0.5_f32])], [tensor([], &[4_i32]), row(&[2.0_f32])], |b, [n, x]| {
            let one = b.full_like(n, 1.0)?;
            b.while_(
                &[b.full_like(n, 0.0)?, b.full_like(x, 0.0)?],
                |b, a| b.compare(a[0], n, Direction::Lt),
                |b, a| Ok(vec![b.add(a[0], one)?, b.add(a[1], x)?]),
            )
        });
    let nested = one([tensor([], &[3_i32])], [tensor([], &[9_i32])], |b, [n]| {
        let start = b.full_like(n, 0.0)?;
        let below = |b: &Builder, a: &[Value]| b.compare(a[0], n, Direction::Lt);
        let outer = b.while_(&[start, start], below, |b, a| {
            let inner = b.while_(&[start, a[1]], below, |b, a| {
                Ok(vec![b.add_scalar(a[0], 1.0)?, b.add_scalar(a[1], 1.0)?])
            })?;
            Ok(vec![b.add_scalar(a[0], 1.0)?, inner[1]])
        })?;
        Ok(vec![outer[1]])
    });
    vec![count, nested]
}

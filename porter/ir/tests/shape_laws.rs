//! Inferred shapes against their definition, element by element.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use porter_ir::{Builder, DType, Shape, TensorType, Value, ops::Window};
use proptest::prelude::*;

fn argument(b: &Builder, name: &str, shape: impl Into<Shape>) -> Value {
    b.argument(name, TensorType::new(DType::F32, shape)).unwrap()
}

/// The line of a dimension with padding: true where an element stands. `None` where more is taken away
/// than there is.
fn padded_line(size: usize, low: i64, high: i64, interior: usize) -> Option<Vec<bool>> {
    let mut line = Vec::new();
    for i in 0..size {
        if i > 0 {
            line.extend(vec![false; interior]);
        }
        line.push(true);
    }
    for (edge, at_front) in [(low, true), (high, false)] {
        for _ in 0..edge {
            line.insert(if at_front { 0 } else { line.len() }, false);
        }
        for _ in edge..0 {
            let gone = if at_front { (!line.is_empty()).then(|| line.remove(0)) } else { line.pop() };
            gone?;
        }
    }
    Some(line)
}

proptest! {
    #[test]
    fn slice_keeps_the_strided_elements(size in 0_usize..12, start in 0_usize..14, limit in 0_usize..14, stride in 0_usize..5) {
        let b = Builder::new("main");
        let x = argument(&b, "x", [size]);
        let allowed = start <= limit && limit <= size && stride > 0;
        match b.slice(x, &[start], &[limit], &[stride]) {
            Ok(y) => {
                let kept = (0..size).filter(|i| (start..limit).contains(i) && (i - start) % stride == 0);
                prop_assert!(allowed);
                prop_assert_eq!(b.shape(y)[0], kept.count());
            }
            Err(_) => prop_assert!(!allowed),
        }
    }

    #[test]
    fn pad_is_the_line_that_it_draws(size in 0_usize..6, low in -4_i64..4, high in 0_i64..4, interior in 0_usize..3) {
        let b = Builder::new("main");
        let x = argument(&b, "x", [size]);
        let zero = argument(&b, "zero", Shape::scalar());
        let line = padded_line(size, low, high, interior);
        let result = b.pad(x, zero, &[low], &[high], &[interior]);
        if let Some(line) = line {
            prop_assert_eq!(b.shape(result.unwrap())[0], line.len());
        }
    }

    #[test]
    fn windows_are_counted_where_they_fit(
        size in 0_usize..9, window in 1_usize..4, stride in 1_usize..4,
        low in 0_i64..3, high in 0_i64..3, base_dilation in 1_usize..3, window_dilation in 1_usize..3,
    ) {
        let b = Builder::new("main");
        let x = argument(&b, "x", [size]);
        let zero = argument(&b, "zero", Shape::scalar());
        let line = padded_line(size, low, high, base_dilation - 1).unwrap();
        let last = (window - 1) * window_dilation;
        let places = (0..line.len()).step_by(stride).filter(|start| start + last < line.len()).count();
        let slide = Window {
            strides: vec![stride],
            padding: vec![(low, high)],
            base_dilations: vec![base_dilation],
            window_dilations: vec![window_dilation],
        };
        let y = b.reduce_window(&[x], &[zero], &[window], slide, |b, a| Ok(vec![b.add(a[0], a[1])?])).unwrap();
        prop_assert_eq!(b.shape(y[0])[0], places);
    }

    #[test]
    fn transposing_there_and_back_is_nothing(
        shape in prop::collection::vec(0_usize..5, 0..5).prop_flat_map(|shape| {
            let dims: Vec<usize> = (0..shape.len()).collect();
            (Just(shape), Just(dims).prop_shuffle())
        })
    ) {
        let (shape, permutation) = shape;
        let b = Builder::new("main");
        let x = argument(&b, "x", shape.clone());
        let mut inverse = vec![0; permutation.len()];
        for (i, &dim) in permutation.iter().enumerate() {
            inverse[dim] = i;
        }
        let there = b.transpose(x, &permutation).unwrap();
        let sizes: Vec<usize> = permutation.iter().map(|&dim| shape[dim]).collect();
        prop_assert_eq!(b.shape(there), Shape::new(sizes));
        let back = b.transpose(there, &inverse).unwrap();
        prop_assert_eq!(b.shape(back), Shape::new(shape));
    }

    #[test]
    fn joining_the_parts_of_a_slice_is_the_whole(size in 1_usize..9, cut in 0_usize..9, other in 0_usize..4) {
        let cut = cut.min(size);
        let b = Builder::new("main");
        let x = argument(&b, "x", [other, size]);
        let parts = [b.slice_dim(x, 1, 0, cut).unwrap(), b.slice_dim(x, 1, cut, size).unwrap()];
        let whole = b.concatenate(&parts, 1).unwrap();
        prop_assert_eq!(b.ty(whole), b.ty(x));
    }
}

//! A comparison says the same however its values are stored and wherever they lie.

#![allow(clippy::unwrap_used)]

use approx::assert_relative_eq;
use half::bf16;
use porter_ir::DType;
use porter_numerics::{Comparison, Percentiles, Positions, Sides, View, compare};
use proptest::prelude::*;

/// Two lists of numbers of one length; of the second kind, no finite ones among them.
fn pairs(number: impl Strategy<Value = f32> + Clone) -> impl Strategy<Value = (Vec<f32>, Vec<f32>)> {
    let close = (number.clone(), -1e-3_f32..1e-3).prop_map(|(x, e)| (x, x + x * e));
    let pair = prop_oneof![4 => close, 1 => (number.clone(), number)];
    prop::collection::vec(pair, 1..3000).prop_map(|pairs| pairs.into_iter().unzip())
}

fn finite() -> impl Strategy<Value = f32> + Clone {
    prop_oneof![4 => -2.0_f32..2.0, 1 => any::<f32>().prop_filter("finite", |x| x.abs() < 1e30), 1 => Just(0.0)]
}

fn measure(ours: &View<'_>, reference: &View<'_>) -> Comparison {
    compare("x", ours, reference, &Positions::All).unwrap()
}

fn singles(values: &[f32]) -> View<'_> {
    View::f32(values, [values.len()]).unwrap()
}

fn doubles(values: &[f32]) -> View<'static> {
    let bytes: Vec<u8> = values.iter().flat_map(|&x| f64::from(x).to_le_bytes()).collect();
    View::new(DType::F64, [values.len()], bytes).unwrap()
}

fn close(one: &Percentiles, two: &Percentiles) {
    for (a, b) in [(one.p50, two.p50), (one.p90, two.p90), (one.p99, two.p99), (one.p999, two.p999)] {
        assert_relative_eq!(a, b, max_relative = Percentiles::RESOLUTION);
    }
}

fn same(one: &Comparison, two: &Comparison) {
    assert_eq!((one.count, &one.worst), (two.count, &two.worst));
    same_statistics(one, two);
}

fn same_statistics(one: &Comparison, two: &Comparison) {
    assert_eq!(one.ulp, two.ulp);
    for (a, b) in [
        (one.max_abs, two.max_abs),
        (one.mean_abs, two.mean_abs),
        (one.max_rel, two.max_rel),
        (one.mean_rel, two.mean_rel),
        (one.rmse, two.rmse),
        (one.scale, two.scale),
        (one.cosine, two.cosine),
    ] {
        assert_relative_eq!(a, b, max_relative = 1e-9);
    }
    close(&one.percentiles, &two.percentiles);
    close(&one.relative_percentiles, &two.relative_percentiles);
}

proptest! {
    #[test]
    fn values_in_double_precision_are_compared_as_they_are_in_single((a, b) in pairs(finite())) {
        same(&measure(&singles(&a), &singles(&b)), &measure(&doubles(&a), &singles(&b)));
    }

    /// Bytes that begin where no `f32` may, as in a file whose header has an odd length.
    #[test]
    fn values_are_compared_wherever_they_lie((a, b) in pairs(finite()), offset in 1_usize..4) {
        let mut bytes = vec![0; offset];
        bytes.extend(a.iter().flat_map(|x| x.to_le_bytes()));
        let odd = View::new(DType::F32, [a.len()], &bytes[offset..]).unwrap();
        same(&measure(&odd, &singles(&b)), &measure(&singles(&a), &singles(&b)));
    }

    #[test]
    fn a_narrower_type_is_compared_as_it_is_in_single((a, b) in pairs(finite())) {
        let narrow: Vec<bf16> = a.iter().map(|&x| bf16::from_f32(x)).collect();
        let bytes: Vec<u8> = narrow.iter().flat_map(|x| x.to_le_bytes()).collect();
        let wide: Vec<f64> = narrow.iter().map(|x| x.to_f64()).collect();
        let stored = measure(&View::new(DType::BF16, [a.len()], bytes).unwrap(), &singles(&b));
        let widened = measure(&View::f64(&wide, [a.len()]).unwrap(), &singles(&b));
        prop_assert_eq!(stored.max_abs.to_bits(), widened.max_abs.to_bits());
        prop_assert_eq!(stored.worst, widened.worst);
        assert_relative_eq!(stored.rmse, widened.rmse, max_relative = 1e-12);
    }

    /// What is not finite leaves the statistics of what is, in blocks that it splits into runs.
    #[test]
    fn what_is_not_finite_does_not_touch_the_rest((a, b) in pairs(finite()), every in 2_usize..90) {
        let (mut ours, mut reference) = (a.clone(), b.clone());
        let at: Vec<usize> = (every..a.len()).step_by(every).collect();
        for (n, &i) in at.iter().enumerate() {
            match n % 3 {
                0 => ours[i] = f32::NAN,
                1 => reference[i] = f32::INFINITY,
                _ => (ours[i], reference[i]) = (f32::NAN, f32::NAN),
            }
        }
        let found = measure(&singles(&ours), &singles(&reference));
        let kept = |x: &[f32]| -> Vec<f32> {
            x.iter().enumerate().filter(|(i, _)| !at.contains(i)).map(|(_, x)| *x).collect()
        };
        let rest = measure(&singles(&kept(&a)), &singles(&kept(&b)));
        let third = |from: usize| (at.len() + 2 - from) as u64 / 3;
        prop_assert_eq!(found.nan, Sides { ours_only: third(0), reference_only: 0, both: third(2) });
        prop_assert_eq!(found.inf, Sides { ours_only: 0, reference_only: third(1), both: 0 });
        prop_assert_eq!(found.count, a.len() as u64);
        let values = |c: &Comparison| c.worst.iter().map(|e| (e.ours, e.reference)).collect::<Vec<_>>();
        prop_assert_eq!(values(&found), values(&rest));
        same_statistics(&found, &rest);
    }

    /// Blocks of equal bytes are taken in a shorter way.
    #[test]
    fn equal_stretches_count_as_any_other((a, b) in pairs(finite())) {
        let long = |x: &[f32]| -> Vec<f32> { std::iter::repeat_n(0.75, 2048).chain(x.iter().copied()).collect() };
        let (ours, reference) = (long(&a), long(&b));
        same(&measure(&singles(&ours), &singles(&reference)), &measure(&doubles(&ours), &singles(&reference)));
    }
}

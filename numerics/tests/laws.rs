//! Laws that every comparison obeys.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(clippy::float_cmp, reason = "laws of equality are exact")]

use porter_numerics::{CompareError, Comparison, Percentiles, Positions, Sides, View, compare};
use proptest::prelude::*;

fn measure(ours: &[f32], reference: &[f32], positions: &Positions) -> Comparison {
    let (ours, reference) =
        (View::f32(ours, [ours.len()]).unwrap(), View::f32(reference, [reference.len()]).unwrap());
    compare("x", &ours, &reference, positions).unwrap()
}

/// Two lists of finite numbers of one length, over many orders of magnitude.
fn pairs() -> impl Strategy<Value = (Vec<f32>, Vec<f32>)> {
    let number = prop_oneof![
        -1.0_f32..1.0,
        any::<f32>().prop_filter("finite", |x| x.is_finite() && x.abs() < 1e30),
        Just(0.0)
    ];
    prop::collection::vec((number.clone(), number), 1..400).prop_map(|pairs| pairs.into_iter().unzip())
}

/// The `ceil(share * n)`-th smallest difference, by sorting.
fn exact_percentile(ours: &[f32], reference: &[f32], share: f64) -> f64 {
    let mut all: Vec<f64> =
        ours.iter().zip(reference).map(|(&a, &b)| (f64::from(a) - f64::from(b)).abs()).collect();
    all.sort_by(f64::total_cmp);
    all[((share * all.len() as f64).ceil() as usize).max(1) - 1]
}

proptest! {
    #[test]
    fn a_tensor_is_at_no_distance_from_itself((x, _) in pairs()) {
        let same = measure(&x, &x, &Positions::All);
        prop_assert_eq!((same.max_abs, same.rmse, same.max_rel, same.percentiles.p999), (0.0, 0.0, 0.0, 0.0));
        prop_assert_eq!((same.ulp.max, same.ulp.median), (0, 0));
        prop_assert!(same.cosine > 1.0 - 1e-12);
        prop_assert!(same.worst.is_empty());
    }

    #[test]
    fn distances_do_not_depend_on_the_side((a, b) in pairs()) {
        let (there, back) = (measure(&a, &b, &Positions::All), measure(&b, &a, &Positions::All));
        prop_assert_eq!(there.max_abs, back.max_abs);
        prop_assert_eq!(there.rmse, back.rmse);
        prop_assert_eq!(there.percentiles, back.percentiles);
        prop_assert_eq!(there.ulp, back.ulp);
    }

    #[test]
    fn percentiles_rise_and_are_as_exact_as_stated((a, b) in pairs()) {
        let found = measure(&a, &b, &Positions::All);
        let Percentiles { p50, p90, p99, p999 } = found.percentiles;
        prop_assert!(p50 <= p90 && p90 <= p99 && p99 <= p999 && p999 <= found.max_abs);
        for (share, value) in [(0.5, p50), (0.9, p90), (0.99, p99), (0.999, p999)] {
            let exact = exact_percentile(&a, &b, share);
            if exact == 0.0 || exact > 2.0_f64.powi(-126) {
                prop_assert!(value >= exact && value <= exact * (1.0 + Percentiles::RESOLUTION), "{} for {}", value, exact);
            }
        }
    }

    #[test]
    fn masked_positions_are_as_if_absent((a, b) in pairs(), seed in any::<u64>()) {
        let keep: Vec<bool> = (0..a.len()).map(|i| i == 0 || (seed >> (i % 64)) & 1 == 1).collect();
        let kept = |x: &[f32]| -> Vec<f32> { x.iter().zip(&keep).filter(|(_, k)| **k).map(|(x, _)| *x).collect() };
        let masked = measure(&a, &b, &Positions::Rows(keep.clone()));
        let absent = measure(&kept(&a), &kept(&b), &Positions::All);
        prop_assert_eq!(masked.count, absent.count);
        prop_assert_eq!(masked.max_abs, absent.max_abs);
        prop_assert_eq!(masked.percentiles, absent.percentiles);
        prop_assert!((masked.rmse - absent.rmse).abs() <= 1e-12 * absent.rmse);
        prop_assert!((masked.scale - absent.scale).abs() <= 1e-9 * absent.scale);
    }
}

#[test]
fn a_long_tensor_is_cut_into_stretches_without_loss() {
    let n = 300_000;
    let reference: Vec<f32> = (0..n).map(|i| (i as f32 * 0.37).sin()).collect();
    let mut ours = reference.clone();
    ours[70_000] += 0.5;
    ours[299_999] -= 0.25;
    let found = measure(&ours, &reference, &Positions::All);
    let places: Vec<usize> = found.worst.iter().map(|e| e.index[0]).collect();
    assert_eq!((found.count, places), (n as u64, vec![70_000, 299_999]));
    let mean = reference.iter().map(|&x| f64::from(x)).sum::<f64>() / n as f64;
    let variance = reference.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / n as f64;
    assert!((found.scale - variance.sqrt()).abs() < 1e-12);
}

#[test]
fn what_is_not_finite_is_counted_by_side() {
    let (nan, inf) = (f32::NAN, f32::INFINITY);
    let found = measure(
        &[nan, 1.0, nan, inf, inf, -inf, 2.5],
        &[nan, nan, 1.0, inf, -inf, 0.0, 2.0],
        &Positions::All,
    );
    assert_eq!(found.nan, Sides { ours_only: 1, reference_only: 1, both: 1 });
    assert_eq!(found.inf, Sides { ours_only: 2, reference_only: 1, both: 1 });
    assert_eq!((found.count, found.max_abs), (7, 0.5));
    assert!(!found.comparable());
    let same = measure(&[nan, inf, 1.0], &[nan, inf, 1.0], &Positions::All);
    assert!(same.comparable());
}

#[test]
fn a_reference_without_spread_has_its_size_as_scale() {
    assert_eq!(measure(&[3.0, 3.0], &[-2.0, -2.0], &Positions::All).scale, 2.0);
    assert_eq!(measure(&[0.0], &[0.0], &Positions::All).scale, 0.0);
    assert_eq!(measure(&[0.0], &[0.0], &Positions::All).cosine, 1.0);
}

#[test]
fn nothing_to_compare_is_an_error() {
    let empty = View::f32(&[], [0, 3]).unwrap();
    assert!(matches!(compare("x", &empty, &empty, &Positions::All), Err(CompareError::Empty { .. })));
    let (a, b) = (View::f32(&[1.0, 2.0], [2]).unwrap(), View::f32(&[1.0, 2.0], [2, 1]).unwrap());
    assert!(matches!(compare("x", &a, &b, &Positions::All), Err(CompareError::Shape { .. })));
}

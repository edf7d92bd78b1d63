//! The laws of sampling, and transformers' warpers as numpy computes them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use porter_text::{ErrorKind, Sampler, SamplerOptions};
use proptest::prelude::*;

fn options(temperature: f32, top_k: Option<usize>, top_p: Option<f32>) -> SamplerOptions {
    SamplerOptions { temperature, top_k, top_p, seed: 7 }
}

#[derive(serde::Deserialize)]
struct Case {
    temperature: f32,
    top_k: Option<usize>,
    top_p: Option<f32>,
    logits: Vec<f32>,
    probabilities: Vec<f64>,
}

#[test]
fn candidates_are_those_of_the_recorded_warpers() {
    let cases: Vec<Case> = serde_json::from_value(common::data("warpers.json")["cases"].clone()).unwrap();
    assert_eq!(cases.len(), 8);
    for case in cases {
        let sampler = Sampler::new(options(case.temperature, case.top_k, case.top_p)).unwrap();
        let mut found = vec![0.0; case.logits.len()];
        for candidate in sampler.candidates(&case.logits).unwrap() {
            found[candidate.id as usize] = candidate.probability;
        }
        for (id, (found, expected)) in found.iter().zip(&case.probabilities).enumerate() {
            assert_eq!(*found == 0.0, *expected == 0.0, "token {id}");
            assert!((found - expected).abs() < 1e-6, "token {id}: {found} for {expected}");
        }
    }
}

#[test]
fn greedy_takes_the_lowest_of_equal_logits() {
    let mut greedy = Sampler::new(SamplerOptions::GREEDY).unwrap();
    assert_eq!(greedy.sample(&[1.0, 3.0, f32::NEG_INFINITY, 3.0]).unwrap(), 1);
}

#[test]
fn draws_follow_the_probabilities() {
    let logits = [0.1_f32, 0.2, 0.3, 0.4].map(f32::ln);
    let mut sampler = Sampler::new(options(1.0, None, None)).unwrap();
    let draws = 40_000;
    let mut counts = [0_u32; 4];
    for _ in 0..draws {
        counts[sampler.sample(&logits).unwrap() as usize] += 1;
    }
    for (count, probability) in counts.into_iter().zip([0.1, 0.2, 0.3, 0.4]) {
        let expected = f64::from(draws) * probability;
        // Five standard deviations of a binomial count; the seed is fixed.
        let spread = 5.0 * (expected * (1.0 - probability)).sqrt();
        assert!((f64::from(count) - expected).abs() < spread, "{counts:?}");
    }
}

#[test]
fn logits_without_a_best_token_are_errors() {
    for sampling in [SamplerOptions::GREEDY, options(1.0, None, None)] {
        let mut sampler = Sampler::new(sampling).unwrap();
        for bad in [&[][..], &[0.0, f32::NAN], &[f32::INFINITY], &[f32::NEG_INFINITY; 3]] {
            assert_eq!(sampler.sample(bad).unwrap_err().kind(), ErrorKind::Corrupt, "{bad:?}");
        }
    }
}

#[test]
fn options_outside_their_range_are_refused() {
    for bad in [
        options(-1.0, None, None),
        options(f32::NAN, None, None),
        options(1.0, Some(0), None),
        options(1.0, None, Some(0.0)),
        options(1.0, None, Some(1.1)),
        options(1.0, None, Some(f32::NAN)),
    ] {
        assert_eq!(Sampler::new(bad).unwrap_err().kind(), ErrorKind::Usage, "{bad:?}");
    }
}

proptest! {
    #[test]
    fn candidates_are_a_distribution_over_the_best(
        logits in prop::collection::vec(-30.0_f32..30.0, 1..60),
        temperature in 0.05_f32..4.0,
        k in 1_usize..70,
        p in 0.01_f32..1.0,
    ) {
        let all = Sampler::new(options(temperature, None, None)).unwrap().candidates(&logits).unwrap();
        let kept = Sampler::new(options(temperature, Some(k), Some(p))).unwrap().candidates(&logits).unwrap();
        prop_assert!(!kept.is_empty());
        let sum: f64 = kept.iter().map(|candidate| candidate.probability).sum();
        prop_assert!((sum - 1.0).abs() < 1e-9);
        // What is kept is the start of the ranking, in the same order.
        for (kept, all) in kept.iter().zip(&all) {
            prop_assert_eq!(kept.id, all.id);
        }
        let without_top_p = Sampler::new(options(temperature, Some(k), None)).unwrap().candidates(&logits).unwrap();
        prop_assert!(kept.len() <= without_top_p.len());
        // All but the last kept do not reach p; all kept do.
        let reach = |count: usize| without_top_p.iter().take(count).map(|c| c.probability).sum::<f64>();
        prop_assert!(reach(kept.len() - 1) < f64::from(p));
        prop_assert!(kept.len() == without_top_p.len() || reach(kept.len()) >= f64::from(p));
    }

    #[test]
    fn the_seed_decides(logits in prop::collection::vec(-3.0_f32..3.0, 1..60), seed in any::<u64>()) {
        let draw = |seed| {
            let mut sampler = Sampler::new(SamplerOptions { seed, ..options(1.0, None, None) }).unwrap();
            (0..8).map(|_| sampler.sample(&logits).unwrap()).collect::<Vec<_>>()
        };
        prop_assert_eq!(draw(seed), draw(seed));
    }

    #[test]
    fn one_candidate_is_greedy(logits in prop::collection::vec(-3.0_f32..3.0, 1..60)) {
        let mut greedy = Sampler::new(SamplerOptions::GREEDY).unwrap();
        let best = greedy.sample(&logits).unwrap();
        let narrow = Sampler::new(options(1.0, None, Some(1e-9))).unwrap().candidates(&logits).unwrap();
        prop_assert_eq!(narrow.iter().map(|c| c.id).collect::<Vec<_>>(), vec![best]);
    }
}

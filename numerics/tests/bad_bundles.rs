//! Bundles that are damaged, incomplete or another model's are refused, with everything that is wrong.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{fs, path::Path};

use porter_ir::DType;
use porter_numerics::{Bundle, BundleError, Case, CompareError, MeasureError, View};
use safetensors::{Dtype, tensor::TensorView};

const INPUTS: &str = "inputs.safetensors";
const REFERENCE: &str = "reference.safetensors";
const SHAPE: &[usize] = &[1, 2, 3];

type Tensor = (&'static str, Dtype, &'static [usize], Vec<u8>);

fn singles(name: &'static str, shape: &'static [usize], values: &[f32]) -> Tensor {
    (name, Dtype::F32, shape, values.iter().flat_map(|x| x.to_le_bytes()).collect())
}

fn doubles(name: &'static str, shape: &'static [usize], values: &[f64]) -> Tensor {
    (name, Dtype::F64, shape, values.iter().flat_map(|x| x.to_le_bytes()).collect())
}

fn ids(name: &'static str) -> Tensor {
    (name, Dtype::I64, &[1, 2], [5_i64, 6].iter().flat_map(|x| x.to_le_bytes()).collect())
}

fn logits(name: &'static str) -> Tensor {
    singles(name, SHAPE, &[1.0, -2.0, 0.5, 4.0, 2.0, -1.0])
}

/// The same in double precision, off by what rounding may be.
fn twin(name: &'static str) -> Tensor {
    doubles(name, SHAPE, &[1.0, -2.0, 0.5, 4.0 + 1e-7, 2.0, -1.0])
}

fn save(dir: &Path, file: &str, tensors: &[Tensor]) {
    let views = tensors
        .iter()
        .map(|(name, dtype, shape, data)| (*name, TensorView::new(*dtype, shape.to_vec(), data).unwrap()));
    fs::write(dir.join(file), safetensors::serialize(views, None).unwrap()).unwrap();
}

fn bundle(inputs: &[Tensor], reference: &[Tensor]) -> (tempfile::TempDir, Result<Bundle, BundleError>) {
    let dir = tempfile::tempdir().unwrap();
    save(dir.path(), INPUTS, inputs);
    save(dir.path(), REFERENCE, reference);
    let opened = Bundle::open(dir.path());
    (dir, opened)
}

fn refused(inputs: &[Tensor], reference: &[Tensor]) -> String {
    bundle(inputs, reference).1.err().expect("a bundle that is refused").to_string()
}

#[track_caller]
fn says(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "{part:?} in {message}");
    }
}

fn only<'a>(bundle: &'a Bundle) -> Case<'a> {
    let cases: Vec<Case<'a>> = bundle.cases().collect();
    assert_eq!(cases.len(), 1);
    cases[0]
}

#[test]
fn the_bundle_that_the_others_spoil_is_sound() {
    let (_dir, opened) = bundle(&[ids("input_ids")], &[logits("logits"), twin("logits_f64")]);
    approx::assert_relative_eq!(opened.unwrap().noise().unwrap(), 1e-7, max_relative = 1e-6);
}

#[test]
fn both_files_that_cannot_be_read_are_named_and_the_notes_with_them() {
    let dir = tempfile::tempdir().unwrap();
    let error = || Bundle::open(dir.path()).err().unwrap();
    says(&error().to_string(), &["inputs.safetensors", "reference.safetensors"]);

    save(dir.path(), INPUTS, &[ids("input_ids")]);
    save(dir.path(), REFERENCE, &[logits("logits")]);
    for file in [INPUTS, REFERENCE] {
        let whole = fs::read(dir.path().join(file)).unwrap();
        fs::write(dir.path().join(file), &whole[..whole.len() - 5]).unwrap();
    }
    fs::write(dir.path().join("bundle.json"), "{").unwrap();
    says(
        &error().to_string(),
        &["inputs.safetensors", "reference.safetensors is corrupt", "bundle.json: EOF"],
    );
    assert!(
        matches!(error(), BundleError::File { others, problems, .. } if (others.len(), problems.len()) == (1, 1))
    );
}

#[test]
fn a_file_cut_short_does_not_hide_what_is_wrong_with_the_other() {
    let dir = tempfile::tempdir().unwrap();
    save(dir.path(), INPUTS, &[ids("input_ids"), ("x", Dtype::F8_E5M2, &[2], vec![0; 2])]);
    save(dir.path(), REFERENCE, &[logits("logits")]);
    let whole = fs::read(dir.path().join(REFERENCE)).unwrap();
    for length in [0, 4, 8, 20, whole.len() - 1] {
        fs::write(dir.path().join(REFERENCE), &whole[..length]).unwrap();
        let message = Bundle::open(dir.path()).err().expect("a file cut short").to_string();
        says(&message, &["reference.safetensors is corrupt", "tensor \"x\": found elements of f8E5M2"]);
    }
}

#[test]
fn element_types_of_weights_are_no_results() {
    let message = refused(
        &[ids("input_ids"), ("scale", Dtype::F8_E4M3, &[2], vec![0; 2])],
        &[logits("logits"), ("hidden_states.0", Dtype::F4, &[1, 2, 4], vec![0; 4])],
    );
    says(&message, &["2 problems", "tensor \"scale\"", "tensor \"hidden_states.0\": found elements of f4"]);

    // An int4 tensor is not of the format at all.
    let dir = tempfile::tempdir().unwrap();
    save(dir.path(), INPUTS, &[ids("input_ids")]);
    let header = br#"{"logits":{"dtype":"I4","shape":[1,2,4],"data_offsets":[0,4]}}  "#;
    let file = [&(header.len() as u64).to_le_bytes()[..], header, &[0; 4]].concat();
    fs::write(dir.path().join(REFERENCE), file).unwrap();
    says(&Bundle::open(dir.path()).err().unwrap().to_string(), &["reference.safetensors", "I4"]);
}

#[test]
fn a_bundle_without_outputs_compares_nothing() {
    says(&refused(&[ids("input_ids")], &[]), &["reference.safetensors holds no tensor"]);
    says(&refused(&[], &[]), &["2 problems", "inputs.safetensors holds no tensor"]);
    let message = refused(&[ids("input_ids"), ids("padded.input_ids")], &[logits("logits")]);
    says(&message, &["tensor \"padded.input_ids\": found no output of its case, expected \"padded.logits\""]);
    let message = refused(&[ids("input_ids.0"), ids("input_ids.1")], &[logits("logits.0")]);
    says(&message, &["tensor \"input_ids.1\": found no output of its case, expected \"logits.1\""]);
}

#[test]
fn twins_of_another_shape_type_or_value_are_told_with_the_rest() {
    let nan = f64::NAN;
    let message = refused(
        &[ids("input_ids"), ("attention_mask", Dtype::F32, &[1, 2], vec![0xff; 8])],
        &[
            logits("logits"),
            doubles("logits_f64", &[6], &[1.0; 6]),
            logits("hidden_states.0"),
            logits("hidden_states.0_f64"),
            logits("hidden_states.1"),
            doubles("hidden_states.1_f64", SHAPE, &[1.0, -2.0, 0.5, nan, 2.0, -1.0]),
            logits("hidden_states.2"),
            doubles("hidden_states.2_f64", SHAPE, &[9.0; 6]),
            singles("hidden_states.3", SHAPE, &[f32::NAN; 6]),
            doubles("hidden_states.3_f64", SHAPE, &[nan; 6]),
        ],
    );
    says(
        &message,
        &[
            "6 problems",
            "tensor \"attention_mask\": found f32[1, 2], expected i64 or i32 [1, 2], as the input ids",
            "tensor \"logits_f64\": found f64[6], expected [1, 2, 3] in f64, as \"logits\"",
            "tensor \"hidden_states.0_f64\": found f32[1, 2, 3], expected [1, 2, 3] in f64",
            "tensor \"hidden_states.1_f64\": found NaN or infinity where the other has none",
            "tensor \"hidden_states.2_f64\": found 1.100e1 away",
            "tensor \"hidden_states.3_f64\": found no finite number",
        ],
    );
}

#[test]
fn a_mask_is_whole_numbers_also_where_there_are_no_ids() {
    let nan = singles("attention_mask", &[1, 2], &[f32::NAN, 1.0]);
    let message = refused(&[logits("x"), nan], &[logits("y")]);
    says(&message, &["tensor \"attention_mask\": found f32[1, 2], expected i64 or i32"]);
}

#[test]
fn a_mask_that_leaves_nothing_is_an_error() {
    let mask = ("attention_mask", Dtype::I64, &[1, 2][..], vec![0; 16]);
    let (_dir, opened) = bundle(&[ids("input_ids"), mask], &[logits("logits")]);
    let opened = opened.unwrap();
    let case = only(&opened);
    let output = &case.outputs()[0];
    let measured = case.measure(output, &case.reference(output).unwrap(), None);
    assert!(matches!(measured, Err(MeasureError::Compare(CompareError::Empty { .. }))), "{measured:?}");
}

#[test]
fn nan_in_a_reference_passes_only_beside_numbers_that_do() {
    let (nan, inf) = (f32::NAN, f32::INFINITY);
    let values: &[(&str, [f32; 6], bool)] = &[
        ("a", [nan; 6], false),
        ("b", [inf; 6], false),
        ("c", [nan, inf, -inf, nan, nan, nan], false),
        ("d", [1.0, nan, -2.0, 0.5, inf, 4.0], true),
    ];
    let reference: Vec<Tensor> = values.iter().map(|(name, x, _)| singles(name, SHAPE, x)).collect();
    let (_dir, opened) = bundle(&[logits("x")], &reference);
    let opened = opened.unwrap();
    let case = only(&opened);
    for (output, (name, values, passes)) in case.outputs().iter().zip(values) {
        let same = case.measure(output, &View::f32(values, SHAPE).unwrap(), None).unwrap();
        assert_eq!((same.comparison.name.as_str(), same.pass), (*name, *passes), "{:?}", same.comparison);
        let numbers = case.measure(output, &View::f32(&[1.0; 6], SHAPE).unwrap(), None).unwrap();
        assert!(!numbers.pass, "{name}: numbers where the reference has none");
    }
}

/// A bundle of another model, as its outputs show: other shapes, each of them an error.
#[test]
fn another_models_outputs_are_errors_not_figures() {
    let (_dir, opened) =
        bundle(&[ids("input_ids")], &[logits("logits"), singles("pooler_output", &[1, 3], &[1.0; 3])]);
    let opened = opened.unwrap();
    let case = only(&opened);
    for output in case.outputs() {
        let wider = View::new(DType::F32, [1, 2, 5], vec![0; 40]).unwrap();
        let measured = case.measure(output, &wider, None);
        assert!(matches!(measured, Err(MeasureError::Compare(CompareError::Shape { .. }))), "{measured:?}");
    }
}

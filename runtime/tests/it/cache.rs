//! The compile cache, with a real plugin.

use std::fs;

use porter_runtime::{Arg, CompileCache, CompileOptions, Flag, LoadedExecutable, Outcome};

use crate::common::{client, device, f32s, signature, tensor};

const MISS: Outcome = Outcome::Miss { dropped: None, not_stored: None };

fn program(name: &str) -> String {
    format!(
        "module @{name} {{ func.func public @main(%a: tensor<3xf32>) -> tensor<3xf32> {{
  %0 = stablehlo.multiply %a, %a : tensor<3xf32>
  return %0 : tensor<3xf32>
}} }}"
    )
}

fn compile(cache: &CompileCache, name: &str, options: &CompileOptions) -> (LoadedExecutable, Outcome) {
    let signature = signature([f32s([3])], [f32s([3])]);
    let cached = cache.compile(&client(), &program(name), &signature, options).unwrap();
    (cached.executable, cached.outcome)
}

fn check(square: &LoadedExecutable) {
    let x = device().upload(&tensor(&[3], &[1.0_f32, 2.0, -3.0])).unwrap();
    let out = square.execute(vec![Arg::Keep(&x)]).unwrap();
    assert_eq!(out[0].download().unwrap().to_vec::<f32>().unwrap(), [1.0, 4.0, 9.0]);
}

#[test]
fn the_second_time_is_a_hit_and_runs_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let cache = CompileCache::new(folder.path().join("made/when/needed"), 1 << 20);
    let options = CompileOptions::default();
    for expected in [MISS, Outcome::Hit, Outcome::Hit] {
        let (square, outcome) = compile(&cache, "square", &options);
        assert_eq!(outcome, expected);
        check(&square);
    }
    // Another program, or other options, is another entry.
    assert_eq!(compile(&cache, "other", &options).1, MISS);
    assert_eq!(
        compile(&cache, "square", &options.flag("xla_cpu_enable_fast_math", Flag::Bool(false))).1,
        MISS
    );
}

#[test]
fn damaged_entries_are_dropped_and_compiled_again() {
    let folder = tempfile::tempdir().unwrap();
    let cache = CompileCache::new(folder.path(), 1 << 20);
    let options = CompileOptions::default();
    compile(&cache, "square", &options);
    let place = fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
    let whole = fs::read(&place).unwrap();
    let mut flipped = whole.clone();
    *flipped.last_mut().unwrap() ^= 1;
    for damaged in [&whole[..whole.len() / 2], &whole[..10], &[], &flipped] {
        fs::write(&place, damaged).unwrap();
        let (square, outcome) = compile(&cache, "square", &options);
        assert!(
            matches!(&outcome, Outcome::Miss { dropped: Some(why), not_stored: None } if why.contains("damaged"))
        );
        check(&square);
        assert_eq!(compile(&cache, "square", &options).1, Outcome::Hit);
    }
}

#[test]
fn a_folder_that_cannot_be_used_makes_nothing_fail() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let cache = CompileCache::new(file.path().join("inside/a/file"), 1 << 20);
    let (square, outcome) = compile(&cache, "square", &CompileOptions::default());
    assert!(matches!(outcome, Outcome::Miss { not_stored: Some(_), .. }), "{outcome:?}");
    check(&square);
}

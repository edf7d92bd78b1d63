//! The compile cache, with a real plugin and real processes.

use std::{
    env, fs,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use porter_runtime::{Arg, CompileCache, CompileOptions, Flag, Key, LoadedExecutable, Outcome};

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

/// What is whole but no program of this plugin is not loaded either.
#[test]
fn an_entry_that_the_plugin_refuses_is_compiled_again() {
    let folder = tempfile::tempdir().unwrap();
    let cache = CompileCache::new(folder.path(), 1 << 20);
    let options = CompileOptions::default();
    cache.store(&Key::new(&client(), &program("square"), &options).unwrap(), b"not a program").unwrap();
    let (square, outcome) = compile(&cache, "square", &options);
    assert!(matches!(outcome, Outcome::Miss { dropped: Some(_), not_stored: None }));
    check(&square);
    assert_eq!(compile(&cache, "square", &options).1, Outcome::Hit);
}

#[test]
fn a_folder_that_cannot_be_used_makes_nothing_fail() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let cache = CompileCache::new(file.path().join("inside/a/file"), 1 << 20);
    let (square, outcome) = compile(&cache, "square", &CompileOptions::default());
    assert!(matches!(outcome, Outcome::Miss { not_stored: Some(_), .. }), "{outcome:?}");
    check(&square);
}

const ENTRIES: usize = 20;
const FOLDER: &str = "PORTER_TEST_CACHE_FOLDER";

/// What entry `i` holds: enough to be written in several steps.
fn content(i: usize) -> Vec<u8> {
    (0..300_000 + i).map(|n| (n * (i + 1)) as u8).collect()
}

fn key(i: usize) -> Key {
    Key::new(&client(), &format!("entry {i}"), &CompileOptions::default()).unwrap()
}

/// Not a test by itself: the process that `writers_may_be_killed_at_any_moment` kills.
#[test]
fn writer() {
    let Some(folder) = env::var_os(FOLDER) else { return };
    let cache = CompileCache::new(folder, 1 << 30);
    let keys: Vec<Key> = (0..ENTRIES).map(key).collect();
    loop {
        for (i, key) in keys.iter().enumerate() {
            cache.store(key, &content(i)).unwrap();
        }
    }
}

#[test]
fn writers_may_be_killed_at_any_moment() {
    let folder = tempfile::tempdir().unwrap();
    let cache = CompileCache::new(folder.path(), 1 << 30);
    for round in 0..3 {
        // Two at once, on the same entries.
        let mut writers = [(); 2].map(|()| {
            Command::new(env::current_exe().unwrap())
                .args(["--exact", "cache::writer"])
                .env(FOLDER, folder.path())
                .stdout(Stdio::null())
                .spawn()
                .unwrap()
        });
        let started = Instant::now();
        while cache.read(&key(0)).unwrap().is_none() {
            assert!(started.elapsed() < Duration::from_mins(1), "no writer wrote anything");
            thread::sleep(Duration::from_millis(5));
        }
        thread::sleep(Duration::from_millis(37 * (round + 1)));
        for writer in &mut writers {
            // SIGKILL.
            writer.kill().unwrap();
            assert!(!writer.wait().unwrap().success());
        }
        for i in 0..ENTRIES {
            // An error here would be a torn entry.
            let found = cache.read(&key(i)).unwrap();
            assert!(found.is_none_or(|bytes| bytes == content(i)), "entry {i} is not what was written");
        }
    }
}

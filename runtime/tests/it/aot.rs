//! Compiling with libtpu for TPUs that are not there. libtpu runs in a process of its own, as users have it.

use std::{env, ffi::OsString, path::PathBuf, sync::LazyLock, time::Duration};

use porter_runtime::{
    Code, CompileOptions, Error, Flag, NamedValue, Value,
    aot::{Compiled, Compiler, Job, TopologyRequest, serve},
    plugins,
};

const WORKER: &str = "PORTER_TEST_AOT_WORKER";

/// Not a test by itself: what the compilers of this file run.
#[test]
fn worker() {
    if env::var_os(WORKER).is_some() {
        serve().unwrap();
    }
}

fn libtpu() -> PathBuf {
    static LIBTPU: LazyLock<PathBuf> =
        LazyLock::new(|| plugins::ensure(Some("tpu"), &mut |_| {}).unwrap().path);
    LIBTPU.clone()
}

/// A compiler whose worker is this binary.
fn compiler() -> Compiler {
    let this = env::current_exe().unwrap();
    let args = [format!("{WORKER}=1").into(), this.into(), "--exact".into(), "aot::worker".into()];
    let args: Vec<OsString> = args.into_iter().chain(["--nocapture".into()]).collect();
    Compiler { worker: ("/usr/bin/env".into(), args), plugin: libtpu(), time_limit: Duration::from_mins(5) }
}

fn topology(name: &str, devices: usize, kind: &str) -> TopologyRequest {
    TopologyRequest { name: name.into(), options: vec![], devices, kind: kind.into() }
}

fn job(topology: TopologyRequest, program: &str) -> Job {
    Job { topology, program: program.into(), options: CompileOptions::default(), serialize: false }
}

fn v5e() -> TopologyRequest {
    topology("v5e:1x1", 1, "TPU v5 lite")
}

fn doubled(ty: &str) -> String {
    format!(
        "func.func @main(%a: {ty}) -> {ty} {{ %0 = stablehlo.add %a, %a : {ty} loc(\"model.double\") return %0 : {ty} }}"
    )
}

fn refused(job: &Job) -> Error {
    compiler().compile(job).unwrap_err()
}

fn int(named: &[NamedValue], name: &str) -> Option<i64> {
    match named.iter().find(|n| n.name == name)?.value {
        Value::Int(n) => Some(n),
        _ => None,
    }
}

#[test]
fn every_family_compiles_and_says_what_a_program_needs() {
    let megacore = NamedValue::new("chip_config_name", Value::String("megacore".into()));
    let v4 = TopologyRequest { options: vec![megacore], ..topology("v4:2x2x1", 4, "TPU v4") };
    let others = [
        topology("v5p:1x1x1", 1, "TPU v5"),
        topology("v6e:1x1", 1, "TPU v6 lite"),
        topology("tpu7x:1x1x1", 2, "TPU7x"),
    ];
    for topology in [v4, v5e()].into_iter().chain(others) {
        let job = Job { serialize: true, ..job(topology, &doubled("tensor<1024x1024xf32>")) };
        let Compiled { memory, optimized, serialized, device, device_kind, fingerprint, cost, .. } =
            compiler().compile(&job).unwrap();
        assert_eq!((memory.arguments, memory.outputs), (4 << 20, 4 << 20), "{device_kind}");
        assert_eq!(memory.aliased, 0);
        assert!(memory.code > 0 && memory.peak >= 8 << 20);
        assert_eq!(device_kind, job.topology.kind);
        // Between the 15.75 GiB that v5e leaves and the 95 GiB of v5p.
        let limit = int(&device, "device_memory_bytes_limit").unwrap();
        assert!((15 << 30..96 << 30).contains(&limit), "{device_kind}: {limit}");
        assert_eq!(optimized.format, "hlo_with_config");
        let text = String::from_utf8_lossy(&optimized.code);
        assert!(text.contains("model.double"), "source paths reach the optimised program");
        assert!(serialized.is_some_and(|bytes| bytes.len() > 10_000) && !fingerprint.is_empty());
        assert!(cost.iter().any(|named| named.name == "flops" && named.value == Value::Float(1_048_576.0)));
    }
}

#[test]
fn donated_arguments_are_aliased() {
    let program = doubled("tensor<1024xf32>").replacen(
        "%a: tensor<1024xf32>",
        "%a: tensor<1024xf32> {tf.aliasing_output = 0 : i32}",
        1,
    );
    assert_eq!(compiler().compile(&job(v5e(), &program)).unwrap().memory.aliased, 4096);
}

#[test]
fn devices_other_than_those_asked_for_are_refused() {
    let empty = refused(&job(topology("", 4, "TPU v5 lite"), &doubled("tensor<8xf32>"))).to_string();
    assert!(empty.contains("made 8 devices of \"TPU v2\"") && empty.contains("expected 4"), "{empty}");
    let other = refused(&job(topology("v5e:2x2", 8, "TPU v5 lite"), &doubled("tensor<8xf32>"))).to_string();
    assert!(other.contains("made 4 devices"), "{other}");
    let unknown = refused(&job(topology("v9:2x2", 4, "TPU v9"), &doubled("tensor<8xf32>")));
    assert_eq!(unknown.code(), Some(Code::InvalidArgument), "{unknown}");
}

#[test]
fn a_program_that_does_not_fit_says_by_how_much() {
    let Error::OutOfMemory(oom) = refused(&job(v5e(), &doubled("tensor<100000x100000xbf16>"))) else {
        panic!("expected an out-of-memory error")
    };
    assert_eq!(oom.space, "hbm");
    // One array has 20e9 bytes; the argument and the result are both needed.
    assert!(oom.needed.unwrap() > 40_000_000_000, "{oom:?}");
    assert_eq!(oom.available, Some((63 << 30) / 4), "15.75 GiB");

    let product = "func.func @main(%a: tensor<2048x2048xbf16>) -> tensor<2048x2048xbf16> {
        %0 = stablehlo.dot_general %a, %a, contracting_dims = [1] x [0] : (tensor<2048x2048xbf16>, tensor<2048x2048xbf16>) -> tensor<2048x2048xbf16> loc(\"model.mlp\")
        return %0 : tensor<2048x2048xbf16> }";
    let options = CompileOptions::default().flag("xla_tpu_scoped_vmem_limit_kib", Flag::Int(1));
    let Error::OutOfMemory(oom) = refused(&Job { options, ..job(v5e(), product) }) else {
        panic!("expected an out-of-memory error")
    };
    assert_eq!((oom.space.as_str(), oom.available), ("vmem", Some(1024)));
    assert!(oom.needed > oom.available && oom.source.as_deref() == Some("model.mlp"), "{oom:?}");
}

#[test]
fn mistakes_are_told_in_the_compilers_words() {
    let unknown_op = refused(&job(v5e(), &doubled("tensor<8xf32>").replace("stablehlo.add", "stablehlo.ad")));
    assert!(unknown_op.to_string().contains("custom op 'stablehlo.ad' is unknown"), "{unknown_op}");
    let flags = CompileOptions::default().flag("xla_nope", Flag::Bool(true));
    let unknown_flag = refused(&Job { options: flags, ..job(v5e(), &doubled("tensor<8xf32>")) });
    assert!(unknown_flag.to_string().contains("No such compile option: 'xla_nope'"), "{unknown_flag}");
    let two = CompileOptions::sharded(2.try_into().unwrap());
    let too_many = refused(&Job { options: two, ..job(v5e(), &doubled("tensor<8xf32>")) });
    assert!(too_many.to_string().contains("needs 2 devices, the topology has 1"), "{too_many}");
}

/// A type nested so deep that libtpu's parser runs out of stack and the process aborts.
#[test]
fn a_compiler_that_aborts_is_an_error() {
    let deep = 200_000;
    let ty = format!("{}tensor<f32>{}", "tuple<".repeat(deep), ">".repeat(deep));
    let error = refused(&job(v5e(), &doubled(&ty)));
    assert!(matches!(error, Error::CompilerDied { .. }) && error.is_environment(), "{error}");
    assert!(error.to_string().contains("signal: 6"), "{error}");
    assert!(error.to_string().contains("overflowed its stack"), "{error}");
}

/// A worker that does something else than compile.
fn instead(command: &str, time_limit: Duration) -> Error {
    let worker = ("/bin/sh".into(), vec!["-c".into(), command.into()]);
    Compiler { worker, plugin: libtpu(), time_limit }
        .compile(&job(v5e(), &doubled("tensor<8xf32>")))
        .unwrap_err()
}

#[test]
fn a_compiler_that_hangs_is_stopped() {
    // The inner process keeps the streams open after the shell was killed.
    let error = instead("echo working >&2; sleep 30; echo never", Duration::from_millis(300));
    assert!(matches!(error, Error::CompilerTimedOut { .. }), "{error}");
}

/// The reply counts, however its writer ends: here not within the time.
#[test]
fn a_worker_that_hangs_after_its_reply_is_stopped_and_believed() {
    // Field 2 is a failure, whose field 3 is its message: "no".
    let reply = r"\0porter-aot-reply-1\0\006\0\0\0\0\0\0\0\022\004\032\002no";
    let error = instead(&format!("printf '{reply}'; exec sleep 60"), Duration::from_mins(10));
    assert!(matches!(&error, Error::Environment(message) if message == "no"), "{error}");
}

#[test]
fn a_worker_that_is_none_is_an_error() {
    let long = Duration::from_mins(1);
    let silent = instead("exit 3", long).to_string();
    assert!(silent.contains("it wrote no reply; exit status: 3"), "{silent}");
    let killed = instead("echo oh no >&2; kill -9 $$", long).to_string();
    assert!(killed.contains("signal: 9") && killed.contains("oh no"), "{killed}");
    let garbage = instead(r"printf '\0porter-aot-reply-1\0\377\377\377\377\377\377\377\377garbage'", long);
    assert!(garbage.to_string().contains("its reply is cut off"), "{garbage}");
    let none = Compiler { worker: ("/nonexistent".into(), vec![]), plugin: libtpu(), time_limit: long };
    let none = none.compile(&job(v5e(), "")).unwrap_err().to_string();
    assert!(none.contains("start the compiler's process /nonexistent"), "{none}");
}

#[test]
fn what_is_no_plugin_is_told_by_the_worker() {
    let compiler = Compiler { plugin: "/nonexistent.so".into(), ..compiler() };
    let error = compiler.compile(&job(v5e(), &doubled("tensor<8xf32>"))).unwrap_err();
    assert!(error.is_environment() && error.to_string().contains("/nonexistent.so"), "{error}");
}

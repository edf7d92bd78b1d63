//! Programs over several devices: eight virtual ones of the CPU.

use std::{num::NonZeroU32, sync::LazyLock};

use porter_runtime::{Arg, Buffer, Client, ClientOptions, CompileOptions, Error, LoadedExecutable};

use crate::common::{f32s, plugin, signature, tensor};

const DEVICES: usize = 8;

fn eight() -> Client {
    static CLIENT: LazyLock<Client> = LazyLock::new(|| {
        let options = ClientOptions { cpu_device_count: Some(DEVICES as u32), ..ClientOptions::default() };
        Client::create(&plugin(), &options).unwrap()
    });
    CLIENT.clone()
}

fn options() -> CompileOptions {
    CompileOptions::sharded(NonZeroU32::new(DEVICES as u32).unwrap())
}

/// The sum over rows of a matrix whose rows lie on eight devices: every device needs an all-reduce.
fn column_sums(options: &CompileOptions) -> LoadedExecutable {
    let program = "module @sums {
  sdy.mesh @mesh = <[\"x\"=8]>
  func.func public @main(%a: tensor<16x4xf32> {sdy.sharding = #sdy.sharding<@mesh, [{\"x\"}, {}]>})
      -> (tensor<4xf32> {sdy.sharding = #sdy.sharding<@mesh, [{}]>}) {
    %zero = stablehlo.constant dense<0.0> : tensor<f32>
    %0 = stablehlo.reduce(%a init: %zero) applies stablehlo.add across dimensions = [0]
        : (tensor<16x4xf32>, tensor<f32>) -> tensor<4xf32>
    return %0 : tensor<4xf32>
  }
}";
    eight().compile(program, &signature([f32s([2, 4])], [f32s([4])]), options).unwrap()
}

/// Two rows of the matrix 0, 1, 2, ... for each device of `program`, in its order.
fn shards(program: &LoadedExecutable) -> Vec<Buffer> {
    let shard = |(i, &device): (usize, &usize)| {
        let rows: Vec<f32> = (8 * i..8 * (i + 1)).map(|x| x as f32).collect();
        eight().device(device).unwrap().upload(&tensor(&[2, 4], &rows)).unwrap()
    };
    program.devices().iter().enumerate().map(shard).collect()
}

fn check(program: &LoadedExecutable) {
    let shards = shards(program);
    let args: Vec<_> = shards.iter().map(|shard| vec![Arg::Keep(shard)]).collect();
    let outputs = program.start(args).unwrap().wait().unwrap();
    // Column j holds j, j + 4, ..., j + 60.
    let expected: Vec<f32> = (0..4).map(|j| (0..16).map(|i| (4 * i + j) as f32).sum()).collect();
    assert_eq!(outputs.len(), DEVICES);
    for (output, &device) in outputs.iter().zip(program.devices()) {
        assert_eq!(output[0].device_index(), device);
        assert_eq!(output[0].download().unwrap().to_vec::<f32>().unwrap(), expected);
    }
}

#[test]
fn shardy_sums_over_eight_devices() {
    let program = column_sums(&options());
    assert_eq!(program.devices(), [0, 1, 2, 3, 4, 5, 6, 7]);
    let optimized = program.executable().optimized().unwrap();
    assert!(optimized.code.windows(10).any(|w| w == b"all-reduce"));
    check(&program);
}

#[test]
fn devices_may_be_assigned_in_another_order() {
    let reversed = CompileOptions { device_ids: Some(vec![(0..8).rev().collect()]), ..options() };
    let program = column_sums(&reversed);
    assert_eq!(program.devices(), [7, 6, 5, 4, 3, 2, 1, 0]);
    check(&program);
}

#[test]
fn replicas_run_one_program_each() {
    let program = "func.func @main(%a: tensor<2xf32>) -> tensor<2xf32> {
  %0 = \"stablehlo.all_reduce\"(%a) <{replica_groups = dense<[[0, 1]]> : tensor<1x2xi64>}> ({
  ^bb0(%p: tensor<f32>, %q: tensor<f32>):
    %s = stablehlo.add %p, %q : tensor<f32>
    stablehlo.return %s : tensor<f32>
  }) : (tensor<2xf32>) -> tensor<2xf32>
  return %0 : tensor<2xf32>
}";
    let options = CompileOptions { replicas: NonZeroU32::new(2).unwrap(), ..CompileOptions::default() };
    let program = eight().compile(program, &signature([f32s([2])], [f32s([2])]), &options).unwrap();
    let upload = |(i, &device): (usize, &usize)| {
        eight().device(device).unwrap().upload(&tensor(&[2], &[i as f32, 10.0])).unwrap()
    };
    let buffers: Vec<Buffer> = program.devices().iter().enumerate().map(upload).collect();
    let args: Vec<_> = buffers.into_iter().map(|buffer| vec![Arg::Donate(buffer)]).collect();
    for output in program.start(args).unwrap().wait().unwrap() {
        assert_eq!(output[0].download().unwrap().to_vec::<f32>().unwrap(), [1.0, 20.0]);
    }
}

#[test]
fn missing_devices_and_misplaced_shards_are_refused() {
    let program = column_sums(&options());
    let mut shards = shards(&program);
    let args = |shards: &[Buffer]| {
        let args: Vec<_> = shards.iter().map(|shard| vec![Arg::Keep(shard)]).collect();
        match program.start(args) {
            Err(Error::Arguments(problems)) => problems,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(args(&shards[..7]), ["it runs on 8 devices, arguments for 7 were given"]);
    shards.swap(0, 1);
    assert_eq!(
        args(&shards),
        ["argument 0 is on device 1, expected 0", "argument 0 is on device 0, expected 1"]
    );
}

#[test]
fn more_partitions_than_devices_is_an_error() {
    let options = CompileOptions::sharded(NonZeroU32::new(9).unwrap());
    let program = "func.func @main(%a: tensor<9xf32>) -> tensor<9xf32> { return %a : tensor<9xf32> }";
    let compile =
        |options| eight().compile(program, &signature([f32s([9])], [f32s([9])]), &options).unwrap_err();
    assert_eq!(
        compile(options).to_string(),
        "compile options: the program needs 9 devices, the client has 8"
    );
    // Sent to the plugin, this would end the process.
    let absurd = CompileOptions { replicas: NonZeroU32::MAX, ..CompileOptions::default() };
    assert!(matches!(compile(absurd), Error::Options(_)));
}

//! Ops that are about several devices: every example runs on two.

use porter_ir::{
    Builder, DType, Literal, Mesh, OpKind, Result, Sharding, TensorType, Value,
    ops::{Among, Groups},
};

use super::{Devices, Example, Expected, program, row, tensor};

/// The same program, with the ids of replicas and with device numbers.
fn both(
    inputs: &[Literal; 2],
    outputs: &[Literal; 2],
    build: fn(&Builder, Value, Among) -> Result<Value>,
) -> Vec<Example> {
    let ways = [(Devices::Replicas, Among::Replicas), (Devices::Partitions, Among::Devices { channel: 1 })];
    let example = |(devices, among)| Example {
        program: program(&[inputs[0].ty()], |b, args| Ok(vec![build(b, args[0], among)?])),
        devices,
        inputs: inputs.iter().map(|input| vec![input.clone()]).collect(),
        expected: Expected::Values(outputs.iter().map(|output| vec![output.clone()]).collect()),
    };
    ways.map(example).into()
}

fn pair(among: Among) -> Groups {
    Groups { groups: vec![vec![0, 1]], among }
}

pub(super) fn examples(kind: OpKind) -> Vec<Example> {
    use OpKind as K;
    let inputs = &[row(&[1.0_f32, 2.0]), row(&[10.0_f32, 20.0])];
    match kind {
        K::AllGather => {
            let gathered = row(&[1.0_f32, 2.0, 10.0, 20.0]);
            both(inputs, &[gathered.clone(), gathered], |b, x, among| b.all_gather(x, 0, pair(among)))
        }
        K::AllReduce => {
            let sum = row(&[11.0_f32, 22.0]);
            both(inputs, &[sum.clone(), sum], |b, x, among| {
                b.all_reduce(x, pair(among), |b, a| b.add(a[0], a[1]))
            })
        }
        K::AllToAll => {
            let outputs = [row(&[1.0_f32, 10.0]), row(&[2.0_f32, 20.0])];
            both(inputs, &outputs, |b, x, among| b.all_to_all(x, 0, 0, pair(among)))
        }
        // Nobody sends to device 0.
        K::CollectivePermute => {
            let outputs = [row(&[0.0_f32, 0.0]), row(&[1.0_f32, 2.0])];
            both(inputs, &outputs, |b, x, among| b.collective_permute(x, &[[0, 1]], among))
        }
        K::PartitionId => partition_ids(),
        K::ReduceScatter => both(inputs, &[row(&[11.0_f32]), row(&[22.0_f32])], |b, x, among| {
            b.reduce_scatter(x, 0, pair(among), |b, a| b.add(a[0], a[1]))
        }),
        K::ReplicaId => vec![ids(Devices::Replicas, Builder::replica_id, numbers(&[0, 1]))],
        K::ShardingConstraint => vec![sharded()],
        _ => Vec::new(),
    }
}

fn ids(devices: Devices, op: fn(&Builder) -> Result<Value>, expected: Expected) -> Example {
    let inputs = vec![vec![]; if matches!(devices, Devices::One) { 1 } else { 2 }];
    Example { program: program(&[], |b, _| Ok(vec![op(b)?])), devices, inputs, expected }
}

fn numbers(ids: &[u32]) -> Expected {
    Expected::Values(ids.iter().map(|&id| vec![tensor([], &[id])]).collect())
}

/// The one partition is number 0. Of several, the partitioner refuses to tell which: the program that
/// it splits is written as if there were one device.
fn partition_ids() -> Vec<Example> {
    let refused = Expected::Refused("PartitionId instruction is not supported for SPMD partitioning");
    vec![
        ids(Devices::One, Builder::partition_id, numbers(&[0])),
        ids(Devices::Partitions, Builder::partition_id, refused),
    ]
}

/// A row split over two devices, gathered by a constraint in between, and split again.
fn sharded() -> Example {
    let split = Sharding { dims: vec![vec!["model".to_owned()]] };
    let b = Builder::new("sharded");
    b.set_mesh(Mesh { axes: vec![("model".to_owned(), 2)] });
    let x = b.argument("x", TensorType::new(DType::F32, [4])).unwrap();
    b.shard_input("x", split.clone()).unwrap();
    let whole = b.sharding_constraint(x, Sharding { dims: vec![vec![]] }).unwrap();
    b.result("y", b.reverse(whole, &[0]).unwrap()).unwrap();
    b.shard_output("y", split).unwrap();
    Example {
        program: b.finish(),
        devices: Devices::Partitions,
        inputs: vec![vec![row(&[1.0_f32, 2.0])], vec![row(&[3.0_f32, 4.0])]],
        expected: Expected::Values(vec![vec![row(&[4.0_f32, 3.0])], vec![row(&[2.0_f32, 1.0])]]),
    }
}

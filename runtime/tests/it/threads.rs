//! Clients, buffers and programs are shared between threads.

use std::thread;

use porter_runtime::Arg;

use crate::common::{add, device, f32s, tensor};

#[test]
fn four_threads_run_one_program() {
    let program = add(&f32s([1024]));
    let shared = device().upload(&tensor(&[1024], &[1.0_f32; 1024])).unwrap();
    thread::scope(|scope| {
        for number in 0..4_u8 {
            let (program, shared) = (&program, &shared);
            scope.spawn(move || {
                let mut value = device().upload(&tensor(&[1024], &[f32::from(number); 1024])).unwrap();
                for _ in 0..50 {
                    value = program.execute(vec![Arg::Donate(value), Arg::Keep(shared)]).unwrap().remove(0);
                }
                assert_eq!(
                    value.download().unwrap().to_vec::<f32>().unwrap(),
                    [f32::from(number) + 50.0; 1024]
                );
            });
        }
    });
}

#[test]
fn buffers_may_be_dropped_elsewhere() {
    let buffer = device().upload(&tensor(&[4096], &[1.0_f32; 4096])).unwrap();
    thread::spawn(move || drop(buffer)).join().unwrap();
}

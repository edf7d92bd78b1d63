//! Host memory that is lent to the plugin.

use std::{
    io::Write as _,
    sync::{Arc, Weak},
    thread,
    time::{Duration, Instant},
};

use host_memory::{AlignedBytes, MappedFile};
use porter_ir::{DType, TensorType};
use porter_runtime::{Arg, Client, ClientOptions, HostTensor};

use crate::common::{add, device, f32s, plugin};

const LEN: usize = 1 << 16;

fn lent() -> (HostTensor, Weak<AlignedBytes>) {
    let mut bytes = AlignedBytes::zeroed(4 * LEN);
    for (i, element) in bytes.chunks_exact_mut(4).enumerate() {
        element.copy_from_slice(&(i as f32).to_le_bytes());
    }
    let bytes = Arc::new(bytes);
    let weak = Arc::downgrade(&bytes);
    (HostTensor::new(f32s([LEN]), bytes).unwrap(), weak)
}

/// The plugin lets go on a thread of its own.
fn is_freed_soon(owner: &Weak<AlignedBytes>) -> bool {
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(10) {
        if owner.strong_count() == 0 {
            return true;
        }
        thread::sleep(Duration::from_millis(1));
    }
    false
}

#[test]
fn aligned_memory_is_used_in_place_and_lives_as_long_as_its_buffer() {
    let (host, owner) = lent();
    let address = host.bytes().as_ptr().addr();
    let buffer = device().upload(&host).unwrap();
    assert_eq!(buffer.address().unwrap(), address);
    drop(host);
    thread::sleep(Duration::from_millis(50));
    assert_eq!(owner.strong_count(), 1);
    let values = buffer.download().unwrap().to_vec::<f32>().unwrap();
    assert!(values.iter().enumerate().all(|(i, &x)| x == i as f32));
    drop(buffer);
    assert!(is_freed_soon(&owner));
}

#[test]
fn a_buffer_that_is_dropped_during_an_execution_keeps_its_memory_until_the_end() {
    let program = add(&f32s([LEN]));
    let (host, owner) = lent();
    let buffer = device().upload(&host).unwrap();
    let running = program.start(vec![vec![Arg::Keep(&buffer), Arg::Keep(&buffer)]]).unwrap();
    drop((host, buffer));
    let sum = running.wait().unwrap()[0][0].download().unwrap().to_vec::<f32>().unwrap();
    assert!(sum.iter().enumerate().all(|(i, &x)| x == 2.0 * i as f32));
    assert!(is_freed_soon(&owner));
}

#[test]
fn memory_is_let_go_where_the_client_ends_first() {
    let (host, owner) = lent();
    let client = Client::create(&plugin(), &ClientOptions::default()).unwrap();
    let buffer = client.device(0).unwrap().upload(&host).unwrap();
    drop((host, client));
    assert_eq!(owner.strong_count(), 1);
    drop(buffer);
    assert!(is_freed_soon(&owner));
}

#[test]
fn unaligned_memory_is_copied_and_not_kept() {
    struct Tail(AlignedBytes, usize);
    impl AsRef<[u8]> for Tail {
        fn as_ref(&self) -> &[u8] {
            &self.0[self.1..]
        }
    }
    for offset in [4, 16, 32] {
        let owner = Arc::new(Tail(AlignedBytes::zeroed(4 * LEN + offset), offset));
        let host = HostTensor::new(f32s([LEN]), owner.clone()).unwrap();
        let buffer = device().upload(&host).unwrap();
        drop(host);
        assert_eq!(Arc::strong_count(&owner), 1);
        assert_eq!(buffer.download().unwrap().to_vec::<f32>().unwrap(), vec![0.0; LEN]);
    }
}

#[test]
fn a_mapped_file_is_a_tensor() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let values: Vec<u8> = (0..LEN).map(|i| i as u8).collect();
    file.write_all(&values).unwrap();
    let map = Arc::new(MappedFile::open(file.path()).unwrap());
    let address = map.as_ptr().addr();
    let host = HostTensor::new(TensorType::new(DType::U8, [LEN]), map).unwrap();
    let buffer = device().upload(&host).unwrap();
    drop(host);
    assert_eq!(buffer.address().unwrap(), address);
    assert_eq!(buffer.download().unwrap().bytes(), values);
}

//! Convolutions in the form for TPU give what they give as they are, on a real plugin.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{client, random};
use porter_ir::{
    Builder, DType, Program, TensorType,
    ops::{Convolution, ConvolutionLayout},
};
use porter_rewrite::{Port, Rewrite, ToeplitzConvolutions};
use porter_runtime::{Client, CompileOptions, Devices, HostTensor, Signature, States, Step, Weights};
use porter_weights::WeightMap;

/// What a program of one result makes of numbers that its arguments' names give.
fn results(program: &Program, client: &Client) -> Vec<f32> {
    assert!(program.verify().is_empty(), "{:?}", program.verify());
    let (entry, devices) = (program.entry(), Devices::of(client));
    let signature = Signature::of(&entry);
    let compiled = client.compile(&program.to_string(), &signature, &CompileOptions::default()).unwrap();
    let step = Step::new(&entry, compiled, &devices, &Weights::new()).unwrap();
    let tensor = |name: &str, ty: &TensorType| {
        HostTensor::from_slice(ty.shape.clone(), &random(name, &ty.shape)).unwrap()
    };
    let arguments: Vec<(&str, HostTensor)> =
        entry.inputs.iter().map(|input| (&*input.name, tensor(&input.name, &input.ty))).collect();
    let found = step.run(&arguments, &mut States::zeros(&devices, &entry).unwrap()).unwrap();
    found["y"].to_vec().unwrap()
}

/// Time series of one feature through filters of every kind: long and short, in steps, with what is before and after
/// them cut or padded, in any layout. As products with Toeplitz matrices they give what the plugin's convolutions give.
#[test]
fn convolutions_of_one_feature_give_the_same_as_products() {
    let client = client();
    let layout =
        |order: [usize; 3]| ConvolutionLayout { outer: order[0], feature: order[1], spatial: vec![order[2]] };
    let plain = [0, 1, 2];
    let cases = [
        // batch, length, features, taps, stride, padding, layouts of input, kernel, output
        (1, 700, 1, 64, 2, (0, 0), [plain; 3]),
        (2, 301, 3, 33, 1, (16, 16), [plain; 3]),
        (1, 4000, 40, 400, 160, (200, 7), [plain; 3]),
        (1, 900, 200, 5, 3, (2, 0), [plain; 3]),
        (2, 1200, 2, 96, 5, (-3, -40), [[2, 0, 1], [1, 2, 0], [2, 1, 0]]),
    ];
    let toeplitz = ToeplitzConvolutions { lanes: 128, most_columns_a_tap: usize::MAX };
    for (batch, length, features, taps, stride, padding, layouts) in cases {
        let b = Builder::new("main");
        let placed = |order: [usize; 3], sizes: [usize; 3]| {
            let mut shape = [0; 3];
            order.iter().zip(sizes).for_each(|(&dim, size)| shape[dim] = size);
            TensorType::new(DType::F32, shape)
        };
        let x = b.argument("x", placed(layouts[0], [batch, 1, length])).unwrap();
        let w = b.argument("w", placed(layouts[1], [features, 1, taps])).unwrap();
        let [input, kernel, output] = layouts.map(layout);
        let mut convolution = Convolution { input, kernel, output, ..Convolution::plain(1, DType::F32) };
        (convolution.window.strides, convolution.window.padding) = (vec![stride], vec![padding]);
        b.result("y", b.convolution(convolution, x, w).unwrap()).unwrap();
        let port = Port::new(vec![b.finish()], WeightMap::new());
        let rewritten = toeplitz.propose(&port).apply(&port).unwrap();
        assert!(!rewritten.programs[0].to_string().contains("convolution"), "it has something to do");
        let [found, expected] = [&rewritten, &port].map(|port| results(&port.programs[0], &client));
        assert_eq!(found.len(), expected.len());
        let largest = expected.iter().fold(0_f32, |most, y| most.max(y.abs()));
        let distance = found.iter().zip(&expected).fold(0_f32, |most, (a, b)| most.max((a - b).abs()));
        // Sums of `taps` products in another order: some roundings of 6e-8 of the largest.
        assert!(largest > 0.1 && distance <= 2e-6 * largest, "{taps} taps: {distance} of {largest}");
    }
}

/// Work that is mostly with zeros, groups, dilations, integers and several features keep their convolutions.
#[test]
fn other_convolutions_are_left_alone() {
    let toeplitz = ToeplitzConvolutions { lanes: 128, most_columns_a_tap: 4 };
    let plain = || Convolution::plain(1, DType::F32);
    let mut dilated = plain();
    dilated.window.window_dilations = vec![2];
    let mut turned = plain();
    turned.window.base_dilations = vec![2];
    let left = [
        (plain(), DType::F32, [1, 1, 4000], [1, 1, 3], "few taps"),
        (plain(), DType::F32, [1, 1, 300], [1, 1, 256], "one block"),
        (plain(), DType::F32, [1, 2, 4000], [1, 2, 256], "features to sum over"),
        (Convolution { feature_groups: 2, ..plain() }, DType::F32, [1, 2, 4000], [2, 1, 256], "groups"),
        (dilated, DType::F32, [1, 1, 4000], [1, 1, 256], "a dilated kernel"),
        (turned, DType::F32, [1, 1, 4000], [1, 1, 256], "a transposed convolution"),
        (Convolution { dtype: DType::I32, ..plain() }, DType::I32, [1, 1, 4000], [1, 1, 256], "integers"),
    ];
    for (convolution, dtype, input, kernel, why) in left {
        let b = Builder::new("main");
        let x = b.argument("x", TensorType::new(dtype, input)).unwrap();
        let w = b.argument("w", TensorType::new(dtype, kernel)).unwrap();
        b.result("y", b.convolution(convolution, x, w).unwrap()).unwrap();
        let port = Port::new(vec![b.finish()], WeightMap::new());
        assert!(toeplitz.propose(&port).is_empty(), "{why}");
    }
}

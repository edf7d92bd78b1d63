//! What is decoded, against what libtpu itself writes as text.

use std::{collections::HashMap, fs, path::Path};

use porter_plan::hlo::{HloError, Module, Space};
use porter_runtime::{CompileOptions, Flag};
use porter_zoo::Phase;

use crate::common::{compile, compile_with, llama_8b, module, target};

/// The instructions of libtpu's dump, by name: what follows `%NAME = `.
fn dumped(folder: &Path) -> HashMap<String, String> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let dump =
        files.filter(|path| path.to_str().unwrap().ends_with(".after_optimizations.txt")).last().unwrap();
    let text = fs::read_to_string(dump).unwrap();
    let lines = text.lines().filter_map(|line| {
        let line = line.trim_start().trim_start_matches("ROOT ");
        line.strip_prefix('%')?.split_once(" = ")
    });
    lines.map(|(name, rest)| (name.to_owned(), rest.to_owned())).collect()
}

#[test]
fn every_instruction_is_that_of_the_compilers_dump() {
    let folder = tempfile::tempdir().unwrap();
    let options = CompileOptions::default()
        .flag("xla_dump_to", Flag::String(folder.path().to_str().unwrap().into()))
        .flag("xla_dump_hlo_as_text", Flag::Bool(true));
    let program = llama_8b(1, &Phase::Decode { batch: 8, cache: 512 }).to_string();
    let module = module(&compile_with(&target("v6e:1x1"), &program, options));
    let dumped = dumped(folder.path());

    let instructions: Vec<_> = module.computations.iter().flat_map(|c| &c.instructions).collect();
    let mut compared = 0;
    // Elements of tuples are written where they are read.
    for instruction in instructions.iter().filter(|i| i.opcode != "get-tuple-element") {
        let line =
            dumped.get(&instruction.name).unwrap_or_else(|| panic!("{} is in no dump", instruction.name));
        assert!(line.contains(&format!(" {}(", instruction.opcode)), "{}: {line}", instruction.opcode);
        if let [array] = instruction.arrays.as_slice() {
            let dims: Vec<String> = array.dims.iter().map(ToString::to_string).collect();
            let (shape, rest) = line.split_once(' ').unwrap();
            assert!(shape.contains(&format!("[{}]", dims.join(","))), "{dims:?}: {line}");
            assert_eq!(array.space == Space::Vmem, shape.contains("S(1)"), "{line}");
            assert_eq!(array.space == Space::Hbm, !shape.contains("S("), "{line}");
            let source = format!("op_name=\"{}\"", instruction.source);
            assert_eq!(!instruction.source.is_empty(), rest.contains("op_name="), "{line}");
            assert!(instruction.source.is_empty() || rest.contains(&source), "{source}: {line}");
            compared += 1;
        }
    }
    assert!(compared > 200, "{compared}");
    assert!(instructions.iter().any(|i| i.cycles.is_some()));
    assert!(instructions.iter().any(|i| i.arrays.iter().any(|array| array.space == Space::Vmem)));
}

#[test]
fn damaged_bytes_are_errors() {
    let program = "func.func @main(%a: tensor<64x64xf32>) -> tensor<64x64xf32> {
        %0 = stablehlo.dot_general %a, %a, contracting_dims = [1] x [0] : (tensor<64x64xf32>, tensor<64x64xf32>) -> tensor<64x64xf32>
        return %0 : tensor<64x64xf32> }";
    let code = compile(&target("v5e:1x1"), program).optimized.code;
    assert!(Module::decode(&code).is_ok());
    assert!(matches!(Module::decode(b""), Err(HloError::Message(_))));
    assert!(Module::decode(b"not a protobuf").is_err());
    let mut refused = 0;
    for cut in 0..code.len() {
        refused += usize::from(Module::decode(&code[..cut]).is_err());
        let mut flipped = code.clone();
        flipped[cut] ^= 0x5a;
        // Whatever it decodes to, it can be walked.
        if let Ok(module) = Module::decode(&flipped) {
            let _ = porter_plan::Estimate::new(&module, &target("v5e:1x1"), &porter_plan::Inputs::default());
        }
    }
    assert!(refused > code.len() / 2, "{refused} of {}", code.len());
}

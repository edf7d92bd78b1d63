//! What is bound, folded and refused. The numbers are judged by ONNX's own suite, `ci/onnx/run.sh`.

#![allow(clippy::unwrap_used)]

use std::{collections::BTreeMap, path::Path};

use onnx_protobuf::{
    Dimension, GraphProto, Message, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto,
    TensorTypeProto, TypeProto, ValueInfoProto,
};
use porter_ir::DType;
use porter_onnx::{ImportError, Model, Options, ProblemKind, import};

fn value(name: &str, elem: i32, dims: &[&str]) -> ValueInfoProto {
    let dim = |text: &&str| match text.parse() {
        Ok(size) => Dimension { dim_value: Some(size), ..Dimension::default() },
        Err(_) => Dimension { dim_param: Some((*text).to_owned()), ..Dimension::default() },
    };
    let shape = TensorShapeProto { dim: dims.iter().map(dim).collect() };
    let tensor = TensorTypeProto { elem_type: Some(elem), shape: Some(shape) };
    ValueInfoProto {
        name: Some(name.to_owned()),
        r#type: Some(TypeProto { tensor_type: Some(tensor), ..TypeProto::default() }),
        ..ValueInfoProto::default()
    }
}

fn node(op: &str, inputs: &[&str], outputs: &[&str]) -> NodeProto {
    let names = |list: &[&str]| list.iter().map(|&name| name.to_owned()).collect();
    NodeProto {
        op_type: Some(op.to_owned()),
        name: Some(format!("the {op}")),
        input: names(inputs),
        output: names(outputs),
        ..NodeProto::default()
    }
}

fn model(graph: GraphProto) -> Model {
    let opset = OperatorSetIdProto { version: Some(20), ..OperatorSetIdProto::default() };
    let proto = ModelProto { graph: Some(graph), opset_import: vec![opset], ..ModelProto::default() };
    Model::decode(proto.encode_to_vec().into(), Path::new("m.onnx")).unwrap()
}

fn ints(name: &str, values: &[i64]) -> TensorProto {
    TensorProto {
        name: Some(name.to_owned()),
        dims: vec![values.len() as i64],
        data_type: Some(7),
        int64_data: values.to_vec(),
        ..TensorProto::default()
    }
}

fn bound(pairs: &[(&str, usize)]) -> Options {
    let dims = pairs.iter().map(|&(name, size)| (name.to_owned(), size)).collect();
    Options { dims, ..Options::default() }
}

/// `x[batch, seq, 12]` with its last dimension split by arithmetic on its own shape.
fn heads() -> GraphProto {
    GraphProto {
        node: vec![
            node("Shape", &["x"], &["shape"]),
            node("Slice", &["shape", "zero", "two"], &["lead"]),
            node("Concat", &["lead", "tail"], &["target"]),
            node("Reshape", &["x", "target"], &["y"]),
        ]
        .into_iter()
        .map(|mut n| {
            if n.op_type() == "Concat" {
                n.attribute.push(onnx_protobuf::AttributeProto {
                    name: Some("axis".to_owned()),
                    i: Some(0),
                    ..Default::default()
                });
            }
            n
        })
        .collect(),
        input: vec![value("x", 1, &["batch", "seq", "12"])],
        output: vec![value("y", 1, &["batch", "seq", "3", "4"])],
        initializer: vec![ints("zero", &[0]), ints("two", &[2]), ints("tail", &[3, -1])],
        ..GraphProto::default()
    }
}

#[test]
fn shape_arithmetic_is_folded_for_bound_dimensions() {
    let program = import(&model(heads()), &bound(&[("batch", 2), ("seq", 5)])).unwrap();
    let output = &program.outputs()[0];
    assert_eq!(program.ty(output.value).shape.to_vec(), [2, 5, 3, 4]);
    assert_eq!(program.verify(), []);
}

#[test]
fn a_dimension_without_a_size_is_named() {
    let error = import(&model(heads()), &bound(&[("batch", 2)])).unwrap_err();
    let found = error.to_string();
    assert!(found.contains(r#"input "x""#) && found.contains(r#"dimension 1, "seq""#), "{found}");
    assert_eq!(error.problems.len(), 1, "{found}");
}

#[test]
fn everything_that_is_wrong_is_reported_at_once() {
    let mut odd = node("Relu", &["x"], &["c"]);
    odd.attribute.push(onnx_protobuf::AttributeProto { name: Some("slope".into()), ..Default::default() });
    let graph = GraphProto {
        node: vec![
            node("Frobnicate", &["x"], &["a"]),
            node("Add", &["a", "x"], &["b"]),
            odd,
            node("Add", &["x", "nowhere"], &["d"]),
            node("NonMaxSuppression", &["x", "x"], &["e"]),
        ],
        input: vec![value("x", 1, &["2"])],
        output: vec![value("b", 1, &["2"]), value("f", 1, &["2"])],
        ..GraphProto::default()
    };
    let ImportError { problems, .. } = import(&model(graph), &Options::default()).unwrap_err();
    let found: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        found,
        [
            r#"node "the Frobnicate" (Frobnicate): no lowering for ai.onnx.Frobnicate"#,
            r#"node "the Relu" (Relu): attributes slope"#,
            r#"node "the Add" (Add): input "nowhere" is given by nothing before it"#,
            r#"node "the NonMaxSuppression" (NonMaxSuppression): its shape depends on how many elements it keeps, which is not known at import"#,
            r#"output "f": nothing gives it"#,
        ]
    );
}

#[test]
fn an_input_that_a_shape_depends_on_is_named() {
    let graph = GraphProto {
        node: vec![node("Expand", &["x", "shape"], &["y"])],
        input: vec![value("x", 1, &["1"]), value("shape", 7, &["2"])],
        output: vec![value("y", 1, &["a", "b"])],
        ..GraphProto::default()
    };
    let error = import(&model(graph.clone()), &Options::default()).unwrap_err();
    assert_eq!(error.needs.iter().collect::<Vec<_>>(), ["shape"]);
    assert_eq!(error.problems[0].kind, ProblemKind::Dynamic);
    let values = BTreeMap::from([("shape".to_owned(), porter_onnx::Host::ints(DType::I64, &[4, 3]))]);
    let program = import(&model(graph), &Options { values, ..Options::default() }).unwrap();
    assert_eq!(program.ty(program.outputs()[0].value).shape.to_vec(), [4, 3]);
}

#[test]
fn lying_graphs_are_refused_without_a_panic() {
    let lying = |dims: &[&str]| GraphProto {
        node: vec![node("MatMul", &["x", "x"], &["a"]), node("Transpose", &["a"], &["y"])],
        input: vec![value("x", 1, dims)],
        output: vec![value("y", 1, &[])],
        ..GraphProto::default()
    };
    for dims in [&["-1"][..], &["9000000000000000000", "9000000000000000000"], &["2", "3"], &[]] {
        assert!(import(&model(lying(dims)), &Options::default()).is_err(), "{dims:?}");
    }
    // A cycle: ONNX's order is that of the list.
    let cycle = GraphProto {
        node: vec![node("Relu", &["b"], &["a"]), node("Relu", &["a"], &["b"])],
        output: vec![value("b", 1, &["2"])],
        ..GraphProto::default()
    };
    assert!(
        import(&model(cycle), &Options::default())
            .unwrap_err()
            .to_string()
            .contains(r#"input "b" is given by nothing"#)
    );
}

#[test]
fn files_of_the_bad_folder() {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../ci/fixtures/bad"));
    let outcome = |name: &str| match Model::open(&folder.join(name)) {
        Ok(model) => import(&model, &Options::default()).map(drop).map_err(|e| e.to_string()),
        Err(error) => Err(error.to_string()),
    };
    assert_eq!(outcome("onnx_ok_control.onnx"), Ok(()));
    for name in
        ["onnx_truncated.onnx", "onnx_garbage.onnx", "onnx_dangling_input.onnx", "onnx_opset_999.onnx"]
    {
        assert!(outcome(name).is_err(), "{name}");
    }
    let unknown = outcome("onnx_unknown_op.onnx").unwrap_err();
    assert!(unknown.contains("no lowering for ai.onnx."), "{unknown}");
}

#[test]
fn a_block_whose_square_overflows_is_refused() {
    let mut depth = node("DepthToSpace", &["x"], &["y"]);
    depth.attribute.push(onnx_protobuf::AttributeProto {
        name: Some("blocksize".to_owned()),
        i: Some(1 << 32),
        ..Default::default()
    });
    let graph = GraphProto {
        node: vec![depth],
        input: vec![value("x", 1, &["1", "1099511627776", "1", "1"])],
        output: vec![value("y", 1, &[])],
        ..GraphProto::default()
    };
    let error = import(&model(graph), &Options::default()).unwrap_err();
    assert_eq!(error.problems[0].kind, ProblemKind::Invalid);
    assert!(error.problems[0].what.contains("in blocks of 4294967296"), "{error}");
}

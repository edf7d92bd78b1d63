//! Every op's file links to the section that specifies it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{fs, path::Path};

use porter_ir::OpKind;

/// Files in `src/ops` that hold no op: what several ops share.
const SHARED: [&str; 4] = ["check", "collective", "elementwise", "window"];

#[test]
fn every_op_file_links_to_its_specification() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/ops");
    let mut ops = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if SHARED.contains(&name.as_str()) {
            continue;
        }
        ops += 1;
        let text = fs::read_to_string(&path).unwrap();
        let compact = name.replace('_', "");
        let links = [
            format!("(<https://openxla.org/stablehlo/spec#{name}>)"),
            format!("(<https://openxla.org/stablehlo/generated/chlo#chlo{name}_chlo{compact}op>)"),
            format!("(<https://openxla.org/shardy/sdy_dialect#sdy{name}_sdy{compact}op>)"),
        ];
        assert!(links.iter().any(|link| text.contains(link)), "{name}.rs has none of {links:?}");
        assert!(text.starts_with(&format!("//! `{name}`: ")), "{name}.rs starts with what it is");
    }
    assert_eq!(ops, OpKind::ALL.len());
}

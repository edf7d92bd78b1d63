//! Where the ops of two parts are not the same.

use std::collections::HashMap;

use porter_ir::{Op, OpId, Program, RegionId, Value};

use super::units::Unit;

/// The most ops that are compared line by line.
const MOST_OPS: usize = 400;

/// Lines that only one side has, in order: `-` the reference's, `+` the port's.
pub(super) fn differences(port: (&Program, &Unit), reference: (&Program, &Unit)) -> Vec<String> {
    let (ours, theirs) = (lines(port.0, port.1), lines(reference.0, reference.1));
    if ours.len() > MOST_OPS || theirs.len() > MOST_OPS {
        return Vec::new();
    }
    apart(&theirs, &ours)
}

/// The ops of a unit, regions included, with values numbered by their place in it.
fn lines(program: &Program, unit: &Unit) -> Vec<String> {
    let mut listing = Listing { program, numbers: HashMap::new(), lines: Vec::new() };
    for &op in &unit.ops {
        listing.op(op, 0);
    }
    listing.lines
}

struct Listing<'a> {
    program: &'a Program,
    numbers: HashMap<Value, String>,
    lines: Vec<String>,
}

impl Listing<'_> {
    fn op(&mut self, id: OpId, depth: usize) {
        let data = self.program.op(id);
        let operands: Vec<String> = data.operands.iter().map(|&v| self.spell(v)).collect();
        let attributes: Vec<String> = match &data.op {
            Op::Constant(constant) => vec![constant_text(&constant.value)],
            op => op
                .as_operation()
                .attributes()
                .into_iter()
                .map(|(key, value)| format!("{key} = {value}"))
                .collect(),
        };
        let types: Vec<String> = data.results.iter().map(|&v| self.program.ty(v).to_string()).collect();
        let attributes =
            if attributes.is_empty() { String::new() } else { format!(" {{{}}}", attributes.join(", ")) };
        self.lines.push(format!(
            "{}{}({}){attributes} : {}",
            "  ".repeat(depth),
            data.op.as_operation().name(),
            operands.join(", "),
            types.join(", ")
        ));
        for &region in &data.regions {
            self.region(region, depth + 1);
        }
        let name = data.op.as_operation().name();
        let name = name.split_once('.').map_or(name, |(_, name)| name);
        for (i, &result) in data.results.iter().enumerate() {
            let suffix = if i == 0 { String::new() } else { format!("#{i}") };
            self.numbers.insert(result, format!("{name}{suffix}"));
        }
    }

    fn region(&mut self, id: RegionId, depth: usize) {
        let region = self.program.region(id);
        for (i, &argument) in region.arguments.iter().enumerate() {
            self.numbers.insert(argument, format!("arg{i}"));
        }
        for &op in &region.ops {
            self.op(op, depth);
        }
    }

    /// A value by the op that made it, a weight or argument by its name, and others by their module.
    fn spell(&self, value: Value) -> String {
        if let Some(known) = self.numbers.get(&value) {
            return known.clone();
        }
        if let Some(input) = self.program.inputs().iter().find(|i| i.value == value) {
            return input.name.clone();
        }
        match self.program.value(value).definition {
            porter_ir::program::Definition::Result { op, .. } => {
                format!("<{}>", self.program.path(self.program.op(op).path))
            }
            porter_ir::program::Definition::Argument { index, .. } => format!("arg{index}"),
        }
    }
}

/// A constant's value where it is one number, else its size and a checksum of its bytes.
fn constant_text(literal: &porter_ir::Literal) -> String {
    let view = |bytes: Vec<u8>| crate::View::new(literal.ty().dtype, [1], bytes).ok();
    if let Some(one) = literal.splat_bytes().map(<[u8]>::to_vec).and_then(view) {
        return one.to_f64().first().map_or_else(String::new, ToString::to_string);
    }
    let sum = literal.bytes().iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    });
    format!("{} values, checksum {sum:016x}", literal.ty())
}

/// The lines outside the longest common subsequence of both.
fn apart(theirs: &[String], ours: &[String]) -> Vec<String> {
    let mut common = vec![vec![0_usize; ours.len() + 1]; theirs.len() + 1];
    for (i, a) in theirs.iter().enumerate().rev() {
        for (j, b) in ours.iter().enumerate().rev() {
            common[i][j] =
                if a == b { common[i + 1][j + 1] + 1 } else { common[i + 1][j].max(common[i][j + 1]) };
        }
    }
    let (mut i, mut j, mut lines) = (0, 0, Vec::new());
    while i < theirs.len() || j < ours.len() {
        if i < theirs.len() && j < ours.len() && theirs[i] == ours[j] {
            (i, j) = (i + 1, j + 1);
        } else if j == ours.len() || (i < theirs.len() && common[i + 1][j] >= common[i][j + 1]) {
            lines.push(format!("- {}", theirs[i]));
            i += 1;
        } else {
            lines.push(format!("+ {}", ours[j]));
            j += 1;
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use porter_ir::{AttributeValue, Builder, DType, TensorType};

    use super::*;

    fn program(epsilon: f64) -> Program {
        let b = Builder::new("main");
        let x = b.argument("x", TensorType::new(DType::F32, [2])).unwrap();
        let attributes = vec![("epsilon".to_owned(), AttributeValue::F64(epsilon))];
        let y = b
            .composite("porter.norm", attributes, &[x], |b, args| {
                Ok(vec![b.add_scalar(b.multiply(args[0], args[0])?, epsilon)?])
            })
            .unwrap();
        b.result("y", b.negate(y[0]).unwrap()).unwrap();
        b.finish()
    }

    #[test]
    fn only_what_differs_is_listed() {
        let (ours, theirs) = (program(1e-3), program(1e-5));
        let found = differences((&ours, &Unit::whole(&ours)), (&theirs, &Unit::whole(&theirs)));
        assert_eq!(found.len(), 4, "{found:#?}");
        assert!(
            found[0].starts_with("- stablehlo.composite(x)") && found[0].contains("porter.norm"),
            "{found:#?}"
        );
        assert!(found.iter().any(|line| line.starts_with('+') && line.contains("0.001")), "{found:#?}");
        assert!(differences((&ours, &Unit::whole(&ours)), (&ours, &Unit::whole(&ours))).is_empty());
    }
}

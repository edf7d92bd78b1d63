//! Programs as MLIR text: StableHLO, chlo and sdy in generic form, which every PJRT plugin parses.

use std::fmt;

use crate::{InputRole, OpId, OutputRole, PathId, Program, RegionId, TensorType, Value};

/// Prints the module that plugins compile.
///
/// Every op is in MLIR's generic form, so that one printer serves all ops and what is read back is
/// exactly what was meant. Source paths are locations; states are donated with
/// `tf.aliasing_output`.
impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "module @{} {{", self.name)?;
        if let Some(mesh) = &self.mesh {
            writeln!(f, "  sdy.mesh @mesh = {}", mesh.mlir())?;
        }
        write!(f, "  func.func public @main(")?;
        for (i, input) in self.inputs.iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            let attributes = self.input_attributes(i);
            let location = location(&input.name);
            write!(
                f,
                "{comma}\n    {}: {}{attributes} {location}",
                input.value,
                self.ty(input.value).mlir()
            )?;
        }
        write!(f, ") -> (")?;
        for (i, output) in self.outputs.iter().enumerate() {
            let comma = if i == 0 { "" } else { ", " };
            write!(f, "{comma}{}", self.ty(output.value).mlir())?;
            if let Some(sharding) = &output.sharding {
                write!(f, " {{sdy.sharding = {}}}", sharding.mlir())?;
            }
        }
        writeln!(f, ") {{")?;
        self.print_ops(f, self.body(), 4)?;
        self.print_terminator(f, "func.return", &self.region(self.body()).results, 4)?;
        writeln!(f, "  }}\n}}")
    }
}

impl Program {
    fn input_attributes(&self, index: usize) -> String {
        let input = &self.inputs[index];
        let mut attributes = Vec::new();
        if input.role == InputRole::State {
            let target =
                self.outputs.iter().position(|o| o.role == OutputRole::State && o.name == input.name);
            attributes.extend(target.map(|i| format!("tf.aliasing_output = {i} : i32")));
        }
        attributes.extend(input.sharding.as_ref().map(|s| format!("sdy.sharding = {}", s.mlir())));
        if attributes.is_empty() { String::new() } else { format!(" {{{}}}", attributes.join(", ")) }
    }

    fn print_ops(&self, f: &mut fmt::Formatter<'_>, region: RegionId, indent: usize) -> fmt::Result {
        self.region(region).ops.iter().try_for_each(|&op| self.print_op(f, op, indent))
    }

    fn print_op(&self, f: &mut fmt::Formatter<'_>, op: OpId, indent: usize) -> fmt::Result {
        let data = self.op(op);
        let operation = data.op.as_operation();
        write!(f, "{:indent$}", "")?;
        if !data.results.is_empty() {
            write!(f, "{} = ", list(&data.results))?;
        }
        write!(f, "\"{}\"({})", operation.name(), list(&data.operands))?;
        let attributes: Vec<String> =
            operation.attributes().into_iter().map(|(name, value)| format!("{name} = {value}")).collect();
        if !attributes.is_empty() {
            write!(f, " <{{{}}}>", attributes.join(", "))?;
        }
        if !data.regions.is_empty() {
            write!(f, " (")?;
            for (i, &region) in data.regions.iter().enumerate() {
                write!(f, "{}", if i == 0 { "" } else { ", " })?;
                self.print_region(f, region, indent)?;
            }
            write!(f, ")")?;
        }
        let results = self.types(&data.results);
        let results = if data.results.len() == 1 { results } else { format!("({results})") };
        writeln!(f, " : ({}) -> {results}{}", self.types(&data.operands), self.op_location(data.path))
    }

    fn print_region(&self, f: &mut fmt::Formatter<'_>, region: RegionId, indent: usize) -> fmt::Result {
        let arguments: Vec<String> =
            self.region(region).arguments.iter().map(|&v| format!("{v}: {}", self.ty(v).mlir())).collect();
        writeln!(f, "{{\n{:indent$}^bb0({}):", "", arguments.join(", "))?;
        self.print_ops(f, region, indent + 2)?;
        self.print_terminator(f, "stablehlo.return", &self.region(region).results, indent + 2)?;
        write!(f, "{:indent$}}}", "")
    }

    fn print_terminator(
        &self,
        f: &mut fmt::Formatter<'_>,
        name: &str,
        values: &[Value],
        indent: usize,
    ) -> fmt::Result {
        writeln!(f, "{:indent$}\"{name}\"({}) : ({}) -> ()", "", list(values), self.types(values))
    }

    fn op_location(&self, path: PathId) -> String {
        let path = self.path(path);
        if path.is_empty() { String::new() } else { format!(" {}", location(path)) }
    }

    fn types(&self, values: &[Value]) -> String {
        join(values.iter().map(|&v| TensorType::mlir(self.ty(v))))
    }
}

fn list(values: &[Value]) -> String {
    join(values.iter().map(Value::to_string))
}

fn join(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(", ")
}

fn location(name: &str) -> String {
    let escaped: String = name.chars().flat_map(char::escape_default).collect();
    format!("loc(\"{escaped}\")")
}

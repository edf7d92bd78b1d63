//! Programs as MLIR text: StableHLO, chlo and sdy in generic form, which every PJRT plugin parses.

mod block;
mod precision;

use std::fmt::{self, Write};

use crate::{
    InputRole, OpId, OutputRole, Program, RegionId, Sharding, TensorType, Value,
    attribute::{location, string, symbol},
};
use block::{BlockPrinter, list};

/// How a program is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PrintOptions {
    /// What becomes of composites.
    pub composites: Composites,
    /// In which form shardings are written.
    pub shardings: ShardingForm,
}

/// In which form shardings are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ShardingForm {
    /// `sdy.mesh`, `sdy.sharding` and `sdy.sharding_constraint`, for Shardy.
    #[default]
    Sdy,
    /// `mhlo.sharding` and `@Sharding` calls, for GSPMD.
    Mhlo,
}

/// How composites are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Composites {
    /// As the ops of their decompositions.
    #[default]
    Inline,
    /// As `stablehlo.composite` with a private function for each decomposition.
    Call,
}

/// The module that plugins compile, composites inlined.
impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.print(f, PrintOptions::default())
    }
}

impl Program {
    /// The module that plugins compile.
    ///
    /// Every op is in MLIR's generic form, so that one printer serves all ops and what is read back is
    /// exactly what was meant. Source paths are locations; states are donated with
    /// `tf.aliasing_output`.
    pub fn mlir(&self, options: PrintOptions) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = self.print(&mut text, options);
        text
    }

    fn print(&self, out: &mut impl Write, options: PrintOptions) -> fmt::Result {
        writeln!(out, "module {} {{", symbol(self.name()))?;
        if let (Some(mesh), ShardingForm::Sdy) = (self.mesh(), options.shardings) {
            writeln!(out, "  sdy.mesh @mesh = {}", mesh.mlir())?;
        }
        let mut block = BlockPrinter::new(self, options);
        self.print_main(out, &mut block, options.shardings)?;
        let mut printed = 0;
        // A decomposition may call further composites, which come to the end of the list.
        while let Some(&op) = block.called().get(printed) {
            self.print_decomposition(out, &mut block, op)?;
            printed += 1;
        }
        writeln!(out, "}}")
    }

    fn print_main(
        &self,
        out: &mut impl Write,
        block: &mut BlockPrinter<'_>,
        form: ShardingForm,
    ) -> fmt::Result {
        write!(out, "  func.func public @main(")?;
        for (i, input) in self.inputs().iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            let (ty, attributes) = (self.ty(input.value).mlir(), self.input_attributes(i, form));
            write!(out, "{comma}\n    {}: {ty}{attributes} {}", input.value, location(&input.name))?;
        }
        write!(out, ") -> (")?;
        for (i, output) in self.outputs().iter().enumerate() {
            let comma = if i == 0 { "" } else { ", " };
            write!(out, "{comma}{}", self.ty(output.value).mlir())?;
            if let Some(sharding) = output.sharding.as_ref().and_then(|s| self.sharding_attribute(s, form)) {
                write!(out, " {{{sharding}}}")?;
            }
        }
        writeln!(out, ") {{")?;
        self.print_body(out, block, self.body())
    }

    fn print_decomposition(
        &self,
        out: &mut impl Write,
        block: &mut BlockPrinter<'_>,
        op: OpId,
    ) -> fmt::Result {
        let (Some(name), Some(&region)) = (block::decomposition(self, op), self.op(op).regions.first())
        else {
            return Ok(());
        };
        let arguments = block::arguments(self, region);
        let results = self.types(&self.region(region).results);
        writeln!(out, "  func.func private {name}({arguments}) -> ({results}) {{")?;
        self.print_body(out, block, region)
    }

    fn print_body(
        &self,
        out: &mut impl Write,
        block: &mut BlockPrinter<'_>,
        region: RegionId,
    ) -> fmt::Result {
        block.ops(out, region, 4)?;
        block.terminator(out, "func.return", &self.region(region).results, 4)?;
        writeln!(out, "  }}")
    }

    fn input_attributes(&self, index: usize, form: ShardingForm) -> String {
        let input = &self.inputs()[index];
        let mut attributes = Vec::new();
        if input.role == InputRole::State {
            let target =
                self.outputs().iter().position(|o| o.role == OutputRole::State && o.name == input.name);
            attributes.extend(target.map(|i| format!("tf.aliasing_output = {i} : i32")));
        }
        attributes.extend(input.sharding.as_ref().and_then(|s| self.sharding_attribute(s, form)));
        if attributes.is_empty() { String::new() } else { format!(" {{{}}}", attributes.join(", ")) }
    }

    /// A sharding as an attribute of an argument, a result or an op.
    fn sharding_attribute(&self, sharding: &Sharding, form: ShardingForm) -> Option<String> {
        Some(match form {
            ShardingForm::Sdy => format!("sdy.sharding = {}", sharding.mlir()),
            ShardingForm::Mhlo => format!("mhlo.sharding = {}", string(&sharding.hlo(self.mesh()?))),
        })
    }

    fn types(&self, values: &[Value]) -> String {
        list(values.iter().map(|&v| TensorType::mlir(self.ty(v))))
    }
}

//! The ops of a region as MLIR text.

use std::{
    collections::HashMap,
    fmt::{self, Display, Write},
};

use super::{Composites, PrintOptions, ShardingForm, precision::precision};
use crate::{
    Op, OpId, Program, RegionId, Sharding, Value,
    attribute::{location, symbol},
    program::OpData,
};

/// Prints ops; knows which value stands for which, and which decompositions are called.
pub(super) struct BlockPrinter<'p> {
    program: &'p Program,
    options: PrintOptions,
    /// What is printed instead of a value: the operand for an argument of an inlined decomposition, its
    /// result for a result of the composite.
    substitutes: HashMap<Value, Value>,
    called: Vec<OpId>,
}

impl<'p> BlockPrinter<'p> {
    pub(super) fn new(program: &'p Program, options: PrintOptions) -> Self {
        Self { program, options, substitutes: HashMap::new(), called: Vec::new() }
    }

    /// The composites that were printed as calls.
    pub(super) fn called(&self) -> &[OpId] {
        &self.called
    }

    pub(super) fn ops(&mut self, out: &mut impl Write, region: RegionId, indent: usize) -> fmt::Result {
        let program = self.program;
        program.region(region).ops.iter().try_for_each(|&op| self.op(out, op, indent))
    }

    fn op(&mut self, out: &mut impl Write, id: OpId, indent: usize) -> fmt::Result {
        let data = self.program.op(id);
        if let (Op::ShardingConstraint(op), ShardingForm::Mhlo) = (&data.op, self.options.shardings) {
            return self.sharding_call(out, data, &op.sharding, indent);
        }
        if !matches!(data.op, Op::Composite(_)) {
            return self.generic(out, data, None, indent);
        }
        match self.options.composites {
            Composites::Inline => self.inlined(out, data, indent),
            Composites::Call => {
                self.called.push(id);
                self.generic(out, data, decomposition(self.program, id), indent)
            }
        }
    }

    /// What a sharding constraint is to GSPMD.
    fn sharding_call(
        &mut self,
        out: &mut impl Write,
        data: &OpData,
        sharding: &Sharding,
        indent: usize,
    ) -> fmt::Result {
        let attribute = self.program.sharding_attribute(sharding, ShardingForm::Mhlo).unwrap_or_default();
        let (results, operands) = (list(&data.results), self.values(&data.operands));
        writeln!(
            out,
            "{:indent$}{results} = \"stablehlo.custom_call\"({operands}) <{{call_target_name = \"Sharding\"}}> \
             {{{attribute}}} : ({}) -> {}",
            "",
            self.program.types(&data.operands),
            self.program.types(&data.results)
        )
    }

    fn inlined(&mut self, out: &mut impl Write, data: &OpData, indent: usize) -> fmt::Result {
        for &id in &data.regions {
            let region = self.program.region(id);
            self.substitute(&region.arguments, &data.operands);
            self.ops(out, id, indent)?;
            self.substitute(&data.results, &region.results);
        }
        Ok(())
    }

    fn substitute(&mut self, values: &[Value], substitutes: &[Value]) {
        for (&value, &substitute) in values.iter().zip(substitutes) {
            self.substitutes.insert(value, self.printed(substitute));
        }
    }

    fn printed(&self, value: Value) -> Value {
        self.substitutes.get(&value).copied().unwrap_or(value)
    }

    fn generic(
        &mut self,
        out: &mut impl Write,
        data: &OpData,
        called: Option<String>,
        indent: usize,
    ) -> fmt::Result {
        let operation = data.op.as_operation();
        write!(out, "{:indent$}", "")?;
        if !data.results.is_empty() {
            write!(out, "{} = ", list(&data.results))?;
        }
        write!(out, "\"{}\"({})", operation.name(), self.values(&data.operands))?;
        let mut attributes = operation.attributes();
        attributes.extend(precision(&data.op, data.operands.iter().map(|&v| self.program.ty(v).dtype)));
        let nested = if called.is_none() { &data.regions[..] } else { &[] };
        attributes.extend(called.map(|symbol| ("decomposition", symbol)));
        if !attributes.is_empty() {
            write!(
                out,
                " <{{{}}}>",
                list(attributes.iter().map(|(name, value)| format!("{name} = {value}")))
            )?;
        }
        if !nested.is_empty() {
            self.regions(out, nested, indent)?;
        }
        let results = self.program.types(&data.results);
        let results = if data.results.len() == 1 { results } else { format!("({results})") };
        write!(out, " : ({}) -> {results}", self.program.types(&data.operands))?;
        match self.program.path(data.path) {
            "" => writeln!(out),
            path => writeln!(out, " {}", location(path)),
        }
    }

    fn regions(&mut self, out: &mut impl Write, regions: &[RegionId], indent: usize) -> fmt::Result {
        write!(out, " (")?;
        for (i, &region) in regions.iter().enumerate() {
            let comma = if i == 0 { "" } else { ", " };
            writeln!(out, "{comma}{{\n{:indent$}^bb0({}):", "", arguments(self.program, region))?;
            self.ops(out, region, indent + 2)?;
            let results = &self.program.region(region).results;
            self.terminator(out, "stablehlo.return", results, indent + 2)?;
            write!(out, "{:indent$}}}", "")?;
        }
        write!(out, ")")
    }

    pub(super) fn terminator(
        &self,
        out: &mut impl Write,
        name: &str,
        values: &[Value],
        indent: usize,
    ) -> fmt::Result {
        let types = self.program.types(values);
        writeln!(out, "{:indent$}\"{name}\"({}) : ({types}) -> ()", "", self.values(values))
    }

    fn values(&self, values: &[Value]) -> String {
        list(values.iter().map(|&value| self.printed(value)))
    }
}

/// The function that holds a composite's decomposition: no other composite has its number.
pub(super) fn decomposition(program: &Program, id: OpId) -> Option<String> {
    match &program.op(id).op {
        Op::Composite(composite) => Some(symbol(&format!("{}.{}", composite.name, id.index()))),
        _ => None,
    }
}

/// `%0: tensor<f32>, %1: tensor<f32>`.
pub(super) fn arguments(program: &Program, region: RegionId) -> String {
    let arguments = &program.region(region).arguments;
    list(arguments.iter().map(|&value| format!("{value}: {}", program.ty(value).mlir())))
}

pub(super) fn list<T: Display>(items: impl IntoIterator<Item = T>) -> String {
    let mut text = String::new();
    for item in items {
        if !text.is_empty() {
            text.push_str(", ");
        }
        // Writing to a String cannot fail.
        let _ = write!(text, "{item}");
    }
    text
}

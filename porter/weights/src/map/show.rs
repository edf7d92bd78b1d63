//! Expressions as people read them: what is read, and what is done with it, one step after the other.

use std::fmt;

use super::{Expr, QuantisedPart};

impl fmt::Display for Expr {
    /// `blk.0.attn_q.weight | reshape [4, 2, 8, 64] | permute 0 2 1 3`; what has several inputs stands
    /// before them: `concat 0 (a, b)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expr::Source(name) => f.write_str(name),
            Expr::Cast { input, dtype } => write!(f, "{input} | cast {dtype}"),
            Expr::Scale { input, factor } => write!(f, "{input} | times {factor}"),
            Expr::Permute { input, dims } => write!(f, "{input} | permute {}", Words(dims)),
            Expr::Reshape { input, shape } => write!(f, "{input} | reshape {shape}"),
            Expr::Slice { input, ranges } => {
                write!(f, "{input} | slice")?;
                ranges.iter().try_for_each(|range| write!(f, " {}..{}", range.start, range.end))
            }
            Expr::Concat { inputs, dim } => write!(f, "concat {dim} ({})", List(inputs)),
            Expr::Stack { inputs } => write!(f, "stack ({})", List(inputs)),
            Expr::Pad { input, padding } => {
                write!(f, "{input} | pad")?;
                padding.iter().try_for_each(|(low, high)| write!(f, " {low}+{high}"))
            }
            Expr::Repeat { input, dim, times } => write!(f, "{input} | repeat {times} of {dim}"),
            Expr::Dequantise { scheme, inputs } => write!(f, "dequantise {scheme} ({})", List(inputs)),
            Expr::Quantise { input, to, part: QuantisedPart::Values } => {
                write!(f, "{input} | quantise {}", to.dtype().name())
            }
            Expr::Quantise { input, part: QuantisedPart::Scales, .. } => write!(f, "{input} | scales"),
        }
    }
}

struct Words<'a>(&'a [usize]);

impl fmt::Display for Words<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().enumerate().try_for_each(|(i, n)| write!(f, "{}{n}", if i == 0 { "" } else { " " }))
    }
}

/// Inputs with commas between them; of many like ones, the first and the last.
struct List<'a>(&'a [Expr]);

/// So many inputs are all named.
const NAMED: usize = 4;

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [first, .., last] if self.0.len() > NAMED => {
                write!(f, "{first}, ... {} in all ..., {last}", self.0.len())
            }
            few => few
                .iter()
                .enumerate()
                .try_for_each(|(i, input)| write!(f, "{}{input}", if i == 0 { "" } else { ", " })),
        }
    }
}

#[cfg(test)]
mod tests {
    use porter_ir::DType;

    use super::*;

    #[test]
    fn steps_stand_in_the_order_in_which_they_apply() {
        let rows = Expr::source("a").reshape([2, 3]).permute([1, 0]).cast(DType::BF16);
        assert_eq!(rows.to_string(), "a | reshape [2, 3] | permute 1 0 | cast bf16");
        let both = Expr::concat([rows, Expr::source("b").slice([0..3, 1..2])], 1);
        assert_eq!(
            both.to_string(),
            "concat 1 (a | reshape [2, 3] | permute 1 0 | cast bf16, b | slice 0..3 1..2)"
        );
        let layers: Vec<Expr> = (0..9).map(|i| Expr::source(format!("{i}.w"))).collect();
        assert_eq!(Expr::stack(layers).to_string(), "stack (0.w, ... 9 in all ..., 8.w)");
    }
}

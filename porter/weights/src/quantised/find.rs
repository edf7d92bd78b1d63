//! Looking for the pieces of a quantised tensor.

use std::borrow::Cow;

use crate::{Checkpoint, Expr, Problem, Scheme};

/// A checkpoint in which pieces are looked for.
pub(super) struct Lookup<'a>(pub(super) &'a dyn Checkpoint);

/// A quantised tensor, or why it is none.
pub(super) struct Found {
    /// What the tensor would be called if it was not quantised.
    pub(super) name: String,
    /// The tensor.
    pub(super) expr: Result<Expr, Problem>,
    /// Tensors that belong to it and are not needed, with the reason.
    pub(super) tolerated: Vec<(String, &'static str)>,
}

/// A bias has two or four bytes for each output.
const MAX_BIAS: usize = 4 << 20;

impl Lookup<'_> {
    /// True if the checkpoint has that tensor.
    pub(super) fn holds(&self, name: &str) -> bool {
        self.0.tensors().contains_key(name)
    }

    /// The tensor `logical` of these pieces, if they are all there and fit together.
    pub(super) fn quantised(&self, logical: &str, scheme: Scheme, pieces: &[impl AsRef<str>]) -> Found {
        let absent = pieces.iter().map(AsRef::as_ref).find(|piece| !self.holds(piece));
        if let Some(absent) = absent {
            let what = format!("is quantised ({scheme}), and {absent:?} is missing");
            return Found::refused(logical, Problem::tensor(logical, what));
        }
        let inputs = pieces.iter().map(|piece| Expr::source(piece.as_ref())).collect();
        let expr = Expr::Dequantise { scheme, inputs };
        let expr = match expr.infer(self.0) {
            Ok(_) => Ok(expr),
            Err(error) => Err(Problem::tensor(logical, error.to_string())),
        };
        Found { name: logical.to_owned(), expr, tolerated: Vec::new() }
    }

    /// The stored bytes of a tensor that has to be known before anything else can be, and that has
    /// `limit` of them at most.
    pub(super) fn small(&self, name: &str, limit: usize) -> Result<Cow<'_, [u8]>, Problem> {
        let info = self.0.tensors().get(name).ok_or_else(|| Problem::tensor(name, "is missing"))?;
        if info.bytes > limit {
            return Err(Problem::tensor(name, format!("has {} bytes; expected {limit} at most", info.bytes)));
        }
        let view = self.0.tensor(name).map_err(|error| Problem::tensor(name, error.to_string()))?;
        Ok(view.bytes)
    }
}

impl Found {
    /// A tensor that cannot be read.
    pub(super) fn refused(logical: &str, problem: Problem) -> Self {
        Self { name: logical.to_owned(), expr: Err(problem), tolerated: Vec::new() }
    }

    /// This, with the elements in another order.
    pub(super) fn map_expr(self, map: impl FnOnce(Expr) -> Expr) -> Self {
        Self { expr: self.expr.map(map), ..self }
    }

    /// This, without need of a tensor, if it is there.
    pub(super) fn tolerating(mut self, name: String, why: &'static str) -> Self {
        self.tolerated.push((name, why));
        self
    }

    /// This, without need of a tensor of zeros, if it is there and is one.
    pub(super) fn tolerating_zeros(self, name: &str, lookup: &Lookup<'_>) -> Self {
        match lookup.small(name, MAX_BIAS) {
            Ok(bytes) if bytes.iter().all(|byte| *byte == 0) => self
                .tolerating(name.to_owned(), "a bias of zeros, which auto-gptq writes where there is none"),
            _ => self,
        }
    }
}

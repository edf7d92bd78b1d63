//! `TreeEnsemble`: decision trees, each of which adds the weight of one leaf to a target.
//!
//! <https://onnx.ai/onnx/operators/onnx_aionnxml_TreeEnsemble.html>
//! Versions: 5.
//! Limits: sums and averages, without a transform afterwards or with a logistic one.

use crate::help::prelude::*;

/// A node's comparisons, by number; 6 is membership.
const MODES: [Direction; 6] =
    [Direction::Le, Direction::Lt, Direction::Ge, Direction::Gt, Direction::Eq, Direction::Ne];
const MEMBER: i128 = 6;

/// The nodes of all trees, a list for each of their properties.
struct Trees {
    features: Vec<i64>,
    modes: Vec<i128>,
    splits: Vec<f64>,
    members: Vec<Vec<f64>>,
    missing: Vec<i64>,
    /// For the false and the true branch: the node or leaf, and which it is.
    next: [(Vec<i64>, Vec<i64>); 2],
    targets: Vec<i64>,
    weights: Vec<f64>,
}

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let x = cx.x(0)?;
    let &[rows, _] = &cx.dims(x)[..] else { return invalid("the input is no matrix") };
    cx.ignore(&["nodes_hitrates"]);
    let trees = read(cx)?;
    let (count, roots) = (usize::try_from(cx.int("n_targets", 1)).unwrap_or(0), cx.ints("tree_roots").unwrap_or_default());
    let mut sums = vec![cx.full(TensorType::new(cx.dtype(x), [rows]), 0.0)?; count];
    let everywhere = cx.full(TensorType::new(DType::Bool, [rows]), 1.0)?;
    let mut left = trees.splits.len() + trees.targets.len();
    for &root in &roots {
        // A tree of one leaf is a node whose branches are both that leaf.
        let mut waiting = vec![(root, false, everywhere)];
        while let Some((at, is_leaf, here)) = waiting.pop() {
            left = match left.checked_sub(usize::from(!is_leaf)) {
                Some(left) => left,
                None => return invalid("the trees have cycles"),
            };
            if is_leaf {
                trees.add(cx, at, here, &mut sums)?;
            } else {
                waiting.extend(trees.branch(cx, at, here, x)?);
            }
        }
    }
    if sums.is_empty() {
        return invalid("has no target");
    }
    let y = stack(cx, &sums, 1)?;
    let y = match cx.int("aggregate_function", 1) {
        0 => cx.with(y, roots.len() as f64, Builder::divide)?,
        1 => y,
        other => return unsupported(format!("aggregate_function {other}")),
    };
    match cx.int("post_transform", 0) {
        0 => one(y),
        2 => one(cx.logistic(y)?),
        other => unsupported(format!("post_transform {other}")),
    }
}

fn read(cx: &Cx<'_, '_>) -> Result<Trees, Fault> {
    let ints = |name: &'static str| cx.ints(name).unwrap_or_default();
    let host = |name: &'static str| -> Result<Option<Host>, Fault> {
        let Some(tensor) = cx.tensor_attribute(name) else { return Ok(None) };
        match cx.proto_constant(tensor)? {
            Item::Tensor(value) => Ok(Some((*cx.known(value)?).clone())),
            _ => unsupported(format!("{name} of an element type that programs lack")),
        }
    };
    let floats = |name| Ok::<_, Fault>(host(name)?.map(|host| host.to_floats()).unwrap_or_default());
    let Some(Data::Ints(modes)) = host("nodes_modes")?.map(|host| host.data) else {
        return invalid("nodes_modes must hold integers");
    };
    let members = floats("membership_values")?;
    Ok(Trees {
        features: ints("nodes_featureids"),
        modes,
        splits: floats("nodes_splits")?,
        members: members.split(|value| value.is_nan()).map(<[f64]>::to_vec).collect(),
        missing: ints("nodes_missing_value_tracks_true"),
        next: [
            (ints("nodes_falsenodeids"), ints("nodes_falseleafs")),
            (ints("nodes_truenodeids"), ints("nodes_trueleafs")),
        ],
        targets: ints("leaf_targetids"),
        weights: floats("leaf_weights")?,
    })
}

fn at<T: Copy>(list: &[T], index: i64) -> Result<T, Fault> {
    let found = usize::try_from(index).ok().and_then(|index| list.get(index)).copied();
    found.ok_or_else(|| Fault::Invalid(format!("the trees' lists have no entry {index}")))
}

impl Trees {
    /// Adds a leaf's weight to its target where the rows lead to it.
    fn add(&self, cx: &Cx<'_, '_>, leaf: i64, here: Value, sums: &mut [Value]) -> Result<(), Fault> {
        let (target, weight) = (at(&self.targets, leaf)?, at(&self.weights, leaf)?);
        let sum = at(sums, target)?;
        let more = cx.add(sum, cx.full_like(sum, weight)?)?;
        if let Some(slot) = usize::try_from(target).ok().and_then(|target| sums.get_mut(target)) {
            *slot = cx.select(here, more, sum)?;
        }
        Ok(())
    }

    /// Where the rows at a node go on: a node or leaf, whether it is a leaf, and which rows.
    fn branch(&self, cx: &Cx<'_, '_>, node: i64, here: Value, x: Value) -> Result<[(i64, bool, Value); 2], Fault> {
        let feature = usize::try_from(at(&self.features, node)?).unwrap_or(usize::MAX);
        let &[rows, columns] = &cx.dims(x)[..] else { return invalid("the input is no matrix") };
        if feature >= columns {
            return invalid(format!("feature {feature} of {columns}"));
        }
        let value = cx.reshaped(cx.slice_dim(x, 1, feature, feature + 1)?, [rows])?;
        let mut holds = self.holds(cx, node, value)?;
        if self.missing.get(usize::try_from(node).unwrap_or(usize::MAX)).is_some_and(|&track| track != 0) {
            holds = cx.or(holds, cx.compare(value, value, Direction::Ne)?)?;
        }
        let side = |(nodes, leaves): &(Vec<i64>, Vec<i64>), holds: Value| {
            Ok::<_, Fault>((at(nodes, node)?, at(leaves, node)? != 0, cx.and(here, holds)?))
        };
        let [no, yes] = &self.next;
        Ok([side(no, cx.not(holds)?)?, side(yes, holds)?])
    }

    /// Whether the node's comparison holds.
    fn holds(&self, cx: &Cx<'_, '_>, node: i64, value: Value) -> One {
        let mode = at(&self.modes, node)?;
        if mode != MEMBER {
            let direction = at(&MODES, i64::try_from(mode).unwrap_or(-1))?;
            return cx.is(value, direction, at(&self.splits, node)?);
        }
        let before = self.modes.iter().take(usize::try_from(node).unwrap_or(0)).filter(|&&m| m == MEMBER).count();
        let mut any = cx.full(TensorType::new(DType::Bool, cx.dims(value)), 0.0)?;
        for &member in self.members.get(before).into_iter().flatten() {
            any = cx.or(any, cx.is(value, Direction::Eq, member)?)?;
        }
        Ok(any)
    }
}

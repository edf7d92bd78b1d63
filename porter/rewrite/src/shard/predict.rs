//! What each device does and holds under a layout.
//!
//! - A product that sums over a dimension along which its weight is split gives parts of a sum: one all-reduce.
//! - A table whose rows are split is read where the row lies, zeros elsewhere: one all-reduce.
//! - A norm over features that are split sums its statistics: one all-reduce a statistic.
//! - A weight that is gathered before it is used: one all-gather.
//! - A weight that stays split while rows come to it: one all-to-all, and for a table one all-gather of ids, for a
//!   product one all-reduce.
//! - An attention whose rows are split in the cache alone: one all-gather of its result.

use std::collections::HashMap;

use porter_ir::{Mesh, Sharding};

use super::{
    Shard, ShardError, ShardProblem,
    profile::{Attention, Named, Profile, Role, Site},
    resolve::Resolver,
    rules::Rules,
    stays::{Meets, Moved, Use},
    without,
};

/// Collectives that the rules ask for, alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collective {
    /// HLO's name: `all-reduce`, `all-gather`, `all-to-all`.
    pub kind: &'static str,
    /// The mesh axes that its group spans.
    pub axes: Vec<String>,
    /// The first module that needs one.
    pub path: String,
    /// The bytes of what each device brings to one, in the type of the program.
    pub bytes: usize,
    /// How many there are.
    pub count: usize,
}

/// What one device holds and does in one run of a program. Sizes in bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// Weights as they lie.
    pub weights: usize,
    /// Weights that products read, gathered where the rules say so.
    pub read: usize,
    /// States: the KV cache.
    pub states: usize,
    /// Arguments and results.
    pub interface: usize,
    /// The most that activations hold at once, in the order in which the program is written and with what is
    /// element-wise fused away; and twice the largest weight that is gathered: one is used while the next comes.
    pub temporaries: usize,
    /// The collectives.
    pub collectives: Vec<Collective>,
}

impl Shard {
    /// What one device holds and does in a program with this profile, or everything that stands against it.
    /// `name` is the program's.
    pub fn share(&self, profile: &Profile, name: &str) -> Result<Share, ShardError> {
        let rules = self.rules(profile.one_token());
        let mut evaluation = Evaluation {
            mesh: &self.mesh,
            rules,
            resolver: Resolver::new(&self.mesh, rules),
            share: Share::default(),
        };
        evaluation.tensors(profile);
        evaluation.sites(profile);
        evaluation.attentions(profile);
        evaluation.values(profile);
        let Evaluation { resolver, share, .. } = evaluation;
        let problems: Vec<ShardProblem> = resolver.problems(name);
        let mesh = self.mesh.clone();
        if problems.is_empty() { Ok(share) } else { Err(ShardError { mesh, problems }) }
    }
}

struct Evaluation<'a> {
    mesh: &'a Mesh,
    rules: &'a Rules,
    resolver: Resolver<'a>,
    share: Share,
}

impl Evaluation<'_> {
    fn lie(&mut self, named: &Named) -> Sharding {
        self.resolver.axes(&named.axes, &named.ty, "")
    }

    fn bytes(&self, named: &Named, sharding: &Sharding) -> usize {
        sharding.part_type(self.mesh, &named.ty).device_bytes()
    }

    fn tensors(&mut self, profile: &Profile) {
        for (role, named, count) in &profile.tensors {
            let stored = self.lie(named);
            let bytes = self.bytes(named, &stored).saturating_mul(*count);
            match role {
                Role::Weight { read, uses } => {
                    self.share.weights += bytes;
                    let mut used = without(&stored, self.rules);
                    if let Some(moved) = self.moved(named, &stored, uses) {
                        uses.iter().zip(&moved).for_each(|(of, moved)| self.bring_rows(of, moved, *count));
                        used = stored;
                    } else if used != stored {
                        self.gather(named, &stored, &used, *count);
                    }
                    if *read {
                        self.share.read += self.bytes(named, &used).saturating_mul(*count);
                    }
                }
                Role::State => self.share.states += bytes,
                Role::Argument | Role::Result => self.share.interface += bytes,
            }
        }
    }

    /// How the ops that read a weight lie if it stays split; none where it does not.
    fn moved(&mut self, weight: &Named, stored: &Sharding, uses: &[Use]) -> Option<Vec<Moved>> {
        let one = |of: &Use| {
            let x = self.lie(&of.x);
            of.moved(weight, stored, &x, self.mesh, self.rules)
        };
        let moved: Vec<Moved> = uses.iter().map(one).collect::<Option<_>>()?;
        (!moved.is_empty()).then_some(moved)
    }

    fn bring_rows(&mut self, of: &Use, moved: &Moved, count: usize) {
        let axes = self.split(moved.axes.clone());
        if axes.is_empty() {
            return;
        }
        let [x, result] = moved.bytes(of, self.mesh);
        self.share.temporaries = self.share.temporaries.max(x.saturating_add(result));
        let shares = axes.iter().filter_map(|axis| self.mesh.size(axis)).product::<usize>().max(1);
        let collectives = match of.meets {
            Meets::Ids => [("all-gather", x / shares), ("all-to-all", result)],
            Meets::Rows => [("all-to-all", x), ("all-reduce", result)],
        };
        self.share.collectives.extend(collectives.map(|(kind, bytes)| {
            let (axes, path) = (axes.clone(), "weights".to_owned());
            Collective { kind, axes, path, bytes, count }
        }));
    }

    fn gather(&mut self, named: &Named, stored: &Sharding, used: &Sharding, count: usize) {
        let axes = stored.axes().filter(|axis| !used.axes().any(|kept| kept == *axis));
        let axes = self.split(axes.map(str::to_owned).collect());
        if axes.is_empty() {
            return;
        }
        let twice = 2 * self.bytes(named, used);
        self.share.temporaries = self.share.temporaries.max(twice);
        let bytes = self.bytes(named, stored);
        let path = "weights".to_owned();
        self.share.collectives.push(Collective { kind: "all-gather", axes, path, bytes, count });
    }

    fn sites(&mut self, profile: &Profile) {
        for (Site { operand, weight, dims, result, sums }, path, count) in &profile.sites {
            let mut lies = self.lie(operand);
            if *weight {
                lies = without(&lies, self.rules);
            }
            let axes = dims.iter().filter_map(|&dim| lies.dims.get(dim)).flatten().cloned();
            let axes = self.split(axes.collect());
            if axes.is_empty() {
                continue;
            }
            let sharding = self.lie(result);
            let (bytes, path) = (self.bytes(result, &sharding), path.clone());
            let count = count * sums;
            self.share.collectives.push(Collective { kind: "all-reduce", axes, path, bytes, count });
        }
    }

    /// A device attends to the rows of the cache that it has.
    fn attentions(&mut self, profile: &Profile) {
        for (Attention { result, cache }, path, count) in &profile.attentions {
            let (lies, cache) = (self.lie(result), self.lie(cache));
            let (Some(rows), Some(own)) = (lies.dims.first(), cache.dims.first()) else { continue };
            let axes = self.split(own.iter().filter(|axis| !rows.contains(axis)).cloned().collect());
            if axes.is_empty() {
                continue;
            }
            let shares = axes.iter().filter_map(|axis| self.mesh.size(axis)).product::<usize>();
            let (bytes, path) = (self.bytes(result, &lies) / shares.max(1), path.clone());
            self.share.collectives.push(Collective { kind: "all-gather", axes, path, bytes, count: *count });
        }
    }

    fn values(&mut self, profile: &Profile) {
        let mut sizes: HashMap<&Named, usize> = HashMap::new();
        let mut most = 0;
        for set in &profile.live {
            let mut held = 0_usize;
            for (named, count) in set {
                let known = sizes.get(named).copied();
                let bytes = known.unwrap_or_else(|| {
                    let sharding = self.lie(named);
                    self.bytes(named, &sharding)
                });
                sizes.insert(named, bytes);
                held = held.saturating_add(bytes.saturating_mul(*count));
            }
            most = most.max(held);
        }
        self.share.temporaries = self.share.temporaries.saturating_add(most);
    }

    /// Those of some mesh axes that are more than one device.
    fn split(&self, mut axes: Vec<String>) -> Vec<String> {
        axes.retain(|axis| self.mesh.size(axis).is_some_and(|size| size > 1));
        axes
    }
}

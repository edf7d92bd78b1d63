//! Running a check as the command line asks for it.

use std::path::Path;

use porter_ir::DType;
use porter_numerics::{BudgetFile, Bundle, Findings, Judge, Report, Subject};
use porter_pipeline::{
    Chosen, Engine, Opened, PipelineError, Variant,
    check::{Checker, Computed, Inputs, Reference},
    open_with,
};

use crate::{
    args::{Against, BUILTIN, CheckArgs, Global},
    console::Console,
    exit::{Exit, Failure},
    progress::{Fetching, Working},
};

/// The model's numbers against the reference's.
pub(super) fn execute(args: &CheckArgs, global: &Global, console: &Console) -> Result<Report, Failure> {
    let recorded = args.reference.as_deref().filter(|path| *path != Path::new(BUILTIN));
    if args.hard && recorded.is_some() {
        let message =
            "--hard makes its own inputs, which a recorded bundle has no answers to: leave --reference out";
        return Err(Failure::new(Exit::Usage, message));
    }
    let budgets = args.budget.as_deref().map(BudgetFile::open).transpose().map_err(PipelineError::from)?;
    let recorded = recorded.map(Bundle::open).transpose().map_err(PipelineError::from)?;
    let model = &args.model;
    let opened = open_with(&model.model, &model.ignore_config, &model.options(), &Fetching::new(console))?;
    let engine =
        Engine::start_over(global.plugin.as_deref(), args.mesh.shard()?, &mut |note| console.note(note))?;
    let observer = Working::new(console);
    let reference = if let Some(bundle) = recorded {
        Reference::Recorded(bundle)
    } else {
        let inputs = if args.hard { Inputs::Hard } else { Inputs::Standard };
        Reference::Computed(Computed::new(&opened, inputs, &observer)?)
    };
    let checker = Checker {
        engine: &engine,
        opened: &opened,
        variant: Variant::new(args.dtype.into()),
        reference: DType::F32,
        judge: Judge { level: args.level, file: budgets.as_ref(), ..Judge::default() },
        observer: &observer,
    };
    let name = args.reference.as_ref().map_or_else(|| BUILTIN.to_owned(), |path| path.display().to_string());
    let (name, findings) = match &args.against {
        None => (name, findings(&checker, &reference, args)?),
        Some(against) => {
            let other = Other::open(against, &checker, args, global, console)?;
            let record = other.checker(&checker).record(reference.bundle())?;
            let checker = Checker { reference: other.dtype, ..checker };
            (describe(against, args, global), findings(&checker, &Reference::Computed(record), args)?)
        }
    };
    let subject = Subject {
        model: opened.files.name.clone(),
        dtype: args.dtype.name().to_owned(),
        reference: name,
        plugin: engine.client.platform().to_owned(),
    };
    Ok(Report::new(subject, findings))
}

/// Checks, and looks deeper where that was asked for.
fn findings(
    checker: &Checker<'_>,
    reference: &Reference,
    args: &CheckArgs,
) -> Result<Findings, PipelineError> {
    let bundle = reference.bundle();
    let mut findings = checker.check(bundle)?;
    let failed = findings.comparisons.iter().any(|m| !m.pass) || findings.tokens.iter().any(|t| !t.pass);
    if args.bisect && failed {
        findings.bisections = checker.bisect(bundle, &findings, reference.trust())?;
    }
    if args.attribute {
        findings.attribution = Some(checker.attribute(bundle, &findings)?);
    }
    Ok(findings)
}

/// The other side of a comparison: what differs from this one.
struct Other {
    dtype: DType,
    rewrites: Option<String>,
    engine: Option<Engine>,
    opened: Option<Opened>,
}

impl Other {
    fn open(
        against: &Against,
        checker: &Checker<'_>,
        args: &CheckArgs,
        global: &Global,
        console: &Console,
    ) -> Result<Self, Failure> {
        let known = |name: &str| {
            let target = checker.engine.target.rewrites();
            ["all", "none"].contains(&name) || target.iter().any(|rewrite| rewrite.name() == name)
        };
        if let Some(name) = against.rewrites.as_deref().filter(|name| !known(name)) {
            let names: Vec<&str> = checker.engine.target.rewrites().iter().map(|r| r.name()).collect();
            let message = format!("found rewrites={name}, expected all, none or one of {}", names.join(", "));
            return Err(Failure::new(Exit::Usage, message));
        }
        let plugin = against.plugin.as_deref().filter(|plugin| Some(*plugin) != global.plugin.as_deref());
        let start = |plugin| Engine::start(Some(plugin), &mut |note| console.note(note));
        let (ignore, options) = (&args.model.ignore_config, args.model.options());
        let open = |name: &String| open_with(name, ignore, &options, &Fetching::new(console));
        let opened = against.model.as_ref().map(open).transpose()?;
        if let Some(model) = &opened {
            same_interface(checker.opened, model)?;
        }
        Ok(Self {
            dtype: against.dtype.unwrap_or(args.dtype).into(),
            rewrites: against.rewrites.clone(),
            engine: plugin.map(start).transpose()?,
            opened,
        })
    }

    /// What runs this side where it does not differ from `ours`.
    fn checker<'a>(&'a self, ours: &Checker<'a>) -> Checker<'a> {
        let rewrites = match self.rewrites.as_deref() {
            None | Some("all") => Chosen::All,
            Some("none") => Chosen::None,
            Some(name) => Chosen::Only(name),
        };
        Checker {
            engine: self.engine.as_ref().unwrap_or(ours.engine),
            opened: self.opened.as_ref().unwrap_or(ours.opened),
            variant: Variant { rewrites, ..Variant::new(self.dtype) },
            ..*ours
        }
    }
}

/// Two models can be compared where they take the same tokens and do the same.
fn same_interface(ours: &Opened, theirs: &Opened) -> Result<(), Failure> {
    let of = |opened: &Opened| (opened.model.task(), opened.model.dimensions().vocab_size);
    if of(ours) == of(theirs) {
        return Ok(());
    }
    let spell = |opened: &Opened| {
        format!(
            "{} ({}, {} tokens)",
            opened.files.name,
            opened.model.class(),
            opened.model.dimensions().vocab_size
        )
    };
    let message =
        format!("cannot compare {} with {}: their tasks or vocabularies differ", spell(ours), spell(theirs));
    Err(Failure::new(Exit::Usage, message))
}

fn describe(against: &Against, args: &CheckArgs, global: &Global) -> String {
    let plugin = against.plugin.as_deref().or(global.plugin.as_deref());
    let parts = [
        Some(against.model.clone().unwrap_or_else(|| "itself".to_owned())),
        Some(format!("in {}", against.dtype.unwrap_or(args.dtype).name())),
        against.rewrites.as_ref().map(|rewrites| format!("with rewrites={rewrites}")),
        plugin.map(|plugin| format!("on {plugin}")),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

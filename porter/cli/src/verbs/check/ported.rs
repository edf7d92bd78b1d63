//! Checking a port by its own programs.

use porter_numerics::{BudgetFile, Bundle, Judge, Report};
use porter_pipeline::{PipelineError, artefact::Found, onnx::Reference};

use super::super::port;
use crate::{
    args::{CheckArgs, Global},
    console::Console,
    exit::{Exit, Failure},
};

pub(super) fn execute(
    artefact: &Found,
    args: &CheckArgs,
    global: &Global,
    console: &Console,
) -> Result<Report, Failure> {
    let usage = |message: &str| Failure::new(Exit::Usage, message);
    let Some(path) = &args.reference else {
        return Err(usage("a port is checked against a recorded bundle: give --reference BUNDLE"));
    };
    if args.against.is_some() || args.hard || args.bisect || args.attribute || args.mesh.mesh.is_some() {
        return Err(usage(
            "--against, --hard, --bisect, --attribute and --mesh change a model's programs, and a port has its own: \
             use them on the model that it was ported from",
        ));
    }
    let budgets = args.budget.as_deref().map(BudgetFile::open).transpose().map_err(PipelineError::from)?;
    let judge = Judge { level: args.level, file: budgets.as_ref(), ..Judge::default() };
    match artefact {
        Found::Model(artefact) => {
            let bundle = Bundle::open(path).map_err(PipelineError::from)?;
            let reference = (&*path.display().to_string(), judge);
            port::report(&artefact.ported(), &artefact.files.name, &bundle, reference, global, console)
        }
        Found::Graph(artefact) => {
            let ported = artefact.ported();
            let reference = Reference::of_port(path, ported.record)?;
            let name = &artefact.files.name;
            port::graph_report(&ported, name, &reference, (path, judge), global, console)
        }
    }
}

//! Checking an ONNX graph.

use porter_numerics::{BudgetFile, Judge, Report, Subject};
use porter_pipeline::{
    Engine, PipelineError,
    onnx::{Graph, Reference, check},
};

use crate::{
    args::{BUILTIN, CheckArgs, Global},
    console::Console,
    exit::{Exit, Failure},
    progress::Working,
    verbs::run::in_own_types,
};

/// The graph's numbers against what was recorded.
pub(super) fn execute(
    graph: &Graph,
    args: &CheckArgs,
    global: &Global,
    console: &Console,
) -> Result<Report, Failure> {
    in_own_types(args.dtype)?;
    let folder = asked(args)?;
    let budgets = args.budget.as_deref().map(BudgetFile::open).transpose().map_err(PipelineError::from)?;
    let reference = Reference::open(folder, graph)?;
    let engine = Engine::start(global.plugin.as_deref(), &mut |note| console.note(note))?;
    let judge = Judge { level: args.level, file: budgets.as_ref(), ..Judge::default() };
    let observer = Working::new(console);
    let findings = check(graph, &reference, &args.graph.dims(), &engine, &judge, &observer)?;
    let subject = Subject {
        model: graph.files.name.clone(),
        dtype: "its own types".to_owned(),
        reference: folder.display().to_string(),
        plugin: engine.client.platform().to_owned(),
    };
    Ok(Report::new(subject, findings))
}

/// The folder of the reference. All that is asked for and that graphs do not have is reported.
fn asked(args: &CheckArgs) -> Result<&std::path::Path, Failure> {
    let flags = [
        ("--against", args.against.is_some()),
        ("--hard", args.hard),
        ("--bisect", args.bisect),
        ("--attribute", args.attribute),
    ];
    let mut problems: Vec<String> = flags
        .iter()
        .filter(|(_, given)| *given)
        .map(|(flag, _)| format!("{flag} is for models that Porter writes the program of: leave it out"))
        .collect();
    let folder = args.reference.as_deref().filter(|path| *path != std::path::Path::new(BUILTIN));
    if folder.is_none() {
        problems.push(
            "give --reference FOLDER: test_data_set_0 with input_0.pb and output_0.pb, or inputs.safetensors and \
             reference.safetensors"
                .to_owned(),
        );
    }
    match folder {
        Some(folder) if problems.is_empty() => Ok(folder),
        _ => Err(Failure::new(Exit::Usage, problems.join("\n"))),
    }
}

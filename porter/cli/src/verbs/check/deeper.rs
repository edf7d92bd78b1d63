//! Which module is at fault, and which rewrite brought it.

use porter_numerics::{
    Attribution, Element,
    bisect::{Bisection, Suspect, Truth},
};

use crate::{
    console::{Console, Tone, printable},
    table,
    verbs::check::mark,
};

/// The most lines of differing ops that are shown.
const MOST_LINES: usize = 12;

/// What a search found.
pub(super) fn bisection(found: &Bisection, console: &Console) -> String {
    let Bisection { program, suspects, cuts, runs, comparisons } = found;
    let work = format!("{cuts} cuts, {runs} runs of a part, {comparisons} comparisons");
    if suspects.is_empty() {
        return format!(
            "searched {}: no module is over its budget ({work}). What fails needs the whole program: a rewrite \
             over several layers, or the plugin's handling of it; --attribute tells which rewrite",
            printable(program)
        );
    }
    let heading = format!("at fault in {} ({work}):", printable(program));
    std::iter::once(heading)
        .chain(suspects.iter().map(|s| suspect(s, console)))
        .collect::<Vec<_>>()
        .join("\n")
}

fn suspect(found: &Suspect, console: &Console) -> String {
    let c = &found.measured.comparison;
    let op = found.op.as_ref().map_or_else(String::new, |op| format!(" {}", printable(op)));
    let truth = match found.truth {
        Truth::Recorded => "recorded",
        Truth::Computed => "computed by the built-in executor",
    };
    let mut lines = vec![
        format!("  {}{op}: {}", console.paint(&printable(&found.path), Tone::Bad), found.explanation()),
        format!(
            "    off by {:.2e}, budget {:.2e} = {}; the reference was {truth}",
            c.max_abs, found.measured.budget.max_abs, found.measured.budget.why
        ),
    ];
    if let Some(Element { index, ours, reference }) = c.worst.first() {
        lines.push(format!("    worst at {index:?}: found {ours}, expected {reference}"));
    }
    for (path, share) in &found.contributors {
        lines.push(format!("    {} takes {:.1}% of its own budget", printable(path), 100.0 * share));
    }
    lines.extend(found.differs.iter().take(MOST_LINES).map(|line| format!("    {}", printable(line))));
    if found.differs.len() > MOST_LINES {
        lines.push(format!("    and {} lines more (--json has all)", found.differs.len() - MOST_LINES));
    }
    lines.join("\n")
}

/// What each rewrite brings.
pub(super) fn attribution(found: &Attribution, console: &Console) -> String {
    let rows = found.contributions.iter().map(|c| {
        vec![
            c.rewrites.clone(),
            format!("{:.2e}", c.max_abs),
            format!("{:.2e}", c.rmse),
            format!("{:.2}x", c.ratio),
            mark(c.pass, console),
        ]
    });
    let table = table::render(&["REWRITES", "MAX", "RMSE", "AGAINST NONE", ""], rows, &[1, 2, 3]);
    format!("{} with rewrites, one at a time:\n{table}", printable(&found.output))
}

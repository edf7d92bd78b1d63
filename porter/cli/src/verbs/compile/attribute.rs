//! `--attribute`: what each rewrite brings, as the compiler sees it.

use porter_pipeline::{Ahead, Answer, Chosen, Configured, Variant};
use porter_rewrite::Applied;
use porter_zoo::Phase;
use serde::Serialize;

use crate::{console::Console, exit::Failure, table};

/// The programs under some of the target's rewrites.
#[derive(Serialize)]
pub(super) struct Form {
    /// `all`, `none`, or `without NAME`.
    rewrites: String,
    programs: Vec<Judged>,
}

/// A program of a form. None where it does not compile.
#[derive(Serialize)]
struct Judged {
    program: String,
    /// Seconds, estimated.
    seconds: Option<f64>,
    /// Bytes of HBM that are read and written.
    hbm_bytes: Option<f64>,
    /// Bytes of HBM.
    peak: Option<i64>,
}

impl From<&Answer> for Judged {
    fn from(answer: &Answer) -> Self {
        let fitting = answer.outcome.as_ref().ok();
        Self {
            program: answer.program.clone(),
            seconds: fitting.map(|f| f.estimate.seconds),
            hbm_bytes: fitting.map(|f| f.estimate.hbm_bytes),
            peak: fitting.map(|f| f.compiled.memory.peak),
        }
    }
}

/// The programs with all rewrites, which `all` is the answers of, without each of those that applied, and with
/// none.
pub(super) fn forms(
    ahead: &Ahead,
    model: &Configured,
    phases: &[Phase],
    variant: &Variant<'_>,
    (all, applied): (&[Answer], &[Applied]),
    console: &Console,
) -> Result<Vec<Form>, Failure> {
    let mut forms =
        vec![Form { rewrites: "all".to_owned(), programs: all.iter().map(Judged::from).collect() }];
    let own = porter_rewrite::Target::Tpu.rewrites().iter().map(|rewrite| rewrite.name());
    let own = own.filter(|name| applied.iter().any(|applied| applied.rewrite == *name));
    let without = own.map(|name| (format!("without {name}"), Chosen::Without(name)));
    for (rewrites, chosen) in without.chain([("none".to_owned(), Chosen::None)]) {
        console.note(&format!("compiling with rewrites: {rewrites}"));
        let answers = ahead.compile(model, phases, &Variant { rewrites: chosen, ..*variant })?;
        forms.push(Form { rewrites, programs: answers.programs.iter().map(Judged::from).collect() });
    }
    Ok(forms)
}

pub(super) fn render(forms: &[Form]) -> String {
    let programs = forms.first().map_or(&[][..], |all| &all.programs);
    let tables = programs.iter().enumerate().map(|(i, program)| {
        let all = program.seconds;
        let rows = forms.iter().filter_map(|form| {
            let judged = form.programs.get(i)?;
            let number = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
            Some(vec![
                form.rewrites.clone(),
                number(judged.seconds.map(|s| format!("{:.3} ms", s * 1e3))),
                number(judged.seconds.zip(all).map(|(s, all)| format!("{:.3}", s / all))),
                number(judged.hbm_bytes.map(|bytes| format!("{:.2}", bytes / 1e9))),
                number(judged.peak.map(|peak| format!("{:.3}", peak as f64 / 2_f64.powi(30)))),
            ])
        });
        let heading = ["REWRITES", "ESTIMATE", "OF ALL", "HBM GB", "PEAK GiB"];
        format!("{}:\n{}", program.program, table::render(&heading, rows, &[1, 2, 3, 4]))
    });
    tables.collect::<Vec<_>>().join("\n\n")
}

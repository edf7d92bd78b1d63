//! `porter onboard MODEL --target CHIP:SHAPE -o OUT`: what it is, how it lies, how far its numbers are off, what the
//! compiler says, in this order, and all of it on one page.

use std::{fs, path::Path};

use porter_numerics::{Outcome as Tokens, Report, Verdict};
use porter_pipeline::artefact;
use porter_plan::{Target, html};
use serde::Serialize;

use super::{
    compile::{self, Compiling, compile_port},
    convert,
    inspect::{self, Inspection},
    plan::{self, Planned},
    port::{self, Outcome, Tried},
};
use crate::{
    args::{Global, OnboardArgs},
    console::{Console, Tone, printable},
    exit::{Exit, Failure},
    fact::Fact,
    table,
};

/// What `porter onboard` says: what each verb says that was reached.
#[derive(Serialize)]
struct Document {
    model: String,
    target: Target,
    /// Where the page lies.
    page: String,
    /// How it ended, in a line.
    verdict: String,
    inspect: Option<Inspection>,
    plan: Option<Planned>,
    rewrites: Vec<Fact>,
    /// The target's rewrites that found nothing to do, and what they look for.
    left_alone: Vec<Fact>,
    check: Option<Report>,
    port: Option<convert::Document>,
    compile: Option<compile::Document>,
}

pub(super) fn run(args: &OnboardArgs, global: &Global, console: &Console) -> Result<Exit, Failure> {
    let page = args.page();
    let mut document = Document {
        model: args.port.model.model.clone(),
        target: args.port.target.clone(),
        page: page.display().to_string(),
        verdict: String::new(),
        inspect: None,
        plan: None,
        rewrites: Vec::new(),
        left_alone: Vec::new(),
        check: None,
        port: None,
        compile: None,
    };
    let ending = document.fill(args, global, console);
    document.verdict = match &ending {
        Ok(exit) => document.ended(*exit),
        Err(failure) => failure.message.clone(),
    };
    fs::write(&page, document.html()).map_err(|e| Failure::write(&page, &e))?;
    // A failure is the one document of JSON, and is told after what was found.
    if ending.is_ok() || !global.json {
        console.result(&document, |document| document.render(ending.as_ref().ok(), console))?;
    }
    ending
}

impl Document {
    /// One verb after the other, until one says no.
    fn fill(&mut self, args: &OnboardArgs, global: &Global, console: &Console) -> Result<Exit, Failure> {
        let stage = |n: usize, what: &str| console.note(&format!("[{n}/4] {what}"));

        stage(1, "what it is");
        let inspection = self.inspect.insert(inspect::inspect(&args.inspect(), console)?);
        let graph = matches!(inspection, Inspection::Graph(_));
        if inspection.exit() != Exit::Done {
            return Ok(inspection.exit());
        }

        stage(2, "how it lies on the target");
        let planned = self.plan.insert(plan::plan(&args.plan(), global, console)?);
        if planned.exit() != Exit::Done {
            return Ok(planned.exit());
        }
        let asked = args.port.mesh.meshing()?;
        let meshing = if asked.mesh.is_some() { asked } else { planned.meshing().unwrap_or(asked) };

        stage(3, "porting it, and comparing its numbers");
        let outcome = port::port(&args.port(graph), &meshing, global, console)?;
        let Outcome { tried: Tried { applied, left_alone }, report, written } = outcome;
        (self.rewrites, self.left_alone, self.check, self.port) = (applied, left_alone, report, written);
        if self.port.is_none() {
            return Ok(Exit::No);
        }

        stage(4, "what the TPU compiler says of it");
        let compiled = self.compile.insert(compiled(args, global, console)?);
        let pass = self.check.as_ref().is_none_or(|report| report.verdict() == Verdict::Pass);
        Ok(match compiled.exit() {
            Exit::Done if !pass => Exit::No,
            exit => exit,
        })
    }

    /// How it ended, where every verb could do its work.
    fn ended(&self, exit: Exit) -> String {
        let target = &self.target;
        match (&self.plan, &self.port, &self.compile) {
            (None, ..) => "not ported: it holds what Porter does not port".to_owned(),
            (Some(_), None, _) if self.check.is_some() => {
                "not written: numbers are over their budgets; --accept writes it all the same".to_owned()
            }
            (Some(_), None, _) => format!("not ported: it does not fit {target}"),
            (Some(_), Some(_), Some(_)) if exit == Exit::Done => format!("ported to {target}"),
            (Some(_), Some(_), Some(compiled)) if compiled.exit() == Exit::Done => {
                "ported, with numbers over their budgets".to_owned()
            }
            (Some(_), Some(_), _) => {
                format!("ported, but its programs do not all compile for {target} and fit")
            }
        }
    }

    /// What is known, by what it is of.
    fn stages(&self) -> Vec<(String, Vec<Fact>)> {
        let mut stages = Vec::new();
        let mut add = |title: &str, facts: Vec<Fact>| {
            if !facts.is_empty() {
                stages.push((title.to_owned(), facts));
            }
        };
        add("What it is", self.inspect.as_ref().map_or_else(Vec::new, Inspection::facts));
        add(
            &format!("How it lies on {}", self.target),
            self.plan.as_ref().map_or_else(Vec::new, Planned::facts),
        );
        add("What was rewritten", self.rewrites.clone());
        add("What was left alone", self.left_alone.clone());
        add("How far its numbers are off", self.numbers());
        add("What was written", self.port.as_ref().map_or_else(Vec::new, convert::Document::facts));
        stages
    }

    fn numbers(&self) -> Vec<Fact> {
        match &self.check {
            Some(report) => numbers(report),
            None if self.port.is_some() => {
                vec![Fact::new("not compared", "give --reference BUNDLE, what the original computes")]
            }
            None => Vec::new(),
        }
    }

    fn html(&self) -> String {
        let stages = self.stages();
        let section = |(title, facts): &(String, Vec<Fact>)| html::Section {
            title: title.clone(),
            facts: facts.iter().cloned().map(Into::into).collect(),
            estimate: None,
        };
        let compiled = self.compile.iter().flat_map(compile::Document::sections);
        let compiled = compiled.map(|s| html::Section { title: format!("Compiled: {}", s.title), ..s });
        let sections: Vec<html::Section<'_>> = stages.iter().map(section).chain(compiled).collect();
        html::page(&format!("{} on {}", self.model, self.target), &self.verdict, &sections)
    }

    /// `exit` is how it ended, where no verb failed.
    fn render(&self, exit: Option<&Exit>, console: &Console) -> String {
        let compiled = self.compile.as_ref().map_or_else(Vec::new, compile::Document::facts);
        let compiled = ("What the TPU compiler says, estimated".to_owned(), compiled);
        let stages = self.stages().into_iter().chain((!compiled.1.is_empty()).then_some(compiled));
        let stage = |(title, facts): (String, Vec<Fact>)| {
            let rows = facts.into_iter().map(|fact| vec![printable(&fact.name), printable(&fact.value)]);
            format!("{}\n{}", console.paint(&title, Tone::Strong), table::plain(rows))
        };
        let verdict = exit.map(|exit| {
            let tone = if *exit == Exit::Done { Tone::Good } else { Tone::Bad };
            console.paint(&printable(&self.verdict), tone)
        });
        let page = format!("the page: {}", printable(&self.page));
        let lines = verdict.into_iter().chain([page]).collect::<Vec<_>>().join("\n");
        stages.map(stage).chain([lines]).collect::<Vec<_>>().join("\n\n")
    }
}

/// What the TPU compiler makes of the port that was written.
fn compiled(args: &OnboardArgs, global: &Global, console: &Console) -> Result<compile::Document, Failure> {
    let output = args.port.output.display().to_string();
    let gone = || Failure::new(Exit::Environment, format!("{output} was written and is no port any more"));
    let written = artefact::find(&in_folder(&args.port.output))?.ok_or_else(gone)?;
    let compiling = Compiling {
        target: args.port.target.clone(),
        meshing: args.port.mesh.meshing()?,
        time_limit: args.time_limit,
        executables: args.executables,
    };
    compile_port(written, compiling, global, console)
}

/// A path that no model's name looks like.
fn in_folder(path: &Path) -> String {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    path.display().to_string()
}

/// A report in a few lines.
fn numbers(report: &Report) -> Vec<Fact> {
    let subject = report.subject();
    let verdict = match report.verdict() {
        Verdict::Pass => "within budgets",
        Verdict::Fail => "over budgets",
    };
    let findings = report.findings();
    let against = format!(
        "{} outputs in {} on {} against {}",
        findings.comparisons.len(),
        subject.dtype,
        subject.plugin,
        subject.reference
    );
    let worst = report.summary().map(|summary| {
        let worst = findings.comparisons.iter().find(|m| m.comparison.name == summary.worst);
        let error = worst.map_or_else(String::new, |m| {
            format!(": off by {:.2e} at most, of {:.2e}", m.comparison.max_abs, m.budget.max_abs)
        });
        let share = 100.0 * summary.budget_share;
        let off = format!("{} takes {share:.1}% of its budget{error}", summary.worst);
        let why = worst.map(|m| Fact::new("its budget", &m.budget.why));
        [Some(Fact::new("furthest off", off)), why]
    });
    let worst = worst.into_iter().flatten().flatten();
    let tokens = findings.tokens.iter().map(|tokens| {
        let same = match tokens.outcome {
            Tokens::Same => "all as recorded",
            Tokens::Tie => "as recorded up to a tie",
            _ => "other than recorded",
        };
        Fact::new(&tokens.name, format!("{} greedy tokens, {same}", tokens.expected.len()))
    });
    let problems = findings.problems.iter().map(|named| Fact::new(&named.name, &named.why));
    [Fact::new("verdict", verdict), Fact::new("compared", against)]
        .into_iter()
        .chain(worst)
        .chain(tokens)
        .chain(problems)
        .collect()
}

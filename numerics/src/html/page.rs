//! The page around the sections.

use crate::{Named, Report, Summary, Verdict, escape::escape};

const STYLE: &str = include_str!("style.css");

/// A part of the page: a title, and HTML below it.
pub(super) struct Section {
    title: &'static str,
    body: String,
}

impl Section {
    pub(super) fn new(title: &'static str, body: String) -> Self {
        Self { title, body }
    }
}

/// What opens the page: its HTML title, and the HTML above the sections.
pub(super) struct Head {
    title: String,
    body: String,
}

/// The document.
pub(super) fn page(head: &Head, sections: &[Section]) -> String {
    let Head { title, body } = head;
    let filled = sections.iter().filter(|section| !section.body.is_empty());
    let filled =
        filled.map(|Section { title, body }| format!("<section>\n<h2>{title}</h2>\n{body}</section>\n"));
    let sections = filled.collect::<Vec<_>>().concat();
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{title}: parity</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n{body}{sections}</body>\n</html>\n"
    )
}

/// The verdict, what it is on, and how near it was.
pub(super) fn head(report: &Report) -> Head {
    let subject = report.subject();
    let [model, dtype, plugin, reference] =
        [&subject.model, &subject.dtype, &subject.plugin, &subject.reference].map(|text| escape(text));
    let (class, word) = match report.verdict() {
        Verdict::Pass => ("pass", "PASS"),
        Verdict::Fail => ("fail", "FAIL"),
    };
    let counts = report.findings().comparisons.iter().filter(|m| m.pass).count();
    let all = report.findings().comparisons.len();
    let summary = report.summary().map_or_else(|| "Nothing was compared.".to_owned(), summary);
    let body = format!(
        "<header>\n<h1><span class=\"{class}\">{word}</span> {model}</h1>\n\
         <p>{dtype} on {plugin} against {reference}</p>\n\
         <p class=\"summary\">{counts} of {all} outputs are within budget. {summary}</p>\n</header>\n"
    );
    Head { title: model, body }
}

fn summary(summary: &Summary) -> String {
    let Summary { worst, budget_share, floors, floors_of, loosened } = summary;
    let away = match (floors, floors_of) {
        (Some(floors), Some(of)) if of == worst => format!("; at most <b>{floors:.1} noise floors</b> away"),
        (Some(floors), Some(of)) => {
            format!("; at most <b>{floors:.1} noise floors</b> away ({})", escape(of))
        }
        _ => String::new(),
    };
    let by_hand = match loosened {
        0 => String::new(),
        1 => " <b class=\"warn\">One budget was loosened by hand.</b>".to_owned(),
        n => format!(" <b class=\"warn\">{n} budgets were loosened by hand.</b>"),
    };
    let (worst, share) = (escape(worst), share(*budget_share));
    format!("The worst, <b>{worst}</b>, takes <b>{share}</b> of its budget{away}.{by_hand}")
}

/// A share as percent, with as many digits as tell it from nothing and from all.
pub(super) fn share(share: f64) -> String {
    let percent = 100.0 * share;
    match percent {
        0.0 => "0%".to_owned(),
        p if p.abs() < 0.1 => format!("{p:.1e}%"),
        p if p.abs() < 1000.0 => format!("{p:.1}%"),
        p => format!("{p:.0}%"),
    }
}

/// A list of plain lines; nothing where there are none.
pub(super) fn lines(lines: impl Iterator<Item = String>) -> String {
    let items: Vec<String> = lines.map(|line| format!("<li>{}</li>", escape(&line))).collect();
    if items.is_empty() { String::new() } else { format!("<ul>\n{}\n</ul>\n", items.join("\n")) }
}

/// A list of remarks on tensors.
pub(super) fn remarks(all: &[Named]) -> String {
    if all.is_empty() {
        return String::new();
    }
    let item = |named: &Named| format!("<li><b>{}</b>: {}</li>", escape(&named.name), escape(&named.why));
    format!("<ul>\n{}\n</ul>\n", all.iter().map(item).collect::<Vec<_>>().join("\n"))
}

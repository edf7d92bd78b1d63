//! Estimates as one self-contained HTML page, light and dark: no script, nothing fetched.

mod chart;

use crate::{
    Estimate, Row,
    estimate::{CAVEAT, time},
};

const STYLE: &str = include_str!("style.css");
/// So many rows are charted.
const CHARTED: usize = 16;

/// A program on the page.
#[derive(Clone, Debug)]
pub struct Section<'a> {
    /// The program's name.
    pub title: String,
    /// What is known of it beside the estimate: a name and a value each.
    pub facts: Vec<(String, String)>,
    /// What it should cost; none for a program that was not compiled.
    pub estimate: Option<&'a Estimate>,
}

/// The document: a heading, what it is about in a line, and a section a program.
pub fn page(title: &str, subtitle: &str, sections: &[Section<'_>]) -> String {
    let (title, subtitle) = (escape(title), escape(subtitle));
    let sections: String = sections.iter().map(section).collect();
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<header>\n<h1>{title}</h1>\n\
         <p>{subtitle}</p>\n<p class=\"caveat\">Every time is a {CAVEAT}.</p>\n</header>\n{sections}</body>\n</html>\n"
    )
}

fn section(section: &Section<'_>) -> String {
    let fact = |(name, value): &(String, String)| {
        format!("<tr><th>{}</th><td>{}</td></tr>\n", escape(name), escape(value))
    };
    let facts: String = section.facts.iter().map(fact).collect();
    let estimate = section.estimate.map_or_else(String::new, estimate);
    format!(
        "<section>\n<h2>{}</h2>\n<table class=\"facts\">\n{facts}</table>\n{estimate}</section>\n",
        escape(&section.title)
    )
}

fn estimate(estimate: &Estimate) -> String {
    let note = |note: &String| format!("<li>{}</li>\n", escape(note));
    let notes: String = estimate.notes.iter().map(note).collect();
    format!(
        "{}{}{}<details><summary>All parts</summary>\n{}</details>\n<ul class=\"notes\">\n{notes}</ul>\n",
        chart::resources(estimate),
        chart::rows("Time by source path", &estimate.by_source, CHARTED, estimate.seconds),
        chart::rows("Time by kind of work", &estimate.by_kind, CHARTED, estimate.seconds),
        table(&estimate.by_source),
    )
}

fn table(rows: &[Row]) -> String {
    let row = |row: &Row| {
        format!(
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{:.1}</td><td>{:.0}</td></tr>\n",
            escape(&row.name),
            time(row.seconds),
            time(row.core_seconds),
            row.hbm_bytes / 1e6,
            row.steps
        )
    };
    let rows: String = rows.iter().map(row).collect();
    format!(
        "<table class=\"parts\">\n<tr><th>Source</th><th>Time</th><th>Core</th><th>HBM MB</th><th>Steps</th></tr>\n{rows}</table>\n"
    )
}

/// Text as HTML character data or a quoted attribute.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\'' => out += "&#39;",
            c if c.is_control() && !matches!(c, '\n' | '\t') => out.push(char::REPLACEMENT_CHARACTER),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Resource;

    fn hostile() -> Estimate {
        let row = |name: &str, seconds: f64| Row { name: name.into(), seconds, ..Row::default() };
        Estimate {
            seconds: 2.0,
            bound: Resource::Hbm,
            core_seconds: 1.0,
            mxu_seconds: 0.5,
            hbm_seconds: 2.0,
            ici_seconds: f64::NAN,
            window_seconds: 1.0,
            hbm_bytes: 1.0,
            model_flops: 1.0,
            compiled_flops: 1.0,
            mfu: 0.5,
            hbm_share: 1.0,
            ici_share: 0.0,
            by_source: vec![row("<script>alert(1)</script>", 1.5), row("a\u{1b}[2J'\"&", f64::INFINITY)],
            by_kind: vec![row("copies", 0.5)],
            collectives: vec![],
            notes: vec![CAVEAT.to_owned()],
        }
    }

    #[test]
    fn names_lose_their_force_and_the_caveat_is_there() {
        let estimate = hostile();
        let facts = vec![("peak".to_owned(), "<b>".to_owned())];
        let section = Section { title: "a<b".into(), facts, estimate: Some(&estimate) };
        let html = page("<i>", "x & y", &[section]);
        for raw in ["<script>", "<i>", "<b>", "a<b", "\u{1b}", "NaN", "inf"] {
            assert!(!html.contains(raw), "{raw}");
        }
        assert!(html.contains(CAVEAT) && html.contains("&lt;script&gt;alert(1)"));
        assert!(!html.contains("http"), "nothing is fetched");
        assert_eq!(html.matches("<svg").count(), html.matches("</svg>").count());
    }
}

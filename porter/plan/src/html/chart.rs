//! Bars, as inline SVG.

use super::escape;
use crate::{Estimate, Resource, Row, estimate::time};

/// The width of a drawing, in its own units; where bars begin and end.
const WIDTH: f64 = 960.0;
const LEFT: f64 = 330.0;
const RIGHT: f64 = 850.0;
/// The height of a bar and of a row.
const BAR: f64 = 16.0;
const ROW: f64 = 24.0;

struct Bar {
    name: String,
    value: f64,
    class: &'static str,
    title: String,
}

/// How long core, HBM and links are busy, against the whole.
pub(super) fn resources(estimate: &Estimate) -> String {
    let bar = |name: &str, value: f64, resource: Option<Resource>| {
        let binding = resource == Some(estimate.bound);
        Bar {
            name: if binding { format!("{name} (the bound)") } else { name.to_owned() },
            value,
            class: if binding { "bound" } else { "bar" },
            title: format!("{name}: {}", time(value)),
        }
    };
    let bars = [
        bar("one run", estimate.seconds, None),
        bar("core", estimate.core_seconds, Some(Resource::Core)),
        bar("matrix units at their peak", estimate.mxu_seconds, None),
        bar("HBM", estimate.hbm_seconds, Some(Resource::Hbm)),
        bar("links", estimate.ici_seconds, Some(Resource::Ici)),
    ];
    figure("What is busy, and for how long", &bars, estimate.seconds)
}

/// The first `count` rows, and the rest as one.
pub(super) fn rows(caption: &str, rows: &[Row], count: usize, whole: f64) -> String {
    let bar = |row: &Row| Bar {
        name: row.name.clone(),
        value: row.seconds,
        class: "bar",
        title: format!(
            "{}: {}\ncore {}, HBM {:.1} MB, links {}, {:.0} steps",
            row.name,
            time(row.seconds),
            time(row.core_seconds),
            row.hbm_bytes / 1e6,
            time(row.ici_seconds),
            row.steps
        ),
    };
    let mut bars: Vec<Bar> = rows.iter().take(count).map(bar).collect();
    if let Some(rest) = rows.get(count..).filter(|rest| !rest.is_empty()) {
        let value = rest.iter().map(|row| row.seconds).sum();
        let name = format!("{} more", rest.len());
        bars.push(Bar { title: name.clone(), name, value, class: "bar" });
    }
    if bars.is_empty() {
        return String::new();
    }
    let longest = rows.iter().map(|row| row.seconds).filter(|s| s.is_finite()).fold(0.0, f64::max);
    figure(&format!("{caption}; the whole is {}", time(whole)), &bars, longest)
}

fn figure(caption: &str, bars: &[Bar], longest: f64) -> String {
    let height = ROW * bars.len() as f64 + 4.0;
    let drawn: String = bars.iter().enumerate().map(|(i, bar)| draw(i, bar, longest)).collect();
    let caption = escape(caption);
    format!(
        "<figure>\n<figcaption>{caption}</figcaption>\n<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{caption}\">\n{drawn}</svg>\n</figure>\n"
    )
}

fn draw(place: usize, bar: &Bar, longest: f64) -> String {
    let top = ROW * place as f64 + 4.0;
    let share = bar.value / longest;
    let share = if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 };
    let (length, base) = (share * (RIGHT - LEFT), top + 12.5);
    format!(
        "<g class=\"{}\"><title>{}</title><text x=\"{}\" y=\"{base:.1}\" text-anchor=\"end\">{}</text>\
         <rect x=\"{LEFT}\" y=\"{top:.1}\" width=\"{length:.1}\" height=\"{BAR}\" rx=\"2\"/>\
         <text x=\"{:.1}\" y=\"{base:.1}\">{}</text></g>\n",
        bar.class,
        escape(&bar.title),
        LEFT - 8.0,
        escape(&shortened(&bar.name)),
        LEFT + length + 8.0,
        escape(&time(bar.value))
    )
}

/// The end of a long name, which is what tells modules apart.
fn shortened(name: &str) -> String {
    const LONGEST: usize = 46;
    let length = name.chars().count();
    if length <= LONGEST {
        return name.to_owned();
    }
    let kept: String = name.chars().skip(length - LONGEST).collect();
    format!("…{kept}")
}

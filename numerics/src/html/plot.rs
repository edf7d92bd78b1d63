//! Error by layer, as inline SVG.

use crate::{Measured, escape::escape};

/// The size of the drawing, in the SVG's units.
const SIZE: (f64, f64) = (960.0, 340.0);
/// Left, right, top and bottom of the axes.
const FRAME: (f64, f64, f64, f64) = (58.0, 948.0, 14.0, 262.0);
/// The most names below the axis.
const LABELS: usize = 24;
/// Decades below the least error that is drawn, at least.
const FEWEST_DECADES: f64 = 2.0;

struct Point<'a> {
    measured: &'a Measured,
    /// `log10` of the greatest difference and of the budget, in standard deviations of the reference.
    error: Option<f64>,
    budget: Option<f64>,
}

/// The greatest difference of every output and its budget, as shares of the reference's scale, on a
/// logarithmic axis: hidden states first, then modules, then results. Empty for fewer than two.
pub(super) fn by_layer(all: &[Measured]) -> String {
    let mut points: Vec<Point<'_>> = all.iter().map(Point::new).collect();
    points.sort_by_key(|point| class(&point.measured.comparison.name));
    let logs = points.iter().flat_map(|point| [point.error, point.budget]).flatten();
    let (low, high) =
        logs.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), log| (low.min(log), high.max(log)));
    if points.len() < 2 || low > high {
        return String::new();
    }
    let high = high.ceil().max(low.floor() + FEWEST_DECADES);
    let scale = Scale { low: low.floor(), high, count: points.len() };
    let marks = points.iter().enumerate();
    let parts = [
        scale.grid(),
        scale.budgets(&points),
        scale.line(&points),
        marks.clone().map(|(i, point)| scale.mark(i, point)).collect(),
        marks
            .filter(|(i, point)| scale.labelled(*i, point))
            .map(|(i, point)| scale.label(i, point))
            .collect(),
    ];
    format!(
        "<figure>\n<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"Error and budget by layer\">\n{}</svg>\n\
         <figcaption>The greatest difference <span class=\"key error\"></span> and its budget \
         <span class=\"key budget\"></span>, in standard deviations of the reference, on a logarithmic scale. \
         A cross is over budget; a point on the lower edge has no error. Hover for figures.</figcaption>\n</figure>\n",
        SIZE.0,
        SIZE.1,
        parts.concat()
    )
}

/// Hidden states, then module paths, then results; each in the order in which they were compared, which is
/// that of the program.
fn class(name: &str) -> u8 {
    let parts: Vec<_> = name.split('.').map(|part| part.parse::<u64>().ok()).collect();
    match (&*parts, name.starts_with("hidden_states.")) {
        (_, true) => 0,
        ([_, None, ..], _) if !name.starts_with("padded.") => 1,
        _ => 2,
    }
}

impl<'a> Point<'a> {
    fn new(measured: &'a Measured) -> Self {
        let scale = if measured.comparison.scale > 0.0 { measured.comparison.scale } else { 1.0 };
        let log = |value: f64| Some((value / scale).log10()).filter(|log| log.is_finite());
        Self { measured, error: log(measured.comparison.max_abs), budget: log(measured.budget.max_abs) }
    }

    fn title(&self) -> String {
        let Measured { comparison: c, budget, pass, .. } = self.measured;
        let verdict = if *pass { "within budget" } else { "OVER BUDGET" };
        let floors = self.measured.floors().map_or_else(String::new, |f| format!(", {f:.1} noise floors"));
        escape(&format!(
            "{}: {verdict}\nmax {:.2e}, budget {:.2e}, std {:.2e}{floors}",
            c.name, c.max_abs, budget.max_abs, c.scale
        ))
    }

    /// What stands below the axis: the number of a layer, or the name.
    fn label(&self) -> String {
        let name = &self.measured.comparison.name;
        let short = name.strip_prefix("hidden_states.").unwrap_or(name);
        let kept: String = short.chars().rev().take(18).collect::<Vec<_>>().into_iter().rev().collect();
        escape(&if kept.len() < short.len() { format!("…{kept}") } else { kept })
    }
}

struct Scale {
    low: f64,
    high: f64,
    count: usize,
}

impl Scale {
    fn x(&self, index: usize) -> f64 {
        let (left, right, ..) = FRAME;
        left + (index as f64 + 0.5) / self.count as f64 * (right - left)
    }

    /// Half the distance between two points.
    fn half(&self) -> f64 {
        (FRAME.1 - FRAME.0) / self.count as f64 / 2.0
    }

    fn y(&self, log: f64) -> f64 {
        let (_, _, top, bottom) = FRAME;
        bottom - (log - self.low) / (self.high - self.low) * (bottom - top)
    }

    fn grid(&self) -> String {
        let (left, right, ..) = FRAME;
        let decades = (self.high - self.low) as u32;
        let step = decades.div_ceil(8).max(1) as usize;
        let line = |decade: u32| {
            let log = self.low + f64::from(decade);
            let y = self.y(log);
            format!(
                "<line class=\"grid\" x1=\"{left}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
                 <text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">1e{log:.0}</text>\n",
                left - 6.0,
                y + 4.0
            )
        };
        (0..=decades).step_by(step).map(line).collect()
    }

    fn budgets(&self, points: &[Point<'_>]) -> String {
        let bar = |(i, point): (usize, &Point<'_>)| {
            let (x, y) = (self.x(i), self.y(point.budget?));
            let (from, to) = (x - 0.8 * self.half(), x + 0.8 * self.half());
            Some(format!(
                "<line class=\"budget\" x1=\"{from:.1}\" x2=\"{to:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\n"
            ))
        };
        points.iter().enumerate().filter_map(bar).collect()
    }

    /// The line through the layers, which are in sequence; results stand apart.
    fn line(&self, points: &[Point<'_>]) -> String {
        let layers =
            points.iter().enumerate().filter(|(_, point)| class(&point.measured.comparison.name) < 2);
        let corners: Vec<String> = layers
            .map(|(i, point)| format!("{:.1},{:.1}", self.x(i), self.y(point.error.unwrap_or(self.low))))
            .collect();
        if corners.len() < 2 {
            String::new()
        } else {
            format!("<polyline points=\"{}\"/>\n", corners.join(" "))
        }
    }

    fn mark(&self, index: usize, point: &Point<'_>) -> String {
        let (x, y) = (self.x(index), self.y(point.error.unwrap_or(self.low)));
        let shape = if point.measured.pass {
            format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\"/>")
        } else {
            let (l, r, t, b) = (x - 5.0, x + 5.0, y - 5.0, y + 5.0);
            format!("<path d=\"M{l:.1} {t:.1}L{r:.1} {b:.1}M{l:.1} {b:.1}L{r:.1} {t:.1}\"/>")
        };
        let (class, half) = (if point.measured.pass { "pass" } else { "fail" }, self.half());
        let (_, _, top, bottom) = FRAME;
        // The whole column answers to the pointer.
        format!(
            "<g class=\"{class}\"><title>{}</title><rect x=\"{:.1}\" y=\"{top}\" width=\"{:.1}\" height=\"{}\"/>{shape}</g>\n",
            point.title(),
            x - half,
            2.0 * half,
            bottom - top
        )
    }

    /// Results have their names always.
    fn labelled(&self, index: usize, point: &Point<'_>) -> bool {
        let step = self.count.div_ceil(LABELS);
        index.is_multiple_of(step) || class(&point.measured.comparison.name) == 2
    }

    fn label(&self, index: usize, point: &Point<'_>) -> String {
        let (x, y) = (self.x(index), FRAME.3 + 16.0);
        let label = point.label();
        let place = if label.chars().count() <= 3 {
            "text-anchor=\"middle\"".to_owned()
        } else {
            format!("text-anchor=\"end\" transform=\"rotate(-35 {x:.1} {y:.1})\"")
        };
        format!("<text class=\"tick\" x=\"{x:.1}\" y=\"{y:.1}\" {place}>{label}</text>\n")
    }
}

//! Tables for the terminal.

use std::{collections::BTreeMap, fmt::Display};

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

/// A table without borders: a heading, and rows of as many cells. Columns of `right` hold numbers.
/// Only the last column may be coloured: colours count as width.
pub(crate) fn render(
    heading: &[&str],
    rows: impl IntoIterator<Item = Vec<String>>,
    right: &[usize],
) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(heading.to_vec());
    table.add_rows(rows);
    for &column in right {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    if let Some(first) = table.column_mut(0) {
        first.set_padding((0, 1));
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

/// A table without a heading.
pub(crate) fn plain(rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.add_rows(rows);
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

/// Bytes in the unit that suits them.
pub(crate) fn size(bytes: f64) -> String {
    match bytes {
        b if b < 2_f64.powi(27) => format!("{:.2} MiB", b / 2_f64.powi(20)),
        b => format!("{:.2} GiB", b / 2_f64.powi(30)),
    }
}

/// `6 attention, 13 layer_norm`.
pub(crate) fn counted(counts: &BTreeMap<impl Display, usize>) -> String {
    let counts: Vec<String> = counts.iter().map(|(name, count)| format!("{count} {name}")).collect();
    counts.join(", ")
}

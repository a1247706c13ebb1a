//! What a command has to say: text for people, JSON for programs.

use std::fmt;

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, ContentArrangement, Table};
use serde_json::Value;

/// The same in two forms.
#[derive(Clone, Debug)]
pub struct Report {
    /// Lines, without the last one's end.
    pub text: String,
    /// The same for `--json`.
    pub json: Value,
    /// The command has found something that its user should act on: exit code 1.
    pub has_problem: bool,
}

impl Report {
    /// Makes one.
    pub fn new(text: impl Into<String>, json: Value) -> Self {
        Self {
            text: text.into(),
            json,
            has_problem: false,
        }
    }
}

/// A number of bytes in the largest unit that divides it.
#[derive(Clone, Copy, Debug)]
pub struct Bytes(pub u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self.0 {
            n if n != 0 && n % (1 << 30) == 0 => format!("{} GiB", n >> 30),
            n if n != 0 && n % (1 << 20) == 0 => format!("{} MiB", n >> 20),
            n if n != 0 && n % (1 << 10) == 0 => format!("{} KiB", n >> 10),
            n => format!("{n} B"),
        };
        f.pad(&text)
    }
}

/// Writes a number with what it counts, given as one of them.
pub fn counted(count: usize, one: &str) -> String {
    match count {
        1 => format!("1 {one}"),
        _ => format!("{count} {one}s"),
    }
}

/// Makes a table; columns from `first_number` on are aligned to the right.
pub fn table(header: &[&str], rows: Vec<Vec<String>>, first_number: usize) -> String {
    let mut table = Table::new();
    table
        .load_style(NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header.iter().copied());
    table.add_rows(rows);
    for column in table.column_iter_mut().skip(first_number) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.trim_fmt()
}

//! `config explain` and `config dtb`: what a cell gets and from where, and the device tree that its software gets.

use std::fs;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::Path;

use serde_json::json;

use super::check::spare;
use super::{Context, check};
use crate::board::Board;
use crate::cell_file::CellFile;
use crate::error::Error;
use crate::explain;
use crate::guest_tree;
use crate::report::Report;
use crate::resolve::resolve;
use crate::tree::compile;

/// Says what a cell gets, and from where.
///
/// # Errors
/// The file is wrong, or the board is.
pub fn explain(context: &Context, path: &Path, board: Option<&Path>) -> Result<Report, Error> {
    check::check(context, &[path.to_owned()], board, None)?;
    let cell = CellFile::read(&compile::read(path)?, &path.display().to_string())?;
    let board = Board::read(board)?;
    let resolved = resolve(&cell, &board, &spare(&board)?)?;
    let tree = guest_tree::build(&cell, &resolved, &board)?;
    let lines = explain::explain(&cell, &resolved, &board, tree.len());
    Ok(Report::new(
        explain::to_text(&lines),
        json!({ "file": cell.place.file, "board": board.file, "lines": explain::to_json(&lines) }),
    ))
}

/// Writes a cell's own device tree into a file, or to standard output.
///
/// # Errors
/// The file is wrong, or the board is; or the tree would go to a terminal.
pub fn dtb(
    context: &Context,
    path: &Path,
    board: Option<&Path>,
    to: Option<&Path>,
) -> Result<Report, Error> {
    if to.is_none() && (io::stdout().is_terminal() || context.is_json) {
        return Err(Error::Refused(
            "a device tree is binary: say where it goes with --output FILE".to_owned(),
        ));
    }
    check::check(context, &[path.to_owned()], board, None)?;
    let cell = CellFile::read(&compile::read(path)?, &path.display().to_string())?;
    let board = Board::read(board)?;
    let resolved = resolve(&cell, &board, &spare(&board)?)?;
    guest_tree::is_wanted(&cell)?;
    let tree = guest_tree::build(&cell, &resolved, &board)?;
    let Some(to) = to else {
        // A reader that has gone is not our failure.
        drop(io::stdout().write_all(&tree));
        return Ok(Report::new("", json!(null)));
    };
    fs::write(to, &tree).map_err(|error| Error::file("write", to, &error))?;
    Ok(Report::new(
        format!(
            "{}: the device tree of cell '{}', {} bytes",
            to.display(),
            cell.name,
            tree.len()
        ),
        json!({ "file": to, "cell": cell.name.as_str(), "bytes": tree.len() }),
    ))
}

//! Every wrong cell is refused with file, node, property, value and reason: `wrong_cells.table` has one in each entry.
//!
//! An entry is `BOARD: CHANGE` and, indented, all that is said. CHANGE takes the place of properties of the good cell
//! (`-name` takes one away); ` && ` begins a second cell for the same board. `BOARD + SOURCE` adds to the board's tree.
//! A new entry has `?` for its message: the failing test says what it is.

use std::fs;
use std::path::PathBuf;

use crate::support::{board, cell, context, folder, good_but, verdict};
use bulkhead_cli::command::check::check;

const TABLE: &str = include_str!("wrong_cells.table");

struct Entry {
    head: String,
    says: String,
}

fn entries() -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    let lines = TABLE
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty());
    for line in lines {
        match (line.strip_prefix("    "), entries.last_mut()) {
            (Some(more), Some(entry)) if entry.says.is_empty() => more.clone_into(&mut entry.says),
            (Some(more), Some(entry)) => entry.says = format!("{}\n{more}", entry.says),
            _ => entries.push(Entry {
                head: line.to_owned(),
                says: String::new(),
            }),
        }
    }
    entries
}

/// Returns the board of an entry: one of the tests', or a copy with additions.
fn board_of(text: &str) -> PathBuf {
    let Some((name, addition)) = text.split_once(" + ") else {
        return board(text);
    };
    let path = folder().join("board.dts");
    let source = fs::read_to_string(board(name)).unwrap();
    fs::write(&path, format!("{source}\n{addition}\n")).unwrap();
    path
}

/// Returns what is said about an entry's cells, without the folders of the files.
fn said(entry: &Entry) -> Result<String, String> {
    let (on, changes) = entry.head.split_once(": ").expect("BOARD: CHANGE");
    let board = board_of(on);
    let cells: Vec<PathBuf> = changes
        .split(" && ")
        .map(|change| cell(&good_but(change)))
        .collect();
    match check(&context(), &cells, Some(&board), None) {
        Ok(report) => Err(report.text),
        Err(error) => {
            let mut text = error
                .to_string()
                .replace(&board.display().to_string(), "BOARD");
            for cell in cells {
                text = text.replace(&format!("{}/", cell.parent().unwrap().display()), "");
            }
            Ok(text)
        }
    }
}

#[test]
fn every_wrong_cell_is_told_what_is_wrong() {
    let mut wrong = Vec::new();
    for entry in entries() {
        match said(&entry) {
            Ok(said) if said == entry.says => {}
            Ok(said) => wrong.push(format!(
                "{}\n    {}",
                entry.head,
                said.replace('\n', "\n    ")
            )),
            Err(text) => wrong.push(format!("{}\n  IS TAKEN: {text}", entry.head)),
        }
    }
    assert!(
        wrong.is_empty(),
        "{} entries say something else:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn there_are_eighty_of_them_and_none_is_there_twice() {
    let mut heads: Vec<String> = entries().into_iter().map(|entry| entry.head).collect();
    let count = heads.len();
    heads.sort();
    heads.dedup();
    assert_eq!(heads.len(), count);
    assert!(count >= 80, "{count}");
}

#[test]
fn the_good_cell_is_good() {
    let report = verdict("virt", &good_but("")).unwrap();
    assert_eq!(report.json["cpus"], serde_json::json!([3]));
    assert_eq!(report.json["spis"], serde_json::json!([40]));
    assert_eq!(report.json["warnings"], serde_json::json!([]));
}

#[test]
fn the_delivery_of_interrupts_is_told() {
    for (change, wanted) in [
        ("", "direct"),
        ("interrupts = \"direct\"", "direct"),
        ("interrupts = \"listed\"", "listed"),
    ] {
        assert_eq!(
            verdict("virt", &good_but(change)).unwrap().json["delivery"],
            wanted
        );
    }
}

#[test]
fn a_node_below_the_root_is_refused() {
    let body = format!("{} sub {{ }};", good_but(""));
    let said = verdict("virt", &body).unwrap_err();
    assert_eq!(
        said,
        "cell.dts: /sub: a cell file has no nodes but the root"
    );
}

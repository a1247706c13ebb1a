//! The folders of board-configs: a board that nobody has run is checked against its own tree.
//!
//! A folder with a file `trees` names Debian's trees of its boards, one a line. What its overlays make of each tree takes
//! every cell of the folder. A new board adds a folder, and no line here.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use bulkhead_cli::board::Board;
use bulkhead_cli::command::check::check;
use bulkhead_cli::finding::Weight;
use bulkhead_cli::health;
use bulkhead_cli::reservation::reservation;

use crate::real_boards::debian;
use crate::support::{board as virt, context, folder};

/// The words of a README for a board that was in nobody's hands.
const CLAIM: &str = "Checked against its tree only";

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect();
    found.sort();
    found
}

fn run(tool: &str, arguments: &[&Path]) {
    let output = Command::new(tool).args(arguments).output().expect(tool);
    assert!(
        output.status.success(),
        "{tool} {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Applies the folder's overlays to a tree.
fn with_overlays(tree: &Path, overlays: &[PathBuf]) -> PathBuf {
    let work = folder();
    let board = work.join(tree.file_name().unwrap());
    let compiled: Vec<PathBuf> = overlays
        .iter()
        .map(|overlay| {
            let to = work
                .join(overlay.file_name().unwrap())
                .with_extension("dtbo");
            let flags = ["-q", "-@", "-I", "dts", "-O", "dtb", "-o"].map(Path::new);
            run("dtc", &[&flags[..], &[&to, overlay]].concat());
            to
        })
        .collect();
    let mut arguments = vec![Path::new("-i"), tree, Path::new("-o"), &board];
    arguments.extend(compiled.iter().map(PathBuf::as_path));
    run("fdtoverlay", &arguments);
    board
}

/// Returns the folders that name trees, each with these.
fn boards() -> Vec<(PathBuf, Vec<PathBuf>)> {
    let all = Path::new(env!("CARGO_MANIFEST_DIR")).join("../board-configs");
    let mut folders: Vec<PathBuf> = fs::read_dir(all)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    folders.sort();
    let trees = |folder: PathBuf| {
        let list = fs::read_to_string(folder.join("trees")).ok()?;
        let paths = list.lines().map(|line| debian().join(line)).collect();
        Some((folder, paths))
    };
    folders.into_iter().filter_map(trees).collect()
}

#[test]
fn every_cell_of_a_board_is_taken_with_its_reservation() {
    let mut checked = 0;
    for (folder, trees) in boards() {
        let cells = files(&folder.join("cells"), "dts");
        assert!(
            !cells.is_empty() && !trees.is_empty(),
            "{}",
            folder.display()
        );
        for tree in &trees {
            let path = with_overlays(tree, &files(&folder, "dtso"));
            let board = Board::read(Some(&path)).unwrap();
            assert!(reservation(&board).unwrap().is_some(), "{}", tree.display());
            for cell in &cells {
                let what = format!("{} on {}", cell.display(), tree.display());
                let cell = std::slice::from_ref(cell);
                let report = check(&context(), cell, Some(&path), None)
                    .unwrap_or_else(|error| panic!("{what}: {error}"));
                assert_eq!(
                    report.json["spis"].as_array().map(Vec::is_empty),
                    Some(false),
                    "{what}"
                );
                checked += 1;
            }
            let findings = health::board(&board, None);
            let problem = findings
                .iter()
                .find(|finding| finding.weight == Weight::Problem);
            assert!(problem.is_none(), "{}: {problem:?}", tree.display());
        }
    }
    assert!(checked >= 10, "{checked}");
}

#[test]
fn a_board_that_nobody_ran_says_so() {
    for (folder, _) in boards() {
        let text = fs::read_to_string(folder.join("README.md"))
            .unwrap_or_else(|error| panic!("{}: README.md: {error}", folder.display()));
        let is_emulated = text.contains("Tested in emulation");
        assert!(text.contains(CLAIM) != is_emulated, "{}", folder.display());
    }
}

/// Returns the first cell file in a page, up to the line that ends its root.
fn example(page: &str) -> String {
    let lines = page
        .lines()
        .map(|line| line.strip_prefix("    ").unwrap_or(line));
    let from_start = lines.skip_while(|line| *line != "/dts-v1/;");
    let mut text = String::new();
    for line in from_start {
        text.push_str(line);
        text.push('\n');
        if line == "};" {
            break;
        }
    }
    text
}

#[test]
fn the_examples_of_the_pages_are_good() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for page in ["README.md", "board-configs/README.md"] {
        let text = example(&fs::read_to_string(root.join(page)).unwrap());
        let path = folder().join("cell.dts");
        fs::write(&path, &text).unwrap();
        let report = check(&context(), &[path], Some(&virt("virt")), None);
        let report = report.unwrap_or_else(|error| panic!("{page}: {error}\n{text}"));
        assert_eq!(report.json["spis"], serde_json::json!([40]), "{page}");
    }
}

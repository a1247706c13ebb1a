//! What the tests share: boards, and cells written in place.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use bulkhead_cli::command::{Context, check::check};
use bulkhead_cli::linux::Linux;
use bulkhead_cli::report::Report;
use bulkhead_cli::store::Store;

/// Returns the path of a board's tree.
pub fn board(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/boards")
        .join(format!("{name}.dts"))
}

/// Returns the path of a folder of this test's own.
pub fn folder() -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let name = format!(
        "{}-{}",
        std::process::id(),
        COUNT.fetch_add(1, Ordering::Relaxed)
    );
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&path).unwrap();
    path
}

/// Writes a cell's source; `body` are the properties of its root.
pub fn cell(body: &str) -> PathBuf {
    let path = folder().join("cell.dts");
    fs::write(&path, format!("/dts-v1/;\n/ {{ {body} }};\n")).unwrap();
    path
}

/// A Linux that shows nothing.
pub fn context() -> Context {
    let folder = folder();
    Context {
        linux: Linux::at(&folder),
        store: Store::at(&folder),
        is_json: true,
    }
}

/// Checks a cell of these properties against a board; an error is its message without the file's path.
pub fn verdict(on: &str, body: &str) -> Result<Report, String> {
    let path = cell(body);
    check(
        &context(),
        std::slice::from_ref(&path),
        Some(&board(on)),
        None,
    )
    .map_err(|error| {
        let folder = format!("{}/", path.parent().unwrap().display());
        error
            .to_string()
            .replace(&folder, "")
            .replace(&board(on).display().to_string(), "BOARD")
    })
}

/// The properties of a good cell, those of `other` instead of its own.
pub fn good_but(other: &str) -> String {
    let name = |property: &str| property.split('=').next().unwrap().trim().to_owned();
    let mut properties = vec![
        "compatible = \"bulkhead,cell\"".to_owned(),
        "model = \"rtos\"".to_owned(),
        "cpus = <1>".to_owned(),
        "memory = <0x0 0x01000000>".to_owned(),
        "devices = \"serial1\", \"/timer\"".to_owned(),
        "console = \"serial1\"".to_owned(),
    ];
    let others: Vec<&str> = other
        .split(';')
        .map(str::trim)
        .filter(|property| !property.is_empty())
        .collect();
    properties.retain(|own| !others.iter().any(|other| name(other) == name(own)));
    // `-name` only takes the property away.
    properties.retain(|own| !others.contains(&format!("-{}", name(own)).as_str()));
    properties.extend(
        others
            .iter()
            .filter(|other| !other.starts_with('-'))
            .map(|other| (*other).to_owned()),
    );
    format!("{};", properties.join("; "))
}

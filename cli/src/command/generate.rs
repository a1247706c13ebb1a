//! `generate` (hidden): completions for shells and man pages, made of what can be typed.

use std::fs;
use std::path::Path;

use clap::CommandFactory as _;
use clap_complete::{Shell, generate_to};
use serde_json::json;

use crate::args::Cli;
use crate::error::Error;
use crate::report::Report;

/// Writes all of them below a folder: `completions/` and `man/`.
///
/// # Errors
/// The folder cannot be written.
pub fn generate(folder: &Path) -> Result<Report, Error> {
    let failed = |error| Error::file("write", folder, &error);
    let (completions, man) = (folder.join("completions"), folder.join("man"));
    for folder in [&completions, &man] {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        generate_to(shell, &mut Cli::command(), "bulkhead", &completions).map_err(failed)?;
    }
    clap_mangen::generate_to(Cli::command(), &man).map_err(failed)?;
    Ok(Report::new("", json!({ "folder": folder })))
}

//! `generate` (hidden): completions for shells and man pages, made of what can be typed.

use std::fs;
use std::path::Path;

use clap::{Command, CommandFactory as _};
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
        let mut shown = shown(&Cli::command());
        generate_to(shell, &mut shown, "bulkhead", &completions).map_err(failed)?;
    }
    clap_mangen::generate_to(Cli::command(), &man).map_err(failed)?;
    Ok(Report::new("", json!({ "folder": folder })))
}

/// What is not hidden of a command: completions would offer all of it.
fn shown(command: &Command) -> Command {
    let mut shown = Command::new(command.get_name().to_owned());
    if let Some(about) = command.get_about() {
        shown = shown.about(about.clone());
    }
    if let Some(version) = command.get_version() {
        shown = shown.version(version.to_owned());
    }
    let arguments = command.get_arguments().filter(|one| !one.is_hide_set());
    let commands = command.get_subcommands().filter(|one| !one.is_hide_set());
    shown
        .args(arguments.cloned())
        .subcommands(commands.map(self::shown))
}

//! `bulkhead`: the command line.

use std::env;
use std::io::{self, Write as _};
use std::panic::{self, PanicHookInfo};
use std::process::{self, ExitCode};

use bulkhead_cli::args::Cli;
use bulkhead_cli::command;
use clap::Parser as _;
use serde_json::json;

/// Exit code of wrong usage.
const USAGE: u8 = 2;
/// Exit code of a bug of ours (sysexits.h, `EX_SOFTWARE`).
const BUG: i32 = 70;

fn main() -> ExitCode {
    panic::set_hook(Box::new(confess));
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return misused(&error),
    };
    let is_json = cli.json;
    match command::run(cli) {
        Ok(report) => {
            let text = if is_json {
                format!("{:#}", report.json)
            } else {
                report.text
            };
            // A reader that has gone, such as `head`, is not our failure.
            if !text.is_empty() {
                drop(writeln!(io::stdout(), "{text}"));
            }
            ExitCode::from(u8::from(report.has_problem))
        }
        Err(error) => {
            let code = error.exit_code();
            let text = match is_json {
                true => in_json(code, &error.to_string()),
                false => format!("bulkhead: {error}"),
            };
            drop(writeln!(io::stderr(), "{text}"));
            ExitCode::from(code)
        }
    }
}

fn in_json(code: u8, message: &str) -> String {
    json!({ "error": { "code": code, "message": message } }).to_string()
}

/// Says what cannot be typed; help and version are no errors.
fn misused(error: &clap::Error) -> ExitCode {
    let is_json = env::args_os().any(|argument| argument == "--json");
    if is_json && error.use_stderr() {
        let message = error.to_string();
        drop(writeln!(
            io::stderr(),
            "{}",
            in_json(USAGE, message.trim_end())
        ));
        return ExitCode::from(USAGE);
    }
    drop(error.print());
    ExitCode::from(if error.use_stderr() { USAGE } else { 0 })
}

/// Says that there is a bug and where, in a line that can be sent on.
fn confess(info: &PanicHookInfo<'_>) {
    let place = info
        .location()
        .map(|place| format!(" at {}:{}", place.file(), place.line()))
        .unwrap_or_default();
    let what = info.payload_as_str().unwrap_or("no more is known");
    let version = env!("CARGO_PKG_VERSION");
    let text = format!(
        "bug in bulkhead {version}{place}: {what}; please report this line and the command"
    );
    drop(writeln!(io::stderr(), "{text}"));
    process::exit(BUG);
}

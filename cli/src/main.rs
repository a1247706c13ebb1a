//! `bulkhead`: the command line.

use std::io::{self, Write as _};
use std::panic::{self, PanicHookInfo};
use std::process::{self, ExitCode};

use bulkhead_cli::args::Cli;
use bulkhead_cli::command;
use clap::Parser as _;
use serde_json::json;

/// Exit code of a bug of ours (sysexits.h, `EX_SOFTWARE`).
const BUG: i32 = 70;

fn main() -> ExitCode {
    panic::set_hook(Box::new(confess));
    let cli = Cli::parse();
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
                true => {
                    json!({ "error": { "code": code, "message": error.to_string() } }).to_string()
                }
                false => format!("bulkhead: {error}"),
            };
            drop(writeln!(io::stderr(), "{text}"));
            ExitCode::from(code)
        }
    }
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

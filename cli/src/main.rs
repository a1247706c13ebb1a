//! `bulkhead`: the command line.

use std::io::{self, Write as _};
use std::process::ExitCode;

use bulkhead_cli::args::Cli;
use bulkhead_cli::command;
use clap::Parser as _;
use serde_json::json;

fn main() -> ExitCode {
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

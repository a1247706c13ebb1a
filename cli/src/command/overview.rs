//! `bulkhead` alone: what state the machine is in, and what can be done next.

use bulkhead_abi::info::{CellInfo, state};
use serde_json::{Value, json};

use super::Context;
use crate::device::Device;
use crate::error::Error;
use crate::live::{self, state_name};
use crate::report::{Bytes, Report};

/// What can be done next: a command and what it does.
type Step = (String, &'static str);

/// Says where we are.
///
/// # Errors
/// The module does not answer as it should.
pub fn overview(context: &Context) -> Result<Report, Error> {
    let steps = |list: &[(&str, &'static str)]| -> Vec<Step> {
        list.iter()
            .map(|(command, what)| ((*command).to_owned(), *what))
            .collect()
    };
    let device = match Device::open() {
        Err(Error::NoModule) => {
            let next = steps(&[
                ("bulkhead doctor", "find out what this machine lacks"),
                ("modprobe bulkhead", "load the kernel module"),
                ("bulkhead run FILE IMAGE", "do all of it at once"),
            ]);
            return Ok(report(
                "no-module",
                "The kernel module is not loaded.",
                &next,
            ));
        }
        device => device?,
    };
    let info = match live::read(&device) {
        Err(Error::NotEnabled) => {
            let next = steps(&[
                ("bulkhead doctor", "find out what this machine lacks"),
                ("bulkhead enable", "slide the hypervisor under this Linux"),
                ("bulkhead config new", "describe a cell"),
                (
                    "bulkhead run FILE IMAGE",
                    "enable, create, load and start a cell",
                ),
            ]);
            return Ok(report("disabled", "Bulkhead is not enabled.", &next));
        }
        info => info?,
    };
    let mut text = format!(
        "Bulkhead is enabled; {} are free for cells.",
        Bytes(info.pool_free)
    );
    let mut next = Vec::new();
    for cell in live::cells(&info).skip(1) {
        let name = live::text(&cell.info.name);
        text = format!("{text}\nCell '{name}' is {}.", state_name(cell.info.state));
        next.extend(after(&name, cell.info));
    }
    // One that is under way is of no concern either, but it is seldom there.
    for name in context.store.runs() {
        text = format!(
            "{text}\nA run of cell '{name}' is under way, or was cut short: give it again to go on."
        );
    }
    if live::cells(&info).count() == 1 {
        text = format!("{text}\nThere are no cells.");
        next.extend(steps(&[
            ("bulkhead config new", "describe a cell"),
            ("bulkhead run FILE IMAGE", "create, load and start a cell"),
            ("bulkhead disable", "take the hypervisor out again"),
        ]));
    } else {
        next.extend(steps(&[
            ("bulkhead top", "watch"),
            ("bulkhead map", "see who has what"),
        ]));
    }
    Ok(report("enabled", &text, &next))
}

/// Returns what can be done with a cell.
pub fn after(name: &str, cell: &CellInfo) -> Vec<Step> {
    let step = |command: &str, what| (format!("bulkhead cell {command}"), what);
    match cell.state {
        state::CREATED | state::LOADING => {
            vec![step(&format!("load {name} IMAGE"), "give it its software")]
        }
        state::LOADED => vec![step(&format!("start {name}"), "let it run")],
        state::RUNNING => vec![step(&format!("show {name}"), "see all about it")],
        state::STOPPED => vec![
            step(&format!("start {name}"), "load it anew and let it run"),
            step(&format!("destroy {name}"), "give all of it back"),
        ],
        state::FAILED => vec![
            step(&format!("show {name}"), "see why it failed"),
            step(&format!("restart {name}"), "load it anew and let it run"),
        ],
        _ => Vec::new(),
    }
}

fn report(state: &str, text: &str, next: &[Step]) -> Report {
    let width = next.iter().map(|(command, _)| command.len()).max();
    let width = width.unwrap_or_default();
    let lines = next
        .iter()
        .map(|(command, what)| format!("  {command:width$}  {what}"));
    let list = lines.collect::<Vec<_>>().join("\n");
    let json: Vec<Value> = next
        .iter()
        .map(|(command, what)| json!({ "command": command, "what": what }))
        .collect();
    Report::new(
        format!(
            "{text}\n\nNext:\n{list}\n  {:width$}  all commands",
            "bulkhead help"
        ),
        json!({ "state": state, "text": text, "next": json }),
    )
}

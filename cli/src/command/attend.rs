//! `cell attend`, and the staying of `run --rm`: beside a cell until its end, with its image loaded anew when it has to start anew.
//!
//! EL2 has no image: what cannot start again with its RAM as it is, a Linux for one, stops when it resets itself.

use std::thread::sleep;
use std::time::{Duration, Instant};

use bulkhead_abi::info::{CellInfo, cause, state};
use serde_json::json;

use super::{Context, cell, show};
use crate::device::Device;
use crate::error::Error;
use crate::interruption::Interruption;
use crate::live::{self, state_name};
use crate::report::Report;
use crate::restarts::{LONG_ENOUGH, Restarts, SHORT_ONES};

/// How often to look whether the cell still runs.
const PERIOD: Duration = Duration::from_millis(100);

/// How a cell that was attended ended.
pub(super) enum Ending {
    /// It stopped or failed.
    State(u32),
    /// The user wants it to end.
    Interrupted,
    /// Another command destroyed it.
    Gone,
}

/// Stays with a cell until it stops for good; starts it anew, all loaded anew, when it is to.
///
/// # Errors
/// There is no such cell, or it does not start again.
pub fn attend(context: &Context, name: &str) -> Result<Report, Error> {
    let interruption = Interruption::listen()?;
    live::cell(&*live::read(&Device::open()?)?, name)?;
    let (said, state, has_problem) = match wait(context, name, &interruption)? {
        Ending::Interrupted => ("is left alone".to_owned(), "running", false),
        Ending::Gone => ("is gone".to_owned(), "gone", false),
        Ending::State(state::STOPPED) => ("has stopped".to_owned(), "stopped", false),
        Ending::State(state) => (format!("is {}", state_name(state)), state_name(state), true),
    };
    let shown = show::show(context, name).map_or(json!(null), |shown| shown.json);
    Ok(Report {
        has_problem,
        ..Report::new(
            format!("cell '{name}' {said}"),
            json!({ "cell": name, "state": state, "last": shown }),
        )
    })
}

/// Same, and says how it ended.
pub(super) fn wait(
    context: &Context,
    name: &str,
    interruption: &Interruption,
) -> Result<Ending, Error> {
    let device = Device::open()?;
    let (mut restarts, mut started) = (Restarts::default(), Instant::now());
    loop {
        let info = match live::read(&device) {
            Ok(info) => info,
            Err(Error::NotEnabled) => return Ok(Ending::Gone),
            Err(error) => return Err(error),
        };
        match live::cell(&info, name).map(|cell| cell.info) {
            Err(_) => return Ok(Ending::Gone),
            Ok(cell) if has_ended(cell) => return Ok(Ending::State(cell.state)),
            Ok(_) if interruption.is_wanted() => return Ok(Ending::Interrupted),
            Ok(cell) if wants_start(cell) && !restarts.again_after(started.elapsed()) => {
                return Err(gives_up(name, cell));
            }
            Ok(cell) if wants_start(cell) => {
                start_anew(context, &device, cell)?;
                started = Instant::now();
            }
            Ok(_) => sleep(PERIOD),
        }
    }
}

fn gives_up(name: &str, cell: &CellInfo) -> Error {
    Error::Refused(format!(
        "cell '{name}' is left stopped: {}, {SHORT_ONES} times in a row within {} s of its start; `bulkhead cell start {name}` starts it",
        why(cell),
        LONG_ENOUGH.as_secs()
    ))
}

/// Starts a cell anew, unless somebody else does it at the same time.
fn start_anew(context: &Context, device: &Device, cell: &CellInfo) -> Result<(), Error> {
    let name = live::text(&cell.name);
    context.note(&format!("{name}: {}", why(cell)));
    match cell::start(context, &name) {
        Err(error)
            if live::cell(&*live::read(device)?, &name).is_ok_and(|now| wants_start(now.info)) =>
        {
            Err(error)
        }
        _ => Ok(()),
    }
}

fn has_ended(cell: &CellInfo) -> bool {
    [state::STOPPED, state::FAILED, state::FENCED].contains(&cell.state) && !wants_start(cell)
}

/// Tells whether a cell stopped to be loaded and started anew.
pub(super) const fn wants_start(cell: &CellInfo) -> bool {
    cell.state == state::STOPPED && matches!(cell.cause, cause::SYSTEM_RESET | cause::STALL)
}

const fn why(cell: &CellInfo) -> &'static str {
    match cell.cause {
        cause::STALL => "it has stalled",
        _ => "it resets itself",
    }
}

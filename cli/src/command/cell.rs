//! `cell start`, `stop`, `restart`, `destroy`.

use bulkhead_abi::code;
use bulkhead_abi::info::state;
use bulkhead_model::refused::Refused;
use serde_json::json;

use super::load::put;
use super::{Context, refusal};
use crate::device::{Command, Device};
use crate::error::Error;
use crate::live::{self, Cell, state_name};
use crate::progress::watch;
use crate::report::Report;
use crate::store::Record;

fn send(device: &Device, cell: Cell<'_>, command: Command) -> Result<(), Error> {
    let name = live::text(&cell.info.name);
    let (doing, cannot) = match command {
        Command::Start => ("starting", "start"),
        Command::Stop => ("stopping", "stop"),
        Command::Destroy => ("destroying", "destroy"),
    };
    let answer = watch(&format!("{doing} {name}"), || {
        device.command(command, cell.id as u64)
    })?;
    let what = format!("cannot {cannot} cell '{name}'");
    answer.map_err(|refused| in_state(command, &what, &name, refused))
}

/// Says why something was refused; a state that it has no place in, with what can be done instead.
pub(super) fn in_state(
    command: impl Into<Option<Command>>,
    what: &str,
    name: &str,
    refused: Refused,
) -> Error {
    if refused.code() != code::WRONG_STATE {
        return refusal(what, refused);
    }
    let state = u32::try_from(refused.a).unwrap_or(u32::MAX);
    let is = state_name(state);
    let remedy = match (command.into(), state) {
        (Some(Command::Start), state::RUNNING) => {
            format!("`bulkhead cell restart {name}` starts it anew")
        }
        (
            Some(Command::Stop),
            state::CREATED | state::LOADING | state::LOADED | state::STOPPED | state::FAILED,
        ) => "only what runs can be stopped".to_owned(),
        (None, state::RUNNING) => format!("`bulkhead cell stop {name}` first"),
        _ => format!("see `bulkhead cell show {name}`"),
    };
    Error::Refused(format!("{what}: it is {is}: {remedy}"))
}

fn done(name: &str, state: &str) -> Report {
    Report::new(
        format!("cell '{name}' is {state}"),
        json!({ "cell": name, "state": state }),
    )
}

/// Starts a cell, loading its image anew when it has run before.
///
/// # Errors
/// It runs already or has no image.
pub fn start(context: &Context, name: &str) -> Result<Report, Error> {
    let device = Device::open()?;
    let info = live::read(&device)?;
    let cell = live::cell(&info, name)?;
    let wants_image = [
        state::CREATED,
        state::LOADING,
        state::STOPPED,
        state::FAILED,
    ]
    .contains(&cell.info.state);
    if wants_image {
        reload(context, &device, cell)?;
    }
    send(&device, cell, Command::Start)?;
    Ok(done(name, "running"))
}

fn reload(context: &Context, device: &Device, cell: Cell<'_>) -> Result<(), Error> {
    let name = live::text(&cell.info.name);
    let record = context.store.get(&name);
    let Some(image) = record.as_ref().and_then(|record| record.image.as_ref()) else {
        let state = state_name(cell.info.state);
        return Err(Error::Refused(format!(
            "cannot start cell '{name}': it is {state} and has no image: bulkhead cell load {name} IMAGE"
        )));
    };
    context.note(&format!(
        "cell '{name}' was {}: loading {} anew",
        state_name(cell.info.state),
        image.path.display()
    ));
    put(context, device, cell, record.as_ref(), image).map(drop)
}

/// Stops a cell.
///
/// # Errors
/// It does not run.
pub fn stop(name: &str) -> Result<Report, Error> {
    let device = Device::open()?;
    let info = live::read(&device)?;
    send(&device, live::cell(&info, name)?, Command::Stop)?;
    Ok(done(name, "stopped"))
}

/// Stops a cell if it runs, and starts it.
///
/// # Errors
/// It has no image.
pub fn restart(context: &Context, name: &str) -> Result<Report, Error> {
    let device = Device::open()?;
    let info = live::read(&device)?;
    let cell = live::cell(&info, name)?;
    if cell.info.state == state::RUNNING {
        match send(&device, cell, Command::Stop) {
            // It stopped by itself in between.
            Err(_) if live::cell(&*live::read(&device)?, name)?.info.state != state::RUNNING => {}
            other => other?,
        }
    }
    start(context, name)
}

/// Destroys a cell and gives its devices back to Linux's drivers; also ends what a command that died left behind.
///
/// # Errors
/// There is no such cell.
pub fn destroy(context: &Context, name: &str) -> Result<Report, Error> {
    let report = remove(context, name)?;
    context.store.forget_run(name)?;
    Ok(report)
}

/// Same, but a `run` of the cell that died stays known.
pub(super) fn remove(context: &Context, name: &str) -> Result<Report, Error> {
    let device = Device::open()?;
    let record = context.store.get(name);
    let is_gone = match live::read(&device).and_then(|info| {
        let cell = live::cell(&info, name)?;
        send(&device, cell, Command::Destroy)?;
        if let Err(error) = context.store.put_former(cell.id as u64, name) {
            context.note(&format!("the log will not name the cell any more: {error}"));
        }
        Ok(())
    }) {
        Ok(()) => false,
        // Only its record is left: the command before this one died.
        Err(Error::Refused(_) | Error::NotEnabled)
            if record.is_some() && !exists(&device, name)? =>
        {
            true
        }
        Err(error) => return Err(error),
    };
    if let Some(record) = record {
        give_back(context, &record)?;
    }
    let state = if is_gone {
        "gone; its devices are Linux's again"
    } else {
        "destroyed"
    };
    Ok(done(name, state))
}

pub(super) fn exists(device: &Device, name: &str) -> Result<bool, Error> {
    match live::read(device) {
        Ok(info) => Ok(live::cell(&info, name).is_ok()),
        Err(Error::NotEnabled) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Gives devices back to the drivers they were taken from, all that can be, and forgets them.
///
/// # Errors
/// A driver does not take its device back; the rest is done.
pub(super) fn give_back(context: &Context, record: &Record) -> Result<(), Error> {
    let failures: Vec<String> = record
        .unbound
        .iter()
        .filter_map(|binding| binding.restore().err())
        .map(|e| e.to_string())
        .collect();
    context.store.remove(&record.name)?;
    match failures.is_empty() {
        true => Ok(()),
        false => Err(Error::System(failures.join("; "))),
    }
}

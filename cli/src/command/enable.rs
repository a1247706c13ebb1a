//! `enable`, `disable`, `status`.

use bulkhead_abi::PAGE_SIZE;
use bulkhead_abi::code;
use bulkhead_abi::info::{Info, state};
use bulkhead_abi::ioctl::{Enable, Status};
use bulkhead_model::blob::{MAX_SIZE, SystemConfig};
use serde_json::json;

use super::{Context, refusal};
use crate::args;
use crate::board::Board;
use crate::device::Device;
use crate::error::Error;
use crate::linux::Linux;
use crate::live;
use crate::progress::watch;
use crate::report::{Bytes, Report, counted};

/// Memory for cells that is taken from Linux unless said otherwise, bytes.
pub(super) const DEFAULT_POOL: u64 = 64 << 20;

/// The most physical address bits that any CPU has.
const PA_BITS: u32 = 52;

/// Memory for the hypervisor unless said otherwise, bytes: image, tables and some cells, and each CPU's stack and log ring.
pub(super) const fn hv_size(cpu_count: usize) -> u64 {
    (320 + 48 * cpu_count as u64).next_multiple_of(64) << 10
}

/// Enables Bulkhead.
///
/// # Errors
/// It was refused, or the board's tree lacks something; nothing has changed.
pub fn enable(context: &Context, args: &args::Enable) -> Result<Report, Error> {
    let device = Device::open()?;
    let board = Board::read(None)?;
    let system = context.system(&board)?;
    let mut blob = [0; MAX_SIZE];
    let size = system
        .encode(&mut blob)
        .map_err(|refused| refusal("system blob", refused))?;
    let (inject, inject_mpidr) = args.inject.unwrap_or_default();
    let request = Enable {
        inject,
        inject_mpidr,
        ..request(&device.status()?, args.memory, system.cpus.len())?
    };
    send(&device, &blob[..size], request)?;
    context.store.forget_former()?;
    if let Some(note) = kvm_note(&context.linux) {
        context.note(note);
    }
    report(&device, &system)
}

/// Makes the request from the sizes asked for.
///
/// # Errors
/// A size is not made of pages.
pub(super) fn request(
    status: &Status,
    memory: args::Memory,
    cpu_count: usize,
) -> Result<Enable, Error> {
    let default = if status.reserved_size == 0 {
        DEFAULT_POOL
    } else {
        0
    };
    let hv_size = memory.hv.unwrap_or(hv_size(cpu_count));
    let pool_size = memory.pool.unwrap_or(default);
    for (option, value) in [("--hv-memory", hv_size), ("--memory", pool_size)] {
        if value % PAGE_SIZE != 0 {
            return Err(Error::Refused(format!(
                "{option} {value:#x}: not a multiple of {PAGE_SIZE} bytes"
            )));
        }
    }
    let most = 1u64 << PA_BITS;
    for (option, value) in [("--hv-memory", hv_size), ("--memory", pool_size)] {
        if value > most {
            return Err(Error::Refused(format!(
                "{option} {value:#x}: more contiguous memory than any machine has"
            )));
        }
    }
    Ok(Enable {
        hv_size,
        pool_size,
        ..Enable::default()
    })
}

pub(super) fn send(device: &Device, blob: &[u8], request: Enable) -> Result<(), Error> {
    watch("enabling Bulkhead on all CPUs", || {
        device.enable(blob, request)
    })?
    .map_err(|refused| {
        let text = refusal("cannot enable", refused);
        match refused.code() {
            code::HV_MEMORY_TOO_SMALL => Error::Refused(format!("{text}: raise --hv-memory")),
            _ => text,
        }
    })
}

fn report(device: &Device, system: &SystemConfig) -> Result<Report, Error> {
    let info = live::read(device)?;
    let online = system.cpus.iter().filter(|cpu| cpu.online).count();
    let text = format!(
        "Bulkhead is enabled on {}: hypervisor {} at {:#x}, memory for cells {} at {:#x}",
        counted(online, "CPU"),
        Bytes(info.hv_size),
        info.hv_base,
        Bytes(info.pool_size),
        info.pool_base
    );
    Ok(Report::new(
        text,
        json!({ "enabled": true, "cpus": online, "memory": memory(&info) }),
    ))
}

/// Explains what a KVM that holds EL2 will say and cannot do from now on.
fn kvm_note(linux: &Linux) -> Option<&'static str> {
    let is_off = linux
        .parameter("kvm-arm.mode")
        .iter()
        .any(|mode| mode == "none");
    (linux.has("/dev/kvm") && !is_off).then_some(
        "note: KVM was using EL2 and has lost it. Its warnings in the kernel's log (kvm, hyp) are harmless as long as no \
         virtual machine is run; running one fails. Boot with kvm-arm.mode=none to have neither.",
    )
}

/// Disables Bulkhead and gives devices back that a command left behind when it died.
///
/// # Errors
/// It was refused: cells still exist, or it is not enabled.
pub fn disable(context: &Context) -> Result<Report, Error> {
    off(context).map_err(|error| match error {
        Error::NotEnabled => Error::NothingToDisable,
        other => other,
    })?;
    for name in context.store.runs() {
        context.store.forget_run(&name)?;
    }
    Ok(Report::new(
        "Bulkhead is disabled",
        json!({ "enabled": false }),
    ))
}

/// Same, but a `run` that died stays known.
pub(super) fn off(context: &Context) -> Result<(), Error> {
    let device = Device::open()?;
    watch("disabling Bulkhead on all CPUs", || device.disable())?.map_err(|refused| {
        let names = live::read(&device)
            .map(|info| cell_names(&info))
            .unwrap_or_default();
        match refused.code() {
            code::CELLS_EXIST => Error::Refused(format!("cannot disable: {refused}: {names}")),
            _ => refusal("cannot disable", refused),
        }
    })?;
    for record in context.store.all() {
        super::cell::give_back(context, &record)?;
    }
    context.store.forget_former()
}

fn cell_names(info: &Info) -> String {
    let names: Vec<String> = live::cells(info)
        .skip(1)
        .map(|cell| match cell.info.state {
            state::FENCED => format!(
                "{} (fenced: it cannot be destroyed, and Bulkhead stays until a reboot)",
                live::text(&cell.info.name)
            ),
            _ => live::text(&cell.info.name),
        })
        .collect();
    names.join(", ")
}

fn memory(info: &Info) -> serde_json::Value {
    json!({
        "hv_base": info.hv_base, "hv_size": info.hv_size, "hv_pages_free": info.hv_pages_free,
        "pool_base": info.pool_base, "pool_size": info.pool_size, "pool_free": info.pool_free,
    })
}

/// Shows whether Bulkhead is enabled, and its memory.
///
/// # Errors
/// The module is not loaded.
pub fn status() -> Result<Report, Error> {
    let device = Device::open()?;
    let status = device.status()?;
    if status.enabled == 0 {
        let reserved = match status.reserved_size {
            0 => "no memory is reserved for it; `enable` takes some from Linux".to_owned(),
            size => format!(
                "{} are reserved for it at {:#x}",
                Bytes(size),
                status.reserved_base
            ),
        };
        let json = json!({
            "enabled": false, "reserved_base": status.reserved_base, "reserved_size": status.reserved_size,
        });
        return Ok(Report::new(format!("not enabled; {reserved}"), json));
    }
    let info = live::read(&device)?;
    let cells = live::cells(&info).count() - 1;
    let mut text = format!(
        "enabled: {}, {}\nhypervisor: {} at {:#x}, {} free\nmemory for cells: {} at {:#x}, {} free",
        counted(info.cpu_count as usize, "CPU"),
        counted(cells, "cell"),
        Bytes(info.hv_size),
        info.hv_base,
        Bytes(info.hv_pages_free * PAGE_SIZE),
        Bytes(info.pool_size),
        info.pool_base,
        Bytes(info.pool_free)
    );
    text = format!("{text}\ninterrupt controller: {}", security_states(&info));
    if let Some(panic) = panic_text(&info) {
        text = format!("{text}\n{panic}");
    }
    let json = json!({
        "enabled": true, "cpus": info.cpu_count, "cells": cells, "memory": memory(&info),
        "security_states": info.security_states,
        "build_id": format!("{:#018x}", info.build_id), "panic": panic_text(&info),
    });
    Ok(Report {
        has_problem: info.panic.count != 0,
        ..Report::new(text, json)
    })
}

/// Says what the interrupt controller's security states mean for cells.
pub fn security_states(info: &Info) -> &'static str {
    match info.security_states {
        1 => "one security state",
        _ => {
            "two security states: a hostile cell can make its CPU deaf; it is then fenced, until a reboot"
        }
    }
}

fn panic_text(info: &Info) -> Option<String> {
    let panic = &info.panic;
    let place = match panic.line {
        0 => "exception at EL2".to_owned(),
        line => format!("{}:{line}", live::text(&panic.file)),
    };
    (panic.count != 0).then(|| {
        format!(
            "the hypervisor hit a bug of its own on CPU {}: {place}; esr {:#x} elr {:#x} far {:#x}. Reboot, and report it.",
            panic.cpu, panic.esr, panic.elr, panic.far
        )
    })
}

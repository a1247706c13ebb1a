//! `config check`: what cells' files come to on a board, without touching anything.

use std::fs;
use std::path::{Path, PathBuf};

use bulkhead_model::addr::{Hpa, PAGE_SIZE, Region};
use bulkhead_model::blob::{Heartbeat, Placement, SystemConfig};
use bulkhead_model::id::{CellId, Mpidr};
use bulkhead_model::ledger::Ledger;
use bulkhead_model::refused::Refused;
use serde_json::json;

use super::enable::hv_size;
use super::show::delivery_name;
use super::{Context, names_cell};
use crate::board::Board;
use crate::cell_file::{CellFile, GuestTree, OnReset};
use crate::error::{ConfigError, Error};
use crate::guest_tree;
use crate::report::{Bytes, Report};
use crate::reservation::reservation;
use crate::resolve::{Resolved, blame, resolve};
use crate::tree::compile;

/// Checks cells' files against a board that has no other cells, one after the other as if all were created.
///
/// # Errors
/// A file is wrong, or the board is, or two cells want the same.
pub fn check(
    context: &Context,
    paths: &[PathBuf],
    board: Option<&Path>,
    guest_tree_to: Option<&Path>,
) -> Result<Report, Error> {
    let read = |path: &PathBuf| {
        let tree = compile::read(path)?;
        Ok::<_, Error>(CellFile::read(&tree, &path.display().to_string())?)
    };
    let cells = paths.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let is_live = board.is_none();
    let board = Board::read(board)?;
    let mut reports = Vec::new();
    for (cell, resolved) in &together(context, &cells, &board, is_live)? {
        let tree = guest_tree::build(cell, resolved, &board)?;
        if let Some(to) = guest_tree_to {
            guest_tree::is_wanted(cell)?;
            fs::write(to, &tree).map_err(|error| Error::file("write", to, &error))?;
        }
        reports.push(report(cell, resolved, &board, tree.len()));
    }
    Ok(join(reports))
}

/// Gives cells all that they ask for, on a board that has no others.
///
/// # Errors
/// One is wrong, or the board is, or two want the same.
pub(super) fn together<'a>(
    context: &Context,
    cells: &'a [CellFile],
    board: &'a Board,
    is_live: bool,
) -> Result<Vec<(&'a CellFile, Resolved<'a>)>, Error> {
    let mut spare = spare(board)?;
    let mut all = Vec::new();
    for cell in cells {
        let resolved = resolve(cell, board, &spare)?;
        spare.retain(|cpu| !resolved.config.cpus.contains(cpu));
        all.push((cell, resolved));
    }
    let system = if is_live {
        context.system(board)?
    } else {
        board.system(&board.ram()?, |_| true)?
    };
    if let Some(mut ledger) = empty_ledger(board, &system)? {
        for (cell, resolved) in &all {
            claim(&mut ledger, cell, resolved)?;
        }
    }
    Ok(all)
}

/// All CPUs but the first, the last first.
pub(super) fn spare(board: &Board) -> Result<Vec<Mpidr>, ConfigError> {
    let cpus: Vec<Mpidr> = board.cpus()?.iter().map(|cpu| cpu.mpidr).collect();
    Ok(cpus.into_iter().skip(1).rev().collect())
}

/// Returns the ledger of a machine on which nothing was given away; `None` where there is no RAM to keep it in.
///
/// A reservation says where the hypervisor and the pool lie. Without one it is not known: explicit places are checked to
/// be RAM, the rest as if the pool were as large as wanted.
///
/// # Errors
/// The board's tree contradicts itself.
pub fn empty_ledger(board: &Board, system: &SystemConfig) -> Result<Option<Ledger>, ConfigError> {
    let wrong = |refused: Refused| {
        board
            .place(board.tree.root())
            .wrong("", refused.to_string())
    };
    let hv_size = hv_size(system.cpus.len());
    if let Some(reserved) = reservation(board)? {
        let (hv, pool) = reserved.split(hv_size, board)?;
        return Ledger::new(system, hv, pool, 52).map(Some).map_err(wrong);
    }
    let Some(ram) = system.ram.iter().max_by_key(|ram| ram.size()) else {
        return Ok(None);
    };
    let Some(hv) = ram.base().0.checked_next_multiple_of(PAGE_SIZE << 7) else {
        return Ok(None);
    };
    let hv_region = Region::pages(Hpa(hv), hv_size).map_err(wrong)?;
    let pool = hv_region.end().0;
    let size = ram.end().0.saturating_sub(pool) / PAGE_SIZE * PAGE_SIZE;
    let pool = Region::pages(Hpa(pool), size).ok();
    Ledger::new(system, hv_region, pool, 52)
        .map(Some)
        .map_err(wrong)
}

/// Gives a cell what it asks for.
fn claim(ledger: &mut Ledger, cell: &CellFile, resolved: &Resolved<'_>) -> Result<(), Error> {
    match ledger.prepare_create(&resolved.config, |_| true) {
        Ok(claim) => {
            ledger.commit_create(&claim);
            Ok(())
        }
        Err(refused) => {
            let mut error = blame(refused, cell, resolved);
            let other = usize::try_from(refused.b).ok().and_then(CellId::new);
            if let (true, Some(other)) = (names_cell(refused), other.and_then(|id| ledger.cell(id)))
            {
                error.reason = format!("{} (cell {} is '{}')", error.reason, refused.b, other.name);
            }
            Err(error.into())
        }
    }
}

/// Makes one report of several; of one, that one.
fn join(mut reports: Vec<Report>) -> Report {
    match reports.len() {
        1 => reports.remove(0),
        _ => {
            let texts: Vec<_> = reports.iter().map(|report| report.text.as_str()).collect();
            let text = texts.join("\n\n");
            let all: Vec<_> = reports.iter().map(|report| report.json.clone()).collect();
            Report::new(text, json!({ "cells": all }))
        }
    }
}

/// The word of a cell's file.
fn on_stall(heartbeat: Heartbeat) -> &'static str {
    match heartbeat.restarts {
        0 => "report",
        _ => "restart",
    }
}

fn report(cell: &CellFile, resolved: &Resolved<'_>, board: &Board, tree_size: usize) -> Report {
    let config = &resolved.config;
    let mut lines = vec![
        format!("{}: good for {}", cell.place.file, board.file),
        format!("name: {}", cell.name),
    ];
    for (number, mpidr) in config.cpus.iter().enumerate() {
        lines.push(format!(
            "CPU {number}: affinity {:#x} of the board",
            mpidr.get()
        ));
    }
    for memory in config.ram() {
        let from = match memory.placement {
            Placement::Pool => "from the pool".to_owned(),
            Placement::At(hpa) => format!("physically at {:#x}", hpa.0),
        };
        lines.push(format!(
            "memory: {} at {:#x}, {from}",
            Bytes(memory.size),
            memory.gpa.0
        ));
    }
    if let Some(comm) = config.comm() {
        lines.push(format!(
            "heartbeat: each {} ms, on a stall: {}; comm page at {:#x}",
            config.heartbeat.period_ms,
            on_stall(config.heartbeat),
            comm.0
        ));
    }
    let reserved = reservation(board).ok().flatten();
    if let Some(reserved) = &reserved {
        lines.push(format!(
            "reserved for Bulkhead: {} at {:#x} ({})",
            Bytes(reserved.region.size()),
            reserved.region.base().0,
            reserved.node.path()
        ));
    }
    for device in &resolved.devices {
        let registers: Vec<_> = device
            .registers
            .iter()
            .map(|w| format!("{:#x}+{:#x}", w.base, w.size))
            .collect();
        let interrupts: Vec<_> = device
            .interrupts
            .iter()
            .filter_map(|i| i.spi())
            .map(|spi| spi.to_string())
            .collect();
        lines.push(format!(
            "device {}: registers [{}], interrupts [{}]",
            device.node.path(),
            registers.join(", "),
            interrupts.join(", ")
        ));
    }
    if let Some(gpa) = config.console {
        let name = cell.name;
        lines.push(format!(
            "console: ring at {:#x}; bulkhead console {name}",
            gpa.0
        ));
    }
    let delivery = delivery_name(config.delivery);
    lines.push(format!("delivery of interrupts: {delivery}"));
    if resolved.console.is_some() && resolved.console == board.stdout() {
        lines.push("note: the console is the one that the board's tree gives to Linux (/chosen stdout-path)".to_owned());
    }
    lines.push(match cell.guest_tree {
        GuestTree::Generated(_) => format!("the cell's own device tree: {tree_size} bytes"),
        GuestTree::None => "the cell's own device tree: none".to_owned(),
    });
    lines.extend(
        cell.on_reset
            .map(|on_reset| format!("on a reset: {}", on_reset.name())),
    );
    let warnings = resolved.warnings.iter();
    lines.extend(warnings.map(|warning| format!("warning: {warning}")));
    let json = json!({
        "file": cell.place.file, "board": board.file, "name": cell.name.as_str(),
        "cpus": config.cpus.iter().map(|mpidr| mpidr.get()).collect::<Vec<_>>(),
        "heartbeat": config.comm().map(|comm| json!({ "period_ms": config.heartbeat.period_ms, "on_stall": on_stall(config.heartbeat), "comm": comm.0 })),
        "console": config.console.map(|gpa| gpa.0),
        "memory": cell.memory.iter().map(|m| json!({ "gpa": m.gpa, "size": m.size, "hpa": m.hpa })).collect::<Vec<_>>(),
        "devices": config.devices.iter().map(|d| json!({ "gpa": d.gpa.0, "hpa": d.hpa.0, "size": d.size, "costs_exits": d.is_part() })).collect::<Vec<_>>(),
        "reserved": reserved.map(|r| json!({ "node": r.node.path(), "base": r.region.base().0, "size": r.region.size() })),
        "warnings": resolved.warnings, "tree": tree_size, "on_reset": cell.on_reset.map(OnReset::name),
        "spis": config.spis.iter().map(|spi| spi.intid()).collect::<Vec<_>>(), "delivery": delivery,
    });
    Report::new(lines.join("\n"), json)
}

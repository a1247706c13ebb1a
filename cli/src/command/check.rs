//! `config check`: what a cell's file comes to on a board, without touching anything.

use std::fs;
use std::path::Path;

use bulkhead_model::addr::{Hpa, PAGE_SIZE, Region};
use bulkhead_model::blob::{Placement, SystemConfig};
use bulkhead_model::id::Mpidr;
use bulkhead_model::ledger::Ledger;
use bulkhead_model::refused::Refused;
use serde_json::json;

use super::{Context, refusal};
use crate::board::Board;
use crate::cell_file::CellFile;
use crate::error::{ConfigError, Error};
use crate::guest_tree;
use crate::report::{Bytes, Report};
use crate::resolve::{Resolved, blame, resolve};
use crate::tree::compile;

/// Memory that `enable` takes for the hypervisor, bytes.
const HV_SIZE: u64 = 512 << 10;

/// Checks a cell's file against a board that has no other cells.
///
/// # Errors
/// The file is wrong, or the board is.
pub fn check(
    context: &Context,
    path: &Path,
    board: Option<&Path>,
    guest_tree_to: Option<&Path>,
) -> Result<Report, Error> {
    let cell = CellFile::read(&compile::read(path)?, &path.display().to_string())?;
    let system_of = |read: &Board| match board {
        Some(_) => Ok(read.system(&read.ram()?, |_| true)?),
        None => context.system(read),
    };
    let board = Board::read(board)?;
    let resolved = resolve(&cell, &board, &spare(&board)?)?;
    check_ledger(&system_of(&board)?, &cell, &resolved)?;
    let tree = guest_tree::build(&cell, &resolved, &board)?;
    if let Some(to) = guest_tree_to {
        fs::write(to, &tree).map_err(|error| Error::file("write", to, &error))?;
    }
    Ok(report(&cell, &resolved, &board, tree.len()))
}

/// All CPUs but the first, the last first.
pub(super) fn spare(board: &Board) -> Result<Vec<Mpidr>, ConfigError> {
    let cpus: Vec<Mpidr> = board.cpus()?.iter().map(|cpu| cpu.mpidr).collect();
    Ok(cpus.into_iter().skip(1).rev().collect())
}

/// Asks the ledger of a machine on which nothing else was given away.
///
/// Where the hypervisor and the pool will lie is not known: explicit places are checked to be RAM, the rest as if
/// the pool were as large as wanted.
fn check_ledger(
    system: &SystemConfig,
    cell: &CellFile,
    resolved: &Resolved<'_>,
) -> Result<(), Error> {
    let blame = |refused: Refused| Error::Config(blame(refused, cell, resolved));
    let Some(ram) = system.ram.iter().max_by_key(|ram| ram.size()) else {
        return Ok(());
    };
    let align = |address: u64| address.next_multiple_of(HV_SIZE);
    let hv = align(ram.base().0);
    let pool = ram
        .end()
        .0
        .checked_sub(hv + HV_SIZE)
        .map(|size| size / PAGE_SIZE * PAGE_SIZE)
        .unwrap_or_default();
    let hv_region = Region::pages(Hpa(hv), HV_SIZE).map_err(|refused| refusal("board", refused))?;
    let pool = Region::pages(Hpa(hv + HV_SIZE), pool).ok();
    let ledger = Ledger::new(system, hv_region, pool, 52)
        .map_err(|refused| refusal("the board's tree", refused))?;
    ledger
        .prepare_create(&resolved.config, |_| true)
        .map(drop)
        .map_err(blame)
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
    for memory in &config.memory {
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
    if resolved.console.is_some() && resolved.console == board.stdout() {
        lines.push("note: the console is the one that the board's tree gives to Linux (/chosen stdout-path)".to_owned());
    }
    lines.push(format!("the cell's own device tree: {tree_size} bytes"));
    let json = json!({
        "file": cell.place.file, "board": board.file, "name": cell.name.as_str(),
        "cpus": config.cpus.iter().map(|mpidr| mpidr.get()).collect::<Vec<_>>(),
        "memory": cell.memory.iter().map(|m| json!({ "gpa": m.gpa, "size": m.size, "hpa": m.hpa })).collect::<Vec<_>>(),
        "devices": config.devices.iter().map(|d| json!({ "gpa": d.gpa.0, "hpa": d.hpa.0, "size": d.size })).collect::<Vec<_>>(),
        "spis": config.spis.iter().map(|spi| spi.intid()).collect::<Vec<_>>(),
    });
    Report::new(lines.join("\n"), json)
}

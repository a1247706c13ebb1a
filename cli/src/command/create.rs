//! `cell create`: from the file to a cell, and Linux's drivers out of the way.

use std::fs;
use std::path::{Path, PathBuf};

use bulkhead_abi::code;
use bulkhead_abi::info::{Info, state};
use bulkhead_model::blob::MAX_SIZE;
use bulkhead_model::id::Mpidr;
use bulkhead_model::ledger::{Holding, Window};
use bulkhead_model::refused::Refused;
use serde_json::json;

use super::check::spare as all_but_first;
use super::{Context, refusal, with_cell_name};
use crate::board::{Board, BoardCpu};
use crate::cell_file::{CellFile, GuestTree};
use crate::device::Device;
use crate::drivers::{Binding, bindings};
use crate::error::Error;
use crate::guest_tree;
use crate::journal::{Done, Journal, Of};
use crate::linux::LinuxCpu;
use crate::live;
use crate::progress::watch;
use crate::report::{Bytes, Report, counted};
use crate::resolve::{Resolved, blame, resolve};
use crate::store::{DeviceRecord, Record};
use crate::tree::compile;

/// What one entry of a cell's stage 2 can map, bytes.
pub(super) const BLOCK_SIZE: u64 = 2 << 20;

/// Creates a cell.
///
/// # Errors
/// The file is wrong or asks for what it cannot have; nothing has changed.
pub fn create(context: &Context, path: &Path) -> Result<Report, Error> {
    let device = Device::open()?;
    let cell = CellFile::read(&compile::read(path)?, &path.display().to_string())?;
    remove_half_made(context, &device, cell.name.as_str())?;
    let info = live::read(&device)?;
    if let Ok(older) = live::cell(&info, cell.name.as_str()) {
        // Before all that follows from it.
        let taken = Refused::new(code::NAME_TAKEN, older.id as u64, 0);
        let error = cell.place.wrong("model", taken.to_string());
        return Err(Error::Refused(error.to_string()));
    }
    let board = Board::read(None)?;
    let cpus = context.linux.cpus();
    let resolved = resolve(&cell, &board, &spare(&cpus, &board, &info)?).map_err(|error| {
        // It is right where there are no other cells.
        match all_but_first(&board).is_ok_and(|all| resolve(&cell, &board, &all).is_ok()) {
            true => Error::Refused(error.to_string()),
            false => Error::Config(error),
        }
    })?;
    check_spin_table(&cell, &board, &cpus, &resolved)?;
    let blame = |refused: Refused| {
        let mut error = blame(refused, &cell, &resolved);
        error.reason = with_cell_name(refused, &info, error.reason);
        if depends_on_others(refused) {
            Error::Refused(error.to_string())
        } else {
            Error::Config(error)
        }
    };
    let ledger = live::ledger(&info, &context.system(&board)?, &context.store);
    let ledger = ledger
        .map_err(|refused| refusal("the running hypervisor does not match this board", refused))?;
    let claim = ledger
        .prepare_create(&resolved.config, |_| true)
        .map_err(blame)?;
    let blame = |refused: Refused| match without_blocks(claim.holding()) {
        Some(size) if refused.code() == code::HV_PAGES_EXHAUSTED => {
            pool_too_small(size, &cell, &info)
        }
        _ => blame(refused),
    };
    let mut blob = [0; MAX_SIZE];
    let size = resolved.config.encode(&mut blob).map_err(blame)?;
    let mut record = record(path, &cell, &resolved, &board)?;
    record.blob = blob[..size].to_vec();
    record.unbound = drivers(context, &cell, &resolved)?;
    keep_older(context, &mut record);
    let mask = linux_mask(&cpus, &board, &resolved.config.cpus)?;
    let mut journal = Journal::open(&context.store, &record.name, Of::Create)?;
    journal.note(Done {
        cell: true,
        ..Done::default()
    })?;
    context.store.put(&record)?;

    let made = record
        .unbound
        .iter()
        .try_for_each(Binding::release)
        .and_then(|()| {
            let name = &record.name;
            let answer = watch(&format!("creating {name}: clearing its memory"), || {
                device.create(&record.blob, mask)
            })?;
            answer.map_err(blame)
        });
    if made.is_err() {
        super::cell::give_back(context, &record)?;
    }
    journal.end()?;
    made.map(|id| report(id, &resolved, &record))
}

/// A `cell create` that was killed has left the cell behind, whole or not: nobody has used it, so it is made anew.
fn remove_half_made(context: &Context, device: &Device, name: &str) -> Result<(), Error> {
    let Some(mut journal) = Journal::left(&context.store, name, Of::Create)? else {
        return Ok(());
    };
    let info = live::read(device)?;
    let is_unused =
        |cell: live::Cell<'_>| [state::CREATING, state::CREATED].contains(&cell.info.state);
    if journal.done().cell && live::cell(&info, name).is_ok_and(is_unused) {
        super::cell::remove(context, name)?;
    }
    journal.end().map(drop)
}

/// Bytes of memory that is large enough for blocks, but lies where only single pages map it.
fn without_blocks(holding: &Holding) -> Option<u64> {
    let is_scattered = |window: &&Window| {
        window.hpa.size() >= BLOCK_SIZE
            && window.gpa.base().0 % BLOCK_SIZE != window.hpa.base().0 % BLOCK_SIZE
    };
    let sizes = holding.ram().iter().filter(is_scattered);
    let size = sizes.map(|window| window.hpa.size()).sum();
    (size > 0).then_some(size)
}

/// Mapping single pages takes more of the hypervisor's memory than it has, while a pool that is a little larger takes none of it.
fn pool_too_small(size: u64, cell: &CellFile, info: &Info) -> Error {
    let pool = info.pool_size.next_multiple_of(BLOCK_SIZE) + BLOCK_SIZE;
    let reason = format!(
        "{} of it fit the memory for cells only where no block of 2 MiB maps them, and the hypervisor has no memory for so many single pages: disable, then enable with --memory {}M, or more",
        Bytes(size),
        pool >> 20
    );
    Error::Refused(cell.place.wrong("memory", reason).to_string())
}

/// Tells whether the file may be right and only what else there is stands against it.
fn depends_on_others(refused: Refused) -> bool {
    let codes = [
        code::NAME_TAKEN,
        code::CPU_OF_CELL,
        code::CPU_OF_LINUX,
        code::LAST_CPU,
        code::SPI_OF_CELL,
        code::DEVICE_OF_CELL,
        code::MEMORY_OF_CELL,
        code::MEMORY_OF_LINUX,
        code::MEMORY_OF_HYPERVISOR,
        code::POOL_FULL,
        code::NO_CELL_SLOT,
        code::HV_PAGES_EXHAUSTED,
        code::CPU_OFFLINE_FAILED,
        code::INTERRUPTED,
        code::NOT_ENABLED,
        code::PANICKED,
    ];
    codes.contains(&refused.code())
}

/// CPUs that `cpus = <n>` may take: those that Linux has never had, then online ones, the highest number first; never CPU 0,
/// nor another cell's, nor one that Linux cannot give up.
fn spare(cpus: &[LinuxCpu], board: &Board, info: &Info) -> Result<Vec<Mpidr>, Error> {
    let all = board.cpus()?;
    let is_roots = |mpidr: &Mpidr| live::cpus_of(info, 0).any(|roots| roots == *mpidr);
    let (stuck, free): (Vec<&BoardCpu<'_>>, Vec<_>) =
        all.iter().partition(|cpu| board.release(cpu).is_some());
    let is_linux = |mpidr: Mpidr| cpus.iter().find(|cpu| cpu.mpidr == mpidr);
    let never = stuck
        .iter()
        .rev()
        .filter(|cpu| is_linux(cpu.mpidr).is_none());
    let mut linux: Vec<&LinuxCpu> = free
        .iter()
        .filter_map(|cpu| is_linux(cpu.mpidr))
        .filter(|cpu| cpu.number != 0)
        .collect();
    linux.sort_by_key(|cpu| (!cpu.is_online, std::cmp::Reverse(cpu.number)));
    let spare = never
        .map(|cpu| cpu.mpidr)
        .chain(linux.iter().map(|cpu| cpu.mpidr));
    Ok(spare.filter(is_roots).collect())
}

/// Refuses a CPU that Linux has and cannot give up: without PSCI there is no way back to where it waited.
fn check_spin_table(
    cell: &CellFile,
    board: &Board,
    cpus: &[LinuxCpu],
    resolved: &Resolved<'_>,
) -> Result<(), Error> {
    for cpu in board.cpus()? {
        let linux = cpus.iter().find(|linux| linux.mpidr == cpu.mpidr);
        let (true, Some(linux), Some(_)) = (
            resolved.config.cpus.contains(&cpu.mpidr),
            linux,
            board.release(&cpu),
        ) else {
            continue;
        };
        let reason = format!(
            "{} is Linux's, which cannot give it up (enable-method \"spin-table\"): boot Linux with nr_cpus={}",
            cpu.node.path(),
            linux.number.max(1)
        );
        return Err(Error::Refused(cell.place.wrong("cpus", reason).to_string()));
    }
    Ok(())
}

fn record(
    path: &Path,
    cell: &CellFile,
    resolved: &Resolved<'_>,
    board: &Board,
) -> Result<Record, Error> {
    let windows = resolved.devices.iter().flat_map(|device| {
        device.registers.iter().map(|w| DeviceRecord {
            node: device.node.path(),
            base: w.base,
            size: w.size,
        })
    });
    Ok(Record {
        name: cell.name.to_string(),
        file: fs::canonicalize(path).unwrap_or(path.to_owned()),
        blob: Vec::new(),
        guest_tree: guest_tree::build(cell, resolved, board)?,
        guest_tree_at: match cell.guest_tree {
            GuestTree::Generated(at) => at,
            GuestTree::None => None,
        },
        devices: windows.collect(),
        unbound: Vec::new(),
        image: None,
        initrd: initrd(cell, path),
        on_reset: cell.on_reset,
    })
}

/// Where the initial RAM disk is that a cell's file names: beside that file, unless it says where from the top.
pub(super) fn initrd(cell: &CellFile, file: &Path) -> Option<PathBuf> {
    let file = fs::canonicalize(file).unwrap_or(file.to_owned());
    let named = cell.initrd.as_deref()?;
    Some(file.parent().unwrap_or(Path::new("/")).join(named))
}

/// Finds the drivers that have to let go of the cell's devices.
fn drivers(
    context: &Context,
    cell: &CellFile,
    resolved: &Resolved<'_>,
) -> Result<Vec<Binding>, Error> {
    let mut found = Vec::new();
    for device in &resolved.devices {
        // The architected timer's driver is Linux's own clock; the cell uses its own CPUs' timers.
        if device.registers.is_empty() {
            continue;
        }
        let paths = device.parts.iter().map(|part| part.path());
        for (path, binding) in paths.flat_map(|path| {
            let found = bindings(&context.linux, &path).into_iter();
            found.map(move |binding| (path.clone(), binding))
        }) {
            if let Some(console) = binding.console(&context.linux) {
                let reason = format!(
                    "{path}: Linux itself prints on it ({console}); choose another, or move Linux's console"
                );
                return Err(cell.place.wrong("devices", reason).into());
            }
            found.push(binding);
        }
    }
    Ok(found)
}

/// Takes over what a command that died has done for a cell of this name: it knew how things were before.
fn keep_older(context: &Context, record: &mut Record) {
    let older = context
        .store
        .get(&record.name)
        .map(|older| older.unbound)
        .unwrap_or_default();
    record
        .unbound
        .retain(|binding| !older.iter().any(|older| older.device == binding.device));
    record.unbound.extend(older);
}

/// Returns Linux's numbers of the CPUs, one bit each; those that it has never had, by their spin table, have none.
fn linux_mask(cpus: &[LinuxCpu], board: &Board, wanted: &[Mpidr]) -> Result<u64, Error> {
    let all = board.cpus()?;
    let waits = |mpidr: Mpidr| {
        let cpu = all.iter().find(|cpu| cpu.mpidr == mpidr);
        cpu.is_some_and(|cpu| board.release(cpu).is_some())
    };
    let number = |mpidr: &Mpidr| {
        if waits(*mpidr) {
            return Ok(0);
        }
        let cpu = cpus.iter().find(|cpu| cpu.mpidr == *mpidr);
        let bit = cpu.and_then(|cpu| 1u64.checked_shl(cpu.number));
        bit.ok_or_else(|| {
            Error::System(format!(
                "Linux does not know the CPU of affinity {:#x}",
                mpidr.get()
            ))
        })
    };
    wanted
        .iter()
        .try_fold(0, |mask, mpidr| Ok(mask | number(mpidr)?))
}

fn report(id: u64, resolved: &Resolved<'_>, record: &Record) -> Report {
    let config = &resolved.config;
    let size: u64 = config.memory.iter().map(|memory| memory.size).sum();
    let mut text = format!(
        "cell '{}' is created: id {id}, {}, {}, {}, {}",
        record.name,
        counted(config.cpus.len(), "CPU"),
        Bytes(size),
        counted(resolved.devices.len(), "device"),
        counted(config.spis.len(), "interrupt")
    );
    for warning in &resolved.warnings {
        text = format!("{text}\nwarning: {warning}");
    }
    for binding in &record.unbound {
        text = format!("{text}\n{}", binding.describe());
    }
    Report::new(
        text,
        json!({
            "cell": record.name, "id": id, "warnings": resolved.warnings,
            "unbound": record.unbound.iter().map(Binding::to_json).collect::<Vec<_>>(),
        }),
    )
}

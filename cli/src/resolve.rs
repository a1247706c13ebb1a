//! A cell's file against the board: paths become CPUs, addresses and interrupts.
//!
//! One rule: everything here is about names and their meaning. Who may have what is the ledger's question; its answer
//! is put into the file's words by [`blame()`].

mod blame;
mod devices;
mod registers;
mod warnings;

use arrayvec::ArrayVec;
use bulkhead_abi::console;
use bulkhead_model::addr::{Gpa, Hpa, PAGE_SIZE};
use bulkhead_model::blob::{CellConfig, MemoryConfig, Placement};
use bulkhead_model::id::{Mpidr, Spi};

use crate::args;
use crate::board::{Board, push};
use crate::cell_file::{CellFile, Console, Cpus};
use crate::error::ConfigError;
use crate::suggest::suggest;
use crate::tree::interrupts::Interrupt;
use crate::tree::reg::{Window, windows};
use crate::tree::{Named, Node};
pub use blame::blame;
pub(crate) use devices::{Beside, is_used, pages};
pub use devices::{Device, is_pci};

/// A cell, ready for the ledger and for its own device tree.
#[derive(Clone, Debug)]
pub struct Resolved<'t> {
    /// What EL2 gets.
    pub config: CellConfig,
    /// Its devices.
    pub devices: Vec<Device<'t>>,
    /// The one that it prints on; none also with a ring.
    pub console: Option<Node<'t>>,
    /// What the user should know of it.
    pub warnings: Vec<String>,
}

/// Resolves a cell; `spare` are the CPUs that `cpus = <n>` may take, the first first.
///
/// # Errors
/// What the file names is not there, or not what it has to be.
pub fn resolve<'t>(
    cell: &CellFile,
    board: &'t Board,
    spare: &[Mpidr],
) -> Result<Resolved<'t>, ConfigError> {
    let devices = devices::devices(cell, board)?;
    let mut config = CellConfig {
        name: cell.name,
        cpus: cpus(cell, board, spare)?,
        memory: ArrayVec::new(),
        devices: ArrayVec::new(),
        spis: ArrayVec::new(),
        delivery: cell.delivery,
        heartbeat: cell.heartbeat,
        console: None,
    };
    for memory in &cell.memory {
        let placement = memory
            .hpa
            .map_or(Placement::Pool, |hpa| Placement::At(Hpa(hpa)));
        push(
            &mut config.memory,
            MemoryConfig {
                gpa: Gpa(memory.gpa),
                placement,
                size: memory.size,
            },
            &cell.place,
            "memory",
        )?;
    }
    let beside = Beside::new(board, &devices);
    let mut warnings = Vec::new();
    let shared = some_of(cell, board, &devices, "share-page", &cell.share_page)?;
    registers::claim(&mut config, cell, &devices, &shared, &beside, &mut warnings)?;
    claim_interrupts(&mut config, cell, &devices, &beside)?;
    let allowed = some_of(cell, board, &devices, "allow-dma", &cell.allow_dma)?;
    warnings.extend(warnings::warnings(cell, &devices, &allowed));
    warnings.extend(warnings::kinds(&board.cpus()?, &config.cpus));
    if cell.heartbeat.is_wanted() {
        let page = MemoryConfig {
            gpa: free_place(cell, &config, board, "heartbeat-ms", PAGE_SIZE)?,
            placement: Placement::Pool,
            size: PAGE_SIZE,
        };
        push(&mut config.memory, page, &cell.place, "heartbeat-ms")?;
    }
    if cell.console == Some(Console::Ring) {
        let gpa = free_place(cell, &config, board, "console", console::SIZE)?;
        config.console = Some(gpa);
    }
    Ok(Resolved {
        config,
        console: console_device(cell, board, &devices)?,
        devices,
        warnings,
    })
}

/// Finds a place of so many bytes where the cell sees nothing else: behind its main memory, or behind what is there.
fn free_place(
    cell: &CellFile,
    config: &CellConfig,
    board: &Board,
    property: &str,
    size: u64,
) -> Result<Gpa, ConfigError> {
    let gic = windows(board.gic()?).unwrap_or_default();
    let memory = config.memory.iter().map(|m| (m.gpa.0, m.size));
    let devices = config.devices.iter().map(|d| (d.gpa.0, d.size));
    let taken: Vec<Window> = memory
        .chain(devices)
        .map(|(base, size)| Window { base, size })
        .chain(gic)
        .collect();
    let behind = |window: &Window| {
        let end = window.base.checked_add(window.size)?;
        end.checked_next_multiple_of(PAGE_SIZE)
    };
    let mut place = taken.first().and_then(behind);
    loop {
        let base = place.ok_or_else(|| {
            cell.place
                .wrong(property, "no guest address is left for what it needs")
        })?;
        match taken.iter().find(|w| w.overlaps(&Window { base, size })) {
            None => return Ok(Gpa(base)),
            Some(other) => place = behind(other),
        }
    }
}

/// Finds what a reference names on the board.
fn find<'t>(
    cell: &CellFile,
    board: &'t Board,
    property: &str,
    reference: &str,
) -> Result<Node<'t>, ConfigError> {
    let wrong = |reason: String| cell.place.wrong(property, reason);
    let tree = &board.tree;
    match tree.named(reference) {
        Named::One(node) => Ok(node),
        Named::Two(alias, label) => Err(wrong(format!(
            "'{reference}' is an alias of {} and the label of {}; give the path",
            alias.path(),
            label.path()
        ))),
        Named::None if reference.starts_with('/') => {
            let paths: Vec<String> = tree.nodes().map(Node::path).collect();
            let hint = suggest(reference, paths.iter().map(String::as_str));
            Err(wrong(format!(
                "the board ({}) has no node '{reference}'{hint}",
                board.file
            )))
        }
        Named::None => {
            let (aliases, labels) = (tree.aliases(), tree.labels());
            let hint = suggest(reference, aliases.iter().chain(&labels).copied());
            let known = match (aliases.is_empty(), hint.is_empty()) {
                (_, false) => hint,
                (true, true) => "; it has no aliases".to_owned(),
                (false, true) => format!("; its aliases: {}", aliases.join(", ")),
            };
            if let Some(target) = tree.find("/aliases").and_then(|node| node.str(reference)) {
                return Err(wrong(format!(
                    "the alias '{reference}' of the board ({}) leads to '{target}', which is not there",
                    board.file
                )));
            }
            let kind = if labels.is_empty() {
                "alias"
            } else {
                "alias or label"
            };
            Err(wrong(format!(
                "the board ({}) has no {kind} '{reference}'{known}",
                board.file
            )))
        }
    }
}

fn cpus<const N: usize>(
    cell: &CellFile,
    board: &Board,
    spare: &[Mpidr],
) -> Result<ArrayVec<Mpidr, N>, ConfigError> {
    let all = board.cpus()?;
    let mut chosen: ArrayVec<Mpidr, N> = ArrayVec::new();
    match &cell.cpus {
        Cpus::Any(count) => {
            if *count > spare.len() {
                let reason = format!(
                    "<{count}> CPUs wanted, {} can be had: the board has {}",
                    spare.len(),
                    all.len()
                );
                return Err(cell.place.wrong(
                    "cpus",
                    format!("{reason}, Linux keeps CPU 0 and cells keep theirs"),
                ));
            }
            chosen.extend(spare.iter().take(*count).copied());
            chosen.sort_by_key(|mpidr| mpidr.get());
        }
        Cpus::Named(names) => {
            for name in names {
                let cpu = match name.strip_prefix("mpidr:") {
                    Some(number) => {
                        let mpidr = args::number(number).map_err(|reason| {
                            cell.place.wrong("cpus", format!("'{name}': {reason}"))
                        })?;
                        all.iter().find(|cpu| cpu.mpidr.get() == mpidr)
                    }
                    None => {
                        let node = find(cell, board, "cpus", name)?;
                        all.iter().find(|cpu| cpu.node == node)
                    }
                };
                let cpu = cpu.ok_or_else(|| {
                    let have: Vec<_> = all
                        .iter()
                        .map(|cpu| format!("{:#x}", cpu.mpidr.get()))
                        .collect();
                    let reason = format!(
                        "'{name}' is not a CPU of the board; its MPIDRs: {}",
                        have.join(", ")
                    );
                    cell.place.wrong("cpus", reason)
                })?;
                if chosen.contains(&cpu.mpidr) {
                    return Err(cell
                        .place
                        .wrong("cpus", format!("'{name}' is listed twice")));
                }
                push(&mut chosen, cpu.mpidr, &cell.place, "cpus")?;
            }
        }
    }
    Ok(chosen)
}

/// Adds the devices' shared peripheral interrupts.
fn claim_interrupts(
    config: &mut CellConfig,
    cell: &CellFile,
    devices: &[Device<'_>],
    beside: &Beside<'_>,
) -> Result<(), ConfigError> {
    for device in devices {
        let path = device.node.path();
        let wrong = |reason: String| cell.place.wrong("devices", format!("{path}: {reason}"));
        for number in device.interrupts.iter().filter_map(Interrupt::spi) {
            let spi = u16::try_from(number)
                .ok()
                .and_then(Spi::new)
                .ok_or_else(|| wrong(format!("it has no interrupt {number}")))?;
            // Several devices of the cell may share a line; the cell owns it once.
            if config.spis.contains(&spi) {
                continue;
            }
            if let Some(other) = beside.raises(number) {
                let other = other.path();
                return Err(wrong(format!(
                    "it shares interrupt {number} with {other}, which stays with Linux; list {other} too"
                )));
            }
            push(&mut config.spis, spi, &cell.place, "devices")?;
        }
    }
    Ok(())
}

/// Finds those of the cell's devices that a property names.
fn some_of<'t>(
    cell: &CellFile,
    board: &'t Board,
    devices: &[Device<'t>],
    property: &str,
    names: &[String],
) -> Result<Vec<Node<'t>>, ConfigError> {
    let one = |name: &String| {
        let node = find(cell, board, property, name)?;
        let mut own = devices.iter().map(|device| device.node);
        own.find(|own| *own == node).ok_or_else(|| {
            cell.place.wrong(
                property,
                format!("'{name}' is not one of the cell's devices; list it in 'devices'"),
            )
        })
    };
    names.iter().map(one).collect()
}

fn console_device<'t>(
    cell: &CellFile,
    board: &'t Board,
    devices: &[Device<'t>],
) -> Result<Option<Node<'t>>, ConfigError> {
    let Some(Console::Device(name)) = &cell.console else {
        return Ok(None);
    };
    let node = find(cell, board, "console", name)?;
    if devices.iter().any(|device| device.node == node) {
        return Ok(Some(node));
    }
    Err(cell.place.wrong(
        "console",
        format!("'{name}' is not one of the cell's devices; list it in 'devices', or say \"ring\""),
    ))
}

//! A cell's file against the board: paths become CPUs, addresses and interrupts.
//!
//! One rule: everything here is about names and their meaning. Who may have what is the ledger's question; its answer
//! is put into the file's words by [`blame`].

use arrayvec::ArrayVec;
use bulkhead_abi::code;
use bulkhead_model::addr::{Gpa, Hpa, PAGE_SIZE};
use bulkhead_model::blob::{CellConfig, DeviceConfig, MemoryConfig, Placement};
use bulkhead_model::id::{Mpidr, Spi};
use bulkhead_model::refused::Refused;

use crate::board::{Board, push};
use crate::cell_file::{CellFile, Cpus};
use crate::error::ConfigError;
use crate::tree::Node;
use crate::tree::interrupts::{Interrupt, interrupts, is_gic};
use crate::tree::reg::{Window, windows};

/// A device of the board that goes to a cell.
#[derive(Clone, Debug)]
pub struct Device<'t> {
    /// Its node.
    pub node: Node<'t>,
    /// Its `reg`, in physical addresses.
    pub registers: Vec<Window>,
    /// Its interrupts.
    pub interrupts: Vec<Interrupt>,
}

/// A cell, ready for the ledger and for its own device tree.
#[derive(Clone, Debug)]
pub struct Resolved<'t> {
    /// What EL2 gets.
    pub config: CellConfig,
    /// Its devices.
    pub devices: Vec<Device<'t>>,
    /// The one that it prints on.
    pub console: Option<Node<'t>>,
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
    let devices = devices(cell, board)?;
    let mut config = CellConfig {
        name: cell.name,
        cpus: cpus(cell, board, spare)?,
        memory: ArrayVec::new(),
        devices: ArrayVec::new(),
        spis: ArrayVec::new(),
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
    for device in &devices {
        claim_registers(&mut config, cell, device, &devices)?;
        for spi in device.interrupts.iter().filter_map(Interrupt::spi) {
            let spi = u16::try_from(spi).ok().and_then(Spi::new).ok_or_else(|| {
                cell.place.wrong(
                    "devices",
                    format!("{}: it has no interrupt {spi}", device.node.path()),
                )
            })?;
            // Several devices may share a line; the cell owns it once.
            if !config.spis.contains(&spi) {
                push(&mut config.spis, spi, &cell.place, "devices")?;
            }
        }
    }
    Ok(Resolved {
        config,
        console: console(cell, board, &devices)?,
        devices,
    })
}

fn find<'t>(
    cell: &CellFile,
    board: &'t Board,
    property: &str,
    reference: &str,
) -> Result<Node<'t>, ConfigError> {
    board.tree.resolve(reference).ok_or_else(|| {
        let kind = if reference.starts_with('/') {
            "node"
        } else {
            "alias"
        };
        let aliases = board.tree.aliases().join(", ");
        let known = if aliases.is_empty() {
            "it has no aliases".to_owned()
        } else {
            format!("its aliases: {aliases}")
        };
        cell.place.wrong(
            property,
            format!(
                "the board ({}) has no {kind} '{reference}'; {known}",
                board.file
            ),
        )
    })
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
                let node = find(cell, board, "cpus", name)?;
                let cpu = all.iter().find(|cpu| cpu.node == node);
                let cpu = cpu.ok_or_else(|| {
                    cell.place
                        .wrong("cpus", format!("'{name}' is not a CPU of the board"))
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

fn devices<'t>(cell: &CellFile, board: &'t Board) -> Result<Vec<Device<'t>>, ConfigError> {
    let mut devices: Vec<Device<'t>> = Vec::new();
    for name in &cell.devices {
        let wrong = |reason: String| cell.place.wrong("devices", format!("'{name}': {reason}"));
        let node = find(cell, board, "devices", name)?;
        if devices.iter().any(|device| device.node == node) {
            return Err(wrong("it is listed twice".to_owned()));
        }
        if node.ancestors().any(is_gic) {
            return Err(wrong(
                "the interrupt controller cannot be given away; every cell has its own view of it"
                    .to_owned(),
            ));
        }
        if node
            .str("device_type")
            .is_some_and(|kind| kind == "cpu" || kind == "memory")
        {
            return Err(wrong(
                "it is not a device; CPUs go in 'cpus', memory in 'memory'".to_owned(),
            ));
        }
        let device = Device {
            node,
            registers: windows(node).map_err(wrong)?,
            interrupts: interrupts(node).map_err(wrong)?,
        };
        if device.registers.is_empty() && device.interrupts.is_empty() {
            return Err(wrong(
                "it has neither registers nor interrupts to give".to_owned(),
            ));
        }
        devices.push(device);
    }
    Ok(devices)
}

/// Adds the pages that hold a device's registers.
fn claim_registers(
    config: &mut CellConfig,
    cell: &CellFile,
    device: &Device<'_>,
    devices: &[Device<'_>],
) -> Result<(), ConfigError> {
    for registers in &device.registers {
        let path = device.node.path();
        let pages = pages(*registers).ok_or_else(|| {
            cell.place.wrong(
                "devices",
                format!(
                    "{path}: its registers at {:#x} make no region",
                    registers.base
                ),
            )
        })?;
        if pages != *registers
            && let Some(other) = neighbour(pages, device, devices)
        {
            let reason = format!(
                "{path}: it shares its page at {:#x} with {other}, which would go along",
                pages.base
            );
            return Err(cell
                .place
                .wrong("devices", format!("{reason}; list {other} too")));
        }
        let window = DeviceConfig {
            gpa: Gpa(pages.base),
            hpa: Hpa(pages.base),
            size: pages.size,
        };
        if !config.devices.contains(&window) {
            push(&mut config.devices, window, &cell.place, "devices")?;
        }
    }
    Ok(())
}

/// Returns the whole pages around a window.
fn pages(window: Window) -> Option<Window> {
    let base = window.base / PAGE_SIZE * PAGE_SIZE;
    let end = window
        .base
        .checked_add(window.size)?
        .checked_next_multiple_of(PAGE_SIZE)?;
    (window.size != 0).then_some(Window {
        base,
        size: end - base,
    })
}

/// Returns the path of a node that has registers in these pages and does not go to the cell.
fn neighbour(pages: Window, device: &Device<'_>, devices: &[Device<'_>]) -> Option<String> {
    let is_given = |node: Node<'_>| {
        node.ancestors()
            .any(|at| devices.iter().any(|given| given.node == at))
    };
    let is_above = |node: Node<'_>| device.node.ancestors().any(|at| at == node);
    let shares = |node: &Node<'_>| {
        windows(*node).is_ok_and(|windows| windows.iter().any(|w| w.overlaps(&pages)))
    };
    let mut nodes = device.node.tree().nodes();
    nodes
        .find(|node| !is_given(*node) && !is_above(*node) && shares(node))
        .map(Node::path)
}

fn console<'t>(
    cell: &CellFile,
    board: &'t Board,
    devices: &[Device<'t>],
) -> Result<Option<Node<'t>>, ConfigError> {
    let Some(name) = &cell.console else {
        return Ok(None);
    };
    let node = find(cell, board, "console", name)?;
    if devices.iter().any(|device| device.node == node) {
        return Ok(Some(node));
    }
    Err(cell.place.wrong(
        "console",
        format!("'{name}' is not one of the cell's devices; list it in 'devices'"),
    ))
}

/// Puts a refusal of the ledger or of EL2 into the words of the cell's file.
pub fn blame(refused: Refused, cell: &CellFile, resolved: &Resolved<'_>) -> ConfigError {
    let has = |address: u64| {
        resolved
            .config
            .devices
            .iter()
            .find(|w| w.hpa.0 <= address && address - w.hpa.0 < w.size)
    };
    let device_at = |address: u64| {
        let window = has(address)?;
        let owns = |device: &&Device<'_>| {
            device
                .registers
                .iter()
                .any(|r| r.base / PAGE_SIZE * PAGE_SIZE == window.hpa.0)
        };
        resolved
            .devices
            .iter()
            .find(owns)
            .map(|device| device.node.path())
    };
    let device_of = |spi: u64| {
        let raises = |device: &&Device<'_>| {
            device
                .interrupts
                .iter()
                .any(|i| i.spi().map(u64::from) == Some(spi))
        };
        resolved
            .devices
            .iter()
            .find(raises)
            .map(|device| device.node.path())
    };
    let (property, node) = match refused.code {
        code::BAD_NAME | code::NAME_TAKEN => ("model", None),
        code::NO_CPU
        | code::NO_SUCH_CPU
        | code::CPU_OF_CELL
        | code::CPU_OF_LINUX
        | code::LAST_CPU
        | code::CPU_TWICE => ("cpus", None),
        code::NO_SUCH_SPI | code::SPI_OF_CELL | code::SPI_TWICE => {
            ("devices", device_of(refused.a))
        }
        code::DEVICE_IN_RAM | code::DEVICE_IS_GIC | code::DEVICE_OF_CELL => {
            ("devices", device_at(refused.a))
        }
        code::POOL_FULL | code::NO_RAM => ("memory", None),
        code::MEMORY_OF_CELL
        | code::MEMORY_OF_HYPERVISOR
        | code::MEMORY_OF_LINUX
        | code::MEMORY_ABSENT
            if device_at(refused.a).is_some() =>
        {
            ("devices", device_at(refused.a))
        }
        code::MEMORY_OF_CELL
        | code::MEMORY_OF_HYPERVISOR
        | code::MEMORY_OF_LINUX
        | code::MEMORY_ABSENT => ("memory-physical", None),
        code::UNALIGNED | code::WRAPS | code::EMPTY | code::OVERLAPS_ITSELF => ("memory", None),
        _ => ("", None),
    };
    let reason = node.map_or(refused.to_string(), |node| format!("{node}: {refused}"));
    cell.place.wrong(property, reason)
}

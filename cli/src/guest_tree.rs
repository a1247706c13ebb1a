//! The device tree that a cell's software gets: its CPUs, memory, timer, interrupt controller, firmware and devices,
//! in the words of the usual bindings, so that an unmodified driver works.

mod copy;

use bulkhead_model::addr::{Gpa, PAGE_SIZE};
use bulkhead_model::blob::MemoryConfig;
use dtoolkit::ToPropertyValue;
use dtoolkit::model::{DeviceTree, DeviceTreeNode, DeviceTreeProperty};

use crate::board::{Board, GicRegions};
use crate::cell_file::{CellFile, GuestTree};
use crate::error::ConfigError;
use crate::resolve::Resolved;
use crate::tree::interrupts::{GIC_V3, GICS_V2, interrupts};
use crate::tree::reg::Window;
use crate::tree::{Malformed, Node, draft};
use copy::{Copier, interrupt_words};

/// Room for the tree, bytes; also its alignment at the end of the main memory.
pub const ROOM: u64 = 0x1_0000;
/// What [`complete`] adds at most, bytes.
const AT_LOAD: u64 = 256;
/// Registers of one redistributor: two frames of 64 KiB (Arm IHI 0069, "Redistributor register map").
const REDISTRIBUTOR_SIZE: u64 = 0x2_0000;

/// Alignment of a tree, bytes (Linux, Documentation/arch/arm64/booting.rst, "Setup the device tree").
const ALIGNMENT: u64 = 8;

/// Returns where the tree of a cell goes, of which [`ROOM`] bytes are kept: where it is wanted, else to the last aligned place
/// of its first region.
///
/// # Errors
/// The cell's memory has no such place. As the rest of a sentence about the property.
pub fn place(memory: &[MemoryConfig], wanted: Option<u64>) -> Result<u64, String> {
    let Some(at) = wanted else {
        let main = memory.first().ok_or("there is none")?;
        return last(main).ok_or(format!(
            "the main region of {} bytes has no aligned {} KiB for the cell's own device tree",
            main.size,
            ROOM >> 10
        ));
    };
    let holds = |memory: &MemoryConfig| {
        let offset = at.checked_sub(memory.gpa.0)?;
        (offset.checked_add(ROOM)? <= memory.size).then_some(())
    };
    if at % ALIGNMENT == 0 && memory.iter().any(|memory| holds(memory).is_some()) {
        return Ok(at);
    }
    Err(format!(
        "{at:#x} is not a multiple of {ALIGNMENT} with {} KiB of the cell's memory behind it",
        ROOM >> 10
    ))
}

fn last(main: &MemoryConfig) -> Option<u64> {
    let last = main.gpa.0.checked_add(main.size)?.checked_sub(ROOM)? / ROOM * ROOM;
    (last >= main.gpa.0).then_some(last)
}

/// Checks that a cell's software gets a tree.
///
/// # Errors
/// Its file says that it gets none.
pub fn is_wanted(cell: &CellFile) -> Result<(), ConfigError> {
    match cell.guest_tree {
        GuestTree::Generated(_) => Ok(()),
        GuestTree::None => Err(cell.place.wrong(
            "device-tree",
            "it is \"none\": there is no tree to be written",
        )),
    }
}

/// Writes the tree; it is empty when the cell's software gets none.
///
/// # Errors
/// The board's tree lacks something that every cell needs, or the cell's own would not fit [`ROOM`].
pub fn build(
    cell: &CellFile,
    resolved: &Resolved<'_>,
    board: &Board,
) -> Result<Vec<u8>, ConfigError> {
    let GuestTree::Generated(at) = cell.guest_tree else {
        return Ok(Vec::new());
    };
    place(resolved.config.ram(), at).map_err(|reason| {
        let property = at.map_or("memory", |_| "device-tree-address");
        cell.place.wrong(property, reason)
    })?;
    let mut tree = DeviceTree::new();
    let mut copier = Copier::new(resolved, board);
    let root = &mut tree.root;
    set(root, "compatible", "bulkhead,guest");
    set(root, "model", cell.name.as_str());
    set(root, "#address-cells", 2u32);
    set(root, "#size-cells", 2u32);
    set(root, "interrupt-parent", copier.gic());
    root.add_child(cpus(resolved, board)?);
    for memory in resolved.config.ram() {
        let mut node = DeviceTreeNode::new_unchecked(format!("memory@{:x}", memory.gpa.0));
        let window = Window {
            base: memory.gpa.0,
            size: memory.size,
        };
        set(&mut node, "device_type", "memory");
        set(&mut node, "reg", reg(&[window]));
        root.add_child(node);
    }
    root.add_child(psci());
    if let Some(comm) = comm(resolved) {
        root.add_child(comm);
    }
    root.add_child(gic(resolved, board, copier.gic())?);
    if let Some(timer) = timer(board) {
        root.add_child(timer);
    }
    let mut console = copier.add_devices(root);
    if let Some(gpa) = resolved.config.console {
        console = Some(format!("/{}", add_ring_console(root, gpa)));
    }
    root.add_child(chosen(cell, console));
    let blob = tree.to_dtb();
    if blob.len() as u64 > ROOM - AT_LOAD {
        let reason = format!(
            "the cell's own device tree of {} bytes exceeds {}",
            blob.len(),
            ROOM - AT_LOAD
        );
        return Err(cell.place.wrong("devices", reason));
    }
    Ok(blob)
}

/// Random numbers for one start of a cell's software, bytes.
pub const SEED_SIZE: usize = 40;

/// Returns a cell's tree with what is only known when it is loaded in `/chosen`: random numbers, and where the initial RAM disk
/// lies (dt-schema, `schemas/chosen.yaml`: `kaslr-seed`, `rng-seed`, `linux,initrd-start`).
///
/// # Errors
/// What was remembered as the tree is none.
pub fn complete(
    tree: &[u8],
    seed: &[u8; SEED_SIZE],
    initrd: Option<Window>,
) -> Result<Vec<u8>, Malformed> {
    let mut tree = draft(tree)?;
    if let Some(chosen) = tree.root.child_mut("chosen") {
        let (kaslr, rng) = seed.split_at(8);
        set(chosen, "kaslr-seed", kaslr);
        set(chosen, "rng-seed", rng);
        if let Some(at) = initrd {
            set(chosen, "linux,initrd-start", at.base);
            set(chosen, "linux,initrd-end", at.base.saturating_add(at.size));
        }
    }
    Ok(tree.to_dtb())
}

fn set(node: &mut DeviceTreeNode, name: &str, value: impl ToPropertyValue) {
    node.add_property(DeviceTreeProperty::new_unchecked(name, value));
}

fn reg(windows: &[Window]) -> Vec<u8> {
    windows
        .iter()
        .flat_map(|window| [window.base, window.size])
        .flat_map(u64::to_be_bytes)
        .collect()
}

fn chosen(cell: &CellFile, console: Option<String>) -> DeviceTreeNode {
    let mut node = DeviceTreeNode::new_unchecked("chosen");
    if let Some(path) = console {
        set(&mut node, "stdout-path", path);
    }
    if let Some(bootargs) = &cell.bootargs {
        set(&mut node, "bootargs", bootargs.as_str());
    }
    node
}

/// The architected timer, which every CPU has.
fn timer(board: &Board) -> Option<DeviceTreeNode> {
    let timer = board.tree.nodes().find(|node| is_timer(*node))?;
    let list = interrupts(timer).unwrap_or_default();
    let mut node = DeviceTreeNode::new_unchecked("timer");
    set(&mut node, "compatible", "arm,armv8-timer");
    set(&mut node, "interrupts", interrupt_words(&list));
    // What the cell's software must know of the hardware, always-on for one.
    let kept = [
        "always-on",
        "clock-frequency",
        "arm,no-tick-in-suspend",
        "interrupt-names",
    ];
    for (name, value) in timer.properties() {
        if kept.contains(&name) || name.contains("erratum") {
            set(&mut node, name, value);
        }
    }
    Some(node)
}

fn is_timer(node: Node<'_>) -> bool {
    node.is_compatible("arm,armv8-timer")
}

fn cpus(resolved: &Resolved<'_>, board: &Board) -> Result<DeviceTreeNode, ConfigError> {
    let all = board.cpus()?;
    let mut cpus = DeviceTreeNode::new_unchecked("cpus");
    set(&mut cpus, "#address-cells", 1u32);
    set(&mut cpus, "#size-cells", 0u32);
    for (number, mpidr) in (0u32..).zip(&resolved.config.cpus) {
        let mut node = DeviceTreeNode::new_unchecked(format!("cpu@{number:x}"));
        let compatible = all
            .iter()
            .find(|cpu| cpu.mpidr == *mpidr)
            .and_then(|cpu| cpu.node.property("compatible"));
        set(&mut node, "device_type", "cpu");
        set(
            &mut node,
            "compatible",
            compatible.unwrap_or(b"arm,armv8\0"),
        );
        set(&mut node, "reg", number);
        set(&mut node, "enable-method", "psci");
        cpus.add_child(node);
    }
    Ok(cpus)
}

/// The page that the cell beats in ([`bulkhead_abi::comm`]).
fn comm(resolved: &Resolved<'_>) -> Option<DeviceTreeNode> {
    let (at, promise) = (resolved.config.comm()?, resolved.config.heartbeat);
    let mut node = DeviceTreeNode::new_unchecked(format!("comm@{:x}", at.0));
    set(&mut node, "compatible", "bulkhead,comm");
    let page = Window {
        base: at.0,
        size: bulkhead_abi::comm::SIZE.into(),
    };
    set(&mut node, "reg", reg(&[page]));
    set(&mut node, "heartbeat-ms", promise.period_ms);
    Some(node)
}

/// Adds the memory that it prints into ([`bulkhead_abi::console`]); returns its node's name.
fn add_ring_console(root: &mut DeviceTreeNode, gpa: Gpa) -> String {
    let name = format!("console@{:x}", gpa.0);
    let mut node = DeviceTreeNode::new_unchecked(name.clone());
    let window = Window {
        base: gpa.0,
        size: bulkhead_abi::console::SIZE,
    };
    set(&mut node, "compatible", "bulkhead,console");
    set(&mut node, "reg", reg(&[window]));
    root.add_child(node);
    name
}

fn psci() -> DeviceTreeNode {
    let mut node = DeviceTreeNode::new_unchecked("psci");
    set(
        &mut node,
        "compatible",
        b"arm,psci-1.0\0arm,psci-0.2\0".as_slice(),
    );
    set(&mut node, "method", "hvc");
    node
}

/// The interrupt controller where the board has it; of the redistributors as many as the cell has CPUs. A GICv2 looks as
/// it does without virtualization, its CPU interface two pages long whatever the board's spacing is.
fn gic(
    resolved: &Resolved<'_>,
    board: &Board,
    phandle: u32,
) -> Result<DeviceTreeNode, ConfigError> {
    let (compatible, distributor, interface) = match board.gic_regions()? {
        GicRegions::V3 {
            distributor,
            redistributors,
        } => {
            let base = redistributors.first().map_or(0, |first| first.base);
            let size = REDISTRIBUTOR_SIZE * resolved.config.cpus.len() as u64;
            (GIC_V3, distributor, Window { base, size })
        }
        GicRegions::V2 {
            distributor,
            interface,
            ..
        } => {
            let seen = |window, size| Window { size, ..window };
            let interface = seen(interface, 2 * PAGE_SIZE);
            (GICS_V2[0], seen(distributor, PAGE_SIZE), interface)
        }
    };
    let mut node = DeviceTreeNode::new_unchecked(format!("intc@{:x}", distributor.base));
    set(&mut node, "compatible", compatible);
    set(&mut node, "interrupt-controller", "".as_bytes());
    set(&mut node, "#interrupt-cells", 3u32);
    set(&mut node, "#address-cells", 0u32);
    set(&mut node, "reg", reg(&[distributor, interface]));
    set(&mut node, "phandle", phandle);
    Ok(node)
}

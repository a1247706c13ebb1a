//! The device tree that a cell's software gets: its CPUs, memory, timer, interrupt controller, firmware and devices,
//! in the words of the usual bindings, so that an unmodified driver works.

use bulkhead_model::blob::MemoryConfig;
use dtoolkit::ToPropertyValue;
use dtoolkit::model::{DeviceTree, DeviceTreeNode, DeviceTreeProperty};

use crate::board::Board;
use crate::cell_file::CellFile;
use crate::error::ConfigError;
use crate::resolve::{Device, Resolved};
use crate::tree::interrupts::Interrupt;
use crate::tree::reg::{Window, windows};
use crate::tree::{Node, cells};

/// Room for the tree at the end of the cell's first memory region, bytes; also its alignment.
pub const ROOM: u64 = 0x1_0000;
const GIC_PHANDLE: u32 = 1;
/// Registers of one redistributor: two frames of 64 KiB (Arm IHI 0069, "Redistributor register map").
const REDISTRIBUTOR_SIZE: u64 = 0x2_0000;

/// Returns where the tree of a cell goes: the last aligned place in its first region. `None` when it has no room.
pub fn address(memory: &MemoryConfig) -> Option<u64> {
    let last = memory.gpa.0.checked_add(memory.size)?.checked_sub(ROOM)? / ROOM * ROOM;
    (last >= memory.gpa.0).then_some(last)
}

/// Writes the tree.
///
/// # Errors
/// The board's tree lacks something that every cell needs, or the cell's own would not fit [`ROOM`].
pub fn build(
    cell: &CellFile,
    resolved: &Resolved<'_>,
    board: &Board,
) -> Result<Vec<u8>, ConfigError> {
    let mut tree = DeviceTree::new();
    let root = &mut tree.root;
    set(root, "compatible", "bulkhead,guest");
    set(root, "model", cell.name.as_str());
    set(root, "#address-cells", 2u32);
    set(root, "#size-cells", 2u32);
    set(root, "interrupt-parent", GIC_PHANDLE);
    root.add_child(chosen(cell, resolved));
    root.add_child(cpus(resolved, board)?);
    for memory in &resolved.config.memory {
        let mut node = DeviceTreeNode::new_unchecked(format!("memory@{:x}", memory.gpa.0));
        set(&mut node, "device_type", "memory");
        set(
            &mut node,
            "reg",
            reg(&[Window {
                base: memory.gpa.0,
                size: memory.size,
            }]),
        );
        root.add_child(node);
    }
    root.add_child(psci());
    root.add_child(gic(resolved, board)?);
    if let Some(timer) = board
        .tree
        .nodes()
        .find(|node| node.is_compatible("arm,armv8-timer"))
    {
        root.add_child(copy(timer, "timer"));
    }
    add_devices(root, &resolved.devices);
    let blob = tree.to_dtb();
    if blob.len() as u64 > ROOM {
        let reason = format!(
            "the cell's own device tree of {} bytes exceeds {ROOM}",
            blob.len()
        );
        return Err(cell.place.wrong("devices", reason));
    }
    Ok(blob)
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

fn chosen(cell: &CellFile, resolved: &Resolved<'_>) -> DeviceTreeNode {
    let mut node = DeviceTreeNode::new_unchecked("chosen");
    let console = resolved
        .devices
        .iter()
        .find(|device| Some(device.node) == resolved.console);
    if let Some(console) = console {
        set(&mut node, "stdout-path", format!("/{}", name(console)));
    }
    if let Some(bootargs) = &cell.bootargs {
        set(&mut node, "bootargs", bootargs.as_str());
    }
    node
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

/// The interrupt controller where the board has it; of the redistributors as many as the cell has CPUs.
fn gic(resolved: &Resolved<'_>, board: &Board) -> Result<DeviceTreeNode, ConfigError> {
    let gic = board.gic()?;
    let regions = windows(gic).map_err(|reason| board.place(gic).wrong("reg", reason))?;
    let [distributor, redistributors, ..] = regions[..] else {
        return Err(board.place(gic).wrong("reg", "it lists no redistributors"));
    };
    let size = REDISTRIBUTOR_SIZE * resolved.config.cpus.len() as u64;
    let mut node = DeviceTreeNode::new_unchecked(format!("intc@{:x}", distributor.base));
    set(&mut node, "compatible", "arm,gic-v3");
    set(&mut node, "interrupt-controller", "".as_bytes());
    set(&mut node, "#interrupt-cells", 3u32);
    set(&mut node, "#address-cells", 0u32);
    set(
        &mut node,
        "reg",
        reg(&[
            distributor,
            Window {
                base: redistributors.base,
                size,
            },
        ]),
    );
    set(&mut node, "phandle", GIC_PHANDLE);
    Ok(node)
}

fn add_devices(root: &mut DeviceTreeNode, devices: &[Device<'_>]) {
    // Frequencies, each with the phandle of its clock.
    let mut clocks: Vec<u32> = Vec::new();
    for device in devices.iter().filter(|device| !device.registers.is_empty()) {
        let mut node = copy(device.node, &name(device));
        set(&mut node, "reg", reg(&device.registers));
        if !device.interrupts.is_empty() {
            set(&mut node, "interrupts", interrupts(&device.interrupts));
        }
        if let Some(frequencies) = frequencies(device.node) {
            let phandles: Vec<u32> = frequencies
                .iter()
                .map(|frequency| clock(&mut clocks, *frequency))
                .collect();
            set(&mut node, "clocks", phandles);
            if let Some(names) = device.node.property("clock-names") {
                set(&mut node, "clock-names", names);
            }
        }
        root.add_child(node);
    }
    for frequency in clocks.clone() {
        let mut node = DeviceTreeNode::new_unchecked(format!("clock-{frequency}"));
        set(&mut node, "compatible", "fixed-clock");
        set(&mut node, "#clock-cells", 0u32);
        set(&mut node, "clock-frequency", frequency);
        set(&mut node, "phandle", clock(&mut clocks, frequency));
        root.add_child(node);
    }
}

/// Returns the phandle of the clock of that frequency.
fn clock(clocks: &mut Vec<u32>, frequency: u32) -> u32 {
    if !clocks.contains(&frequency) {
        clocks.push(frequency);
    }
    (GIC_PHANDLE + 1..)
        .zip(clocks)
        .find(|(_, other)| **other == frequency)
        .map_or(0, |(phandle, _)| phandle)
}

/// The node's name with its physical address: two buses may have devices at the same offset.
fn name(device: &Device<'_>) -> String {
    let kind = device.node.name().split('@').next().unwrap_or_default();
    match device.registers.first() {
        Some(first) => format!("{kind}@{:x}", first.base),
        None => kind.to_owned(),
    }
}

fn interrupts(interrupts: &[Interrupt]) -> Vec<u32> {
    interrupts
        .iter()
        .flat_map(|interrupt| [interrupt.kind, interrupt.number, interrupt.flags])
        .collect()
}

/// Copies a node and the parts below it that its driver reads, without what points to other nodes of the board.
fn copy(node: Node<'_>, name: &str) -> DeviceTreeNode {
    let mut copied = DeviceTreeNode::new_unchecked(name);
    for (name, value) in node.properties().filter(|(name, _)| !points_outside(name)) {
        set(&mut copied, name, value);
    }
    if node.is_compatible("arm,armv8-timer")
        && let Ok(list) = crate::tree::interrupts::interrupts(node)
    {
        set(&mut copied, "interrupts", interrupts(&list));
    }
    // Below a bus are devices of their own, which are given away by their own names.
    if node.property("ranges").is_none() {
        for child in node.children() {
            copied.add_child(copy(child, child.name()));
        }
    }
    copied
}

/// Tells whether a property speaks of other nodes of the board, or is written anew.
fn points_outside(name: &str) -> bool {
    let exact = [
        "ranges",
        "dma-ranges",
        "interrupts",
        "interrupts-extended",
        "interrupt-parent",
        "interrupt-map",
        "interrupt-map-mask",
        "interrupt-affinity",
        "phandle",
        "linux,phandle",
        "status",
        "clocks",
        "clock-names",
        "assigned-clocks",
        "assigned-clock-parents",
        "assigned-clock-rates",
        "power-domains",
        "power-domain-names",
        "resets",
        "reset-names",
        "dmas",
        "dma-names",
        "iommus",
        "iommu-map",
        "msi-parent",
        "msi-map",
        "mboxes",
        "mbox-names",
        "interconnects",
        "interconnect-names",
        "phys",
        "phy-names",
        "memory-region",
        "nvmem-cells",
        "nvmem-cell-names",
        "operating-points-v2",
    ];
    let ends = ["-supply", "-gpio", "-gpios"];
    exact.contains(&name)
        || name.starts_with("pinctrl-")
        || ends.iter().any(|end| name.ends_with(end))
}

/// Returns the frequencies of the node's clocks, Hz; `None` unless the board's tree states all of them.
fn frequencies(node: Node<'_>) -> Option<Vec<u32>> {
    let words = cells(node.property("clocks")?)?;
    let mut rest = words.as_slice();
    let mut found = Vec::new();
    while let Some((phandle, tail)) = rest.split_first() {
        let provider = node.tree().by_phandle(*phandle)?;
        if !provider.is_compatible("fixed-clock") {
            return None;
        }
        rest = tail.get(provider.u32("#clock-cells").unwrap_or(0) as usize..)?;
        found.push(provider.u32("clock-frequency")?);
    }
    Some(found)
}

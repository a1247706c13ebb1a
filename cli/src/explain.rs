//! What a cell gets and from where: every CPU, range and interrupt, each with the property and the node that it is for.

use bulkhead_model::blob::Placement;
use serde_json::{Value, json};

use crate::board::{Board, GicRegions};
use crate::cell_file::{CellFile, Cpus, GuestTree};
use crate::guest_tree;
use crate::map::range;
use crate::report::{Bytes, counted, table};
use crate::resolve::{Device, Resolved};
use crate::tree::interrupts::Interrupt;

/// One thing that the cell gets.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Line {
    /// What it is.
    pub what: String,
    /// Which one.
    pub value: String,
    /// The property of the cell's file and the node of the board that it comes from.
    pub from: String,
}

fn line(what: impl Into<String>, value: impl Into<String>, from: impl Into<String>) -> Line {
    Line {
        what: what.into(),
        value: value.into(),
        from: from.into(),
    }
}

/// Lists all that a cell gets; `tree_size` is that of its own device tree, bytes.
pub fn explain(
    cell: &CellFile,
    resolved: &Resolved<'_>,
    board: &Board,
    tree_size: usize,
) -> Vec<Line> {
    let mut lines = vec![line("name", cell.name.as_str(), "model")];
    lines.extend(cpus(cell, resolved, board));
    for memory in &resolved.config.memory {
        let value = format!(
            "{} ({})",
            range(memory.gpa.0, memory.size),
            Bytes(memory.size)
        );
        let from = match memory.placement {
            Placement::Pool => "memory; anywhere in Bulkhead's memory".to_owned(),
            Placement::At(hpa) => format!("memory, memory-physical; from {:#010x}", hpa.0),
        };
        lines.push(line("memory", value, from));
    }
    for device in &resolved.devices {
        lines.extend(device_lines(cell, resolved, device));
    }
    for window in &resolved.config.devices {
        let (what, from) = if window.is_part() {
            (
                "part",
                "share-page: these registers of a page of others; each access is an exit",
            )
        } else {
            (
                "pages",
                "the whole pages that hold these registers; mapped where they are",
            )
        };
        lines.push(line(what, range(window.hpa.0, window.size), from));
    }
    lines.extend(everyone(resolved, board));
    lines.push(tree(cell, resolved, tree_size));
    if let Some(console) = resolved.console {
        lines.push(line(
            "console",
            console.path(),
            "console; /chosen stdout-path of its tree",
        ));
    }
    if let Some(gpa) = resolved.config.console {
        lines.push(line(
            "console",
            range(gpa.0, bulkhead_abi::console::SIZE),
            "console = \"ring\": shared with root; /chosen stdout-path of its tree",
        ));
    }
    if let Some(arguments) = &cell.bootargs {
        lines.push(line(
            "arguments",
            arguments,
            "bootargs; /chosen bootargs of its tree",
        ));
    }
    if let Some(initrd) = &cell.initrd {
        lines.push(line(
            "initial RAM disk",
            initrd,
            "initrd; loaded with the image; /chosen of its tree tells where",
        ));
    }
    lines
}

fn tree(cell: &CellFile, resolved: &Resolved<'_>, size: usize) -> Line {
    let GuestTree::Generated(at) = cell.guest_tree else {
        return line("device tree", "none", "device-tree; x0 is 0 at the start");
    };
    let value = match guest_tree::place(resolved.config.ram(), at) {
        Ok(gpa) => format!("{gpa:#010x}, {size} bytes"),
        Err(_) => "no room for one".to_owned(),
    };
    line(
        "device tree",
        value,
        "made of all this; its address is in x0 at the start",
    )
}

fn cpus(cell: &CellFile, resolved: &Resolved<'_>, board: &Board) -> Vec<Line> {
    let all = board.cpus().unwrap_or_default();
    let from = match &cell.cpus {
        Cpus::Any(count) => format!("cpus = <{count}>: any"),
        Cpus::Named(_) => "cpus".to_owned(),
    };
    let one = |(number, mpidr): (usize, &bulkhead_model::id::Mpidr)| {
        let node = all.iter().find(|cpu| cpu.mpidr == *mpidr);
        let path = node.map_or(String::new(), |cpu| format!("; {}", cpu.node.path()));
        let value = format!("affinity {:#x}", mpidr.get());
        line(format!("CPU {number}"), value, format!("{from}{path}"))
    };
    resolved.config.cpus.iter().enumerate().map(one).collect()
}

fn device_lines(cell: &CellFile, resolved: &Resolved<'_>, device: &Device<'_>) -> Vec<Line> {
    let path = device.node.path();
    let index = resolved
        .devices
        .iter()
        .position(|other| other.node == device.node);
    let said = index.and_then(|index| cell.devices.get(index));
    let from = match said {
        Some(name) if *name != path => format!("devices: \"{name}\" is {path}"),
        _ => format!("devices: {path}"),
    };
    let registers = device.registers.iter().map(|window| {
        line(
            "registers",
            range(window.base, window.size),
            format!("{from}, reg"),
        )
    });
    let interrupts = device.interrupts.iter().map(|interrupt| {
        let value = match interrupt.spi() {
            Some(intid) => format!("SPI {} (INTID {intid})", interrupt.number),
            None => format!(
                "PPI {} (INTID {}), each CPU its own",
                interrupt.number,
                u64::from(interrupt.number) + 16
            ),
        };
        let trigger = trigger(interrupt);
        line(
            "interrupt",
            format!("{value}, {trigger}"),
            format!("{from}, interrupts"),
        )
    });
    registers.chain(interrupts).collect()
}

/// Names the trigger (Linux, include/dt-bindings/interrupt-controller/irq.h).
fn trigger(interrupt: &Interrupt) -> &'static str {
    match interrupt.flags & 0xf {
        1 => "rising edge",
        2 => "falling edge",
        4 => "level high",
        8 => "level low",
        _ => "trigger not stated",
    }
}

/// What the cell sees of the interrupt controller.
fn gic_view(resolved: &Resolved<'_>, board: &Board) -> String {
    let cpus = resolved.config.cpus.len();
    match board.gic_regions() {
        Ok(GicRegions::V2 { .. }) => {
            format!("version 2, CPU interfaces for {cpus}, its own interrupts only")
        }
        _ => format!(
            "version 3, {}, its own interrupts only",
            counted(cpus, "redistributor")
        ),
    }
}

/// What every cell has without asking.
fn everyone(resolved: &Resolved<'_>, board: &Board) -> Vec<Line> {
    let gic = board.gic().map_or(String::new(), |gic| gic.path());
    vec![
        line(
            "GIC",
            gic_view(resolved, board),
            format!("every cell; {gic}"),
        ),
        line(
            "timer",
            "each CPU its own, virtual and physical",
            "every cell",
        ),
        line("PSCI", "by hvc", "every cell; /psci of its tree"),
    ]
}

/// Writes the list as a table.
pub fn to_text(lines: &[Line]) -> String {
    let rows = lines
        .iter()
        .map(|line| vec![line.what.clone(), line.value.clone(), line.from.clone()]);
    table(&["WHAT", "VALUE", "FROM"], rows.collect(), 9)
}

/// The same for programs.
pub fn to_json(lines: &[Line]) -> Value {
    lines
        .iter()
        .map(|line| json!({ "what": line.what, "value": line.value, "from": line.from }))
        .collect()
}

//! `cell list`, `cell show`, `cell stats`: the shared area as tables.

use bulkhead_abi::MAX_CPUS;
use bulkhead_abi::info::{CellInfo, CpuInfo, FaultRecord, Info, cpu_state, exit, fault};
use bulkhead_model::addr::Hpa;
use bulkhead_model::ledger::Owner;
use serde_json::{Value, json};

use super::Context;
use crate::board::Board;
use crate::device::Device;
use crate::error::Error;
use crate::live::{self, Cell, state_name};
use crate::report::{Bytes, Report, table};
use crate::tree::reg::{Window, windows};

/// Lists the cells.
///
/// # Errors
/// Bulkhead is not enabled.
pub fn list() -> Result<Report, Error> {
    let info = live::read(&Device::open()?)?;
    let rows = live::cells(&info).map(|cell| row(&info, cell)).collect();
    let header = ["ID", "NAME", "STATE", "CPUS", "RAM", "SPIS", "EXITS"];
    let json: Value = live::cells(&info)
        .map(|cell| summary(&info, cell))
        .collect();
    Ok(Report::new(table(&header, rows, 4), json))
}

fn row(info: &Info, cell: Cell<'_>) -> Vec<String> {
    let is_root = cell.id == 0;
    vec![
        cell.id.to_string(),
        live::cell_name(info, cell.id as u64),
        if is_root {
            "running"
        } else {
            state_name(cell.info.state)
        }
        .to_owned(),
        cpu_list(info, cell.id),
        if is_root {
            "-".to_owned()
        } else {
            Bytes(cell.info.ram_size).to_string()
        },
        if is_root {
            "-".to_owned()
        } else {
            cell.info.spi_count.to_string()
        },
        exits(info, cell.id).to_string(),
    ]
}

fn summary(info: &Info, cell: Cell<'_>) -> Value {
    let mpidrs: Vec<u64> = live::cpus_of(info, cell.id)
        .map(|mpidr| mpidr.get())
        .collect();
    json!({
        "id": cell.id, "name": live::cell_name(info, cell.id as u64),
        "state": if cell.id == 0 { "running" } else { state_name(cell.info.state) },
        "cpus": mpidrs, "ram_size": cell.info.ram_size, "gpa": cell.info.gpa, "hpa": cell.info.hpa,
        "spi_count": cell.info.spi_count, "delivery": delivery(cell.info), "exits": exits(info, cell.id),
        "fault": fault_json(&cell.info.fault),
    })
}

fn delivery(cell: &CellInfo) -> &'static str {
    if cell.delivery == 0 {
        "direct"
    } else {
        "listed"
    }
}

fn cpus(info: &Info, cell: usize) -> impl Iterator<Item = (usize, &CpuInfo)> {
    let count = (info.cpu_count as usize).min(MAX_CPUS);
    info.cpus[..count]
        .iter()
        .enumerate()
        .filter(move |(_, cpu)| cpu.cell as usize == cell)
}

/// The cell's CPUs by their numbers in the system's list, in ranges.
fn cpu_list(info: &Info, cell: usize) -> String {
    let mut ranges: Vec<(usize, usize)> = Vec::new();
    for (index, _) in cpus(info, cell) {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == index => *last = index,
            _ => ranges.push((index, index)),
        }
    }
    let range = |(first, last): &(usize, usize)| {
        if first == last {
            format!("{first}")
        } else {
            format!("{first}-{last}")
        }
    };
    ranges.iter().map(range).collect::<Vec<_>>().join(",")
}

fn exits(info: &Info, cell: usize) -> u64 {
    cpus(info, cell)
        .flat_map(|(_, cpu)| cpu.exits)
        .fold(0, u64::saturating_add)
}

/// Shows all about a cell.
///
/// # Errors
/// There is no such cell.
pub fn show(context: &Context, name: &str) -> Result<Report, Error> {
    let info = live::read(&Device::open()?)?;
    let cell = if name == "root" {
        Cell {
            id: 0,
            info: &info.cells[0],
        }
    } else {
        live::cell(&info, name)?
    };
    let mut lines = vec![format!(
        "{name}: {}, id {}",
        if cell.id == 0 {
            "running"
        } else {
            state_name(cell.info.state)
        },
        cell.id
    )];
    for (index, cpu) in cpus(&info, cell.id) {
        lines.push(format!(
            "  CPU {index}: affinity {:#x}, {}",
            cpu.mpidr,
            cpu_state_name(cpu.state)
        ));
    }
    let mut json = summary(&info, cell);
    if cell.id != 0 {
        let c = cell.info;
        lines.push(format!(
            "  memory: {} at {:#x}, physically at {:#x}",
            Bytes(c.ram_size),
            c.gpa,
            c.hpa
        ));
        lines.push(format!(
            "  interrupts: {}, {} delivery",
            c.spi_count,
            delivery(c)
        ));
    }
    if let Some(record) = context.store.get(name) {
        lines.extend(
            record
                .devices
                .iter()
                .map(|d| format!("  device: {} at {:#x}, {:#x} bytes", d.node, d.base, d.size)),
        );
        lines.extend(
            record
                .image
                .iter()
                .map(|image| format!("  image: {}", image.path.display())),
        );
        lines.push(format!("  file: {}", record.file.display()));
        json["record"] = json!({ "file": record.file, "image": record.image, "devices": record.devices, "unbound": record.unbound });
    }
    if cell.info.fault.kind != fault::NONE {
        let owner = owner(context, &info, cell.info.fault.ipa);
        lines.extend(fault_lines(&cell.info.fault, &owner));
        json["fault"]["owner"] = owner.into();
    }
    Ok(Report::new(lines.join("\n"), json))
}

fn cpu_state_name(state: u32) -> &'static str {
    match state {
        cpu_state::FIRMWARE => "off",
        cpu_state::GUEST => "running",
        cpu_state::PARKED => "waiting at EL2",
        cpu_state::DEAD => "dead by a bug of the hypervisor",
        cpu_state::WAKING => "waking",
        _ => "unknown",
    }
}

fn kind_name(kind: u32) -> &'static str {
    fault::NAMES
        .get(kind as usize)
        .copied()
        .unwrap_or("unknown fault")
}

/// Names the exception class (Arm ARM DDI 0487, `ESR_EL2`, "EC").
fn class_name(esr: u64) -> &'static str {
    match esr >> 26 & 0x3f {
        0x00 => "unknown reason",
        0x01 => "WFI or WFE",
        0x07 => "FP or SIMD",
        0x0e => "illegal execution state",
        0x15 | 0x16 => "supervisor or hypervisor call",
        0x17 => "secure monitor call",
        0x18 => "system register",
        0x20 | 0x21 => "instruction abort",
        0x22 => "misaligned PC",
        0x24 | 0x25 => "data abort",
        0x26 => "misaligned SP",
        0x2f => "SError",
        _ => "other",
    }
}

fn fault_lines(fault: &FaultRecord, owner: &str) -> Vec<String> {
    let address = if fault.ipa == u64::MAX {
        "an unknown address".to_owned()
    } else {
        format!("{:#x}", fault.ipa)
    };
    let mut lines = vec![
        format!(
            "  last fault: {} of {address} by CPU {} at PC {:#x}",
            kind_name(fault.kind),
            fault.cpu,
            fault.pc
        ),
        format!("    that address: {owner}"),
        format!(
            "    ESR_EL2 {:#x} ({}), FAR_EL2 {:#x}, SPSR_EL2 {:#x}",
            fault.esr,
            class_name(fault.esr),
            fault.far,
            fault.spsr
        ),
    ];
    for (row, values) in fault.x.chunks(4).enumerate() {
        let cells = values
            .iter()
            .enumerate()
            .map(|(i, value)| format!("x{:<2} {value:016x}", row * 4 + i));
        lines.push(format!("    {}", cells.collect::<Vec<_>>().join("  ")));
    }
    lines
}

fn fault_json(fault: &FaultRecord) -> Value {
    if fault.kind == fault::NONE {
        return Value::Null;
    }
    json!({
        "kind": kind_name(fault.kind), "cpu": fault.cpu, "pc": fault.pc, "ipa": (fault.ipa != u64::MAX).then_some(fault.ipa),
        "esr": fault.esr, "class": class_name(fault.esr), "far": fault.far, "spsr": fault.spsr, "x": fault.x,
    })
}

/// Says what is at an address and whose it is. Cells see devices where they are, so a guest address names one.
fn owner(context: &Context, info: &Info, address: u64) -> String {
    let Ok(board) = Board::read(None) else {
        return "unknown: the board's tree cannot be read".to_owned();
    };
    let ledger = context
        .system(&board)
        .ok()
        .and_then(|system| live::ledger(info, &system, &context.store).ok());
    let owner = match ledger.map(|ledger| ledger.owner(Hpa(address))) {
        None => "unknown owner".to_owned(),
        Some(Owner::Hypervisor) => return "the hypervisor's own memory".to_owned(),
        Some(Owner::Pool) => return "memory for cells that no cell has".to_owned(),
        Some(Owner::Absent) => return "beyond the physical address space".to_owned(),
        Some(Owner::Gic) => "the interrupt controller".to_owned(),
        Some(Owner::Cell(id)) => format!("owned by {}", live::cell_name(info, id.index() as u64)),
    };
    let here = Window {
        base: address,
        size: 1,
    };
    let is_here = |windows: &Vec<Window>| windows.iter().any(|window| window.overlaps(&here));
    let node = board
        .tree
        .nodes()
        .find(|node| windows(*node).is_ok_and(|windows| is_here(&windows)));
    match node {
        Some(node) => format!("{}, {owner}", node.path()),
        None => format!("nothing in the board's tree, {owner}"),
    }
}

/// Counts exits by CPU and cause.
///
/// # Errors
/// There is no such cell.
pub fn stats(name: Option<&str>) -> Result<Report, Error> {
    let info = live::read(&Device::open()?)?;
    let only = match name {
        Some("root") => Some(0),
        Some(name) => Some(live::cell(&info, name)?.id),
        None => None,
    };
    let count = (info.cpu_count as usize).min(MAX_CPUS);
    let shown = info.cpus[..count]
        .iter()
        .enumerate()
        .filter(|(_, cpu)| only.is_none_or(|id| cpu.cell as usize == id));
    let (mut rows, mut json) = (Vec::new(), Vec::new());
    for (index, cpu) in shown {
        let cell = live::cell_name(&info, cpu.cell.into());
        let total = cpu
            .exits
            .iter()
            .fold(0, |sum: u64, n| sum.saturating_add(*n));
        let counts = cpu.exits.iter().map(u64::to_string);
        let mut row = vec![index.to_string(), cell.clone(), total.to_string()];
        row.extend(counts);
        rows.push(row);
        let by_cause: serde_json::Map<String, Value> = exit::NAMES
            .iter()
            .zip(cpu.exits)
            .map(|(name, n)| ((*name).to_owned(), n.into()))
            .collect();
        json.push(json!({ "cpu": index, "mpidr": cpu.mpidr, "cell": cell, "total": total, "exits": by_cause }));
    }
    let causes = exit::NAMES.map(str::to_uppercase);
    let header: Vec<&str> = ["CPU", "CELL", "EXITS"]
        .into_iter()
        .chain(causes.iter().map(String::as_str))
        .collect();
    Ok(Report::new(table(&header, rows, 2), json.into()))
}

//! `cell list`, `cell show`, `cell stats`: the shared area as tables.

use bulkhead_abi::MAX_CPUS;
use bulkhead_abi::info::{
    CellInfo, CpuInfo, FaultRecord, Health, Info, cause, cpu_state, exit, fault, state,
};
use bulkhead_model::blob::Delivery;
use bulkhead_model::id::Mpidr;
use serde_json::{Value, json};

use super::Context;
use super::attend::wants_start;
use crate::device::Device;
use crate::drivers::Binding;
use crate::error::Error;
use crate::fault::{Scene, lines as lines_of, sentence, to_json};
use crate::live::{self, Cell, state_name};
use crate::machine::Machine;
use crate::report::{Bytes, Report, counted, table};

/// Lists the cells.
///
/// # Errors
/// Bulkhead is not enabled.
pub fn list() -> Result<Report, Error> {
    let info = live::read(&Device::open()?)?;
    let rows = live::cells(&info).map(|cell| row(&info, cell)).collect();
    let header = [
        "ID", "NAME", "STATE", "CPUS", "RAM", "SPIS", "DELIVERY", "EXITS",
    ];
    let json: Value = live::cells(&info)
        .map(|cell| summary(&info, cell))
        .collect();
    Ok(Report::new(table(&header, rows, 4), json))
}

/// The state with what the heart says of it.
fn state_text(cell: Cell<'_>) -> String {
    let health = cell.info.health;
    match state_of(cell) {
        state if is_stalled(cell) => format!("{state} (stalled {} s)", health.silent_ms / 1000),
        state => state.to_owned(),
    }
}

fn state_of(cell: Cell<'_>) -> &'static str {
    match cell.id {
        0 => "running",
        _ => state_name(cell.info.state),
    }
}

fn is_stalled(cell: Cell<'_>) -> bool {
    cell.info.state == state::RUNNING && cell.info.health.is_stalled != 0
}

/// The heart of a cell, and why it was told to stop or to start anew.
fn life_lines(cell: &CellInfo) -> Vec<String> {
    let mut lines = Vec::new();
    let health = cell.health;
    if health.heartbeat_ms != 0 {
        lines.push(format!(
            "  heartbeat: each {} ms; {} beats, the last one seen {} ms ago",
            health.heartbeat_ms, health.beats, health.silent_ms
        ));
    }
    if cell.cause != cause::NONE {
        lines.push(format!(
            "  last end: by {}; started anew {}",
            cause_name(cell.cause),
            counted(cell.restarts as usize, "time")
        ));
    }
    if wants_start(cell) {
        lines.push(format!(
            "  it wants to start anew, with its image loaded anew: bulkhead cell start {}; `bulkhead cell attend` does it each time",
            live::text(&cell.name)
        ));
    }
    lines
}

fn cause_name(number: u32) -> &'static str {
    cause::NAMES
        .get(number as usize)
        .copied()
        .unwrap_or("unknown")
}

fn health_json(health: &Health) -> Value {
    if health.heartbeat_ms == 0 {
        return Value::Null;
    }
    json!({ "period_ms": health.heartbeat_ms, "beats": health.beats, "silent_ms": health.silent_ms })
}

fn row(info: &Info, cell: Cell<'_>) -> Vec<String> {
    let is_root = cell.id == 0;
    vec![
        cell.id.to_string(),
        live::cell_name(info, cell.id as u64),
        state_text(cell),
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
        delivery(cell.info).to_owned(),
        exits(info, cell.id).to_string(),
    ]
}

fn summary(info: &Info, cell: Cell<'_>) -> Value {
    let mpidrs: Vec<u64> = live::cpus_of(info, cell.id)
        .map(|mpidr| mpidr.get())
        .collect();
    json!({
        "id": cell.id, "name": live::cell_name(info, cell.id as u64),
        "state": state_of(cell), "stalled": is_stalled(cell), "heartbeat": health_json(&cell.info.health),
        "cause": cause_name(cell.info.cause), "restarts": cell.info.restarts,
        "cpus": mpidrs, "ram_size": cell.info.ram_size, "gpa": cell.info.gpa, "hpa": cell.info.hpa,
        "spi_count": cell.info.spi_count, "delivery": delivery(cell.info), "exits": exits(info, cell.id),
        "console": (cell.info.console != u64::MAX && cell.id != 0).then_some(cell.info.console),
        "fault": to_json(&cell.info.fault),
    })
}

/// The word of a cell's file for it.
pub(super) fn delivery_name(delivery: Delivery) -> &'static str {
    match delivery {
        Delivery::Direct => "direct",
        Delivery::Listed => "listed",
    }
}

fn delivery(cell: &CellInfo) -> &'static str {
    delivery_name(match cell.delivery {
        0 => Delivery::Direct,
        _ => Delivery::Listed,
    })
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
    let mut lines = vec![format!("{name}: {}, id {}", state_text(cell), cell.id)];
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
        if c.console != u64::MAX {
            lines.push(format!(
                "  console: ring at {:#x}; bulkhead console {name}",
                c.console
            ));
        }
        lines.extend(life_lines(c));
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
        json["record"] = json!({
            "file": record.file, "image": record.image, "devices": record.devices,
            "unbound": record.unbound.iter().map(Binding::to_json).collect::<Vec<_>>(),
        });
    }
    if cell.info.fault.kind != fault::NONE {
        let machine = Machine::live(context, &info).ok();
        let (cpu, place) = scene(machine.as_ref(), &info, &cell.info.fault);
        let scene = Scene {
            cell: name,
            cpu: &cpu,
            place: &place,
            symbols: &context.store.symbols(name),
        };
        lines.extend(lines_of(&cell.info.fault, &scene));
        json["fault"]["owner"] = place.clone().into();
        json["fault"]["text"] = sentence(&cell.info.fault, &scene).into();
    }
    Ok(Report::new(lines.join("\n"), json))
}

/// Names the CPU of a fault, and what is at its address.
fn scene(machine: Option<&Machine>, info: &Info, fault: &FaultRecord) -> (String, String) {
    let cpu = info.cpus.get(fault.cpu as usize);
    let mpidr = Mpidr::from_bits(cpu.map_or(0, |cpu| cpu.mpidr));
    match machine {
        Some(machine) => (machine.cpu(mpidr), machine.place(fault.ipa)),
        None => (
            format!("CPU {:#x}", mpidr.get()),
            "unknown owner".to_owned(),
        ),
    }
}

pub(super) fn cpu_state_name(state: u32) -> &'static str {
    match state {
        cpu_state::FIRMWARE => "off",
        cpu_state::GUEST => "running",
        cpu_state::PARKED => "waiting at EL2",
        cpu_state::DEAD => "dead by a bug of the hypervisor",
        cpu_state::WAKING => "waking",
        _ => "unknown",
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

//! Who has which memory, CPU, device and interrupt, as tables, as JSON and as a picture.

use std::collections::BTreeSet;

use bulkhead_model::addr::{Hpa, PAGE_SIZE};
use bulkhead_model::blob::SystemConfig;
use bulkhead_model::id::{CellId, Spi};
use bulkhead_model::ledger::Owner;
use serde_json::{Value, json};

use crate::machine::Machine;
use crate::report::{Bytes, table};
use crate::tree::Node;
use crate::tree::interrupts::{Interrupt, interrupts};
use crate::tree::reg::windows;

/// A range of RAM with one owner.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Memory {
    /// Physical address.
    pub base: u64,
    /// Bytes.
    pub size: u64,
    /// Whose.
    pub owner: String,
}

/// A CPU.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Cpu {
    /// Its node's name.
    pub name: String,
    /// Affinity.
    pub mpidr: u64,
    /// Whose.
    pub owner: String,
}

/// A device.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Device {
    /// Path of its node.
    pub path: String,
    /// Physical address of its first registers.
    pub base: u64,
    /// Bytes of them.
    pub size: u64,
    /// Its interrupts at the GIC.
    pub interrupts: Vec<u32>,
    /// Whose it is: the registers' owner.
    pub owner: String,
}

/// The whole machine.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Map {
    /// RAM in order.
    pub memory: Vec<Memory>,
    /// In the board's order.
    pub cpus: Vec<Cpu>,
    /// By address.
    pub devices: Vec<Device>,
}

impl Map {
    /// Draws it up.
    pub fn of(machine: &Machine, system: &SystemConfig) -> Self {
        let mut devices: Vec<Device> = machine
            .board
            .tree
            .nodes()
            .filter_map(|node| device(machine, node))
            .collect();
        devices.sort_by_key(|device| device.base);
        let cpu = |cpu: crate::board::BoardCpu<'_>| {
            let id = machine.ledger.cpu_by_mpidr(cpu.mpidr);
            Cpu {
                name: cpu.node.name().to_owned(),
                mpidr: cpu.mpidr.get(),
                owner: id.map_or("nobody".to_owned(), |id| {
                    machine.cell(machine.ledger.cpu_owner(id))
                }),
            }
        };
        Self {
            memory: memory(machine, system),
            cpus: machine
                .board
                .cpus()
                .unwrap_or_default()
                .into_iter()
                .map(cpu)
                .collect(),
            devices,
        }
    }

    /// Returns the owners, root first.
    pub fn owners(&self) -> Vec<&str> {
        let mut owners = vec!["root"];
        let memory = self.memory.iter().map(|memory| memory.owner.as_str());
        let cpus = self.cpus.iter().map(|cpu| cpu.owner.as_str());
        let devices = self.devices.iter().map(|device| device.owner.as_str());
        for owner in memory.chain(cpus).chain(devices) {
            if !owners.contains(&owner) {
                owners.push(owner);
            }
        }
        owners
    }

    /// Writes it as tables.
    pub fn to_text(&self) -> String {
        let cpus = self.cpus.iter().map(|cpu| {
            vec![
                cpu.name.clone(),
                format!("{:#x}", cpu.mpidr),
                cpu.owner.clone(),
            ]
        });
        let memory = self.memory.iter().map(|memory| {
            vec![
                range(memory.base, memory.size),
                Bytes(memory.size).to_string(),
                memory.owner.clone(),
            ]
        });
        let devices = self.devices.iter().map(|device| {
            vec![
                device.path.clone(),
                range(device.base, device.size),
                list(&device.interrupts),
                device.owner.clone(),
            ]
        });
        [
            table(&["CPU", "AFFINITY", "OWNER"], cpus.collect(), 9),
            table(&["MEMORY", "SIZE", "OWNER"], memory.collect(), 9),
            table(
                &["DEVICE", "REGISTERS", "INTERRUPTS", "OWNER"],
                devices.collect(),
                9,
            ),
        ]
        .join("\n\n")
    }

    /// The same for programs.
    pub fn to_json(&self) -> Value {
        json!({
            "cpus": self.cpus.iter().map(|c| json!({ "name": c.name, "mpidr": c.mpidr, "owner": c.owner })).collect::<Vec<_>>(),
            "memory": self.memory.iter().map(|m| json!({ "base": m.base, "size": m.size, "owner": m.owner })).collect::<Vec<_>>(),
            "devices": self.devices.iter().map(|d| json!({
                "path": d.path, "base": d.base, "size": d.size, "interrupts": d.interrupts, "owner": d.owner,
            })).collect::<Vec<_>>(),
        })
    }
}

/// Writes a range with its last address; an empty one with its first only.
pub fn range(base: u64, size: u64) -> String {
    match size.checked_sub(1) {
        Some(rest) => format!("{base:#010x}-{:#010x}", base.saturating_add(rest)),
        None => format!("{base:#010x}"),
    }
}

fn list(numbers: &[u32]) -> String {
    let texts: Vec<String> = numbers.iter().map(u32::to_string).collect();
    texts.join(",")
}

/// Cuts the RAM where its owner changes.
fn memory(machine: &Machine, system: &SystemConfig) -> Vec<Memory> {
    let ledger = &machine.ledger;
    let cells = ledger.holdings().flat_map(|(_, holding)| {
        holding
            .memory
            .iter()
            .chain(&holding.devices)
            .map(|window| window.hpa)
    });
    let edges: BTreeSet<u64> = ledger
        .not_roots()
        .chain(cells)
        .flat_map(|region| [region.base().0, region.end().0])
        .collect();
    let mut found: Vec<Memory> = Vec::new();
    for ram in &system.ram {
        let mut base = ram.base().0;
        while base < ram.end().0 {
            let next = edges.range(base + PAGE_SIZE..ram.end().0).next();
            let end = next.copied().unwrap_or(ram.end().0);
            let owner = owner(machine, base);
            match found.last_mut() {
                Some(last) if last.owner == owner && last.base + last.size == base => {
                    last.size += end - base;
                }
                _ => found.push(Memory {
                    base,
                    size: end - base,
                    owner,
                }),
            }
            base = end;
        }
    }
    found
}

fn owner(machine: &Machine, address: u64) -> String {
    match machine.ledger.owner(Hpa(address)) {
        Owner::Hypervisor => "hypervisor".to_owned(),
        Owner::Pool => "free for cells".to_owned(),
        Owner::Gic => "all, filtered".to_owned(),
        Owner::Absent => "nobody".to_owned(),
        Owner::Cell(id) => machine.cell(id),
    }
}

/// Returns what is known of a node that is a device of its own: it has registers that CPUs reach, and is in use.
fn device(machine: &Machine, node: Node<'_>) -> Option<Device> {
    let is_other = matches!(node.str("device_type"), Some("memory" | "cpu"))
        || node
            .ancestors()
            .any(|at| at.name() == "reserved-memory" || !at.is_enabled());
    if is_other || node.property("compatible").is_none() {
        return None;
    }
    let first = windows(node).ok()?.into_iter().find(|w| w.size != 0)?;
    let lines: Vec<u32> = interrupts(node)
        .unwrap_or_default()
        .iter()
        .filter_map(Interrupt::spi)
        .collect();
    let of_line = |line: &u32| {
        Some(
            machine
                .ledger
                .spi_owner(Spi::new(u16::try_from(*line).ok()?)?),
        )
    };
    // A cell may have the interrupts of a device alone.
    let other = lines
        .iter()
        .filter_map(of_line)
        .find(|id| *id != CellId::ROOT);
    let mut owner = owner(machine, first.base);
    if let Some(id) = other
        && machine.cell(id) != owner
    {
        owner = format!("{owner}; interrupts: {}", machine.cell(id));
    }
    Some(Device {
        path: node.path(),
        base: first.base,
        size: first.size,
        interrupts: lines,
        owner,
    })
}

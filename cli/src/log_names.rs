//! Names for the numbers in EL2's log: cells, CPUs, devices, functions. EL2 has none of these names.
//!
//! One rule: a record is of the cell that has the number now, or had it last; one that is older than that cell keeps its number.

use bulkhead_abi::info::Info;
use bulkhead_model::id::Mpidr;

use crate::fault::{deed, pc};
use crate::live::cell_name;
use crate::log::Entry;
use crate::machine::Machine;
use crate::store::Store;

/// What the numbers mean now.
#[derive(Debug)]
pub struct Names<'a> {
    /// What EL2 shows.
    pub info: &'a Info,
    /// The machine, where it could be made out.
    pub machine: Option<&'a Machine>,
    /// What is remembered.
    pub store: &'a Store,
}

impl Names<'_> {
    /// Puts names into records, which are in order.
    pub fn put(&self, entries: &mut [Entry]) {
        for index in 0..entries.len() {
            let is_made = |entry: &Entry| {
                let id = cell_of(&entries[index].message).map(|(id, _)| id);
                cell_of(&entry.message)
                    .is_some_and(|(other, rest)| Some(other) == id && rest == " created")
            };
            let is_old = entries[index + 1..].iter().any(is_made);
            if !is_old && let Some(message) = self.name(&entries[index].message) {
                entries[index].message = message;
            }
        }
    }

    /// Rewrites one message; `None` when there is nothing to be named.
    fn name(&self, message: &str) -> Option<String> {
        if let Some(rest) = message.strip_prefix("root: access (") {
            return self.root(rest);
        }
        let (id, rest) = cell_of(message)?;
        let cell = match cell_name(self.info, id) {
            none if none.is_empty() => self.store.former(id)?,
            cell => cell,
        };
        match rest.strip_prefix(": CPU ") {
            Some(fault) => self.fault(&cell, fault),
            None => Some(format!("cell {cell}{rest}")),
        }
    }

    /// `K) to 0xADDRESS refused, pc 0xPC`
    fn root(&self, rest: &str) -> Option<String> {
        let (kind, rest) = rest.split_once(") to ")?;
        let (address, at) = rest.split_once(" refused, pc ")?;
        let deed = deed(kind.parse().ok()?, None);
        let place = self.place(hex(address)?);
        Some(format!(
            "root: {deed} {address} ({place}) refused, at pc {at}"
        ))
    }

    /// `N stopped: fault K at 0xADDRESS, pc 0xPC`
    fn fault(&self, cell: &str, rest: &str) -> Option<String> {
        let (cpu, rest) = rest.split_once(" stopped: fault ")?;
        let (kind, rest) = rest.split_once(" at ")?;
        let (address, at) = rest.split_once(", pc ")?;
        let (address, at) = (hex(address)?, hex(at)?);
        let cpu = self.info.cpus.get(cpu.parse::<usize>().ok()?)?;
        let mpidr = Mpidr::from_bits(cpu.mpidr);
        let cpu = match self.machine {
            Some(machine) => machine.cpu(mpidr),
            None => format!("CPU {:#x}", mpidr.get()),
        };
        let deed = deed(kind.parse().ok()?, None);
        let address = match address {
            u64::MAX => "an unknown address".to_owned(),
            address => format!("{address:#010x} ({})", self.place(address)),
        };
        let at = pc(at, &self.store.symbols(cell));
        Some(format!(
            "cell {cell}, {cpu}: {deed} {address} at {at}; stopped"
        ))
    }

    fn place(&self, address: u64) -> String {
        let unknown = || "unknown owner".to_owned();
        self.machine
            .map_or_else(unknown, |machine| machine.place(address))
    }
}

/// Splits `cell N...`.
fn cell_of(message: &str) -> Option<(u64, &str)> {
    let rest = message.strip_prefix("cell ")?;
    let end = rest.find(|c: char| !c.is_ascii_digit())?;
    Some((
        rest[..end].parse().ok().filter(|id| *id != 0)?,
        &rest[end..],
    ))
}

fn hex(text: &str) -> Option<u64> {
    u64::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}

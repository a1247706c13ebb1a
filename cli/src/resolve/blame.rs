//! A refusal of the ledger or of EL2 in the words of the cell's file.

use bulkhead_abi::code;
use bulkhead_model::refused::Refused;

use super::{Device, Resolved};
use crate::cell_file::{CellFile, Memory};
use crate::error::ConfigError;
use crate::tree::reg::Window;

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
        let window = Window {
            base: window.hpa.0,
            size: window.size,
        };
        let owns = |device: &&Device<'_>| device.registers.iter().any(|r| r.overlaps(&window));
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
    let is_place = |address: u64| {
        let at = |memory: &Memory| memory.gpa == address;
        let placed = |memory: &Memory| memory.hpa == Some(address);
        cell.memory.iter().any(placed) && !cell.memory.iter().any(at)
    };
    let (property, node) = match refused.code() {
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
        // The only devices of a cell with registers there are those that the file names.
        code::DEVICE_IS_GIC if device_at(refused.a).is_none() => {
            let reason = "the cell sees the interrupt controller there: move the region";
            return cell
                .place
                .wrong("memory", format!("{:#x}: {reason}", refused.a));
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
        code::UNALIGNED | code::WRAPS | code::OVERLAPS_ITSELF if is_place(refused.a) => {
            ("memory-physical", None)
        }
        code::OVERLAPS_ITSELF
            if device_at(refused.b).is_some() && device_at(refused.a).is_none() =>
        {
            let path = device_at(refused.b).unwrap_or_default();
            let reason = format!(
                "the region at {:#x} lies over the cell's device {path} at {:#x}: move the region",
                refused.a, refused.b
            );
            return cell.place.wrong("memory", reason);
        }
        code::WRAPS if device_at(refused.a).is_some() => ("devices", device_at(refused.a)),
        code::UNALIGNED | code::WRAPS | code::EMPTY | code::OVERLAPS_ITSELF => ("memory", None),
        _ => ("", None),
    };
    let reason = node.map_or(refused.to_string(), |node| format!("{node}: {refused}"));
    cell.place.wrong(property, reason)
}

//! A small board, like QEMU's `virt` with 4 CPUs, for the tests of configurations.
//!
//! One rule: what is made here is good; a test spoils just what it is about.

use bulkhead_model::addr::{Gpa, Hpa, Region};
use bulkhead_model::blob::{
    CellConfig, Conduit, CpuConfig, Delivery, DeviceConfig, Heartbeat, MemoryConfig, Name,
    Placement, SystemConfig,
};
use bulkhead_model::id::{Mpidr, Spi};
use bulkhead_model::ledger::Ledger;

pub const MIB: u64 = 1 << 20;
pub const PAGE: u64 = 4096;
pub const GICD: u64 = 0x800_0000;
pub const GICR: u64 = 0x80a_0000;
pub const UART: u64 = 0x904_0000;
pub const RAM: u64 = 0x4000_0000;
pub const HV: u64 = 0x7000_0000;
pub const POOL: u64 = 0x7010_0000;
/// The pool ends before the RAM does: Linux has what follows.
pub const POOL_SIZE: u64 = 63 * MIB;
pub const RAM_SIZE: u64 = 1024 * MIB;
pub const PA_BITS: u8 = 40;

pub fn region(base: u64, size: u64) -> Region<Hpa> {
    Region::new(Hpa(base), size).expect("a good region")
}

pub fn spi(intid: u16) -> Spi {
    Spi::new(intid).expect("an SPI")
}

pub fn system() -> SystemConfig {
    SystemConfig {
        gicd: region(GICD, 0x1_0000),
        gicv2: None,
        gicrs: [region(GICR, 0x8_0000), region(0x40_0000_0000, 0x2_0000)]
            .into_iter()
            .collect(),
        cpus: (0..4)
            .map(|n| CpuConfig {
                mpidr: Mpidr::from_bits(n),
                online: true,
                release: None,
            })
            .collect(),
        ram: [region(RAM, RAM_SIZE)].into_iter().collect(),
        psci: Conduit::Smc,
    }
}

pub fn ledger() -> Ledger {
    Ledger::new(
        &system(),
        region(HV, MIB),
        Some(region(POOL, POOL_SIZE)),
        PA_BITS,
    )
    .expect("a good board")
}

/// CPU 3, 16 MiB at guest address 0, the second UART and its interrupt.
pub fn cell(name: &str) -> CellConfig {
    CellConfig {
        name: Name::new(name).expect("a good name"),
        cpus: [Mpidr::from_bits(3)].into_iter().collect(),
        memory: [memory(0, Placement::Pool, 16 * MIB)].into_iter().collect(),
        devices: [device(UART, UART, PAGE)].into_iter().collect(),
        spis: [spi(40)].into_iter().collect(),
        delivery: Delivery::Direct,
        heartbeat: Heartbeat::NONE,
        console: None,
    }
}

/// A cell that shares nothing with [`cell`] and wants as little as a cell can.
pub fn small_cell(name: &str, cpu: u64) -> CellConfig {
    CellConfig {
        cpus: [Mpidr::from_bits(cpu)].into_iter().collect(),
        memory: [memory(0, Placement::Pool, PAGE)].into_iter().collect(),
        devices: [].into_iter().collect(),
        spis: [].into_iter().collect(),
        ..cell(name)
    }
}

pub fn memory(gpa: u64, placement: Placement, size: u64) -> MemoryConfig {
    MemoryConfig {
        gpa: Gpa(gpa),
        placement,
        size,
    }
}

pub fn device(gpa: u64, hpa: u64, size: u64) -> DeviceConfig {
    DeviceConfig {
        gpa: Gpa(gpa),
        hpa: Hpa(hpa),
        size,
    }
}

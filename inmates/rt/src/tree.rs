//! What the device tree in x0 says: where RAM, console, timer and interrupt controller are.
//!
//! The command line makes the tree: a few nodes under the root, `reg` in physical addresses, interrupts of a GIC.

use arm_gic::IntId;
use fdt::Fdt;
use fdt::node::FdtNode;

use crate::uart::Kind;

/// The most ranges of RAM that a cell here has.
const MAX_RAM: usize = 4;

/// The cell's device tree.
#[derive(Clone, Copy)]
pub struct Tree {
    address: u64,
    fdt: Fdt<'static>,
    /// Read once: each access of a cell that tries what it must not do asks for it.
    ram: [Option<Range>; MAX_RAM],
}

/// A range of addresses.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Range {
    /// First address.
    pub base: u64,
    /// Bytes.
    pub size: u64,
}

/// The console that `/chosen` names.
#[derive(Clone, Copy, Debug)]
pub struct Uart {
    /// What it is.
    pub kind: Kind,
    /// Address of its registers.
    pub base: u64,
    /// Its interrupt.
    pub interrupt: Option<IntId>,
    /// Frequency of its clock, Hz.
    pub clock_hz: Option<u32>,
}

impl Tree {
    /// Reads the tree at that address.
    ///
    /// # Safety
    /// Unless 0, it must be the address of a device tree that nobody changes.
    ///
    /// # Panics
    /// When there is none, or more RAM in it than this knows what to do with.
    pub(crate) unsafe fn from_address(address: u64) -> Self {
        // SAFETY: handed on to the caller.
        let fdt = unsafe { Fdt::from_ptr(address as *const u8) };
        let fdt = fdt.expect("x0 is not the address of a device tree");
        let mut ranges = ram(&fdt);
        let ram = core::array::from_fn(|_| ranges.next());
        assert_eq!(ranges.next(), None, "more than {MAX_RAM} ranges of RAM");
        Self { address, fdt, ram }
    }

    /// Where it lies.
    pub fn address(&self) -> u64 {
        self.address
    }

    /// `/chosen`, `bootargs`; empty when there is none.
    pub fn boot_arguments(&self) -> &'static str {
        string(self.fdt.find_node("/chosen"), "bootargs").unwrap_or("")
    }

    /// How many CPUs the cell has.
    pub fn cpu_count(&self) -> usize {
        self.fdt.find_node("/cpus").map_or(1, |cpus| {
            cpus.children()
                .filter(|n| n.name.starts_with("cpu@"))
                .count()
        })
    }

    /// The cell's RAM.
    pub fn ram(&self) -> impl Iterator<Item = Range> {
        self.ram.into_iter().flatten()
    }

    /// The node that `/chosen` names in `stdout-path`.
    fn stdout(&self) -> Option<FdtNode<'_, 'static>> {
        let path = string(self.fdt.find_node("/chosen"), "stdout-path")?;
        self.fdt.find_node(path.split(':').next()?)
    }

    /// The ring that `/chosen` names.
    pub fn ring_console(&self) -> Option<Range> {
        let node = self.stdout()?;
        node.compatible()?
            .all()
            .find(|name| *name == "bulkhead,console")?;
        regions(node).next()
    }

    /// The UART that `/chosen` names.
    pub fn console(&self) -> Option<Uart> {
        let node = self.stdout()?;
        Some(Uart {
            kind: Kind::of(node.compatible()?.all())?,
            base: regions(node).next()?.base,
            interrupt: interrupt(node, 0),
            clock_hz: self.clock_hz(node),
        })
    }

    /// The virtual timer's interrupt: the third of the timer node (its binding: secure, non-secure, virtual, EL2).
    pub fn timer_interrupt(&self) -> Option<IntId> {
        interrupt(self.fdt.find_compatible(&["arm,armv8-timer"])?, 2)
    }

    /// The comm page, of a cell that has one.
    pub fn comm(&self) -> Option<Range> {
        regions(self.fdt.find_compatible(&["bulkhead,comm"])?).next()
    }

    /// Distributor and redistributors of the GICv3.
    pub fn gic(&self) -> Option<(Range, Range)> {
        let mut regions = regions(self.fdt.find_compatible(&["arm,gic-v3"])?);
        Some((regions.next()?, regions.next()?))
    }

    /// Distributor and CPU interface of the GICv2.
    pub fn gicv2(&self) -> Option<(Range, Range)> {
        let mut regions = regions(self.fdt.find_compatible(&["arm,gic-400"])?);
        Some((regions.next()?, regions.next()?))
    }

    /// Frequency of a device's first clock, where it is a fixed one.
    fn clock_hz(&self, node: FdtNode<'_, 'static>) -> Option<u32> {
        let clock = self.fdt.find_phandle(cell(node, "clocks", 0)?)?;
        cell(clock, "clock-frequency", 0)
    }
}

fn ram(fdt: &Fdt<'static>) -> impl Iterator<Item = Range> {
    let nodes = fdt
        .all_nodes()
        .filter(|node| string(Some(*node), "device_type") == Some("memory"));
    nodes.flat_map(|node| node.reg().into_iter().flatten().map(range))
}

fn range(region: fdt::standard_nodes::MemoryRegion) -> Range {
    Range {
        base: region.starting_address as u64,
        size: region.size.unwrap_or(0) as u64,
    }
}

fn regions(node: FdtNode<'_, 'static>) -> impl Iterator<Item = Range> {
    node.reg().into_iter().flatten().map(range)
}

fn string(node: Option<FdtNode<'_, 'static>>, name: &str) -> Option<&'static str> {
    node?
        .property(name)?
        .as_str()
        .map(|text| text.trim_end_matches('\0'))
}

/// Returns the cell of that index of a property.
fn cell(node: FdtNode<'_, 'static>, name: &str, index: usize) -> Option<u32> {
    let bytes = node.property(name)?.value.get(4 * index..4 * index + 4)?;
    Some(u32::from_be_bytes(bytes.try_into().ok()?))
}

/// Returns the interrupt of that index: three cells each, kind, number, flags (binding `arm,gic-v3`).
fn interrupt(node: FdtNode<'_, 'static>, index: usize) -> Option<IntId> {
    let number = cell(node, "interrupts", 3 * index + 1)?;
    match cell(node, "interrupts", 3 * index)? {
        0 => Some(IntId::spi(number)),
        1 => Some(IntId::ppi(number)),
        _ => None,
    }
}

//! The devices that a cell names, each with everything that hangs on it.
//!
//! One rule: what a device brings along is found through the tree, and what stays with Linux beside it is looked at:
//! a page or an interrupt that a device of Linux shares is refused, or nobody would own it.

use bulkhead_model::addr::PAGE_SIZE;

use super::find;
use crate::board::Board;
use crate::cell_file::CellFile;
use crate::error::ConfigError;
use crate::tree::Node;
use crate::tree::interrupts::{Interrupt, interrupts, is_gic, passed_on};
use crate::tree::reg::{Window, passed_down, windows};

/// More registers than any device has; what does not fit the blob is refused before it takes long.
const MAX_WINDOWS: usize = 1024;

/// A device of the board that goes to a cell.
#[derive(Clone, Debug)]
pub struct Device<'t> {
    /// Its node.
    pub node: Node<'t>,
    /// It and the enabled nodes below it.
    pub parts: Vec<Node<'t>>,
    /// The registers of its parts, in physical addresses; its own first.
    pub registers: Vec<Window>,
    /// The interrupts of its parts, as far as they are the GIC's; its own first.
    pub interrupts: Vec<Interrupt>,
    /// Parts whose interrupts do not come to the GIC, each with the reason.
    pub without_interrupts: Vec<(Node<'t>, String)>,
}

impl<'t> Device<'t> {
    /// Finds out what a node has, and what hangs on it.
    ///
    /// # Errors
    /// Why it cannot be given away, as the rest of a sentence about the node.
    pub(crate) fn read(node: Node<'t>) -> Result<Self, String> {
        if node.parent().is_none() {
            return Err("it is the whole board".to_owned());
        }
        if node.ancestors().any(is_gic) {
            return Err(GIC.to_owned());
        }
        let mut device = Self {
            node,
            parts: Vec::new(),
            registers: Vec::new(),
            interrupts: Vec::new(),
            without_interrupts: Vec::new(),
        };
        device.add(node, true)?;
        if device.registers.is_empty() && device.interrupts.is_empty() {
            return Err("it has neither registers nor interrupts to give".to_owned());
        }
        Ok(device)
    }

    /// Adds a part and all below it; `is_mapped` tells whether its `reg` are addresses of the CPUs.
    fn add(&mut self, part: Node<'t>, is_mapped: bool) -> Result<(), String> {
        let is_whole = part == self.node;
        let wrong = |reason: String| {
            if is_whole {
                reason
            } else {
                format!("{}, which hangs on it: {reason}", part.path())
            }
        };
        if is_gic(part) {
            return Err(wrong(GIC.to_owned()));
        }
        if matches!(part.str("device_type"), Some("cpu" | "memory")) {
            return Err(wrong(
                "it is not a device; CPUs go in 'cpus', memory in 'memory'".to_owned(),
            ));
        }
        if is_mapped {
            self.registers.extend(windows(part).map_err(wrong)?);
        }
        match interrupts(part) {
            Ok(list) => self.interrupts.extend(list),
            Err(reason) if is_whole => return Err(reason),
            Err(reason) => self.without_interrupts.push((part, reason)),
        }
        self.interrupts.extend(passed_on(part).map_err(wrong)?);
        let is_pci = is_pci(part);
        if is_pci && is_mapped {
            self.registers.extend(passed_down(part).map_err(wrong)?);
        }
        if self.registers.len() > MAX_WINDOWS {
            return Err(format!(
                "it has more than {MAX_WINDOWS} registers, which is the limit"
            ));
        }
        self.parts.push(part);
        let is_bus = is_mapped && !is_pci && part.property("ranges").is_some();
        part.children()
            .filter(|child| child.is_enabled())
            .try_for_each(|child| self.add(child, is_bus))
    }
}

const GIC: &str =
    "the interrupt controller cannot be given away; every cell has its own view of it";

/// Tells whether the node is a PCI host bridge, whose bus numbers its devices in a way of its own.
pub fn is_pci(node: Node<'_>) -> bool {
    node.str("device_type") == Some("pci")
}

/// Finds the devices of a cell.
pub(super) fn devices<'t>(
    cell: &CellFile,
    board: &'t Board,
) -> Result<Vec<Device<'t>>, ConfigError> {
    let mut devices: Vec<Device<'t>> = Vec::new();
    for name in &cell.devices {
        let wrong = |reason: String| cell.place.wrong("devices", format!("'{name}': {reason}"));
        let node = find(cell, board, "devices", name)?;
        if devices.iter().any(|device| device.node == node) {
            return Err(wrong("it is listed twice".to_owned()));
        }
        let has =
            |above: &Device<'_>, below: Node<'_>| below.ancestors().any(|at| at == above.node);
        let device = Device::read(node).map_err(wrong)?;
        let other = devices
            .iter()
            .find(|other| has(other, node) || has(&device, other.node));
        if let Some(other) = other {
            let other = other.node.path();
            return Err(wrong(format!(
                "it and '{other}' are one below the other; list the upper one only"
            )));
        }
        devices.push(device);
    }
    Ok(devices)
}

/// What stays with Linux beside the devices of a cell.
pub(crate) struct Beside<'t> {
    registers: Vec<(Window, Node<'t>)>,
    spis: Vec<(u32, Node<'t>)>,
}

impl<'t> Beside<'t> {
    pub(crate) fn new(board: &'t Board, devices: &[Device<'t>]) -> Self {
        let mut beside = Self {
            registers: Vec::new(),
            spis: Vec::new(),
        };
        let is_given = |node: Node<'_>| {
            node.ancestors()
                .any(|at| devices.iter().any(|given| given.node == at))
        };
        // RAM and the interrupt controller are the ledger's to defend; the `reg` of a bus is often all that it carries.
        let is_other = |node: &Node<'_>| {
            let is_ledgers = is_gic(*node) || node.str("device_type") == Some("memory");
            !is_given(*node) && !is_ledgers && !node.is_compatible("simple-bus")
        };
        for node in board.tree.nodes().filter(is_other) {
            for window in windows(node).unwrap_or_default() {
                beside.registers.push((window, node));
            }
            if is_used(node) {
                let raised = interrupts(node).unwrap_or_default();
                let spis = raised.iter().filter_map(Interrupt::spi);
                beside.spis.extend(spis.map(|spi| (spi, node)));
            }
        }
        beside
    }

    /// Returns the nodes that have registers in these pages; what is above the device only holds it.
    pub(crate) fn in_pages(
        &self,
        pages: Window,
        device: Node<'_>,
    ) -> impl Iterator<Item = Node<'t>> {
        let is_above = move |node: Node<'_>| device.ancestors().any(|at| at == node);
        self.registers
            .iter()
            .filter(move |(window, node)| window.overlaps(&pages) && !is_above(*node))
            .map(|(_, node)| *node)
    }

    /// Returns a node that raises the interrupt.
    pub(super) fn raises(&self, spi: u32) -> Option<Node<'t>> {
        let shares = |(other, _): &&(u32, Node<'t>)| *other == spi;
        self.spis.iter().find(shares).map(|(_, node)| *node)
    }
}

/// Tells whether Linux may use the node: neither it nor what it hangs on is disabled.
pub(crate) fn is_used(node: Node<'_>) -> bool {
    node.ancestors().all(Node::is_enabled)
}

/// Returns the whole pages around a window.
pub(crate) fn pages(window: Window) -> Option<Window> {
    let base = window.base / PAGE_SIZE * PAGE_SIZE;
    let end = window
        .base
        .checked_add(window.size)?
        .checked_next_multiple_of(PAGE_SIZE)?;
    (window.size != 0).then_some(Window {
        base,
        size: end - base,
    })
}

/// Adds a window to a list of windows that do not overlap; what would overlap becomes one.
pub(super) fn merge(list: &mut Vec<Window>, new: Window) {
    let mut all = new;
    while let Some(at) = list.iter().position(|other| other.overlaps(&all)) {
        let other = list.remove(at);
        let end = (all.base + all.size).max(other.base + other.size);
        all.base = all.base.min(other.base);
        all.size = end - all.base;
    }
    list.push(all);
}

//! The cell's devices, copied from the board's tree with everything below them.
//!
//! One rule: what points to a node that the cell has stays as it is, phandles too; what points elsewhere is left out,
//! but for clocks of a known frequency, which become fixed clocks. `resolve/warnings.rs` says what was left out.

use dtoolkit::model::DeviceTreeNode;

use super::{is_timer, reg, set};
use crate::board::Board;
use crate::resolve::{Resolved, is_pci};
use crate::tree::interrupts::{Interrupt, controller, interrupts, map_to_gic};
use crate::tree::references::{frequency, kind, references};
use crate::tree::reg::{Window, passed_down, windows};
use crate::tree::{Node, cells};

/// Properties that are written anew or make no sense outside of the board's tree.
const LEFT_OUT: [&str; 17] = [
    "status",
    "reg",
    "ranges",
    "dma-ranges",
    "interrupts",
    "interrupts-extended",
    "interrupt-parent",
    "interrupt-map",
    "interrupt-map-mask",
    "interrupt-affinity",
    "linux,phandle",
    "clocks",
    "clock-names",
    "assigned-clock-rates",
    "assigned-clock-parents",
    "iommu-map",
    "msi-map",
];

/// Where a copied node is: it decides what its `reg` means.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Place {
    /// Right below the root.
    Top,
    /// On a bus of the CPUs' addresses.
    OnBus,
    /// On a bus of its own kind.
    Off,
}

/// Copies devices of the board into the tree of a cell.
pub(super) struct Copier<'a, 't> {
    resolved: &'a Resolved<'t>,
    gic: u32,
    used: Vec<u32>,
    /// Fixed clocks: frequency, Hz, and phandle.
    clocks: Vec<(u32, u32)>,
}

impl<'a, 't> Copier<'a, 't> {
    pub(super) fn new(resolved: &'a Resolved<'t>, board: &Board) -> Self {
        let mut used: Vec<u32> = board.tree.phandles().collect();
        used.sort_unstable();
        let mut copier = Self {
            resolved,
            gic: 0,
            used,
            clocks: Vec::new(),
        };
        copier.gic = copier.fresh();
        copier
    }

    /// Returns the phandle of the cell's interrupt controller.
    pub(super) fn gic(&self) -> u32 {
        self.gic
    }

    /// Takes a phandle that no node of the board has.
    fn fresh(&mut self) -> u32 {
        let is_free = |number: &u32| self.used.binary_search(number).is_err();
        let number = (1..u32::MAX).find(is_free).unwrap_or(u32::MAX);
        let at = self.used.partition_point(|used| *used < number);
        self.used.insert(at, number);
        number
    }

    /// Adds all devices and the clocks they need; returns the path of the console.
    pub(super) fn add_devices(&mut self, root: &mut DeviceTreeNode) -> Option<String> {
        let resolved = self.resolved;
        let mut names: Vec<String> = Vec::new();
        let mut console = None;
        // The timer is there already.
        let devices = resolved.devices.iter();
        for device in devices.filter(|device| !is_timer(device.node)) {
            let mut name = name(device.node, Place::Top);
            while names.contains(&name) {
                name.push_str("-2");
            }
            if resolved.console == Some(device.node) {
                console = Some(format!("/{name}"));
            }
            root.add_child(self.copy(device.node, &name, Place::Top));
            names.push(name);
        }
        for (frequency, phandle) in &self.clocks {
            let mut node = DeviceTreeNode::new_unchecked(format!("clock-{frequency}"));
            set(&mut node, "compatible", "fixed-clock");
            set(&mut node, "#clock-cells", 0u32);
            set(&mut node, "clock-frequency", *frequency);
            set(&mut node, "phandle", *phandle);
            root.add_child(node);
        }
        console
    }

    fn copy(&mut self, node: Node<'t>, name: &str, place: Place) -> DeviceTreeNode {
        let mut copied = DeviceTreeNode::new_unchecked(name);
        for (property, value) in node.properties() {
            if !LEFT_OUT.contains(&property) && self.stays(node, property) {
                set(&mut copied, property, value);
            }
        }
        match windows(node) {
            Ok(list) if place != Place::Off && !list.is_empty() => {
                set(&mut copied, "reg", reg(&list));
            }
            _ if place == Place::Off => {
                if let Some(value) = node.property("reg") {
                    set(&mut copied, "reg", value);
                }
            }
            _ => {}
        }
        if node.property("interrupt-controller").is_some()
            && node.property("#address-cells").is_none()
        {
            // A controller's map has room for unit addresses unless it says that there are none.
            set(&mut copied, "#address-cells", 0u32);
        }
        self.add_interrupts(&mut copied, node, place);
        self.add_clocks(&mut copied, node);
        if is_pci(node) && place != Place::Off {
            self.add_pci(&mut copied, node);
        } else {
            self.add_children(&mut copied, node, place);
        }
        copied
    }

    fn add_children(&mut self, copied: &mut DeviceTreeNode, node: Node<'t>, place: Place) {
        let is_bus = place != Place::Off && node.property("ranges").is_some();
        let below = if is_bus { Place::OnBus } else { Place::Off };
        let children: Vec<_> = node.children().filter(|child| child.is_enabled()).collect();
        let addressed = children.iter().any(|child| child.property("reg").is_some());
        if is_bus {
            set(copied, "#address-cells", 2u32);
            set(copied, "#size-cells", 2u32);
            set(copied, "ranges", "".as_bytes());
        } else if !addressed && node.property("interrupt-controller").is_none() {
            copied.remove_property("#address-cells");
            copied.remove_property("#size-cells");
        }
        for child in children {
            let name = name(child, below);
            let child = self.copy(child, &name, below);
            copied.add_child(child);
        }
    }

    /// Tells whether a property means the same in the cell's tree: all that it points to is there.
    fn stays(&self, node: Node<'_>, property: &str) -> bool {
        if let Some(list) = property.strip_suffix("-names") {
            let of_list = |name: &str| kind(name).is_some() && node.property(name).is_some();
            let lists = [format!("{list}s"), list.to_owned(), format!("{list}-0")];
            return match lists.iter().find(|name| of_list(name)) {
                Some(list) => self.stays(node, list),
                // `pinctrl-names` without pins; `reg-names` and the like.
                None => list != "pinctrl",
            };
        }
        if property == "interrupt-controller" || property == "#interrupt-cells" {
            return !is_pci(node) || property != "interrupt-controller";
        }
        match kind(property) {
            None => true,
            Some(_) => references(node, property)
                .iter()
                .all(|reference| reference.target.is_some_and(|target| self.has(target))),
        }
    }

    /// Tells whether the cell has the node.
    fn has(&self, node: Node<'_>) -> bool {
        let devices = &self.resolved.devices;
        devices.iter().any(|device| device.parts.contains(&node))
    }

    fn add_interrupts(&self, copied: &mut DeviceTreeNode, node: Node<'_>, place: Place) {
        match interrupts(node) {
            Ok(list) if !list.is_empty() => {
                set(copied, "interrupts", interrupt_words(&list));
                // What is above may be a controller too.
                if place != Place::Top {
                    set(copied, "interrupt-parent", self.gic);
                }
            }
            Ok(_) => {}
            // Through a controller that the cell has.
            Err(_) => {
                if let Ok(controller) = controller(node)
                    && self.has(controller)
                    && let Some(phandle) = controller.u32("phandle")
                    && let Some(value) = node.property("interrupts")
                {
                    set(copied, "interrupts", value);
                    set(copied, "interrupt-parent", phandle);
                }
            }
        }
    }

    /// Adds the clocks, if the frequency of each that stays with Linux is known.
    fn add_clocks(&mut self, copied: &mut DeviceTreeNode, node: Node<'t>) {
        let mut words: Vec<u32> = Vec::new();
        for clock in references(node, "clocks") {
            let own = clock.target.filter(|target| self.has(*target));
            if let Some(phandle) = own.and_then(|target| target.u32("phandle")) {
                words.push(phandle);
                words.extend(&clock.cells);
            } else if let Some(frequency) = frequency(node, &clock) {
                words.push(self.clock(frequency));
            } else {
                return;
            }
        }
        if words.is_empty() {
            return;
        }
        set(copied, "clocks", words);
        if let Some(names) = node.property("clock-names") {
            set(copied, "clock-names", names);
        }
    }

    /// Returns the phandle of the fixed clock of that frequency.
    fn clock(&mut self, frequency: u32) -> u32 {
        let same = self.clocks.iter().find(|(other, _)| *other == frequency);
        if let Some((_, phandle)) = same {
            return *phandle;
        }
        let phandle = self.fresh();
        self.clocks.push((frequency, phandle));
        phandle
    }

    /// Adds what a PCI host bridge passes on in both directions.
    fn add_pci(&self, copied: &mut DeviceTreeNode, node: Node<'_>) {
        let lines = map_to_gic(node).unwrap_or_default();
        let words: Vec<u32> = lines
            .iter()
            .flat_map(|(from, to)| {
                let to = [self.gic, to.kind, to.number, to.flags];
                from.iter().copied().chain(to)
            })
            .collect();
        if !words.is_empty() {
            set(copied, "interrupt-map", words);
            if let Some(mask) = node.property("interrupt-map-mask") {
                set(copied, "interrupt-map-mask", mask);
            }
        }
        // The addresses on the bus are of three cells (PCI Bus Binding to IEEE 1275).
        let own = node.property("ranges").and_then(cells).unwrap_or_default();
        let above = passed_down(node).unwrap_or_default();
        let entry = own.len().checked_div(above.len()).unwrap_or(0);
        if entry < 3 {
            return;
        }
        let half = |word: u64| [(word >> 32) as u32, (word & 0xffff_ffff) as u32];
        let words: Vec<u32> = own
            .chunks_exact(entry)
            .zip(&above)
            .flat_map(|(own, Window { base, size })| {
                let rest = [half(*base), half(*size)].concat();
                own[..3].iter().copied().chain(rest)
            })
            .collect();
        set(copied, "#address-cells", 3u32);
        set(copied, "#size-cells", 2u32);
        set(copied, "ranges", words);
    }
}

/// The node's name with its physical address: two buses may have devices at the same offset.
fn name(node: Node<'_>, place: Place) -> String {
    let kind = node.name().split('@').next().unwrap_or_default();
    let own = windows(node).unwrap_or_default();
    match (place, own.first()) {
        (Place::Off, _) => node.name().to_owned(),
        (_, Some(first)) => format!("{kind}@{:x}", first.base),
        (_, None) => kind.to_owned(),
    }
}

/// Interrupts as the GIC's binding writes them.
pub(super) fn interrupt_words(interrupts: &[Interrupt]) -> Vec<u32> {
    interrupts
        .iter()
        .flat_map(|interrupt| [interrupt.kind, interrupt.number, interrupt.flags])
        .collect()
}

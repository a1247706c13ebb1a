//! Properties that point to other nodes: lists of phandles, each with as many cells as its target asks for.
//!
//! Devicetree Specification, "phandle"; the kernel's bindings for the names.

use super::{MAX_ENTRIES, Node, cells};

/// What a reference is good for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// A clock that has to run.
    Clock,
    /// A line that holds the device in reset.
    Reset,
    /// A power domain that has to be on.
    Power,
    /// A regulator that has to be on.
    Supply,
    /// The function of the device's pins.
    Pins,
    /// A line of a GPIO controller.
    Gpio,
    /// An IOMMU that the device's accesses to memory go through.
    Iommu,
    /// Anything else.
    Other,
}

/// Properties that are lists of references, what they are good for, and the property of the target that counts the
/// cells behind its phandle; empty for none.
const LISTS: [(&str, Kind, &str); 26] = [
    ("clocks", Kind::Clock, "#clock-cells"),
    ("assigned-clocks", Kind::Other, "#clock-cells"),
    ("assigned-clock-parents", Kind::Other, "#clock-cells"),
    ("resets", Kind::Reset, "#reset-cells"),
    ("power-domains", Kind::Power, "#power-domain-cells"),
    ("iommus", Kind::Iommu, "#iommu-cells"),
    ("dmas", Kind::Other, "#dma-cells"),
    ("mboxes", Kind::Other, "#mbox-cells"),
    ("interconnects", Kind::Other, "#interconnect-cells"),
    ("phys", Kind::Other, "#phy-cells"),
    ("pwms", Kind::Other, "#pwm-cells"),
    ("io-channels", Kind::Other, "#io-channel-cells"),
    ("hwlocks", Kind::Other, "#hwlock-cells"),
    ("thermal-sensors", Kind::Other, "#thermal-sensor-cells"),
    ("nvmem-cells", Kind::Other, "#nvmem-cell-cells"),
    ("sound-dai", Kind::Other, "#sound-dai-cells"),
    ("msi-parent", Kind::Other, "#msi-cells"),
    ("memory-region", Kind::Other, ""),
    ("operating-points-v2", Kind::Other, ""),
    ("phy-handle", Kind::Other, ""),
    ("phy", Kind::Other, ""),
    ("remote-endpoint", Kind::Other, ""),
    ("syscon", Kind::Other, ""),
    ("cpu-idle-states", Kind::Other, ""),
    ("next-level-cache", Kind::Other, ""),
    ("gpios", Kind::Gpio, "#gpio-cells"),
];

/// Returns what the property's references are good for; `None` when it has none that we know of.
pub fn kind(property: &str) -> Option<Kind> {
    list(property).map(|(kind, _)| kind)
}

fn list(property: &str) -> Option<(Kind, &'static str)> {
    if let Some((_, kind, cells)) = LISTS.iter().find(|(name, ..)| *name == property) {
        return Some((*kind, cells));
    }
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if property.strip_prefix("pinctrl-").is_some_and(is_number) {
        Some((Kind::Pins, ""))
    } else if property.ends_with("-supply") {
        Some((Kind::Supply, ""))
    } else if property.ends_with("-gpios") || property.ends_with("-gpio") {
        Some((Kind::Gpio, "#gpio-cells"))
    } else {
        None
    }
}

/// A reference: its target, `None` when no node has the phandle, and the cells behind.
#[derive(Clone, Debug)]
pub struct Reference<'t> {
    /// What it points to.
    pub target: Option<Node<'t>>,
    /// Which of the target's things.
    pub cells: Vec<u32>,
}

/// Returns the references of a property; what cannot be read ends the list with a reference to nothing.
pub fn references<'t>(node: Node<'t>, property: &str) -> Vec<Reference<'t>> {
    let nothing = Reference {
        target: None,
        cells: Vec::new(),
    };
    let (Some((_, count)), Some(value)) = (list(property), node.property(property)) else {
        return Vec::new();
    };
    let Some(words) = cells(value) else {
        return vec![nothing];
    };
    let mut rest = words.as_slice();
    let mut found = Vec::new();
    while let Some((phandle, tail)) = rest.split_first() {
        let target = node.tree().by_phandle(*phandle);
        // A phandle of zero is an empty place in the list.
        let wanted = target.and_then(|target| target.u32(count)).unwrap_or(0) as usize;
        let Some((cells, tail)) = tail.split_at_checked(wanted) else {
            found.push(nothing);
            break;
        };
        if *phandle != 0 {
            found.push(Reference {
                target,
                cells: cells.to_vec(),
            });
        }
        if found.len() > MAX_ENTRIES {
            break;
        }
        rest = tail;
    }
    found
}

/// Returns the frequency of a clock, Hz, where the board's tree states it.
pub fn frequency(node: Node<'_>, clock: &Reference<'_>) -> Option<u32> {
    let provider = clock.target?;
    if provider.is_compatible("fixed-clock") {
        return provider.u32("clock-frequency");
    }
    // What the device's own node asks Linux to set.
    let assigned = references(node, "assigned-clocks");
    let rates = node.property("assigned-clock-rates").and_then(cells)?;
    let asks = |at: &Reference<'_>| at.target == clock.target && at.cells == clock.cells;
    let rate = rates.get(assigned.iter().position(asks)?).copied();
    rate.filter(|rate| *rate != 0)
}

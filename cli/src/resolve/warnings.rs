//! What the cell's file may be right about, and its user should know: DMA that nothing contains, and clocks, resets,
//! power and pins that stay with Linux. Each warning says what to do.

use bulkhead_model::id::Mpidr;

use super::devices::{Device, is_pci};
use crate::board::BoardCpu;
use crate::cell_file::CellFile;
use crate::tree::interrupts::controller;
use crate::tree::references::{Kind, Reference, frequency, kind, references};
use crate::tree::{Node, strings};

/// Generic names (Devicetree Specification, "Generic Names Recommendation") of devices that reach memory by themselves.
const BUS_MASTERS: [&str; 18] = [
    "ahci",
    "can-dma",
    "crypto",
    "display-controller",
    "dma",
    "dma-controller",
    "ethernet",
    "gpu",
    "mmc",
    "nvme",
    "pci",
    "pcie",
    "sata",
    "sdhci",
    "ufs",
    "usb",
    "video-codec",
    "virtio_mmio",
];

/// Returns all that should be said about the cell's devices.
pub(super) fn warnings(
    cell: &CellFile,
    devices: &[Device<'_>],
    allowed: &[Node<'_>],
) -> Vec<String> {
    let is_given = |node: Node<'_>| devices.iter().any(|device| device.parts.contains(&node));
    let mut all = Vec::new();
    for device in devices {
        if !allowed.contains(&device.node)
            && let Some(part) = device.parts.iter().find(|part| does_dma(**part))
        {
            all.push(dma(*part));
        }
        for (part, reason) in &device.without_interrupts {
            if controller(*part).is_ok_and(is_given) {
                continue;
            }
            all.push(format!(
                "{}: {reason}; the cell's tree has no interrupt for it",
                part.path()
            ));
        }
        for part in &device.parts {
            pointed_to(*part, is_given, &mut all);
        }
    }
    if cell.devices.is_empty() {
        return Vec::new();
    }
    all
}

/// Says of a cell whose CPUs are not of one kind which they are, by what its first one is.
pub(super) fn kinds(board: &[BoardCpu<'_>], chosen: &[Mpidr]) -> Option<String> {
    let kind = |cpu: &BoardCpu<'_>| {
        let names = cpu.node.property("compatible").and_then(strings);
        names.and_then(|names| names.first().map(|name| (*name).to_owned()))
    };
    let find = |mpidr: &Mpidr| board.iter().find(|cpu| cpu.mpidr == *mpidr);
    let cpus: Vec<_> = chosen.iter().filter_map(find).collect();
    let first = kind(cpus.first()?)?;
    let other = cpus.iter().find(|cpu| kind(cpu).as_ref() != Some(&first))?;
    Some(format!(
        "cpus: {} is '{first}', {} is '{}': software that takes its CPUs to be alike may not run right; name CPUs of one kind",
        cpus.first()?.node.path(),
        other.node.path(),
        kind(other).unwrap_or_default()
    ))
}

/// Tells whether the tree shows that a device writes to memory by itself.
fn does_dma(node: Node<'_>) -> bool {
    let shows = [
        "dma-coherent",
        "iommus",
        "iommu-map",
        "#dma-cells",
        "dma-channels",
    ];
    let name = node.name().split('@').next().unwrap_or_default();
    is_pci(node)
        || shows.iter().any(|name| node.property(name).is_some())
        || BUS_MASTERS.contains(&name)
}

fn dma(node: Node<'_>) -> String {
    let has_iommu = ["iommus", "iommu-map"]
        .iter()
        .any(|name| node.property(name).is_some());
    let behind = if has_iommu {
        "its IOMMU is not programmed by this version"
    } else {
        "no IOMMU is in front of it"
    };
    format!(
        "{}: it reaches memory by itself (DMA), {behind}: the cell can reach all memory through it; \
         list it in 'allow-dma' if that is meant",
        node.path()
    )
}

/// Says what a node of the cell points to that stays with Linux.
fn pointed_to(node: Node<'_>, is_given: impl Fn(Node<'_>) -> bool, all: &mut Vec<String>) {
    for (property, _) in node.properties() {
        let Some(kind) = kind(property) else { continue };
        for (number, reference) in references(node, property).iter().enumerate() {
            let Some(target) = reference.target else {
                all.push(format!(
                    "{}: its '{property}' points to nothing; it is left out of the cell's tree",
                    node.path()
                ));
                break;
            };
            // Pins are described below their controller.
            if target.ancestors().any(&is_given) {
                continue;
            }
            if let Some(said) = remedy(node, property, kind, number, reference, target) {
                let said = format!("{}: {said}", node.path());
                if !all.contains(&said) {
                    all.push(said);
                }
            }
        }
    }
}

fn remedy(
    node: Node<'_>,
    property: &str,
    kind: Kind,
    number: usize,
    reference: &Reference<'_>,
    target: Node<'_>,
) -> Option<String> {
    let path = target.path();
    Some(match kind {
        Kind::Clock if target.is_compatible("fixed-clock") => return None,
        Kind::Clock => {
            let names = node.property("clock-names").and_then(strings);
            let name = names.and_then(|names| names.get(number).copied());
            let name = name.map_or_else(|| number.to_string(), |name| format!("'{name}'"));
            let rate = match frequency(node, reference) {
                Some(rate) => format!("at its {rate} Hz"),
                None => "at its rate, which the board's tree does not state: the cell's tree has no 'clocks' for it".to_owned(),
            };
            format!(
                "its clock {name} is of {path}, which stays with Linux: boot Linux with 'clk_ignore_unused', so that it runs on {rate}"
            )
        }
        Kind::Reset => format!(
            "its reset is of {path}, which stays with Linux: the cell cannot reset it, and nothing else may"
        ),
        Kind::Power => format!(
            "its power domain is of {path}, which stays with Linux: boot Linux with 'pd_ignore_unused', so that it stays on"
        ),
        Kind::Supply => format!(
            "its '{property}' is {path}, which stays with Linux: boot Linux with 'regulator_ignore_unused', so that it stays on"
        ),
        Kind::Pins if property == "pinctrl-0" => format!(
            "its pins are set by {path}, which stays with Linux: they have to be set before the cell starts, by firmware or by Linux's driver of the device"
        ),
        Kind::Pins => return None,
        Kind::Gpio => format!(
            "its '{property}' is of {path}, which stays with Linux: it is left out of the cell's tree; set the line before the cell starts"
        ),
        // Said as DMA.
        Kind::Iommu => return None,
        Kind::Other if property.starts_with("assigned-clock") => return None,
        Kind::Other => format!(
            "its '{property}' is of {path}, which stays with Linux: it is left out of the cell's tree"
        ),
    })
}

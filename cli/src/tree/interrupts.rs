//! `interrupts`: which interrupts of the board's GIC a device raises, through whatever nexus is in between.
//!
//! Devicetree Specification, "Interrupts and Interrupt Mapping"; cells as in the binding "arm,gic-v3".

use super::{MAX_ENTRIES, Node, cells, entries};

/// One interrupt as the GIC's binding writes it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Interrupt {
    /// 0 = SPI, 1 = PPI, 2 and 3 the extended ranges.
    pub kind: u32,
    /// Number within its kind, at most `LAST_SPI` or `LAST_PPI`.
    pub number: u32,
    /// Trigger.
    pub flags: u32,
}

impl Interrupt {
    /// A shared peripheral interrupt.
    pub const SPI: u32 = 0;
    /// A private peripheral interrupt: every CPU has its own.
    pub const PPI: u32 = 1;

    /// Returns the interrupt's number at the GIC when it is an SPI.
    pub fn spi(&self) -> Option<u32> {
        (self.kind == Self::SPI).then_some(self.number + 32)
    }
}

/// The last SPI and PPI in the numbers of the GIC's binding (Arm IHI 0069, "INTIDs").
const LAST_SPI: u32 = 1019 - 32;
const LAST_PPI: u32 = 31 - 16;
/// More nexuses in a row than any board has; ends a tree whose controllers name each other.
const MAX_HOPS: usize = 16;
/// More cells than any interrupt or address has.
const MAX_CELLS: u32 = 8;

/// What nodes of a GICv3 are compatible with.
pub const GIC_V3: &str = "arm,gic-v3";
/// What nodes of a GICv2 with virtualization extensions are compatible with (binding "arm,gic").
pub const GICS_V2: [&str; 3] = ["arm,gic-400", "arm,cortex-a15-gic", "arm,cortex-a7-gic"];

/// Tells whether the node is a GIC whose interrupts we can hand out.
pub fn is_gic(node: Node<'_>) -> bool {
    node.is_compatible(GIC_V3) || GICS_V2.iter().any(|name| node.is_compatible(name))
}

/// Controllers in front of a GIC that hand it each interrupt under the number that they are told, and besides only wake
/// CPUs by it (the kernel's bindings "nvidia,tegra20-ictlr" and "fsl,imx-gpcv2").
const IN_FRONT: [&str; 3] = [
    "nvidia,tegra210-ictlr",
    "nvidia,tegra30-ictlr",
    "fsl,imx8mq-gpc",
];

/// Returns the node's interrupts; none when it raises none.
///
/// # Errors
/// What is wrong, as the rest of a sentence about the node.
pub fn interrupts(node: Node<'_>) -> Result<Vec<Interrupt>, String> {
    let hops = match (
        node.property("interrupts-extended"),
        node.property("interrupts"),
    ) {
        (Some(value), _) => extended(node, value)?,
        (None, Some(value)) => plain(node, value)?,
        (None, None) => Vec::new(),
    };
    hops.into_iter().map(Hop::at_gic).collect()
}

/// Returns the interrupts that the node passes on from what hangs on it: the GIC's side of its `interrupt-map`.
///
/// # Errors
/// What is wrong, as the rest of a sentence about the node.
pub fn passed_on(node: Node<'_>) -> Result<Vec<Interrupt>, String> {
    Ok(map_to_gic(node)?.into_iter().map(|(_, to)| to).collect())
}

/// Returns the lines of the node's `interrupt-map`: unit address and interrupt below it, interrupt at the GIC.
///
/// # Errors
/// What is wrong, as the rest of a sentence about the node.
pub fn map_to_gic(node: Node<'_>) -> Result<Vec<(Vec<u32>, Interrupt)>, String> {
    if node.property("interrupt-map").is_none() || node.property("interrupt-controller").is_some() {
        return Ok(Vec::new());
    }
    let to_gic = |entry: Entry<'_>| Ok((entry.from, entry.to.at_gic()?));
    map(node)?.into_iter().map(to_gic).collect()
}

/// An interrupt on its way: what a controller is told.
#[derive(Clone, Debug)]
struct Hop<'t> {
    controller: Node<'t>,
    /// Address of what raises it, as far as the controller looks at it.
    unit: Vec<u32>,
    specifier: Vec<u32>,
}

impl Hop<'_> {
    fn at_gic(self) -> Result<Interrupt, String> {
        let first = self.controller.path();
        let mut hop = self;
        for _ in 0..MAX_HOPS {
            let at = hop.controller;
            if is_gic(at) {
                return one(&hop.specifier);
            }
            if IN_FRONT.iter().any(|name| at.is_compatible(name)) {
                hop.controller = controller(at)?;
                continue;
            }
            // Some controllers have a map beside, in a form of their own (Linux, of_irq_imap_abusers).
            if at.property("interrupt-controller").is_some() {
                return Err(format!(
                    "its interrupts go through {}, which is not the GIC; they cannot be given away",
                    at.path()
                ));
            }
            if at.property("interrupt-map").is_some() {
                hop = hop.through_map()?;
            } else {
                hop.controller = controller(at)?;
            }
        }
        Err(format!(
            "its interrupts go in a circle that begins at {first}"
        ))
    }

    fn through_map(self) -> Result<Self, String> {
        let nexus = self.controller;
        let key: Vec<u32> = self.unit.iter().chain(&self.specifier).copied().collect();
        let mask = nexus.property("interrupt-map-mask").and_then(cells);
        let mask = mask.unwrap_or_else(|| vec![u32::MAX; key.len()]);
        let is_ours = |entry: &Entry<'_>| {
            let pairs = entry.from.iter().zip(&key).zip(&mask);
            entry.from.len() == key.len()
                && mask.len() == key.len()
                && pairs
                    .into_iter()
                    .all(|((from, key), mask)| from & mask == key & mask)
        };
        match map(nexus)?.into_iter().find(is_ours) {
            Some(entry) => Ok(entry.to),
            None => Err(format!(
                "its interrupt {key:x?} is not in 'interrupt-map' of {}",
                nexus.path()
            )),
        }
    }
}

/// One line of an `interrupt-map`.
struct Entry<'t> {
    /// Unit address and specifier on the side of the devices.
    from: Vec<u32>,
    to: Hop<'t>,
}

fn map(nexus: Node<'_>) -> Result<Vec<Entry<'_>>, String> {
    let path = nexus.path();
    let wrong = |reason: &str| format!("'interrupt-map' of {path} {reason}");
    let words = nexus.property("interrupt-map").and_then(cells);
    let words = words.ok_or_else(|| wrong("is not whole cells"))?;
    let key = unit_cells(nexus)? + interrupt_cells(nexus)?;
    let mut rest = words.as_slice();
    let mut found = Vec::new();
    while !rest.is_empty() {
        let cut = || wrong("ends in the middle of an entry");
        let (from, tail) = rest.split_at_checked(key).ok_or_else(cut)?;
        let (phandle, tail) = tail.split_first().ok_or_else(cut)?;
        let controller = nexus.tree().by_phandle(*phandle).ok_or_else(|| {
            wrong(&format!(
                "names the phandle {phandle:#x}, which no node has"
            ))
        })?;
        // A parent without the property has no unit addresses (Linux, of_irq_parse_raw).
        let unit_size = match controller.property("#address-cells") {
            Some(_) => unit_cells(controller)?,
            None => 0,
        };
        let (unit, tail) = tail.split_at_checked(unit_size).ok_or_else(cut)?;
        let (specifier, tail) = tail
            .split_at_checked(interrupt_cells(controller)?)
            .ok_or_else(cut)?;
        found.push(Entry {
            from: from.to_vec(),
            to: Hop {
                controller,
                unit: unit.to_vec(),
                specifier: specifier.to_vec(),
            },
        });
        if found.len() > MAX_ENTRIES {
            return Err(wrong(&format!(
                "has more entries than the limit of {MAX_ENTRIES}"
            )));
        }
        rest = tail;
    }
    Ok(found)
}

fn plain<'t>(node: Node<'t>, value: &[u8]) -> Result<Vec<Hop<'t>>, String> {
    let controller = controller(node)?;
    let unit = unit_of(node, controller)?;
    let list = entries(value, interrupt_cells(controller)?);
    let list = list.map_err(|reason| format!("its 'interrupts' {reason}"))?;
    Ok(list
        .into_iter()
        .map(|specifier| Hop {
            controller,
            unit: unit.clone(),
            specifier,
        })
        .collect())
}

fn extended<'t>(node: Node<'t>, value: &[u8]) -> Result<Vec<Hop<'t>>, String> {
    let Some(words) = cells(value) else {
        return Err("its 'interrupts-extended' are not whole cells".to_owned());
    };
    let mut rest = words.as_slice();
    let mut found = Vec::new();
    while let Some((phandle, tail)) = rest.split_first() {
        // An empty place in the list.
        if *phandle == 0 {
            rest = tail;
            continue;
        }
        let Some(controller) = node.tree().by_phandle(*phandle) else {
            return Err(format!(
                "its 'interrupts-extended' name the phandle {phandle:#x}, which no node has"
            ));
        };
        let Some((specifier, tail)) = tail.split_at_checked(interrupt_cells(controller)?) else {
            return Err("its 'interrupts-extended' end in the middle of an interrupt".to_owned());
        };
        found.push(Hop {
            controller,
            unit: unit_of(node, controller)?,
            specifier: specifier.to_vec(),
        });
        if found.len() > MAX_ENTRIES {
            return Err(format!(
                "its 'interrupts-extended' have more entries than the limit of {MAX_ENTRIES}"
            ));
        }
        rest = tail;
    }
    Ok(found)
}

/// Returns the node's unit address as a nexus compares it: the first cells of its `reg`.
fn unit_of(node: Node<'_>, controller: Node<'_>) -> Result<Vec<u32>, String> {
    if is_gic(controller) {
        return Ok(Vec::new());
    }
    let mut unit = node.property("reg").and_then(cells).unwrap_or_default();
    unit.resize(unit_cells(controller)?, 0);
    Ok(unit)
}

/// Returns the interrupt controller that serves the node.
///
/// # Errors
/// What is wrong, as the rest of a sentence about the node.
pub fn controller(node: Node<'_>) -> Result<Node<'_>, String> {
    for at in node.ancestors() {
        if let Some(value) = at.property("interrupt-parent") {
            let phandle = at.u32("interrupt-parent");
            return phandle
                .and_then(|phandle| node.tree().by_phandle(phandle))
                .ok_or_else(|| {
                    format!(
                        "'interrupt-parent' of {} is {value:02x?}, which no node has as phandle",
                        at.path()
                    )
                });
        }
        let is_above = at != node;
        if is_above
            && (at.property("interrupt-controller").is_some()
                || at.property("interrupt-map").is_some())
        {
            return Ok(at);
        }
    }
    Err("it has 'interrupts' but no 'interrupt-parent'".to_owned())
}

fn interrupt_cells(controller: Node<'_>) -> Result<usize, String> {
    let path = controller.path();
    match controller.u32("#interrupt-cells") {
        Some(count @ 3..=4) => Ok(count as usize),
        Some(count @ 1..=MAX_CELLS) if !is_gic(controller) => Ok(count as usize),
        Some(count) => Err(format!("#interrupt-cells of {path} is {count}")),
        None => Err(format!(
            "{path}, which its interrupts go to, has no #interrupt-cells"
        )),
    }
}

/// The count for unit addresses: the node's own or the nearest above it (Linux, of_irq_parse_raw).
fn unit_cells(controller: Node<'_>) -> Result<usize, String> {
    let stated = controller
        .ancestors()
        .find(|node| node.property("#address-cells").is_some());
    match stated.map(|node| (node, node.u32("#address-cells"))) {
        None => Ok(2),
        Some((_, Some(count @ 0..=MAX_CELLS))) => Ok(count as usize),
        Some((node, _)) => Err(format!("#address-cells of {} is out of range", node.path())),
    }
}

fn one(words: &[u32]) -> Result<Interrupt, String> {
    match *words {
        [Interrupt::SPI, number @ 0..=LAST_SPI, flags, ..]
        | [Interrupt::PPI, number @ 0..=LAST_PPI, flags, ..] => Ok(Interrupt {
            kind: words[0],
            number,
            flags,
        }),
        [kind @ 0..=1, number, ..] => Err(format!(
            "its interrupt <{kind} {number}> does not exist: the last are <0 {LAST_SPI}> and <1 {LAST_PPI}>"
        )),
        [kind, number, ..] => Err(format!(
            "its interrupt <{kind} {number}> is of the extended range"
        )),
        _ => Err("an interrupt of less than three cells".to_owned()),
    }
}

//! `interrupts`: which shared peripheral interrupts of the board's GIC a device raises.
//!
//! Devicetree Specification, "Interrupts and Interrupt Mapping"; cells as in the binding "arm,gic-v3".

use super::{Node, cells};

/// One interrupt as the GIC's binding writes it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Interrupt {
    /// 0 = SPI, 1 = PPI, 2 and 3 the extended ranges.
    pub kind: u32,
    /// Number within its kind.
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
        (self.kind == Self::SPI)
            .then(|| self.number.checked_add(32))
            .flatten()
    }
}

/// Tells whether the node is a GIC whose interrupts we can hand out.
pub fn is_gic(node: Node<'_>) -> bool {
    ["arm,gic-v3", "arm,gic-400", "arm,cortex-a15-gic"]
        .iter()
        .any(|name| node.is_compatible(name))
}

/// Returns the node's interrupts; none when it raises none.
///
/// # Errors
/// What is wrong, as the rest of a sentence about the node.
pub fn interrupts(node: Node<'_>) -> Result<Vec<Interrupt>, String> {
    if let Some(value) = node.property("interrupts-extended") {
        return extended(node, value);
    }
    let Some(value) = node.property("interrupts") else {
        return Ok(Vec::new());
    };
    let controller = controller(node)?;
    let Some(words) = cells(value) else {
        return Err("its 'interrupts' are not whole cells".to_owned());
    };
    let size = gic_cells(controller)?;
    if words.len() % size != 0 {
        return Err(format!(
            "its 'interrupts' are not a multiple of {size} cells"
        ));
    }
    words.chunks_exact(size).map(one).collect()
}

fn extended(node: Node<'_>, value: &[u8]) -> Result<Vec<Interrupt>, String> {
    let Some(words) = cells(value) else {
        return Err("its 'interrupts-extended' are not whole cells".to_owned());
    };
    let mut rest = words.as_slice();
    let mut found = Vec::new();
    while let Some((phandle, tail)) = rest.split_first() {
        let Some(controller) = node.tree().by_phandle(*phandle) else {
            return Err(format!(
                "its 'interrupts-extended' name the phandle {phandle:#x}, which no node has"
            ));
        };
        let Some((interrupt, tail)) = tail.split_at_checked(gic_cells(controller)?) else {
            return Err("its 'interrupts-extended' end in the middle of an interrupt".to_owned());
        };
        found.push(one(interrupt)?);
        rest = tail;
    }
    Ok(found)
}

/// Returns the interrupt controller that serves the node.
fn controller(node: Node<'_>) -> Result<Node<'_>, String> {
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

fn gic_cells(controller: Node<'_>) -> Result<usize, String> {
    if !is_gic(controller) {
        let path = controller.path();
        return Err(format!(
            "its interrupts go through {path}, which is not the GIC; they cannot be given away"
        ));
    }
    match controller.u32("#interrupt-cells") {
        Some(count @ 3..=4) => Ok(count as usize),
        other => Err(format!(
            "#interrupt-cells of the GIC {} is {other:?}, not 3 or 4",
            controller.path()
        )),
    }
}

fn one(words: &[u32]) -> Result<Interrupt, String> {
    match *words {
        [kind @ 0..=1, number, flags, ..] => Ok(Interrupt {
            kind,
            number,
            flags,
        }),
        [kind, number, ..] => Err(format!(
            "its interrupt <{kind} {number}> is of the extended range"
        )),
        _ => Err("an interrupt of less than three cells".to_owned()),
    }
}

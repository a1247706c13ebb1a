//! `reg` and `ranges`: where a device is, in the CPUs' physical addresses.
//!
//! Devicetree Specification, "reg" and "ranges".

use super::{Node, entries, number};

/// A range of physical addresses, as the tree states it; may be empty or wrap.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Window {
    /// Lowest address.
    pub base: u64,
    /// Bytes.
    pub size: u64,
}

impl Window {
    /// Tells whether the two share an address.
    pub fn overlaps(&self, other: &Self) -> bool {
        let end = |window: &Self| u128::from(window.base) + u128::from(window.size);
        u128::from(self.base) < end(other) && u128::from(other.base) < end(self)
    }
}

/// Returns the windows of the node's `reg` in physical addresses; none when it has no `reg`.
///
/// # Errors
/// What is wrong, as the rest of a sentence about the node.
pub fn windows(node: Node<'_>) -> Result<Vec<Window>, String> {
    let Some(value) = node.property("reg") else {
        return Ok(Vec::new());
    };
    let Some(bus) = node.parent() else {
        return Err("the root node has a 'reg'".to_owned());
    };
    let (address_cells, size_cells) = (address_cells(bus)?, size_cells(bus)?);
    entries(value, address_cells + size_cells)
        .map_err(|reason| format!("its 'reg' {reason}"))?
        .iter()
        .map(|entry| one_window(node, bus, entry.split_at(address_cells)))
        .collect()
}

/// Returns the windows that a bus passes on to what hangs on it, in physical addresses: the other side of its `ranges`.
///
/// # Errors
/// What is wrong, as the rest of a sentence about the node.
pub fn passed_down(bus: Node<'_>) -> Result<Vec<Window>, String> {
    let (Some(value), Some(above)) = (bus.property("ranges"), bus.parent()) else {
        return Ok(Vec::new());
    };
    let (child_cells, parent_cells, size_cells) =
        (address_cells(bus)?, address_cells(above)?, size_cells(bus)?);
    if value.is_empty() {
        return Ok(Vec::new());
    }
    entries(value, child_cells + parent_cells + size_cells)
        .map_err(|reason| format!("its 'ranges' {reason}"))?
        .iter()
        .map(|entry| {
            let (base, size) = entry[child_cells..].split_at(parent_cells);
            one_window(bus, above, (base, size))
        })
        .collect()
}

fn one_window(
    node: Node<'_>,
    bus: Node<'_>,
    (base, size): (&[u32], &[u32]),
) -> Result<Window, String> {
    let (Some(base), Some(size)) = (number(base), number(size)) else {
        return Err(format!(
            "'reg' on the bus {} is not memory-mapped",
            bus.path()
        ));
    };
    bus.ancestors()
        .filter(|bus| bus.parent().is_some())
        .try_fold(Window { base, size }, |window, bus| {
            translate(bus, window).map_err(|reason| format!("'reg' of {}: {reason}", node.path()))
        })
}

/// Turns an address on the bus into one on the bus above.
fn translate(bus: Node<'_>, window: Window) -> Result<Window, String> {
    let Some(value) = bus.property("ranges") else {
        return Err(format!("the bus {} has no 'ranges'", bus.path()));
    };
    if value.is_empty() {
        return Ok(window);
    }
    let above = bus.parent().unwrap_or(bus);
    let (child_cells, parent_cells, size_cells) =
        (address_cells(bus)?, address_cells(above)?, size_cells(bus)?);
    let entries = entries(value, child_cells + parent_cells + size_cells)
        .map_err(|reason| format!("'ranges' of {} {reason}", bus.path()))?;
    let found = entries.iter().find_map(|entry| {
        let (child, rest) = entry.split_at(child_cells);
        let (parent, size) = rest.split_at(parent_cells);
        let (child, parent, size) = (number(child)?, number(parent)?, number(size)?);
        let offset = window.base.checked_sub(child)?;
        let fits = offset.checked_add(window.size)? <= size;
        let base = parent.checked_add(offset)?;
        fits.then_some(Window {
            base,
            size: window.size,
        })
    });
    found.ok_or_else(|| format!("{:#x} is in no 'ranges' of {}", window.base, bus.path()))
}

fn address_cells(bus: Node<'_>) -> Result<usize, String> {
    cell_count(bus, "#address-cells", 2)
}

fn size_cells(bus: Node<'_>) -> Result<usize, String> {
    cell_count(bus, "#size-cells", 1)
}

/// Counts that the specification and PCI know; bounded, so that sums of them are too.
fn cell_count(bus: Node<'_>, name: &str, default: usize) -> Result<usize, String> {
    match bus.property(name).map(|_| bus.u32(name)) {
        None => Ok(default),
        Some(Some(count @ 1..=3)) => Ok(count as usize),
        Some(Some(0)) if name == "#size-cells" => Ok(0),
        Some(count) => {
            let found = count.map_or("not one cell".to_owned(), |count| count.to_string());
            Err(format!("{name} of {} is {found}, not 1 to 3", bus.path()))
        }
    }
}

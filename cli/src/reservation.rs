//! The memory that a board's tree reserves for Bulkhead: the node compatible with "bulkhead,memory".
//!
//! One rule: what is good here is good for the module (`loader-module/memory.c`), which uses the whole node, the
//! hypervisor's own part first.

use bulkhead_model::addr::{Hpa, PAGE_SIZE, Region};

use crate::board::Board;
use crate::error::{ConfigError, Place};
use crate::tree::Node;
use crate::tree::reg::{Window, windows};

/// What the node is compatible with.
pub const COMPATIBLE: &str = "bulkhead,memory";

/// Memory that is Bulkhead's from the start.
#[derive(Clone, Copy, Debug)]
pub struct Reservation<'t> {
    /// Its node.
    pub node: Node<'t>,
    /// All of it.
    pub region: Region<Hpa>,
}

/// Returns the board's reservation, when it has one.
///
/// # Errors
/// It is none that the module could use, or somebody else's memory.
pub fn reservation(board: &Board) -> Result<Option<Reservation<'_>>, ConfigError> {
    let is_ours = |node: &Node<'_>| node.is_compatible(COMPATIBLE) && node.is_enabled();
    let mut ours = board.tree.nodes().filter(is_ours);
    let Some(node) = ours.next() else {
        return Ok(None);
    };
    let place = board.place(node);
    if let Some(other) = ours.next() {
        let reason = format!("{} is there already, and only one is used", node.path());
        return Err(board.place(other).wrong("compatible", reason));
    }
    if node.parent().map(Node::path).as_deref() != Some("/reserved-memory") {
        return Err(place.wrong("", "Linux looks for reservations in /reserved-memory only"));
    }
    if node.property("no-map").is_none() {
        return Err(place.wrong("no-map", "it is missing: Linux would use the memory"));
    }
    let region = region(node, &place)?;
    let window = Window {
        base: region.base().0,
        size: region.size(),
    };
    let ram = board.ram()?;
    if !ram.iter().any(|ram| is_within(&window, ram)) {
        let reason = format!(
            "{} is not all in one piece of the board's RAM",
            text(&window)
        );
        return Err(place.wrong("reg", reason));
    }
    let others = node.parent().into_iter().flat_map(Node::children);
    for other in others.filter(|other| *other != node && other.is_enabled()) {
        let taken = windows(other).map_err(|reason| board.place(other).wrong("reg", reason))?;
        if let Some(taken) = taken.iter().find(|taken| taken.overlaps(&window)) {
            let (ours, theirs) = (text(&window), text(taken));
            let reason = format!("{ours} overlaps {theirs} of {}", other.path());
            return Err(place.wrong("reg", reason));
        }
    }
    Ok(Some(Reservation { node, region }))
}

fn region(node: Node<'_>, place: &Place) -> Result<Region<Hpa>, ConfigError> {
    let all = windows(node).map_err(|reason| place.wrong("reg", reason))?;
    let [window] = all[..] else {
        let reason = format!("it lists {} regions; one is wanted", all.len());
        return Err(place.wrong("reg", reason));
    };
    Region::pages(Hpa(window.base), window.size)
        .map_err(|refused| place.wrong("reg", refused.to_string()))
}

impl Reservation<'_> {
    /// Splits it into the hypervisor's part, of this size, and the pool; no pool when nothing is left for one.
    ///
    /// # Errors
    /// It is smaller than the hypervisor's part.
    pub fn split(
        &self,
        hv_size: u64,
        board: &Board,
    ) -> Result<(Region<Hpa>, Option<Region<Hpa>>), ConfigError> {
        let place = board.place(self.node);
        let (base, size) = (self.region.base().0, self.region.size());
        let Some(rest) = size.checked_sub(hv_size) else {
            let reason = format!(
                "{} KiB are less than the {} KiB that the hypervisor needs for itself",
                size >> 10,
                hv_size >> 10
            );
            return Err(place.wrong("reg", reason));
        };
        let wrong = |refused: bulkhead_model::refused::Refused| {
            board.place(self.node).wrong("reg", refused.to_string())
        };
        let hv = Region::pages(Hpa(base), hv_size).map_err(wrong)?;
        let rest = rest / PAGE_SIZE * PAGE_SIZE;
        let pool = match rest {
            0 => None,
            _ => Some(Region::pages(Hpa(base + hv_size), rest).map_err(wrong)?),
        };
        Ok((hv, pool))
    }
}

fn is_within(inner: &Window, outer: &Window) -> bool {
    let end = |window: &Window| u128::from(window.base) + u128::from(window.size);
    inner.base >= outer.base && end(inner) <= end(outer)
}

fn text(window: &Window) -> String {
    let end = u128::from(window.base) + u128::from(window.size);
    format!("{:#x} to {:#x}", window.base, end.saturating_sub(1))
}

//! The RAM that no part of this program uses: from the end of its image to the tree.

use crate::Tree;

unsafe extern "C" {
    static __stack_end: u8;
}

fn words(tree: &Tree) -> impl Iterator<Item = *mut u64> {
    let first = (&raw const __stack_end) as u64;
    (first..tree.address())
        .step_by(8)
        .map(|address| address as *mut u64)
}

/// Counts its words that are not zero.
pub fn count_nonzero(tree: &Tree) -> usize {
    words(tree)
        // SAFETY: RAM of the cell, aligned, of which nothing else is made.
        .filter(|word| unsafe { word.read_volatile() } != 0)
        .count()
}

/// Fills it.
pub fn fill(tree: &Tree, value: u64) {
    // SAFETY: as above.
    words(tree).for_each(|word| unsafe { word.write_volatile(value) });
}

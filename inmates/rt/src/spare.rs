//! The RAM that no part of this program uses: from the end of its image to the tree. Zero in a new cell, and as this program
//! left it when the cell starts anew, its image loaded again or not.

use core::sync::atomic::AtomicUsize;

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

/// Its first words, for a program that uses no others.
pub fn kept() -> &'static [AtomicUsize; 4] {
    // SAFETY: RAM of the cell, a page's start, of which nothing else is made.
    unsafe { &*(&raw const __stack_end).cast() }
}

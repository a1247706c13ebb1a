//! Where things go in a cell's memory: the image where it wants to be, at the end the device tree, below it the initial RAM disk.

use bulkhead_model::blob::MemoryConfig;

use crate::cell_file::GuestTree;
use crate::guest_tree::{self, ROOM};
use crate::image::Image;
use crate::report::Bytes;
use crate::tree::reg::Window;

/// Pages of any size that Linux uses begin at multiples of it, bytes.
const INITRD_ALIGNMENT: u64 = 0x1_0000;

/// Places in the main memory.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Layout {
    /// Where the device tree goes.
    pub tree: Option<u64>,
    /// Where the initial RAM disk goes.
    pub initrd: Option<Window>,
}

/// Finds the places of a tree, if there is to be one, and of an initial RAM disk of so many bytes; the image must leave them free.
///
/// # Errors
/// It does not, or the memory is too small for them. As a sentence.
pub fn layout(
    memory: &[MemoryConfig],
    image: &Image,
    tree: GuestTree,
    initrd: Option<u64>,
) -> Result<Layout, String> {
    let tree = match tree {
        GuestTree::None => None,
        GuestTree::Generated(wanted) => {
            let at = guest_tree::place(memory, wanted)?;
            if covers(image, at, ROOM) {
                return Err(format!(
                    "the image covers the place of the cell's device tree at {at:#x}: give it more memory, or the image another place"
                ));
            }
            Some(at)
        }
    };
    let initrd = match (initrd, tree) {
        (None, _) => None,
        (Some(_), None) => {
            return Err(
                "an initial RAM disk needs the device tree to say where it lies, and this cell gets none"
                    .to_owned(),
            );
        }
        (Some(size), Some(tree)) => Some(place_initrd(memory, image, tree, size)?),
    };
    Ok(Layout { tree, initrd })
}

/// The last place of the main memory that is free, below the tree if that is there too.
fn place_initrd(
    memory: &[MemoryConfig],
    image: &Image,
    tree: u64,
    size: u64,
) -> Result<Window, String> {
    let main = memory.first().ok_or("the cell has no memory")?;
    let below = |end: u64| {
        let base = end.checked_sub(size)? / INITRD_ALIGNMENT * INITRD_ALIGNMENT;
        let is_free =
            base >= main.gpa.0 && !covers(image, base, size) && !meet(base, size, tree, ROOM);
        is_free.then_some(Window { base, size })
    };
    let ends = [main.gpa.0.saturating_add(main.size), tree];
    let is_inside = |end: &u64| (main.gpa.0..=ends[0]).contains(end);
    ends.into_iter().filter(is_inside).find_map(below).ok_or_else(|| {
        let room = image.pieces.iter().map(|piece| piece.room);
        format!(
            "the image and what it clears take {}, the initial RAM disk {}: both do not fit the cell's main memory of {}",
            Bytes(room.fold(0, u64::saturating_add)),
            Bytes(size),
            Bytes(main.size)
        )
    })
}

/// Tells whether an image touches a range.
fn covers(image: &Image, base: u64, size: u64) -> bool {
    let mut pieces = image.pieces.iter();
    pieces.any(|piece| meet(piece.gpa, piece.room, base, size))
}

fn meet(one: u64, one_size: u64, other: u64, other_size: u64) -> bool {
    one < other.saturating_add(other_size) && other < one.saturating_add(one_size)
}

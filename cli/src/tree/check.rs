//! The structural check that has to pass before `dtoolkit` reads a tree.
//!
//! `dtoolkit`'s own check also refuses names of more than 31 bytes, which the trees of real boards have.
//! This one takes them and promises the rest: every offset, string and token that the reader follows lies inside the
//! blob, and the nesting and number of nodes are bounded.
//! Layout: Devicetree Specification, "Flattened Devicetree (DTB) Format".

use std::ops::Range;

const MAGIC: u32 = 0xd00d_feed;
const VERSION: u32 = 17;
const HEADER_SIZE: usize = 40;
const BEGIN_NODE: u32 = 1;
const END_NODE: u32 = 2;
const PROP: u32 = 3;
const NOP: u32 = 4;
const END: u32 = 9;
/// Deeper than any board's; keeps every walk of a tree shallow.
pub(crate) const MAX_DEPTH: usize = 32;
/// Some fifteen times what the largest of Debian's trees has; keeps what compares all nodes with each other short.
const MAX_NODES: usize = 1 << 14;
/// Linux for arm64 takes no larger tree itself (its "booting" document), bytes.
const MAX_SIZE: usize = 2 << 20;

/// What is wrong and at which byte.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a device tree blob: {what} at byte {offset:#x}")]
pub struct Malformed {
    what: &'static str,
    offset: usize,
}

const fn malformed<T>(what: &'static str, offset: usize) -> Result<T, Malformed> {
    Err(Malformed { what, offset })
}

/// Checks the blob and returns it without what follows its stated size.
pub(super) fn check(blob: &[u8]) -> Result<&[u8], Malformed> {
    if blob.len() < HEADER_SIZE {
        return malformed("no room for the header", blob.len());
    }
    let field = |index: usize| word(blob, index * 4);
    if field(0)? != MAGIC {
        return malformed("wrong magic number", 0);
    }
    if field(5)? < VERSION || field(6)? > VERSION {
        return malformed("unknown version", 20);
    }
    let total = field(1)? as usize;
    if total > MAX_SIZE {
        return malformed("a stated size of more than 2 MiB", 4);
    }
    let Some(blob) = blob.get(..total) else {
        return malformed("the stated size exceeds the file", 4);
    };
    let structure = block(blob, field(2)?, field(9)?, 8)?;
    let strings = block(blob, field(3)?, field(8)?, 12)?;
    if structure.start % 4 != 0 {
        return malformed("unaligned structure block", 8);
    }
    Walk {
        blob,
        structure,
        strings,
        offset: 0,
        nodes: 0,
    }
    .run()?;
    Ok(blob)
}

fn word(bytes: &[u8], offset: usize) -> Result<u32, Malformed> {
    match bytes.get(offset..).and_then(|rest| rest.first_chunk()) {
        Some(four) => Ok(u32::from_be_bytes(*four)),
        None => malformed("the blob ends early", offset),
    }
}

fn block(blob: &[u8], offset: u32, size: u32, field: usize) -> Result<Range<usize>, Malformed> {
    let (start, size) = (offset as usize, size as usize);
    match start.checked_add(size) {
        Some(end) if start >= HEADER_SIZE && end <= blob.len() => Ok(start..end),
        _ => malformed("a block lies outside the blob", field),
    }
}

struct Walk<'a> {
    blob: &'a [u8],
    structure: Range<usize>,
    strings: Range<usize>,
    offset: usize,
    nodes: usize,
}

impl Walk<'_> {
    /// Follows every token from the root's to the end mark.
    fn run(mut self) -> Result<(), Malformed> {
        self.offset = self.structure.start;
        let mut depth = 0;
        // Properties come before the children of a node; the reader counts on it.
        let mut takes_properties = false;
        loop {
            let at = self.offset;
            match self.token()? {
                BEGIN_NODE if depth < MAX_DEPTH && self.nodes < MAX_NODES => {
                    self.name(depth == 0)?;
                    depth += 1;
                    self.nodes += 1;
                    takes_properties = true;
                }
                BEGIN_NODE => return malformed("too many or too deep nodes", at),
                PROP if takes_properties => self.property()?,
                NOP if depth > 0 => {}
                END_NODE if depth > 0 => {
                    depth -= 1;
                    takes_properties = false;
                    if depth == 0 {
                        break;
                    }
                }
                _ => return malformed("a token that does not belong there", at),
            }
        }
        let at = self.offset;
        if self.token()? == END {
            Ok(())
        } else {
            malformed("no end mark", at)
        }
    }

    fn token(&mut self) -> Result<u32, Malformed> {
        let token = word(&self.blob[..self.structure.end], self.offset)?;
        self.offset += 4;
        Ok(token)
    }

    /// Passes over `size` bytes and the padding behind them.
    fn skip(&mut self, size: usize) -> Result<(), Malformed> {
        match self
            .offset
            .checked_add(size)
            .map(|end| end.next_multiple_of(4))
        {
            Some(end) if end <= self.structure.end => self.offset = end,
            _ => return malformed("content outside the structure block", self.offset),
        }
        Ok(())
    }

    fn name(&mut self, is_root: bool) -> Result<(), Malformed> {
        let length = string(&self.blob[..self.structure.end], self.offset)?;
        let name = &self.blob[self.offset..self.offset + length];
        if name.is_empty() != is_root || name.contains(&b'/') {
            return malformed("a bad node name", self.offset);
        }
        self.skip(length + 1)
    }

    fn property(&mut self) -> Result<(), Malformed> {
        let size = self.token()? as usize;
        let name = self.token()? as usize;
        let strings = &self.blob[self.strings.clone()];
        if string(strings, name)? == 0 {
            return malformed("a property without a name", self.offset);
        }
        self.skip(size)
    }
}

/// Returns the length of the zero-terminated string of printable characters at `offset`.
fn string(bytes: &[u8], offset: usize) -> Result<usize, Malformed> {
    let rest = bytes.get(offset..).unwrap_or_default();
    match rest.iter().position(|byte| *byte == 0) {
        Some(length) if rest[..length].iter().all(u8::is_ascii_graphic) => Ok(length),
        _ => malformed("a bad string", offset),
    }
}

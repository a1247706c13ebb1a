//! A cell's software: an ELF file or a raw binary, cut into the pieces that go into its memory.

use std::path::Path;

use bulkhead_model::blob::MemoryConfig;
use object::Endianness;
use object::elf::{EM_AARCH64, FileHeader64, PT_LOAD};
use object::read::elf::{FileHeader as _, ProgramHeader as _};

use crate::error::Error;
use crate::file;

/// A piece of an image.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Piece {
    /// Guest physical address.
    pub gpa: u64,
    /// What goes there.
    pub bytes: Vec<u8>,
}

/// An image that lies in its cell's memory.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Image {
    /// Its pieces.
    pub pieces: Vec<Piece>,
    /// Where the cell starts.
    pub entry: u64,
}

/// Reads the image of a cell with this memory; `address` is where a raw binary goes instead of the start of it.
///
/// # Errors
/// The file cannot be read, is not for this machine, or does not fit the memory.
pub fn read(path: &Path, memory: &[MemoryConfig], address: Option<u64>) -> Result<Image, Error> {
    let bytes = file::read(path)?;
    parse(&bytes, memory, address)
        .map_err(|reason| Error::Refused(format!("{}: {reason}", path.display())))
}

/// Same for a file's content.
///
/// # Errors
/// As the rest of a sentence about the file.
pub fn parse(bytes: &[u8], memory: &[MemoryConfig], address: Option<u64>) -> Result<Image, String> {
    let image = if bytes.starts_with(b"\x7fELF") {
        if address.is_some() {
            return Err("an ELF file says itself where it goes: leave --address out".to_owned());
        }
        elf(bytes, memory)?
    } else {
        raw(bytes, memory, address)?
    };
    if image.pieces.is_empty() {
        return Err("there is nothing to load in it".to_owned());
    }
    for piece in &image.pieces {
        check_fits(piece.gpa, piece.bytes.len() as u64, memory)?;
    }
    check_fits(image.entry, 4, memory).map_err(|reason| format!("entry point: {reason}"))?;
    Ok(image)
}

fn raw(bytes: &[u8], memory: &[MemoryConfig], address: Option<u64>) -> Result<Image, String> {
    let start = memory.first().map(|memory| memory.gpa.0);
    let gpa = address.or(start).ok_or("the cell has no memory")?;
    Ok(Image {
        pieces: vec![Piece {
            gpa,
            bytes: bytes.to_vec(),
        }],
        entry: gpa,
    })
}

fn elf(bytes: &[u8], memory: &[MemoryConfig]) -> Result<Image, String> {
    let broken = |error: object::read::Error| format!("not a 64-bit ELF file: {error}");
    let header = FileHeader64::<Endianness>::parse(bytes).map_err(broken)?;
    let endian = header.endian().map_err(broken)?;
    if endian != Endianness::Little || header.e_machine(endian) != EM_AARCH64 {
        return Err(format!(
            "not for little-endian AArch64: ELF machine {}",
            header.e_machine(endian)
        ));
    }
    let mut pieces = Vec::new();
    for segment in header.program_headers(endian, bytes).map_err(broken)? {
        let (gpa, size) = (segment.p_paddr(endian), segment.p_memsz(endian));
        if segment.p_type(endian) != PT_LOAD || size == 0 {
            continue;
        }
        // Before the zeros of a hostile size are allocated.
        check_fits(gpa, size, memory)?;
        let content = segment
            .data(endian, bytes)
            .map_err(|()| format!("the segment at {gpa:#x} exceeds the file"))?;
        let mut bytes = content.to_vec();
        if bytes.len() as u64 > size {
            return Err(format!(
                "the segment at {gpa:#x} is larger in the file than in memory"
            ));
        }
        bytes.resize(usize::try_from(size).unwrap_or(bytes.len()), 0);
        pieces.push(Piece { gpa, bytes });
    }
    Ok(Image {
        pieces,
        entry: header.e_entry(endian),
    })
}

fn check_fits(gpa: u64, size: u64, memory: &[MemoryConfig]) -> Result<(), String> {
    let holds = |memory: &&MemoryConfig| {
        gpa.checked_sub(memory.gpa.0)
            .and_then(|offset| offset.checked_add(size))
            .is_some_and(|end| end <= memory.size)
    };
    if memory.iter().any(|memory| holds(&memory)) {
        return Ok(());
    }
    let regions: Vec<_> = memory
        .iter()
        .map(|m| format!("{:#x} ({} bytes)", m.gpa.0, m.size))
        .collect();
    Err(format!(
        "{size} bytes at {gpa:#x} do not fit the cell's memory: {}",
        regions.join(", ")
    ))
}

//! A cell's software: an ELF file, a Linux kernel or a raw binary, packed by gzip or not, cut into the pieces that go
//! into its memory.

use std::io::Read as _;
use std::path::Path;

use bulkhead_model::blob::MemoryConfig;
use flate2::read::MultiGzDecoder;
use object::Endianness;
use object::elf::{EM_AARCH64, FileHeader64, PT_LOAD};
use object::read::elf::{FileHeader as _, ProgramHeader as _};

use crate::cell_file::OnReset;
use crate::error::Error;
use crate::file;
use crate::symbols::Symbols;

/// Where Linux wants to be, from a multiple of this, bytes (Linux, Documentation/arch/arm64/booting.rst).
const KERNEL_ALIGNMENT: u64 = 2 << 20;
/// Bytes that are copied at a time.
const CHUNK: usize = 4 << 20;
/// Most that a packed image may unpack to, bytes.
const UNPACKED_LIMIT: u64 = 1 << 30;

/// A piece of an image.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Piece {
    /// Guest physical address.
    pub gpa: u64,
    /// What goes there.
    pub bytes: Vec<u8>,
    /// Bytes from there on that are the software's: its own and those that it clears itself.
    pub room: u64,
}

impl Piece {
    /// Returns one that takes no more room than its bytes.
    pub fn new(gpa: u64, bytes: Vec<u8>) -> Self {
        let room = bytes.len() as u64;
        Self { gpa, bytes, room }
    }

    /// Returns it in parts that are soon copied, each with its address: one can be stopped in between.
    pub fn chunks(&self) -> impl Iterator<Item = (u64, &[u8])> {
        let chunks = self.bytes.chunks(CHUNK).enumerate();
        chunks.map(|(index, chunk)| (self.gpa.wrapping_add((index * CHUNK) as u64), chunk))
    }
}

/// An image that lies in its cell's memory.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Image {
    /// Its pieces.
    pub pieces: Vec<Piece>,
    /// Where the cell starts.
    pub entry: u64,
    /// The names of its functions, where the file has them.
    pub symbols: Symbols,
    /// What if it resets itself, unless the cell's file says otherwise.
    pub on_reset: OnReset,
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
    if bytes.is_empty() {
        return Err("there is nothing to load in it: it is empty, 0 bytes".to_owned());
    }
    let unpacked = unpack(bytes)?;
    let bytes = unpacked.as_deref().unwrap_or(bytes);
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
        check_fits(piece.gpa, piece.room, memory)?;
    }
    check_fits(image.entry, 4, memory).map_err(|reason| format!("entry point: {reason}"))?;
    Ok(image)
}

/// Unpacks what gzip has packed, also within the EFI program that distributions make of a packed kernel
/// (Linux, drivers/firmware/efi/libstub/zboot-header.S). `None` when nothing is packed.
fn unpack(bytes: &[u8]) -> Result<Option<Vec<u8>>, String> {
    let packed = if bytes.starts_with(b"MZ") && bytes.get(4..8) == Some(b"zimg") {
        if bytes.get(24..29) != Some(b"gzip\0") {
            return Err("it is an EFI program with a kernel packed by something else than gzip: unpack it first".to_owned());
        }
        let word = |at: usize| {
            let word = bytes.get(at..)?.first_chunk()?;
            usize::try_from(u32::from_le_bytes(*word)).ok()
        };
        let range = word(8).and_then(|start| Some(start..start.checked_add(word(12)?)?));
        range
            .and_then(|range| bytes.get(range))
            .ok_or("its packed kernel exceeds the file")?
    } else if bytes.starts_with(b"\x1f\x8b") {
        bytes
    } else {
        return Ok(None);
    };
    let mut unpacked = Vec::new();
    MultiGzDecoder::new(packed)
        .take(UNPACKED_LIMIT + 1)
        .read_to_end(&mut unpacked)
        .map_err(|error| format!("it cannot be unpacked: {error}"))?;
    if unpacked.len() as u64 > UNPACKED_LIMIT {
        return Err("it unpacks to more than 1 GiB".to_owned());
    }
    Ok(Some(unpacked))
}

fn raw(bytes: &[u8], memory: &[MemoryConfig], address: Option<u64>) -> Result<Image, String> {
    let start = memory.first().map(|memory| memory.gpa.0);
    let start = start.ok_or("the cell has no memory")?;
    let kernel = kernel(bytes);
    let (offset, room) = kernel.unwrap_or((None, 0));
    let place = match offset {
        Some(offset) => start
            .checked_next_multiple_of(KERNEL_ALIGNMENT)
            .and_then(|base| base.checked_add(offset))
            .ok_or("its place goes beyond the address space")?,
        None => start,
    };
    let gpa = address.unwrap_or(place);
    Ok(Image {
        pieces: vec![Piece {
            gpa,
            bytes: bytes.to_vec(),
            room: room.max(bytes.len() as u64),
        }],
        entry: gpa,
        symbols: Symbols::default(),
        // Linux writes over what it starts with: initial values, and code that it needs only once.
        on_reset: match kernel {
            Some(_) => OnReset::Reload,
            None => OnReset::InPlace,
        },
    })
}

/// Reads the head of a Linux kernel: how far behind a multiple of 2 MiB it goes, and the room that it needs there
/// (Linux, Documentation/arch/arm64/booting.rst, "Call the kernel image").
fn kernel(bytes: &[u8]) -> Option<(Option<u64>, u64)> {
    if bytes.get(56..60) != Some(b"ARM\x64") {
        return None;
    }
    let word = |at: usize| Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
    Some((word(8), word(16)?))
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
        pieces.push(Piece::new(gpa, bytes));
    }
    Ok(Image {
        pieces,
        entry: header.e_entry(endian),
        symbols: Symbols::of(bytes),
        on_reset: OnReset::InPlace,
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

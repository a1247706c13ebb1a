//! Images are loaded where they belong, or refused with addresses and sizes.

use bulkhead_cli::image::{Image, Piece, parse};
use bulkhead_model::addr::Gpa;
use bulkhead_model::blob::{MemoryConfig, Placement};

const RAM: u64 = 0x4000_0000;

fn memory() -> [MemoryConfig; 1] {
    [MemoryConfig {
        gpa: Gpa(RAM),
        placement: Placement::Pool,
        size: 0x1_0000,
    }]
}

/// An ELF file with these segments: type, address, size in memory, content.
fn elf(machine: u16, entry: u64, segments: &[(u32, u64, u64, &[u8])]) -> Vec<u8> {
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0".to_vec();
    file.extend(machine.to_le_bytes());
    file.extend(1u32.to_le_bytes());
    for word in [entry, 64, 0] {
        file.extend(word.to_le_bytes());
    }
    file.extend([0; 4]);
    let count = u16::try_from(segments.len()).unwrap();
    for half in [64, 56, count, 64, 0, 0] {
        file.extend(half.to_le_bytes());
    }
    let mut offset = 64 + 56 * segments.len() as u64;
    for (kind, address, size, content) in segments {
        file.extend(kind.to_le_bytes());
        file.extend(7u32.to_le_bytes());
        for word in [offset, *address, *address, content.len() as u64, *size, 8] {
            file.extend(word.to_le_bytes());
        }
        offset += content.len() as u64;
    }
    file.extend(
        segments
            .iter()
            .flat_map(|(.., content)| content.iter().copied()),
    );
    file
}

const AARCH64: u16 = 183;

#[test]
fn a_raw_binary_goes_to_the_start() {
    let pieces = vec![Piece {
        gpa: RAM,
        bytes: vec![1; 8],
    }];
    assert_eq!(
        parse(&[1; 8], &memory(), None),
        Ok(Image { pieces, entry: RAM })
    );
}

#[test]
fn a_raw_binary_goes_where_it_is_told() {
    let image = parse(&[1; 8], &memory(), Some(RAM + 0x1000)).unwrap();
    assert_eq!(
        (image.pieces[0].gpa, image.entry),
        (RAM + 0x1000, RAM + 0x1000)
    );
}

#[test]
fn an_elf_file_brings_its_zeros() {
    let file = elf(
        AARCH64,
        RAM + 4,
        &[
            (1, RAM, 6, b"abcd"),
            (4, 0, 4, b"note"),
            (1, RAM + 0x100, 2, b"xy"),
        ],
    );
    let image = parse(&file, &memory(), None).unwrap();
    assert_eq!(image.entry, RAM + 4);
    assert_eq!(
        image.pieces[0],
        Piece {
            gpa: RAM,
            bytes: b"abcd\0\0".to_vec()
        }
    );
    assert_eq!(
        image.pieces[1],
        Piece {
            gpa: RAM + 0x100,
            bytes: b"xy".to_vec()
        }
    );
    assert_eq!(image.pieces.len(), 2);
}

#[test]
fn what_does_not_fit_is_refused() {
    let refused = |bytes: &[u8], address| parse(bytes, &memory(), address).unwrap_err();
    let too_large =
        "65537 bytes at 0x40000000 do not fit the cell's memory: 0x40000000 (65536 bytes)";
    assert_eq!(refused(&[0; 0x1_0001], None), too_large);
    assert!(refused(&[0; 8], Some(RAM - 4)).starts_with("8 bytes at 0x3ffffffc do not fit"));
    assert!(
        refused(&[0; 8], Some(u64::MAX - 3))
            .starts_with("8 bytes at 0xfffffffffffffffc do not fit")
    );
    let vast = elf(AARCH64, RAM, &[(1, RAM, u64::MAX, b"")]);
    assert!(
        refused(&vast, None).starts_with("18446744073709551615 bytes at 0x40000000 do not fit")
    );
    let entry = elf(AARCH64, RAM + 0x1_0000, &[(1, RAM, 4, b"abcd")]);
    assert!(refused(&entry, None).starts_with("entry point: 4 bytes at 0x40010000 do not fit"));
}

#[test]
fn what_is_no_image_is_refused() {
    let refused = |bytes: &[u8]| parse(bytes, &memory(), None).unwrap_err();
    assert_eq!(
        refused(&elf(62, RAM, &[(1, RAM, 4, b"abcd")])),
        "not for little-endian AArch64: ELF machine 62"
    );
    assert_eq!(
        refused(&elf(AARCH64, RAM, &[])),
        "there is nothing to load in it"
    );
    assert!(refused(b"\x7fELF\x01").starts_with("not a 64-bit ELF file"));
    assert!(
        parse(
            &elf(AARCH64, RAM, &[(1, RAM, 4, b"abcd")]),
            &memory(),
            Some(RAM)
        )
        .is_err()
    );
    let mut cut = elf(AARCH64, RAM, &[(1, RAM, 4, b"abcd")]);
    cut.truncate(cut.len() - 1);
    assert_eq!(refused(&cut), "the segment at 0x40000000 exceeds the file");
}

//! Images are loaded where they belong, or refused with addresses and sizes.

use std::io::Write as _;

use bulkhead_cli::cell_file::{GuestTree, OnReset};
use bulkhead_cli::image::{Image, Piece, parse};
use bulkhead_cli::layout::{Layout, layout};
use bulkhead_cli::symbols::Symbols;
use bulkhead_cli::tree::reg::Window;
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
        room: 8,
    }];
    assert_eq!(
        parse(&[1; 8], &memory(), None),
        Ok(Image {
            on_reset: OnReset::InPlace,
            pieces,
            entry: RAM,
            symbols: Symbols::default(),
        })
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
            bytes: b"abcd\0\0".to_vec(),
            room: 6,
        }
    );
    assert_eq!(
        image.pieces[1],
        Piece {
            gpa: RAM + 0x100,
            bytes: b"xy".to_vec(),
            room: 2,
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

/// The head of a Linux kernel of 128 bytes that goes to `offset` and needs `room` bytes there.
fn kernel(offset: u64, room: u64) -> Vec<u8> {
    let mut file = vec![0; 128];
    file[8..16].copy_from_slice(&offset.to_le_bytes());
    file[16..24].copy_from_slice(&room.to_le_bytes());
    file[56..60].copy_from_slice(b"ARM\x64");
    file
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

fn large() -> [MemoryConfig; 1] {
    [MemoryConfig {
        gpa: Gpa(RAM + 0x1000),
        placement: Placement::Pool,
        size: 0x80_0000,
    }]
}

#[test]
fn a_kernel_goes_where_linux_wants_it() {
    let image = parse(&kernel(0x8_0000, 0x10_0000), &large(), None).unwrap();
    let place = RAM + 0x20_0000 + 0x8_0000;
    assert_eq!(image.entry, place);
    assert_eq!(
        (image.pieces[0].gpa, image.pieces[0].room),
        (place, 0x10_0000)
    );
    // It clears more than the file has.
    let refused = parse(&kernel(0, 0x80_0000), &large(), None).unwrap_err();
    assert_eq!(
        refused,
        "8388608 bytes at 0x40200000 do not fit the cell's memory: 0x40001000 (8388608 bytes)"
    );
    assert!(parse(&kernel(u64::MAX, 1), &large(), None).is_err());
    assert!(parse(&kernel(0, u64::MAX), &large(), None).is_err());
}

#[test]
fn a_kernel_starts_again_only_when_it_is_loaded_anew() {
    let parse = |bytes: &[u8]| parse(bytes, &large(), None).unwrap();
    assert_eq!(parse(&kernel(0, 0x1000)).on_reset, OnReset::Reload);
    assert_eq!(parse(&packed(&kernel(0, 0x1000))).on_reset, OnReset::Reload);
    assert_eq!(parse(b"raw").on_reset, OnReset::InPlace);
}

#[test]
fn the_ram_disk_lies_below_the_tree_and_clear_of_the_kernel() {
    let kernel = |room| parse(&kernel(0, room), &large(), None).unwrap();
    let image = kernel(0x20_0000);
    let place = |initrd| layout(&large(), &image, GuestTree::Generated(None), initrd);
    let tree = Some(RAM + 0x7f_0000);
    let none = Layout { tree, initrd: None };
    assert_eq!(place(None), Ok(none));
    let at = |base, size| Layout {
        tree,
        initrd: Some(Window { base, size }),
    };
    assert_eq!(place(Some(1)), Ok(at(RAM + 0x80_0000, 1)));
    assert_eq!(place(Some(0x1_0001)), Ok(at(RAM + 0x7d_0000, 0x1_0001)));
    // All that is between the two, and a byte more.
    let room = 0x3f_0000;
    assert_eq!(place(Some(room)), Ok(at(RAM + 0x40_0000, room)));
    assert_eq!(
        place(Some(room + 1)).unwrap_err(),
        "the image and what it clears take 2 MiB, the initial RAM disk 4128769 B: both do not fit the cell's main memory of 8 MiB"
    );
    assert!(place(Some(u64::MAX)).is_err());
    let full = kernel(0x5f_1000);
    assert!(layout(&large(), &full, GuestTree::Generated(None), None).is_err());
    assert_eq!(
        layout(&large(), &full, GuestTree::None, None).map(|at| at.tree),
        Ok(None)
    );
    assert_eq!(
        layout(&large(), &image, GuestTree::None, Some(1)).unwrap_err(),
        "an initial RAM disk needs the device tree to say where it lies, and this cell gets none"
    );
}

#[test]
fn the_tree_goes_where_it_is_wanted() {
    let image = parse(&kernel(0, 0x1000), &large(), None).unwrap();
    let place = |at, initrd| layout(&large(), &image, GuestTree::Generated(Some(at)), initrd);
    let start = RAM + 0x1000;
    let layout = place(start, Some(0x1000)).unwrap();
    assert_eq!(layout.tree, Some(start));
    assert_eq!(layout.initrd.unwrap().base, RAM + 0x80_0000);
    // The RAM disk makes way for it.
    let layout = place(RAM + 0x7f_0008, Some(0x1000)).unwrap();
    assert_eq!(layout.initrd.unwrap().base, RAM + 0x7e_0000);
    assert!(place(RAM + 0x20_0000 - 0x8000, None).is_err());
    for wrong in [start + 4, RAM, RAM + 0x80_0000, u64::MAX - 7] {
        assert!(place(wrong, None).is_err(), "{wrong:#x}");
    }
}

#[test]
fn what_gzip_packed_is_unpacked() {
    let plain = kernel(0, 0x1000);
    let image = parse(&packed(&plain), &large(), None).unwrap();
    assert_eq!(image, parse(&plain, &large(), None).unwrap());
    let mut cut = packed(&plain);
    cut.truncate(20);
    let said = parse(&cut, &large(), None).unwrap_err();
    assert!(said.starts_with("it cannot be unpacked: "), "{said}");
}

#[test]
fn an_efi_program_with_a_packed_kernel_is_unpacked() {
    let plain = kernel(0, 0x1000);
    let content = packed(&plain);
    let mut file = b"MZ\0\0zimg".to_vec();
    file.extend(64u32.to_le_bytes());
    file.extend(u32::try_from(content.len()).unwrap().to_le_bytes());
    file.extend([0; 8]);
    file.extend(b"gzip\0");
    file.resize(64, 0);
    file.extend(&content);
    let image = parse(&file, &large(), None).unwrap();
    assert_eq!(image, parse(&plain, &large(), None).unwrap());
    file.truncate(70);
    assert_eq!(
        parse(&file, &large(), None).unwrap_err(),
        "its packed kernel exceeds the file"
    );
    file[24..29].copy_from_slice(b"zstd\0");
    assert_eq!(
        parse(&file, &large(), None).unwrap_err(),
        "it is an EFI program with a kernel packed by something else than gzip: unpack it first"
    );
}

#[test]
fn an_empty_file_is_said_to_be_empty() {
    assert_eq!(
        parse(&[], &memory(), None).unwrap_err(),
        "there is nothing to load in it: it is empty, 0 bytes"
    );
}

#[test]
fn a_large_piece_is_cut_without_a_gap() {
    let piece = Piece {
        gpa: u64::MAX - 2,
        bytes: vec![0; (4 << 20) + 1],
        room: 0,
    };
    let chunks: Vec<_> = piece
        .chunks()
        .map(|(gpa, bytes)| (gpa, bytes.len()))
        .collect();
    let second = (u64::MAX - 2).wrapping_add(4 << 20);
    assert_eq!(chunks, [(u64::MAX - 2, 4 << 20), (second, 1)]);
}

#[test]
fn an_address_is_named_by_its_function() {
    let symbols =
        Symbols::from_text("1000 20 main\n1020 0 label\nnonsense\n5000 4 core::x::<u8>\n");
    let name = |address| symbols.name(address);
    assert_eq!(name(0x101c).as_deref(), Some("main+0x1c"));
    assert_eq!(name(0x1024).as_deref(), Some("label+0x4"));
    assert_eq!(name(0x5000).as_deref(), Some("core::x::<u8>+0x0"));
    assert_eq!(
        (name(0xfff), name(0x3000), name(0x5004)),
        (None, None, None)
    );
    assert_eq!(Symbols::from_text(&symbols.to_text()), symbols);
    assert!(Symbols::of(b"no ELF file").is_empty());
}

//! Whatever bytes a tree is made of, reading it and resolving a cell against it ends without a panic.

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use crate::support::{board, cell, good_but};
use bulkhead_cli::board::Board;
use bulkhead_cli::cell_file::CellFile;
use bulkhead_cli::guest_tree;
use bulkhead_cli::image;
use bulkhead_cli::resolve::resolve;
use bulkhead_cli::tree::{Tree, compile, interrupts, reg};
use bulkhead_model::addr::Gpa;
use bulkhead_model::blob::{MemoryConfig, Placement};
use proptest::prelude::{ProptestConfig, any, proptest};
use proptest::sample::{Index, select};

fn blob(path: &Path) -> Vec<u8> {
    let output = Command::new("dtc")
        .args(["-q", "-I", "dts", "-O", "dtb"])
        .arg(path)
        .output()
        .expect("dtc");
    output.stdout
}

/// The boards' trees and two cells, as blobs.
fn blobs() -> &'static [Vec<u8>] {
    static BLOBS: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    BLOBS.get_or_init(|| {
        let named = cell(&good_but(
            "cpus = \"/cpus/cpu@1\"; devices = \"uart-b\"; console = \"uart-b\"",
        ));
        [board("virt"), board("tricky"), cell(&good_but("")), named]
            .iter()
            .map(|path| blob(path))
            .collect()
    })
}

/// Does all that is done with a board and with a cell.
fn use_all(blob: &[u8]) {
    let Ok(tree) = Tree::parse(blob) else { return };
    for node in tree.nodes() {
        let _ = (
            node.path(),
            reg::windows(node),
            interrupts::interrupts(node),
        );
    }
    let good_board = Board::read(Some(&board("virt"))).expect("a good board");
    if let Ok(cell) = CellFile::read(&tree, "hostile") {
        let spare = good_board
            .cpus()
            .expect("good")
            .iter()
            .map(|cpu| cpu.mpidr)
            .collect::<Vec<_>>();
        let _ = resolve(&cell, &good_board, &spare);
    }
    let hostile = Board {
        tree,
        file: "hostile".to_owned(),
    };
    let _ = hostile.ram().map(|ram| hostile.system(&ram, |_| true));
    for source in [&blobs()[2], &blobs()[3]] {
        let cell =
            CellFile::read(&Tree::parse(source).expect("good"), "cell").expect("a good cell");
        let spare = hostile
            .cpus()
            .map(|cpus| cpus.iter().map(|cpu| cpu.mpidr).collect::<Vec<_>>())
            .unwrap_or_default();
        if let Ok(resolved) = resolve(&cell, &hostile, &spare) {
            let _ = guest_tree::build(&cell, &resolved, &hostile);
        }
    }
}

#[test]
fn the_good_trees_are_read() {
    for blob in blobs() {
        assert!(Tree::parse(blob).is_ok());
    }
}

#[test]
fn every_truncation_is_an_error() {
    for blob in blobs() {
        for length in 0..blob.len() {
            assert!(Tree::parse(&blob[..length]).is_err());
        }
    }
}

#[test]
fn deep_nesting_is_an_error() {
    let depth = 100_000;
    let mut structure = Vec::new();
    structure.extend([0, 0, 0, 1, 0, 0, 0, 0]);
    for _ in 0..depth {
        structure.extend([0, 0, 0, 1, b'a', 0, 0, 0]);
    }
    structure.extend([0, 0, 0, 2].repeat(depth + 1));
    structure.extend([0, 0, 0, 9]);
    let total = 56 + structure.len();
    let words = [
        0xd00d_feed,
        total,
        56,
        total,
        40,
        17,
        16,
        0,
        0,
        structure.len(),
    ];
    let mut blob: Vec<u8> = words
        .iter()
        .flat_map(|word| u32::try_from(*word).unwrap().to_be_bytes())
        .collect();
    blob.extend([0; 16]);
    blob.extend(structure);
    let error = Tree::parse(&blob).unwrap_err().to_string();
    assert!(error.contains("too many or too deep nodes"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn changed_bytes_never_panic(which in 0usize..4, changes in proptest::collection::vec((any::<Index>(), any::<u8>()), 1..6)) {
        let mut blob = blobs()[which].clone();
        for (at, byte) in changes {
            let at = at.index(blob.len());
            blob[at] = byte;
        }
        use_all(&blob);
    }

    #[test]
    fn changed_words_never_panic(
        which in 0usize..4,
        at in any::<Index>(),
        word in select(vec![0u32, 1, 2, 3, 4, 9, 0x7fff_ffff, 0x8000_0000, 0xffff_fffc, 0xffff_ffff]),
    ) {
        let mut blob = blobs()[which].clone();
        let at = at.index(blob.len() / 4) * 4;
        blob[at..at + 4].copy_from_slice(&word.to_be_bytes());
        use_all(&blob);
    }

    #[test]
    fn arbitrary_images_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), is_elf in any::<bool>()) {
        let mut image = if is_elf { b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\xb7\0\x01\0\0\0".to_vec() } else { Vec::new() };
        image.extend(bytes);
        let memory = [MemoryConfig { gpa: Gpa(0x4000_0000), placement: Placement::Pool, size: 0x10_0000 }];
        let _ = image::parse(&image, &memory, None);
    }
}

#[test]
fn a_blob_file_is_read_as_well_as_source() {
    let path = crate::support::folder().join("cell.dtb");
    std::fs::write(&path, &blobs()[2]).unwrap();
    assert!(CellFile::read(&compile::read(&path).unwrap(), "cell.dtb").is_ok());
}

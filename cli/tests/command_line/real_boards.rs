//! The trees of real boards are read, and what they say of CPUs, memory and interrupts is understood.
//!
//! Debian's come from `$BULKHEAD_TREES`, or from where `qemu/kernel 6.12` (and so `ci/build`) puts them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use bulkhead_cli::board::Board;
use bulkhead_cli::tree::{Node, Tree, interrupts, reg};

use crate::support::board;

/// What a complaint about a node may be: the board is like that, the tree is not wrong.
const FACTS: [&str; 5] = [
    "which is not the GIC; they cannot be given away",
    "is not memory-mapped",
    "has no 'ranges'",
    "is in no 'ranges' of",
    "is of the extended range",
];

/// Returns the folder of Debian's trees, one folder a vendor.
pub(crate) fn debian() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/kernels/6.12/root/usr/lib");
    let below = std::env::var_os("BULKHEAD_TREES").map_or(own, PathBuf::from);
    let folders = fs::read_dir(&below).into_iter().flatten().flatten();
    let mut images = folders.filter(|entry| {
        entry
            .file_name()
            .to_string_lossy()
            .starts_with("linux-image-")
    });
    let found = images.next().map(|entry| entry.path());
    found.unwrap_or_else(|| {
        panic!(
            "no Debian device trees below {}: run qemu/kernel 6.12, or set BULKHEAD_TREES",
            below.display()
        )
    })
}

/// Adds the complaints about a node that are not [`FACTS`], each with where it was first seen.
fn complain(complaints: &mut BTreeMap<String, String>, file: &Path, node: Node<'_>) {
    let said = [
        reg::windows(node).err(),
        interrupts::interrupts(node).err(),
        interrupts::passed_on(node).err(),
    ];
    for reason in said.into_iter().flatten() {
        if !FACTS.iter().any(|fact| reason.contains(fact)) {
            complaints.insert(reason, format!("{}: {}", file.display(), node.path()));
        }
    }
}

fn read_vendor(vendor: &str, least: usize) {
    let folder = debian().join(vendor);
    let mut count = 0;
    let mut complaints = BTreeMap::new();
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        // Overlays (.dtbo) are no boards.
        if path.extension().is_none_or(|extension| extension != "dtb") {
            continue;
        }
        let blob = fs::read(&path).unwrap();
        let tree = Tree::parse(&blob).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        for node in tree.nodes() {
            complain(&mut complaints, &path, node);
        }
        let board = Board {
            tree,
            file: path.display().to_string(),
        };
        assert!(!board.cpus().unwrap().is_empty(), "{}", path.display());
        assert!(board.ram().is_ok(), "{}", path.display());
        if let Err(error) = board.gic_regions() {
            // The Raspberry Pi 3 and its like have no GIC at all.
            let has_none = path.to_string_lossy().contains("bcm2837");
            let reason = &error.reason;
            assert!(
                has_none && reason.starts_with("it has no interrupt controller"),
                "{error}"
            );
        }
        count += 1;
    }
    assert!(complaints.is_empty(), "{vendor}: {complaints:#?}");
    assert!(count >= least, "{vendor}: {count} trees only");
}

#[test]
fn nvidias_boards_are_read() {
    read_vendor("nvidia", 7);
}

#[test]
fn broadcoms_boards_are_read() {
    read_vendor("broadcom", 9);
}

#[test]
fn xilinxs_boards_are_read() {
    read_vendor("xilinx", 24);
}

#[test]
fn freescales_boards_are_read() {
    read_vendor("freescale", 198);
}

#[test]
fn tis_boards_are_read() {
    read_vendor("ti", 46);
}

/// One device of a board: registers and interrupts, through all the buses between.
fn device(board: &Board, path: &str) -> (u64, u64, Vec<u32>) {
    let node = board.tree.resolve(path).unwrap();
    let registers = reg::windows(node).unwrap()[0];
    let list = interrupts::interrupts(node).unwrap();
    let spis = list.iter().filter_map(interrupts::Interrupt::spi);
    (registers.base, registers.size, spis.collect())
}

#[test]
fn the_uarts_of_known_boards_are_where_their_manuals_say() {
    let read = |name: &str| Board::read(Some(&debian().join(name))).unwrap();
    let pi4 = read("broadcom/bcm2711-rpi-4-b.dtb");
    assert_eq!(
        device(&pi4, "serial0"),
        (0xfe20_1000, 0x200, vec![32 + 121])
    );
    assert_eq!(device(&pi4, "serial1"), (0xfe21_5040, 0x40, vec![32 + 93]));
    let zcu102 = read("xilinx/zynqmp-zcu102-rev1.1.dtb");
    assert_eq!(
        device(&zcu102, "serial1"),
        (0xff01_0000, 0x1000, vec![32 + 22])
    );
    let imx8mp = read("freescale/imx8mp-evk.dtb");
    assert_eq!(
        device(&imx8mp, "serial1"),
        (0x3089_0000, 0x1_0000, vec![32 + 27])
    );
    // Both pass a controller in front of the GIC, which hands them on (binding "nvidia,tegra20-ictlr", "fsl,imx-gpcv2").
    let jetson = read("nvidia/tegra210-p3450-0000.dtb");
    assert_eq!(
        device(&jetson, "serial0"),
        (0x7000_6000, 0x40, vec![32 + 36])
    );
    let imx8mq = read("freescale/imx8mq-evk.dtb");
    assert_eq!(
        device(&imx8mq, "serial1"),
        (0x3089_0000, 0x1_0000, vec![32 + 27])
    );
    let versal = Board::read(Some(&board("versal"))).unwrap();
    assert_eq!(
        device(&versal, "/uart@ff010000"),
        (0xff01_0000, 0x1000, vec![32 + 19])
    );
}

//! What a cell's file comes to on a board: addresses, interrupts, CPUs, and the cell's own device tree.

use crate::support::{board, cell, good_but, verdict};
use bulkhead_cli::board::Board;
use bulkhead_cli::cell_file::CellFile;
use bulkhead_cli::resolve::{Resolved, resolve};
use bulkhead_cli::tree::reg::{Window, windows};
use bulkhead_cli::tree::{Tree, cells, compile, number};
use bulkhead_cli::{guest_tree, tree::interrupts};
use bulkhead_model::addr::{Gpa, Hpa};
use bulkhead_model::blob::{CellConfig, Conduit, MAX_SIZE, Placement, SystemConfig};
use bulkhead_model::id::Mpidr;

fn read(name: &str) -> Board {
    Board::read(Some(&board(name))).unwrap()
}

fn file(change: &str) -> CellFile {
    CellFile::read(
        &compile::read(&cell(&good_but(change))).unwrap(),
        "cell.dts",
    )
    .unwrap()
}

fn resolved<'t>(board: &'t Board, change: &str) -> Resolved<'t> {
    let spare: Vec<Mpidr> = board
        .cpus()
        .unwrap()
        .iter()
        .map(|cpu| cpu.mpidr)
        .rev()
        .collect();
    resolve(&file(change), board, &spare).unwrap()
}

/// Builds the cell's own tree and reads it again.
fn own_tree(board: &Board, change: &str) -> Tree {
    Tree::parse(&guest_tree::build(&file(change), &resolved(board, change), board).unwrap())
        .unwrap()
}

fn window(base: u64, size: u64) -> Window {
    Window { base, size }
}

#[test]
fn the_system_is_read_from_the_tree() {
    let virt = read("virt");
    let system = virt
        .system(&virt.ram().unwrap(), |mpidr| mpidr.get() != 2)
        .unwrap();
    assert_eq!(
        (system.gicd.base(), system.gicd.size()),
        (Hpa(0x0800_0000), 0x1_0000)
    );
    assert_eq!(system.gicrs.len(), 1);
    assert_eq!(
        (system.gicrs[0].base(), system.gicrs[0].size()),
        (Hpa(0x080a_0000), 0xf6_0000)
    );
    assert_eq!(
        system.cpus.iter().map(|cpu| cpu.online).collect::<Vec<_>>(),
        [true, true, false, true]
    );
    assert_eq!(
        (system.ram[0].base(), system.ram[0].size()),
        (Hpa(0x4000_0000), 0x4000_0000)
    );
    assert_eq!(system.psci, Conduit::Smc);
    let mut blob = [0; MAX_SIZE];
    let size = system.encode(&mut blob).unwrap();
    assert_eq!(SystemConfig::decode(&blob[..size]).unwrap(), system);
}

#[test]
fn several_regions_of_everything_are_found() {
    let tricky = read("tricky");
    let system = tricky.system(&tricky.ram().unwrap(), |_| true).unwrap();
    assert_eq!(
        system.gicrs.iter().map(|r| r.base().0).collect::<Vec<_>>(),
        [0xf908_0000, 0xf90c_0000]
    );
    assert_eq!(
        system
            .cpus
            .iter()
            .map(|cpu| cpu.mpidr.get())
            .collect::<Vec<_>>(),
        [0, 1, 0x100]
    );
    let ram: Vec<_> = system.ram.iter().map(|r| (r.base().0, r.size())).collect();
    assert_eq!(
        ram,
        [
            (0, 0x3c00_0000),
            (0x4000_0000, 0x4000_0000),
            (0x8_8000_0000, 0x8000_0000)
        ]
    );
}

#[test]
fn addresses_go_through_every_bus() {
    let tricky = read("tricky");
    let at = |reference: &str| windows(tricky.tree.resolve(reference).unwrap()).unwrap();
    assert_eq!(at("console"), [window(0xfe00_1000, 0x1000)]);
    assert_eq!(at("uart-b"), [window(0xfe11_1000, 0x1000)]);
}

#[test]
fn a_small_device_alone_in_its_page_gets_the_page() {
    let tricky = read("tricky");
    let cell = resolved(&tricky, "-console; devices = \"/soc/alone@3000\"");
    let device = cell.config.devices[0];
    assert_eq!((device.hpa.0, device.size), (0xfe00_3000, 0x1000));
    assert_eq!(
        cell.config
            .spis
            .iter()
            .map(|spi| spi.intid())
            .collect::<Vec<_>>(),
        [44, 45]
    );
}

#[test]
fn devices_that_share_page_and_interrupt_go_together() {
    let tricky = read("tricky");
    let three =
        "-console; devices = \"/soc/timer@2000\", \"/soc/timer@2100\", \"/soc/watchdog@2f00\"";
    let cell = resolved(&tricky, three);
    assert_eq!(cell.config.devices.len(), 1);
    assert_eq!(
        cell.config
            .spis
            .iter()
            .map(|spi| spi.intid())
            .collect::<Vec<_>>(),
        [43]
    );
}

#[test]
fn a_timer_needs_nothing() {
    let virt = read("virt");
    let cell = resolved(&virt, "-console; devices = \"/timer\"");
    assert!(cell.config.devices.is_empty() && cell.config.spis.is_empty());
}

#[test]
fn cpus_are_named_or_counted() {
    let tricky = read("tricky");
    let cpus = |change: &str| {
        let cell = resolved(&tricky, &format!("-console; -devices; {change}"));
        cell.config
            .cpus
            .iter()
            .map(|mpidr| mpidr.get())
            .collect::<Vec<_>>()
    };
    assert_eq!(cpus("cpus = <1>"), [0x100]);
    // The cell's own numbers go up with the board's.
    assert_eq!(cpus("cpus = <2>"), [1, 0x100]);
    // Named ones keep their order.
    assert_eq!(
        cpus("cpus = \"/cpus/cpu@100\", \"/cpus/cpu@1\""),
        [0x100, 1]
    );
}

#[test]
fn memory_may_have_places() {
    let virt = read("virt");
    let change = "memory = <0x0 0x80000000 0x0 0x200000>, <0x1 0x0 0x0 0x1000>; memory-physical = <0x0 0x7c000000>, <0x0 0x7c200000>";
    let cell = resolved(&virt, change);
    let regions: Vec<_> = cell
        .config
        .memory
        .iter()
        .map(|m| (m.gpa.0, m.placement, m.size))
        .collect();
    let at = |hpa| Placement::At(Hpa(hpa));
    assert_eq!(
        regions,
        [
            (0x8000_0000, at(0x7c00_0000), 0x20_0000),
            (0x1_0000_0000, at(0x7c20_0000), 0x1000)
        ]
    );
}

#[test]
fn the_blob_says_the_same() {
    let virt = read("virt");
    let cell = resolved(&virt, "");
    let mut blob = [0; MAX_SIZE];
    let size = cell.config.encode(&mut blob).unwrap();
    assert_eq!(CellConfig::decode(&blob[..size]).unwrap(), cell.config);
}

#[test]
fn the_cells_own_tree_has_what_it_owns() {
    let virt = read("virt");
    let tree = own_tree(&virt, "cpus = <2>; bootargs = \"write=0x50000000\"");
    assert_eq!(
        tree.find("/chosen").unwrap().str("stdout-path"),
        Some("/pl011@9040000")
    );
    assert_eq!(
        tree.find("/chosen").unwrap().str("bootargs"),
        Some("write=0x50000000")
    );
    let cpus: Vec<_> = tree
        .find("/cpus")
        .unwrap()
        .children()
        .map(|cpu| cpu.u32("reg"))
        .collect();
    assert_eq!(cpus, [Some(0), Some(1)]);
    let at = |path: &str| windows(tree.find(path).unwrap()).unwrap();
    assert_eq!(at("/memory"), [window(0x4000_0000, 0x0100_0000)]);
    assert_eq!(
        at("/intc"),
        [window(0x0800_0000, 0x1_0000), window(0x080a_0000, 0x4_0000)]
    );
    assert_eq!(at("/pl011"), [window(0x0904_0000, 0x1000)]);
    assert_eq!(tree.find("/psci").unwrap().str("method"), Some("hvc"));
    let uart = tree.find("/pl011").unwrap();
    assert_eq!(interrupts::interrupts(uart).unwrap()[0].spi(), Some(40));
    let clock = tree
        .by_phandle(cells(uart.property("clocks").unwrap()).unwrap()[0])
        .unwrap();
    assert_eq!(clock.u32("clock-frequency"), Some(24_000_000));
    let timer: Vec<_> = interrupts::interrupts(tree.find("/timer").unwrap())
        .unwrap()
        .iter()
        .map(|i| i.number)
        .collect();
    assert_eq!(timer, [13, 14, 11, 10]);
}

#[test]
fn the_cells_own_tree_points_to_nothing_outside() {
    let tricky = read("tricky");
    let tree = own_tree(
        &tricky,
        "-console; devices = \"/soc/alone@3000\", \"/soc/i2c@6000\", \"uart-b\"",
    );
    let alone = tree.find("/alone@fe003000").unwrap();
    assert!(alone.property("pinctrl-0").is_none() && alone.property("clocks").is_none());
    assert_eq!(alone.u32("fifo-depth"), Some(16));
    assert_eq!(alone.child("part@1").unwrap().str("label"), Some("kept"));
    assert_eq!(interrupts::interrupts(alone).unwrap().len(), 2);
    let sensor = tree.find("/i2c@fe006000/sensor@48").unwrap();
    assert_eq!(sensor.u32("reg"), Some(0x48));
    assert!(tree.find("/serial@fe111000").is_some());
    for node in tree
        .nodes()
        .filter(|node| node.property("clocks").is_some())
    {
        let phandles = cells(node.property("clocks").unwrap()).unwrap();
        assert!(
            phandles
                .iter()
                .all(|phandle| tree.by_phandle(*phandle).is_some()),
            "{}",
            node.path()
        );
    }
}

#[test]
fn the_tree_goes_to_the_end_of_memory() {
    let virt = read("virt");
    let at = |memory: &str| guest_tree::place(&resolved(&virt, memory).config.memory, None).ok();
    assert_eq!(at("memory = <0x0 0x01000000>"), Some(0x40ff_0000));
    assert_eq!(
        at("memory = <0x0 0x40000000 0x0 0x19000>"),
        Some(0x4000_0000)
    );
    assert_eq!(at("memory = <0x0 0x8000>"), None);
}

#[test]
fn a_cell_that_wants_no_tree_gets_none() {
    let virt = read("virt");
    let change = "device-tree = \"none\"; memory = <0x0 0x1000>";
    let built = guest_tree::build(&file(change), &resolved(&virt, change), &virt).unwrap();
    assert!(built.is_empty());
    assert!(guest_tree::is_wanted(&file(change)).is_err());
}

#[test]
fn the_tree_is_completed_when_it_is_loaded() {
    let virt = read("virt");
    let change = "bootargs = \"quiet\"";
    let before = guest_tree::build(&file(change), &resolved(&virt, change), &virt).unwrap();
    let at = window(0x4050_0000, 0x1234);
    let seed: [u8; guest_tree::SEED_SIZE] = std::array::from_fn(|n| u8::try_from(n).unwrap());
    let after = guest_tree::complete(&before, &seed, Some(at)).unwrap();
    assert!((after.len() - before.len()) <= 256);
    let blob = before;
    let (before, after) = (Tree::parse(&blob).unwrap(), Tree::parse(&after).unwrap());
    let chosen = after.find("/chosen").unwrap();
    let place = |name: &str| number(&cells(chosen.property(name).unwrap()).unwrap());
    assert_eq!(place("linux,initrd-start"), Some(0x4050_0000));
    assert_eq!(place("linux,initrd-end"), Some(0x4050_1234));
    assert_eq!(chosen.str("bootargs"), Some("quiet"));
    let (was, is) = (before.nodes(), after.nodes());
    assert!(was.zip(is).all(|(was, is)| was.path() == is.path()));
    assert_eq!(before.nodes().count(), after.nodes().count());
    assert_eq!(chosen.property("kaslr-seed"), Some(&seed[..8]));
    assert_eq!(chosen.property("rng-seed"), Some(&seed[8..]));
    assert!(guest_tree::complete(b"", &seed, None).is_err());
    let without = Tree::parse(&guest_tree::complete(&blob, &seed, None).unwrap()).unwrap();
    let chosen = without.find("/chosen").unwrap();
    assert_eq!(chosen.property("linux,initrd-start"), None);
}

#[test]
fn this_boards_cells_are_good() {
    let folder =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../board-configs/qemu-virt/cells");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let board = board("virt");
        bulkhead_cli::command::check::check(
            &crate::support::context(),
            &[path],
            Some(&board),
            None,
        )
        .unwrap();
        count += 1;
    }
    assert!(count >= 2);
}

#[test]
fn a_heartbeat_brings_a_page_that_is_no_memory() {
    let virt = read("virt");
    let config = resolved(&virt, "").config;
    assert_eq!((config.comm(), config.memory.len()), (None, 1));
    let change = "heartbeat-ms = <500>; on-stall = \"restart\"";
    let config = resolved(&virt, change).config;
    let heartbeat = (config.heartbeat.period_ms, config.heartbeat.restarts);
    assert_eq!(heartbeat, (500, 3));
    assert_eq!(
        (config.comm(), config.ram().len()),
        (Some(Gpa(0x4100_0000)), 1)
    );
    let mut blob = [0; MAX_SIZE];
    let length = config.encode(&mut blob).unwrap();
    assert_eq!(CellConfig::decode(&blob[..length]), Ok(config));
    let tree = own_tree(&virt, change);
    let node = tree.resolve("/comm@41000000").unwrap();
    assert!(node.is_compatible("bulkhead,comm"));
    assert_eq!(node.u32("heartbeat-ms"), Some(500));
    assert_eq!(windows(node).unwrap(), [window(0x4100_0000, 0x1000)]);
    let is_memory = |node: &bulkhead_cli::tree::Node<'_>| node.name().starts_with("memory@");
    assert_eq!(tree.root().children().filter(is_memory).count(), 1);
}

#[test]
fn the_page_of_a_heartbeat_makes_way_for_everything_else() {
    let virt = read("virt");
    let comm = |memory: &str| {
        let change = format!("heartbeat-ms = <500>; memory = {memory}");
        resolved(&virt, &change).config.comm()
    };
    // Behind the second region, which follows the first at once.
    let two = comm("<0 0x40000000 0 0x100000 0 0x40100000 0 0x3000>");
    assert_eq!(two, Some(Gpa(0x4010_3000)));
    // Behind the redistributors and the UART: the main memory ends at the distributor.
    let below = comm("<0 0x07f00000 0 0x100000>");
    assert_eq!(below, Some(Gpa(0x0801_0000)));
}

#[test]
fn cpus_of_two_kinds_are_warned_of() {
    let warned = |cpus: &str| {
        let report = verdict("tricky", &format!("{} cpus = {cpus};", CPUS_ONLY)).unwrap();
        report
            .json
            .to_string()
            .contains("is 'arm,cortex-a53', /cpus/cpu@100 is 'arm,cortex-a72'")
    };
    assert!(warned("\"/cpus/cpu@1\", \"/cpus/cpu@100\""));
    assert!(!warned("\"/cpus/cpu@1\", \"/cpus/cpu@0\""));
}

/// A cell without devices.
const CPUS_ONLY: &str =
    "compatible = \"bulkhead,cell\"; model = \"two\"; memory = <0x0 0x01000000>;";

#[test]
fn a_ring_console_is_behind_everything_and_is_where_it_prints() {
    let virt = read("virt");
    let config = resolved(&virt, "").config;
    assert_eq!(config.console, None);
    let config = resolved(&virt, "console = \"ring\"").config;
    assert_eq!(
        (config.console, config.memory.len()),
        (Some(Gpa(0x4100_0000)), 1)
    );
    let change = "console = \"ring\"; heartbeat-ms = <500>";
    let config = resolved(&virt, change).config;
    assert_eq!(
        (config.comm(), config.console),
        (Some(Gpa(0x4100_0000)), Some(Gpa(0x4100_1000)))
    );
    let mut blob = [0; MAX_SIZE];
    let length = config.encode(&mut blob).unwrap();
    assert_eq!(CellConfig::decode(&blob[..length]), Ok(config));
    let tree = own_tree(&virt, change);
    let path = tree.find("/chosen").unwrap().str("stdout-path");
    assert_eq!(path, Some("/console@41001000"));
    let node = tree.resolve("/console@41001000").unwrap();
    assert!(node.is_compatible("bulkhead,console"));
    assert_eq!(windows(node).unwrap(), [window(0x4100_1000, 0x2000)]);
}

#[test]
fn a_device_may_have_a_part_of_a_page_and_that_costs_exits() {
    let tricky = read("tricky");
    let change = "-console; devices = \"/soc/watchdog@2f00\"; share-page = \"/soc/watchdog@2f00\"";
    let resolved_one = resolved(&tricky, change);
    assert_eq!(devices(&resolved_one.config), [(0xfe00_2f00, 0x100)]);
    let costs = "/soc/watchdog@2f00: its 0x100 bytes of registers at 0xfe002f00 share their page with /soc/timer@2000: costs \
                 exits, one for each access to that page, by Linux too";
    assert!(
        resolved_one.warnings.iter().any(|line| line == costs),
        "{:?}",
        resolved_one.warnings
    );
    // Both timers have their interrupt together, and are apart from the watchdog.
    let change = "-console; devices = \"/soc/timer@2000\", \"/soc/timer@2100\"; \
                  share-page = \"/soc/timer@2000\", \"/soc/timer@2100\"";
    assert_eq!(
        devices(&resolved(&tricky, change).config),
        [(0xfe00_2000, 0x100), (0xfe00_2100, 0x100)]
    );
    // With a page of its own it is not divided.
    let config = resolved(&read("virt"), "share-page = \"serial1\"").config;
    assert_eq!(devices(&config), [(0x904_0000, 0x1000)]);
    assert!(!config.devices[0].is_part());
}

/// Its device windows, all seen where they are.
fn devices(config: &CellConfig) -> Vec<(u64, u64)> {
    let devices = config.devices.iter();
    devices
        .inspect(|d| assert_eq!(d.gpa.0, d.hpa.0))
        .map(|d| (d.hpa.0, d.size))
        .collect()
}

#[test]
fn only_the_ends_of_long_registers_are_divided() {
    let source = std::fs::read_to_string(board("virt")).unwrap();
    let path = crate::support::folder().join("board.dts");
    let more = "/ { long@b000800 { compatible = \"x\"; reg = <0 0xb000800 0 0x2900>; }; \
        before@b000000 { compatible = \"x\"; reg = <0 0xb000000 0 0x800>; }; \
        behind@b003200 { compatible = \"x\"; reg = <0 0xb003200 0 4>; }; };";
    std::fs::write(&path, format!("{source}\n{more}\n")).unwrap();
    let longer = Board::read(Some(&path)).unwrap();
    let change = "-console; devices = \"/long@b000800\"; share-page = \"/long@b000800\"";
    let config = resolved(&longer, change).config;
    let whole = (0xb00_1000, 0x2000);
    let ends = [(0xb00_0800, 0x800), (0xb00_3000, 0x100)];
    assert_eq!(devices(&config), [whole, ends[0], ends[1]]);
    assert_eq!(
        config
            .devices
            .iter()
            .map(|d| d.is_part())
            .collect::<Vec<_>>(),
        [false, true, true]
    );
}

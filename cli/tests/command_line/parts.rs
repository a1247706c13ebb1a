//! A device brings everything that hangs on it, and what it leaves behind is said.

use std::io::Write as _;
use std::process::{Command, Stdio};

use bulkhead_cli::board::Board;
use bulkhead_cli::cell_file::CellFile;
use bulkhead_cli::guest_tree;
use bulkhead_cli::resolve::{Resolved, resolve};
use bulkhead_cli::tree::interrupts::{controller, interrupts, map_to_gic};
use bulkhead_cli::tree::reg::{Window, windows};
use bulkhead_cli::tree::{Node, Tree, cells, compile};
use bulkhead_model::id::Mpidr;

use crate::real_boards::debian;
use crate::support::{board, cell, good_but};

fn read(name: &str) -> Board {
    Board::read(Some(&board(name))).unwrap()
}

fn file(change: &str) -> CellFile {
    let tree = compile::read(&cell(&good_but(change))).unwrap();
    CellFile::read(&tree, "cell.dts").unwrap()
}

fn resolved<'t>(board: &'t Board, file: &CellFile) -> Resolved<'t> {
    let cpus = board.cpus().unwrap();
    let spare: Vec<Mpidr> = cpus.iter().map(|cpu| cpu.mpidr).skip(1).collect();
    resolve(file, board, &spare).unwrap()
}

fn windows_and_spis(resolved: &Resolved<'_>) -> (Vec<(u64, u64)>, Vec<u16>) {
    let windows = resolved.config.devices.iter().map(|w| (w.hpa.0, w.size));
    let spis = resolved.config.spis.iter().map(|spi| spi.intid());
    (windows.collect(), spis.collect())
}

/// Builds the cell's own tree; dtc must have nothing to say about it.
fn own_tree(board: &Board, change: &str) -> Tree {
    let file = file(change);
    let blob = guest_tree::build(&file, &resolved(board, &file), board).unwrap();
    let initrd = Window {
        base: 0x4800_0000,
        size: 5,
    };
    let blob = guest_tree::complete(&blob, &[7; guest_tree::SEED_SIZE], Some(initrd)).unwrap();
    let mut dtc = Command::new("dtc")
        .args(["-I", "dtb", "-O", "dts", "-o", "/dev/null"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    dtc.stdin.take().unwrap().write_all(&blob).unwrap();
    let output = dtc.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && said.is_empty(),
        "{change}: {said}"
    );
    Tree::parse(&blob).unwrap()
}

const USB: &str = "-console; devices = \"usb_wrapper\"";

#[test]
fn a_wrapper_brings_what_is_on_its_bus() {
    let tricky = read("tricky");
    let usb = resolved(&tricky, &file(USB));
    let (windows, spis) = windows_and_spis(&usb);
    assert_eq!(
        windows,
        [
            (0xfe20_0000, 0x1000),
            (0xfe21_0000, 0x8000),
            (0xfe21_8000, 0x1000)
        ]
    );
    assert_eq!(spis, [52]);
}

#[test]
fn what_stays_with_linux_is_said_with_the_remedy() {
    let tricky = read("tricky");
    let said = resolved(&tricky, &file(USB)).warnings.join("\n");
    for warning in [
        "/soc/usb@200000: it reaches memory by itself (DMA), no IOMMU is in front of it: the cell can reach all memory \
         through it; list it in 'allow-dma' if that is meant",
        "/soc/usb@200000: its clock 'bus' is of /clock-controller-with-a-name-of-more-than-31-bytes, which stays with \
         Linux: boot Linux with 'clk_ignore_unused', so that it runs on at its rate, which the board's tree does not state",
        "/soc/usb@200000: its reset is of /soc/reset-controller@220000, which stays with Linux",
        "/soc/usb@200000: its power domain is of /soc/power-controller@221000, which stays with Linux: boot Linux with \
         'pd_ignore_unused'",
        "/soc/usb@200000: its 'vbus-supply' is /regulator, which stays with Linux: boot Linux with 'regulator_ignore_unused'",
        "/soc/usb@200000: its pins are set by /soc/pinctrl@222000/usb-pins, which stays with Linux",
        "/soc/usb@200000/core@0: its clock 0 is of /clock-controller-with-a-name-of-more-than-31-bytes, which stays with \
         Linux: boot Linux with 'clk_ignore_unused', so that it runs on at its 19200000 Hz",
    ] {
        assert!(said.contains(warning), "{warning}\nis not in\n{said}");
    }
    assert_eq!(said.lines().count(), 7, "{said}");
    let allowed = file(&format!("{USB}; allow-dma = \"/soc/usb@200000\""));
    assert!(
        !resolved(&tricky, &allowed)
            .warnings
            .join("\n")
            .contains("DMA")
    );
}

#[test]
fn the_cells_tree_keeps_what_points_inside() {
    let tricky = read("tricky");
    let tree = own_tree(&tricky, USB);
    let at = |path: &str| tree.find(path).unwrap();
    let wrapper = at("/usb@fe200000");
    for gone in [
        "resets",
        "reset-names",
        "power-domains",
        "vbus-supply",
        "pinctrl-0",
        "pinctrl-names",
        "clocks",
    ] {
        assert!(wrapper.property(gone).is_none(), "{gone}");
    }
    let core = at("/usb@fe200000/core@fe210000");
    assert_eq!(windows(core).unwrap()[0].base, 0xfe21_0000);
    assert_eq!(interrupts(core).unwrap()[0].spi(), Some(52));
    let phys = cells(core.property("phys").unwrap()).unwrap();
    assert_eq!(
        tree.by_phandle(phys[0]).map(Node::path),
        Some("/usb@fe200000/phy@fe218000".to_owned())
    );
    assert_eq!(core.str("phy-names"), Some("usb2"));
    let clock = cells(core.property("clocks").unwrap()).unwrap()[0];
    let clock = tree.by_phandle(clock).unwrap();
    assert_eq!(clock.u32("clock-frequency"), Some(19_200_000));
    assert!(tree.find("/usb/debug").is_none());
}

#[test]
fn a_controller_that_the_cell_has_serves_its_parts() {
    let tricky = read("tricky");
    let change = "-console; devices = \"/soc/expander@300000\"";
    let tree = own_tree(&tricky, change);
    let own = tree.find("/expander@fe300000/own@1").unwrap();
    assert_eq!(
        controller(own).unwrap().path(),
        "/expander@fe300000".to_owned()
    );
    let other = tree.find("/expander@fe300000/other@2").unwrap();
    assert!(other.property("interrupts").is_none());
    assert_eq!(
        resolved(&tricky, &file(change)).warnings,
        [
            "/soc/expander@300000/other@2: its interrupts go through /soc/gpio@4000, which is not the GIC; they cannot be \
             given away; the cell's tree has no interrupt for it"
        ]
    );
}

#[test]
fn a_pci_host_bridge_brings_its_bus_and_its_lines() {
    let tricky = read("tricky");
    let change = "-console; devices = \"/pcie@f0000000\"";
    let (windows, spis) = windows_and_spis(&resolved(&tricky, &file(change)));
    assert_eq!(
        windows,
        [(0xf000_0000, 0x100_0000), (0xe000_0000, 0x800_0000)]
    );
    assert_eq!(spis, [62, 63]);
    let tree = own_tree(&tricky, change);
    let lines = map_to_gic(tree.find("/pcie").unwrap()).unwrap();
    let spis: Vec<_> = lines.iter().map(|(_, to)| to.spi().unwrap()).collect();
    assert_eq!(spis, [62, 63, 63, 62]);
}

#[test]
fn a_shared_interrupt_goes_with_both_devices_or_not_at_all() {
    let tricky = read("tricky");
    let both = "-console; devices = \"/soc/shares-a@310000\", \"/soc/shares-b@311000\"";
    assert_eq!(windows_and_spis(&resolved(&tricky, &file(both))).1, [54]);
    let one = file("-console; devices = \"/soc/shares-a@310000\"");
    let error = resolve(&one, &tricky, &[Mpidr::from_bits(1)]).unwrap_err();
    assert!(
        error
            .reason
            .contains("it shares interrupt 54 with /soc/shares-b@311000, which stays with Linux"),
        "{error}"
    );
}

#[test]
fn a_disabled_neighbour_goes_along_and_is_named() {
    let tricky = read("tricky");
    let half = file("-console; devices = \"/soc/half@312000\"");
    assert_eq!(
        resolved(&tricky, &half).warnings,
        [
            "/soc/half@312000: /soc/half@312800, which is disabled, is in its page at 0xfe312000 and goes along"
        ]
    );
}

#[test]
fn labels_paths_behind_them_and_affinities_name_things() {
    let tricky = read("tricky");
    let three = "-console; devices = \"first_timer\", \"/soc/timer@2100\", \"/soc/watchdog\"";
    assert_eq!(windows_and_spis(&resolved(&tricky, &file(three))).1, [43]);
    let core = file("-console; devices = \"usb_wrapper/core\"");
    assert_eq!(windows_and_spis(&resolved(&tricky, &core)).1, [52]);
    let cpus = file("-console; -devices; cpus = \"mpidr:0x100\", \"/cpus/cpu@1\"");
    let cpus: Vec<_> = resolved(&tricky, &cpus)
        .config
        .cpus
        .iter()
        .map(|cpu| cpu.get())
        .collect();
    assert_eq!(cpus, [0x100, 1]);
}

#[test]
fn dtc_has_nothing_to_say_about_the_cells_trees() {
    let (virt, versal, tricky) = (read("virt"), read("versal"), read("tricky"));
    own_tree(&virt, "");
    own_tree(&virt, "cpus = <3>; bootargs = \"console=ttyAMA0\"");
    own_tree(&virt, "-console; -devices");
    own_tree(
        &versal,
        "-console; devices = \"/uart@ff010000\", \"/rtc@f12a0000\"",
    );
    own_tree(
        &tricky,
        "-console; devices = \"uart-b\", \"/soc/i2c@6000\", \"/soc/alone@3000\", \"/pcie@f0000000\", \"usb_wrapper\", \"/timer\"",
    );
}

/// Every device of a real board that can be given away alone gives a tree that dtc takes.
#[test]
fn dtc_has_nothing_to_say_about_a_real_boards_devices() {
    let path = debian().join("freescale/imx8mp-evk.dtb");
    let imx8mp = Board::read(Some(&path)).unwrap();
    let mut file = file("-console; -devices");
    let mut given = 0;
    for alias in imx8mp.tree.aliases() {
        file.devices = vec![
            imx8mp
                .tree
                .find("/aliases")
                .unwrap()
                .str(alias)
                .unwrap()
                .to_owned(),
        ];
        let spare = [Mpidr::from_bits(3)];
        if resolve(&file, &imx8mp, &spare).is_ok() {
            let source = format!("-console; devices = \"{}\"", file.devices[0]);
            own_tree(&imx8mp, &source);
            given += 1;
        }
    }
    assert!(given >= 15, "{given}");
}

//! Everything that is done with a board's tree and with a cell's, done with a hostile one.

use std::path::{Path, PathBuf};

use bulkhead_cli::board::Board;
use bulkhead_cli::cell_file::{CellFile, Console, Cpus};
use bulkhead_cli::command::check::empty_ledger;
use bulkhead_cli::guest_tree;
use bulkhead_cli::resolve::{blame, resolve};
use bulkhead_cli::tree::{Tree, interrupts, reg};
use bulkhead_model::blob::{CellConfig, MAX_SIZE, SystemConfig};
use bulkhead_model::id::Mpidr;

use crate::mutate::Random;
use crate::{compile, folder};

/// The good ones that the hostile one meets.
pub struct Subjects {
    board: Board,
    cell: CellFile,
}

impl Subjects {
    /// Reads them.
    pub fn new() -> Self {
        let tree = |path: &str| Tree::parse(&compile(&folder(path))).expect("a good tree");
        let cell = tree("../board-configs/qemu-virt/cells/rtos.dts");
        Self {
            board: Board {
                tree: tree("tests/boards/virt.dts"),
                file: "virt".to_owned(),
            },
            cell: CellFile::read(&cell, "rtos").expect("a good cell"),
        }
    }

    /// Does all that is done with a board and with a cell; may panic only where there is a bug.
    pub fn use_all(&self, blob: &[u8], seed: u64) {
        let Ok(tree) = Tree::parse(blob) else { return };
        if let Ok(cell) = CellFile::read(&tree, "hostile") {
            create(&cell, &self.board);
        }
        for node in tree.nodes() {
            let _ = (node.path(), reg::windows(node));
            let _ = (interrupts::interrupts(node), interrupts::passed_on(node));
        }
        let hostile = Board {
            tree,
            file: "hostile".to_owned(),
        };
        create(&self.cell, &hostile);
        create(&self.any_cell(&hostile, &mut Random(seed)), &hostile);
    }

    /// Makes a cell of devices that the board has.
    fn any_cell(&self, board: &Board, random: &mut Random) -> CellFile {
        let paths: Vec<String> = board.tree.nodes().map(|node| node.path()).collect();
        let mut cell = self.cell.clone();
        cell.cpus = Cpus::Any(1 + random.below(2));
        cell.devices = (0..random.below(4))
            .map(|_| paths[random.below(paths.len())].clone())
            .collect();
        cell.console = cell.devices.first().cloned().map(Console::Device);
        cell
    }
}

/// Goes the whole way from a cell and a board to the blob and the cell's own tree.
fn create(cell: &CellFile, board: &Board) {
    let cpus = board.cpus().unwrap_or_default();
    let spare: Vec<Mpidr> = cpus.iter().map(|cpu| cpu.mpidr).collect();
    let resolved = resolve(cell, board, &spare);
    let system = board.ram().and_then(|ram| board.system(&ram, |_| true));
    let mut blob = [0; MAX_SIZE];
    if let Ok(system) = &system
        && let Ok(size) = system.encode(&mut blob)
    {
        assert_eq!(SystemConfig::decode(&blob[..size]).as_ref(), Ok(system));
    }
    let Ok(resolved) = resolved else { return };
    if let Ok(tree) = guest_tree::build(cell, &resolved, board) {
        Tree::parse(&tree).expect("the cell's own tree is well-formed");
    }
    let Ok(Some(ledger)) = system.map(|system| empty_ledger(board, &system).unwrap_or_default())
    else {
        return;
    };
    match ledger.prepare_create(&resolved.config, |_| true) {
        Err(refused) => drop(blame(refused, cell, &resolved).to_string()),
        Ok(_) => {
            let size = resolved.config.encode(&mut blob).expect("room for a blob");
            assert_eq!(CellConfig::decode(&blob[..size]), Ok(resolved.config));
        }
    }
}

/// Returns the folder of Debian's trees: `$BULKHEAD_TREES`, or where `qemu/kernel 6.12` puts them.
pub fn debian() -> PathBuf {
    let own = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/kernels/6.12/root/usr/lib");
    std::env::var_os("BULKHEAD_TREES").map_or_else(own, PathBuf::from)
}

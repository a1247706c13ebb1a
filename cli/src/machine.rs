//! The machine as it is divided now: whose an address, a CPU or an interrupt is, by the names that people know.

use bulkhead_abi::info::Info;
use bulkhead_model::addr::Hpa;
use bulkhead_model::id::{CellId, Mpidr};
use bulkhead_model::ledger::{Ledger, Owner};

use crate::board::Board;
use crate::command::{Context, refusal};
use crate::error::Error;
use crate::live;
use crate::tree::Node;
use crate::tree::reg::{Window, windows};

/// A board and who has what of it.
#[derive(Debug)]
pub struct Machine {
    /// The board.
    pub board: Board,
    /// Who has what.
    pub ledger: Ledger,
}

impl Machine {
    /// Describes the one that this runs on.
    ///
    /// # Errors
    /// The board's tree cannot be read, or contradicts the running hypervisor.
    pub fn live(context: &Context, info: &Info) -> Result<Self, Error> {
        let board = Board::read(None)?;
        let ledger =
            live::ledger(info, &context.system(&board)?, &context.store).map_err(|refused| {
                refusal("the running hypervisor does not match this board", refused)
            })?;
        Ok(Self { board, ledger })
    }

    /// Names a CPU as the board's tree does: `cpu@3`.
    pub fn cpu(&self, mpidr: Mpidr) -> String {
        let cpus = self.board.cpus().unwrap_or_default();
        let node = cpus.iter().find(|cpu| cpu.mpidr == mpidr);
        node.map_or(format!("CPU {:#x}", mpidr.get()), |cpu| {
            cpu.node.name().to_owned()
        })
    }

    /// Names a cell.
    pub fn cell(&self, id: CellId) -> String {
        match self.ledger.cell(id) {
            _ if id == CellId::ROOT => "root".to_owned(),
            Some(holding) => holding.name.to_string(),
            None => format!("cell {}", id.index()),
        }
    }

    /// Returns the node that an address is in: of several the one with the smallest window.
    pub fn node(&self, address: u64) -> Option<Node<'_>> {
        let here = Window {
            base: address,
            size: 1,
        };
        let smallest = |node: &Node<'_>| {
            let windows = windows(*node).ok()?.into_iter();
            let fitting = windows.filter(|window| window.overlaps(&here));
            fitting.map(|window| window.size).min()
        };
        let nodes = self.board.tree.nodes();
        let found = nodes.filter_map(|node| Some((smallest(&node)?, node)));
        found.min_by_key(|(size, _)| *size).map(|(_, node)| node)
    }

    /// Says what is at a physical address and whose it is. Cells see devices where they are, so a guest address of one
    /// names it too.
    pub fn place(&self, address: u64) -> String {
        let owner = match self.ledger.owner(Hpa(address)) {
            Owner::Hypervisor => return "the hypervisor's own memory".to_owned(),
            Owner::Pool => return "memory for cells that no cell has".to_owned(),
            Owner::Absent => return "beyond the physical address space".to_owned(),
            Owner::Gic => "the interrupt controller".to_owned(),
            Owner::Cell(id) => format!("owned by {}", self.cell(id)),
        };
        match self.node(address) {
            Some(node) => format!("{}, {owner}", node.name()),
            None => format!("nothing in the board's tree, {owner}"),
        }
    }
}

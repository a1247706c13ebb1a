//! The board: what its device tree says of CPUs, memory, interrupt controller and firmware.

use std::num::NonZero;
use std::path::Path;

use arrayvec::ArrayVec;
use bulkhead_model::addr::{Hpa, PAGE_SIZE, Region};
use bulkhead_model::blob::{Conduit, CpuConfig, SystemConfig};
use bulkhead_model::id::Mpidr;

use crate::error::{ConfigError, Error, Place};
use crate::tree::reg::{Window, windows};
use crate::tree::{Node, Tree, cells, compile, number};

/// Where Linux keeps the tree it was booted with.
pub const LIVE_TREE: &str = "/sys/firmware/fdt";

/// A board by its tree.
#[derive(Debug)]
pub struct Board {
    /// Its tree.
    pub tree: Tree,
    /// Where the tree came from, for messages.
    pub file: String,
}

/// A CPU node.
#[derive(Clone, Copy, Debug)]
pub struct BoardCpu<'t> {
    /// The node.
    pub node: Node<'t>,
    /// Its affinity.
    pub mpidr: Mpidr,
}

impl Board {
    /// Reads the tree of the machine that this runs on, or of a file.
    ///
    /// # Errors
    /// It cannot be read or is malformed.
    pub fn read(file: Option<&Path>) -> Result<Self, Error> {
        let path = file.unwrap_or(Path::new(LIVE_TREE));
        if file.is_none() && !path.exists() {
            return Err(Error::System(format!(
                "this machine has no device tree ({LIVE_TREE}): give a board's with --board FILE"
            )));
        }
        Ok(Self {
            tree: compile::read(path)?,
            file: path.display().to_string(),
        })
    }

    /// Returns the place of a node, for complaints.
    pub fn place(&self, node: Node<'_>) -> Place {
        Place::new(&self.file, node.path())
    }

    /// Returns the CPUs in the tree's order, those that firmware disabled left out.
    ///
    /// # Errors
    /// A CPU without an affinity.
    pub fn cpus(&self) -> Result<Vec<BoardCpu<'_>>, ConfigError> {
        let Some(cpus) = self.tree.find("/cpus") else {
            return Err(Place::new(&self.file, "/").wrong("", "it has no node /cpus"));
        };
        // `fail` means broken; `disabled` only that the CPU waits for its enable-method.
        let is_cpu = |node: &Node<'_>| {
            node.str("device_type") == Some("cpu")
                && !node.str("status").is_some_and(|s| s.starts_with("fail"))
        };
        cpus.children()
            .filter(is_cpu)
            .map(|node| self.cpu(node))
            .collect()
    }

    fn cpu<'t>(&self, node: Node<'t>) -> Result<BoardCpu<'t>, ConfigError> {
        let affinity = node
            .property("reg")
            .and_then(cells)
            .and_then(|reg| number(&reg));
        let is_affinity = |affinity: &u64| Mpidr::from_bits(*affinity).get() == *affinity;
        match affinity.filter(is_affinity) {
            Some(affinity) => Ok(BoardCpu {
                node,
                mpidr: Mpidr::from_bits(affinity),
            }),
            None => Err(self
                .place(node)
                .wrong("reg", "it is not the affinity of a CPU")),
        }
    }

    /// Returns where a CPU without PSCI waits for an address, by its spin table.
    pub fn release(&self, cpu: &BoardCpu<'_>) -> Option<NonZero<u64>> {
        let parent = self.tree.find("/cpus");
        let own = cpu.node.str("enable-method");
        let method = own.or_else(|| parent?.str("enable-method"));
        let word = number(&cells(cpu.node.property("cpu-release-addr")?)?)?;
        NonZero::new(word).filter(|_| method == Some("spin-table"))
    }

    /// Returns the GICv3 node.
    ///
    /// # Errors
    /// There is none.
    pub fn gic(&self) -> Result<Node<'_>, ConfigError> {
        if let Some(gic) = self
            .tree
            .nodes()
            .find(|node| node.is_compatible("arm,gic-v3") && node.is_enabled())
        {
            return Ok(gic);
        }
        let root = Place::new(&self.file, "/");
        match self
            .tree
            .nodes()
            .find(|node| crate::tree::interrupts::is_gic(*node))
        {
            Some(gic) => Err(self.place(gic).wrong(
                "compatible",
                "the board has a GICv2; this version needs a GICv3",
            )),
            None => Err(root.wrong(
                "",
                "it has no interrupt controller compatible with 'arm,gic-v3'",
            )),
        }
    }

    /// Returns how firmware's PSCI is called.
    pub fn psci(&self) -> Conduit {
        let is_psci = |node: &Node<'_>| {
            ["arm,psci", "arm,psci-0.2", "arm,psci-1.0"]
                .iter()
                .any(|name| node.is_compatible(name))
        };
        match self
            .tree
            .nodes()
            .find(is_psci)
            .and_then(|node| node.str("method"))
        {
            Some("smc") => Conduit::Smc,
            Some("hvc") => Conduit::Hvc,
            _ => Conduit::None,
        }
    }

    /// Returns the RAM of the memory nodes.
    ///
    /// # Errors
    /// A memory node that cannot be read.
    pub fn ram(&self) -> Result<Vec<Window>, ConfigError> {
        let is_memory =
            |node: &Node<'_>| node.str("device_type") == Some("memory") && node.is_enabled();
        let mut ram = Vec::new();
        for node in self.tree.root().children().filter(is_memory) {
            ram.extend(windows(node).map_err(|reason| self.place(node).wrong("reg", reason))?);
        }
        Ok(ram.into_iter().filter(|window| window.size != 0).collect())
    }

    /// Returns the node that Linux talks to people through, as the tree has it.
    pub fn stdout(&self) -> Option<Node<'_>> {
        let path = self.tree.find("/chosen")?.str("stdout-path")?;
        self.tree.resolve(path.split(':').next()?)
    }

    /// Makes the system's configuration; `is_online` tells of each CPU whether Linux runs on it and `ram` is its RAM.
    ///
    /// # Errors
    /// The tree lacks something or has more of it than Bulkhead has room for.
    pub fn system(
        &self,
        ram: &[Window],
        is_online: impl Fn(Mpidr) -> bool,
    ) -> Result<SystemConfig, ConfigError> {
        let gic = self.gic()?;
        let place = self.place(gic);
        let mut regions = windows(gic)
            .map_err(|reason| place.wrong("reg", reason))?
            .into_iter();
        let count = gic.u32("#redistributor-regions").unwrap_or(1) as usize;
        let gicd = regions
            .next()
            .ok_or_else(|| place.wrong("reg", "it lists no distributor"))?;
        let mut gicrs = ArrayVec::new();
        for region in regions.take(count) {
            push(&mut gicrs, self.region(gic, region)?, &place, "reg")?;
        }
        if gicrs.is_empty() {
            return Err(place.wrong("reg", "it lists no redistributors"));
        }
        let mut cpus = ArrayVec::new();
        for cpu in self.cpus()? {
            let config = CpuConfig {
                mpidr: cpu.mpidr,
                online: is_online(cpu.mpidr),
                release: None,
            };
            push(&mut cpus, config, &Place::new(&self.file, "/cpus"), "")?;
        }
        let root = Place::new(&self.file, "/");
        let mut regions = ArrayVec::new();
        for region in ram.iter().filter_map(|window| whole_pages(*window)) {
            push(&mut regions, region, &root, "memory")?;
        }
        if regions.is_empty() {
            return Err(root.wrong("", "it has no memory node"));
        }
        Ok(SystemConfig {
            gicd: self.region(gic, gicd)?,
            gicrs,
            cpus,
            ram: regions,
            psci: self.psci(),
        })
    }

    fn region(&self, node: Node<'_>, window: Window) -> Result<Region<Hpa>, ConfigError> {
        Region::pages(Hpa(window.base), window.size)
            .map_err(|refused| self.place(node).wrong("reg", refused.to_string()))
    }
}

/// Returns the whole pages within the window.
fn whole_pages(window: Window) -> Option<Region<Hpa>> {
    let base = window.base.checked_next_multiple_of(PAGE_SIZE)?;
    let end = window.base.saturating_add(window.size) / PAGE_SIZE * PAGE_SIZE;
    Region::pages(Hpa(base), end.checked_sub(base)?).ok()
}

/// Adds to a list of fixed capacity.
pub(crate) fn push<T, const N: usize>(
    list: &mut ArrayVec<T, N>,
    entry: T,
    place: &Place,
    property: &str,
) -> Result<(), ConfigError> {
    list.try_push(entry).map_err(|_| {
        place.wrong(
            property,
            format!("it lists more than {N}, which is the limit"),
        )
    })
}

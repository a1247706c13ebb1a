//! The board: what its device tree says of CPUs, memory, interrupt controller and firmware.

use std::num::NonZero;
use std::path::Path;

use arrayvec::ArrayVec;
use bulkhead_model::addr::{Hpa, PAGE_SIZE, Region};
use bulkhead_model::blob::{Conduit, CpuConfig, GicV2, SystemConfig};
use bulkhead_model::id::Mpidr;

use crate::error::{ConfigError, Error, Place};
use crate::tree::interrupts::{GIC_V3, GICS_V2, is_gic};
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

/// The interrupt controller's registers, as the board's tree has them.
#[derive(Debug)]
pub enum GicRegions {
    /// GICv3.
    V3 {
        /// GICD.
        distributor: Window,
        /// GICR, one region or more.
        redistributors: Vec<Window>,
    },
    /// GICv2.
    V2 {
        /// GICD.
        distributor: Window,
        /// GICC.
        interface: Window,
        /// GICH.
        control: Window,
        /// GICV.
        virtual_interface: Window,
    },
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

    /// Returns the interrupt controller's node.
    ///
    /// # Errors
    /// There is none.
    pub fn gic(&self) -> Result<Node<'_>, ConfigError> {
        let mut nodes = self.tree.nodes();
        let found = nodes.find(|node| is_gic(*node) && node.is_enabled());
        found.ok_or_else(|| {
            Place::new(&self.file, "/").wrong(
                "",
                format!(
                    "it has no interrupt controller compatible with '{GIC_V3}' or {}",
                    GICS_V2.map(|name| format!("'{name}'")).join(", ")
                ),
            )
        })
    }

    /// Returns the regions of the interrupt controller that matter.
    ///
    /// # Errors
    /// There is none, or it lists too few.
    pub fn gic_regions(&self) -> Result<GicRegions, ConfigError> {
        let gic = self.gic()?;
        let place = self.place(gic);
        let regions = windows(gic).map_err(|reason| place.wrong("reg", reason))?;
        if gic.is_compatible(GIC_V3) {
            let count = gic.u32("#redistributor-regions").unwrap_or(1) as usize;
            let [distributor, redistributors @ ..] = &regions[..] else {
                return Err(place.wrong("reg", "it lists no distributor"));
            };
            if redistributors.is_empty() {
                return Err(place.wrong("reg", "it lists no redistributors"));
            }
            let redistributors = redistributors.iter().take(count).copied();
            return Ok(GicRegions::V3 {
                distributor: *distributor,
                redistributors: redistributors.collect(),
            });
        }
        match regions[..] {
            [distributor, interface, control, virtual_interface, ..] => Ok(GicRegions::V2 {
                distributor,
                interface,
                control,
                virtual_interface,
            }),
            _ => Err(place.wrong(
                "reg",
                format!(
                    "it lists {} regions; of a GICv2 Bulkhead needs four: distributor, CPU interfaces (GICC), \
                     and of the virtualization extensions GICH and GICV",
                    regions.len()
                ),
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
        let mut gicrs = ArrayVec::new();
        let (gicd, gicv2) = match self.gic_regions()? {
            GicRegions::V3 {
                distributor,
                redistributors,
            } => {
                for region in redistributors {
                    push(&mut gicrs, self.region(gic, region)?, &place, "reg")?;
                }
                (self.region(gic, distributor)?, None)
            }
            GicRegions::V2 {
                distributor,
                interface,
                control,
                virtual_interface,
            } => {
                let frames = GicV2 {
                    gicc: self.frame(gic, interface)?,
                    gich: self.frame(gic, control)?,
                    gicv: self.frame(gic, virtual_interface)?,
                };
                (self.frame(gic, distributor)?, Some(frames))
            }
        };
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
            gicd,
            gicv2,
            gicrs,
            cpus,
            ram: regions,
            psci: self.psci(),
        })
    }

    /// A frame of a GICv2: old trees tell the size of its registers rather than of their pages.
    fn frame(&self, node: Node<'_>, window: Window) -> Result<Region<Hpa>, ConfigError> {
        let size = window.size.next_multiple_of(PAGE_SIZE);
        self.region(node, Window { size, ..window })
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

//! A cell as its file states it: every property checked by itself, none yet compared with the board.
//!
//! `board-configs/README.md` is the binding.

mod reader;

use bulkhead_model::blob::{Delivery, Heartbeat, Name};
use serde::{Deserialize, Serialize};

use crate::error::{ConfigError, Place};
use crate::suggest::suggest;
use crate::tree::Tree;
use reader::Reader;

/// Where a cell sees its first memory when the file does not say.
pub const DEFAULT_GPA: u64 = 0x4000_0000;

/// Properties of the root node.
const KNOWN: [&str; 19] = [
    "compatible",
    "model",
    "cpus",
    "memory",
    "memory-physical",
    "devices",
    "share-page",
    "allow-dma",
    "interrupts",
    "console",
    "bootargs",
    "initrd",
    "device-tree",
    "device-tree-address",
    "heartbeat-ms",
    "on-stall",
    "on-reset",
    "#address-cells",
    "#size-cells",
];

/// Which CPUs a cell wants.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Cpus {
    /// As many, any.
    Any(usize),
    /// Those at these paths or aliases.
    Named(Vec<String>),
}

/// A memory region that a cell wants.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Memory {
    /// Where the cell sees it.
    pub gpa: u64,
    /// Bytes.
    pub size: u64,
    /// Where it has to come from; `None` is anywhere in the pool.
    pub hpa: Option<u64>,
}

/// What becomes of a cell that resets itself.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum OnReset {
    /// It starts at its entry point, its RAM as it is.
    InPlace,
    /// It stops, and is started with all of it loaded anew.
    Reload,
}

impl OnReset {
    /// The word of a cell's file for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::InPlace => "in-place",
            Self::Reload => "reload",
        }
    }
}

/// Whether its software gets a device tree.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum GuestTree {
    /// One is made from the file; it goes there, or to the end of the main memory.
    Generated(Option<u64>),
    /// None: x0 is 0, and no memory is kept for one.
    None,
}

/// Where a cell's software prints.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Console {
    /// On the device at this path or alias.
    Device(String),
    /// In memory that it shares with root.
    Ring,
}

/// What a cell's file says.
#[derive(Clone, Debug)]
pub struct CellFile {
    /// The file and its root node, for complaints.
    pub place: Place,
    /// The cell's name.
    pub name: Name,
    /// Its CPUs.
    pub cpus: Cpus,
    /// Its memory, at least one region.
    pub memory: Vec<Memory>,
    /// Paths or aliases of its devices.
    pub devices: Vec<String>,
    /// Those of its devices that it gets by the range of their registers where others have some in the same page.
    pub share_page: Vec<String>,
    /// Those of its devices that may do DMA.
    pub allow_dma: Vec<String>,
    /// How it gets its interrupts.
    pub delivery: Delivery,
    /// Where it prints.
    pub console: Option<Console>,
    /// Passed on to its software.
    pub bootargs: Option<String>,
    /// The initial RAM disk that is loaded with its software: a path, from the cell's file on.
    pub initrd: Option<String>,
    /// How often it promises to beat, and what if it does not.
    pub heartbeat: Heartbeat,
    /// What if it resets itself; where it is not said, its software decides.
    pub on_reset: Option<OnReset>,
    /// The device tree of its software.
    pub guest_tree: GuestTree,
}

impl CellFile {
    /// Reads a cell's tree; `file` names it in complaints.
    ///
    /// # Errors
    /// The first property that is missing, unknown or malformed.
    pub fn read(tree: &Tree, file: &str) -> Result<Self, ConfigError> {
        let place = Place::new(file, "/");
        let root = tree.root();
        if !root.is_compatible("bulkhead,cell") {
            let found = match (root.str("compatible"), root.property("compatible")) {
                (Some(found), _) => format!("'{found}'"),
                (None, Some(_)) => "not a string".to_owned(),
                (None, None) => "missing".to_owned(),
            };
            return Err(place.wrong(
                "compatible",
                format!("it is {found}; a cell's is \"bulkhead,cell\""),
            ));
        }
        if let Some((unknown, _)) = root.properties().find(|(name, _)| !KNOWN.contains(name)) {
            let hint = suggest(unknown, KNOWN);
            return Err(place.wrong(
                unknown,
                format!("no such property; known are {}{hint}", KNOWN.join(", ")),
            ));
        }
        if let Some(name) = root.repeated() {
            return Err(place.wrong(name, "it is there twice"));
        }
        if let Some(child) = root.children().next() {
            return Err(
                Place::new(file, child.path()).wrong("", "a cell file has no nodes but the root")
            );
        }
        for name in ["#address-cells", "#size-cells"] {
            if root.property(name).is_some() && root.u32(name) != Some(2) {
                let reason =
                    "all numbers of a cell file are of two cells: leave it out, or say <2>";
                return Err(place.wrong(name, reason));
            }
        }
        let reader = Reader { tree, place };
        let name = reader.name()?;
        let (cpus, memory) = (reader.cpus()?, reader.memory()?);
        let (devices, allow_dma) = (reader.names("devices")?, reader.names("allow-dma")?);
        let share_page = reader.names("share-page")?;
        let delivery = reader.delivery()?;
        let (console, bootargs) = (reader.console()?, reader.one_string("bootargs")?);
        let initrd = reader.one_string("initrd")?;
        let heartbeat = reader.heartbeat()?;
        let (on_reset, guest_tree) = (reader.on_reset()?, reader.guest_tree()?);
        Ok(Self {
            place: reader.place,
            name,
            cpus,
            memory,
            devices,
            share_page,
            allow_dma,
            delivery,
            console,
            bootargs,
            initrd,
            heartbeat,
            on_reset,
            guest_tree,
        })
    }
}

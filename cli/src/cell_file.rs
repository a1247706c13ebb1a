//! A cell as its file states it: every property checked by itself, none yet compared with the board.
//!
//! `board-configs/README.md` is the binding.

use bulkhead_abi::MAX_CPUS;
use bulkhead_model::blob::{Delivery, HEARTBEAT_MS, Heartbeat, Name};
use serde::{Deserialize, Serialize};

use crate::error::{ConfigError, Place};
use crate::suggest::suggest;
use crate::tree::{Tree, cells, number, strings};

/// Where a cell sees its first memory when the file does not say.
pub const DEFAULT_GPA: u64 = 0x4000_0000;

/// Most names in a list; more would not fit EL2's lists.
const MAX_NAMES: usize = 64;

/// Restarts in a row, with no beat in between, of a cell that stalls. Then it stays as it is.
const RESTARTS: u32 = 3;

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

struct Reader<'t> {
    tree: &'t Tree,
    place: Place,
}

impl<'t> Reader<'t> {
    fn value(&self, property: &str) -> Option<&'t [u8]> {
        self.tree.root().property(property)
    }

    fn required(&self, property: &str, example: &str) -> Result<&'t [u8], ConfigError> {
        self.value(property).ok_or_else(|| {
            self.place
                .wrong(property, format!("it is missing; for example: {example}"))
        })
    }

    fn strings(&self, property: &str, value: &'t [u8]) -> Result<Vec<String>, ConfigError> {
        let list = strings(value).ok_or_else(|| {
            self.place
                .wrong(property, "it is not a list of non-empty strings")
        })?;
        Ok(list.into_iter().map(str::to_owned).collect())
    }

    fn one_string(&self, property: &str) -> Result<Option<String>, ConfigError> {
        let Some(value) = self.value(property) else {
            return Ok(None);
        };
        let mut list = self.strings(property, value)?;
        match list.len() {
            1 => Ok(list.pop()),
            count => Err(self
                .place
                .wrong(property, format!("it lists {count} strings; one is wanted"))),
        }
    }

    fn name(&self) -> Result<Name, ConfigError> {
        self.required("model", "model = \"rtos\";")?;
        let name = self.one_string("model")?.unwrap_or_default();
        Name::new(&name)
            .map_err(|refused| self.place.wrong("model", format!("'{name}': {refused}")))
    }

    fn cpus(&self) -> Result<Cpus, ConfigError> {
        let value = self.required("cpus", "cpus = <1>; or cpus = \"/cpus/cpu@3\";")?;
        // No string begins with a zero byte, and no count that we take begins with anything else.
        if value.first() != Some(&0) {
            return Ok(Cpus::Named(self.names("cpus")?));
        }
        match cells(value).as_deref() {
            Some([count]) if (1..=MAX_CPUS).contains(&(*count as usize)) => {
                Ok(Cpus::Any(*count as usize))
            }
            Some(found) => Err(self.place.wrong(
                "cpus",
                format!("<{}> is not a number from 1 to {MAX_CPUS}", row(found)),
            )),
            None => Err(self
                .place
                .wrong("cpus", "it is neither a number nor a list of paths")),
        }
    }

    fn memory(&self) -> Result<Vec<Memory>, ConfigError> {
        let value = self.required("memory", "memory = <0x0 0x01000000>; which is 16 MiB")?;
        let words = cells(value).unwrap_or_default();
        let pair = |words: &[u32]| number(words).unwrap_or_default();
        let mut regions: Vec<Memory> = match words.len() {
            2 => vec![Memory {
                gpa: DEFAULT_GPA,
                size: pair(&words),
                hpa: None,
            }],
            length if length > 0 && length % 4 == 0 => {
                let region = |entry: &[u32]| Memory {
                    gpa: pair(&entry[..2]),
                    size: pair(&entry[2..]),
                    hpa: None,
                };
                words.chunks_exact(4).map(region).collect()
            }
            _ => {
                let reason = "want two cells, <size>, or four a region, <guest address, size>; <0x0 0x01000000> is 16 MiB";
                let is = match value {
                    [text @ .., 0] if !text.is_empty() && text.iter().all(u8::is_ascii_graphic) => {
                        format!("\"{}\", a string", text.escape_ascii())
                    }
                    [] => "empty".to_owned(),
                    _ if value.len() % 4 != 0 => {
                        format!("of {} bytes, which are no cells", value.len())
                    }
                    _ => format!("<{}>", row(&words)),
                };
                return Err(self.place.wrong("memory", format!("it is {is}: {reason}")));
            }
        };
        for (region, hpa) in regions
            .iter_mut()
            .zip(self.physical(words.len().div_ceil(4))?)
        {
            region.hpa = Some(hpa);
        }
        Ok(regions)
    }

    fn physical(&self, regions: usize) -> Result<Vec<u64>, ConfigError> {
        let Some(value) = self.value("memory-physical") else {
            return Ok(Vec::new());
        };
        let words = cells(value).unwrap_or_default();
        if words.len() != 2 * regions {
            let reason = format!(
                "it is <{}>: want {} cells, two for each region of 'memory'",
                row(&words),
                2 * regions
            );
            return Err(self.place.wrong("memory-physical", reason));
        }
        Ok(words.chunks_exact(2).filter_map(number).collect())
    }

    fn delivery(&self) -> Result<Delivery, ConfigError> {
        match self.one_string("interrupts")?.as_deref() {
            None | Some("direct") => Ok(Delivery::Direct),
            Some("listed") => Ok(Delivery::Listed),
            Some(found) => {
                let reason = format!("'{found}' is neither \"direct\" nor \"listed\"");
                Err(self.place.wrong("interrupts", reason))
            }
        }
    }

    fn on_reset(&self) -> Result<Option<OnReset>, ConfigError> {
        match self.one_string("on-reset")?.as_deref() {
            None => Ok(None),
            Some("in-place") => Ok(Some(OnReset::InPlace)),
            Some("reload") => Ok(Some(OnReset::Reload)),
            Some(found) => {
                let reason = format!("'{found}' is neither \"in-place\" nor \"reload\"");
                Err(self.place.wrong("on-reset", reason))
            }
        }
    }

    fn guest_tree(&self) -> Result<GuestTree, ConfigError> {
        let at = self.tree_address()?;
        let tree = match self.one_string("device-tree")?.as_deref() {
            None | Some("generated") => GuestTree::Generated(at),
            Some("none") if at.is_some() => {
                let reason = "there is none: device-tree is \"none\"";
                return Err(self.place.wrong("device-tree-address", reason));
            }
            Some("none") => GuestTree::None,
            Some(found) => {
                let reason = format!("'{found}' is neither \"generated\" nor \"none\"");
                return Err(self.place.wrong("device-tree", reason));
            }
        };
        let needs_tree = [
            ("bootargs", "they are passed on in the device tree"),
            ("initrd", "its place is told in the device tree"),
        ];
        for (property, why) in needs_tree {
            if tree == GuestTree::None && self.value(property).is_some() {
                let reason = format!("{why}, and device-tree is \"none\"");
                return Err(self.place.wrong(property, reason));
            }
        }
        Ok(tree)
    }

    fn tree_address(&self) -> Result<Option<u64>, ConfigError> {
        let Some(value) = self.value("device-tree-address") else {
            return Ok(None);
        };
        let words = cells(value).unwrap_or_default();
        match (words.len(), number(&words)) {
            (2, Some(at)) => Ok(Some(at)),
            _ => {
                let reason = format!("it is <{}>: want an address of two cells", row(&words));
                Err(self.place.wrong("device-tree-address", reason))
            }
        }
    }

    fn console(&self) -> Result<Option<Console>, ConfigError> {
        let name = self.one_string("console")?;
        Ok(name.map(|name| match name.as_str() {
            "ring" => Console::Ring,
            _ => Console::Device(name),
        }))
    }

    fn heartbeat(&self) -> Result<Heartbeat, ConfigError> {
        let on_stall = self.one_string("on-stall")?;
        let Some(value) = self.value("heartbeat-ms") else {
            return match on_stall {
                None => Ok(Heartbeat::NONE),
                Some(_) => Err(self
                    .place
                    .wrong("on-stall", "it needs 'heartbeat-ms'; for example: <500>")),
            };
        };
        let words = cells(value).unwrap_or_default();
        let [period_ms] = words[..] else {
            return Err(self
                .place
                .wrong("heartbeat-ms", "it is not one number, milliseconds"));
        };
        if !HEARTBEAT_MS.contains(&period_ms) {
            let (least, most) = (HEARTBEAT_MS.start(), HEARTBEAT_MS.end());
            return Err(self.place.wrong(
                "heartbeat-ms",
                format!("<{period_ms}> is not a number from {least} to {most}"),
            ));
        }
        let restarts = match on_stall.as_deref() {
            None | Some("report") => 0,
            Some("restart") => RESTARTS,
            Some(found) => {
                let reason = format!("'{found}' is neither \"report\" nor \"restart\"");
                return Err(self.place.wrong("on-stall", reason));
            }
        };
        Ok(Heartbeat {
            period_ms,
            restarts,
        })
    }

    /// Returns the names in a property, none when it is not there.
    fn names(&self, property: &str) -> Result<Vec<String>, ConfigError> {
        let Some(value) = self.value(property) else {
            return Ok(Vec::new());
        };
        let list = self.strings(property, value)?;
        if list.len() > MAX_NAMES {
            let reason = format!("it lists {} names; the limit is {MAX_NAMES}", list.len());
            return Err(self.place.wrong(property, reason));
        }
        Ok(list)
    }
}

fn row(words: &[u32]) -> String {
    words
        .iter()
        .map(|word| format!("{word:#x}"))
        .collect::<Vec<_>>()
        .join(" ")
}

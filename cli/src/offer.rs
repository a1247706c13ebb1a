//! What a board can give to a cell, and the file of a cell that takes some of it.

use crate::board::Board;
use crate::error::Error;
use crate::report::Bytes;
use crate::resolve::{self, Beside, is_used, pages};
use crate::tree::Node;
use crate::tree::interrupts::{Interrupt, interrupts, is_gic};
use crate::tree::reg::windows;

/// A device that could go to a cell.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Device {
    /// Its alias, or its path.
    pub name: String,
    /// Its path.
    pub path: String,
    /// The first of its `compatible`.
    pub kind: String,
    /// Physical address of its first registers.
    pub base: u64,
    /// Its interrupts at the GIC.
    pub interrupts: Vec<u32>,
    /// Paths of what else has registers in its pages.
    pub beside: Vec<String>,
}

impl Device {
    /// Its alias or its path is this.
    fn is(&self, name: &str) -> bool {
        self.name == name || self.path == name
    }

    /// Says what it is in a line.
    pub fn describe(&self) -> String {
        let interrupts: Vec<String> = self.interrupts.iter().map(u32::to_string).collect();
        let interrupts = match interrupts.as_slice() {
            [] => "no interrupts".to_owned(),
            [one] => format!("interrupt {one}"),
            _ => format!("interrupts {}", interrupts.join(", ")),
        };
        let Self {
            name, kind, base, ..
        } = self;
        let shares = match self.beside.is_empty() {
            true => "",
            false => "; shares its page with others",
        };
        format!("{name}: {kind} at {base:#x}, {interrupts}{shares}")
    }
}

/// What a board can give.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Offer {
    /// Paths of all CPUs but the first, which Linux keeps.
    pub cpus: Vec<String>,
    /// Devices.
    pub devices: Vec<Device>,
}

impl Offer {
    /// Lists it.
    ///
    /// # Errors
    /// The board's CPUs cannot be read.
    pub fn of(board: &Board) -> Result<Self, Error> {
        let cpus = board.cpus()?;
        let nodes = board.tree.nodes();
        let mut devices: Vec<Device> = nodes.filter_map(|node| device(board, node)).collect();
        let all = Beside::new(board, &[]);
        for device in &mut devices {
            let node = board.tree.find(&device.path);
            device.beside = node.map_or_else(Vec::new, |node| beside(node, &all));
        }
        // What is most likely wanted first: what has a name, and can be given by itself.
        devices.sort_by_key(|device| (!device.beside.is_empty(), device.name.starts_with('/')));
        Ok(Self {
            cpus: cpus.iter().skip(1).map(|cpu| cpu.node.path()).collect(),
            devices,
        })
    }
}

/// Returns the paths of those in use that have registers in a node's pages and would not go with it.
fn beside(node: Node<'_>, all: &Beside<'_>) -> Vec<String> {
    let given = resolve::Device::read(node).map_or_else(|_| Vec::new(), |given| given.registers);
    let stays = |other: &Node<'_>| is_used(*other) && !other.ancestors().any(|at| at == node);
    given
        .into_iter()
        .filter_map(pages)
        .flat_map(|pages| all.in_pages(pages, node).filter(stays).collect::<Vec<_>>())
        .map(Node::path)
        .collect()
}

/// A node that has registers and interrupts of its own, is in use, and is not what Linux prints on.
fn device(board: &Board, node: Node<'_>) -> Option<Device> {
    let is_other = matches!(node.str("device_type"), Some("memory" | "cpu"))
        || node.ancestors().any(|at| is_gic(at) || !at.is_enabled())
        || board.stdout() == Some(node);
    let lines: Vec<u32> = interrupts(node)
        .ok()?
        .iter()
        .filter_map(Interrupt::spi)
        .collect();
    let base = windows(node).ok()?.first()?.base;
    let kind = node.str("compatible")?.to_owned();
    if is_other || lines.is_empty() {
        return None;
    }
    let path = node.path();
    let aliases = board.tree.aliases().into_iter();
    let alias = aliases
        .filter(|alias| board.tree.resolve(alias) == Some(node))
        .min_by_key(|alias| alias.len());
    Some(Device {
        name: alias.map_or(path.clone(), str::to_owned),
        path,
        kind,
        base,
        interrupts: lines,
        beside: Vec::new(),
    })
}

/// What the user wants; nothing said takes the usual.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Wish {
    /// Name.
    pub name: Option<String>,
    /// A number, or paths with commas in between.
    pub cpus: Option<String>,
    /// Bytes.
    pub memory: Option<u64>,
    /// Names of devices.
    pub devices: Vec<String>,
    /// One of them.
    pub console: Option<String>,
    /// Arguments for the software.
    pub bootargs: Option<String>,
}

impl Wish {
    /// The usual name.
    pub const NAME: &str = "cell";
    /// The usual memory.
    pub const MEMORY: &str = "16M";
    const MEMORY_SIZE: u64 = 16 << 20;

    /// Writes the cell's file, with what else the board has in comments.
    pub fn write(&self, offer: &Offer) -> String {
        let name = self.name.as_deref().unwrap_or(Self::NAME);
        let cpus = self.cpus.as_deref().unwrap_or("1");
        let cpus = match cpus.trim().parse::<u32>() {
            Ok(count) => format!("<{count}>"),
            Err(_) => strings(cpus.split(',').map(str::trim)),
        };
        let memory = self.memory.unwrap_or(Self::MEMORY_SIZE);
        let mut lines = vec![
            "// A cell for Bulkhead; board-configs/README.md has every property.".to_owned(),
            "/dts-v1/;".to_owned(),
            "/ {".to_owned(),
            "    compatible = \"bulkhead,cell\";".to_owned(),
            format!("    model = {};  // its name", strings([name].into_iter())),
            format!(
                "    // As many CPUs, any; or by path. The board has {}.",
                listed(&offer.cpus)
            ),
            format!("    cpus = {cpus};"),
            format!("    // {}, in two cells: high and low half.", Bytes(memory)),
            format!(
                "    memory = <{:#x} {:#010x}>;",
                memory >> 32,
                memory & 0xffff_ffff
            ),
            "    // Devices that the board has, by alias or path:".to_owned(),
        ];
        lines.extend(
            offer
                .devices
                .iter()
                .map(|device| format!("    //   {}", comment(&device.describe()))),
        );
        let devices = self.devices.iter().map(String::as_str);
        lines.push(match self.devices.is_empty() {
            true => "    // devices = \"NAME\", \"NAME\";".to_owned(),
            false => format!("    devices = {};", strings(devices)),
        });
        let shared = self.share_pages(offer);
        if !shared.is_empty() {
            lines.push("    // EL2 makes each access to the pages that these share with others: it costs exits.".to_owned());
            lines.push(format!("    share-page = {};", strings(shared.into_iter())));
        }
        let one = |property: &str, value: Option<&String>, example: &str| match value {
            Some(value) => format!(
                "    {property} = {};",
                strings([value.as_str()].into_iter())
            ),
            None => format!("    // {property} = \"{example}\";"),
        };
        lines.push("    // It prints on one of these, or \"ring\": into memory that `bulkhead console` shows.".to_owned());
        lines.push(one("console", self.console.as_ref(), "NAME"));
        lines.push(one("bootargs", self.bootargs.as_ref(), "for its software"));
        lines.push("};\n".to_owned());
        lines.join("\n")
    }

    /// Returns those of its devices that have something in their pages which stays where it is.
    fn share_pages(&self, offer: &Offer) -> Vec<&str> {
        let offered = |name: &String| offer.devices.iter().find(|device| device.is(name));
        let wanted: Vec<&Device> = self.devices.iter().filter_map(offered).collect();
        let goes = |path: &String| wanted.iter().any(|device| device.path == *path);
        let stays =
            |name: &&String| offered(name).is_some_and(|device| !device.beside.iter().all(goes));
        let names = self.devices.iter().filter(stays);
        names.map(String::as_str).collect()
    }
}

fn listed(names: &[String]) -> String {
    match names {
        [] => "none to give".to_owned(),
        names => names.join(", "),
    }
}

/// Writes strings as `dtc` reads them.
fn strings<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let quoted =
        names.map(|name| format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\"")));
    quoted.collect::<Vec<_>>().join(", ")
}

/// A tree may have anything in its strings; a comment ends with its line.
fn comment(text: &str) -> String {
    text.replace(char::is_control, " ")
}

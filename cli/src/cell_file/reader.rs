//! The properties of a cell's file, one by one.

use bulkhead_abi::MAX_CPUS;
use bulkhead_model::blob::{Delivery, HEARTBEAT_MS, Heartbeat, Name};

use super::{Console, Cpus, DEFAULT_GPA, GuestTree, Memory, OnReset};
use crate::error::{ConfigError, Place};
use crate::tree::{Tree, cells, number, strings};

/// Most names in a list; more would not fit EL2's lists.
const MAX_NAMES: usize = 64;

/// Restarts in a row, with no beat in between, of a cell that stalls. Then it stays as it is.
const RESTARTS: u32 = 3;

/// A cell's file, and how complaints name it.
pub(super) struct Reader<'t> {
    pub(super) tree: &'t Tree,
    pub(super) place: Place,
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

    pub(super) fn one_string(&self, property: &str) -> Result<Option<String>, ConfigError> {
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

    pub(super) fn name(&self) -> Result<Name, ConfigError> {
        self.required("model", "model = \"rtos\";")?;
        let name = self.one_string("model")?.unwrap_or_default();
        Name::new(&name)
            .map_err(|refused| self.place.wrong("model", format!("'{name}': {refused}")))
    }

    pub(super) fn cpus(&self) -> Result<Cpus, ConfigError> {
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

    pub(super) fn memory(&self) -> Result<Vec<Memory>, ConfigError> {
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

    pub(super) fn delivery(&self) -> Result<Delivery, ConfigError> {
        match self.one_string("interrupts")?.as_deref() {
            None | Some("direct") => Ok(Delivery::Direct),
            Some("listed") => Ok(Delivery::Listed),
            Some(found) => {
                let reason = format!("'{found}' is neither \"direct\" nor \"listed\"");
                Err(self.place.wrong("interrupts", reason))
            }
        }
    }

    pub(super) fn on_reset(&self) -> Result<Option<OnReset>, ConfigError> {
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

    pub(super) fn guest_tree(&self) -> Result<GuestTree, ConfigError> {
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

    pub(super) fn console(&self) -> Result<Option<Console>, ConfigError> {
        let name = self.one_string("console")?;
        Ok(name.map(|name| match name.as_str() {
            "ring" => Console::Ring,
            _ => Console::Device(name),
        }))
    }

    pub(super) fn heartbeat(&self) -> Result<Heartbeat, ConfigError> {
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
    pub(super) fn names(&self, property: &str) -> Result<Vec<String>, ConfigError> {
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

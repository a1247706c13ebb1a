//! Linux's drivers: which one has a device, how to make it let go, and how to give the device back.
//!
//! Where a driver is built in without the means to unbind it (Debian's PL011), its serial line is made one "of unknown
//! type": Linux then answers every use of it with an I/O error and does not touch the device.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::error::Error;
use crate::linux::{Linux, entries};
use crate::serial;

/// A device and the driver that has it, as folders of `/sys`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Binding {
    /// The device.
    pub device: PathBuf,
    /// The driver.
    pub driver: PathBuf,
    /// How the driver lets go.
    pub way: Way,
}

/// How a driver lets go of a device.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Way {
    /// It is unbound, and bound again after.
    Unbind,
    /// Its serial line is silenced.
    Silence {
        /// The line's device file.
        file: PathBuf,
        /// Its folder in `/sys/class/tty`.
        class: PathBuf,
        /// Its type, to be given back.
        kind: u32,
    },
    /// Not at all.
    Stays,
}

/// Finds the drivers of the devices that stand for a node of the tree.
pub fn bindings(linux: &Linux, node_path: &str) -> Vec<Binding> {
    let node = linux.path(&format!("/sys/firmware/devicetree/base{node_path}"));
    let Ok(node) = node.canonicalize() else {
        return Vec::new();
    };
    let is_of_node = |device: &Path| {
        device
            .join("of_node")
            .canonicalize()
            .is_ok_and(|of_node| of_node == node)
    };
    let mut found: Vec<Binding> = Vec::new();
    for bus in entries(&linux.path("/sys/bus")) {
        let devices = linux.path(&format!("/sys/bus/{bus}/devices"));
        for name in entries(&devices) {
            let Ok(device) = devices.join(name).canonicalize() else {
                continue;
            };
            // Drivers hang devices of their own below, which stand for the same node.
            let is_top = !device.parent().is_some_and(is_of_node);
            if let (true, true, Ok(driver)) = (
                is_of_node(&device),
                is_top,
                device.join("driver").canonicalize(),
            ) {
                found.push(Binding {
                    way: way(linux, &device, &driver),
                    device,
                    driver,
                });
            }
        }
    }
    found
}

fn way(linux: &Linux, device: &Path, driver: &Path) -> Way {
    if driver.join("unbind").exists() {
        return Way::Unbind;
    }
    let Some(name) = lines(linux, device).into_iter().next() else {
        return Way::Stays;
    };
    let class = linux.path(&format!("/sys/class/tty/{name}"));
    match kind(&class) {
        Some(kind) => Way::Silence {
            file: linux.path(&format!("/dev/{name}")),
            class,
            kind,
        },
        None => Way::Stays,
    }
}

/// Returns the names of the device's serial lines.
fn lines(linux: &Linux, device: &Path) -> Vec<String> {
    let ttys = linux.path("/sys/class/tty");
    // The line's own folder may lie a few levels below the device's.
    let is_below = |name: &String| {
        ttys.join(name)
            .join("device")
            .canonicalize()
            .is_ok_and(|line| line.starts_with(device))
    };
    entries(&ttys).into_iter().filter(is_below).collect()
}

fn kind(class: &Path) -> Option<u32> {
    fs::read_to_string(class.join("type"))
        .ok()?
        .trim()
        .parse()
        .ok()
}

impl Binding {
    fn name(&self) -> String {
        self.device
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default()
    }

    fn is_bound(&self) -> bool {
        self.device.join("driver").exists()
    }

    /// Returns the name of Linux's console that the device is, if it is one.
    pub fn console(&self, linux: &Linux) -> Option<String> {
        let consoles = linux.text("/proc/consoles");
        let names: Vec<&str> = consoles
            .lines()
            .filter_map(|line| line.split_whitespace().next())
            .collect();
        lines(linux, &self.device)
            .into_iter()
            .find(|line| names.contains(&line.as_str()))
    }

    /// Takes the device from its driver; done already is fine.
    ///
    /// # Errors
    /// Linux does not let it go.
    pub fn release(&self) -> Result<(), Error> {
        match &self.way {
            Way::Unbind if self.is_bound() => self.tell("unbind"),
            Way::Silence { file, class, .. } if kind(class) != Some(serial::UNKNOWN) => {
                serial::set_kind(file, serial::UNKNOWN)
            }
            Way::Unbind | Way::Silence { .. } | Way::Stays => Ok(()),
        }
    }

    /// Gives the device back to its driver; done already is fine.
    ///
    /// # Errors
    /// The driver does not take it.
    pub fn restore(&self) -> Result<(), Error> {
        match &self.way {
            Way::Unbind if !self.is_bound() => self.tell("bind"),
            Way::Silence {
                file,
                class,
                kind: own,
            } if kind(class) != Some(*own) => serial::set_kind(file, *own),
            Way::Unbind | Way::Silence { .. } | Way::Stays => Ok(()),
        }
    }

    fn tell(&self, action: &str) -> Result<(), Error> {
        let file = self.driver.join(action);
        fs::write(&file, self.name()).map_err(|error| {
            Error::System(format!(
                "cannot {action} {}: {}: {error}",
                self.name(),
                file.display()
            ))
        })
    }

    /// The same for programs.
    pub fn to_json(&self) -> Value {
        let (way, line) = match &self.way {
            Way::Unbind => ("unbound", None),
            Way::Silence { file, .. } => ("silenced", Some(file)),
            Way::Stays => ("stays", None),
        };
        json!({ "device": self.device, "driver": self.driver, "way": way, "line": line })
    }

    /// Says what was done with the driver, and what follows when it stays.
    pub fn describe(&self) -> String {
        let name = self.name();
        let driver = self
            .driver
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        match &self.way {
            Way::Unbind => format!("taken from Linux's driver {driver}: {name}"),
            Way::Silence { file, .. } => {
                format!(
                    "kept from Linux's driver {driver}: {name}; using {} is an I/O error now",
                    file.display()
                )
            }
            Way::Stays => format!(
                "WARNING: Linux's driver {driver} is built in and cannot let go of {name}: nothing on Linux may use it while \
                 the cell has it. Better: mark its node status = \"disabled\" in Linux's own tree"
            ),
        }
    }
}

//! What the running Linux shows in `/sys` and `/proc`: its CPUs, which driver has a device, what it prints on.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bulkhead_model::id::Mpidr;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::tree::reg::Window;
use crate::tree::{cells, number};

/// The root of the file system that Linux shows itself in.
#[derive(Clone, Debug)]
pub struct Linux {
    root: PathBuf,
}

/// A CPU of Linux.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LinuxCpu {
    /// Linux's number of it.
    pub number: u32,
    /// Its affinity.
    pub mpidr: Mpidr,
    /// Linux runs on it.
    pub is_online: bool,
}

/// A device and the driver that has it, as folders of `/sys`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Binding {
    /// The device.
    pub device: PathBuf,
    /// The driver.
    pub driver: PathBuf,
}

impl Linux {
    /// The one that this runs on.
    pub fn this() -> Self {
        Self::at(Path::new("/"))
    }

    /// One whose `/sys` and `/proc` are under `root`.
    pub fn at(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
        }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// Returns a file's content without the white space around it; empty when it cannot be read.
    pub fn text(&self, path: &str) -> String {
        fs::read(self.path(path))
            .map(|text| String::from_utf8_lossy(&text).trim().to_owned())
            .unwrap_or_default()
    }

    /// Tells whether a file is there.
    pub fn has(&self, path: &str) -> bool {
        self.path(path).exists()
    }

    /// Returns the values that the kernel's command line gives a parameter, in order.
    pub fn parameter(&self, name: &str) -> Vec<String> {
        let line = self.text("/proc/cmdline");
        let value = |word: &str| {
            word.strip_prefix(name)?
                .strip_prefix('=')
                .map(str::to_owned)
        };
        line.split_whitespace().filter_map(value).collect()
    }

    /// Returns the CPUs by Linux's numbers; none when Linux was not booted with a device tree.
    pub fn cpus(&self) -> Vec<LinuxCpu> {
        let folder = self.path("/sys/devices/system/cpu");
        let names = entries(&folder).into_iter();
        let numbers = names.filter_map(|name| name.strip_prefix("cpu")?.parse::<u32>().ok());
        let mut cpus: Vec<LinuxCpu> = numbers.filter_map(|number| self.cpu(number)).collect();
        cpus.sort_by_key(|cpu| cpu.number);
        cpus
    }

    fn cpu(&self, number_: u32) -> Option<LinuxCpu> {
        let folder = self.path(&format!("/sys/devices/system/cpu/cpu{number_}"));
        let reg = fs::read(folder.join("of_node/reg")).ok()?;
        let mpidr = Mpidr::from_bits(number(&cells(&reg)?)?);
        // CPUs that cannot go offline have no such file.
        let is_online =
            fs::read_to_string(folder.join("online")).map_or(true, |text| text.trim() == "1");
        Some(LinuxCpu {
            number: number_,
            mpidr,
            is_online,
        })
    }

    /// Returns the devices of Linux that stand for a node of the tree and have a driver.
    pub fn bindings(&self, node_path: &str) -> Vec<Binding> {
        let Ok(node) = self
            .path(&format!("/sys/firmware/devicetree/base{node_path}"))
            .canonicalize()
        else {
            return Vec::new();
        };
        let mut found: Vec<Binding> = Vec::new();
        for bus in entries(&self.path("/sys/bus")) {
            let devices = self.path(&format!("/sys/bus/{bus}/devices"));
            for name in entries(&devices) {
                let Ok(device) = devices.join(name).canonicalize() else {
                    continue;
                };
                let is_this = device
                    .join("of_node")
                    .canonicalize()
                    .is_ok_and(|of_node| of_node == node);
                if let (true, Ok(driver)) = (is_this, device.join("driver").canonicalize()) {
                    found.push(Binding { device, driver });
                }
            }
        }
        found.dedup();
        found
    }

    /// Returns the name of Linux's console that the device is, if it is one.
    pub fn console_of(&self, binding: &Binding) -> Option<String> {
        let consoles = self.text("/proc/consoles");
        let names = consoles
            .lines()
            .filter_map(|line| line.split_whitespace().next())
            .map(str::to_owned);
        // The port's own folder may lie a few levels below the device's.
        let is_below = |name: &String| {
            let tty = self.path(&format!("/sys/class/tty/{name}/device"));
            tty.canonicalize()
                .is_ok_and(|device| device.starts_with(&binding.device))
        };
        names
            .filter(|name| !name.starts_with("tty0"))
            .find(is_below)
    }

    /// Returns the RAM that Linux found, for boards whose firmware takes the memory nodes out of the tree (UEFI).
    pub fn system_ram(&self) -> Vec<Window> {
        let parse = |line: &str| {
            let (range, what) = line.split_once(" : ")?;
            let (first, last) = range.split_once('-')?;
            let (first, last) = (
                u64::from_str_radix(first, 16).ok()?,
                u64::from_str_radix(last, 16).ok()?,
            );
            (what == "System RAM" && last > first).then(|| Window {
                base: first,
                size: last - first + 1,
            })
        };
        self.text("/proc/iomem").lines().filter_map(parse).collect()
    }
}

fn entries(folder: &Path) -> Vec<String> {
    let list = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = list
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    names
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

    /// Tells whether the driver can let go of the device: some that are built into the kernel cannot.
    pub fn can_unbind(&self) -> bool {
        self.driver.join("unbind").exists()
    }

    /// Says what follows when it cannot.
    pub fn stays(&self) -> String {
        format!(
            "Linux's driver {} is built in and cannot let go of {}: while the cell has the device nothing on Linux may \
             open it. To keep Linux away from it, mark its node status = \"disabled\" in Linux's own tree",
            self.driver
                .file_name()
                .map(|name| name.to_string_lossy().into_owned())
                .unwrap_or_default(),
            self.name()
        )
    }

    /// Takes the device from its driver; done already is fine.
    ///
    /// # Errors
    /// Linux does not let it go.
    pub fn unbind(&self) -> Result<(), Error> {
        if self.is_bound() {
            self.tell("unbind")
        } else {
            Ok(())
        }
    }

    /// Gives the device back to its driver; done already is fine.
    ///
    /// # Errors
    /// The driver does not take it.
    pub fn bind(&self) -> Result<(), Error> {
        if self.is_bound() {
            Ok(())
        } else {
            self.tell("bind")
        }
    }

    fn tell(&self, action: &str) -> Result<(), Error> {
        let file = self.driver.join(action);
        let written = match fs::write(&file, self.name()) {
            // Another one did it in between.
            Err(error)
                if error.kind() == io::ErrorKind::NotFound
                    && !self.is_bound()
                    && action == "unbind" =>
            {
                Ok(())
            }
            other => other,
        };
        written.map_err(|error| {
            Error::System(format!(
                "cannot {action} {}: {}: {error}",
                self.name(),
                file.display()
            ))
        })
    }
}

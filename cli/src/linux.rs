//! What the running Linux shows in `/sys` and `/proc`: its CPUs, its memory, its command line.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use bulkhead_model::id::Mpidr;
use rustix::fs::OFlags;

use crate::tree::reg::Window;
use crate::tree::{cells, number};

/// More records than any kernel's log has.
const LOG_LINES: u32 = 1 << 17;

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

    /// Returns where a path of Linux is.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// Returns a file's content without the white space around it; empty when it cannot be read.
    pub fn text(&self, path: &str) -> String {
        fs::read(self.path(path))
            .map(|text| String::from_utf8_lossy(&text).trim().to_owned())
            .unwrap_or_default()
    }

    /// Returns what the kernel's log still has, as far as it may be read.
    pub fn kernel_log(&self) -> String {
        let flags = OFlags::NONBLOCK.bits().cast_signed();
        let mut options = File::options();
        let Ok(mut log) = options
            .read(true)
            .custom_flags(flags)
            .open(self.path("/dev/kmsg"))
        else {
            return String::new();
        };
        let (mut text, mut record) = (Vec::new(), [0; 8192]);
        // A read gives one record, of a log that grows meanwhile.
        for _ in 0..LOG_LINES {
            match log.read(&mut record) {
                Ok(0) => break,
                Ok(size) => text.extend_from_slice(&record[..size]),
                // The kernel has overwritten where we were.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
                Err(_) => break,
            }
        }
        String::from_utf8_lossy(&text).into_owned()
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

/// Returns the names in a folder, sorted; none when it cannot be read.
pub(crate) fn entries(folder: &Path) -> Vec<String> {
    let list = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = list
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}

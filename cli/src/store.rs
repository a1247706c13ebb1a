//! What is remembered of a cell between two commands: `/run/bulkhead/NAME.json`.
//!
//! One rule: a record is written before the thing it tells how to undo is done, and removed after it was undone. So a
//! command that died half way can be given again.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use bulkhead_model::blob::CellConfig;
use serde::{Deserialize, Serialize};

use crate::cell_file::OnReset;
use crate::drivers::Binding;
use crate::error::Error;
use crate::journal::Of;
use crate::linux::entries;
use crate::symbols::Symbols;

/// An image as it was given.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ImageRecord {
    /// Absolute path.
    pub path: PathBuf,
    /// Where a raw binary goes.
    pub address: Option<u64>,
    /// Absolute path of its initial RAM disk.
    pub initrd: Option<PathBuf>,
}

/// A device as the cell's file named it, for messages.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct DeviceRecord {
    /// Path of its node.
    pub node: String,
    /// Physical address of its registers.
    pub base: u64,
    /// Bytes.
    pub size: u64,
}

/// All that is remembered of a cell.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Record {
    /// Its name.
    pub name: String,
    /// The file it was made from.
    pub file: PathBuf,
    /// Its blob.
    pub blob: Vec<u8>,
    /// Its own device tree.
    pub guest_tree: Vec<u8>,
    /// Where that goes, when not to the end of its main memory.
    pub guest_tree_at: Option<u64>,
    /// Its devices.
    pub devices: Vec<DeviceRecord>,
    /// Drivers of Linux that its devices were taken from.
    pub unbound: Vec<Binding>,
    /// What it runs.
    pub image: Option<ImageRecord>,
    /// The initial RAM disk that its file names, as a path of its own.
    pub initrd: Option<PathBuf>,
    /// What if it resets itself, where its file says so.
    pub on_reset: Option<OnReset>,
}

impl Record {
    /// Returns its configuration; `None` when another version wrote it.
    pub fn config(&self) -> Option<CellConfig> {
        CellConfig::decode(&self.blob).ok()
    }
}

/// Files that tell which cell had a number last.
const FORMER: &str = "former";

/// The folder of the records.
#[derive(Clone, Debug)]
pub struct Store {
    folder: PathBuf,
}

impl Store {
    /// The machine's: forgotten at reboot, as Bulkhead itself is.
    pub fn this() -> Self {
        Self::at(Path::new("/run/bulkhead"))
    }

    /// One in another folder.
    pub fn at(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
        }
    }

    /// Returns the path of a file about a cell.
    pub(crate) fn path(&self, name: &str, kind: &str) -> PathBuf {
        self.folder.join(format!("{name}.{kind}"))
    }

    /// Returns what is remembered of a cell; nothing when that cannot be read.
    pub fn get(&self, name: &str) -> Option<Record> {
        let text = is_name(name)
            .then(|| fs::read(self.path(name, "json")).ok())
            .flatten()?;
        serde_json::from_slice(&text).ok()
    }

    /// Returns all records.
    pub fn all(&self) -> Vec<Record> {
        let names = self.names(".json").into_iter();
        names.filter_map(|name| self.get(&name)).collect()
    }

    /// Returns the names of the cells whose `run` is under way, or died.
    pub fn runs(&self) -> Vec<String> {
        self.names(".run")
    }

    fn names(&self, end: &str) -> Vec<String> {
        let files = entries(&self.folder).into_iter();
        files
            .filter_map(|file| Some(file.strip_suffix(end)?.to_owned()))
            .collect()
    }

    /// Remembers, whole or not at all.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn put(&self, record: &Record) -> Result<(), Error> {
        let path = self.path(&record.name, "json");
        let json = serde_json::to_vec(record);
        json.map_err(io::Error::from)
            .and_then(|json| self.write(&path, &record.name, &json))
            .map_err(|error| Error::file("write", &path, &error))
    }

    fn write(&self, path: &Path, name: &str, content: &[u8]) -> io::Result<()> {
        let draft = self.folder.join(format!(".{name}.{}", std::process::id()));
        fs::create_dir_all(&self.folder)?;
        let mut file = fs::File::create(&draft)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&draft, path)
    }

    /// Remembers the names of the functions of what a cell runs, for its faults.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn put_symbols(&self, name: &str, symbols: &Symbols) -> Result<(), Error> {
        let path = self.path(name, "symbols");
        match symbols.is_empty() {
            true => gone(&path),
            false => self
                .write(&path, name, symbols.to_text().as_bytes())
                .map_err(|error| Error::file("write", &path, &error)),
        }
    }

    /// Returns the names of the functions of what a cell runs; none when they are not known.
    pub fn symbols(&self, name: &str) -> Symbols {
        let text = match is_name(name) {
            true => fs::read(self.path(name, "symbols")).unwrap_or_default(),
            false => Vec::new(),
        };
        Symbols::from_text(&String::from_utf8_lossy(&text))
    }

    /// Remembers the name of a cell that goes, for what the log says of its number until another one has it.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn put_former(&self, id: u64, name: &str) -> Result<(), Error> {
        let path = self.path(&id.to_string(), FORMER);
        self.write(&path, name, name.as_bytes())
            .map_err(|error| Error::file("write", &path, &error))
    }

    /// Returns the name of the cell that had a number last, and is no more.
    pub fn former(&self, id: u64) -> Option<String> {
        fs::read_to_string(self.path(&id.to_string(), FORMER)).ok()
    }

    /// Forgets the names of cells that are no more: the log begins anew.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn forget_former(&self) -> Result<(), Error> {
        self.names(&format!(".{FORMER}"))
            .iter()
            .try_for_each(|id| gone(&self.path(id, FORMER)))
    }

    /// Forgets that a `run` of a cell died; nothing there is fine.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn forget_run(&self, name: &str) -> Result<(), Error> {
        gone(&self.path(name, "run"))
    }

    /// Forgets all about a cell; nothing there is fine.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn remove(&self, name: &str) -> Result<(), Error> {
        ["json", "symbols", Of::Create.kind()]
            .iter()
            .try_for_each(|kind| gone(&self.path(name, kind)))
    }
}

/// Tells whether a file of this name stays in the folder: one with a slash is no cell's.
fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains('/')
}

fn gone(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::file("remove", path, &error))
        }
        _ => Ok(()),
    }
}

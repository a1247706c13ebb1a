//! What is remembered of a cell between two commands: `/run/bulkhead/NAME.json`.
//!
//! One rule: a record is written before the thing it tells how to undo is done, and removed after it was undone. So a
//! command that died half way can be given again.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use bulkhead_model::blob::CellConfig;
use serde::{Deserialize, Serialize};

use crate::drivers::Binding;
use crate::error::Error;

/// An image as it was given.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ImageRecord {
    /// Absolute path.
    pub path: PathBuf,
    /// Where a raw binary goes.
    pub address: Option<u64>,
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
    /// Its devices.
    pub devices: Vec<DeviceRecord>,
    /// Drivers of Linux that its devices were taken from.
    pub unbound: Vec<Binding>,
    /// What it runs.
    pub image: Option<ImageRecord>,
}

impl Record {
    /// Returns its configuration; `None` when another version wrote it.
    pub fn config(&self) -> Option<CellConfig> {
        CellConfig::decode(&self.blob).ok()
    }
}

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

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.json"))
    }

    /// Returns what is remembered of a cell; nothing when that cannot be read.
    pub fn get(&self, name: &str) -> Option<Record> {
        // A name with a slash is no cell's.
        let is_name = !name.is_empty() && !name.contains('/');
        let text = is_name.then(|| fs::read(self.path(name)).ok()).flatten()?;
        serde_json::from_slice(&text).ok()
    }

    /// Returns all records.
    pub fn all(&self) -> Vec<Record> {
        let files = fs::read_dir(&self.folder)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path());
        let names = files.filter_map(|path| {
            Some(
                path.file_name()?
                    .to_str()?
                    .strip_suffix(".json")?
                    .to_owned(),
            )
        });
        let mut records: Vec<Record> = names.filter_map(|name| self.get(&name)).collect();
        records.sort_by(|a, b| a.name.cmp(&b.name));
        records
    }

    /// Remembers, whole or not at all.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn put(&self, record: &Record) -> Result<(), Error> {
        let path = self.path(&record.name);
        let draft = self
            .folder
            .join(format!(".{}.{}", record.name, std::process::id()));
        let write = || -> io::Result<()> {
            fs::create_dir_all(&self.folder)?;
            let mut file = fs::File::create(&draft)?;
            file.write_all(&serde_json::to_vec(record)?)?;
            file.sync_all()?;
            fs::rename(&draft, &path)
        };
        write().map_err(|error| Error::file("write", &path, &error))
    }

    /// Forgets; nothing there is fine.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn remove(&self, name: &str) -> Result<(), Error> {
        let path = self.path(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Error::file("remove", &path, &error))
            }
            _ => Ok(()),
        }
    }
}

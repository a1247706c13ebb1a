//! What a `run` under way has done, for whoever comes after it: `/run/bulkhead/NAME.run`.
//!
//! One rule: a step is noted before it is done. The file is locked as long as its `run` lives, so one that nobody holds
//! was left by a `run` that was killed.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::store::Store;

/// What has to be undone.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Done {
    /// The kernel module was loaded.
    pub module: bool,
    /// Bulkhead was enabled.
    pub enabled: bool,
    /// The cell was created.
    pub cell: bool,
}

/// The notes of one `run`.
#[derive(Debug)]
pub struct Journal {
    file: File,
    path: PathBuf,
    done: Done,
}

impl Journal {
    /// Opens that of a cell, taking over what a `run` that died has noted.
    ///
    /// # Errors
    /// Another `run` of the cell is under way, or the file cannot be written.
    pub fn open(store: &Store, name: &str) -> Result<Self, Error> {
        let path = store.path(name, "run");
        loop {
            let file = open(&path).map_err(|error| Error::file("write", &path, &error))?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    return Err(Error::Refused(format!(
                        "another `bulkhead run` of cell '{name}' is at work"
                    )));
                }
                Err(TryLockError::Error(error)) => return Err(Error::file("lock", &path, &error)),
            }
            // Its owner may have removed it between the two.
            let (ours, there) = (file.metadata(), fs::metadata(&path));
            if ours.is_ok_and(|ours| there.is_ok_and(|there| there.ino() == ours.ino())) {
                let done = read(&file);
                return Ok(Self { file, path, done });
            }
        }
    }

    /// Returns what has to be undone.
    pub fn done(&self) -> Done {
        self.done
    }

    /// Notes a change.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn note(&mut self, done: Done) -> Result<(), Error> {
        // One write of one block: all of it is there, or none.
        let text =
            [done.module, done.enabled, done.cell].map(|flag| if flag { b'1' } else { b'0' });
        self.file
            .write_all_at(&text, 0)
            .map_err(|error| Error::file("write", &self.path, &error))?;
        self.done = done;
        Ok(())
    }

    /// Ends it: nothing is left to be undone.
    ///
    /// # Errors
    /// The file cannot be removed.
    pub fn end(&mut self) -> Result<Done, Error> {
        let done = self.done;
        self.note(Done::default())?;
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Error::file("remove", &self.path, &error))
            }
            _ => Ok(done),
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
}

fn read(file: &File) -> Done {
    let mut text = [b'0'; 3];
    // A file that is too short was never written.
    let [module, enabled, cell] = match file.read_exact_at(&mut text, 0) {
        Ok(()) => text.map(|flag| flag == b'1'),
        Err(_) => [false; 3],
    };
    Done {
        module,
        enabled,
        cell,
    }
}

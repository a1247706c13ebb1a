//! What a `run` or a `cell create` under way has done, for whoever comes after it: `/run/bulkhead/NAME.run`, `NAME.create`.
//!
//! One rule: a step is noted before it is done. The file is locked as long as its command lives, so one that nobody holds
//! was left by a command that was killed.

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

/// Whose notes they are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Of {
    /// `run`.
    Run,
    /// `cell create`.
    Create,
}

impl Of {
    /// The file's kind.
    pub(crate) const fn kind(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Create => "create",
        }
    }

    const fn command(self) -> &'static str {
        match self {
            Self::Run => "bulkhead run",
            Self::Create => "bulkhead cell create",
        }
    }
}

/// The notes of one command.
#[derive(Debug)]
pub struct Journal {
    file: File,
    path: PathBuf,
    done: Done,
}

impl Journal {
    /// Opens that of a cell, when a command has left one.
    ///
    /// # Errors
    /// The command is under way, or the file cannot be written.
    pub fn left(store: &Store, name: &str, of: Of) -> Result<Option<Self>, Error> {
        let is_there = store.path(name, of.kind()).exists();
        is_there.then(|| Self::open(store, name, of)).transpose()
    }

    /// Opens that of a cell, taking over what a command that died has noted.
    ///
    /// # Errors
    /// Another such command for the cell is under way, or the file cannot be written.
    pub fn open(store: &Store, name: &str, of: Of) -> Result<Self, Error> {
        let path = store.path(name, of.kind());
        loop {
            let file = open(&path).map_err(|error| Error::file("write", &path, &error))?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    return Err(Error::Refused(format!(
                        "another `{}` of cell '{name}' is at work",
                        of.command()
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

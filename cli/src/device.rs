//! `/dev/bulkhead`: the module's transactions and the shared area, as safe functions.
//!
//! The only file with `unsafe`: `ioctl` passes an address that the compiler cannot check.
#![expect(
    unsafe_code,
    reason = "ioctl has no safe form; everything else is in safe files"
)]

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use bulkhead_abi::ABI_VERSION;
use bulkhead_abi::info::{INFO_SIZE, Info};
use bulkhead_abi::ioctl::{
    self, Answer, CellCommand, CellCreate, CellLoad, CellLoaded, Enable, Status,
};
use bulkhead_model::refused::Refused;
use rustix::io::Errno;
use rustix::ioctl::{Opcode, Updater};

use crate::error::Error;

const PATH: &str = "/dev/bulkhead";

/// What to do with a cell.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Command {
    /// Let it run.
    Start,
    /// Stop its CPUs.
    Stop,
    /// Give all of it back.
    Destroy,
}

/// The open device.
#[derive(Debug)]
pub struct Device(File);

impl Device {
    /// Opens it and checks that module and command line are of one version.
    ///
    /// # Errors
    /// The module is not loaded, is of another version, or the caller is not root.
    pub fn open() -> Result<Self, Error> {
        let path = Path::new(PATH);
        let file =
            File::options()
                .read(true)
                .write(true)
                .open(path)
                .map_err(|error| match error.kind() {
                    io::ErrorKind::NotFound => Error::NoModule,
                    io::ErrorKind::PermissionDenied => {
                        Error::System(format!("cannot open {PATH}: only root may"))
                    }
                    _ if error.raw_os_error() == Some(Errno::NXIO.raw_os_error()) => {
                        Error::NoModule
                    }
                    _ => Error::file("open", path, &error),
                })?;
        let device = Self(file);
        let version = device.status()?.abi_version;
        if version != u64::from(ABI_VERSION) {
            return Err(Error::System(format!(
                "the kernel module has version {version}, this command {ABI_VERSION}: install both from one build"
            )));
        }
        Ok(device)
    }

    fn transact<const OPCODE: Opcode, T>(&self, request: &mut T) -> Result<(), Error> {
        const { assert!((OPCODE >> 16) as usize & 0x3fff == size_of::<T>()) };
        // SAFETY: `OPCODE` is one of `bulkhead_abi::ioctl` and states the size of `T`, which was checked above; the
        // module reads and writes that many bytes of integers, for which every value is valid.
        let updater = unsafe { Updater::<OPCODE, T>::new(request) };
        // SAFETY: the updater holds the only reference to the request until the call returns.
        unsafe { rustix::ioctl::ioctl(&self.0, updater) }.map_err(|errno| match errno {
            Errno::PERM | Errno::ACCESS => Error::System(format!("{PATH}: only root may do this")),
            errno => Error::System(format!("{PATH}: {errno}")),
        })
    }

    /// Asks what the module knows.
    ///
    /// # Errors
    /// The call itself fails.
    pub fn status(&self) -> Result<Status, Error> {
        let mut status = Status::default();
        self.transact::<{ ioctl::STATUS }, _>(&mut status)?;
        Ok(status)
    }

    /// Enables Bulkhead; `request.blob` and its size are filled in.
    ///
    /// # Errors
    /// The call itself fails; a refusal is within.
    pub fn enable(&self, blob: &[u8], mut request: Enable) -> Result<Result<(), Refused>, Error> {
        (request.blob, request.blob_size) = span(blob);
        self.transact::<{ ioctl::ENABLE }, _>(&mut request)?;
        Ok(outcome(request.answer).map(drop))
    }

    /// Disables it.
    ///
    /// # Errors
    /// The call itself fails; a refusal is within.
    pub fn disable(&self) -> Result<Result<(), Refused>, Error> {
        let mut request = CellCommand::default();
        self.transact::<{ ioctl::DISABLE }, _>(&mut request)?;
        Ok(outcome(request.answer).map(drop))
    }

    /// Creates a cell from its blob and these CPUs of Linux, a bit each; returns its id.
    ///
    /// # Errors
    /// The call itself fails; a refusal is within.
    pub fn create(&self, blob: &[u8], linux_cpus: u64) -> Result<Result<u64, Refused>, Error> {
        let (address, size) = span(blob);
        let mut request = CellCreate {
            blob: address,
            blob_size: size,
            linux_cpus,
            ..CellCreate::default()
        };
        self.transact::<{ ioctl::CELL_CREATE }, _>(&mut request)?;
        Ok(outcome(request.answer))
    }

    /// Copies bytes into a cell's memory.
    ///
    /// # Errors
    /// The call itself fails; a refusal is within.
    pub fn load(&self, cell: u64, gpa: u64, bytes: &[u8]) -> Result<Result<(), Refused>, Error> {
        let (address, size) = span(bytes);
        let mut request = CellLoad {
            cell,
            gpa,
            bytes: address,
            size,
            ..CellLoad::default()
        };
        self.transact::<{ ioctl::CELL_LOAD }, _>(&mut request)?;
        Ok(outcome(request.answer).map(drop))
    }

    /// Says that all is loaded, and where the cell starts with what in x0.
    ///
    /// # Errors
    /// The call itself fails; a refusal is within.
    pub fn loaded(
        &self,
        cell: u64,
        entry: u64,
        argument: u64,
    ) -> Result<Result<(), Refused>, Error> {
        let mut request = CellLoaded {
            cell,
            entry,
            argument,
            ..CellLoaded::default()
        };
        self.transact::<{ ioctl::CELL_LOADED }, _>(&mut request)?;
        Ok(outcome(request.answer).map(drop))
    }

    /// Starts, stops or destroys a cell.
    ///
    /// # Errors
    /// The call itself fails; a refusal is within.
    pub fn command(&self, command: Command, cell: u64) -> Result<Result<(), Refused>, Error> {
        let mut request = CellCommand {
            cell,
            ..CellCommand::default()
        };
        match command {
            Command::Start => self.transact::<{ ioctl::CELL_START }, _>(&mut request)?,
            Command::Stop => self.transact::<{ ioctl::CELL_STOP }, _>(&mut request)?,
            Command::Destroy => self.transact::<{ ioctl::CELL_DESTROY }, _>(&mut request)?,
        }
        Ok(outcome(request.answer).map(drop))
    }

    /// Reads from the shared area, or from a cell's console behind it.
    ///
    /// # Errors
    /// Bulkhead is not enabled, or there is no such console any more.
    pub fn read(&self, offset: u64, bytes: &mut [u8]) -> Result<(), Error> {
        let done = self.0.read_exact_at(bytes, offset);
        done.map_err(|error| failed("read", &error))
    }

    /// Writes to a cell's console, behind the shared area.
    ///
    /// # Errors
    /// Bulkhead is not enabled, or there is no such console any more.
    pub fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        let done = self.0.write_all_at(bytes, offset);
        done.map_err(|error| failed("write", &error))
    }

    /// Reads the head of the shared area, as it is at this moment; EL2 may be writing it.
    ///
    /// # Errors
    /// Bulkhead is not enabled.
    pub fn info(&self) -> Result<Box<Info>, Error> {
        let mut bytes = vec![0; usize::try_from(INFO_SIZE).unwrap_or(size_of::<Info>())];
        self.read(0, &mut bytes)?;
        info_of(&bytes)
            .ok_or_else(|| Error::System(format!("{PATH}: the shared area is too short")))
    }
}

/// Takes bytes of the shared area's head for what they are; `None` when they are too few.
pub fn info_of(bytes: &[u8]) -> Option<Box<Info>> {
    if bytes.len() < size_of::<Info>() {
        return None;
    }
    // SAFETY: there are as many bytes as `Info` has, which was checked above; it consists of integers and arrays of
    // them, for which every value is valid, and may lie anywhere.
    Some(Box::new(unsafe {
        bytes.as_ptr().cast::<Info>().read_unaligned()
    }))
}

fn span(bytes: &[u8]) -> (u64, u64) {
    (
        bytes.as_ptr().expose_provenance() as u64,
        bytes.len() as u64,
    )
}

fn failed(action: &str, error: &io::Error) -> Error {
    match error.raw_os_error() {
        Some(errno) if errno == Errno::NODEV.raw_os_error() => Error::NotEnabled,
        Some(errno) if errno == Errno::NXIO.raw_os_error() => Error::NoConsole,
        _ => Error::file(action, Path::new(PATH), error),
    }
}

/// Splits an answer into the good and the refused.
fn outcome(answer: Answer) -> Result<u64, Refused> {
    match u64::try_from(answer.code) {
        Ok(value) => Ok(value),
        Err(_) => Err(Refused::new(
            answer.code.saturating_neg(),
            answer.a,
            answer.b,
        )),
    }
}

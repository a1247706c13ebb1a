//! The type of a serial line of Linux, which says whether its driver may touch the hardware.
//!
//! The other file with `unsafe`, beside `device.rs`: `ioctl` has no safe form.
#![expect(unsafe_code, reason = "ioctl has no safe form")]

use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::OFlags;
use rustix::ioctl::{Opcode, Updater, ioctl};

use crate::error::Error;

/// `PORT_UNKNOWN` (linux/serial.h): there is no hardware.
pub const UNKNOWN: u32 = 0;
const TIOCGSERIAL: Opcode = 0x541e;
const TIOCSSERIAL: Opcode = 0x541f;

/// The least `baud_base` that the driver of PL011s takes; a line of fixed speed (SBSA) says 0, and does not use it.
const LEAST_BAUD_BASE: u32 = 9600;

/// `UPIO_MEM` (linux/serial_core.h): the one way to its registers that the driver of Cadence's UARTs takes, though it says another
/// of its own lines, and uses neither.
const IO_MEMORY: u8 = 2;

/// `struct serial_struct` of 64-bit Linux (linux/serial.h). We change its type, and what would be refused.
#[repr(C, align(8))]
#[derive(Clone, Copy, Default)]
struct SerialStruct {
    kind: u32,
    others: [u32; 6],
    baud_base: u32,
    close_delay: u16,
    io_type: u8,
    reserved: u8,
    rest: [u32; 9],
}

/// Sets the type of the line at a device file.
///
/// # Errors
/// Somebody else has it open, or the driver does not take the type.
pub fn set_kind(file: &Path, kind: u32) -> Result<(), Error> {
    change(file, kind).map_err(|error| match error.kind() {
        io::ErrorKind::ResourceBusy => Error::Refused(format!(
            "{}: a program on Linux has it open: end that first",
            file.display()
        )),
        _ => Error::file("change the type of", file, &error),
    })
}

fn change(file: &Path, kind: u32) -> io::Result<()> {
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    let line = File::options()
        .read(true)
        .write(true)
        .custom_flags(flags)
        .open(file)?;
    let mut settings = SerialStruct::default();
    // SAFETY: the kernel writes a `serial_struct` of 72 bytes, the size of ours, all of integers.
    let get = unsafe { Updater::<TIOCGSERIAL, SerialStruct>::new(&mut settings) };
    // SAFETY: the updater holds the only reference to the settings until the call returns.
    unsafe { ioctl(&line, get) }?;
    settings.kind = kind;
    settings.baud_base = settings.baud_base.max(LEAST_BAUD_BASE);
    match set(&line, settings) {
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
            settings.io_type = IO_MEMORY;
            set(&line, settings)
        }
        done => done,
    }
}

fn set(line: &File, mut settings: SerialStruct) -> io::Result<()> {
    // SAFETY: the kernel reads a `serial_struct`, which is one that it gave us but for what `change` changes.
    let set = unsafe { Updater::<TIOCSSERIAL, SerialStruct>::new(&mut settings) };
    // SAFETY: the updater holds the only reference to the settings until the call returns.
    Ok(unsafe { ioctl(line, set) }?)
}

const _: () = assert!(size_of::<SerialStruct>() == 72);

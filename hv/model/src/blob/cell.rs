//! A cell's blob: what it asks for.

use core::ops::RangeInclusive;

use arrayvec::ArrayVec;
use bulkhead_abi::{MAX_CPUS, PAGE_SIZE, console};

use super::words::{Reader, Writer};
use super::{MAX_DEVICES, MAX_MEMORY, MAX_SPIS, Name};
use crate::addr::{Address, Gpa, Hpa};
use crate::id::{Mpidr, Spi};
use crate::refused::Refused;

/// First word of a cell blob.
const CELL_MAGIC: u64 = u64::from_le_bytes(*b"BHCELL\0\0");

/// Where a cell's memory comes from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Placement {
    /// Anywhere in the pool.
    Pool,
    /// This part of the pool.
    At(Hpa),
}

/// A memory region of a cell: whole pages.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct MemoryConfig {
    /// Where the cell sees it.
    pub gpa: Gpa,
    /// Where it comes from.
    pub placement: Placement,
    /// Bytes.
    pub size: u64,
}

/// A device window of a cell: whole pages.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DeviceConfig {
    /// Where the cell sees it.
    pub gpa: Gpa,
    /// Where it is.
    pub hpa: Hpa,
    /// Bytes.
    pub size: u64,
}

/// How a cell gets its interrupts. (A whole word, as [`crate::id::CellId`].)
#[repr(u64)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Delivery {
    /// By the physical CPU interface, without an exit.
    #[default]
    Direct,
    /// By list registers: one exit an interrupt, and a CPU interface that is all the cell's own.
    Listed,
}

/// A cell's promise to beat.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Heartbeat {
    /// A beat at least each such time, milliseconds: one of [`HEARTBEAT_MS`]; 0: there is no heartbeat.
    pub period_ms: u32,
    /// How often in a row, with no beat in between, it is started anew when its heart stands still.
    pub restarts: u32,
}

impl Heartbeat {
    /// None.
    pub const NONE: Self = Self {
        period_ms: 0,
        restarts: 0,
    };

    /// Tells whether there is one.
    pub const fn is_wanted(self) -> bool {
        self.period_ms != 0
    }
}

/// Periods of a heartbeat that can be had, milliseconds.
pub const HEARTBEAT_MS: RangeInclusive<u32> = 10..=3_600_000;

/// What a cell asks for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CellConfig {
    /// Its name.
    pub name: Name,
    /// Its CPUs; the cell's own numbers count along this list.
    pub cpus: ArrayVec<Mpidr, MAX_CPUS>,
    /// Its memory; the first region is the main one. With a heartbeat the last one is its comm page
    /// ([`bulkhead_abi::comm`]), which is no RAM.
    pub memory: ArrayVec<MemoryConfig, MAX_MEMORY>,
    /// Its device windows.
    pub devices: ArrayVec<DeviceConfig, MAX_DEVICES>,
    /// Its interrupts.
    pub spis: ArrayVec<Spi, MAX_SPIS>,
    /// How it gets them.
    pub delivery: Delivery,
    /// Its heartbeat.
    pub heartbeat: Heartbeat,
    /// Where it sees its console ([`bulkhead_abi::console`]), which is not asked for by place: EL2 takes pages of its own.
    pub console: Option<Gpa>,
}

impl DeviceConfig {
    /// Tells whether it is a part of a page, which others have registers in too: EL2 makes each access to it.
    pub fn is_part(&self) -> bool {
        !(self.hpa.0 | self.size).is_multiple_of(PAGE_SIZE)
    }
}

impl CellConfig {
    /// Its memory without the comm page.
    pub fn ram(&self) -> &[MemoryConfig] {
        ram(&self.memory, self.heartbeat)
    }

    /// Where it sees its comm page.
    pub fn comm(&self) -> Option<Gpa> {
        let page = self.memory.last()?;
        self.heartbeat.is_wanted().then_some(page.gpa)
    }

    /// Writes the blob and returns its length, bytes.
    ///
    /// # Errors
    /// `BAD_LENGTH` when `out` is too short; [`MAX_SIZE`](super::MAX_SIZE) always suffices.
    pub fn encode(&self, out: &mut [u8]) -> Result<usize, Refused> {
        let mut w = Writer::new(out, CELL_MAGIC);
        w.name(&self.name);
        w.word(self.delivery as u64);
        w.list(&self.cpus, |w, mpidr| w.word(mpidr.get()));
        w.list(&self.memory, |w, memory| {
            let (is_fixed, hpa) = match memory.placement {
                Placement::Pool => (0, 0),
                Placement::At(hpa) => (1, hpa.get()),
            };
            w.words(&[memory.gpa.get(), is_fixed, hpa, memory.size]);
        });
        w.list(&self.devices, |w, device| {
            w.words(&[device.gpa.get(), device.hpa.get(), device.size])
        });
        w.list(&self.spis, |w, spi| w.word(spi.intid().into()));
        let Heartbeat {
            period_ms,
            restarts,
        } = self.heartbeat;
        w.words(&[period_ms.into(), restarts.into()]);
        w.words(&[
            self.console.is_some().into(),
            self.console.map_or(0, |gpa| gpa.0),
        ]);
        w.finish()
    }

    /// Of nothing: to be [read](Self::read) into.
    pub fn empty() -> Self {
        Self {
            name: Name::ROOT,
            cpus: ArrayVec::new(),
            memory: ArrayVec::new(),
            devices: ArrayVec::new(),
            spis: ArrayVec::new(),
            delivery: Delivery::Direct,
            heartbeat: Heartbeat::NONE,
            console: None,
        }
    }

    /// Checks a blob and reads it into an [empty](Self::empty) one, where it is: it is large, and EL2's stack small.
    ///
    /// # Errors
    /// `BAD_MAGIC`, `BAD_VERSION`, `BAD_LENGTH`, `BAD_CONTENT`, `TOO_MANY`, `BAD_NAME`, `NO_SUCH_SPI`, `EMPTY`,
    /// `WRAPS`, `UNALIGNED`.
    #[inline(never)] // Keeps what it needs on EL2's stack out of its caller's frame.
    pub fn read(&mut self, bytes: &[u8]) -> Result<(), Refused> {
        let mut r = Reader::new(bytes, CELL_MAGIC);
        self.name = r.name();
        self.delivery = match r.flag() {
            false => Delivery::Direct,
            true => Delivery::Listed,
        };
        r.list(&mut self.cpus, Reader::mpidr);
        r.list(&mut self.memory, memory);
        r.list(&mut self.devices, device);
        r.list(&mut self.spis, Reader::spi);
        self.heartbeat = heartbeat(&mut r, &self.memory);
        self.console = console(&mut r);
        r.finish()
    }

    /// Checks and reads a blob.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Refused> {
        let mut config = Self::empty();
        config.read(bytes)?;
        Ok(config)
    }
}

/// Returns the regions of memory that are RAM.
pub(crate) fn ram<T>(memory: &[T], heartbeat: Heartbeat) -> &[T] {
    match memory {
        [ram @ .., _] if heartbeat.is_wanted() => ram,
        _ => memory,
    }
}

/// The last of several regions has to be the comm page: one page, anywhere.
fn heartbeat(r: &mut Reader<'_>, memory: &[MemoryConfig]) -> Heartbeat {
    let has_comm = matches!(memory, [_, .., comm] if comm.size == PAGE_SIZE);
    let period_ms = r.checked(0, |word| {
        let ms = u32::try_from(word).ok()?;
        (ms == 0 || has_comm && HEARTBEAT_MS.contains(&ms)).then_some(ms)
    });
    let restarts = r.bits(if period_ms == 0 { 0 } else { u32::MAX.into() });
    Heartbeat {
        period_ms,
        restarts: u32::try_from(restarts).unwrap_or(0),
    }
}

fn console(r: &mut Reader<'_>) -> Option<Gpa> {
    let is_wanted = r.flag();
    let gpa = r.bits(if is_wanted { u64::MAX } else { 0 });
    is_wanted.then(|| {
        r.pages(gpa, console::SIZE);
        Gpa(gpa)
    })
}

fn memory(r: &mut Reader<'_>) -> MemoryConfig {
    let gpa = Gpa(r.word());
    let is_fixed = r.flag();
    let hpa = Hpa(r.bits(if is_fixed { u64::MAX } else { 0 }));
    let size = r.word();
    r.pages(gpa.0, size);
    r.pages(hpa.0, size);
    let placement = if is_fixed {
        Placement::At(hpa)
    } else {
        Placement::Pool
    };
    MemoryConfig {
        gpa,
        placement,
        size,
    }
}

fn device(r: &mut Reader<'_>) -> DeviceConfig {
    let (gpa, hpa, size) = (Gpa(r.word()), Hpa(r.word()), r.word());
    DeviceConfig { gpa, hpa, size }
}

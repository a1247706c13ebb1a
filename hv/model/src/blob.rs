//! The two blobs that the command line compiles and EL2 checks: the system's and a cell's. The one definition of both.
//!
//! One rule: [`SystemConfig::decode`] and [`CellConfig::decode`] take hostile bytes; what they return is well formed in
//! itself (lengths, alignments, names, ids). Whether it may be had is the [`crate::ledger`]'s question.
//!
//! Both are words of 64 bits, little-endian: magic, [`ABI_VERSION`], length of the whole in bytes, fixed fields, then
//! lists, each as a count and its entries. Nothing follows the last entry.

mod words;

use core::fmt;
use core::num::NonZero;
use core::ops::RangeInclusive;

use arrayvec::ArrayVec;
use bulkhead_abi::{ABI_VERSION, MAX_CPUS, NAME_SIZE, PAGE_SIZE, code, console};

use crate::addr::{Address, Gpa, Hpa, Region};
use crate::id::{Mpidr, Spi};
use crate::refused::Refused;
use words::{Reader, Writer};

/// First word of a system blob.
const SYSTEM_MAGIC: u64 = u64::from_le_bytes(*b"BHSYSTEM");
/// First word of a cell blob.
const CELL_MAGIC: u64 = u64::from_le_bytes(*b"BHCELL\0\0");

/// Most regions of redistributors on a board.
pub const MAX_GICRS: usize = 8;
/// Regions of registers of a GICv2 besides the distributor.
const GICV2_FRAMES: usize = 3;
/// Most ranges of RAM on a board.
pub const MAX_RAM: usize = 32;
/// Most memory regions of a cell.
pub const MAX_MEMORY: usize = 8;
/// Most device windows of a cell.
pub const MAX_DEVICES: usize = 32;
/// Most interrupts of a cell.
pub const MAX_SPIS: usize = 128;

/// Bytes of the largest blob of either kind: room for [`SystemConfig::encode`] and [`CellConfig::encode`].
pub const MAX_SIZE: usize = {
    let system = 3
        + 3
        + (1 + 2 * MAX_GICRS)
        + (1 + 2 * GICV2_FRAMES)
        + (1 + 3 * MAX_CPUS)
        + (1 + 2 * MAX_RAM);
    let cell = 3
        + NAME_WORDS
        + 1
        + 2
        + (1 + MAX_CPUS)
        + (1 + 4 * MAX_MEMORY)
        + (1 + 3 * MAX_DEVICES)
        + (1 + MAX_SPIS)
        + 2;
    8 * if system > cell { system } else { cell }
};
const NAME_WORDS: usize = NAME_SIZE / 8;

/// How to call the board's PSCI firmware.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Conduit {
    /// There is none.
    None,
    /// By `smc #0`.
    Smc,
    /// By `hvc #0`.
    Hvc,
}

/// A CPU of the board.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CpuConfig {
    /// Its affinity.
    pub mpidr: Mpidr,
    /// Linux runs on it at enable.
    pub online: bool,
    /// It waits for an address to appear in this word (a spin table's `cpu-release-addr`), untouched by Linux. Physical
    /// address; small, as EL2 has a list of these on its stack.
    pub release: Option<NonZero<u64>>,
}

/// What a GICv2 has besides the distributor (Arm IHI 0048, "GIC register map").
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct GicV2 {
    /// The CPU interfaces, each CPU's own at the same address.
    pub gicc: Region<Hpa>,
    /// The virtual interface control blocks.
    pub gich: Region<Hpa>,
    /// The virtual CPU interfaces.
    pub gicv: Region<Hpa>,
}

impl GicV2 {
    /// Its regions.
    pub const fn frames(&self) -> [Region<Hpa>; GICV2_FRAMES] {
        [self.gicc, self.gich, self.gicv]
    }
}

/// The board, as far as EL2 has to know it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SystemConfig {
    /// The distributor.
    pub gicd: Region<Hpa>,
    /// Set when the interrupt controller is a GICv2; else it is a GICv3.
    pub gicv2: Option<GicV2>,
    /// The redistributors; a GICv2 has none.
    pub gicrs: ArrayVec<Region<Hpa>, MAX_GICRS>,
    /// Every CPU; [`crate::id::CpuId`] counts along this list.
    pub cpus: ArrayVec<CpuConfig, MAX_CPUS>,
    /// The RAM of the device tree's memory nodes.
    pub ram: ArrayVec<Region<Hpa>, MAX_RAM>,
    /// How firmware is called.
    pub psci: Conduit,
}

impl SystemConfig {
    /// Writes the blob and returns its length, bytes.
    ///
    /// # Errors
    /// `BAD_LENGTH` when `out` is too short; [`MAX_SIZE`] always suffices.
    pub fn encode(&self, out: &mut [u8]) -> Result<usize, Refused> {
        let mut w = Writer::new(out, SYSTEM_MAGIC);
        w.region(self.gicd);
        w.word(match self.psci {
            Conduit::None => 0,
            Conduit::Smc => 1,
            Conduit::Hvc => 2,
        });
        let frames = self.gicv2.map(|gic| gic.frames());
        let frames = frames.as_ref().map_or(&[][..], |frames| frames);
        w.list(frames, |w, region| w.region(*region));
        w.list(&self.gicrs, |w, region| w.region(*region));
        w.list(&self.cpus, |w, cpu| {
            let release = cpu.release.map_or(0, NonZero::get);
            w.words(&[cpu.mpidr.get(), cpu.online.into(), release])
        });
        w.list(&self.ram, |w, region| w.region(*region));
        w.finish()
    }

    /// Checks and reads a blob.
    ///
    /// # Errors
    /// `BAD_MAGIC`, `BAD_VERSION`, `BAD_LENGTH`, `BAD_CONTENT`, `TOO_MANY`, `EMPTY`, `WRAPS`, `UNALIGNED`.
    #[inline(never)] // Keeps what it needs on EL2's stack out of its caller's frame.
    pub fn decode(bytes: &[u8]) -> Result<Self, Refused> {
        let mut r = Reader::new(bytes, SYSTEM_MAGIC);
        let gicd = r.region();
        let psci = r.checked(Conduit::None, |word| match word {
            0 => Some(Conduit::None),
            1 => Some(Conduit::Smc),
            2 => Some(Conduit::Hvc),
            _ => None,
        });
        let mut config = Ok(Self {
            gicd,
            psci,
            gicv2: gicv2(&mut r),
            gicrs: ArrayVec::new(),
            cpus: ArrayVec::new(),
            ram: ArrayVec::new(),
        });
        if let Ok(config) = &mut config {
            r.list(&mut config.gicrs, Reader::region);
            r.list(&mut config.cpus, |r| CpuConfig {
                mpidr: r.mpidr(),
                online: r.flag(),
                release: r.checked(None, |word| {
                    word.is_multiple_of(8).then_some(NonZero::new(word))
                }),
            });
            r.list(&mut config.ram, Reader::region);
        }
        if let Err(refused) = r.finish() {
            config = Err(refused);
        }
        config
    }
}

/// None of the regions, or all of them.
fn gicv2(r: &mut Reader<'_>) -> Option<GicV2> {
    let offset = r.offset();
    let mut frames = ArrayVec::<Region<Hpa>, GICV2_FRAMES>::new();
    r.list(&mut frames, Reader::region);
    match frames[..] {
        [] => None,
        [gicc, gich, gicv] => Some(GicV2 { gicc, gich, gicv }),
        _ => {
            r.refuse(code::BAD_CONTENT, offset, frames.len() as u64);
            None
        }
    }
}

/// A cell's name: letters, digits, `-`, `_` and `.`, first a letter or digit; at most [`NAME_SIZE`]` - 1` of them.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct Name([u8; NAME_SIZE]);

impl Name {
    /// The root cell's; no other cell may have it.
    pub const ROOT: Self = {
        let mut bytes = [0; NAME_SIZE];
        (bytes[0], bytes[1], bytes[2], bytes[3]) = (b'r', b'o', b'o', b't');
        Self(bytes)
    };

    /// Checks a name.
    ///
    /// # Errors
    /// `BAD_NAME`.
    pub fn new(name: &str) -> Result<Self, Refused> {
        let mut bytes = [0; NAME_SIZE];
        match bytes.get_mut(..name.len()) {
            Some(start) => start.copy_from_slice(name.as_bytes()),
            None => return Err(Refused::new(code::BAD_NAME, 0, 0)),
        }
        Self::from_bytes(bytes)
    }

    /// Checks a name padded with zeros.
    ///
    /// # Errors
    /// `BAD_NAME`.
    pub fn from_bytes(bytes: [u8; NAME_SIZE]) -> Result<Self, Refused> {
        let mut before = 0;
        let is_good = bytes.iter().enumerate().all(|(index, byte)| {
            let is_inside = index > 0 && before != 0;
            before = *byte;
            match byte {
                0 => index > 0,
                b'-' | b'_' | b'.' => is_inside,
                byte => byte.is_ascii_alphanumeric() && (is_inside || index == 0),
            }
        });
        if is_good && before == 0 {
            Ok(Self(bytes))
        } else {
            Err(Refused::new(code::BAD_NAME, 0, 0))
        }
    }

    /// The name padded with zeros.
    pub const fn bytes(&self) -> &[u8; NAME_SIZE] {
        &self.0
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        let length = self
            .0
            .iter()
            .position(|byte| *byte == 0)
            .unwrap_or(NAME_SIZE);
        self.0
            .get(..length)
            .and_then(|name| str::from_utf8(name).ok())
            .unwrap_or("")
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

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
    /// `BAD_LENGTH` when `out` is too short; [`MAX_SIZE`] always suffices.
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

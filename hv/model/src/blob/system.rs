//! The system's blob: interrupt controller, CPUs, RAM.

use core::num::NonZero;

use arrayvec::ArrayVec;
use bulkhead_abi::{MAX_CPUS, code};

use super::words::{Reader, Writer};
use super::{GICV2_FRAMES, MAX_GICRS, MAX_RAM};
use crate::addr::{Hpa, Region};
use crate::id::Mpidr;
use crate::refused::Refused;

/// First word of a system blob.
const SYSTEM_MAGIC: u64 = u64::from_le_bytes(*b"BHSYSTEM");

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
    /// `BAD_LENGTH` when `out` is too short; [`MAX_SIZE`](super::MAX_SIZE) always suffices.
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

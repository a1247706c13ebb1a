//! Software-generated interrupts: `ICC_SGI1R_EL1` decoded and filtered (IHI 0069, `ICC_SGI1R_EL1`).
//!
//! One rule: only CPUs of the sender's cell get one. Root's Linux sends one at every reschedule of another CPU, so this is
//! made to be short: CPUs whose numbers follow their affinities, as nearly always, are one comparison.

use crate::id::{CpuId, Mpidr};
use bulkhead_abi::MAX_CPUS;

const _: () = assert!(MAX_CPUS <= u32::BITS as usize);

/// Fields that name a group of 16 CPUs: Aff3 55:48, RS 47:44 (Aff0\[7:4\]), Aff2 39:32, Aff1 23:16.
const GROUP: u64 = 0x00ff_f0ff_00ff_0000;
/// To all but the sender.
const IRM: u64 = 1 << 40;

/// Who gets which interrupt.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SgiPlan {
    /// 0 to 15.
    pub intid: u8,
    /// Bit n: [`CpuId`] n.
    pub targets: u32,
}

impl SgiPlan {
    /// Returns the targets in order.
    pub fn cpus(&self) -> impl Iterator<Item = CpuId> {
        let mut left = self.targets;
        core::iter::from_fn(move || {
            let cpu = CpuId::new(left.trailing_zeros() as usize)?;
            left &= left - 1;
            Some(cpu)
        })
    }
}

/// CPUs of one group of 16 whose number minus Aff0\[3:0\] is the same.
#[derive(Clone, Copy, Debug, Default)]
struct Run {
    group: u64,
    /// Their bits in a target list.
    list: u16,
    /// Number of the CPU at bit 0 of the list, plus 16.
    first: u8,
}

/// Affinities as a cell sees them, by CPU. Made when the cell is made; for root, of all physical CPUs.
#[derive(Clone, Debug)]
pub struct SgiMap {
    runs: [Run; MAX_CPUS],
    count: usize,
}

impl SgiMap {
    /// Notes the affinity that names each CPU. A CPU that is listed again is ignored.
    #[must_use]
    pub fn new(cpus: impl IntoIterator<Item = (CpuId, Mpidr)>) -> Self {
        let mut map = Self {
            runs: [Run::default(); MAX_CPUS],
            count: 0,
        };
        let mut seen = 0_u32;
        for (cpu, mpidr) in cpus {
            if seen & 1 << cpu.index() == 0 {
                seen |= 1 << cpu.index();
                map.insert(cpu, mpidr);
            }
        }
        map
    }

    fn insert(&mut self, cpu: CpuId, mpidr: Mpidr) {
        let (group, bit) = (group(mpidr), target_bit(mpidr));
        let first = cpu.byte() + 16 - bit;
        let same = |run: &&mut Run| run.group == group && run.first == first;
        match self.runs[..self.count].iter_mut().find(same) {
            Some(run) => run.list |= 1 << bit,
            None => {
                self.runs[self.count] = Run {
                    group,
                    list: 1 << bit,
                    first,
                };
                self.count += 1;
            }
        }
    }

    /// Returns the value for the physical register that does what a root CPU's write means, when one does: all affinities
    /// are physical and of one run, and the write names its targets. The short form of [`Self::plan`].
    #[inline]
    #[must_use]
    pub fn physical(&self, value: u64, members: u32) -> Option<u64> {
        let run = &self.runs[0];
        if self.count != 1 || value & (GROUP | IRM) != run.group {
            return None;
        }
        let allowed = (u64::from(members) << 16) >> run.first & u64::from(run.list);
        Some(value & (GROUP | 0xf << 24) | value & allowed)
    }

    /// Decodes a write to `ICC_SGI1R_EL1` by `sender`, whose cell has the CPUs `members` (bit n: CPU n).
    #[inline]
    #[must_use]
    pub fn plan(&self, value: u64, sender: CpuId, members: u32) -> SgiPlan {
        let intid = (value >> 24 & 0xf) as u8;
        if value & IRM != 0 {
            return SgiPlan {
                intid,
                targets: members & !(1 << sender.index()),
            };
        }
        let mut targets = 0;
        for run in &self.runs[..self.count.min(MAX_CPUS)] {
            if value & GROUP == run.group {
                let list = value & u64::from(run.list);
                targets |= (list << run.first >> 16 & 0xffff_ffff) as u32;
            }
        }
        SgiPlan {
            intid,
            targets: targets & members,
        }
    }
}

/// Returns the value for `ICC_SGI1R_EL1` that sends `intid` to one physical CPU.
#[inline]
#[must_use]
pub const fn sgi_value(intid: u8, mpidr: Mpidr) -> u64 {
    group(mpidr) | (intid as u64 & 0xf) << 24 | 1 << target_bit(mpidr)
}

const fn group(mpidr: Mpidr) -> u64 {
    let affinity = mpidr.get();
    let (aff3, aff2, aff1) = (
        affinity >> 32 & 0xff,
        affinity >> 16 & 0xff,
        affinity >> 8 & 0xff,
    );
    let range = affinity >> 4 & 0xf;
    aff3 << 48 | range << 44 | aff2 << 32 | aff1 << 16
}

const fn target_bit(mpidr: Mpidr) -> u8 {
    (mpidr.get() & 0xf) as u8
}

//! Trapped system registers: SGIs, the CPU interface's common registers, set/way cache operations, ID registers, the unknown.

#![forbid(unsafe_code)]

use aarch64_cpu::registers::{ICH_VMCR_EL2, Readable, Writeable};
use bulkhead_abi::info::exit;
use bulkhead_model::features::{self, Allowed};
use bulkhead_model::id::{CellId, Spi};
use bulkhead_model::trap::{Injection, Sysreg, SysregId};

use crate::board::board;
use crate::handle::{self, Outcome};
use crate::percpu::{Cpu, PerCpu};
use crate::sysreg::{IccCtlr, IccDir, IccPmr, IccRpr};
use crate::{gate, gicv2, info, listed, sysreg, vgic};

const ICC_PMR: SysregId = SysregId::new(3, 0, 4, 6, 0);
const ICC_DIR: SysregId = SysregId::new(3, 0, 12, 11, 1);
const ICC_RPR: SysregId = SysregId::new(3, 0, 12, 11, 3);
/// SGI generation, group 1.
pub const ICC_SGI1R: SysregId = SysregId::new(3, 0, 12, 11, 5);
const ICC_ASGI1R: SysregId = SysregId::new(3, 0, 12, 11, 6);
const ICC_SGI0R: SysregId = SysregId::new(3, 0, 12, 11, 7);
const ICC_CTLR: SysregId = SysregId::new(3, 0, 12, 12, 4);
const ACTLR: SysregId = SysregId::new(3, 0, 1, 0, 1);
const DC_ISW: SysregId = SysregId::new(1, 0, 7, 6, 2);
const DC_CSW: SysregId = SysregId::new(1, 0, 7, 10, 2);
const DC_CISW: SysregId = SysregId::new(1, 0, 7, 14, 2);

const CTLR_EOIMODE: u64 = 1 << 1;
/// Bits of ICC_CTLR_EL1 that a cell reads: EOImode, PRIbits, IDbits, SEIS, A3V, RSS.
const CTLR_READ: u64 = CTLR_EOIMODE | 0x4_ff00;
const VPMR_SHIFT: u32 = 24;

/// Serves a trapped MRS or MSR.
pub fn access(cpu: &mut Cpu, access: Sysreg) -> Outcome {
    let register = usize::from(access.register);
    let value = cpu.frame.x.get(register).copied().unwrap_or(0);
    if (access.id, access.is_read) == (ICC_SGI1R, false) {
        vgic::send_sgi(cpu.shared, value);
        handle::skip(cpu);
        return Outcome::Resume;
    }
    info::count_exit(cpu.shared.id, exit::SYSREG);
    let Some(result) = (if access.is_read {
        read(cpu, access.id)
    } else {
        write(cpu, access.id, value)
    }) else {
        return handle::inject(cpu, Injection::Undefined);
    };
    if let (true, Some(x)) = (access.is_read, cpu.frame.x.get_mut(register)) {
        *x = result;
    }
    handle::skip(cpu);
    Outcome::Resume
}

/// `None`: UNDEFINED.
fn read(cpu: &Cpu, id: SysregId) -> Option<u64> {
    match id {
        ICC_PMR | ICC_RPR | ICC_CTLR if gicv2::is_there() => None,
        id if features::is_id_register(id) => {
            let allowed = Allowed {
                hcrx: cpu.found.hcrx,
                hfgrtr: cpu.found.fgt[0],
            };
            Some(features::told(id, sysreg::id_register(id), allowed))
        }
        ICC_PMR => Some(match ICH_VMCR_EL2.get() >> VPMR_SHIFT & 0xff {
            masked if masked < least_pmr() => masked,
            _ => IccPmr::get(),
        }),
        ICC_RPR => Some(IccRpr::get()),
        ICC_CTLR => Some(IccCtlr::get() & CTLR_READ),
        ACTLR => Some(0),
        _ if is_implementation_defined(id) => Some(0),
        _ => None,
    }
}

/// `None`: UNDEFINED.
fn write(cpu: &Cpu, id: SysregId, value: u64) -> Option<u64> {
    match id {
        ICC_PMR | ICC_CTLR | ICC_DIR if gicv2::is_there() => return None,
        // The physical mask always lets the kick through; what the cell wrote is kept beside it.
        ICC_PMR => {
            IccPmr::set((value & 0xff).max(least_pmr()));
            let rest = ICH_VMCR_EL2.get() & !(0xff << VPMR_SHIFT);
            ICH_VMCR_EL2.set(rest | (value & 0xff) << VPMR_SHIFT);
        }
        ICC_CTLR => IccCtlr::set(value & CTLR_EOIMODE),
        ICC_DIR if owns(cpu.shared, value & 0xff_ffff) => match u16::try_from(value & 0xff_ffff) {
            Ok(intid) if listed::is_on() => listed::deactivate(cpu.shared, intid),
            _ => IccDir::set(value & 0xff_ffff),
        },
        // Another's interrupt, no Group 0 for guests; caches are coherent, and set/way never was a way to clean one
        // CPU's memory in a shared system (DDI 0487, "Data cache maintenance by set/way").
        ICC_DIR | ICC_SGI0R | ICC_ASGI1R | DC_ISW | DC_CSW | DC_CISW | ACTLR => {}
        _ if is_implementation_defined(id) => {}
        _ => return None,
    }
    Some(0)
}

fn least_pmr() -> u64 {
    board().kicks.least_pmr.into()
}

/// Its SGIs and PPIs, and the SPIs of its cell.
pub fn owns(cpu: &PerCpu, intid: u64) -> bool {
    if intid < 32 || cpu.cell() == CellId::ROOT {
        return true;
    }
    let spi = u16::try_from(intid).ok().and_then(Spi::new);
    spi.is_some_and(|spi| {
        gate::of(cpu.cell()).spis(usize::from(spi.intid() / 32)) >> (spi.intid() % 32) & 1 != 0
    })
}

/// op0 = 3 (or 1 for instructions), CRn 11 or 15 (DDI 0487, "Reserved encodings for IMPLEMENTATION DEFINED registers").
fn is_implementation_defined(id: SysregId) -> bool {
    matches!((id.get() >> 14, id.get() >> 7 & 0xf), (1 | 3, 11 | 15))
}

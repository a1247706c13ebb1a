//! `ENTER_PREPARE`: first tables with the MMU off, then everything that all CPUs share.
//!
//! One rule: nothing of the machine changes here but the hypervisor's own memory, so that a refusal leaves no trace.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use aarch64_cpu::registers::{ID_AA64MMFR0_EL1, MPIDR_EL1, Readable, SCTLR_EL2, TCR_EL2};
use bulkhead_abi::enter::{EnterArgs, IMAGE_MAGIC, MAILBOX_SIZE, inject};
use bulkhead_abi::{MAX_CPUS, PAGE_SIZE, code};
use bulkhead_model::addr::{Hpa, Region};
use bulkhead_model::blob::SystemConfig;
use bulkhead_model::id::{CpuId, Mpidr};
use bulkhead_model::paging::{TableMemory, Tables, stage1_el2};
use bulkhead_model::refused::Refused;
use bulkhead_model::vgic::kick::Kicks;
use bulkhead_model::vgic::redistributor;

use crate::board::{BOARD, Board};
use crate::layout::{self, CPU_AREA_SIZE, CPU_STRUCT_OFFSET};
use crate::pages::{self, Pages};
use crate::percpu::PerCpu;
use crate::system::Operation;
use crate::{gic, gicv2, info, pen, system};

/// What CPUs with the MMU off need, and the answer of `ENTER_PREPARE`. Offsets are entry.S's.
#[repr(C)]
struct Boot {
    ttbr0: AtomicU64,
    tcr: AtomicU64,
    mair: AtomicU64,
    sctlr: AtomicU64,
    clean_end: AtomicU64,
    cpu_count: AtomicU64,
    cpu_areas: AtomicU64,
    code: AtomicU64,
    a: AtomicU64,
    b: AtomicU64,
    mpidrs: [AtomicU64; MAX_CPUS],
    found: [AtomicU64; 8],
}

const _: () = assert!(core::mem::offset_of!(Boot, clean_end) == 32);
const _: () = assert!(core::mem::offset_of!(Boot, code) == 56);
const _: () = assert!(core::mem::offset_of!(Boot, mpidrs) == 80);
const _: () = assert!(core::mem::offset_of!(Boot, found) == 336);
const _: () = assert!(size_of::<Boot>() <= 1024);

#[unsafe(no_mangle)]
static BOOT: Boot = Boot {
    ttbr0: AtomicU64::new(0),
    tcr: AtomicU64::new(0),
    mair: AtomicU64::new(0),
    sctlr: AtomicU64::new(0),
    clean_end: AtomicU64::new(0),
    cpu_count: AtomicU64::new(0),
    cpu_areas: AtomicU64::new(0),
    code: AtomicU64::new(0),
    a: AtomicU64::new(0),
    b: AtomicU64::new(0),
    mpidrs: [const { AtomicU64::new(0) }; MAX_CPUS],
    found: [const { AtomicU64::new(0) }; 8],
};

/// What `prepare` found in the mailbox, for the later steps of enable.
static INJECT: AtomicU64 = AtomicU64::new(0);
static INJECT_MPIDR: AtomicU64 = AtomicU64::new(0);
/// EL2's own tables, for `prepare` and for the devices it maps.
static EL2_ROOT: AtomicU64 = AtomicU64::new(0);

impl Boot {
    fn answer(&self, result: Result<(u64, u64), Refused>) {
        let (code, a, b) = match result {
            Ok((a, b)) => (0, a, b),
            Err(refused) => ((-refused.code()) as u64, refused.a, refused.b),
        };
        self.a.store(a, Relaxed);
        self.b.store(b, Relaxed);
        self.code.store(code, Relaxed);
    }
}

const _: () = assert!(code::HV_MEMORY_TOO_SMALL == 50 && MAILBOX_SIZE == 0x4000);
const _: () = assert!(CPU_AREA_SIZE == 0x3000 && CPU_STRUCT_OFFSET == 0x2a00);

/// Builds EL2's first tables. MMU off: no lock, no exclusive access, plain loads and stores only.
#[unsafe(no_mangle)]
extern "C" fn early(hv_base: u64, hv_size: u64) {
    BOOT.answer(first_tables(hv_base, hv_size).map(|()| (0, 0)));
}

/// Less than the 2 MiB of a block, bytes.
const PART: u64 = 1 << 20;

fn first_tables(hv_base: u64, hv_size: u64) -> Result<(), Refused> {
    let mut pages = Pages::First {
        next: layout::image_end(),
        end: layout::cpu_areas(hv_base, hv_size, 1), // this CPU's stack
    };
    let too_small = |refused: Refused| match refused.code() {
        code::HV_PAGES_EXHAUSTED => Refused::new(
            code::HV_MEMORY_TOO_SMALL,
            hv_size,
            hv_size + refused.a * PAGE_SIZE,
        ),
        _ => refused,
    };
    let Some(root) = pages.fresh(0, 0) else {
        return Err(too_small(Refused::new(code::HV_PAGES_EXHAUSTED, 1, 0)));
    };
    let mut tables = Tables::for_stage1(root);
    let parts = [
        (hv_base, layout::rodata_start(), stage1_el2::CODE),
        (
            layout::rodata_start(),
            layout::data_start(),
            stage1_el2::RODATA,
        ),
        (layout::data_start(), hv_base + hv_size, stage1_el2::DATA),
    ];
    for (start, end, attributes) in parts {
        // In parts that fit in no block: the guard pages are taken out of it while EL2 runs on it.
        let mut part = start;
        while part < end {
            let next = (part + PART).min(end) & !(PAGE_SIZE - 1);
            tables
                .map(&mut pages, part, Hpa(part), next - part, attributes)
                .map_err(too_small)?;
            part = next;
        }
    }
    let tables = tables.live(&mut pages);
    EL2_ROOT.store(root.0, Relaxed);
    BOOT.ttbr0.store(root.0, Relaxed);
    BOOT.tcr.store(tcr(&tables), Relaxed);
    BOOT.mair.store(stage1_el2::MAIR, Relaxed);
    BOOT.sctlr.store(sctlr(), Relaxed);
    let used_end = layout::cpu_areas(hv_base, hv_size, 1) - pages.available() as u64 * PAGE_SIZE;
    BOOT.clean_end.store(used_end, Relaxed);
    Ok(())
}

/// TCR_EL2: 4 KiB granule, inner shareable write-back walks, all physical address bits that there are.
fn tcr(tables: &Tables) -> u64 {
    let pa_range = ID_AA64MMFR0_EL1.read(ID_AA64MMFR0_EL1::PARange).min(5);
    let res1 = (1 << 31) | (1 << 23);
    (TCR_EL2::IRGN0.val(1)
        + TCR_EL2::ORGN0.val(1)
        + TCR_EL2::SH0.val(3)
        + TCR_EL2::PS.val(pa_range))
    .value
        | tables.t0sz()
        | res1
}

/// SCTLR_EL2: MMU, caches, write implies execute-never, stack alignment; RES1 bits of Armv8.0.
fn sctlr() -> u64 {
    let res1 = (3 << 28) | (3 << 22) | (1 << 18) | (1 << 16) | (1 << 11) | (3 << 4);
    let wxn = 1 << 19;
    let stack_alignment = 1 << 3;
    (SCTLR_EL2::M::SET + SCTLR_EL2::C::SET + SCTLR_EL2::I::SET).value | res1 | wxn | stack_alignment
}

/// Sets up everything that the CPUs share. MMU on; the other CPUs are still in Linux.
#[unsafe(no_mangle)]
extern "C" fn prepare(hv_base: u64, hv_size: u64) {
    BOOT.answer(prepare_all(hv_base, hv_size));
}

fn prepare_all(hv_base: u64, hv_size: u64) -> Result<(u64, u64), Refused> {
    let mailbox = layout::mailbox(hv_base, hv_size);
    // SAFETY: the mailbox is mapped, aligned, and longer than the arguments; any bytes are a valid value.
    let args = unsafe { (mailbox as *const EnterArgs).read_volatile() };
    INJECT.store(args.inject, Relaxed);
    INJECT_MPIDR.store(args.inject_mpidr, Relaxed);
    inject_failure(inject::PREPARE_EARLY)?;
    if args.magic != IMAGE_MAGIC {
        return Err(Refused::new(code::BAD_MAGIC, args.magic, 0));
    }
    if (args.hv_base, args.hv_size) != (hv_base, hv_size) {
        return Err(Refused::new(code::BAD_ARGUMENT, 0, args.hv_base));
    }
    let room = MAILBOX_SIZE - size_of::<EnterArgs>() as u64;
    if args.blob_size > room {
        return Err(Refused::new(code::BAD_LENGTH, args.blob_size, room));
    }
    let blob = (mailbox as *const u8).wrapping_add(size_of::<EnterArgs>());
    // SAFETY: inside the mailbox; all other CPUs are held in Linux's stop_machine() meanwhile.
    let config = &mut SystemConfig::decode(unsafe {
        core::slice::from_raw_parts(blob, layout::bytes(args.blob_size))
    });
    let config = config.as_mut().map_err(|refused| *refused)?; // it is large, and stays where it is
    let hv = Region::pages(Hpa(hv_base), hv_size)?;
    let pool = match args.pool_size {
        0 => None,
        size => Some(Region::pages(Hpa(args.pool_base), size)?),
    };
    check(config, hv, pool)?;
    let shared = lay_out(config, hv)?;
    map_outside(config, pool)?;
    pen::map(config, args.pen, &el2_tables())?;
    let board = set_board(config, hv, pool, shared, args.pen)?;
    info::set_up(shared.base().0, layout::build_id(), board);
    system::set_up(config, board)?;
    inject_failure(inject::PREPARE_LATE)?;
    Ok((shared.base().0, shared.size()))
}

/// Refuses what the ledger refuses and what the interrupt controller cannot be, before anything of it is touched. The
/// distributor of a GICv3 is one frame of 64 KiB: what a device tree lists behind it is something else. Frames of a GICv2
/// are pages, as all regions are.
fn check(
    config: &mut SystemConfig,
    hv: Region<Hpa>,
    pool: Option<Region<Hpa>>,
) -> Result<(), Refused> {
    if config.gicv2.is_some() {
        if let Some(gicr) = config.gicrs.first() {
            return Err(Refused::new(code::BAD_CONTENT, 0, gicr.base().0));
        }
        return system::set_up_ledger(config, hv, pool, pa_bits());
    }
    let frames = [(config.gicd, gic::FRAME)];
    let frames = frames
        .into_iter()
        .chain(config.gicrs.iter().map(|gicr| (*gicr, 2 * gic::FRAME)));
    for (region, least) in frames {
        if region.size() < least || !region.base().0.is_multiple_of(gic::FRAME) {
            return Err(Refused::new(code::BAD_LENGTH, region.size(), least));
        }
    }
    config.gicd = Region::pages(config.gicd.base(), gic::FRAME)?;
    system::set_up_ledger(config, hv, pool, pa_bits())
}

/// Divides the hypervisor's memory behind the first tables; returns the shared read-only area.
fn lay_out(config: &SystemConfig, hv: Region<Hpa>) -> Result<Region<Hpa>, Refused> {
    let first = BOOT.clean_end.load(Relaxed);
    let cpu_count = config.cpus.len();
    let shared_size = layout::shared_size(cpu_count);
    let behind = shared_size + cpu_count as u64 * CPU_AREA_SIZE + MAILBOX_SIZE;
    let least = first - hv.base().0 + system::LEAST_PAGES * PAGE_SIZE + behind;
    if hv.size() < least {
        return Err(Refused::new(code::HV_MEMORY_TOO_SMALL, hv.size(), least));
    }
    let areas = layout::cpu_areas(hv.base().0, hv.size(), cpu_count);
    let shared = areas - shared_size;
    // SAFETY: behind the first tables and before the shared area; nothing else is there.
    unsafe { pages::give(first, shared - first) };
    let tables = el2_tables();
    let mut area = areas;
    for (cpu, mpidr) in config.cpus.iter().zip(&BOOT.mpidrs) {
        // A stack that overflows shall fault, not hit its neighbour.
        tables.unmap(&mut Pages::El2, area, PAGE_SIZE)?;
        mpidr.store(cpu.mpidr.get(), Relaxed);
        area += CPU_AREA_SIZE;
    }
    BOOT.cpu_areas.store(areas, Relaxed);
    BOOT.cpu_count.store(cpu_count as u64, Relaxed);
    // SAFETY: the shared area is mapped and ours alone until the module is told of it.
    unsafe { (shared as *mut u8).write_bytes(0, layout::bytes(shared_size)) };
    Region::pages(Hpa(shared), shared_size)
}

fn el2_tables() -> Tables {
    Tables::of_stage1(Hpa(EL2_ROOT.load(Relaxed)))
}

/// Maps pages of device registers for EL2, where they are not yet.
///
/// # Errors
/// `HV_PAGES_EXHAUSTED`.
pub fn map_registers(_: &Operation, pages: Region<Hpa>) -> Result<(), Refused> {
    let (base, size) = (pages.base(), pages.size());
    el2_tables().map(
        &mut Pages::El2,
        base.0,
        base,
        size,
        stage1_el2::DEVICE_STRICT,
    )
}

/// Maps the interrupt controller, and the pool: EL2 zeroes and fills the cells' RAM.
fn map_outside(config: &SystemConfig, pool: Option<Region<Hpa>>) -> Result<(), Refused> {
    let tables = el2_tables();
    let frames = config.gicv2.map(|gic| gic.frames());
    let devices = core::iter::once(&config.gicd)
        .chain(&config.gicrs)
        .chain(frames.iter().flatten())
        .map(|region| (*region, stage1_el2::DEVICE));
    let pool = pool.into_iter().map(|region| (region, stage1_el2::DATA));
    for (region, attributes) in devices.chain(pool) {
        tables.map(
            &mut Pages::El2,
            region.base().0,
            region.base(),
            region.size(),
            attributes,
        )?;
    }
    Ok(())
}

fn set_board(
    config: &SystemConfig,
    hv: Region<Hpa>,
    pool: Option<Region<Hpa>>,
    shared: Region<Hpa>,
    pen: u64,
) -> Result<&'static Board, Refused> {
    let gicd = config.gicd.base().0;
    let gicv2 = match config.gicv2 {
        Some(regions) => Some(gicv2::check(gicd, regions)?),
        None => None,
    };
    let kicks = match &gicv2 {
        Some(frames) => Kicks::of_gicv2(frames.typer),
        None => gic::check(gicd)?,
    };
    let areas = BOOT.cpu_areas.load(Relaxed);
    for (index, cpu) in config.cpus.iter().enumerate() {
        let id =
            CpuId::new(index).ok_or(Refused::new(code::TOO_MANY, index as u64, MAX_CPUS as u64))?;
        let (gicr, seen) = if gicv2.is_some() {
            (gicd.wrapping_sub(gic::SGI_BASE), gicv2::NO_REDISTRIBUTOR)
        } else {
            let gicr = redistributor::find(&config.gicrs, cpu.mpidr, gic::redistributor_typer)?;
            (gicr, gicr)
        };
        let address = areas + index as u64 * CPU_AREA_SIZE + CPU_STRUCT_OFFSET;
        // SAFETY: the area is mapped, aligned, large enough, and nobody uses it yet.
        unsafe { (address as *mut PerCpu).write(PerCpu::new(id, cpu, gicr, seen)) };
    }
    let stride = match config.gicrs.first() {
        Some(gicr) => redistributor::stride(gic::redistributor_typer(gicr.base().0)),
        None if gicv2.is_some() => 1,
        None => return Err(Refused::new(code::BAD_CONTENT, 0, 0)),
    };
    let board = Board {
        hv,
        pool,
        shared,
        mailbox: Region::pages(Hpa(layout::mailbox(hv.base().0, hv.size())), MAILBOX_SIZE)
            .unwrap_or(hv),
        gicd: config.gicd,
        gicrs: config.gicrs.clone(),
        gicv2,
        plain_frame: if gicv2.is_some() { 0 } else { gic::FRAME },
        gicr_stride: stride,
        kicks,
        psci: config.psci,
        pen,
        pa_bits: pa_bits(),
        cpu_areas: areas,
        cpu_count: config.cpus.len(),
    };
    // SAFETY: `prepare` runs once, before any CPU joins.
    unsafe { BOARD.set(board) };
    Ok(crate::board::board())
}

/// Physical address bits (DDI 0487, `ID_AA64MMFR0_EL1.PARange`), 48 at most with the 4 KiB granule.
fn pa_bits() -> u8 {
    match ID_AA64MMFR0_EL1.read(ID_AA64MMFR0_EL1::PARange) {
        0 => 32,
        1 => 36,
        2 => 40,
        3 => 42,
        4 => 44,
        _ => 48,
    }
}

/// Fails when a test asked for it at this step, on this CPU.
pub fn inject_failure(step: u64) -> Result<(), Refused> {
    let here = Mpidr::from_bits(MPIDR_EL1.get()).get();
    if INJECT.load(Relaxed) != step {
        return Ok(());
    }
    let is_per_cpu = matches!(step, inject::JOIN_EARLY | inject::JOIN_LATE);
    if is_per_cpu && INJECT_MPIDR.load(Relaxed) != here {
        return Ok(());
    }
    Err(Refused::new(code::INJECTED, step, 0))
}

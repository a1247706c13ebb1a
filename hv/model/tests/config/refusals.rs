//! Each thing that a cell may not have, one by one, and the words it is refused with.

use std::num::NonZero;

use crate::board::{
    GICD, GICR, HV, MIB, PA_BITS, PAGE, POOL, POOL_SIZE, RAM, RAM_SIZE, UART, cell, device, ledger,
    memory, region, small_cell, spi, system,
};
use bulkhead_abi::{MAX_CELLS, code};
use bulkhead_model::addr::{Gpa, Hpa};
use bulkhead_model::blob::{CellConfig, Name, Placement, SystemConfig};
use bulkhead_model::id::{CellId, CpuId, Mpidr};
use bulkhead_model::ledger::Ledger;
use bulkhead_model::refused::Refused;

const AT: fn(u64) -> Placement = |address| Placement::At(Hpa(address));

fn create(ledger: &mut Ledger, config: &CellConfig) -> Result<CellId, Refused> {
    let claim = ledger.prepare_create(config, |_| true)?;
    Ok(ledger.commit_create(&claim))
}

/// Asks for the good cell, spoiled by `spoil`, on a board without cells.
#[track_caller]
fn refused(spoil: impl FnOnce(&mut CellConfig)) -> (i64, u64, u64) {
    let mut config = cell("rtos");
    spoil(&mut config);
    refused_on(&ledger(), &config)
}

/// Asks for the small cell, spoiled, beside the good cell, which is cell 1.
#[track_caller]
fn refused_beside(spoil: impl FnOnce(&mut CellConfig)) -> (i64, u64, u64) {
    let mut ledger = ledger();
    create(&mut ledger, &cell("rtos")).expect("the good cell");
    let mut config = small_cell("plc", 2);
    spoil(&mut config);
    refused_on(&ledger, &config)
}

#[track_caller]
fn refused_on(ledger: &Ledger, config: &CellConfig) -> (i64, u64, u64) {
    let refused = ledger
        .prepare_create(config, |_| true)
        .expect_err("must be refused");
    (refused.code(), refused.a, refused.b)
}

fn put_memory(config: &mut CellConfig, gpa: u64, placement: Placement, size: u64) {
    config.memory.push(memory(gpa, placement, size));
}

fn put_device(config: &mut CellConfig, gpa: u64, hpa: u64, size: u64) {
    config.devices.push(device(gpa, hpa, size));
}

#[test]
fn the_good_cells_are_not_refused() {
    let mut ledger = ledger();
    assert_eq!(
        create(&mut ledger, &cell("rtos")),
        Ok(CellId::new(1).unwrap())
    );
    assert_eq!(
        create(&mut ledger, &small_cell("plc", 2)),
        Ok(CellId::new(2).unwrap())
    );
}

#[test]
fn unaligned_memory() {
    let size = |size| refused(|c| put_memory(c, 0x1000_0000, Placement::Pool, size));
    assert_eq!(size(0x1800), (code::UNALIGNED, 0x1000_0000, 0x1800));
    let gpa = refused(|c| put_memory(c, 0x1000_0010, Placement::Pool, PAGE));
    assert_eq!(gpa, (code::UNALIGNED, 0x1000_0010, PAGE));
    let hpa = refused(|c| put_memory(c, 0x1000_0000, AT(POOL + 8), PAGE));
    assert_eq!(hpa, (code::UNALIGNED, POOL + 8, PAGE));
}

#[test]
fn an_unaligned_device_window() {
    assert_eq!(
        refused(|c| put_device(c, 0xa00_0000, 0xa00_0200, 0x200)), // a part, seen elsewhere
        (code::UNALIGNED, 0xa00_0000, 0xa00_0200)
    );
    assert_eq!(
        refused(|c| put_device(c, 0xa00_0000, 0xa00_0200, PAGE)),
        (code::UNALIGNED, 0xa00_0200, PAGE)
    );
}

#[test]
fn empty_memory_and_no_memory_at_all() {
    assert_eq!(
        refused(|c| put_memory(c, 0x1000_0000, Placement::Pool, 0)),
        (code::EMPTY, 0x1000_0000, 0)
    );
    assert_eq!(refused(|c| c.memory.clear()), (code::NO_RAM, 0, 0));
}

#[test]
fn memory_that_wraps_around() {
    let top = u64::MAX - PAGE + 1;
    assert_eq!(
        refused(|c| put_memory(c, top, Placement::Pool, 2 * PAGE)),
        (code::WRAPS, top, 2 * PAGE)
    );
    assert_eq!(
        refused(|c| put_memory(c, 0x1000_0000, AT(top), 2 * PAGE)),
        (code::WRAPS, top, 2 * PAGE)
    );
    assert_eq!(
        refused(|c| put_device(c, 0x1000_0000, top, 2 * PAGE)),
        (code::WRAPS, top, 2 * PAGE)
    );
}

#[test]
fn what_lies_beyond_the_physical_address_space() {
    let end = 1 << crate::board::PA_BITS;
    let across = (code::WRAPS, end - PAGE, 2 * PAGE);
    assert_eq!(
        refused(|c| put_memory(c, end - PAGE, Placement::Pool, 2 * PAGE)),
        across
    );
    assert_eq!(
        refused(|c| put_memory(c, 0x1000_0000, AT(end - PAGE), 2 * PAGE)),
        across
    );
    assert_eq!(
        refused(|c| put_device(c, 0x1000_0000, end - PAGE, 2 * PAGE)),
        across
    );
    assert_eq!(
        refused(|c| put_device(c, end, 0xa00_0000, PAGE)),
        (code::WRAPS, end, PAGE)
    );
}

#[test]
fn memory_that_overlaps_the_cells_own_in_guest_addresses() {
    let inside = refused(|c| put_memory(c, MIB, Placement::Pool, PAGE));
    assert_eq!(inside, (code::OVERLAPS_ITSELF, 0, MIB));
    let device = refused(|c| put_device(c, 15 * MIB, 0xa00_0000, 2 * MIB));
    assert_eq!(device, (code::OVERLAPS_ITSELF, 0, 15 * MIB));
    let devices = refused(|c| put_device(c, UART, 0xa00_0000, PAGE));
    assert_eq!(devices, (code::OVERLAPS_ITSELF, UART, UART));
}

#[test]
fn memory_that_overlaps_the_cells_own_in_host_addresses() {
    let memory = refused(|c| {
        put_memory(c, 0x1000_0000, AT(POOL), 2 * PAGE);
        put_memory(c, 0x2000_0000, AT(POOL + PAGE), PAGE);
    });
    assert_eq!(memory, (code::OVERLAPS_ITSELF, POOL, POOL + PAGE));
    let devices = refused(|c| put_device(c, 0xa00_0000, UART, PAGE));
    assert_eq!(devices, (code::OVERLAPS_ITSELF, UART, UART));
}

#[test]
fn memory_of_another_cell() {
    let first = 0x7020_0000;
    let (code, a, b) =
        refused_beside(|c| put_memory(c, 0x1000_0000, AT(first + 16 * MIB - PAGE), 2 * PAGE));
    assert_eq!(
        (code, a, b),
        (code::MEMORY_OF_CELL, first + 16 * MIB - PAGE, 1)
    );
    let (code, a, b) = refused_beside(|c| put_memory(c, 0x1000_0000, AT(POOL), 2 * MIB));
    assert_eq!(
        (code, a, b),
        (code::MEMORY_OF_CELL, first, 1),
        "the first address that is not free is named"
    );
}

#[test]
fn memory_of_the_hypervisor() {
    let memory = refused(|c| put_memory(c, 0x1000_0000, AT(HV + MIB - PAGE), 2 * PAGE));
    assert_eq!(memory, (code::MEMORY_OF_HYPERVISOR, HV + MIB - PAGE, 0));
    let device = refused(|c| put_device(c, 0x1000_0000, HV, PAGE));
    assert_eq!(device, (code::MEMORY_OF_HYPERVISOR, HV, 0));
}

#[test]
fn memory_that_linux_uses() {
    let before = refused(|c| put_memory(c, 0x1000_0000, AT(RAM), PAGE));
    assert_eq!(before, (code::MEMORY_OF_LINUX, RAM, 0));
    let end = POOL + POOL_SIZE;
    let across = refused(|c| put_memory(c, 0x1000_0000, AT(end - PAGE), 2 * PAGE));
    assert_eq!(across, (code::MEMORY_OF_LINUX, end, 0));
}

#[test]
fn memory_that_does_not_exist() {
    let end = RAM + RAM_SIZE;
    assert_eq!(
        refused(|c| put_memory(c, 0x1000_0000, AT(end), PAGE)),
        (code::MEMORY_ABSENT, end, 0)
    );
    assert_eq!(
        refused(|c| put_memory(c, 0x1000_0000, AT(0), PAGE)),
        (code::MEMORY_ABSENT, 0, 0)
    );
    assert_eq!(
        refused(|c| put_memory(c, 0x1000_0000, AT(UART), PAGE)),
        (code::MEMORY_ABSENT, UART, 0)
    );
}

#[test]
fn more_memory_than_the_pool_has() {
    let all = refused(|c| put_memory(c, 0x1000_0000, Placement::Pool, 64 * MIB));
    // The cell's first region lies at the first block; what is left is before and behind it.
    assert_eq!(all, (code::POOL_FULL, 64 * MIB, 46 * MIB));
    assert_eq!(
        refused_beside(|c| c.memory[0].size = 47 * MIB),
        (code::POOL_FULL, 47 * MIB, 46 * MIB)
    );
    let huge = 1 << 39;
    assert_eq!(
        refused(|c| put_memory(c, 0x41_0000_0000, Placement::Pool, huge)),
        (code::POOL_FULL, huge, 46 * MIB)
    );
}

#[test]
fn any_memory_where_there_is_no_pool() {
    let ledger = Ledger::new(&system(), region(HV, MIB), None, crate::board::PA_BITS).unwrap();
    assert_eq!(
        refused_on(&ledger, &small_cell("plc", 2)),
        (code::POOL_FULL, PAGE, 0)
    );
    let mut at = small_cell("plc", 2);
    at.memory[0].placement = AT(POOL);
    assert_eq!(refused_on(&ledger, &at), (code::MEMORY_OF_LINUX, POOL, 0));
}

#[test]
fn a_device_window_in_ram() {
    assert_eq!(
        refused(|c| put_device(c, 0x1000_0000, RAM, PAGE)),
        (code::DEVICE_IN_RAM, RAM, 0)
    );
    assert_eq!(
        refused(|c| put_device(c, 0x1000_0000, RAM - PAGE, 2 * PAGE)),
        (code::DEVICE_IN_RAM, RAM, 0)
    );
    assert_eq!(
        refused(|c| put_device(c, 0x1000_0000, POOL, PAGE)),
        (code::DEVICE_IN_RAM, POOL, 0)
    );
}

#[test]
fn a_device_window_in_a_pool_that_the_boards_memory_nodes_leave_out() {
    let pool = 0x1_0000_0000;
    let ledger = Ledger::new(
        &system(),
        region(HV, MIB),
        Some(region(pool, MIB)),
        crate::board::PA_BITS,
    )
    .unwrap();
    let mut config = small_cell("plc", 2);
    put_device(&mut config, 0x1000_0000, pool, PAGE);
    assert_eq!(refused_on(&ledger, &config), (code::DEVICE_IN_RAM, pool, 0));
}

#[test]
fn a_device_window_over_the_interrupt_controller() {
    assert_eq!(
        refused(|c| put_device(c, 0x1000_0000, GICD, PAGE)),
        (code::DEVICE_IS_GIC, GICD, 0)
    );
    assert_eq!(
        refused(|c| put_device(c, 0x1000_0000, GICR - PAGE, 2 * PAGE)),
        (code::DEVICE_IS_GIC, GICR, 0)
    );
    let second = 0x40_0000_0000;
    assert_eq!(
        refused(|c| put_device(c, 0x1000_0000, second, PAGE)),
        (code::DEVICE_IS_GIC, second, 0)
    );
}

#[test]
fn guest_memory_over_the_interrupt_controller_that_the_cell_sees() {
    assert_eq!(
        refused(|c| put_memory(c, GICD, Placement::Pool, PAGE)),
        (code::DEVICE_IS_GIC, GICD, 0)
    );
    assert_eq!(
        refused(|c| c.memory[0].size = GICD + PAGE),
        (code::DEVICE_IS_GIC, GICD, 0)
    );
    assert_eq!(
        refused(|c| put_device(c, GICR, 0xa00_0000, PAGE)),
        (code::DEVICE_IS_GIC, GICR, 0)
    );
}

#[test]
fn guest_memory_over_redistributors_that_the_boards_first_region_has_no_room_for() {
    let mut system = system();
    system.gicrs[0] = region(GICR, 0x2_0000); // of one CPU
    let hv = region(HV, MIB);
    let ledger = Ledger::new(&system, hv, Some(region(POOL, POOL_SIZE)), PA_BITS).unwrap();
    let second = GICR + 0x2_0000;
    let mut config = small_cell("plc", 2);
    config.memory[0].gpa = Gpa(second);
    assert!(ledger.prepare_create(&config, |_| true).is_ok());
    config.cpus.push(Mpidr::from_bits(3));
    let expected = (code::DEVICE_IS_GIC, second, 0);
    assert_eq!(refused_on(&ledger, &config), expected);
    config.memory[0].gpa = Gpa(second + 0x2_0000);
    assert!(ledger.prepare_create(&config, |_| true).is_ok());
}

#[test]
fn a_device_of_another_cell() {
    assert_eq!(
        refused_beside(|c| put_device(c, UART, UART, PAGE)),
        (code::DEVICE_OF_CELL, UART, 1)
    );
    let wide = refused_beside(|c| put_device(c, 0x1000_0000, UART - PAGE, 4 * PAGE));
    assert_eq!(wide, (code::DEVICE_OF_CELL, UART, 1));
}

#[test]
fn a_cpu_that_is_not_there() {
    assert_eq!(
        refused(|c| c.cpus.push(Mpidr::from_bits(0x100))),
        (code::NO_SUCH_CPU, 0x100, 0)
    );
}

#[test]
fn a_cpu_of_another_cell() {
    assert_eq!(
        refused_beside(|c| c.cpus.push(Mpidr::from_bits(3))),
        (code::CPU_OF_CELL, 3, 1)
    );
}

#[test]
fn a_cpu_twice_and_no_cpu_at_all() {
    assert_eq!(
        refused(|c| c.cpus.push(Mpidr::from_bits(3))),
        (code::CPU_TWICE, 3, 0)
    );
    assert_eq!(refused(|c| c.cpus.clear()), (code::NO_CPU, 0, 0));
}

#[test]
fn a_cpu_that_linux_still_uses() {
    let config = cell("rtos");
    let refused = ledger()
        .prepare_create(&config, |cpu| cpu.index() == 2)
        .expect_err("must be refused");
    assert_eq!(refused, Refused::new(code::CPU_OF_LINUX, 3, 0));
}

#[test]
fn the_root_cells_last_cpu() {
    let all = (0..4).map(Mpidr::from_bits).collect();
    assert_eq!(refused(|c| c.cpus = all), (code::LAST_CPU, 3, 0));
    let rest = (0..3).map(Mpidr::from_bits).collect();
    assert_eq!(refused_beside(|c| c.cpus = rest), (code::LAST_CPU, 2, 0));
}

#[test]
fn the_only_cpu_that_linux_runs_on_though_others_are_there() {
    let all_off_but_three = |cpu: CpuId| cpu.index() != 3;
    let refused = ledger()
        .prepare_create(&cell("rtos"), all_off_but_three)
        .expect_err("must be refused");
    assert_eq!(refused, Refused::new(code::LAST_CPU, 3, 0));
}

#[test]
fn an_interrupt_of_another_cell() {
    assert_eq!(
        refused_beside(|c| c.spis.push(spi(40))),
        (code::SPI_OF_CELL, 40, 1)
    );
}

#[test]
fn an_interrupt_twice() {
    assert_eq!(refused(|c| c.spis.push(spi(40))), (code::SPI_TWICE, 40, 0));
}

#[test]
fn a_name_that_is_taken() {
    assert_eq!(
        refused_beside(|c| c.name = Name::new("rtos").unwrap()),
        (code::NAME_TAKEN, 1, 0)
    );
    assert_eq!(
        refused(|c| c.name = Name::new("root").unwrap()),
        (code::NAME_TAKEN, 0, 0)
    );
}

#[test]
fn one_cell_more_than_there_are_slots() {
    let mut system = system();
    system.cpus = (0..16)
        .map(|n| bulkhead_model::blob::CpuConfig {
            mpidr: Mpidr::from_bits(n),
            online: true,
            release: None,
        })
        .collect();
    let mut ledger = Ledger::new(
        &system,
        region(HV, MIB),
        Some(region(POOL, POOL_SIZE)),
        crate::board::PA_BITS,
    )
    .unwrap();
    for n in 1..MAX_CELLS as u64 {
        create(&mut ledger, &small_cell(&format!("cell{n}"), n)).expect("there is a slot");
    }
    assert_eq!(
        refused_on(&ledger, &small_cell("more", 12)),
        (code::NO_CELL_SLOT, MAX_CELLS as u64, 0)
    );
}

#[track_caller]
fn board_refused(
    spoil: impl FnOnce(&mut SystemConfig),
    hv: (u64, u64),
    pool: (u64, u64),
) -> (i64, u64, u64) {
    let mut system = system();
    spoil(&mut system);
    let pool = Some(region(pool.0, pool.1));
    let mut ledger = Ledger::empty();
    let refused = ledger
        .set_up(&system, region(hv.0, hv.1), pool, crate::board::PA_BITS)
        .expect_err("must be refused");
    assert_eq!(ledger.holdings().count(), 0, "a refusal changes nothing");
    (refused.code(), refused.a, refused.b)
}

const GOOD_HV: (u64, u64) = (HV, MIB);
const GOOD_POOL: (u64, u64) = (POOL, POOL_SIZE);

#[test]
fn a_board_whose_hypervisor_or_pool_is_misplaced() {
    let end = 1 << crate::board::PA_BITS;
    assert_eq!(
        board_refused(|_| (), (HV + PAGE, MIB), GOOD_POOL),
        (code::UNALIGNED, HV + PAGE, MIB)
    );
    assert_eq!(
        board_refused(|_| (), (HV, 0x800), GOOD_POOL),
        (code::UNALIGNED, HV, 0x800)
    );
    assert_eq!(
        board_refused(|_| (), GOOD_HV, (POOL + 1, MIB)),
        (code::UNALIGNED, POOL + 1, MIB)
    );
    assert_eq!(
        board_refused(|_| (), (end, MIB), GOOD_POOL),
        (code::WRAPS, end, MIB)
    );
    assert_eq!(
        board_refused(|_| (), GOOD_HV, (end - PAGE, MIB)),
        (code::WRAPS, end - PAGE, MIB)
    );
    assert_eq!(
        board_refused(|_| (), GOOD_HV, (HV + PAGE, MIB)),
        (code::MEMORY_OF_HYPERVISOR, HV + PAGE, 0)
    );
    assert_eq!(
        board_refused(|_| (), (GICD, MIB), GOOD_POOL),
        (code::DEVICE_IN_RAM, GICD, 0)
    );
    assert_eq!(
        board_refused(|_| (), GOOD_HV, (GICR, MIB)),
        (code::DEVICE_IN_RAM, GICR, 0)
    );
}

#[test]
fn a_board_that_contradicts_itself() {
    let ram_over_gic = board_refused(|s| s.ram.push(region(0, 256 * MIB)), GOOD_HV, GOOD_POOL);
    assert_eq!(ram_over_gic, (code::DEVICE_IN_RAM, GICD, 0));
    let gic_twice = board_refused(|s| s.gicrs.push(region(GICD, PAGE)), GOOD_HV, GOOD_POOL);
    assert_eq!(gic_twice, (code::OVERLAPS_ITSELF, GICD, GICD));
    assert_eq!(
        board_refused(|s| s.cpus.clear(), GOOD_HV, GOOD_POOL),
        (code::NO_CPU, 0, 0)
    );
    assert_eq!(
        board_refused(|s| s.cpus[2] = s.cpus[1], GOOD_HV, GOOD_POOL),
        (code::CPU_TWICE, 1, 0)
    );
}

#[test]
fn a_spin_table_that_is_not_ram_of_linux() {
    for word in [GICD + 8, HV + 8, POOL + MIB - 8, (1 << 40) + 8] {
        let refused = board_refused(
            |s| s.cpus[3].release = NonZero::new(word),
            GOOD_HV,
            GOOD_POOL,
        );
        assert_eq!(refused, (code::RELEASE_OUTSIDE, 3, word));
    }
}

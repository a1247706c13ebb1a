//! What the ledger answers, and that a claim becomes a cell and goes again without a trace.

use bulkhead_abi::{MAX_CPUS, code, console};
use bulkhead_model::addr::{Gpa, Hpa, Region};
use bulkhead_model::blob::{CellConfig, Placement};
use bulkhead_model::id::{CellId, CpuId, Mpidr, SpiSet};
use bulkhead_model::ledger::{Claim, Ledger, Owner};

use crate::board::{
    GICD, GICR, HV, MIB, PA_BITS, PAGE, POOL, POOL_SIZE, RAM, UART, cell, device, ledger, memory,
    region, small_cell, spi, system,
};

fn id(index: usize) -> CellId {
    CellId::new(index).expect("a cell id")
}

fn cpu(index: usize) -> CpuId {
    CpuId::new(index).expect("a CPU id")
}

fn with_cell() -> Ledger {
    let mut ledger = ledger();
    let claim = ledger
        .prepare_create(&cell("rtos"), |_| true)
        .expect("the good cell");
    assert_eq!(ledger.commit_create(&claim), id(1));
    ledger
}

/// Everything that can be asked of a ledger.
fn all_of(ledger: &Ledger) -> impl PartialEq + std::fmt::Debug + use<> {
    let holdings: Vec<_> = ledger
        .holdings()
        .map(|(id, holding)| (id, holding.clone()))
        .collect();
    let cpus: Vec<_> = (0..MAX_CPUS)
        .map(cpu)
        .map(|cpu| {
            (
                ledger.cpu_owner(cpu),
                ledger.virtual_number(cpu),
                ledger.mpidr(cpu),
            )
        })
        .collect();
    (
        holdings,
        cpus,
        ledger.not_roots().collect::<Vec<_>>(),
        ledger.pool_free(),
        ledger.pool_largest(),
    )
}

#[test]
fn a_cell_has_what_it_asked_for() {
    let ledger = with_cell();
    let holding = ledger.cell(id(1)).expect("it exists");
    assert_eq!(holding.name.as_str(), "rtos");
    assert_eq!(
        holding.memory[0].gpa,
        Region::pages(Gpa(0), 16 * MIB).unwrap()
    );
    assert_eq!(holding.devices[0].hpa, region(UART, PAGE));
    assert_eq!(ledger.cpus_of(id(1)).collect::<Vec<_>>(), [cpu(3)]);
    assert!(ledger.spis_of(id(1)).contains(spi(40)));
    assert_eq!(ledger.spi_owner(spi(40)), id(1));
}

#[test]
fn root_has_everything_else() {
    let ledger = with_cell();
    assert_eq!(
        ledger.cpus_of(CellId::ROOT).collect::<Vec<_>>(),
        [cpu(0), cpu(1), cpu(2)]
    );
    let mut spis = SpiSet::ALL;
    spis.remove(spi(40));
    assert_eq!(*ledger.spis_of(CellId::ROOT), spis);
    assert_eq!(spis.iter().count(), 1020 - 32 - 1);
    assert_eq!(
        (spis.word(0), spis.word(31)),
        (0, 0x0fff_ffff),
        "neither private nor special interrupts"
    );
    assert_eq!(ledger.spi_owner(spi(41)), CellId::ROOT);
    assert_eq!(
        ledger.cell(CellId::ROOT).map(|root| root.name.to_string()),
        Some("root".into())
    );
}

#[test]
fn every_address_has_the_owner_it_should_have() {
    let ledger = with_cell();
    let first = 0x7020_0000;
    let root = Owner::Cell(CellId::ROOT);
    for (address, owner) in [
        (0, root),
        (GICD, Owner::Gic),
        (GICR + 0x7_ffff, Owner::Gic),
        (GICR + 0x8_0000, root),
        (UART, Owner::Cell(id(1))),
        (UART + PAGE, root),
        (RAM, root),
        (HV, Owner::Hypervisor),
        (POOL, Owner::Pool),
        (first, Owner::Cell(id(1))),
        (first + 16 * MIB, Owner::Pool),
        (POOL + POOL_SIZE, root),
        ((1 << PA_BITS) - 1, root),
        (1 << PA_BITS, Owner::Absent),
        (u64::MAX, Owner::Absent),
    ] {
        assert_eq!(ledger.owner(Hpa(address)), owner, "{address:#x}");
    }
}

#[test]
fn roots_stage_2_leaves_out_all_that_is_not_roots() {
    let mut found: Vec<_> = with_cell()
        .not_roots()
        .map(|region| (region.base().0, region.size()))
        .collect();
    found.sort_unstable();
    let wanted = [
        (GICD, 0x1_0000),
        (GICR, 0x8_0000),
        (UART, PAGE),
        (HV, MIB),
        (POOL, POOL_SIZE),
        (0x40_0000_0000, 0x2_0000),
    ];
    assert_eq!(found, wanted);
}

#[test]
fn a_cells_own_cpu_numbers_follow_its_list() {
    let mut config = cell("rtos");
    config.cpus = [3, 1].into_iter().map(Mpidr::from_bits).collect();
    let mut ledger = ledger();
    let claim = ledger.prepare_create(&config, |_| true).unwrap();
    let rtos = ledger.commit_create(&claim);
    assert_eq!(ledger.cpus_of(rtos).collect::<Vec<_>>(), [cpu(3), cpu(1)]);
    assert_eq!(
        [0, 1, 2].map(|n| ledger.virtual_cpu(rtos, n)),
        [Some(cpu(3)), Some(cpu(1)), None]
    );
    assert_eq!(
        [0, 1, 2, 3].map(|n| ledger.virtual_number(cpu(n))),
        [0, 1, 2, 0]
    );
}

#[test]
fn roots_cpu_numbers_stay_when_others_leave() {
    let mut config = small_cell("plc", 1);
    let mut ledger = ledger();
    config.cpus = [1, 0].into_iter().map(Mpidr::from_bits).collect();
    let claim = ledger.prepare_create(&config, |_| true).unwrap();
    let plc = ledger.commit_create(&claim);
    let root = |ledger: &Ledger| [0, 1, 2, 3, 4].map(|n| ledger.virtual_cpu(CellId::ROOT, n));
    assert_eq!(
        root(&ledger),
        [None, None, Some(cpu(2)), Some(cpu(3)), None]
    );
    assert_eq!(ledger.virtual_number(cpu(3)), 3);
    ledger.release(plc);
    assert_eq!(
        root(&ledger),
        [Some(cpu(0)), Some(cpu(1)), Some(cpu(2)), Some(cpu(3)), None]
    );
    assert_eq!(ledger.virtual_number(cpu(1)), 1);
}

#[test]
fn cpus_are_found_by_their_affinity() {
    let mut system = system();
    for (cpu, mpidr) in system
        .cpus
        .iter_mut()
        .zip([0x0, 0x100, 0x10_0000_0001, 0x10_0000_0000])
    {
        cpu.mpidr = Mpidr::from_bits(mpidr);
    }
    let ledger = Ledger::new(&system, region(HV, MIB), None, PA_BITS).unwrap();
    assert_eq!(
        ledger.cpu_by_mpidr(Mpidr::from_bits(0x10_0000_0001)),
        Some(cpu(2))
    );
    assert_eq!(ledger.cpu_by_mpidr(Mpidr::from_bits(1)), None);
    assert_eq!(ledger.mpidr(cpu(1)), Mpidr::from_bits(0x100));
    assert_eq!(ledger.cpu_count(), 4);
}

#[test]
fn what_is_released_leaves_no_trace() {
    let fresh = ledger();
    let mut ledger = with_cell();
    ledger.release(id(1));
    assert_eq!(all_of(&ledger), all_of(&fresh));
    ledger.release(id(1));
    ledger.release(id(7));
    assert_eq!(
        all_of(&ledger),
        all_of(&fresh),
        "releasing what is not there does nothing"
    );
    let claim = ledger
        .prepare_create(&cell("rtos"), |_| true)
        .expect("it may come again");
    ledger.commit_create(&claim);
    assert_eq!(all_of(&ledger), all_of(&with_cell()));
}

#[test]
fn preparing_changes_nothing_and_the_claim_says_what_will_be() {
    let ledger = ledger();
    let claim: Claim = ledger.prepare_create(&cell("rtos"), |_| true).unwrap();
    assert_eq!(all_of(&ledger), all_of(&crate::board::ledger()));
    assert_eq!(claim.id(), id(1));
    assert_eq!(Some(claim.holding()), with_cell().cell(id(1)));
}

#[test]
#[should_panic(expected = "a claim outlived a change of the ledger")]
fn a_claim_does_not_outlive_a_change() {
    let mut ledger = ledger();
    let [first, second] =
        ["a", "b"].map(|name| ledger.prepare_create(&cell(name), |_| true).unwrap());
    ledger.commit_create(&first);
    ledger.commit_create(&second);
}

#[test]
#[should_panic(expected = "the root cell stays")]
fn the_root_cell_cannot_be_released() {
    ledger().release(CellId::ROOT);
}

fn placed(ledger: &Ledger, regions: &[(u64, Placement, u64)]) -> Vec<u64> {
    let mut config = small_cell("plc", 2);
    config.memory = regions
        .iter()
        .map(|(gpa, placement, size)| memory(*gpa, *placement, *size))
        .collect();
    let claim = ledger
        .prepare_create(&config, |_| true)
        .expect("there is room");
    claim
        .holding()
        .memory
        .iter()
        .map(|window| window.hpa.base().0)
        .collect()
}

#[test]
fn memory_is_placed_first_fit_where_blocks_can_map_it() {
    let ledger = ledger();
    let pool = Placement::Pool;
    assert_eq!(
        placed(&ledger, &[(0, pool, MIB)]),
        [POOL],
        "smaller than a block: any page"
    );
    assert_eq!(placed(&ledger, &[(0, pool, 2 * MIB)]), [POOL + MIB]);
    let offset = 0x4010_0000;
    assert_eq!(
        placed(&ledger, &[(offset, pool, 4 * MIB)]),
        [POOL],
        "aligned as the cell sees it"
    );
    let small_in_the_gap = placed(&ledger, &[(0, pool, 4 * MIB), (0x1000_0000, pool, MIB)]);
    assert_eq!(small_in_the_gap, [POOL + MIB, POOL]);
}

#[test]
fn memory_for_which_no_block_has_room_is_placed_at_any_page() {
    assert_eq!(
        placed(&ledger(), &[(0, Placement::Pool, POOL_SIZE)]),
        [POOL]
    );
}

#[test]
fn fixed_places_are_taken_before_others_are_found() {
    let at = Placement::At(Hpa(POOL + PAGE));
    let regions = [
        (0, Placement::Pool, 2 * PAGE),
        (0x1000_0000, at, PAGE),
        (0x2000_0000, Placement::Pool, PAGE),
    ];
    assert_eq!(
        placed(&ledger(), &regions),
        [POOL + 2 * PAGE, POOL + PAGE, POOL]
    );
}

#[test]
fn free_memory_is_counted() {
    let ledger = with_cell();
    assert_eq!(ledger.pool_free(), POOL_SIZE - 16 * MIB);
    assert_eq!(ledger.pool_largest(), 46 * MIB);
    let none = Ledger::new(&system(), region(HV, MIB), None, PA_BITS).unwrap();
    assert_eq!((none.pool_free(), none.pool_largest()), (0, 0));
}

#[test]
fn a_board_may_be_addressed_by_all_64_bits() {
    let ledger = Ledger::new(&system(), region(HV, MIB), None, 64).unwrap();
    assert_eq!(ledger.owner(Hpa(u64::MAX)), Owner::Cell(CellId::ROOT));
}

#[test]
fn the_last_page_of_the_address_space_may_be_given() {
    let last = (1 << PA_BITS) - PAGE;
    let mut config = small_cell("plc", 2);
    config.devices.push(device(last, last, PAGE));
    assert!(ledger().prepare_create(&config, |_| true).is_ok());
}

#[test]
fn hypervisor_and_pool_may_lie_outside_the_boards_memory_nodes() {
    let pool = Some(region(0x1_0010_0000, MIB));
    let ledger = Ledger::new(&system(), region(0x1_0000_0000, MIB), pool, PA_BITS).unwrap();
    assert_eq!(
        placed(&ledger, &[(0, Placement::At(Hpa(0x1_0010_0000)), MIB)]),
        [0x1_0010_0000]
    );
}

#[test]
fn the_ledger_is_small() {
    assert!(size_of::<Ledger>() < 16 * 1024, "{}", size_of::<Ledger>());
    assert!(size_of::<Claim>() < 2048, "{}", size_of::<Claim>());
    println!(
        "Ledger {} Claim {}",
        size_of::<Ledger>(),
        size_of::<Claim>()
    );
}

#[test]
fn a_console_lies_where_the_cell_sees_nothing_else() {
    let wants = |gpa: u64| {
        let config = CellConfig {
            console: Some(Gpa(gpa)),
            ..cell("rtos")
        };
        let claim = ledger().prepare_create(&config, |_| true);
        claim.map(|claim| claim.holding().console.to_vec())
    };
    let free = Region::pages(Gpa(16 * MIB), console::SIZE).unwrap();
    assert_eq!(wants(16 * MIB), Ok(vec![free]));
    for (gpa, code) in [
        (16 * MIB - PAGE, code::OVERLAPS_ITSELF),
        (UART - PAGE, code::OVERLAPS_ITSELF),
        (GICD - PAGE, code::DEVICE_IS_GIC),
        ((1 << PA_BITS) - PAGE, code::WRAPS),
        (16 * MIB + 8, code::UNALIGNED),
        (u64::MAX - PAGE + 1, code::WRAPS),
    ] {
        assert_eq!(
            wants(gpa).map_err(|refused| refused.code()),
            Err(code),
            "{gpa:#x}"
        );
    }
    let mut ledger = ledger();
    let none = ledger.prepare_create(&cell("rtos"), |_| true).unwrap();
    assert!(none.holding().console.is_empty());
    let config = CellConfig {
        console: Some(Gpa(16 * MIB)),
        ..cell("rtos")
    };
    let claim = ledger.prepare_create(&config, |_| true).unwrap();
    ledger.commit_create(&claim);
    assert_eq!(ledger.cell(id(1)), Some(claim.holding()));
}

//! SGIs go to the sender's cell and to nobody else.

use bulkhead_abi::MAX_CPUS;
use bulkhead_model::id::{CpuId, Mpidr};
use bulkhead_model::vgic::sgi::{SgiMap, sgi_value};
use proptest::prelude::{Strategy, any, prop, proptest};

const IRM: u64 = 1 << 40;

fn cpu(number: usize) -> CpuId {
    CpuId::new(number).unwrap()
}

fn map(affinities: &[u64]) -> SgiMap {
    SgiMap::new(
        affinities
            .iter()
            .enumerate()
            .map(|(n, bits)| (cpu(n), Mpidr::from_bits(*bits))),
    )
}

#[test]
fn a_target_list_names_cpus_of_one_cluster() {
    // Two clusters, as on big.LITTLE.
    let map = map(&[0x000, 0x001, 0x100, 0x101]);
    let plan = map.plan(0x0700_0003, cpu(0), 0b1111);
    assert_eq!((plan.intid, plan.targets), (7, 0b0011));
    assert_eq!(map.plan(0x0201_0002, cpu(0), 0b1111).targets, 0b1000);
    assert_eq!(
        map.plan(0x0201_0003, cpu(0), 0b0111).targets,
        0b0100,
        "CPU 3 is not the cell's"
    );
    assert_eq!(map.plan(0x0202_0003, cpu(0), 0b1111).targets, 0);
}

#[test]
fn all_but_self_is_all_of_the_cell_but_self() {
    let map = map(&[0, 1, 2, 3]);
    let plan = map.plan(IRM | 0x0f00_ffff, cpu(1), 0b0111);
    assert_eq!((plan.intid, plan.targets), (15, 0b0101));
    assert_eq!(plan.cpus().collect::<Vec<_>>(), [cpu(0), cpu(2)]);
}

#[test]
fn a_cell_names_its_cpus_by_number() {
    // A cell with the physical CPUs 3 and 1, in this order.
    let map = SgiMap::new([(cpu(3), Mpidr::from_bits(0)), (cpu(1), Mpidr::from_bits(1))]);
    assert_eq!(map.plan(0b01, cpu(3), 0b1010).targets, 0b1000);
    assert_eq!(map.plan(0b10, cpu(3), 0b1010).targets, 0b0010);
    assert_eq!(map.plan(0b1111_1111_1111_1100, cpu(3), 0b1010).targets, 0);
}

#[test]
fn the_range_selector_reaches_affinities_above_15() {
    let affinities: Vec<u64> = (0..32).collect();
    let map = map(&affinities);
    let all = u32::MAX;
    assert_eq!(map.plan(1 << 44 | 0x8001, cpu(0), all).targets, 0x8001_0000);
    assert_eq!(sgi_value(3, Mpidr::from_bits(0x11)), 1 << 44 | 3 << 24 | 2);
    assert_eq!(
        sgi_value(15, Mpidr::from_bits(0xab_0012_3405)),
        0x00ab_0012_0f34_0020
    );
}

#[test]
fn a_cpu_listed_twice_counts_once() {
    let twice = SgiMap::new((0..64).map(|n| (cpu(n % MAX_CPUS), Mpidr::from_bits(n as u64))));
    assert_eq!(twice.plan(0xffff, cpu(0), u32::MAX).targets, 0xffff);
    assert_eq!(twice.plan(2 << 44 | 0xffff, cpu(0), u32::MAX).targets, 0);
}

/// Affinities in few clusters, so that they share some.
fn affinity() -> impl Strategy<Value = u64> {
    any::<u64>().prop_map(|bits| bits & 0x01_0001_011f)
}

proptest! {
    #[test]
    fn what_is_sent_to_one_cpu_reaches_it_alone(
        affinities in prop::collection::btree_set(affinity(), 1..MAX_CPUS),
        members in any::<u32>(),
        intid in 0_u8..16,
    ) {
        let affinities: Vec<u64> = affinities.into_iter().collect();
        let map = map(&affinities);
        for (number, affinity) in affinities.iter().enumerate() {
            let plan = map.plan(sgi_value(intid, Mpidr::from_bits(*affinity)), cpu(0), members);
            assert_eq!((plan.intid, plan.targets), (intid, members & 1 << number));
        }
    }

    #[test]
    fn no_value_reaches_a_cpu_that_is_not_the_cells(value in any::<u64>(), members in any::<u32>()) {
        let affinities: Vec<u64> = (0..32).map(|n| (n & 3) << 8 | n >> 2).collect();
        let plan = map(&affinities).plan(value, cpu(5), members);
        assert_eq!(plan.targets & !members, 0);
        assert!(plan.intid < 16);
    }
}

proptest! {
    /// What is written to the physical register reaches whom the plan names, where a short form exists.
    #[test]
    fn the_short_form_reaches_the_same_cpus(value: u64, low: u64, members in 0_u32..16) {
        let map = map(&[0x100, 0x101, 0x102, 0x103]);
        for value in [value, 0x0001_0000 | low & 0x0f00_ffff] {
            if let Some(physical) = map.physical(value, members) {
                let plan = map.plan(value, cpu(0), members);
                proptest::prop_assert_eq!(map.plan(physical, cpu(0), u32::MAX), plan);
                proptest::prop_assert_eq!(physical & !0x00ff_f0ff_0fff_ffff, 0);
            }
        }
    }
}

#[test]
fn an_ordinary_root_sgi_has_a_short_form() {
    let map = map(&[0, 1, 2, 3]);
    assert_eq!(map.physical(0x0700_000e, 0b0111), Some(0x0700_0006));
    assert_eq!(map.physical(IRM, 0b0111), None);
    assert_eq!(map.physical(0x0001_0001, 0b0111), None, "no such cluster");
}

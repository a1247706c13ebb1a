//! Redistributors, register by register, and every access there is.

use bulkhead_abi::code;
use bulkhead_model::addr::{Hpa, Region};
use bulkhead_model::id::Mpidr;
use bulkhead_model::vgic::Action;
use bulkhead_model::vgic::redistributor::{RedistView, find, gicr_access, gicr_plain};

const VIEW: RedistView = RedistView {
    is_own: true,
    is_root: false,
    virtual_affinity: 2,
    number: 2,
    is_last: false,
};
const CELL: RedistView = VIEW;
const ROOT: RedistView = RedistView {
    is_root: true,
    ..VIEW
};
/// One whose CPU is a cell's, as root sees it.
const FOREIGN: RedistView = RedistView {
    is_own: false,
    ..ROOT
};
const SGI: u64 = 0x1_0000;

fn read(offset: u64) -> Action {
    Action::Read {
        offset,
        size: 4,
        mask: 0xffff_ffff,
    }
}

fn store(offset: u64, value: u64) -> Action {
    Action::Store {
        offset,
        size: 4,
        value,
    }
}

#[test]
fn typer_says_what_the_cell_has() {
    let last = RedistView {
        virtual_affinity: 0x0102_0304,
        number: 3,
        is_last: true,
        ..CELL
    };
    assert_eq!(
        gicr_access(0x8, 8, None, &CELL),
        Action::Value(0x0000_0002_0000_0200)
    );
    assert_eq!(
        gicr_access(0x8, 8, None, &last),
        Action::Value(0x0102_0304_0000_0310)
    );
    assert_eq!(gicr_access(0x8, 4, None, &last), Action::Value(0x310));
    assert_eq!(gicr_access(0xc, 4, None, &last), Action::Value(0x0102_0304));
    for view in [ROOT, FOREIGN] {
        let physical = Action::Read {
            offset: 0x8,
            size: 8,
            mask: u64::MAX,
        };
        assert_eq!(gicr_access(0x8, 8, None, &view), physical);
        assert_eq!(gicr_access(0xc, 4, None, &view), read(0xc));
    }
    assert_eq!(gicr_access(0x8, 8, Some(1), &ROOT), Action::Ignore);
}

#[test]
fn a_cell_has_no_lpis_and_is_awake() {
    let busy = Action::Read {
        offset: 0,
        size: 4,
        mask: 0x8000_0008,
    };
    assert_eq!(gicr_access(0x0, 4, None, &CELL), busy);
    assert_eq!(gicr_access(0x0, 4, Some(1), &CELL), Action::Ignore);
    for (offset, size) in [
        (0x14, 4),
        (0x40, 8),
        (0x48, 8),
        (0x70, 8),
        (0x78, 8),
        (0x74, 4),
        (0xa0, 8),
        (0xb0, 8),
        (0xc0, 4),
    ] {
        for view in [CELL, FOREIGN] {
            assert_eq!(
                gicr_access(offset, size, None, &view),
                Action::Value(0),
                "{offset:#x}"
            );
            assert_eq!(
                gicr_access(offset, size, Some(u64::MAX), &view),
                Action::Ignore,
                "{offset:#x}"
            );
        }
        let own = gicr_access(offset, size, Some(1), &ROOT);
        assert_eq!(
            own,
            Action::Store {
                offset,
                size,
                value: 1
            }
        );
    }
    assert_eq!(gicr_access(0x0, 4, Some(1), &ROOT), store(0, 1));
}

#[test]
fn private_interrupts_are_the_cpus_cells() {
    for view in [ROOT, CELL] {
        let access = |offset, size, write| gicr_access(SGI + offset, size, write, &view);
        assert_eq!(access(0x80, 4, None), read(SGI + 0x80));
        assert_eq!(access(0x80, 4, Some(0)), Action::Ignore, "all in group 1");
        for offset in [0x100, 0x180, 0x200, 0x280, 0x300, 0x380] {
            assert_eq!(access(offset, 4, None), read(SGI + offset));
            assert_eq!(
                access(offset, 4, Some(0x0800_0001)),
                store(SGI + offset, 0x0800_0001)
            );
        }
        assert_eq!(
            access(0x400, 4, Some(0x0005_80ff)),
            store(SGI + 0x400, 0x1010_80ff)
        );
        let byte = Action::Store {
            offset: SGI + 0x41b,
            size: 1,
            value: 0x10,
        };
        assert_eq!(access(0x41b, 1, Some(0)), byte);
        assert_eq!(access(0xc04, 4, Some(2)), store(SGI + 0xc04, 2));
        assert_eq!(access(0xd00, 4, Some(2)), Action::Ignore);
        assert_eq!(access(0xe00, 4, None), Action::Value(0));
        assert_eq!(access(0x100, 1, None), Action::IgnoreLogged);
        assert_eq!(access(0x102, 4, None), Action::IgnoreLogged);
    }
    assert_eq!(
        gicr_access(SGI + 0x104, 4, Some(1), &ROOT),
        store(SGI + 0x104, 1),
        "extended PPIs"
    );
    assert_eq!(
        gicr_access(SGI + 0x104, 4, Some(1), &CELL),
        Action::IgnoreLogged
    );
    assert_eq!(
        gicr_access(SGI + 0x420, 4, None, &CELL),
        Action::IgnoreLogged
    );
    assert_eq!(
        gicr_access(SGI + 0xc08, 4, None, &CELL),
        Action::IgnoreLogged
    );
}

#[test]
fn vlpi_frames_are_roots() {
    assert_eq!(
        gicr_access(0x2_0070, 8, Some(3), &ROOT),
        Action::Store {
            offset: 0x2_0070,
            size: 8,
            value: 3
        }
    );
    for view in [CELL, FOREIGN] {
        assert_eq!(gicr_access(0x2_0070, 8, Some(3), &view), Action::Ignore);
        assert_eq!(gicr_access(0x3_0000, 4, None, &view), Action::Value(0));
    }
    assert_eq!(gicr_access(0x4_0000, 4, None, &ROOT), Action::IgnoreLogged);
}

#[test]
fn a_foreign_redistributor_only_says_what_it_is() {
    for_all(
        |offset, size, write| match gicr_access(offset, size, write, &FOREIGN) {
            Action::Value(0) | Action::Ignore | Action::IgnoreLogged => {}
            Action::Read {
                offset: 0x4 | 0x8 | 0xc | 0xffd0..0x1_0000,
                ..
            } => {}
            other => panic!("{offset:#x}: {other:?}"),
        },
    );
}

#[test]
fn a_cell_touches_nothing_but_its_private_interrupts() {
    for_all(
        |offset, size, write| match gicr_access(offset, size, write, &CELL) {
            Action::Value(_) | Action::Ignore | Action::IgnoreLogged => {}
            Action::Read { offset: at, .. } => {
                let frame = matches!(at, 0x0 | 0x4 | 0xffd0..0x1_0000);
                assert!(
                    at == offset
                        && write.is_none()
                        && (frame || at == SGI + 0x80 || is_private(at)),
                    "{at:#x}"
                );
            }
            Action::Store {
                offset: at,
                size: width,
                value,
            } => {
                assert!(at == offset && width == size && is_private(at), "{at:#x}");
                if (0x400..0x420).contains(&(at - SGI)) {
                    let bytes = value.to_le_bytes();
                    assert!(
                        bytes[..usize::from(size)]
                            .iter()
                            .all(|priority| *priority >= 0x10)
                    );
                }
            }
            other => panic!("{offset:#x}: {other:?}"),
        },
    );
}

/// ISENABLER0 to ICACTIVER0, IPRIORITYR0 to 7, ICFGR0 and 1.
fn is_private(offset: u64) -> bool {
    matches!(
        offset - SGI,
        0x100 | 0x180 | 0x200 | 0x280 | 0x300 | 0x380 | 0x400..0x420 | 0xc00 | 0xc04
    )
}

fn for_all(check: impl Fn(u64, u8, Option<u64>)) {
    for offset in (0..0x4_0010).chain([u64::MAX, u64::MAX - 7, 1 << 32]) {
        for size in [0, 1, 2, 3, 4, 8, 16, 255] {
            for write in [None, Some(0), Some(u64::MAX), Some(0x0102_0304_0506_0728)] {
                check(offset, size, write);
            }
        }
    }
}

#[test]
fn the_short_form_says_what_the_full_one_says() {
    let plain = || (0..0x4_0000).filter(|offset| gicr_plain(*offset));
    assert_eq!(plain().count(), 6, "set and clear: enable, pending, active");
    for (offset, view) in plain().flat_map(|offset| [(offset, CELL), (offset, ROOT)]) {
        assert_eq!(gicr_access(offset, 4, None, &view), read(offset));
        assert_eq!(gicr_access(offset, 4, Some(0), &view), Action::Ignore);
        for value in [1, 0x8000_0000, 0xffff_ffff] {
            assert_eq!(
                gicr_access(offset, 4, Some(value), &view),
                store(offset, value)
            );
        }
    }
}

const VLPIS: u64 = 1 << 1;
const LAST: u64 = 1 << 4;

/// Two clusters of two CPUs, each in a region of its own, the second one with frames for virtual LPIs. What lies behind a
/// region, and behind the last redistributor of one, is not to be read.
fn two_clusters(gicr: u64) -> u64 {
    match gicr {
        0x10_0000 => 0x0000_0000 << 32,
        0x12_0000 => 0x0000_0001 << 32 | LAST,
        0x80_0000 => 0x0000_0100 << 32 | VLPIS,
        0x84_0000 => 0x0100_0101 << 32 | VLPIS | LAST,
        other => panic!("read at {other:#x}"),
    }
}

fn found(regions: &[(u64, u64)], mpidr: u64) -> Result<u64, i64> {
    let regions: Vec<_> = regions
        .iter()
        .map(|&(base, size)| Region::new(Hpa(base), size).unwrap())
        .collect();
    find(&regions, Mpidr::from_bits(mpidr), two_clusters).map_err(|refused| refused.code())
}

#[test]
fn each_cpus_redistributor_in_regions_of_clusters() {
    let regions = [(0x10_0000, 0x8_0000), (0x80_0000, 0x10_0000)];
    assert_eq!(found(&regions, 0), Ok(0x10_0000));
    assert_eq!(found(&regions, 1), Ok(0x12_0000));
    assert_eq!(found(&regions, 0x100), Ok(0x80_0000));
    assert_eq!(found(&regions, 0x01_0000_0101), Ok(0x84_0000)); // Aff3 is apart in MPIDR_EL1
    assert_eq!(found(&regions, 0x101), Err(code::UNSUPPORTED_GIC));
    assert_eq!(found(&[], 0), Err(code::UNSUPPORTED_GIC));
}

#[test]
fn a_redistributor_that_its_region_has_no_room_for() {
    assert_eq!(
        found(&[(0x10_0000, 0x2_0000)], 1),
        Err(code::UNSUPPORTED_GIC)
    );
    assert_eq!(
        found(&[(0x10_0000, 0x1_0000)], 0),
        Err(code::UNSUPPORTED_GIC)
    );
    assert_eq!(
        found(&[(0x80_0000, 0x2_0000)], 0x100),
        Err(code::UNSUPPORTED_GIC)
    );
    let short = [(0x80_0000, 0x6_0000), (0x10_0000, 0x4_0000)];
    assert_eq!(found(&short, 0x100), Ok(0x80_0000));
    assert_eq!(found(&short, 0x01_0000_0101), Err(code::UNSUPPORTED_GIC));
    assert_eq!(found(&short, 1), Ok(0x12_0000));
}

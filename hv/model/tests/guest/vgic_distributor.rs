//! The distributor, register by register, and every access there is.

use bulkhead_model::id::{Mpidr, Spi, SpiSet};
use bulkhead_model::vgic::Action;
use bulkhead_model::vgic::distributor::{DistView, SpiWords, gicd_access, gicd_plain};
use bulkhead_model::vgic::route::{Part, target};

fn spi(intid: u16) -> Spi {
    Spi::new(intid).unwrap()
}

/// SPIs 33, 40 and 100: the RTOS's.
fn some() -> SpiSet {
    let mut set = SpiSet::EMPTY;
    [33, 40, 100]
        .map(spi)
        .into_iter()
        .for_each(|spi| set.insert(spi));
    set
}

fn cell(offset: u64, size: u8, write: Option<u64>) -> Action {
    gicd_access(
        offset,
        size,
        write,
        &DistView {
            owned: &some(),
            is_root: false,
        },
    )
}

fn root(offset: u64, size: u8, write: Option<u64>) -> Action {
    gicd_access(
        offset,
        size,
        write,
        &DistView {
            owned: &some(),
            is_root: true,
        },
    )
}

fn read(offset: u64, mask: u64) -> Action {
    Action::Read {
        offset,
        size: 4,
        mask,
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
fn control_and_identification() {
    assert_eq!(root(0x0, 4, None), read(0x0, 0xffff_ffff));
    assert_eq!(cell(0x0, 4, None), read(0x0, 0x8000_0052));
    assert_eq!(root(0x4, 4, None), read(0x4, 0xffff_ffff));
    assert_eq!(
        cell(0x4, 4, None),
        read(0x4, 0x07f8_041f),
        "no LPIs, MBIs, ESPIs"
    );
    assert_eq!(cell(0x8, 4, None), read(0x8, 0xffff_ffff));
    assert_eq!(root(0xc, 4, None), read(0xc, 0xffff_ffff));
    assert_eq!(cell(0xc, 4, None), Action::Value(0));
    assert_eq!(cell(0x10, 4, None), Action::Value(0));
    assert_eq!(cell(0xffe8, 4, None), read(0xffe8, 0xffff_ffff));
    for offset in [0x0, 0x4, 0x8, 0xc, 0x10, 0xffe8] {
        assert_eq!(
            root(offset, 4, Some(u64::MAX)),
            Action::Ignore,
            "{offset:#x}"
        );
        assert_eq!(
            cell(offset, 4, Some(u64::MAX)),
            Action::Ignore,
            "{offset:#x}"
        );
    }
}

#[test]
fn one_bit_an_interrupt() {
    let own = 1 << (33 - 32) | 1 << (40 - 32);
    for base in [0x100, 0x180, 0x200, 0x280, 0x300, 0x380] {
        assert_eq!(cell(base + 4, 4, None), read(base + 4, own));
        assert_eq!(cell(base + 4, 4, Some(u64::MAX)), store(base + 4, own));
        assert_eq!(cell(base + 4, 4, Some(0x2)), store(base + 4, 0x2));
        assert_eq!(
            cell(base + 4, 4, Some(0x1)),
            Action::Ignore,
            "writing 0 does nothing"
        );
        assert_eq!(cell(base + 12, 4, None), read(base + 12, 1 << (100 - 96)));
        for raz in [base, base + 8] {
            assert_eq!(cell(raz, 4, None), Action::Value(0));
            assert_eq!(cell(raz, 4, Some(u64::MAX)), Action::Ignore);
        }
    }
    assert_eq!(cell(0x84, 4, None), read(0x84, own));
    assert_eq!(cell(0x80, 4, None), Action::Value(0));
    assert_eq!(cell(0x84, 4, Some(0)), Action::Ignore);
}

/// A set that claims what no set can have.
struct Everything;

impl SpiWords for Everything {
    fn word(&self, _: usize) -> u32 {
        u32::MAX
    }
}

#[test]
fn sgis_and_ppis_are_not_the_distributors() {
    let view = DistView {
        owned: &Everything,
        is_root: true,
    };
    let root = |offset, size, write| gicd_access(offset, size, write, &view);
    for offset in [
        0x80, 0x100, 0x180, 0x200, 0x280, 0x300, 0x380, 0x400, 0x41c, 0x800, 0xc00, 0xc04,
    ] {
        assert_eq!(root(offset, 4, None), Action::Value(0), "{offset:#x}");
        assert_eq!(
            root(offset, 4, Some(u64::MAX)),
            Action::Ignore,
            "{offset:#x}"
        );
    }
}

#[test]
fn priorities_are_never_as_urgent_as_a_kick() {
    let byte = |offset, value| Action::Store {
        offset,
        size: 1,
        value,
    };
    for view in [root, cell] {
        assert_eq!(view(0x421, 1, Some(0x00)), byte(0x421, 0x10));
        assert_eq!(view(0x421, 1, Some(0x0f)), byte(0x421, 0x10));
        assert_eq!(view(0x421, 1, Some(0x10)), byte(0x421, 0x10));
        assert_eq!(view(0x421, 1, Some(0x1ff)), byte(0x421, 0xff));
        assert_eq!(
            view(0x421, 1, None),
            Action::Read {
                offset: 0x421,
                size: 1,
                mask: 0xff
            }
        );
        assert_eq!(view(0x420, 1, Some(0xff)), Action::Ignore, "SPI 32");
        assert_eq!(view(0x420, 4, None), read(0x420, 0xff00));
        let merged = Action::Merge {
            offset: 0x420,
            value: 0x1000,
            mask: 0xff00,
        };
        assert_eq!(view(0x420, 4, Some(0xa0a0_08a0)), merged);
        assert_eq!(view(0x424, 4, Some(0)), Action::Ignore);
    }
    let all = DistView {
        owned: &SpiSet::ALL,
        is_root: true,
    };
    for (written, stored) in [
        (0xa0a0_a0a0, 0xa0a0_a0a0),
        (0x0010_f00f, 0x1010_f010),
        (0, 0x1010_1010),
    ] {
        assert_eq!(
            gicd_access(0x420, 4, Some(written), &all),
            store(0x420, stored)
        );
    }
}

#[test]
fn trigger_modes_are_two_bits() {
    assert_eq!(cell(0xc08, 4, None), read(0xc08, 0b11 << 2 | 0b11 << 16));
    let merged = Action::Merge {
        offset: 0xc08,
        value: 0b10 << 2,
        mask: 0b11 << 2 | 0b11 << 16,
    };
    assert_eq!(cell(0xc08, 4, Some(0x0000_aaaa)), merged);
    assert_eq!(cell(0xc0c, 4, Some(u64::MAX)), Action::Ignore);
    assert_eq!(cell(0xc18, 4, None), read(0xc18, 0b11 << 8), "SPI 100");
}

#[test]
fn routes_are_the_owners() {
    let offset = 0x6000 + 8 * 40;
    assert_eq!(
        cell(offset, 8, None),
        Action::ReadRoute {
            spi: spi(40),
            part: Part::Whole
        }
    );
    let written = Action::WriteRoute {
        spi: spi(40),
        part: Part::Low,
        value: 3,
    };
    assert_eq!(cell(offset, 4, Some(3)), written);
    assert_eq!(
        cell(offset + 4, 4, None),
        Action::ReadRoute {
            spi: spi(40),
            part: Part::High
        }
    );
    for foreign in [0x6000, 0x60f8, 0x6000 + 8 * 41, 0x7ff8] {
        assert_eq!(root(foreign, 8, None), Action::Value(0));
        assert_eq!(root(foreign, 4, Some(0)), Action::Ignore);
    }
}

#[test]
fn a_route_leads_to_a_cpu_of_the_cell() {
    let writer = Mpidr::from_bits(0x103);
    let find = |affinity: Mpidr| (affinity.get() == 1).then_some(Mpidr::from_bits(0x102));
    assert_eq!(target(1, writer, find), Some(Mpidr::from_bits(0x102)));
    assert_eq!(target(2, writer, find), None);
    assert_eq!(target(1 << 31 | 2, writer, find), Some(writer), "any CPU");
    assert_eq!(Part::Low.replaced(0x1_0000_0002, 7), 0x1_0000_0007);
    assert_eq!(Part::High.replaced(0x1_0000_0002, 7), 0x7_0000_0002);
    assert_eq!(Part::Whole.replaced(0x1_0000_0002, 7), 7);
    assert_eq!(
        (Part::Low.of(0x1_0000_0002), Part::High.of(0x1_0000_0002)),
        (2, 1)
    );
}

#[test]
fn message_based_spis_are_roots_own() {
    for offset in [0x40, 0x48] {
        assert_eq!(root(offset, 4, Some(40)), store(offset, 40));
        assert_eq!(root(offset, 2, Some(40)), store(offset, 40));
        assert_eq!(root(offset, 4, Some(41)), Action::Ignore);
        assert_eq!(root(offset, 4, Some(5)), Action::Ignore);
        assert_eq!(root(offset, 4, None), Action::Value(0));
        assert_eq!(cell(offset, 4, Some(40)), Action::Ignore);
    }
}

#[test]
fn wrong_widths_and_places_are_logged() {
    for (offset, size) in [
        (0x104, 1),
        (0x104, 8),
        (0x106, 4),
        (0x421, 4),
        (0x420, 2),
        (0x6140, 2),
        (0x6144, 8),
    ] {
        assert_eq!(
            cell(offset, size, None),
            Action::IgnoreLogged,
            "{offset:#x} {size}"
        );
    }
    for offset in [0x14, 0x1000, 0x2000, 0x8000, 0xc000] {
        assert_eq!(
            root(offset, 4, Some(1)),
            Action::IgnoreLogged,
            "{offset:#x}"
        );
    }
}

/// INTIDs that a 32-bit mask or a byte at a distributor offset stands for; `None` where a register is no interrupt's.
fn intids(offset: u64, bits: u64) -> Option<Vec<u64>> {
    let (first, width) = match offset {
        0x80..0x400 => ((offset & 0x7f) * 8, 1),
        0x400..0x800 => (offset - 0x400, 8),
        0xc00..0xd00 => ((offset - 0xc00) * 4, 2),
        _ => return None,
    };
    Some(
        (0..64)
            .filter(|bit| bits & 1 << bit != 0)
            .map(|bit| first + bit / width)
            .collect(),
    )
}

fn check_own(owned: &SpiSet, offset: u64, size: u8, bits: u64) -> bool {
    assert!(offset.is_multiple_of(size.into()) && bits >> (8 * u32::from(size) - 1) >> 1 == 0);
    let is_own = |intid: &u64| {
        Spi::new(u16::try_from(*intid).unwrap()).is_some_and(|spi| owned.contains(spi))
    };
    let Some(intids) = intids(offset, bits) else {
        return false;
    };
    assert!(intids.iter().all(is_own), "{offset:#x} {bits:#x}");
    true
}

#[test]
fn no_access_reaches_a_foreign_interrupt() {
    for owned in [SpiSet::EMPTY, some(), SpiSet::ALL] {
        for is_root in [false, true] {
            let view = DistView {
                owned: &owned,
                is_root,
            };
            for offset in 0..0x1_0000 {
                for size in [0, 1, 2, 3, 4, 8, 16] {
                    for write in [None, Some(0), Some(u64::MAX), Some(0x0102_0304_0506_0728)] {
                        check_action(
                            &view,
                            offset,
                            write,
                            gicd_access(offset, size, write, &view),
                        );
                    }
                }
            }
        }
    }
}

fn check_action(view: &DistView<'_, SpiSet>, at: u64, write: Option<u64>, action: Action) {
    match action {
        Action::Value(_) => assert!(write.is_none()),
        Action::Ignore => assert!(write.is_some()),
        Action::IgnoreLogged => {}
        Action::Read { offset, size, mask } => {
            assert!(write.is_none() && offset == at && mask != 0);
            let shared = matches!(offset, 0x0 | 0x4 | 0x8 | 0xffd0..0x1_0000)
                || view.is_root && offset == 0xc;
            assert!(
                check_own(view.owned, offset, size, mask) || shared,
                "{offset:#x}"
            );
        }
        Action::Store {
            offset: 0x40 | 0x48,
            size: 4,
            value,
        } if view.is_root => {
            assert!(view.owned.contains(spi(u16::try_from(value).unwrap())));
        }
        Action::Store {
            offset,
            size,
            value,
        } => {
            assert!(write.is_some() && offset == at);
            let is_field = !(0x80..0x400).contains(&offset);
            let touched = if is_field {
                u64::MAX >> (64 - 8 * u32::from(size))
            } else {
                value
            };
            assert!(check_own(view.owned, offset, size, touched), "{offset:#x}");
        }
        Action::Merge {
            offset,
            value,
            mask,
        } => {
            assert!(write.is_some() && offset == at && value & !mask == 0);
            assert!(check_own(view.owned, offset, 4, mask.into()), "{offset:#x}");
        }
        Action::ReadInterfaces { .. } => panic!("a register of GICv2"),
        Action::ReadRoute { spi, .. } => assert!(write.is_none() && view.owned.contains(spi)),
        Action::WriteRoute { spi, .. } => assert!(write.is_some() && view.owned.contains(spi)),
    }
}

#[test]
fn the_short_form_says_what_the_full_one_says() {
    let mut served = 0;
    for is_root in [false, true] {
        let owned = &some();
        let view = DistView { owned, is_root };
        for offset in 0..0x1_0000 {
            if let Some(mask) = gicd_plain(offset, false, &view) {
                served += 1;
                let full = match mask {
                    0 => Action::Value(0),
                    mask => read(offset, mask.into()),
                };
                assert_eq!(gicd_access(offset, 4, None, &view), full, "{offset:#x}");
            }
            let Some(mask) = gicd_plain(offset, true, &view) else {
                continue;
            };
            for value in [0, 1, 2, 0x102, u64::from(mask), 0xffff_ffff] {
                let full = match value & u64::from(mask) {
                    0 => Action::Ignore,
                    value => store(offset, value),
                };
                let write = Some(value);
                assert_eq!(gicd_access(offset, 4, write, &view), full, "{offset:#x}");
            }
        }
    }
    assert_eq!(served, 2 * (1 + 6 * 32), "the hot registers are among them");
}

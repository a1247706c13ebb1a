//! The distributor of a GICv2, register by register, and all of them at once.

use bulkhead_model::id::{Spi, SpiSet};
use bulkhead_model::vgic::Action;
use bulkhead_model::vgic::interfaces::{Interfaces, MAX_INTERFACES};
use bulkhead_model::vgic::v2::{DISTRIBUTOR_SIZE, View, gicd_access};
use proptest::prelude::{any, prop_assert_eq, proptest};

/// A cell with the physical interfaces 5 and 2, which it sees as 0 and 1, and SPIs 33, 40 and 100.
const CELL: Interfaces = Interfaces::NONE.with(0, 1 << 5).with(1, 1 << 2);
/// Root has 0, 1 and 3.
const ROOT: Interfaces = Interfaces::NONE
    .with(0, 1 << 0)
    .with(1, 1 << 1)
    .with(3, 1 << 3);
/// Security extensions, six CPUs, 160 INTIDs.
const TYPER: u32 = 1 << 10 | 5 << 5 | 4;

fn spi(intid: u16) -> Spi {
    Spi::new(intid).expect("an SPI")
}

fn owned() -> SpiSet {
    let mut set = SpiSet::EMPTY;
    [33, 40, 100]
        .map(spi)
        .iter()
        .for_each(|spi| set.insert(*spi));
    set
}

fn cell_view(owned: &SpiSet) -> View<'_, SpiSet> {
    View {
        owned,
        is_root: false,
        interfaces: CELL,
        own: 1 << 5,
        count: 2,
        typer: TYPER,
    }
}

fn cell(offset: u64, size: u8, write: Option<u64>) -> Action {
    gicd_access(offset, size, write, &cell_view(&owned()))
}

/// A cell of one CPU, whose interface is the physical one of number 5.
fn single(offset: u64, size: u8, write: Option<u64>) -> Action {
    let owned = owned();
    let view = View {
        interfaces: Interfaces::NONE.with(0, 1 << 5),
        count: 1,
        ..cell_view(&owned)
    };
    gicd_access(offset, size, write, &view)
}

fn roots_spis() -> SpiSet {
    let mut set = SpiSet::ALL;
    set.remove_all(&owned());
    set
}

fn root(offset: u64, size: u8, write: Option<u64>) -> Action {
    let owned = roots_spis();
    let view = View {
        owned: &owned,
        is_root: true,
        interfaces: ROOT,
        own: 1 << 1,
        count: 3,
        typer: TYPER,
    };
    gicd_access(offset, size, write, &view)
}

fn read(offset: u64, mask: u64) -> Action {
    Action::Read {
        offset,
        size: 4,
        mask,
    }
}

fn store(offset: u64, size: u8, value: u64) -> Action {
    Action::Store {
        offset,
        size,
        value,
    }
}

#[test]
fn a_cell_sees_a_distributor_of_its_own_size() {
    assert_eq!(cell(0x4, 4, None), Action::Value(1 << 10 | 1 << 5 | 4));
    assert_eq!(single(0x4, 4, None), Action::Value(1 << 10 | 4));
    assert_eq!(root(0x4, 4, None), Action::Value(TYPER.into()));
    assert_eq!(cell(0x4, 4, Some(0)), Action::Ignore);
}

#[test]
fn nobody_turns_the_distributor_off() {
    assert_eq!(cell(0, 4, Some(0)), Action::Ignore);
    assert_eq!(root(0, 4, Some(0)), Action::Ignore);
    assert_eq!(cell(0, 4, None), read(0, 1));
    assert_eq!(root(0, 4, None), read(0, 0xffff_ffff));
}

#[test]
fn identification_is_read_and_groups_are_not_there() {
    for view in [cell, root, single] {
        assert_eq!(view(0x8, 4, None), read(0x8, 0xffff_ffff));
        assert_eq!(view(0xfe8, 4, None), read(0xfe8, 0xffff_ffff));
        assert_eq!(view(0xfe8, 4, Some(1)), Action::Ignore);
        for offset in (0x80..0x100).step_by(4) {
            assert_eq!(view(offset, 4, None), Action::Value(0));
            assert_eq!(view(offset, 4, Some(u64::MAX)), Action::Ignore);
        }
        assert_eq!(view(0xd04, 4, None), Action::Value(0));
        assert_eq!(view(0xe00, 4, Some(1)), Action::Ignore);
    }
}

#[test]
fn private_interrupts_are_the_cpus_own() {
    for offset in [0x100, 0x200, 0x280, 0x300, 0x380] {
        assert_eq!(cell(offset, 4, None), read(offset, 0xffff_ffff));
        let all = store(offset, 4, 0xffff_ffff);
        assert_eq!(cell(offset, 4, Some(u64::MAX)), all);
    }
    assert_eq!(
        cell(0x400, 4, Some(0x4030_2010)),
        store(0x400, 4, 0x4030_2010)
    );
}

#[test]
fn the_kind_of_private_interrupts_which_cpus_may_share_is_nobodys_to_change() {
    for (view, offset) in [
        (cell as fn(_, _, _) -> _, 0xc00),
        (cell, 0xc04),
        (root, 0xc04),
    ] {
        assert_eq!(view(offset, 4, Some(0xaaaa_aaaa)), Action::Ignore);
        assert_eq!(view(offset, 4, None), read(offset, 0xffff_ffff));
    }
}

#[test]
fn a_cell_cannot_disable_the_sgis_that_kick_it() {
    assert_eq!(
        cell(0x180, 4, Some(0xffff_ffff)),
        store(0x180, 4, 0xffff_0000)
    );
    assert_eq!(cell(0x180, 4, Some(0xffff)), Action::Ignore);
    assert_eq!(cell(0x180, 4, None), read(0x180, 0xffff_ffff));
    assert_eq!(root(0x180, 4, Some(0xffff)), store(0x180, 4, 0xffff));
}

#[test]
fn shared_interrupts_are_the_owners() {
    // SPIs 33 and 40 are in word 1, 100 is in word 3.
    for kind in (0x100..0x400).step_by(0x80) {
        assert_eq!(cell(kind + 4, 4, None), read(kind + 4, 1 << 1 | 1 << 8));
        let own = store(kind + 4, 4, 1 << 1 | 1 << 8);
        assert_eq!(cell(kind + 4, 4, Some(u64::MAX)), own);
        assert_eq!(cell(kind + 8, 4, None), Action::Value(0));
        assert_eq!(cell(kind + 8, 4, Some(u64::MAX)), Action::Ignore);
        assert_eq!(
            cell(kind + 12, 4, Some(1 << 4)),
            store(kind + 12, 4, 1 << 4)
        );
    }
}

#[test]
fn priorities_are_the_owners_and_never_the_kicks() {
    assert_eq!(cell(0x400 + 33, 1, Some(0x08)), store(0x421, 1, 0x10));
    assert_eq!(cell(0x400 + 34, 1, Some(0x08)), Action::Ignore);
    let merged = Action::Merge {
        offset: 0x420,
        value: 0xa0 << 8,
        mask: 0xff << 8,
    };
    assert_eq!(cell(0x420, 4, Some(0xa0a0_a0a0)), merged);
    assert_eq!(cell(0x420, 4, None), read(0x420, 0xff00));
}

#[test]
fn targets_are_the_cells_own_numbers() {
    // Number 0 is the physical interface 5, number 1 is 2.
    assert_eq!(cell(0x800 + 40, 1, Some(0b01)), store(0x828, 1, 1 << 5));
    assert_eq!(
        cell(0x800 + 40, 1, Some(0b11)),
        store(0x828, 1, 1 << 5 | 1 << 2)
    );
    assert_eq!(
        cell(0x800 + 40, 1, Some(0xfc)),
        store(0x828, 1, 0),
        "foreign CPUs"
    );
    assert_eq!(
        cell(0x800 + 41, 1, Some(1)),
        Action::Ignore,
        "a foreign SPI"
    );
    assert_eq!(cell(0x800 + 41, 1, None), Action::Value(0));
    let merged = Action::Merge {
        offset: 0x820,
        value: 1 << 2 << 8,
        mask: 0xff << 8,
    };
    assert_eq!(cell(0x820, 4, Some(0x0202_0202)), merged);
    let seen = Action::ReadInterfaces {
        offset: 0x820,
        size: 4,
        mask: 0xff00,
    };
    assert_eq!(cell(0x820, 4, None), seen);
    assert_eq!(root(0x800 + 41, 1, Some(0xff)), store(0x829, 1, 0b1011));
}

#[test]
fn each_cpu_reads_itself_as_the_target_of_private_interrupts() {
    assert_eq!(cell(0x800, 1, None), Action::Value(1));
    assert_eq!(cell(0x81c, 4, None), Action::Value(0x0101_0101));
    assert_eq!(root(0x800, 4, None), Action::Value(0x0202_0202));
    assert_eq!(cell(0x800, 4, Some(0xff)), Action::Ignore);
}

#[test]
fn a_cell_of_one_cpu_has_no_targets() {
    for offset in [0x800, 0x820, 0x828] {
        assert_eq!(single(offset, 4, None), Action::Value(0));
        assert_eq!(single(offset, 1, Some(0)), Action::Ignore);
    }
}

#[test]
fn sgis_go_to_the_cells_own_cpus_only() {
    let sent = |value| cell(0xf00, 4, Some(value));
    assert_eq!(sent(1 << 16 | 7), store(0xf00, 4, 1 << 5 << 16 | 7));
    assert_eq!(sent(0xff << 16 | 7), store(0xf00, 4, 0b10_0100 << 16 | 7));
    assert_eq!(sent(0xfc << 16 | 7), Action::Ignore, "to nobody of its own");
    assert_eq!(
        sent(1 << 24 | 3),
        store(0xf00, 4, 1 << 2 << 16 | 3),
        "all others"
    );
    assert_eq!(
        sent(2 << 24 | 3),
        store(0xf00, 4, 1 << 5 << 16 | 3),
        "itself"
    );
    assert_eq!(sent(3 << 24 | 0xff << 16 | 3), Action::Ignore, "reserved");
    let with_secure = 1 << 16 | 1 << 15 | 0xfff0 | 7;
    assert_eq!(sent(with_secure), store(0xf00, 4, 1 << 5 << 16 | 7));
    assert_eq!(cell(0xf00, 4, None), Action::Value(0));
    assert_eq!(
        root(0xf00, 4, Some(1 << 24 | 5)),
        store(0xf00, 4, 0b1001 << 16 | 5)
    );
    assert_eq!(single(0xf00, 4, Some(1 << 24 | 5)), Action::Ignore);
}

#[test]
fn pending_sgis_are_told_by_the_cells_own_numbers() {
    assert_eq!(cell(0xf20, 1, Some(0b10)), store(0xf20, 1, 1 << 2));
    assert_eq!(
        cell(0xf10, 4, Some(0x0100_0002)),
        store(0xf10, 4, 1 << 5 << 24 | 1 << 2)
    );
    let seen = Action::ReadInterfaces {
        offset: 0xf2c,
        size: 4,
        mask: u32::MAX,
    };
    assert_eq!(cell(0xf2c, 4, None), seen);
}

#[test]
fn what_is_no_register_is_told() {
    for (offset, size) in [
        (0x400, 2),
        (0x100, 1),
        (0x102, 4),
        (0x820, 8),
        (0xf04, 4),
        (0xf30, 4),
        (0x10, 4),
    ] {
        assert_eq!(
            cell(offset, size, None),
            Action::IgnoreLogged,
            "{offset:#x}"
        );
    }
}

#[test]
fn the_same_registers_are_shown_again_every_4_kib() {
    for offset in (0..DISTRIBUTOR_SIZE).step_by(4) {
        for view in [cell, root] {
            let again = view(offset + 0xf000, 4, Some(0x0101_0101));
            assert_eq!(view(offset, 4, Some(0x0101_0101)), again, "{offset:#x}");
        }
    }
}

/// Bits of a register that may be written for these SPIs, by its offset; all of private interrupts.
fn writable(owned: &SpiSet, offset: u64, size: u8) -> Option<u64> {
    let is_own = |intid: u64| match u16::try_from(intid).ok().and_then(Spi::new) {
        Some(spi) => owned.contains(spi),
        None => intid < 32,
    };
    let bits_each = match offset {
        0x100..0x400 => 1,
        0x400..0xc00 => 8,
        0xc08..0xd00 => 2,
        0xf10..0xf30 => return Some(u64::MAX),
        _ => return None,
    };
    let place = match offset {
        0x100..0x400 => offset % 0x80,
        0x400..0xc00 => offset % 0x400,
        _ => offset % 0x100,
    };
    let first = place * 8 / bits_each;
    let field = (1 << bits_each) - 1;
    let count = u64::from(size) * 8 / bits_each;
    Some((0..count).fold(0, |mask, n| {
        mask | if is_own(first + n) {
            field << (n * bits_each)
        } else {
            0
        }
    }))
}

#[test]
fn no_access_touches_anything_of_others() {
    for (is_root, spis) in [(false, owned()), (true, roots_spis())] {
        let view = View {
            is_root,
            ..cell_view(&spis)
        };
        let mut stores = 0;
        for offset in 0..DISTRIBUTOR_SIZE {
            for size in [1, 2, 4, 8] {
                for value in [0, 1, 0x0202_0202, 0x5555_5555, u64::MAX] {
                    let (bits, reaches) = match gicd_access(offset, size, Some(value), &view) {
                        Action::Store {
                            offset: 0xf00,
                            value,
                            ..
                        } => {
                            assert_eq!(value >> 16 & !u64::from(CELL.all()), 0);
                            continue;
                        }
                        Action::Store {
                            offset: at,
                            size: width,
                            value,
                        } => (value, (at, width)),
                        Action::Merge {
                            offset: at, mask, ..
                        } => (mask.into(), (at, 4)),
                        Action::Ignore | Action::IgnoreLogged => continue,
                        other => panic!("a write at {offset:#x} becomes {other:?}"),
                    };
                    assert_eq!(reaches, (offset, size));
                    let allowed = writable(&spis, offset, size);
                    let allowed = allowed.unwrap_or_else(|| panic!("a store at {offset:#x}"));
                    assert_eq!(bits & !allowed, 0, "{offset:#x}");
                    stores += 1;
                }
            }
        }
        assert!(stores > 100);
    }
}

/// One bit of each interface that it has, as [`Interfaces`] has them, the plain way.
fn plain_physical(numbers: &[u8], mask: u8) -> u8 {
    let chosen = |(number, _): &(usize, &u8)| mask >> number & 1 != 0;
    let numbers = numbers.iter().enumerate().filter(chosen);
    numbers.fold(0, |all, (_, physical)| all | 1 << physical)
}

proptest! {
    #[test]
    fn masks_go_there_and_back(
        count in 0..=MAX_INTERFACES,
        order in proptest::sample::subsequence((0..8_u8).collect::<Vec<_>>(), 8),
        turn in 0..8_usize,
        mask in any::<u8>(),
    ) {
        let mut numbers = order;
        numbers.rotate_left(turn);
        numbers.truncate(count);
        let interfaces = numbers
            .iter()
            .enumerate()
            .fold(Interfaces::NONE, |all, (number, physical)| all.with(number, 1 << physical));
        prop_assert_eq!(interfaces, Interfaces::from_bits(interfaces.bits()));
        let own = mask & u8::MAX.checked_shr(8 - u32::try_from(count).unwrap_or(8)).unwrap_or(0);
        prop_assert_eq!(interfaces.physical(mask), plain_physical(&numbers, mask));
        prop_assert_eq!(interfaces.seen(interfaces.physical(mask)), own);
        prop_assert_eq!(interfaces.seen(!interfaces.all()), 0);
        let each = u32::from(mask) * 0x0101_0101;
        prop_assert_eq!(interfaces.seen_each(interfaces.physical_each(each)), u32::from(own) * 0x0101_0101);
    }
}

#[test]
fn a_number_beyond_eight_has_no_interface() {
    assert_eq!(Interfaces::NONE.with(MAX_INTERFACES, 1), Interfaces::NONE);
}

//! The blobs: what was written is read again, and hostile bytes are refused or well formed, never a panic.

use std::num::NonZero;

use crate::board::{cell, region, spi, system};
use arrayvec::ArrayVec;
use bulkhead_abi::{ABI_VERSION, MAX_CPUS, code, console};
use bulkhead_model::addr::{Gpa, Hpa, PAGE_SIZE, Region};
use bulkhead_model::blob::{
    CellConfig, Conduit, CpuConfig, Delivery, DeviceConfig, GicV2, HEARTBEAT_MS, Heartbeat,
    MAX_DEVICES, MAX_GICRS, MAX_MEMORY, MAX_RAM, MAX_SIZE, MAX_SPIS, MemoryConfig, Name, Placement,
    SystemConfig,
};
use bulkhead_model::id::{Mpidr, Spi};
use bulkhead_model::refused::Refused;
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_assert_eq, prop_oneof, proptest};

fn bytes_of(encode: impl FnOnce(&mut [u8]) -> Result<usize, Refused>) -> Vec<u8> {
    let mut bytes = vec![0xa5; MAX_SIZE];
    let length = encode(&mut bytes).expect("room for any blob");
    bytes.truncate(length);
    bytes
}

fn system_bytes(config: &SystemConfig) -> Vec<u8> {
    bytes_of(|out| config.encode(out))
}

fn cell_bytes(config: &CellConfig) -> Vec<u8> {
    bytes_of(|out| config.encode(out))
}

fn list<T: std::fmt::Debug, const N: usize>(
    entry: impl Strategy<Value = T>,
) -> impl Strategy<Value = ArrayVec<T, N>> {
    vec(entry, 0..=N).prop_map(|entries| entries.into_iter().collect())
}

/// Base and size of whole pages that do not wrap.
fn pages() -> impl Strategy<Value = (u64, u64)> {
    (1..=1_u64 << 51, any::<u64>())
        .prop_map(|(count, at)| ((at % ((1 << 52) - count)) << 12, count << 12))
}

fn regions() -> impl Strategy<Value = Region<Hpa>> {
    pages().prop_map(|(base, size)| region(base, size))
}

fn mpidrs() -> impl Strategy<Value = Mpidr> {
    any::<u64>().prop_map(Mpidr::from_bits)
}

fn systems() -> impl Strategy<Value = SystemConfig> {
    let release = (0..u64::MAX / 8).prop_map(|word| NonZero::new(8 * word));
    let cpus = (mpidrs(), any::<bool>(), release).prop_map(|(mpidr, online, release)| CpuConfig {
        mpidr,
        online,
        release,
    });
    let psci = prop_oneof![Just(Conduit::None), Just(Conduit::Smc), Just(Conduit::Hvc)];
    (
        regions(),
        proptest::option::of((regions(), regions(), regions())),
        list::<_, MAX_GICRS>(regions()),
        list::<_, MAX_CPUS>(cpus),
        list::<_, MAX_RAM>(regions()),
        psci,
    )
        .prop_map(|(gicd, gicv2, gicrs, cpus, ram, psci)| SystemConfig {
            gicd,
            gicv2: gicv2.map(|(gicc, gich, gicv)| GicV2 { gicc, gich, gicv }),
            gicrs,
            cpus,
            ram,
            psci,
        })
}

fn cells() -> impl Strategy<Value = CellConfig> {
    let memory = (pages(), any::<u64>(), any::<bool>()).prop_map(|((gpa, size), at, is_fixed)| {
        let hpa = Hpa((at % ((1 << 52) - (size >> 12))) << 12);
        MemoryConfig {
            gpa: Gpa(gpa),
            placement: if is_fixed {
                Placement::At(hpa)
            } else {
                Placement::Pool
            },
            size,
        }
    });
    let devices = pages().prop_map(|(base, size)| DeviceConfig {
        gpa: Gpa(base),
        hpa: Hpa(base),
        size,
    });
    let spis = (32..1020_u16).prop_map(spi);
    let consoles = pages().prop_filter("room", |(base, _)| {
        base.checked_add(console::SIZE).is_some()
    });
    let heartbeat = proptest::option::of((HEARTBEAT_MS, any::<u32>()));
    (
        "[A-Za-z0-9][A-Za-z0-9._-]{0,30}",
        list::<_, MAX_CPUS>(mpidrs()),
        list::<_, MAX_MEMORY>(memory),
        list::<_, MAX_DEVICES>(devices),
        list::<_, MAX_SPIS>(spis),
        (
            prop_oneof![Just(Delivery::Direct), Just(Delivery::Listed)],
            heartbeat,
            proptest::option::of(consoles),
        ),
    )
        .prop_map(
            |(name, cpus, memory, devices, spis, (delivery, heartbeat, console))| {
                let mut config = CellConfig {
                    name: Name::new(&name).expect("a good name"),
                    cpus,
                    memory,
                    devices,
                    spis,
                    delivery,
                    heartbeat: Heartbeat::NONE,
                    console: console.map(|(base, _)| Gpa(base)),
                };
                if let ([_, .., comm], Some((period_ms, restarts))) =
                    (config.memory.as_mut_slice(), heartbeat)
                {
                    comm.size = PAGE_SIZE;
                    config.heartbeat = Heartbeat {
                        period_ms,
                        restarts,
                    };
                }
                config
            },
        )
}

proptest! {
    #[test]
    fn a_system_blob_is_read_as_it_was_written(config in systems()) {
        prop_assert_eq!(SystemConfig::decode(&system_bytes(&config)), Ok(config));
    }

    #[test]
    fn a_cell_blob_is_read_as_it_was_written(config in cells()) {
        prop_assert_eq!(CellConfig::decode(&cell_bytes(&config)), Ok(config));
    }

    #[test]
    fn any_bytes_behind_a_good_head_are_refused_or_well_formed(
        is_cell in any::<bool>(),
        words in vec(prop_oneof![0..5_u64, any::<u64>(), (0..9_u64).prop_map(|n| n << 12)], 0..60),
    ) {
        let mut bytes = if is_cell { cell_bytes(&cell("x")) } else { system_bytes(&system()) };
        bytes.truncate(24);
        words.iter().for_each(|word| bytes.extend(word.to_le_bytes()));
        state_length(&mut bytes);
        read_both(&bytes);
    }
}

/// Reads hostile bytes as either kind; what is accepted must be written as the same bytes.
fn read_both(bytes: &[u8]) {
    if let Ok(config) = SystemConfig::decode(bytes) {
        assert_eq!(system_bytes(&config), bytes);
    }
    if let Ok(config) = CellConfig::decode(bytes) {
        assert_eq!(cell_bytes(&config), bytes);
    }
}

fn put(bytes: &mut [u8], word: usize, value: u64) {
    bytes[8 * word..8 * word + 8].copy_from_slice(&value.to_le_bytes());
}

fn state_length(bytes: &mut [u8]) {
    let length = bytes.len() as u64;
    put(bytes, 2, length);
}

#[test]
fn every_truncation_is_refused() {
    for good in [system_bytes(&system()), cell_bytes(&cell("rtos"))] {
        for length in 0..good.len() {
            let mut bytes = good[..length].to_vec();
            assert!(SystemConfig::decode(&bytes).is_err() && CellConfig::decode(&bytes).is_err());
            if length >= 24 {
                state_length(&mut bytes);
                assert!(
                    SystemConfig::decode(&bytes).is_err() && CellConfig::decode(&bytes).is_err()
                );
            }
        }
    }
}

#[test]
fn every_change_of_one_byte_is_refused_or_well_formed() {
    for good in [system_bytes(&system()), cell_bytes(&cell("rtos"))] {
        for at in 0..good.len() {
            for value in 0..=u8::MAX {
                let mut bytes = good.clone();
                bytes[at] = value;
                read_both(&bytes);
            }
        }
    }
}

#[track_caller]
fn cell_refused(word: usize, value: u64) -> Refused {
    let mut bytes = cell_bytes(&cell("rtos"));
    put(&mut bytes, word, value);
    CellConfig::decode(&bytes).expect_err("must be refused")
}

#[track_caller]
fn system_refused(word: usize, value: u64) -> Refused {
    let mut bytes = system_bytes(&system());
    put(&mut bytes, word, value);
    SystemConfig::decode(&bytes).expect_err("must be refused")
}

#[test]
fn a_wrong_head_is_refused_by_name() {
    let length = cell_bytes(&cell("rtos")).len() as u64;
    assert_eq!(cell_refused(0, 7).code(), code::BAD_MAGIC);
    assert_eq!(
        cell_refused(1, 99),
        Refused::new(code::BAD_VERSION, 99, ABI_VERSION.into())
    );
    assert_eq!(
        cell_refused(2, length + 8),
        Refused::new(code::BAD_LENGTH, length + 8, length)
    );
    assert_eq!(
        cell_refused(2, u64::MAX),
        Refused::new(code::BAD_LENGTH, u64::MAX, length)
    );
    assert_eq!(
        CellConfig::decode(&[]),
        Err(Refused::new(code::BAD_LENGTH, 0, 24))
    );
}

#[test]
fn one_kind_is_not_taken_for_the_other() {
    assert_eq!(
        CellConfig::decode(&system_bytes(&system()))
            .unwrap_err()
            .code(),
        code::BAD_MAGIC
    );
    assert_eq!(
        SystemConfig::decode(&cell_bytes(&cell("rtos")))
            .unwrap_err()
            .code(),
        code::BAD_MAGIC
    );
}

#[test]
fn what_follows_the_last_entry_is_refused() {
    for extra in [1, 8, 100] {
        let mut bytes = cell_bytes(&cell("rtos"));
        let length = bytes.len() as u64;
        bytes.extend(vec![0; extra]);
        state_length(&mut bytes);
        assert_eq!(
            CellConfig::decode(&bytes),
            Err(Refused::new(
                code::BAD_LENGTH,
                length + extra as u64,
                length
            ))
        );
    }
}

#[test]
fn counts_beyond_the_limits_are_refused() {
    assert_eq!(cell_refused(8, 33), Refused::new(code::TOO_MANY, 33, 32));
    assert_eq!(
        cell_refused(8, u64::MAX),
        Refused::new(code::TOO_MANY, u64::MAX, 32)
    );
    assert_eq!(system_refused(6, 4), Refused::new(code::TOO_MANY, 4, 3));
    assert_eq!(system_refused(7, 9), Refused::new(code::TOO_MANY, 9, 8));
}

#[test]
fn bad_words_are_refused_by_their_place() {
    assert_eq!(cell_refused(7, 2), Refused::new(code::BAD_CONTENT, 56, 2));
    assert_eq!(
        cell_refused(9, 1 << 24),
        Refused::new(code::BAD_CONTENT, 72, 1 << 24)
    );
    assert_eq!(cell_refused(12, 2), Refused::new(code::BAD_CONTENT, 96, 2));
    assert_eq!(
        cell_refused(13, 0x1000),
        Refused::new(code::BAD_CONTENT, 104, 0x1000)
    );
    assert_eq!(system_refused(5, 3), Refused::new(code::BAD_CONTENT, 40, 3));
    assert_eq!(
        system_refused(14, 2),
        Refused::new(code::BAD_CONTENT, 112, 2)
    );
}

#[test]
fn bad_regions_are_refused() {
    assert_eq!(cell_refused(14, 0), Refused::new(code::EMPTY, 0, 0));
    assert_eq!(
        cell_refused(14, 0x1001),
        Refused::new(code::UNALIGNED, 0, 0x1001)
    );
    assert_eq!(
        cell_refused(11, 8),
        Refused::new(code::UNALIGNED, 8, 16 << 20)
    );
    assert_eq!(
        cell_refused(11, u64::MAX - 0xfff),
        Refused::new(code::WRAPS, u64::MAX - 0xfff, 16 << 20)
    );
    assert_eq!(
        system_refused(4, 0),
        Refused::new(code::EMPTY, crate::board::GICD, 0)
    );
    assert_eq!(
        system_refused(3, 1),
        Refused::new(code::UNALIGNED, 1, 0x1_0000)
    );
}

#[test]
fn interrupts_that_are_no_spis_are_refused() {
    const AFTER: usize = 4; // The heartbeat and the console.
    let last = cell_bytes(&cell("rtos")).len() / 8 - 1 - AFTER;
    for intid in [0, 31, 1020, 0x1_0020, u64::MAX] {
        assert_eq!(
            cell_refused(last, intid),
            Refused::new(code::NO_SUCH_SPI, intid, 0)
        );
    }
}

#[test]
fn a_console_that_is_none_is_refused() {
    let config = CellConfig {
        console: Some(Gpa(0x4000_0000)),
        ..cell("rtos")
    };
    for (config, place, word) in [
        (cell("rtos"), 2, 2),
        (cell("rtos"), 1, PAGE_SIZE),
        (config.clone(), 2, 0),
        (config.clone(), 1, PAGE_SIZE / 2),
        (config, 1, u64::MAX - PAGE_SIZE + 1),
    ] {
        let mut bytes = cell_bytes(&config);
        let at = bytes.len() - 8 * place;
        bytes[at..at + 8].copy_from_slice(&u64::to_le_bytes(word));
        assert!(CellConfig::decode(&bytes).is_err(), "{place}: {word:#x}");
    }
}

#[test]
fn bad_names_are_refused() {
    for name in [
        "",
        ".",
        "-x",
        "a b",
        "a/b",
        "ä",
        "0123456789abcdef0123456789abcdef",
        "a\0b",
    ] {
        assert_eq!(
            Name::new(name),
            Err(Refused::new(code::BAD_NAME, 0, 0)),
            "{name:?}"
        );
    }
    for name in ["a", "rtos-1_b.c", "0123456789abcdef0123456789abcde"] {
        assert_eq!(Name::new(name).expect("a good name").as_str(), name);
    }
    assert_eq!(cell_refused(3, 0), Refused::new(code::BAD_NAME, 0, 0));
    assert_eq!(
        cell_refused(6, 0x41),
        Refused::new(code::BAD_NAME, 0, 0),
        "nothing may hide behind the name's end"
    );
}

#[test]
fn a_buffer_that_is_too_short_is_refused_with_the_length_it_needs() {
    let needed = cell_bytes(&cell("rtos")).len();
    for length in 0..needed {
        let refused = cell("rtos").encode(&mut vec![0; length]);
        assert_eq!(
            refused,
            Err(Refused::new(code::BAD_LENGTH, length as u64, needed as u64))
        );
    }
}

#[test]
fn the_largest_blobs_fit() {
    let full = CellConfig {
        cpus: [Mpidr::default(); MAX_CPUS].into(),
        memory: [crate::board::memory(0, Placement::At(Hpa(0)), 4096); MAX_MEMORY].into(),
        devices: [crate::board::device(0, 0, 4096); MAX_DEVICES].into(),
        spis: [Spi::new(32).unwrap(); MAX_SPIS].into(),
        ..cell("rtos")
    };
    let bytes = cell_bytes(&full);
    assert_eq!(CellConfig::decode(&bytes), Ok(full));
    assert!(MAX_SIZE as u64 <= bulkhead_abi::enter::MAILBOX_SIZE);
}

#[test]
fn the_configs_are_small_enough_for_the_stacks_of_el2() {
    assert!(
        size_of::<SystemConfig>() <= 2048,
        "{}",
        size_of::<SystemConfig>()
    );
    assert!(
        size_of::<CellConfig>() <= 2048,
        "{}",
        size_of::<CellConfig>()
    );
}

#[test]
fn a_heartbeat_wants_a_period_and_a_comm_page() {
    let page = crate::board::memory(0x4000_0000, Placement::Pool, PAGE_SIZE);
    let heartbeat = |period_ms| Heartbeat {
        period_ms,
        restarts: 3,
    };
    let plain = cell("rtos");
    let mut good = cell("rtos");
    good.memory.push(page);
    good.heartbeat = heartbeat(10);
    assert_eq!(CellConfig::decode(&cell_bytes(&good)), Ok(good.clone()));
    assert_eq!((good.ram().len(), good.comm()), (1, Some(page.gpa)));
    assert_eq!((plain.ram().len(), plain.comm()), (1, None));
    let refused =
        |config: &CellConfig| CellConfig::decode(&cell_bytes(config)).map_err(|r| r.code());
    for period_ms in [0, 9, 3_600_001, u32::MAX] {
        let config = CellConfig {
            heartbeat: heartbeat(period_ms),
            ..good.clone()
        };
        assert_eq!(refused(&config), Err(code::BAD_CONTENT), "{period_ms}");
    }
    let no_page = CellConfig {
        heartbeat: heartbeat(10),
        ..plain
    };
    assert_eq!(refused(&no_page), Err(code::BAD_CONTENT));
    let only_page = CellConfig {
        memory: [page].into_iter().collect(),
        ..no_page
    };
    assert_eq!(refused(&only_page), Err(code::BAD_CONTENT));
    good.memory[1].size = 2 * PAGE_SIZE;
    assert_eq!(refused(&good), Err(code::BAD_CONTENT));
}

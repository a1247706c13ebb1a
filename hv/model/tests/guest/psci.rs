//! Every power call, on every state of a world of three CPUs of the caller's and one that is foreign.

use bulkhead_model::id::{CellId, CpuId, Mpidr};
use bulkhead_model::psci::{
    ALREADY_ON, Call, CpuPower, DENIED, Decision, INVALID_ADDRESS, INVALID_PARAMETERS,
    NOT_SUPPORTED, ON_PENDING, SUCCESS, Target, View, answer,
};

const RAM: u64 = 0x4000_0000;
const POWERS: [CpuPower; 3] = [CpuPower::Off, CpuPower::OnPending, CpuPower::On];
const FOREIGN: u64 = 3;
const ABSENT: u64 = 4;

struct World {
    caller: CellId,
    power: [CpuPower; 3],
}

impl View for World {
    fn find(&self, affinity: Mpidr) -> Option<Target> {
        match affinity.get() {
            FOREIGN if self.caller == CellId::ROOT => Some(Target::Foreign),
            number @ 0..3 => {
                let number = usize::try_from(number).unwrap();
                Some(Target::Own {
                    cpu: CpuId::new(number).unwrap(),
                    power: self.power[number],
                })
            }
            _ => None,
        }
    }

    fn is_entry(&self, address: u64) -> bool {
        (RAM..RAM + 0x1000).contains(&address)
    }
}

fn cell() -> CellId {
    CellId::new(1).unwrap()
}

/// All states of three CPUs, for root and for a cell.
fn worlds() -> impl Iterator<Item = World> {
    let states = (0..27).map(|n| [POWERS[n % 3], POWERS[n / 3 % 3], POWERS[n / 9]]);
    states.flat_map(|power| [CellId::ROOT, cell()].map(|caller| World { caller, power }))
}

fn call(world: &World, registers: [u64; 4]) -> Decision {
    answer(Call::decode(registers).unwrap(), world.caller, world)
}

fn value(world: &World, registers: [u64; 4]) -> i64 {
    match call(world, registers) {
        Decision::Return(value) => value,
        other => panic!("{registers:x?}: {other:?}"),
    }
}

#[test]
fn cpu_on_in_every_state() {
    const HIGH: u64 = 0xdead_0000_0000_0000;
    for world in worlds() {
        for number in 0..3 {
            let cpu = CpuId::new(number).unwrap();
            let n = number as u64;
            let outside = match world.power[number] {
                CpuPower::On => ALREADY_ON,
                CpuPower::OnPending => ON_PENDING,
                CpuPower::Off => INVALID_ADDRESS,
            };
            assert_eq!(value(&world, [0xc400_0003, n, RAM - 4, 0]), outside);
            let started = |context| match world.power[number] {
                CpuPower::On => Decision::Return(ALREADY_ON),
                CpuPower::OnPending => Decision::Return(ON_PENDING),
                CpuPower::Off => Decision::TurnOn {
                    cpu,
                    entry: RAM,
                    context,
                },
            };
            assert_eq!(
                call(&world, [0xc400_0003, n, RAM, HIGH | 7]),
                started(HIGH | 7)
            );
            assert_eq!(
                call(&world, [HIGH | 0x8400_0003, HIGH | n, HIGH | RAM, HIGH | 7]),
                started(7)
            );
        }
        let foreign = if world.caller == CellId::ROOT {
            DENIED
        } else {
            INVALID_PARAMETERS
        };
        assert_eq!(value(&world, [0xc400_0003, FOREIGN, RAM, 0]), foreign);
        for absent in [ABSENT, 1 << 8, 1 << 32, 1 << 31, 1 << 40, HIGH] {
            assert_eq!(
                value(&world, [0xc400_0003, absent, RAM, 0]),
                INVALID_PARAMETERS,
                "{absent:#x}"
            );
        }
    }
}

#[test]
fn affinity_info_in_every_state() {
    for world in worlds() {
        for (number, power) in (0..).zip(world.power) {
            let expected = match power {
                CpuPower::On => 0,
                CpuPower::Off => 1,
                CpuPower::OnPending => 2,
            };
            assert_eq!(value(&world, [0xc400_0004, number, 0, 0]), expected);
            assert_eq!(
                value(&world, [0x8400_0004, number | 1 << 32, 1 << 32, 0]),
                expected
            );
            assert_eq!(
                value(&world, [0xc400_0004, number, 1, 0]),
                INVALID_PARAMETERS
            );
            assert_eq!(
                value(&world, [0xc400_0004, number, 1 << 32, 0]),
                INVALID_PARAMETERS
            );
        }
        let foreign = if world.caller == CellId::ROOT {
            1
        } else {
            INVALID_PARAMETERS
        };
        assert_eq!(value(&world, [0xc400_0004, FOREIGN, 0, 0]), foreign);
        assert_eq!(
            value(&world, [0xc400_0004, ABSENT, 0, 0]),
            INVALID_PARAMETERS
        );
    }
}

#[test]
fn what_does_not_depend_on_the_state() {
    for world in worlds() {
        let is_root = world.caller == CellId::ROOT;
        let own = |decision| if is_root { Decision::Forward } else { decision };
        assert_eq!(value(&world, [0x8400_0000, 0, 0, 0]), 0x1_0001);
        assert_eq!(call(&world, [0x8400_0002, 0, 0, 0]), Decision::TurnOff);
        assert_eq!(value(&world, [0x8400_0006, 0, 0, 0]), 2);
        assert_eq!(
            call(&world, [0x8400_0008, 0, 0, 0]),
            own(Decision::SystemOff)
        );
        assert_eq!(
            call(&world, [0x8400_0009, 0, 0, 0]),
            own(Decision::SystemReset)
        );
        for suspend in [0x8400_0001, 0xc400_0001] {
            assert_eq!(call(&world, [suspend, 0x1_0000, RAM, 0]), Decision::Standby);
            assert_eq!(call(&world, [suspend, 0, 0, 0]), Decision::Standby);
        }
        for machine in [
            0x8400_0012,
            0xc400_0012,
            0x8400_0013,
            0x8400_0014,
            0xc400_0014,
        ] {
            assert_eq!(
                call(&world, [machine, 0, 0, 0]),
                own(Decision::Return(NOT_SUPPORTED))
            );
        }
        let suspended = if is_root { DENIED } else { NOT_SUPPORTED };
        assert_eq!(value(&world, [0xc400_000e, RAM, 0, 0]), suspended);
    }
}

#[test]
fn features_tell_what_is_served() {
    let served = [
        0x8400_0000,
        0x8400_0001,
        0xc400_0001,
        0x8400_0002,
        0x8400_0003,
        0xc400_0003,
        0x8400_0004,
        0xc400_0004,
        0x8400_0006,
        0x8400_0008,
        0x8400_0009,
        0x8400_000a,
    ];
    let machine = [
        0x8400_0012,
        0xc400_0012,
        0x8400_0013,
        0x8400_0014,
        0xc400_0014,
        0x8000_0000,
    ];
    for world in worlds() {
        let ids = (0..0x40).flat_map(|number| [0x8400_0000 | number, 0xc400_0000 | number]);
        for id in ids.chain([0x8000_0000, 0x8000_8000, 0, 0xc200_0000]) {
            let decision = call(&world, [0x8400_000a, 0xdead_0000_0000_0000 | id, 0, 0]);
            let expected = if served.contains(&id) {
                Decision::Return(SUCCESS)
            } else if machine.contains(&id) && world.caller == CellId::ROOT {
                Decision::Forward
            } else if id == 0x8000_0000 {
                Decision::Return(SUCCESS)
            } else {
                Decision::Return(NOT_SUPPORTED)
            };
            assert_eq!(decision, expected, "{id:#x}");
        }
    }
}

#[test]
fn unknown_calls_are_not_supported_and_foreign_ones_are_not_pscis() {
    let world = World {
        caller: cell(),
        power: [CpuPower::On; 3],
    };
    for id in [
        0x8400_0005,
        0x8400_0007,
        0x8400_000b,
        0x8400_000f,
        0x8400_001f,
        0xc400_0000,
        0xc400_0002,
    ] {
        assert_eq!(value(&world, [id, 0, 0, 0]), NOT_SUPPORTED, "{id:#x}");
    }
    for id in [
        0x8400_0020,
        0x8400_0050,
        0x8500_0000,
        0x0400_0000,
        0xc600_4200,
        0,
    ] {
        assert_eq!(Call::decode([id, 0, 0, 0]), None, "{id:#x}");
    }
}

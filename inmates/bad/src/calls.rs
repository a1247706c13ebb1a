//! Calls to firmware and hypervisor that are not the cell's to make.

use bulkhead_abi::call;
use inmate_rt::attempt::{self, Exception};
use inmate_rt::psci::{
    PSCI_CPU_DEFAULT_SUSPEND_32, PSCI_CPU_DEFAULT_SUSPEND_64, PSCI_CPU_FREEZE, PSCI_CPU_OFF,
    PSCI_CPU_SUSPEND_32, PSCI_CPU_SUSPEND_64, PSCI_SYSTEM_OFF, PSCI_SYSTEM_RESET,
    PSCI_SYSTEM_RESET2_32, PSCI_SYSTEM_RESET2_64, PSCI_SYSTEM_SUSPEND_32, PSCI_SYSTEM_SUSPEND_64,
};
use inmate_rt::{Hvc, println, psci};

/// Calls that, rightly made, end or suspend this cell: not made here.
const ENDING: [u32; 12] = [
    PSCI_CPU_OFF,
    PSCI_CPU_SUSPEND_32,
    PSCI_CPU_SUSPEND_64,
    PSCI_CPU_FREEZE,
    PSCI_CPU_DEFAULT_SUSPEND_32,
    PSCI_CPU_DEFAULT_SUSPEND_64,
    PSCI_SYSTEM_OFF,
    PSCI_SYSTEM_RESET,
    PSCI_SYSTEM_RESET2_32,
    PSCI_SYSTEM_RESET2_64,
    PSCI_SYSTEM_SUSPEND_32,
    PSCI_SYSTEM_SUSPEND_64,
];

/// NOT_SUPPORTED of SMCCC.
const NOT_SUPPORTED: u64 = u64::MAX;
const NOT_SUPPORTED_32: u64 = 0xffff_ffff;

/// Asks PSCI for the CPUs 0 to 63, and for some with other affinities; says which were given. Those start outside of this
/// cell's RAM and so take nothing but their own cell along.
pub fn start_every_cpu() {
    const NOWHERE: u64 = 0;
    let others = [0x100, 0x1_0000, 0x1_0000_0000, 0x8000_0000, u64::MAX];
    let (mut asked, mut started) = (0, 0);
    for cpu in (0..64).chain(others) {
        asked += 1;
        if psci::cpu_on::<Hvc>(cpu, NOWHERE, 0).is_ok() {
            started += 1;
            println!("bad: cpu-on {cpu:#x}: started");
        }
    }
    println!("bad: cpu-on: asked for {asked}, {started} started");
}

/// Makes calls of every service that there is, then random ones, by HVC and SMC, and counts the answers.
pub fn make_up() {
    let mut tally = Tally::default();
    for service in 0..0x100_u32 {
        for number in [0, 1, 2, 0x3f, 0x4200, 0xff00, 0xff01, 0xff03, 0xffff] {
            tally.call(service << 24 | number);
        }
    }
    for number in call::VERSION..=call::CELL_WAIT + 4 {
        tally.call(number);
    }
    let mut random = 0x2545_f491_u32;
    for _ in 0..2000 {
        random ^= random << 13;
        random ^= random >> 17;
        random ^= random << 5;
        tally.call(random);
    }
    println!("bad: smc: {tally:?}");
    match attempt::hvc_strange([0; 4]) {
        Ok(x) => println!("bad: smc: HVC with an immediate: {:#x}", x[0]),
        Err(Exception { esr, .. }) => {
            println!("bad: smc: HVC with an immediate: exception, ESR {esr:#x}")
        }
    }
}

#[derive(Debug, Default)]
struct Tally {
    calls: u32,
    not_supported: u32,
    other_answers: u32,
    exceptions: u32,
}

impl Tally {
    /// Makes a call by HVC and by SMC, with arguments that no call likes.
    fn call(&mut self, function: u32) {
        if ENDING.contains(&function) {
            return;
        }
        let x = [u64::from(function), u64::MAX, 0xdead_0000, 0x4000_0001];
        for answer in [attempt::hvc(x), attempt::smc(x)] {
            self.calls += 1;
            match answer {
                Ok([NOT_SUPPORTED | NOT_SUPPORTED_32, ..]) => self.not_supported += 1,
                Ok(_) => self.other_answers += 1,
                Err(_) => self.exceptions += 1,
            }
        }
    }
}

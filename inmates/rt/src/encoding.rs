//! System registers and instructions by their encoding, which the program makes up: instructions written at run time.
//!
//! One rule: only what can confuse nothing of Rust's memory. Reads are; writes are, of registers that translate nothing.

use core::sync::atomic::{AtomicU32, Ordering};

use aarch64_cpu::asm::barrier;

use crate::attempt::{Exception, attempt};

/// `op0 << 14 | op1 << 11 | CRn << 7 | CRm << 3 | op2`, op0 being 1 to 3.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Encoding(u32);

/// In a page without data that is written otherwise: emulators look at each store to a page with code.
#[repr(C, align(4096))]
struct Code([AtomicU32; 1024]);

/// The instruction that is made, and one that goes back to x6.
static CODE: Code = Code([const { AtomicU32::new(0) }; 1024]);
const BR_X6: u32 = 0xd61f_00c0;
const MSR: u32 = 0xd500_0000;
const READ: u32 = 1 << 21;

impl Encoding {
    /// From the fields of the manual's "Accessing" table.
    pub const fn new(op0: u32, op1: u32, crn: u32, crm: u32, op2: u32) -> Self {
        Self(op0 << 14 | op1 << 11 | crn << 7 | crm << 3 | op2)
    }

    /// All of an op0.
    pub fn all(op0: u32) -> impl Iterator<Item = Self> {
        (0..1 << 14).map(move |rest| Self(op0 << 14 | rest))
    }

    /// CRn.
    pub fn crn(self) -> u32 {
        self.0 >> 7 & 0xf
    }

    /// op1: which exception level's it is.
    pub fn op1(self) -> u32 {
        self.0 >> 11 & 7
    }

    /// Those that the architecture leaves to the CPU's maker.
    pub fn is_implementation_defined(self) -> bool {
        matches!(self.crn(), 11 | 15)
    }

    /// Those of debug and trace.
    fn is_debug(self) -> bool {
        self.0 >> 14 == 2
    }

    /// Those that EL2 and EL3 have for themselves.
    pub fn is_of_higher_levels(self) -> bool {
        self.0 >> 14 == 3 && matches!(self.op1(), 4..=6)
    }

    /// Tells whether it can be read.
    pub fn is_readable(&self) -> bool {
        self.read().is_ok()
    }

    /// Tells whether 0 can be written to it, and writes it.
    pub fn is_writable(&self) -> bool {
        self.write_zero().is_some_and(|result| result.is_ok())
    }

    /// MRS.
    ///
    /// # Errors
    /// The exception that it raised.
    pub fn read(self) -> Result<u64, Exception> {
        make(MSR | READ | self.0 << 5);
        run(0)
    }

    /// MSR of 0; of registers where that is known to do no harm, and `None` of others.
    pub fn write_zero(self) -> Option<Result<u64, Exception>> {
        if !(self.is_implementation_defined() || self.is_debug() || self.is_of_higher_levels()) {
            return None;
        }
        make(MSR | self.0 << 5);
        Some(run(0))
    }
}

fn make(instruction: u32) {
    CODE.0[0].store(instruction, Ordering::Relaxed);
    CODE.0[1].store(BR_X6, Ordering::Relaxed);
    let _ = attempt!(
        "dc cvau, x0\ndsb ish\nic ivau, x0\ndsb ish\nisb",
        [CODE.0.as_ptr() as u64, 0, 0, 0]
    );
    barrier::isb(barrier::SY); // What is fetched next is the new one.
}

/// x0 before and after.
fn run(x0: u64) -> Result<u64, Exception> {
    attempt!(
        "adr x6, 2002f\nbr x1\n2002:",
        [x0, CODE.0.as_ptr() as u64, 0, 0]
    )
    .map(|x| x[0])
}

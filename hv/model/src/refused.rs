//! The answer "no": a code of `abi::code` with its two details. Nothing has changed when it is given.
//!
//! One rule: every code has its own text, which names the thing, its value, the reason and, where there is one, the remedy.

use core::fmt;
use core::num::NonZero;

use bulkhead_abi::code::{self, feature};
use bulkhead_abi::info::state;

/// Why something was refused. What `a` and `b` mean is said at the code in [`bulkhead_abi::code`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Refused {
    /// Never 0, so that a `Result` needs no word of its own to tell.
    code: NonZero<i64>,
    /// First detail.
    pub a: u64,
    /// Second detail.
    pub b: u64,
}

impl Refused {
    /// Makes one.
    pub const fn new(code: i64, a: u64, b: u64) -> Self {
        let code = match NonZero::new(code) {
            Some(code) => code,
            None => NonZero::<i64>::MAX, // as any number that is no code
        };
        Self { code, a, b }
    }

    /// Positive number from [`bulkhead_abi::code`].
    pub const fn code(&self) -> i64 {
        self.code.get()
    }
}

/// Bytes, in the largest unit that divides them.
struct Bytes(u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => write!(f, "0 bytes"),
            n if n % (1 << 30) == 0 => write!(f, "{} GiB", n >> 30),
            n if n % (1 << 20) == 0 => write!(f, "{} MiB", n >> 20),
            n if n % (1 << 10) == 0 => write!(f, "{} KiB", n >> 10),
            n => write!(f, "{n} bytes"),
        }
    }
}

/// A CPU by its affinity.
struct Cpu(u64);

impl fmt::Display for Cpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CPU {:#x} (MPIDR)", self.0)
    }
}

/// A Linux errno, which comes as a positive or as a sign-extended negative number.
struct Errno(u64);

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "errno {}", self.0.cast_signed().unsigned_abs())
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fmt_call_or_blob(f)
    }
}

/// One group of codes each; what a group does not have is handed to the next.
impl Refused {
    fn fmt_call_or_blob(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (code, a, b) = (self.code(), self.a, self.b);
        match code {
            code::PENDING => write!(f, "the work is still under way: ask again"),
            code::NOT_SUPPORTED => {
                write!(f, "call {a:#x} does not exist or is not for this caller")
            }
            code::BAD_ARGUMENT => write!(f, "argument {a} of the call is out of range: {b:#x}"),
            code::WRONG_STATE => write!(f, "not possible while the state is \"{}\"", state_name(a)),
            code::NO_SUCH_CELL => write!(f, "there is no cell {a}: see `bulkhead cell list`"),
            code::BAD_MAGIC => write!(
                f,
                "the blob starts with {a:#018x}, which is not the magic number of its kind"
            ),
            code::BAD_VERSION => write!(
                f,
                "the blob has version {a}, the hypervisor knows {b}: use `bulkhead`, module and image of one build"
            ),
            code::BAD_LENGTH => write!(
                f,
                "the blob's length is wrong: {a} bytes where {b} are wanted"
            ),
            code::BAD_CONTENT => write!(
                f,
                "the blob is malformed: {b:#x} at offset {a} means nothing"
            ),
            code::TOO_MANY => write!(
                f,
                "a list has {a} entries, more than the {b} there is room for"
            ),
            _ => self.fmt_memory(f),
        }
    }

    fn fmt_memory(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (code, a, b) = (self.code(), self.a, self.b);
        match code {
            code::UNALIGNED => {
                write!(
                    f,
                    "the region at {a:#x} ({}) is not made of whole, aligned pages of 4 KiB",
                    Bytes(b)
                )
            }
            code::WRAPS => {
                write!(
                    f,
                    "the region at {a:#x} with size {b:#x} goes beyond the end of the physical address space"
                )
            }
            code::EMPTY => write!(f, "the region at {a:#x} is empty: give it a size"),
            code::OVERLAPS_ITSELF => write!(
                f,
                "the regions at {a:#x} and at {b:#x} overlap: move one of them"
            ),
            code::MEMORY_OF_CELL => write!(
                f,
                "memory at {a:#x} belongs to cell {b}: leave the address out"
            ),
            code::MEMORY_OF_HYPERVISOR => {
                write!(
                    f,
                    "memory at {a:#x} belongs to the hypervisor itself: leave the address out"
                )
            }
            code::MEMORY_OF_LINUX => write!(
                f,
                "memory at {a:#x} belongs to Linux: only memory of Bulkhead's pool can be given to a cell; \
                 leave the address out or raise `bulkhead enable --memory` or the reservation"
            ),
            code::MEMORY_ABSENT => write!(f, "there is no RAM at {a:#x}: leave the address out"),
            code::DEVICE_IN_RAM => write!(
                f,
                "the device window covers {a:#x}, which is RAM and not a device"
            ),
            code::DEVICE_IS_GIC => {
                write!(
                    f,
                    "{a:#x} is the interrupt controller, which every cell has already: leave it out"
                )
            }
            code::POOL_FULL => write!(
                f,
                "{} of contiguous memory is wanted, the pool's largest free range is {}: \
                 destroy a cell or raise `bulkhead enable --memory` or the reservation",
                Bytes(a),
                Bytes(b)
            ),
            code::DEVICE_OF_CELL => write!(
                f,
                "the device at {a:#x} belongs to cell {b}: destroy that one first"
            ),
            code::NO_RAM => write!(f, "the cell has no memory: give it at least one region"),
            _ => self.fmt_cpu_spi_name(f),
        }
    }

    fn fmt_cpu_spi_name(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (code, a, b) = (self.code(), self.a, self.b);
        match code {
            code::NO_SUCH_CPU => write!(f, "{} does not exist on this board", Cpu(a)),
            code::CPU_OF_CELL => write!(
                f,
                "{} belongs to cell {b}: choose another or destroy that one",
                Cpu(a)
            ),
            code::CPU_OF_LINUX => write!(
                f,
                "{} is still used by Linux: take it offline first",
                Cpu(a)
            ),
            code::LAST_CPU => write!(
                f,
                "{} is the last one that Linux has: leave it to Linux",
                Cpu(a)
            ),
            code::CPU_TWICE => write!(f, "{} is listed twice", Cpu(a)),
            code::NO_SUCH_SPI => write!(
                f,
                "interrupt {a} is not a shared peripheral interrupt of this board"
            ),
            code::SPI_OF_CELL => write!(
                f,
                "interrupt {a} belongs to cell {b}: destroy that one first"
            ),
            code::NAME_TAKEN if a == 0 => {
                write!(f, "\"root\" is the name of the root cell: choose another")
            }
            code::NAME_TAKEN => write!(
                f,
                "cell {a} has this name already: choose another or destroy that one"
            ),
            code::BAD_NAME => {
                write!(
                    f,
                    "a cell's name is 1 to 31 letters, digits, '-', '_' or '.', and starts with a letter or digit"
                )
            }
            code::NO_CELL_SLOT => write!(
                f,
                "all {a} cells there is room for exist (root is one): destroy one first"
            ),
            code::IMAGE_OUTSIDE => write!(
                f,
                "{} at guest address {a:#x} do not fit the cell's memory",
                Bytes(b)
            ),
            code::ENTRY_OUTSIDE => write!(f, "the entry point {a:#x} is not in the cell's memory"),
            code::RELEASE_OUTSIDE => write!(
                f,
                "{} waits at {b:#x} by the board's device tree (cpu-release-addr), which is not RAM of Linux's",
                Cpu(a)
            ),
            code::NO_CPU => write!(f, "no CPU is listed: give at least one"),
            code::SPI_TWICE => write!(f, "interrupt {a} is listed twice"),
            _ => self.fmt_hypervisor(f),
        }
    }

    fn fmt_hypervisor(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (code, a, b) = (self.code(), self.a, self.b);
        match code {
            code::HV_MEMORY_TOO_SMALL => {
                write!(
                    f,
                    "the hypervisor was given {}, it needs {}",
                    Bytes(a),
                    Bytes(b)
                )
            }
            code::HV_PAGES_EXHAUSTED => write!(
                f,
                "the hypervisor needs {a} pages more and has {b} left: disable, then enable with a larger `--hv-memory`"
            ),
            code::UNSUPPORTED_CPU | code::UNSUPPORTED_GIC => fmt_feature(a, b, f),
            code::CPU_MISSING => write!(f, "{} did not join: nothing was enabled", Cpu(a)),
            code::CELLS_EXIST => write!(f, "cells exist still ({a}): destroy them first"),
            code::CPU_SILENT => write!(f, "{} does not answer: its cell is cut off", Cpu(a)),
            code::INJECTED => write!(f, "failed at step {a}, as the test asked"),
            code::PANICKED => write!(
                f,
                "the hypervisor has met a bug of its own: `bulkhead log` shows it; reboot"
            ),
            code::PREPARE_EXCEPTION => write!(
                f,
                "nothing answers at {b:#x} (ESR_EL2 {a:#x}): the board's device tree names registers that are not there"
            ),
            _ => self.fmt_module(f),
        }
    }

    fn fmt_module(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (code, a, b) = (self.code(), self.a, self.b);
        match code {
            code::ALREADY_ENABLED => write!(f, "Bulkhead is enabled already"),
            code::NOT_ENABLED => write!(f, "Bulkhead is not enabled: `bulkhead enable` first"),
            code::KERNEL_AT_EL2 => write!(
                f,
                "the kernel itself runs at EL2 (VHE): boot it with `kvm-arm.mode=nvhe kvm-arm.mode=none`, \
                 both, in this order"
            ),
            code::NO_EL2 => write!(
                f,
                "the kernel was not started at EL2: the firmware or boot loader has to do that"
            ),
            code::NO_MEMORY => write!(
                f,
                "Linux has no {} of contiguous memory left ({}): ask for less, or reserve it in the device tree",
                Bytes(a),
                Errno(b)
            ),
            code::NO_IMAGE => {
                write!(
                    f,
                    "the hypervisor's image /lib/firmware/bulkhead.bin cannot be read ({})",
                    Errno(a)
                )
            }
            code::BAD_IMAGE => write!(
                f,
                "/lib/firmware/bulkhead.bin is not an image for this module: found {a:#x}, wanted {b:#x}"
            ),
            code::CPU_OFFLINE_FAILED => {
                write!(f, "Linux did not give its CPU {a} up ({})", Errno(b))
            }
            code::CPU_ONLINE_FAILED => {
                write!(f, "Linux did not take its CPU {a} back ({})", Errno(b))
            }
            code::INTERRUPTED => write!(f, "interrupted by a signal"),
            code::RESERVED_IS_RAM => write!(
                f,
                "the reserved memory at {a:#x} is still RAM of Linux: give its node the property `no-map`"
            ),
            code::NOT_NOW => write!(
                f,
                "not while the machine goes down or sleeps, nor after a CPU did not leave the hypervisor: reboot"
            ),
            code::PROTECTED_KVM => write!(
                f,
                "protected KVM holds EL2 until the next boot: boot with `kvm-arm.mode=none`"
            ),
            _ => self.fmt_unknown(f),
        }
    }

    /// For a number that another version may have sent.
    fn fmt_unknown(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "code {} ({:#x}, {:#x}), which this version does not know",
            self.code, self.a, self.b
        )
    }
}

fn state_name(number: u64) -> &'static str {
    usize::try_from(number)
        .ok()
        .and_then(|n| state::NAMES.get(n).copied())
        .unwrap_or("unknown")
}

fn fmt_feature(number: u64, found: u64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match number {
        feature::ROOT_MASKS_BY_PRIORITY => write!(
            f,
            "Linux masks interrupts by priority (pseudo-NMI; ICC_PMR_EL1 is {found:#x}): \
             boot without `irqchip.gicv3_pseudo_nmi=1`"
        ),
        feature::NO_REDISTRIBUTOR => write!(
            f,
            "no redistributor of the interrupt controller is for {}",
            Cpu(found)
        ),
        feature::NO_SYSTEM_REGISTERS => {
            write!(
                f,
                "the interrupt controller's system registers are off (ICC_SRE_EL2 is {found:#x})"
            )
        }
        feature::NO_4K_GRANULE => {
            write!(
                f,
                "the CPU has no 4 KiB pages at EL2 or in stage 2 (ID_AA64MMFR0_EL1 is {found:#x})"
            )
        }
        feature::NO_MAINTENANCE => f.write_str(
            "the interrupt controller has no maintenance interrupt, which interrupts = \"listed\" needs",
        ),
        feature::NOT_GICV3 => write!(
            f,
            "the interrupt controller is no GICv3 (GICD_PIDR2 is {found:#x})"
        ),
        feature::NOT_GICV2 => write!(
            f,
            "the interrupt controller is no GICv2 (GICC_IIDR is {found:#x})"
        ),
        _ => write!(f, "the hardware lacks feature {number} (found {found:#x})"),
    }
}

//! Hypercalls: `hvc #0`, SMCCC 64-bit fast calls, vendor-specific hypervisor service (owner 6; Arm DEN 0028).
//!
//! x0 = function, x1.. = arguments. Answer: x0 = 0 or a positive result, or a negative code of [`crate::code`] with
//! its details in x1 and x2. Numbers start at 0x4200 because a live KVM host uses 0 and up for itself.

const fn vendor64(number: u32) -> u32 {
    0xc600_0000 | number
}

/// Anyone: returns [`crate::ABI_VERSION`]; the cheapest hypercall.
pub const VERSION: u32 = vendor64(0x4200);
/// Root: all CPUs have joined; Bulkhead is enabled.
pub const COMMIT: u32 = vendor64(0x4201);
/// Root: before the `LEAVE`s: refuses while cells exist, sends CPUs parked at EL2 back to firmware.
/// May answer [`crate::code::PENDING`]: call again.
pub const DISABLE: u32 = vendor64(0x4202);
/// Root: this CPU leaves; EL2 is as it was found before `ENTER_JOIN`.
pub const LEAVE: u32 = vendor64(0x4203);
/// Root: x1 = length of the cell blob in the mailbox. Returns the cell's id, in bits 11:0, and the physical address of its console
/// ([`crate::console`]), which is a page's, or 0. The cell's RAM is then being zeroed (state `CREATING`).
pub const CELL_CREATE: u32 = vendor64(0x4204);
/// Root: x1 = cell, x2 = guest physical address, x3 = length: copies the mailbox into the cell's RAM.
pub const CELL_LOAD: u32 = vendor64(0x4205);
/// Root: x1 = cell, x2 = entry point, perhaps with [`LOADED_ONCE`], x3 = value of x0 there: loading is complete.
pub const CELL_LOADED: u32 = vendor64(0x4206);
/// Bit of x2 of [`CELL_LOADED`], entry points being multiples of four: the image cannot start again with its RAM as it is. A
/// reset stops the cell; root loads anew and starts it.
pub const LOADED_ONCE: u64 = 1;
/// Root: x1 = cell. Returns after how many milliseconds to call [`CELL_WATCH`]; 0: not at all.
pub const CELL_START: u32 = vendor64(0x4207);
/// Root: x1 = cell. May answer `PENDING`: call again.
pub const CELL_STOP: u32 = vendor64(0x4208);
/// Root: x1 = cell. May answer `PENDING`: call again. Stops it first when it runs; its RAM is zeroed. Once it has been answered, an
/// access to what was the cell's console is an external abort.
pub const CELL_DESTROY: u32 = vendor64(0x4209);
/// Root: x1 = cell. Returns 0 when no work is under way for it (RAM zeroed, CPUs stopped), else `PENDING`.
pub const CELL_WAIT: u32 = vendor64(0x420a);
/// Root: looks at the hearts of all running cells, and after cells that are stopping. Returns after how many milliseconds to
/// call again; 0: not until a cell is started.
pub const CELL_WATCH: u32 = vendor64(0x420b);
/// Anyone: returns the guest address of the caller's comm page ([`crate::comm`]); `NOT_SUPPORTED` when it has none.
pub const COMM_ADDRESS: u32 = vendor64(0x420c);

/// SMCCC: number of vendor hypervisor calls.
pub const UID_QUERY: u32 = 0x8600_ff01;
/// SMCCC: revision of the vendor hypervisor service; answers major in w0, minor in w1.
pub const REVISION_QUERY: u32 = 0x8600_ff03;
/// The answer to [`UID_QUERY`] in w0..w3.
pub const UID: [u32; 4] = [0x6b6c_7562, 0x6461_6568, 0x4d8c_3b1f, 0x92f0_7a51];

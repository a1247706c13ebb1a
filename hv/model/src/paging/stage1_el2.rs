//! Attributes of leaves of EL2's own stage 1 (Arm ARM DDI 0487, "Stage 1 block and page descriptor attributes"; the
//! translation regime has one privilege level, `HCR_EL2.E2H` is 0).

/// MAIR attribute of Normal memory: outer and inner write-back, non-transient, allocating.
pub const INDEX_NORMAL: u64 = 0;
/// MAIR attribute of Device-nGnRE memory.
pub const INDEX_DEVICE: u64 = 1;
/// MAIR attribute of Device-nGnRnE memory.
pub const INDEX_DEVICE_STRICT: u64 = 2;
/// Value for `MAIR_EL2`.
pub const MAIR: u64 =
    0xff << (8 * INDEX_NORMAL) | 0x04 << (8 * INDEX_DEVICE) | 0x00 << (8 * INDEX_DEVICE_STRICT);

const NORMAL: u64 = INDEX_NORMAL << 2;
/// AP\[1\] is RES1 with one privilege level.
const AP_RES1: u64 = 1 << 6;
/// AP\[2\].
const READ_ONLY: u64 = 1 << 7;
const INNER_SHAREABLE: u64 = 0b11 << 8;
/// AF: else the first access would fault.
const ACCESSED: u64 = 1 << 10;
const EXECUTE_NEVER: u64 = 1 << 54;

const NORMAL_MEMORY: u64 = NORMAL | AP_RES1 | INNER_SHAREABLE | ACCESSED;

/// Our instructions: read and run.
pub const CODE: u64 = NORMAL_MEMORY | READ_ONLY;
/// Our constants: read.
pub const RODATA: u64 = NORMAL_MEMORY | READ_ONLY | EXECUTE_NEVER;
/// All other memory: read and write.
pub const DATA: u64 = NORMAL_MEMORY | EXECUTE_NEVER;
/// Device registers: read and write.
pub const DEVICE: u64 = INDEX_DEVICE << 2 | AP_RES1 | ACCESSED | EXECUTE_NEVER;
/// Device registers that are accessed for guests: never weaker than what a guest may have asked for.
pub const DEVICE_STRICT: u64 = INDEX_DEVICE_STRICT << 2 | AP_RES1 | ACCESSED | EXECUTE_NEVER;

//! Attributes of stage-2 leaves (Arm ARM DDI 0487, "Stage 2 block and page descriptor attributes"; `HCR_EL2.FWB` is 0).

/// MemAttr\[3:0\]: Normal, outer and inner write-back cacheable. Stage 1 may make it weaker or Device, never stronger.
const NORMAL: u64 = 0b1111 << 2;
/// MemAttr\[3:0\]: Normal, outer and inner Non-cacheable. Stage 1 may make it Device, never cacheable.
const NON_CACHEABLE: u64 = 0b0101 << 2;
/// MemAttr\[3:0\]: Device-nGnRE. Stage 1 may make it nGnRnE.
const DEVICE: u64 = 0b0001 << 2;
/// S2AP: read.
const READ: u64 = 0b01 << 6;
/// S2AP: write.
const WRITE: u64 = 0b10 << 6;
/// SH: inner shareable, as all CPUs that Linux runs on are.
const INNER_SHAREABLE: u64 = 0b11 << 8;
/// AF: else the first access would fault.
const ACCESSED: u64 = 1 << 10;
/// XN: no instruction fetch from EL1 or EL0. Its other bit (FEAT_XNX) stays 0.
const EXECUTE_NEVER: u64 = 1 << 54;

const NORMAL_MEMORY: u64 = NORMAL | INNER_SHAREABLE | ACCESSED;

/// A cell's RAM, and all that is root's: root's stage 1 says what is a device.
pub const NORMAL_RWX: u64 = NORMAL_MEMORY | READ | WRITE;
/// The shared read-only area, for root.
pub const NORMAL_RO: u64 = NORMAL_MEMORY | READ | EXECUTE_NEVER;
/// Memory to exchange, never to run.
pub const NORMAL_RW_XN: u64 = NORMAL_MEMORY | READ | WRITE | EXECUTE_NEVER;
/// Memory that a cell and root exchange, as both see it: none of them can hide it in a cache. Non-cacheable memory is always
/// outer shareable.
pub const NON_CACHEABLE_RW_XN: u64 = NON_CACHEABLE | READ | WRITE | ACCESSED | EXECUTE_NEVER;
/// A cell's device. Shareability of Device memory is fixed: outer.
pub const DEVICE_RW: u64 = DEVICE | READ | WRITE | ACCESSED | EXECUTE_NEVER;

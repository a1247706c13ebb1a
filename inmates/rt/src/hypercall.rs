//! Hypercalls of Bulkhead that any cell may make.

use bulkhead_abi::call;

/// Tells whether the hypervisor below, if there is one that answers `hvc`, is Bulkhead.
pub fn is_bulkhead() -> bool {
    smccc::hvc32(call::UID_QUERY, [0; 7])[..4] == call::UID
}

/// Returns the version of Bulkhead's ABI.
pub fn version() -> u64 {
    smccc::hvc64(call::VERSION, [0; 17])[0]
}

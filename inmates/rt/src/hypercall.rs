//! Hypercalls of Bulkhead that any cell may make.

use bulkhead_abi::call;

use crate::attempt;

/// Tells whether the hypervisor below is Bulkhead. Without any, HVC is undefined, which is an answer as well.
pub fn is_bulkhead() -> bool {
    let answer = attempt::hvc([u64::from(call::UID_QUERY), 0, 0, 0]);
    answer.is_ok_and(|x| {
        x.iter()
            .zip(call::UID)
            .all(|(got, wanted)| *got & 0xffff_ffff == u64::from(wanted))
    })
}

/// The guest address of the comm page, as the hypervisor says; `None` when there is none.
pub fn comm_address() -> Option<u64> {
    let [address, ..] = attempt::hvc([u64::from(call::COMM_ADDRESS), 0, 0, 0]).ok()?;
    address.cast_signed().is_positive().then_some(address)
}

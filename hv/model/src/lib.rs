//! Every decision of Bulkhead: who owns what, what a trap means, what a call answers.
//!
//! One rule: functions of values that return values. No register, no memory access, no `unsafe`; so everything here
//! is tested on the host. `hv/el2` acts on the answers, the command line makes the same checks before EL2 hears of a thing.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod addr;
pub mod blob;
pub mod cell;
pub mod features;
pub mod heart;
pub mod id;
pub mod ledger;
pub mod paging;
pub mod psci;
pub mod refused;
pub mod smccc;
pub mod trap;
pub mod vgic;

//! What guests do to the machine: translation, traps, power calls, interrupt controller.

mod features;
mod kick;
mod paging;
mod paging_property;
mod psci;
mod sgi;
mod smccc;
mod table_memory;
mod trap;
mod vgic_distributor;
mod vgic_listed;
mod vgic_redistributor;
mod vgic_v2;

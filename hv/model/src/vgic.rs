//! Who may do what to the interrupt controller (Arm GICv3, IHI 0069).
//!
//! One rule: an access turns into physical accesses to the caller's own interrupts, and to nothing else.

pub mod sgi;

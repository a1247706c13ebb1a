//! Bulkhead's EL2 image. What it is and how it is entered: hv/README.md; the contract: hv/abi.
//!
//! One rule: decisions are made in `bulkhead-model`; here they are carried out.
#![no_std]
#![no_main]

mod board;
mod boot;
mod cells;
mod console;
mod context;
mod enable;
mod fast;
mod firmware;
mod gate;
mod gic;
mod gicv2;
mod guest;
mod handle;
mod heart;
mod hypercall;
mod info;
mod intid;
mod layout;
mod life;
mod listed;
mod lock;
mod log;
mod mmio;
mod pages;
mod panic;
mod parts;
mod pen;
mod percpu;
mod power;
mod registers;
mod root;
mod run;
mod stop;
mod sysreg;
mod system;
mod vgic;
mod vgicv2;

core::arch::global_asm!(include_str!("vectors.S"), include_str!("entry.S"));

const _: () = assert!(
    bulkhead_abi::ABI_VERSION == 1,
    "entry.S has the version in the image's header"
);

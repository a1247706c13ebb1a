//! The EL2 image.
#![no_std]
#![no_main]

//! Build script of every inmate: links it by `inmate.ld`, at the default address of a cell's RAM.

/// All of it.
pub fn main() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../rt/inmate.ld");
    println!("cargo:rerun-if-changed={script}");
    println!("cargo:rustc-link-arg-bins=-T{script}");
    println!("cargo:rustc-link-arg-bins=-zmax-page-size=4096");
}

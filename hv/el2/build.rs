//! Hands the linker its script, and defmt's.

fn main() {
    let folder = std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR");
    println!("cargo:rustc-link-arg-bins=-T{folder}/image.ld");
    println!("cargo:rustc-link-arg-bins=-Tdefmt.x");
    // Position independent; the entry code applies the relocations, also to read-only data.
    println!("cargo:rustc-link-arg-bins=-pie");
    println!("cargo:rustc-link-arg-bins=--no-dynamic-linker");
    println!("cargo:rustc-link-arg-bins=-znotext");
    println!("cargo:rustc-link-arg-bins=-znorelro");
    println!("cargo:rustc-link-arg-bins=--pack-dyn-relocs=relr");
    println!("cargo:rustc-link-arg-bins=--build-id=sha1");
    // defmt records of this level and above exist; the macros read it when they expand.
    println!("cargo:rustc-env=DEFMT_LOG=info");
    println!("cargo:rerun-if-changed=image.ld");
    println!("cargo:rerun-if-changed=build.rs");
}

//! Links it as every inmate, but for its entry point.

#[path = "../rt/link.rs"]
mod link;

fn main() {
    link::main();
    println!("cargo:rustc-link-arg-bins=-estate_start");
}

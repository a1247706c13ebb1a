//! `bulkhead`: the command line.

fn main() {}

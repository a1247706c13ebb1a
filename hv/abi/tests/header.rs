//! `abi.h` says the same as the Rust side: every `#define` and every field of every structure.
//!
//! The C compiler is asked, not a parser of ours: a program made from the header's own list of names and from the Rust
//! structures' lists of fields prints what C makes of them.

use bulkhead_abi::enter::inject;
use bulkhead_abi::{ABI_VERSION, MAX_CELLS, call, code, console, enter, ioctl};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::mem::{offset_of, size_of};
use std::path::{Path, PathBuf};
use std::process::Command;

const HEADER: &str = include_str!("../abi.h");

/// Returns every constant that the header may define, by the header's name.
fn constants() -> BTreeMap<String, u64> {
    macro_rules! named {
        ($prefix:literal, $module:ident, $($name:ident)*) => {
            vec![$((concat!($prefix, stringify!($name)).to_owned(), u64::from($module::$name))),*]
        };
    }
    let mut all = BTreeMap::new();
    all.extend(named!("BULKHEAD_CALL_", call, COMMIT DISABLE LEAVE));
    all.extend(
        named!("BULKHEAD_CALL_", call, CELL_CREATE CELL_LOAD CELL_LOADED CELL_START CELL_STOP),
    );
    all.extend(named!("BULKHEAD_CALL_", call, CELL_DESTROY CELL_WAIT CELL_WATCH));
    all.extend(
        named!("BULKHEAD_", enter, IMAGE_MAGIC HV_ALIGN MAILBOX_SIZE ENTER_PREPARE ENTER_JOIN),
    );
    all.extend(named!("BULKHEAD_INJECT_", inject, MODULE_LATE));
    all.extend(
        named!("BULKHEAD_IOCTL_", ioctl, STATUS ENABLE DISABLE CELL_CREATE CELL_LOAD CELL_LOADED),
    );
    all.extend(named!("BULKHEAD_IOCTL_", ioctl, CELL_START CELL_STOP CELL_DESTROY));
    all.extend(
        code::ALL
            .iter()
            .map(|(name, value)| (format!("BULKHEAD_CODE_{name}"), value.unsigned_abs())),
    );
    all.extend(named!("BULKHEAD_CONSOLE_", console, SIZE));
    all.insert("BULKHEAD_ABI_VERSION".to_owned(), u64::from(ABI_VERSION));
    all.insert("BULKHEAD_MAX_CELLS".to_owned(), MAX_CELLS as u64);
    all
}

/// Returns C expressions about the structures, each with the value that it must have.
fn layouts() -> BTreeMap<String, u64> {
    fn size_of_field<T, F>(_: fn(&T) -> &F) -> u64 {
        size_of::<F>() as u64
    }
    let mut all = BTreeMap::new();
    macro_rules! layout {
        ($rust:path, $c:literal, $($field:ident)*) => {
            // Does not compile when a field is missing from the list.
            let _ = |value: $rust| { let $rust { $($field: _),* } = value; };
            all.insert(format!("sizeof(struct {})", $c), size_of::<$rust>() as u64);
            $(
                let field = stringify!($field);
                all.insert(format!("offsetof(struct {}, {field})", $c), offset_of!($rust, $field) as u64);
                all.insert(format!("sizeof(((struct {} *)0)->{field})", $c), size_of_field(|v: &$rust| &v.$field));
            )*
        };
    }
    layout!(enter::ImageHeader, "bulkhead_image_header", magic abi_version entry file_size memory_size);
    layout!(enter::EnterArgs, "bulkhead_enter_args", magic hv_base hv_size pool_base pool_size blob_size inject
        inject_mpidr pen);
    layout!(ioctl::Answer, "bulkhead_answer", code a b);
    layout!(ioctl::Status, "bulkhead_status", abi_version enabled shared_size reserved_base reserved_size has_el2
        current_el);
    layout!(ioctl::Enable, "bulkhead_enable", answer blob blob_size hv_size pool_size inject inject_mpidr);
    layout!(ioctl::CellCreate, "bulkhead_cell_create", answer blob blob_size linux_cpus);
    layout!(ioctl::CellLoad, "bulkhead_cell_load", answer cell gpa bytes size);
    layout!(ioctl::CellLoaded, "bulkhead_cell_loaded", answer cell entry argument);
    layout!(ioctl::CellCommand, "bulkhead_cell_command", answer cell);
    all
}

/// Returns the words that follow `keyword` at the start of the header's lines, less the include guard.
fn header_names(keyword: &str) -> BTreeSet<String> {
    let name = |line: &str| {
        Some(
            line.strip_prefix(keyword)?
                .split_whitespace()
                .next()?
                .to_owned(),
        )
    };
    HEADER
        .lines()
        .filter_map(name)
        .filter(|name| name != "BULKHEAD_ABI_H")
        .collect()
}

/// Returns the value that C gives to each expression. The program is called `program`.
fn values_in_c(program: &str, expressions: &BTreeSet<String>) -> BTreeMap<String, u64> {
    let mut code = String::from(
        "#include \"abi.h\"\n#include <stddef.h>\n#include <stdio.h>\nint main(void)\n{\n",
    );
    for expression in expressions {
        writeln!(
            code,
            "printf(\"{expression}\\t%llu\\n\", (unsigned long long)({expression}));"
        )
        .unwrap();
    }
    code.push_str("return 0;\n}\n");
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let (source, binary) = (folder.join(format!("{program}.c")), folder.join(program));
    std::fs::write(&source, code).unwrap();
    let compiled = Command::new("gcc")
        .args([
            "-Wall",
            "-Wextra",
            "-Werror",
            "-I",
            env!("CARGO_MANIFEST_DIR"),
            "-o",
        ])
        .args([Path::new(&binary), &source])
        .status()
        .expect("gcc is needed for this test");
    assert!(
        compiled.success(),
        "abi.h does not have what the Rust side has"
    );
    let output = Command::new(&binary).output().unwrap();
    let parse = |line: &str| {
        let (expression, value) = line.split_once('\t').unwrap();
        (expression.to_owned(), value.parse().unwrap())
    };
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(parse)
        .collect()
}

#[test]
fn every_number_of_the_header_is_the_rust_one() {
    let defined = header_names("#define ");
    assert!(defined.len() > 40, "found only {defined:?}");
    let mut expected = constants();
    expected.retain(|name, _| defined.contains(name) || !name.starts_with("BULKHEAD_CODE_"));
    assert_eq!(values_in_c("numbers", &defined), expected);
}

#[test]
fn every_structure_of_the_header_is_laid_out_as_the_rust_one() {
    let expected = layouts();
    for name in header_names("struct ") {
        assert!(
            expected.contains_key(&format!("sizeof(struct {name})")),
            "{name} is not compared"
        );
    }
    assert_eq!(
        values_in_c("layouts", &expected.keys().cloned().collect()),
        expected
    );
}

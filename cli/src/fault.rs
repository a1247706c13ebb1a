//! A cell's last fault in words: which CPU did what to which thing of whom, in which function.

use bulkhead_abi::info::{FaultRecord, fault};
use serde_json::{Value, json};

use crate::symbols::Symbols;

/// What is known of the place of a fault besides the record.
#[derive(Clone, Copy, Debug)]
pub struct Scene<'a> {
    /// The cell.
    pub cell: &'a str,
    /// The CPU, as the board's tree names it.
    pub cpu: &'a str,
    /// What is at the address, and whose.
    pub place: &'a str,
    /// The functions of what the cell runs.
    pub symbols: &'a Symbols,
}

/// Returns the name of a kind.
pub fn kind_name(kind: u32) -> &'static str {
    fault::NAMES
        .get(kind as usize)
        .copied()
        .unwrap_or("unknown fault")
}

/// Names the exception class (Arm ARM DDI 0487, `ESR_EL2`, "EC").
pub fn class_name(esr: u64) -> &'static str {
    match esr >> 26 & 0x3f {
        0x00 => "unknown reason",
        0x01 => "WFI or WFE",
        0x07 => "FP or SIMD",
        0x0e => "illegal execution state",
        0x15 | 0x16 => "supervisor or hypervisor call",
        0x17 => "secure monitor call",
        0x18 => "system register",
        0x20 | 0x21 => "instruction abort",
        0x22 => "misaligned PC",
        0x24 | 0x25 => "data abort",
        0x26 => "misaligned SP",
        0x2f => "SError",
        _ => "other",
    }
}

/// Returns how many bytes a data abort is about (DDI 0487, "ISS encoding for an exception from a Data Abort", SAS);
/// `None` where the syndrome does not say (ISV).
fn access_size(esr: u64) -> Option<u64> {
    let is_data = matches!(esr >> 26 & 0x3f, 0x24 | 0x25);
    (is_data && esr >> 24 & 1 == 1).then(|| 1 << (esr >> 22 & 3))
}

/// Says what was done: `write of 4 bytes to`, with the size where it is known.
pub fn deed(kind: u32, esr: Option<u64>) -> String {
    let size = match esr.and_then(access_size) {
        Some(1) => " of 1 byte".to_owned(),
        Some(size) => format!(" of {size} bytes"),
        None => String::new(),
    };
    match kind {
        fault::READ => format!("read{size} from"),
        fault::WRITE => format!("write{size} to"),
        fault::FETCH => "instruction fetch from".to_owned(),
        fault::UNDECODABLE => "access that cannot be decoded to".to_owned(),
        kind => format!("{} at", kind_name(kind)),
    }
}

/// Says where in the software something happened: `pc 0x40000b3c (main+0x1c)`.
pub fn pc(pc: u64, symbols: &Symbols) -> String {
    match symbols.name(pc) {
        Some(name) => format!("pc {pc:#010x} ({name})"),
        None => format!("pc {pc:#010x}"),
    }
}

/// Says it all in one line.
pub fn sentence(fault: &FaultRecord, scene: &Scene<'_>) -> String {
    let Scene {
        cell,
        cpu,
        place,
        symbols,
    } = scene;
    let address = match fault.ipa {
        u64::MAX if fault.kind == fault::UNHANDLED => {
            let class = class_name(fault.esr);
            return format!(
                "cell {cell}, {cpu}: unhandled exception ({class}) at {}",
                pc(fault.pc, symbols)
            );
        }
        u64::MAX => "an unknown address".to_owned(),
        ipa => format!("{ipa:#010x} ({place})"),
    };
    let deed = deed(fault.kind, Some(fault.esr));
    format!(
        "cell {cell}, {cpu}: {deed} {address} at {}",
        pc(fault.pc, symbols)
    )
}

/// Says it all in lines, with the registers.
pub fn lines(fault: &FaultRecord, scene: &Scene<'_>) -> Vec<String> {
    let mut lines = vec![
        format!("  last fault: {}", sentence(fault, scene)),
        format!(
            "    ESR_EL2 {:#x} ({}), FAR_EL2 {:#x}, SPSR_EL2 {:#x}",
            fault.esr,
            class_name(fault.esr),
            fault.far,
            fault.spsr
        ),
    ];
    for (row, values) in fault.x.chunks(4).enumerate() {
        let cells = values
            .iter()
            .enumerate()
            .map(|(i, value)| format!("x{:<2} {value:016x}", row * 4 + i));
        lines.push(format!("    {}", cells.collect::<Vec<_>>().join("  ")));
    }
    lines
}

/// The record for programs; null when there was no fault.
pub fn to_json(fault: &FaultRecord) -> Value {
    if fault.kind == fault::NONE {
        return Value::Null;
    }
    json!({
        "kind": kind_name(fault.kind), "cpu": fault.cpu, "pc": fault.pc, "ipa": (fault.ipa != u64::MAX).then_some(fault.ipa),
        "size": access_size(fault.esr), "esr": fault.esr, "class": class_name(fault.esr), "far": fault.far,
        "spsr": fault.spsr, "x": fault.x,
    })
}

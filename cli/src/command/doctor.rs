//! `doctor`: whether this machine can run Bulkhead, each obstacle with its remedy, and what is not isolated on it.

use std::path::Path;

use serde_json::json;

use super::Context;
use crate::board::Board;
use crate::device::Device;
use crate::error::Error;
use crate::finding::{Finding, Weight, good, note, problem};
use crate::health;
use crate::linux::Linux;
use crate::live;
use crate::report::{Bytes, Report};

/// Examines this machine, or only a board's tree.
///
/// # Errors
/// The tree cannot be read.
pub fn doctor(context: &Context, board: Option<&Path>) -> Result<Report, Error> {
    let linux = &context.linux;
    let mut findings = Vec::new();
    if board.is_none() {
        findings.extend(module(linux));
        findings.extend(health::linux(linux));
    }
    let read = match Board::read(board) {
        // A machine without a device tree gets to know the rest nevertheless.
        Err(error) if board.is_none() => {
            findings.push(problem(
                "device tree",
                error.to_string(),
                "boot with a device tree instead of ACPI: acpi=off, where the firmware has one",
            ));
            return Ok(report(&findings));
        }
        read => read?,
    };
    let here = board.is_none().then_some(linux);
    findings.extend(health::board(&read, here));
    Ok(report(&findings))
}

/// Puts findings into words.
pub fn report(findings: &[Finding]) -> Report {
    let lines: Vec<String> = findings.iter().map(Finding::to_string).collect();
    let json = findings.iter().map(|f| {
        json!({
            "weight": f.weight.name(), "subject": f.subject, "text": f.text,
            "remedy": (!f.remedy.is_empty()).then_some(&f.remedy),
        })
    });
    Report {
        has_problem: findings.iter().any(|f| f.weight == Weight::Problem),
        ..Report::new(lines.join("\n"), json.collect())
    }
}

fn module(linux: &Linux) -> Vec<Finding> {
    let opened = Device::open().and_then(|device| device.status().map(|status| (device, status)));
    let (device, status) = match opened {
        Ok(opened) => opened,
        Err(Error::NoModule) => {
            return vec![health::missing_module(linux), health::started_at(linux)];
        }
        Err(error) => {
            let remedy = "install module, hypervisor and command from one build, then: rmmod bulkhead && modprobe bulkhead";
            return vec![problem("module", error.to_string(), remedy)];
        }
    };
    let enabled = match status.enabled {
        0 => "loaded, of this command's version; Bulkhead is not enabled",
        _ => "loaded, of this command's version; Bulkhead is enabled",
    };
    let el2 = match (status.enabled, status.current_el, status.has_el2) {
        (1.., ..) => good("EL2", "Bulkhead's"),
        (_, 2, _) => problem(
            "EL2",
            "the kernel itself runs at EL2 (VHE)",
            "boot with `kvm-arm.mode=nvhe kvm-arm.mode=none`, both, in this order",
        ),
        (_, _, 0) => problem(
            "EL2",
            "nothing answers at EL2",
            "have firmware or boot loader start the kernel there (QEMU: -M virt,virtualization=on)",
        ),
        _ => good("EL2", "the kernel was started at EL2 and runs at EL1"),
    };
    let reserved = match status.reserved_size {
        0 => note(
            "reserved",
            "no memory is reserved: `enable` takes it from Linux",
            "in production reserve it in the board's tree: board-configs/README.md, \"Memory\"",
        ),
        size => good(
            "reserved",
            format!(
                "{} at {:#x} are reserved for Bulkhead",
                Bytes(size),
                status.reserved_base
            ),
        ),
    };
    let mut findings = vec![good("module", enabled), el2, reserved];
    if let (true, Ok(info)) = (status.enabled != 0, live::read(&device)) {
        let states = super::enable::security_states(&info);
        findings.push(match info.security_states {
            1 => good("interrupts", states),
            _ => note(
                "interrupts",
                states,
                "what leads there: hv/README.md, \"Known weaknesses\"",
            ),
        });
    }
    findings
}

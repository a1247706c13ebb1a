//! `doctor`: whether this machine can run Bulkhead, each obstacle with its remedy, and what is not isolated on it.

use std::path::Path;

use bulkhead_model::blob::Conduit;
use serde_json::json;

use super::Context;
use crate::board::Board;
use crate::device::Device;
use crate::error::Error;
use crate::linux::Linux;
use crate::report::{Bytes, Report};

/// How a finding weighs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Weight {
    /// As it should be.
    Good,
    /// Works, but know it.
    Note,
    /// Stands in the way.
    Problem,
}

struct Finding {
    weight: Weight,
    subject: &'static str,
    text: String,
}

fn good(subject: &'static str, text: impl Into<String>) -> Finding {
    Finding {
        weight: Weight::Good,
        subject,
        text: text.into(),
    }
}

fn note(subject: &'static str, text: impl Into<String>) -> Finding {
    Finding {
        weight: Weight::Note,
        subject,
        text: text.into(),
    }
}

fn problem(subject: &'static str, text: impl Into<String>) -> Finding {
    Finding {
        weight: Weight::Problem,
        subject,
        text: text.into(),
    }
}

/// Examines this machine, or only a board's tree.
///
/// # Errors
/// The tree cannot be read.
pub fn doctor(context: &Context, board: Option<&Path>) -> Result<Report, Error> {
    let linux = &context.linux;
    let mut findings = Vec::new();
    if board.is_none() {
        findings.extend(module());
        findings.extend([
            kvm(linux),
            pseudo_nmi(linux),
            cpus(linux),
            memory(linux),
            image(linux),
        ]);
    }
    findings.extend(firmware(&Board::read(board)?));
    let has_problem = findings
        .iter()
        .any(|finding| finding.weight == Weight::Problem);
    let lines = findings.iter().map(|f| {
        let mark = match f.weight {
            Weight::Good => "ok  ",
            Weight::Note => "note",
            Weight::Problem => "FAIL",
        };
        format!("{mark} {:<11} {}", f.subject, f.text)
    });
    let text = lines.collect::<Vec<_>>().join("\n");
    let json = findings.iter().map(|f| {
        let weight = format!("{:?}", f.weight).to_lowercase();
        json!({ "weight": weight, "subject": f.subject, "text": f.text })
    });
    Ok(Report {
        has_problem,
        ..Report::new(text, json.collect())
    })
}

fn module() -> Vec<Finding> {
    let status = match Device::open().and_then(|device| device.status()) {
        Ok(status) => status,
        Err(error) => return vec![problem("module", error.to_string())],
    };
    let mut findings = vec![good(
        "module",
        if status.enabled == 0 {
            "loaded, Bulkhead is not enabled"
        } else {
            "Bulkhead is enabled"
        },
    )];
    findings.push(match (status.current_el, status.has_el2) {
        (2, _) => problem("EL2", "the kernel itself runs at EL2 (VHE): boot with `kvm-arm.mode=nvhe kvm-arm.mode=none`, both, in this order"),
        (_, 0) => problem("EL2", "nothing answers at EL2: firmware or boot loader must start the kernel there (QEMU: virtualization=on)"),
        _ => good("EL2", "the kernel was started at EL2 and runs at EL1"),
    });
    if status.reserved_size != 0 {
        findings.push(good(
            "reserved",
            format!(
                "{} at {:#x} are reserved for Bulkhead",
                Bytes(status.reserved_size),
                status.reserved_base
            ),
        ));
    } else {
        findings.push(note("reserved", "no memory is reserved: `enable` takes it from Linux; in production reserve it (board-configs/README.md)"));
    }
    findings
}

fn kvm(linux: &Linux) -> Finding {
    let modes = linux.parameter("kvm-arm.mode");
    if modes.iter().any(|mode| mode == "protected") {
        return problem(
            "KVM",
            "kvm-arm.mode=protected holds EL2 for good: boot with kvm-arm.mode=none",
        );
    }
    if modes.last().is_some_and(|mode| mode == "none") {
        return good("KVM", "off (kvm-arm.mode=none)");
    }
    match linux.has("/dev/kvm") {
        true => note(
            "KVM",
            "uses EL2; `enable` takes it away, KVM then warns in the kernel's log and cannot run machines: boot with kvm-arm.mode=none",
        ),
        false => good("KVM", "not in use"),
    }
}

fn pseudo_nmi(linux: &Linux) -> Finding {
    let is_on = linux
        .parameter("irqchip.gicv3_pseudo_nmi")
        .last()
        .is_some_and(|v| ["1", "y", "Y", "on"].contains(&v.as_str()));
    match is_on {
        true => problem(
            "pseudo-NMI",
            "Linux masks interrupts by priority: boot without irqchip.gicv3_pseudo_nmi=1",
        ),
        false => good("pseudo-NMI", "off"),
    }
}

fn cpus(linux: &Linux) -> Finding {
    let cpus = linux.cpus();
    match cpus.iter().filter(|cpu| cpu.is_online).count() {
        0 => problem(
            "CPUs",
            "Linux shows none with a device-tree node: it was not booted with a device tree",
        ),
        1 => problem(
            "CPUs",
            "only one is online: there is none to give to a cell",
        ),
        online => good(
            "CPUs",
            format!(
                "{online} of {} online; up to {} can go to cells",
                cpus.len(),
                online - 1
            ),
        ),
    }
}

fn memory(linux: &Linux) -> Finding {
    let available = linux.text("/proc/meminfo");
    let line = available
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"));
    let kib = line
        .and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok())
        .unwrap_or(0);
    match kib {
        ..98_304 => note(
            "memory",
            format!("only {kib} KiB are available: give `enable` a smaller --memory than 64M"),
        ),
        _ => good("memory", format!("{} MiB available", kib >> 10)),
    }
}

fn image(linux: &Linux) -> Finding {
    match linux.has("/lib/firmware/bulkhead.bin") {
        true => good("image", "/lib/firmware/bulkhead.bin"),
        false => problem(
            "image",
            "/lib/firmware/bulkhead.bin is missing: install the hypervisor's image there",
        ),
    }
}

fn firmware(board: &Board) -> Vec<Finding> {
    let gic = match board.gic() {
        Ok(gic) => good("GIC", format!("version 3, {}", gic.path())),
        Err(error) => problem("GIC", error.to_string()),
    };
    let psci = match board.psci() {
        Conduit::Smc => good("PSCI", "called by smc"),
        Conduit::Hvc => problem(
            "PSCI",
            "called by hvc: another hypervisor holds EL2, or the machine has none",
        ),
        Conduit::None => problem(
            "PSCI",
            "there is none: CPUs cannot be moved (spin tables are not supported yet)",
        ),
    };
    let has_smmu = board.tree.nodes().any(|node| {
        ["arm,smmu-v3", "arm,mmu-500", "arm,smmu-v2"]
            .iter()
            .any(|name| node.is_compatible(name))
    });
    let dma = match has_smmu {
        true => {
            "NOT isolated: the board has an SMMU, this version does not program it; a device that does DMA reaches all memory"
        }
        false => {
            "NOT isolated: the board has no SMMU; a device that does DMA reaches all memory. Give away none that a cell could misuse"
        }
    };
    vec![
        gic,
        psci,
        note("DMA", dma),
        note(
            "caches",
            "NOT isolated: shared caches are not coloured; cells see each other's timing",
        ),
        note(
            "bandwidth",
            "NOT isolated: memory bandwidth is not regulated; a busy cell slows the others",
        ),
    ]
}

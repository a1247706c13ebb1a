//! What `doctor` looks at: the running Linux by what it shows, and the board by its tree.

use bulkhead_model::blob::Conduit;

use crate::board::{Board, GicRegions};
use crate::finding::{Finding, good, note, problem};
use crate::linux::Linux;
use crate::reservation::{COMPATIBLE, reservation};
use crate::tree::Node;

/// Memory that `enable` takes unless told otherwise, and some for Linux to go on, KiB.
const COMFORTABLE: u64 = 96 << 10;

/// Examines Linux.
pub fn linux(linux: &Linux) -> Vec<Finding> {
    vec![
        lockdown(linux),
        kvm(linux),
        pseudo_nmi(linux),
        cpuidle(linux),
        cpus(linux),
        memory(linux),
        image(linux),
        security_states(linux),
    ]
}

/// Examines a board, and what Linux, if it runs here, has left of it.
pub fn board(board: &Board, linux: Option<&Linux>) -> Vec<Finding> {
    let mut findings = vec![gic(board), its(board), psci(board)];
    findings.extend(spin_table(board, linux));
    findings.extend(reserved(board));
    findings.push(dma(board));
    findings.push(note(
        "caches",
        "NOT isolated: shared caches are not coloured; cells see each other's timing",
        "",
    ));
    findings.push(note(
        "bandwidth",
        "NOT isolated: memory bandwidth is not regulated; a busy cell slows the others",
        "",
    ));
    findings.push(note(
        "power",
        "NOT isolated: clocks, resets, power domains and pins stay with Linux, which may change them under a cell's device",
        "keep drivers on Linux from turning off what a cell's device needs (boot with clk_ignore_unused pd_ignore_unused)",
    ));
    findings
}

/// Says why there is no module and how to get one.
pub fn missing_module(linux: &Linux) -> Finding {
    let release = linux.text("/proc/sys/kernel/osrelease");
    let list = linux.text(&format!("/lib/modules/{release}/modules.dep"));
    match list.contains("bulkhead.ko") {
        true => problem("module", "it is not loaded", "modprobe bulkhead"),
        false => problem(
            "module",
            format!("it is not built for this kernel, {release}"),
            "in the folder loader-module: make && make modules_install && depmod, or add it to DKMS (dkms.conf is there)",
        ),
    }
}

/// Says where the kernel was started, as far as its log still has it; the module would know.
pub fn started_at(linux: &Linux) -> Finding {
    let log = linux.kernel_log();
    if log.contains("detected: Virtualization Host Extensions") && !log.contains("started at EL1") {
        let is_off = linux
            .parameter("kvm-arm.mode")
            .iter()
            .any(|mode| mode == "nvhe");
        if !is_off {
            return problem(
                "EL2",
                "the CPU has VHE, so the kernel itself runs at EL2",
                "boot with `kvm-arm.mode=nvhe kvm-arm.mode=none`, both, in this order",
            );
        }
    }
    if log.contains("started at EL1") {
        problem(
            "EL2",
            "the kernel was started at EL1",
            "have firmware or boot loader start the kernel at EL2 (QEMU: -M virt,virtualization=on)",
        )
    } else if log.contains("started at EL2") {
        good("EL2", "the kernel was started at EL2")
    } else {
        note(
            "EL2",
            "not known: the kernel's log does not tell where it was started",
            "modprobe bulkhead, then bulkhead doctor again: the module knows",
        )
    }
}

fn lockdown(linux: &Linux) -> Finding {
    let mode = linux.text("/sys/kernel/security/lockdown");
    let is_locked = mode.contains("[integrity]") || mode.contains("[confidentiality]");
    let is_enforced = linux.text("/sys/module/module/parameters/sig_enforce") == "Y";
    match is_locked || is_enforced {
        true => note(
            "lockdown",
            "the kernel takes signed modules only",
            "sign bulkhead.ko with a key that the machine trusts (mokutil --import KEY), or turn Secure Boot off",
        ),
        false => good("lockdown", "off: modules need no signature"),
    }
}

fn kvm(linux: &Linux) -> Finding {
    let modes = linux.parameter("kvm-arm.mode");
    if modes.iter().any(|mode| mode == "protected") {
        return problem(
            "KVM",
            "pKVM (kvm-arm.mode=protected) holds EL2 for good",
            "boot with kvm-arm.mode=none",
        );
    }
    if modes.last().is_some_and(|mode| mode == "none") {
        return good("KVM", "off (kvm-arm.mode=none)");
    }
    match linux.has("/dev/kvm") {
        true => note(
            "KVM",
            "uses EL2; `enable` takes it away, KVM then warns in the kernel's log and cannot run machines",
            "boot with kvm-arm.mode=none",
        ),
        false => good("KVM", "not in use"),
    }
}

fn pseudo_nmi(linux: &Linux) -> Finding {
    let values = linux.parameter("irqchip.gicv3_pseudo_nmi");
    let is_on = |value: &String| ["1", "y", "Y", "on"].contains(&value.as_str());
    match values.last().is_some_and(is_on) {
        true => problem(
            "pseudo-NMI",
            "Linux masks interrupts by priority",
            "boot without irqchip.gicv3_pseudo_nmi=1",
        ),
        false => good("pseudo-NMI", "off"),
    }
}

fn cpuidle(linux: &Linux) -> Finding {
    let driver = linux.text("/sys/devices/system/cpu/cpuidle/current_driver");
    match driver.as_str() {
        "" | "none" => good(
            "cpuidle",
            "none: idle CPUs wait where they are (WFI), which is no exit",
        ),
        driver => note(
            "cpuidle",
            format!(
                "{driver}: each deep sleep of a CPU of Linux's goes through the hypervisor to firmware"
            ),
            "where latency matters boot with cpuidle.off=1",
        ),
    }
}

fn cpus(linux: &Linux) -> Finding {
    let cpus = linux.cpus();
    match cpus.iter().filter(|cpu| cpu.is_online).count() {
        0 => problem(
            "CPUs",
            "Linux shows none with a device-tree node: it was not booted with a device tree",
            "boot with a device tree instead of ACPI",
        ),
        1 => problem(
            "CPUs",
            "only one is online: there is none to give to a cell",
            "bring others online (echo 1 > /sys/devices/system/cpu/cpu1/online), or boot without maxcpus=",
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
    let info = linux.text("/proc/meminfo");
    let line = info
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"));
    let kib = line
        .and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok())
        .unwrap_or(0);
    match kib {
        0..COMFORTABLE => note(
            "memory",
            format!("only {kib} KiB can be had"),
            "bulkhead enable --memory SIZE, with less than the usual 64M",
        ),
        _ => good(
            "memory",
            format!(
                "{} MiB can be had, in one piece as far as Linux finds one",
                kib >> 10
            ),
        ),
    }
}

fn image(linux: &Linux) -> Finding {
    match linux.has("/lib/firmware/bulkhead.bin") {
        true => good("image", "/lib/firmware/bulkhead.bin"),
        false => problem(
            "image",
            "/lib/firmware/bulkhead.bin is missing",
            "install the hypervisor's image, target/dist/bulkhead.bin of the build, there",
        ),
    }
}

/// Linux tells of the GIC's security states once, when it starts (drivers/irqchip/irq-gic-v3.c).
fn security_states(linux: &Linux) -> Finding {
    let log = linux.kernel_log();
    if log.contains("GICD_CTLR.DS=1") {
        good("GIC states", "one security state")
    } else if log.contains("GICD_CTLR.DS=0") {
        note(
            "GIC states",
            "two security states: firmware keeps the more urgent interrupts",
            "nothing, unless `bulkhead enable` says so",
        )
    } else {
        note(
            "GIC states",
            "not known: the kernel's log does not tell",
            "bulkhead enable, which asks the GIC itself",
        )
    }
}

fn gic(board: &Board) -> Finding {
    match board.gic() {
        Ok(gic) => match board.gic_regions() {
            Ok(GicRegions::V3 { .. }) => good("GIC", format!("version 3, {}", gic.path())),
            Ok(GicRegions::V2 { .. }) => good("GIC", format!("version 2, {}", gic.path())),
            Err(error) => problem("GIC", error.to_string(), "correct the board's tree"),
        },
        Err(error) => problem(
            "GIC",
            error.to_string(),
            "none: another board is needed (QEMU: -M virt)",
        ),
    }
}

fn its(board: &Board) -> Finding {
    let nodes = board.tree.nodes();
    let found = nodes.filter(|node| node.is_compatible("arm,gic-v3-its") && node.is_enabled());
    let paths: Vec<String> = found.map(Node::path).collect();
    match paths.is_empty() {
        true => good("ITS", "none"),
        false => note(
            "ITS",
            format!(
                "{}: message interrupts (LPIs) stay Linux's",
                paths.join(", ")
            ),
            "give cells devices with wired interrupts only",
        ),
    }
}

fn psci(board: &Board) -> Finding {
    match board.psci() {
        Conduit::Smc => good("PSCI", "called by smc"),
        Conduit::Hvc => problem(
            "PSCI",
            "called by hvc: another hypervisor holds EL2, or the machine has none",
            "run on the machine itself (QEMU: -M virt,virtualization=on)",
        ),
        Conduit::None if spin_table(board, None).is_some() => {
            note("PSCI", "there is none: CPUs come by a spin table", "")
        }
        Conduit::None => problem(
            "PSCI",
            "there is none: CPUs cannot be moved",
            "use firmware with PSCI (Trusted Firmware-A)",
        ),
    }
}

/// Looks at CPUs that no firmware starts or takes back; `linux` is none where only a board's tree is looked at.
fn spin_table(board: &Board, linux: Option<&Linux>) -> Option<Finding> {
    let cpus = board.cpus().unwrap_or_default();
    let waiting: Vec<_> = cpus
        .iter()
        .filter(|cpu| board.release(cpu).is_some())
        .collect();
    let last = waiting.last()?;
    let remedy = format!("boot Linux with nr_cpus={}", cpus.len() - 1);
    let Some(linux) = linux else {
        let text = format!(
            "{} CPUs, up to {}, have no PSCI: cells get those that Linux never had",
            waiting.len(),
            last.node.path()
        );
        return Some(note("spin table", text, remedy));
    };
    let linux = linux.cpus();
    let untouched = waiting
        .iter()
        .filter(|cpu| linux.iter().all(|linux| linux.mpidr != cpu.mpidr));
    let paths: Vec<String> = untouched.map(|cpu| cpu.node.path()).collect();
    Some(match paths.is_empty() {
        true => problem(
            "spin table",
            "no CPU can go to a cell: Linux has all of them, and without PSCI it cannot give any up",
            format!("{remedy} (or fewer): the others are for cells"),
        ),
        false => good(
            "spin table",
            format!(
                "{} wait for cells; Linux keeps the others",
                paths.join(", ")
            ),
        ),
    })
}

/// Looks at the reserved nodes that are meant for Bulkhead.
fn reserved(board: &Board) -> Vec<Finding> {
    let nodes = board.tree.nodes();
    let ours = nodes.filter(|node| node.is_compatible(COMPATIBLE));
    ours.map(|node| {
        let path = node.path();
        match (node.property("no-map"), node.property("reusable")) {
            (Some(_), None) => match reservation(board) {
                Ok(_) => good("reservation", format!("{path} is Bulkhead's alone")),
                Err(error) => problem(
                    "reservation",
                    error.to_string(),
                    "correct the overlay that reserves it, and boot again",
                ),
            },
            (None, _) => problem(
                "reservation",
                format!("{path} has no `no-map`: Linux maps it and uses it"),
                format!("add the property `no-map;` to {path}, and boot again"),
            ),
            (Some(_), Some(_)) => problem(
                "reservation",
                format!("{path} is `reusable`: Linux uses it"),
                format!("remove the property `reusable` from {path}, and boot again"),
            ),
        }
    })
    .collect()
}

/// Whatever stands between devices and memory has this property, Arm's SMMU or another (binding "iommu").
fn dma(board: &Board) -> Finding {
    let is_iommu = |node: &Node<'_>| node.property("#iommu-cells").is_some() && node.is_enabled();
    let iommu = board.tree.nodes().find(is_iommu);
    let text = match iommu {
        Some(iommu) => format!(
            "NOT isolated: the board has an SMMU or another IOMMU ({}), this version does not program it; a device that \
             does DMA reaches all memory",
            iommu.path()
        ),
        None => "NOT isolated: the board has no SMMU; a device that does DMA reaches all memory"
            .to_owned(),
    };
    note(
        "DMA",
        text,
        "give cells no device that does DMA and that they could misuse",
    )
}

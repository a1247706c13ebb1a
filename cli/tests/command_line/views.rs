//! What is shown of a running machine: the map, faults and logs by name, rates, and what `doctor` finds.

use bulkhead_abi::info::{CpuInfo, FaultRecord, Info, exit, fault, state};
use bulkhead_cli::board::Board;
use bulkhead_cli::command::Context;
use bulkhead_cli::command::doctor::report;
use bulkhead_cli::command::new::ask;
use bulkhead_cli::command::overview::after;
use bulkhead_cli::command::top::draw;
use bulkhead_cli::device::info_of;
use bulkhead_cli::fault::{Scene, sentence};
use bulkhead_cli::finding::Weight;
use bulkhead_cli::health;
use bulkhead_cli::linux::Linux;
use bulkhead_cli::log::Entry;
use bulkhead_cli::log_names::Names;
use bulkhead_cli::machine::Machine;
use bulkhead_cli::map::{Device, Map};
use bulkhead_cli::map_picture::draw as picture;
use bulkhead_cli::offer::{Offer, Wish};
use bulkhead_cli::store::Store;
use bulkhead_cli::symbols::Symbols;
use bulkhead_cli::top::Rates;
use bulkhead_model::addr::{Gpa, Hpa, Region};
use bulkhead_model::blob::{
    CellConfig, Delivery, DeviceConfig, Heartbeat, MemoryConfig, Name, Placement, SystemConfig,
};
use bulkhead_model::id::{Mpidr, Spi};
use bulkhead_model::ledger::Ledger;
use ratatui::Terminal;
use ratatui::backend::TestBackend;

use crate::support::{board, folder};

/// Virt with a hypervisor at its end and the cell 'rtos': CPU 3, 16 MiB and the second UART.
fn machine() -> (Machine, SystemConfig) {
    let board = Board::read(Some(&board("virt"))).unwrap();
    let system = board.system(&board.ram().unwrap(), |_| true).unwrap();
    let hv = Region::pages(Hpa(0x7b00_0000), 0x8_0000).unwrap();
    let pool = Region::pages(Hpa(0x7b08_0000), 0x400_0000).unwrap();
    let mut ledger = Ledger::new(&system, hv, Some(pool), 52).unwrap();
    let memory = MemoryConfig {
        gpa: Gpa(0x4000_0000),
        placement: Placement::Pool,
        size: 0x100_0000,
    };
    let uart = DeviceConfig {
        gpa: Gpa(0x0904_0000),
        hpa: Hpa(0x0904_0000),
        size: 0x1000,
    };
    let claim = ledger
        .prepare_create(
            &CellConfig {
                name: Name::new("rtos").unwrap(),
                cpus: [Mpidr::from_bits(3)].into_iter().collect(),
                memory: [memory].into_iter().collect(),
                devices: [uart].into_iter().collect(),
                spis: [Spi::new(40).unwrap()].into_iter().collect(),
                delivery: Delivery::Direct,
                heartbeat: Heartbeat::NONE,
                console: None,
            },
            |_| true,
        )
        .unwrap();
    ledger.commit_create(&claim);
    (Machine { board, ledger }, system)
}

/// What EL2 shows of it.
fn info() -> Box<Info> {
    let mut info = info_of(&vec![0; size_of::<Info>()]).unwrap();
    info.cpu_count = 4;
    for (number, cpu) in info.cpus[..4].iter_mut().enumerate() {
        cpu.mpidr = number as u64;
    }
    info.cpus[3].cell = 1;
    info.cells[1].state = state::RUNNING;
    info.cells[1].ram_size = 0x100_0000;
    info.cells[1].name[..4].copy_from_slice(b"rtos");
    info
}

#[test]
fn the_map_says_who_has_what() {
    let (machine, system) = machine();
    let map = Map::of(&machine, &system);
    let text = map.to_text();
    assert_eq!(
        text.lines().take(13).collect::<Vec<_>>().join("\n"),
        MAP,
        "{text}"
    );
    assert!(
        text.contains("\n /pl011@9040000             0x09040000-0x09040fff  40          rtos"),
        "{text}"
    );
    assert_eq!(
        map.owners(),
        [
            "root",
            "hypervisor",
            "free for cells",
            "rtos",
            "all, filtered"
        ]
    );
    assert_eq!(map.to_json()["cpus"][3]["owner"], "rtos");
    let svg = picture(&map);
    assert_eq!(
        svg.matches("<rect").count(),
        svg.matches("</rect>").count() + 1
    );
    for wanted in [
        ">/pl011@9040000</text>",
        ">0x09040000-0x09040fff</text>",
        ">40</text>",
        ">cpu@3, 0x3</text>",
        "<title>rtos</title>",
    ] {
        assert!(svg.contains(wanted), "{wanted}: {svg}");
    }
}

#[test]
fn devices_alike_are_one_row_of_the_picture() {
    let (machine, system) = machine();
    let mut map = Map::of(&machine, &system);
    let device = |number: u32, owner: &str| Device {
        path: format!("/mmio@{:x}", 0xa00_0000 + number * 0x200),
        base: 0xa00_0000 + u64::from(number) * 0x200,
        size: 0x200,
        interrupts: vec![48 + number],
        owner: owner.to_owned(),
    };
    map.devices = (0..6).map(|number| device(number, "root")).collect();
    map.devices.push(device(6, "<&>"));
    let svg = picture(&map);
    for wanted in [
        ">/mmio@a000000 to @a000a00: 6</text>",
        ">0x0a000000-0x0a000bff</text>",
        ">48-53</text>",
        ">/mmio@a000c00</text>",
        "<title>&lt;&amp;&gt;</title>",
    ] {
        assert!(svg.contains(wanted), "{wanted}: {svg}");
    }
    assert!(!svg.contains("/mmio@a000200"), "{svg}");
}

const MAP: &str = " CPU    AFFINITY  OWNER
 cpu@0  0x0       root
 cpu@1  0x1       root
 cpu@2  0x2       root
 cpu@3  0x3       rtos

 MEMORY                 SIZE       OWNER
 0x40000000-0x7affffff  944 MiB    root
 0x7b000000-0x7b07ffff  512 KiB    hypervisor
 0x7b080000-0x7b1fffff  1536 KiB   free for cells
 0x7b200000-0x7c1fffff  16 MiB     rtos
 0x7c200000-0x7f07ffff  47616 KiB  free for cells
 0x7f080000-0x7fffffff  15872 KiB  root";

#[test]
fn places_have_names() {
    let (machine, _) = machine();
    let place = |address| machine.place(address);
    assert_eq!(place(0x0900_0004), "pl011@9000000, owned by root");
    assert_eq!(place(0x0904_0fff), "pl011@9040000, owned by rtos");
    assert_eq!(place(0x7b00_0000), "the hypervisor's own memory");
    assert_eq!(place(0x7f00_0000), "memory for cells that no cell has");
    assert_eq!(place(0x0800_0000), "intc@8000000, the interrupt controller");
    assert_eq!(
        place(0x70_0000_0000),
        "nothing in the board's tree, owned by root"
    );
    assert_eq!(place(u64::MAX), "beyond the physical address space");
    assert_eq!(machine.cpu(Mpidr::from_bits(3)), "cpu@3");
    assert_eq!(machine.cpu(Mpidr::from_bits(9)), "CPU 0x9");
}

#[test]
fn a_fault_is_a_sentence() {
    let (machine, _) = machine();
    let symbols = Symbols::from_text("40000b20 40 main\n");
    let said = |change: &dyn Fn(&mut FaultRecord)| {
        let mut record = info().cells[1].fault;
        (record.kind, record.ipa, record.pc) = (fault::WRITE, 0x0900_0004, 0x4000_0b3c);
        record.esr = 0x24 << 26 | 1 << 24 | 2 << 22;
        change(&mut record);
        let scene = Scene {
            cell: "rtos",
            cpu: &machine.cpu(Mpidr::from_bits(3)),
            place: &machine.place(record.ipa),
            symbols: &symbols,
        };
        sentence(&record, &scene)
    };
    assert_eq!(
        said(&|_| {}),
        "cell rtos, cpu@3: write of 4 bytes to 0x09000004 (pl011@9000000, owned by root) at pc 0x40000b3c (main+0x1c)"
    );
    assert_eq!(
        said(&|f| (f.kind, f.esr, f.pc) = (fault::READ, 0x24 << 26 | 1 << 24, 0x1000)),
        "cell rtos, cpu@3: read of 1 byte from 0x09000004 (pl011@9000000, owned by root) at pc 0x00001000"
    );
    assert_eq!(
        said(&|f| (f.kind, f.esr) = (fault::READ, 0x24 << 26)),
        "cell rtos, cpu@3: read from 0x09000004 (pl011@9000000, owned by root) at pc 0x40000b3c (main+0x1c)"
    );
    assert_eq!(
        said(&|f| (f.kind, f.esr, f.ipa) = (fault::UNHANDLED, 0x0e << 26, u64::MAX)),
        "cell rtos, cpu@3: unhandled exception (illegal execution state) at pc 0x40000b3c (main+0x1c)"
    );
    assert_eq!(
        said(&|f| (f.kind, f.ipa) = (fault::FETCH, 0x7b00_0000)),
        "cell rtos, cpu@3: instruction fetch from 0x7b000000 (the hypervisor's own memory) at pc 0x40000b3c (main+0x1c)"
    );
}

#[test]
fn the_log_names_what_it_numbers() {
    let (machine, _) = machine();
    let (info, store) = (info(), Store::at(&folder()));
    store
        .put_symbols("rtos", &Symbols::from_text("40000b20 40 main\n"))
        .unwrap();
    store.put_former(1, "older").unwrap();
    store.put_former(2, "plc").unwrap();
    let names = Names {
        info: &info,
        machine: Some(&machine),
        store: &store,
    };
    let said = [
        ("cell 1 destroyed", "cell 1 destroyed"),
        ("cell 1 created", "cell rtos created"),
        (
            "cell 1: CPU 3 stopped: fault 2 at 0x9000004, pc 0x40000b3c",
            "cell rtos, cpu@3: write to 0x09000004 (pl011@9000000, owned by root) at pc 0x40000b3c (main+0x1c); stopped",
        ),
        (
            "cell 1: CPU 3 stopped: fault 5 at 0xffffffffffffffff, pc 0x10",
            "cell rtos, cpu@3: unhandled exception at an unknown address at pc 0x00000010; stopped",
        ),
        (
            "root: access (1) to 0x9040000 refused, pc 0xffff800080000000",
            "root: read from 0x9040000 (pl011@9040000, owned by rtos) refused, at pc 0xffff800080000000",
        ),
        (
            "cell 1: no such GIC register",
            "cell rtos: no such GIC register",
        ),
        (
            "cell 0: no such GIC register",
            "cell 0: no such GIC register",
        ),
        ("cell 1: CPU x stopped", "cell 1: CPU x stopped"),
        // Of one that is no more, and of one before that.
        ("cell 2 destroyed", "cell 2 destroyed"),
        ("cell 2 created", "cell plc created"),
        ("cell 2 destroyed", "cell plc destroyed"),
        ("cell 3 destroyed", "cell 3 destroyed"),
        (
            "cell 99999999999999999999 created",
            "cell 99999999999999999999 created",
        ),
        ("enabled on 4 CPUs", "enabled on 4 CPUs"),
    ];
    let entry = |message: &str| Entry {
        cpu: 0,
        time: 0,
        time_text: String::new(),
        level: String::new(),
        message: message.to_owned(),
    };
    let mut entries = said.map(|(message, _)| entry(message));
    names.put(&mut entries);
    for (entry, (_, wanted)) in entries.iter().zip(said) {
        assert_eq!(entry.message, wanted);
    }
    store.forget_former().unwrap();
    assert_eq!((store.former(1), store.former(2)), (None, None));
    assert!(!store.symbols("rtos").is_empty());
}

#[test]
fn rates_are_differences() {
    let (before, mut after) = (info(), info());
    let count = |cpu: &mut CpuInfo, cause: usize, n| cpu.exits[cause] = n;
    count(&mut after.cpus[0], 0, 30);
    count(&mut after.cpus[0], 9, 1);
    count(&mut after.cpus[3], 2, 2000);
    let rates = Rates::between(&before, &after, 2.0);
    let text = rates.to_text();
    assert_eq!(text, RATES, "{text}");
    assert_eq!(rates.to_json(2.0)["cpus"][3]["by_cause"]["sgi"], 1000.0);
    // Enabled anew in between.
    assert_eq!(Rates::between(&after, &before, 0.0).cpus[3].rate, 0.0);
}

/// What `top` draws on a terminal of this size, a second after `before`.
fn drawn(before: &Info, after: &Info, (width, height): (u16, u16)) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    let rates = Rates::between(before, after, 1.0);
    terminal.draw(|frame| draw(frame, &rates)).unwrap();
    let shown = terminal.backend().to_string();
    // The backend quotes its lines.
    shown
        .lines()
        .map(|line| format!("{}\n", line.trim_matches('"').trim_end()))
        .collect()
}

#[test]
fn top_leaves_out_what_has_no_room_and_cuts_no_number() {
    let (before, mut after) = (info(), info());
    after.cpus[0].exits = core::array::from_fn(|cause| 100_000 + cause as u64);
    after.cpus[3].exits[exit::IRQ] = 1000;
    for (index, digit) in (2..8).zip(b'2'..) {
        after.cells[index] = after.cells[1];
        after.cells[index].name[4] = digit;
    }
    for (size, wanted) in [((80, 24), TOP_80), ((40, 10), TOP_40)] {
        let shown = drawn(&before, &after, size);
        assert_eq!(shown, wanted, "{shown}");
    }
    // So small that a number would be cut.
    for size in [(1, 1), (3, 3), (10, 4), (200, 2), (29, 40), (80, 7)] {
        let shown = drawn(&before, &after, size);
        assert!(
            !shown.contains(|c: char| c == '│' || c.is_ascii_digit() && !"308".contains(c)),
            "{shown}"
        );
    }
    assert_eq!(
        drawn(&before, &after, (20, 3)),
        "too small: 30x8\nwanted\n\n"
    );
    assert!(drawn(&before, &after, (30, 8)).contains("│root"));
}

const TOP_80: &str = "\
┌ cells ───────────────────────────────────────────────────────────────────────┐
│CELL  STATE   CPUS    RAM BEATS/S EXITS/S                                     │
│root  running    3      -       - 1200066                                     │
│rtos  running    1 16 MiB       -    1000                                     │
│rtos2 running    0 16 MiB       -       0                                     │
│rtos3 running    0 16 MiB       -       0                                     │
│rtos4 running    0 16 MiB       -       0                                     │
│rtos5 running    0 16 MiB       -       0                                     │
│rtos6 running    0 16 MiB       -       0                                     │
│rtos7 running    0 16 MiB       -       0                                     │
└──────────────────────────────────────────────────────────────────────────────┘
┌ CPUs ────────────────────────────────────────────────────────────────────────┐
│CPU AFFINITY CELL   EXITS EXITS/S  HVC/S  SMC/S  SGI/S GICD/S GICR/S  IRQ/S   │
│0   0x0      root 1200066 1200066 100000 100001 100002 100003 100004 100010   │
│1   0x1      root       0       0      0      0      0      0      0      0   │
│2   0x2      root       0       0      0      0      0      0      0      0   │
│3   0x3      rtos    1000    1000      0      0      0      0      0   1000   │
│                                                                              │
│                                                                              │
│                                                                              │
│                                                                              │
│                                                                              │
└ no room for columns: 6 ──────────────────────────────────────────────────────┘
q: end  Ctrl-L: draw anew
";
const TOP_40: &str = "\
┌ cells ───────────────────────────────┐
│CELL  STATE   CPUS BEATS/S EXITS/S    │
│root  running    3       - 1200066    │
│rtos  running    1       -    1000    │
└ no room for columns: 1, rows: 6 ─────┘
┌ CPUs ────────────────────────────────┐
│CPU AFFINITY CELL   EXITS EXITS/S     │
│0   0x0      root 1200066 1200066     │
└ no room for columns: 12, rows: 3 ────┘
q: end  Ctrl-L: draw anew
";

#[test]
fn hearts_are_watched() {
    let (mut before, mut after) = (info(), info());
    after.cells[1].state = state::RUNNING;
    (before.cells[1].health.beats, after.cells[1].health.beats) = (100, 108);
    let shown = |after: &Info| {
        let rates = Rates::between(&before, after, 2.0);
        (
            rates.to_json(2.0)["cells"][1]["heartbeat"].clone(),
            rates.to_text(),
        )
    };
    assert_eq!(shown(&after).0, serde_json::Value::Null);
    after.cells[1].health.heartbeat_ms = 500;
    let (json, text) = shown(&after);
    assert_eq!(json["per_second"], 4.0);
    assert!(text.contains("16 MiB      4.0     "), "{text}");
    (
        after.cells[1].health.is_stalled,
        after.cells[1].health.silent_ms,
    ) = (1, 12_345);
    let (json, text) = shown(&after);
    assert_eq!(json["stalled_ms"], 12_345);
    assert!(text.contains("stalled 12 s"), "{text}");
}

const RATES: &str = " CELL  STATE    CPUS     RAM  BEATS/S  EXITS/S
 root  running     3       -        -       16
 rtos  running     1  16 MiB        -     1000

 CPU  AFFINITY  CELL  EXITS  EXITS/S  HVC/S  SMC/S  SGI/S  GICD/S  GICR/S  SYSREG/S  RETRY/S  ABORT/S  KICK/S  OTHER/S  IRQ/S  PART/S
 0    0x0       root     31       16     15      0      0       0       0         0        0        0       0      0.5      0       0
 1    0x1       root      0        0      0      0      0       0       0         0        0        0       0        0      0       0
 2    0x2       root      0        0      0      0      0       0       0         0        0        0       0        0      0       0
 3    0x3       rtos   2000     1000      0      0   1000       0       0         0        0        0       0        0      0       0";

#[test]
fn what_can_be_done_next_depends_on_the_state() {
    let mut cell = info().cells[1];
    let mut next = |state| {
        cell.state = state;
        let steps = after("rtos", &cell).into_iter();
        steps.map(|(command, _)| command).collect::<Vec<_>>()
    };
    assert_eq!(next(state::CREATED), ["bulkhead cell load rtos IMAGE"]);
    assert_eq!(next(state::LOADED), ["bulkhead cell start rtos"]);
    assert_eq!(next(state::RUNNING), ["bulkhead cell show rtos"]);
    assert_eq!(
        next(state::FAILED),
        ["bulkhead cell show rtos", "bulkhead cell restart rtos"]
    );
    assert!(next(state::FENCED).is_empty());
}

#[test]
fn every_obstacle_comes_with_its_remedy() {
    let root = folder();
    let write = |path: &str, text: &str| {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write(
        "proc/cmdline",
        "kvm-arm.mode=protected irqchip.gicv3_pseudo_nmi=1\n",
    );
    write(
        "proc/meminfo",
        "MemTotal: 1 kB\nMemAvailable:      2048 kB\n",
    );
    write("proc/sys/kernel/osrelease", "6.12.0\n");
    write(
        "sys/kernel/security/lockdown",
        "none [integrity] confidentiality\n",
    );
    write(
        "sys/devices/system/cpu/cpuidle/current_driver",
        "psci_idle\n",
    );
    write(
        "dev/kmsg",
        "6,1,0,-;GICv3: GICD_CTLR.DS=0, SCR_EL3.FIQ=1\n6,2,0,-;CPU: All CPU(s) started at EL1\n",
    );
    let linux = Linux::at(&root);
    let mut findings = health::linux(&linux);
    findings.push(health::missing_module(&linux));
    findings.push(health::started_at(&linux));
    let found = report(&findings);
    assert!(found.has_problem);
    assert_eq!(found.text, SICK, "{}", found.text);
    for finding in &findings {
        assert!(
            finding.weight == Weight::Good || !finding.remedy.is_empty(),
            "{finding}"
        );
    }
    assert_eq!(found.json[1]["remedy"], "boot with kvm-arm.mode=none");
}

const SICK: &str = "\
note lockdown    the kernel takes signed modules only
                 do: sign bulkhead.ko with a key that the machine trusts (mokutil --import KEY), or turn Secure Boot off
FAIL KVM         pKVM (kvm-arm.mode=protected) holds EL2 for good
                 do: boot with kvm-arm.mode=none
FAIL pseudo-NMI  Linux masks interrupts by priority
                 do: boot without irqchip.gicv3_pseudo_nmi=1
note cpuidle     psci_idle: each deep sleep of a CPU of Linux's goes through the hypervisor to firmware
                 do: where latency matters boot with cpuidle.off=1
FAIL CPUs        Linux shows none with a device-tree node: it was not booted with a device tree
                 do: boot with a device tree instead of ACPI
note memory      only 2048 KiB can be had
                 do: bulkhead enable --memory SIZE, with less than the usual 64M
FAIL image       /lib/firmware/bulkhead.bin is missing
                 do: install the hypervisor's image, target/dist/bulkhead.bin of the build, there
note GIC states  two security states: firmware keeps the more urgent interrupts
                 do: nothing, unless `bulkhead enable` says so
FAIL module      it is not built for this kernel, 6.12.0
                 do: in the folder loader-module: make && make modules_install && depmod, or add it to DKMS (dkms.conf is there)
FAIL EL2         the kernel was started at EL1
                 do: have firmware or boot loader start the kernel at EL2 (QEMU: -M virt,virtualization=on)";

#[test]
fn the_board_is_examined_too() {
    let board = Board::read(Some(&board("virt"))).unwrap();
    let text = report(&health::board(&board, None)).text;
    assert_eq!(text, BOARD, "{text}");
}

const BOARD: &str = "\
ok   GIC         version 3, /intc@8000000
note ITS         /intc@8000000/its@8080000: message interrupts (LPIs) stay Linux's
                 do: give cells devices with wired interrupts only
ok   PSCI        called by smc
note DMA         NOT isolated: the board has no SMMU; a device that does DMA reaches all memory
                 do: give cells no device that does DMA and that they could misuse
note caches      NOT isolated: shared caches are not coloured; cells see each other's timing
note bandwidth   NOT isolated: memory bandwidth is not regulated; a busy cell slows the others
note power       NOT isolated: clocks, resets, power domains and pins stay with Linux, which may change them under a cell's device
                 do: keep drivers on Linux from turning off what a cell's device needs (boot with clk_ignore_unused pd_ignore_unused)";

#[test]
fn a_reservation_that_linux_uses_is_no_reservation() {
    let reserved = |properties: &str| {
        let path = folder().join("board.dts");
        let source = std::fs::read_to_string(board("virt")).unwrap();
        let node = format!(
            "/ {{ reserved-memory {{ #address-cells = <2>; #size-cells = <2>; ranges; bulkhead@70000000 {{ \
             compatible = \"bulkhead,memory\"; reg = <0 0x70000000 0 0x1000000>; {properties} }}; }}; }};"
        );
        std::fs::write(&path, format!("{source}\n{node}")).unwrap();
        let board = Board::read(Some(&path)).unwrap();
        let findings = health::board(&board, None);
        let found = findings
            .into_iter()
            .find(|f| f.subject == "reservation")
            .unwrap();
        (found.weight, found.remedy)
    };
    assert_eq!(reserved("no-map;").0, Weight::Good);
    let (weight, remedy) = reserved("");
    assert_eq!(weight, Weight::Problem);
    assert_eq!(
        remedy,
        "add the property `no-map;` to /reserved-memory/bulkhead@70000000, and boot again"
    );
    assert_eq!(reserved("no-map; reusable;").0, Weight::Problem);
}

/// Two CPUs of virt without PSCI, the second of which Linux has or has not.
#[test]
fn cpus_that_linux_cannot_give_up_have_a_boot_argument_as_their_remedy() {
    let path = folder().join("board.dts");
    let source = std::fs::read_to_string(board("virt")).unwrap();
    let cpu = |n: u32| {
        format!(
            "cpu@{n} {{ enable-method = \"spin-table\"; cpu-release-addr = <0x0 {:#x}>; }};",
            0x4000_00d8 + 8 * n
        )
    };
    let cpus: String = (0..4).map(cpu).collect();
    std::fs::write(&path, format!("{source}\n/ {{ cpus {{ {cpus} }}; }};")).unwrap();
    let board = Board::read(Some(&path)).unwrap();
    let words: Vec<_> = board
        .cpus()
        .unwrap()
        .iter()
        .map(|cpu| board.release(cpu).unwrap().get())
        .collect();
    assert_eq!(words, [0x4000_00d8, 0x4000_00e0, 0x4000_00e8, 0x4000_00f0]);
    let root = folder();
    let linux = Linux::at(&root);
    let said = |linux_cpus: std::ops::Range<u8>| {
        for n in linux_cpus {
            let node = root.join(format!("sys/devices/system/cpu/cpu{n}/of_node"));
            std::fs::create_dir_all(&node).unwrap();
            std::fs::write(node.join("reg"), [0, 0, 0, n]).unwrap();
        }
        let found = health::board(&board, Some(&linux));
        let found = found
            .into_iter()
            .find(|f| f.subject == "spin table")
            .unwrap();
        (found.weight, found.text, found.remedy)
    };
    let (weight, text, _) = said(0..3);
    assert_eq!(
        (weight, text.as_str()),
        (
            Weight::Good,
            "/cpus/cpu@3 wait for cells; Linux keeps the others"
        )
    );
    let context = Context {
        linux: linux.clone(),
        store: Store::at(&root),
        is_json: true,
    };
    let system = context.system(&board).unwrap();
    let released: Vec<_> = system
        .cpus
        .iter()
        .map(|cpu| cpu.release.is_some())
        .collect();
    assert_eq!(released, [false, false, false, true]);
    let (weight, _, remedy) = said(3..4);
    assert_eq!(weight, Weight::Problem);
    assert!(remedy.starts_with("boot Linux with nr_cpus=3"), "{remedy}");
}

#[test]
fn questions_have_answers_that_need_no_thought() {
    let board = Board::read(Some(&board("virt"))).unwrap();
    let offer = Offer::of(&board).unwrap();
    let asked = |answers: &str| {
        let (mut wish, mut said) = (Wish::default(), Vec::new());
        let judge = |wish: &Wish| match wish.name.as_deref() {
            Some("bad") => Err("'bad' is no name".to_owned()),
            _ => Ok(()),
        };
        let end = ask(&offer, &mut wish, &mut answers.as_bytes(), &mut said, judge);
        let end = end.map_err(|error| error.to_string());
        (wish, String::from_utf8(said).unwrap(), end)
    };
    let (wish, said, end) = asked("\n\n\n\n\n\n");
    assert_eq!((wish, end), (Wish::default(), Ok(())));
    assert!(said.starts_with("Name of the cell [cell]: "), "{said}");
    assert!(
        said.contains("  serial1: arm,pl011 at 0x9040000, interrupt 40\n"),
        "{said}"
    );
    assert!(!said.contains("serial0"), "Linux prints on it: {said}");
    let (wish, said, _) = asked(
        "bad\nplc\n/cpus/cpu@2,/cpus/cpu@3\nmuch\n32M\nserial1 , /pl031@9010000\n\nfast \"now\"\n",
    );
    assert_eq!(wish.write(&offer), NEW);
    for again in [
        "[cell]:   'bad' is no name\nName of the cell [cell]: ",
        "[16M]:   want a size such as 64M, 512K or 0x100000\nMemory, such as 64M [16M]: ",
    ] {
        assert!(said.contains(again), "{said}");
    }
    let (wish, _, _) = asked("\n\n\n\nring\n\n");
    assert_eq!(wish.console.as_deref(), Some("ring"));
    let (_, _, end) = asked("plc\n");
    assert_eq!(end, Err("the answers end here".to_owned()));
}

#[test]
fn what_can_be_given_by_itself_is_offered_first() {
    let path = folder().join("board.dts");
    let source = std::fs::read_to_string(board("virt")).unwrap();
    let [first, second] = [("a000000", 16), ("a000200", 17)].map(|(at, line)| {
        format!(
            "mmio@{at} {{ compatible = \"virtio,mmio\"; reg = <0 0x{at} 0 0x200>; interrupts = <0 {line} 1>; }};"
        )
    });
    std::fs::write(&path, format!("{source} / {{ {first} {second} }};")).unwrap();
    let offer = Offer::of(&Board::read(Some(&path)).unwrap()).unwrap();
    let said: Vec<String> = offer
        .devices
        .iter()
        .map(|device| device.describe())
        .collect();
    assert!(said[0].starts_with("serial1: "), "{said:?}");
    assert_eq!(
        said[said.len() - 2..],
        [
            "/mmio@a000000: virtio,mmio at 0xa000000, interrupt 48; shares its page with others",
            "/mmio@a000200: virtio,mmio at 0xa000200, interrupt 49; shares its page with others",
        ],
        "{said:?}"
    );
    let (one, other) = ("/mmio@a000000", "/mmio@a000200");
    let written = |devices: &[&str]| {
        let wish = Wish {
            devices: devices.iter().map(|&name| name.to_owned()).collect(),
            ..Wish::default()
        };
        wish.write(&offer)
    };
    assert!(written(&[one]).contains("\n    share-page = \"/mmio@a000000\";\n"));
    for devices in [[one, other].as_slice(), &["serial1"], &[]] {
        assert!(!written(devices).contains("share-page"), "{devices:?}");
    }
}

const NEW: &str = "\
// A cell for Bulkhead; board-configs/README.md has every property.
/dts-v1/;
/ {
    compatible = \"bulkhead,cell\";
    model = \"plc\";  // its name
    // As many CPUs, any; or by path. The board has /cpus/cpu@1, /cpus/cpu@2, /cpus/cpu@3.
    cpus = \"/cpus/cpu@2\", \"/cpus/cpu@3\";
    // 32 MiB, in two cells: high and low half.
    memory = <0x0 0x02000000>;
    // Devices that the board has, by alias or path:
    //   serial1: arm,pl011 at 0x9040000, interrupt 40
    //   /pl061@9030000: arm,pl061 at 0x9030000, interrupt 39
    //   /pl031@9010000: arm,pl031 at 0x9010000, interrupt 34
    devices = \"serial1\", \"/pl031@9010000\";
    // It prints on one of these, or \"ring\": into memory that `bulkhead console` shows.
    console = \"serial1\";
    bootargs = \"fast \\\"now\\\"\";
};
";

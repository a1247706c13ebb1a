//! What Linux shows in `/sys` is understood, drivers are taken and given back, and records survive.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bulkhead_cli::cell_file::OnReset;
use bulkhead_cli::drivers::{Binding, Way, bindings};
use bulkhead_cli::linux::Linux;
use bulkhead_cli::restarts::{LONG_ENOUGH, Restarts, SHORT_ONES};
use bulkhead_cli::store::{ImageRecord, Record, Store};
use bulkhead_model::id::Mpidr;

use crate::support::folder;

fn write(root: &Path, path: &str, content: impl AsRef<[u8]>) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

fn link(root: &Path, from: &str, to: &str) {
    let from = root.join(from);
    fs::create_dir_all(from.parent().unwrap()).unwrap();
    symlink(root.join(to), from).unwrap();
}

/// A machine with three CPUs and a UART that has a driver.
fn machine() -> (PathBuf, Linux) {
    let root = folder();
    for (number, affinity) in [(0u32, [0, 0, 0, 0]), (1, [0, 0, 0, 1]), (10, [0, 0, 1, 0])] {
        write(
            &root,
            &format!("sys/devices/system/cpu/cpu{number}/of_node/reg"),
            affinity,
        );
    }
    write(&root, "sys/devices/system/cpu/cpu1/online", "0\n");
    write(&root, "sys/devices/system/cpu/cpu10/online", "1\n");
    fs::create_dir_all(root.join("sys/devices/system/cpu/cpufreq")).unwrap();
    fs::create_dir_all(root.join("sys/firmware/devicetree/base/pl011@9040000")).unwrap();
    let device = "sys/devices/platform/9040000.pl011";
    fs::create_dir_all(
        root.join(device)
            .join("9040000.pl011:0/9040000.pl011:0.0/tty/ttyAMA1"),
    )
    .unwrap();
    link(
        &root,
        &format!("{device}/of_node"),
        "sys/firmware/devicetree/base/pl011@9040000",
    );
    link(
        &root,
        &format!("{device}/driver"),
        "sys/bus/amba/drivers/uart-pl011",
    );
    link(&root, "sys/bus/amba/devices/9040000.pl011", device);
    write(&root, "sys/bus/amba/drivers/uart-pl011/bind", "");
    write(&root, "sys/bus/amba/drivers/uart-pl011/unbind", "");
    (root.clone(), Linux::at(&root))
}

#[test]
fn cpus_are_found_by_affinity() {
    let (_, linux) = machine();
    let cpus: Vec<_> = linux
        .cpus()
        .iter()
        .map(|cpu| (cpu.number, cpu.mpidr, cpu.is_online))
        .collect();
    let mpidr = Mpidr::from_bits;
    assert_eq!(
        cpus,
        [
            (0, mpidr(0), true),
            (1, mpidr(1), false),
            (10, mpidr(0x100), true)
        ]
    );
}

#[test]
fn a_driver_is_found_taken_and_given_back() {
    let (root, linux) = machine();
    let found = bindings(&linux, "/pl011@9040000");
    assert_eq!(found.len(), 1);
    let said = |file: &str| {
        fs::read_to_string(root.join("sys/bus/amba/drivers/uart-pl011").join(file)).unwrap()
    };
    found[0].restore().unwrap();
    assert_eq!(said("bind"), "", "it is bound already");
    found[0].release().unwrap();
    assert_eq!(said("unbind"), "9040000.pl011");
    // What Linux does then.
    fs::remove_file(root.join("sys/devices/platform/9040000.pl011/driver")).unwrap();
    write(&root, "sys/bus/amba/drivers/uart-pl011/unbind", "");
    found[0].release().unwrap();
    assert_eq!(said("unbind"), "", "it is unbound already");
    found[0].restore().unwrap();
    assert_eq!(said("bind"), "9040000.pl011");
    assert!(bindings(&linux, "/pl011@9040000").is_empty());
    assert!(bindings(&linux, "/nothing").is_empty());
}

#[test]
fn a_built_in_driver_is_silenced_or_stays() {
    let (root, linux) = machine();
    fs::remove_file(root.join("sys/bus/amba/drivers/uart-pl011/unbind")).unwrap();
    let way = || bindings(&linux, "/pl011@9040000")[0].way.clone();
    assert_eq!(way(), Way::Stays);
    link(
        &root,
        "sys/class/tty/ttyAMA1/device",
        "sys/devices/platform/9040000.pl011/9040000.pl011:0",
    );
    write(&root, "sys/class/tty/ttyAMA1/type", "32\n");
    let (file, class) = (root.join("dev/ttyAMA1"), root.join("sys/class/tty/ttyAMA1"));
    let silence = Way::Silence {
        file,
        class: class.clone(),
        kind: 32,
    };
    assert_eq!(way(), silence);
    let binding = &bindings(&linux, "/pl011@9040000")[0];
    binding.restore().unwrap();
    assert!(binding.release().is_err(), "there is no such file");
    write(&class, "type", "0\n");
    binding.release().unwrap();
}

#[test]
fn devices_that_a_driver_hung_below_are_left_out() {
    let (root, linux) = machine();
    let below = "sys/devices/platform/9040000.pl011/9040000.pl011:0";
    let node = "sys/firmware/devicetree/base/pl011@9040000";
    link(&root, &format!("{below}/of_node"), node);
    link(
        &root,
        &format!("{below}/driver"),
        "sys/bus/amba/drivers/uart-pl011",
    );
    link(&root, "sys/bus/serial-base/devices/9040000.pl011:0", below);
    assert_eq!(bindings(&linux, "/pl011@9040000").len(), 1);
}

#[test]
fn linuxs_console_is_known() {
    let (root, linux) = machine();
    let binding = &bindings(&linux, "/pl011@9040000")[0];
    link(
        &root,
        "sys/class/tty/ttyAMA1/device",
        "sys/devices/platform/9040000.pl011/9040000.pl011:0/9040000.pl011:0.0",
    );
    link(
        &root,
        "sys/class/tty/ttyAMA0/device",
        "sys/devices/system/cpu",
    );
    write(
        &root,
        "proc/consoles",
        "ttyAMA0              -W- (EC    a)  204:64\n",
    );
    assert_eq!(binding.console(&linux), None);
    write(
        &root,
        "proc/consoles",
        "tty0 -WU (EC  p  )    4:7\nttyAMA1 -W- (EC    a)  204:65\n",
    );
    assert_eq!(binding.console(&linux).as_deref(), Some("ttyAMA1"));
}

#[test]
fn the_kernels_words_are_read() {
    let (root, linux) = machine();
    write(
        &root,
        "proc/cmdline",
        "root=/dev/ram kvm-arm.mode=nvhe quiet kvm-arm.mode=none\n",
    );
    assert_eq!(linux.parameter("kvm-arm.mode"), ["nvhe", "none"]);
    assert!(linux.parameter("quiet").is_empty());
    write(
        &root,
        "proc/iomem",
        "00000000-0003ffff : reserved\n40000000-7fffffff : System RAM\n  40210000-4179ffff : Kernel code\n",
    );
    let ram = linux.system_ram();
    assert_eq!(
        (ram.len(), ram[0].base, ram[0].size),
        (1, 0x4000_0000, 0x4000_0000)
    );
}

fn record(name: &str) -> Record {
    Record {
        name: name.to_owned(),
        file: "/cells/rtos.dts".into(),
        blob: vec![1, 2],
        guest_tree: vec![3, 4],
        guest_tree_at: Some(8),
        devices: Vec::new(),
        unbound: vec![Binding {
            device: "/sys/d".into(),
            driver: "/sys/v".into(),
            way: Way::Unbind,
        }],
        image: Some(ImageRecord {
            path: "/rtos.elf".into(),
            address: None,
            initrd: Some("/initrd".into()),
        }),
        initrd: Some("/cells/initrd".into()),
        on_reset: Some(OnReset::Reload),
    }
}

#[test]
fn records_are_kept_and_forgotten() {
    let store = Store::at(&folder().join("run"));
    assert_eq!(store.get("rtos"), None);
    store.put(&record("rtos")).unwrap();
    store
        .put(&Record {
            image: None,
            ..record("plc")
        })
        .unwrap();
    store.put(&record("plc")).unwrap();
    assert_eq!(store.get("rtos"), Some(record("rtos")));
    assert_eq!(store.all(), [record("plc"), record("rtos")]);
    store.remove("rtos").unwrap();
    store.remove("rtos").unwrap();
    assert_eq!(store.all(), [record("plc")]);
}

#[test]
fn a_damaged_record_is_none() {
    let folder = folder();
    let store = Store::at(&folder);
    fs::write(folder.join("rtos.json"), "{").unwrap();
    fs::write(folder.join(".plc.17"), "{").unwrap();
    assert_eq!(store.get("rtos"), None);
    assert_eq!(store.get("../rtos"), None);
    assert!(store.all().is_empty());
    assert!(record("rtos").config().is_none());
}

#[test]
fn a_cell_that_never_gets_to_its_work_is_left_stopped() {
    let (at_once, later) = (Duration::from_secs(1), LONG_ENOUGH);
    let mut restarts = Restarts::default();
    // One that works in between is started for ever.
    for _ in 0..100 {
        assert!((1..SHORT_ONES).all(|_| restarts.again_after(at_once)));
        assert!(restarts.again_after(later));
    }
    assert!((1..SHORT_ONES).all(|_| restarts.again_after(at_once)));
    assert!(!restarts.again_after(at_once));
}

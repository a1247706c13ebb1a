//! Every wrong cell file is refused with file, node, property, value and reason.

use crate::support::{good_but, verdict};

fn refused(on: &str, change: &str, message: &str) {
    let said = verdict(on, &good_but(change)).expect_err(change);
    assert!(
        said.contains(message),
        "{change}\n  said: {said}\n  want: {message}"
    );
}

fn on_virt(change: &str, message: &str) {
    refused("virt", change, message);
}

#[test]
fn the_good_cell_is_good() {
    let report = verdict("virt", &good_but("")).unwrap();
    assert_eq!(report.json["cpus"], serde_json::json!([3]));
    assert_eq!(report.json["spis"], serde_json::json!([40]));
}

#[test]
fn a_file_that_is_no_cell_is_refused() {
    on_virt(
        "-compatible",
        "cell.dts: /: property 'compatible': it is missing; a cell's is \"bulkhead,cell\"",
    );
    on_virt(
        "compatible = \"xen,domain\"",
        "property 'compatible': it is 'xen,domain'",
    );
}

#[test]
fn a_source_that_is_not_one_is_refused() {
    on_virt(
        "memory = <0x0 ",
        "cell.dts: dtc refuses it: Error: cell.dts:2",
    );
}

#[test]
fn a_misspelt_property_is_refused() {
    on_virt(
        "memroy = <1>",
        "/: property 'memroy': no such property; known are compatible, model, cpus",
    );
}

#[test]
fn a_node_below_the_root_is_refused() {
    let body = format!("{} sub {{ }};", good_but(""));
    let said = verdict("virt", &body).unwrap_err();
    assert_eq!(
        said,
        "cell.dts: /sub: a cell file has no nodes but the root"
    );
}

#[test]
fn a_missing_property_is_refused() {
    on_virt(
        "-model",
        "/: property 'model': it is missing; for example: model = \"rtos\";",
    );
    on_virt("-cpus", "/: property 'cpus': it is missing");
    on_virt("-memory", "/: property 'memory': it is missing");
}

#[test]
fn a_bad_name_is_refused() {
    on_virt("model = \"my cell\"", "property 'model': 'my cell': ");
    on_virt(
        "model = \"../../etc/passwd\"",
        "property 'model': '../../etc/passwd': ",
    );
    on_virt(
        "model = \"a-name-of-thirty-two-characters-\"",
        "property 'model': 'a-name-of-thirty-two-characters-': ",
    );
    on_virt(
        "model = \"root\"",
        "property 'model': \"root\" is the name of the root cell",
    );
    on_virt(
        "model = \"a\", \"b\"",
        "property 'model': it lists 2 strings; one is wanted",
    );
    on_virt(
        "model = <1>",
        "property 'model': it is not a list of strings",
    );
}

#[test]
fn cpus_that_are_not_there_are_refused() {
    on_virt(
        "cpus = \"/cpus/cpu@7\"",
        "property 'cpus': the board (BOARD) has no node '/cpus/cpu@7'",
    );
    on_virt(
        "cpus = \"cpu3\"",
        "property 'cpus': the board (BOARD) has no alias 'cpu3'; its aliases: serial0, serial1",
    );
    on_virt(
        "cpus = \"/pl011@9040000\"",
        "property 'cpus': '/pl011@9040000' is not a CPU of the board",
    );
    refused(
        "tricky",
        "-devices; -console; cpus = \"/cpus/cpu@10100\"",
        "'/cpus/cpu@10100' is not a CPU of the board",
    );
}

#[test]
fn a_wrong_number_of_cpus_is_refused() {
    on_virt(
        "cpus = <0>",
        "property 'cpus': <0x0> is not a number from 1 to 32",
    );
    on_virt(
        "cpus = <33>",
        "property 'cpus': <0x21> is not a number from 1 to 32",
    );
    on_virt(
        "cpus = <1 2>",
        "property 'cpus': <0x1 0x2> is not a number from 1 to 32",
    );
    on_virt(
        "cpus = <4>",
        "property 'cpus': <4> CPUs wanted, 3 can be had: the board has 4",
    );
    on_virt(
        "cpus = [00 01]",
        "property 'cpus': it is neither a number nor a list of paths",
    );
}

#[test]
fn a_cpu_listed_twice_is_refused() {
    on_virt(
        "cpus = \"/cpus/cpu@3\", \"/cpus/cpu@3\"",
        "property 'cpus': '/cpus/cpu@3' is listed twice",
    );
}

#[test]
fn linuxs_last_cpu_is_refused() {
    let all = "cpus = \"/cpus/cpu@0\", \"/cpus/cpu@1\", \"/cpus/cpu@2\", \"/cpus/cpu@3\"";
    on_virt(
        all,
        "property 'cpus': CPU 0x3 (MPIDR) is the last one that Linux has",
    );
}

#[test]
fn memory_of_a_wrong_form_is_refused() {
    on_virt(
        "memory = <0x01000000>",
        "property 'memory': it is <0x1000000>: want two cells, <size>, or four a region",
    );
    on_virt(
        "memory = <0 1 2>",
        "property 'memory': it is <0x0 0x1 0x2>: want two cells",
    );
    on_virt(
        "memory = \"16M\"",
        "property 'memory': it is <0x31364d00>: want two cells",
    );
}

#[test]
fn unaligned_memory_is_refused() {
    on_virt(
        "memory = <0x0 0x01000001>",
        "property 'memory': the region at 0x40000000 (16777217 bytes) is not made of whole",
    );
    on_virt(
        "memory = <0x0 0x40000800 0x0 0x01000000>",
        "property 'memory': the region at 0x40000800",
    );
}

#[test]
fn empty_memory_is_refused() {
    on_virt(
        "memory = <0x0 0x0>",
        "property 'memory': the region at 0x40000000 is empty",
    );
}

#[test]
fn memory_that_wraps_is_refused() {
    on_virt(
        "memory = <0xffffffff 0xfffff000 0x0 0x2000>",
        "property 'memory': the region at 0xfffffffffffff000",
    );
    on_virt(
        "memory = <0x00200000 0x0 0x0 0x2000>",
        "property 'memory': the region at 0x20000000000000 with size 0x2000 goes",
    );
}

#[test]
fn memory_that_overlaps_itself_is_refused() {
    let twice = "memory = <0x0 0x40000000 0x0 0x200000>, <0x0 0x40100000 0x0 0x200000>";
    on_virt(
        twice,
        "property 'memory': the regions at 0x40000000 and at 0x40100000 overlap",
    );
    on_virt(
        "memory = <0x0 0x09000000 0x0 0x01000000>",
        "the regions at 0x9000000 and at 0x9040000 overlap",
    );
}

#[test]
fn memory_over_the_interrupt_controller_is_refused() {
    on_virt(
        "memory = <0x0 0x08000000 0x0 0x01000000>",
        "0x8000000 is the interrupt controller",
    );
}

#[test]
fn memory_that_is_not_there_is_refused() {
    on_virt(
        "memory-physical = <0x1 0x0>",
        "property 'memory-physical': there is no RAM at 0x100000000",
    );
    on_virt(
        "memory = <0x0 0x80000000>",
        "property 'memory': 2 GiB of contiguous memory is wanted, the pool's largest",
    );
}

#[test]
fn a_place_for_too_few_regions_is_refused() {
    on_virt(
        "memory-physical = <0x50000000>",
        "property 'memory-physical': it is <0x50000000>: want two cells for each of 1 regions",
    );
}

#[test]
fn devices_that_are_not_there_are_refused() {
    on_virt(
        "-console; devices = \"serial7\"",
        "property 'devices': the board (BOARD) has no alias 'serial7'; its aliases: serial0, serial1",
    );
    on_virt(
        "-console; devices = \"/pl011@9050000\"",
        "property 'devices': the board (BOARD) has no node '/pl011@9050000'",
    );
    refused(
        "tricky",
        "-console; devices = \"broken\"",
        "property 'devices': the board (BOARD) has no alias 'broken'",
    );
    on_virt(
        "-console; devices = <1>",
        "property 'devices': it is not a list of strings",
    );
}

#[test]
fn what_is_no_device_is_refused() {
    on_virt(
        "-console; devices = \"/intc@8000000\"",
        "'/intc@8000000': the interrupt controller cannot be given away",
    );
    on_virt(
        "-console; devices = \"/memory@40000000\"",
        "'/memory@40000000': it is not a device; CPUs go in 'cpus'",
    );
    on_virt(
        "-console; devices = \"/cpus/cpu@2\"",
        "'/cpus/cpu@2': it is not a device",
    );
    on_virt(
        "-console; devices = \"/psci\"",
        "'/psci': it has neither registers nor interrupts to give",
    );
    on_virt(
        "-console; devices = \"/\"",
        "'/': it has neither registers nor interrupts to give",
    );
}

#[test]
fn a_device_listed_twice_is_refused() {
    on_virt(
        "devices = \"serial1\", \"/pl011@9040000\"",
        "property 'devices': '/pl011@9040000': it is listed twice",
    );
}

#[test]
fn a_part_of_the_interrupt_controller_is_refused() {
    let message = "'/intc@8000000/its@8080000': the interrupt controller cannot be given away";
    on_virt("-console; devices = \"/intc@8000000/its@8080000\"", message);
}

#[test]
fn a_device_that_shares_its_page_is_refused() {
    let alone = "-console; devices = \"/soc/timer@2000\"";
    refused(
        "tricky",
        alone,
        "property 'devices': /soc/timer@2000: it shares its page at 0xfe002000 with /soc/timer@2100",
    );
    let two = "-console; devices = \"/soc/timer@2000\", \"/soc/timer@2100\"";
    refused(
        "tricky",
        two,
        "it shares its page at 0xfe002000 with /soc/watchdog@2f00, which would go along; list /soc/watchdog@2f00 too",
    );
}

#[test]
fn a_device_whose_interrupt_is_not_the_gics_is_refused() {
    refused(
        "tricky",
        "-console; devices = \"/soc/button@5000\"",
        "its interrupts go through /soc/gpio@4000, which is not the GIC",
    );
}

#[test]
fn a_device_outside_its_bus_is_refused() {
    refused(
        "tricky",
        "-console; devices = \"/soc/outside@2000000\"",
        "0x2000000 is in no 'ranges' of /soc",
    );
}

#[test]
fn a_device_without_an_address_is_refused() {
    refused(
        "tricky",
        "-console; devices = \"/soc/i2c@6000/sensor@48\"",
        "'reg' on the bus /soc/i2c@6000 is not memory-mapped",
    );
    refused(
        "tricky",
        "-console; devices = \"/soc/nothing\"",
        "'/soc/nothing': it has neither registers nor interrupts",
    );
}

#[test]
fn a_console_that_is_not_the_cells_is_refused() {
    on_virt(
        "console = \"serial0\"",
        "property 'console': 'serial0' is not one of the cell's devices",
    );
    on_virt(
        "console = \"tty\"",
        "property 'console': the board (BOARD) has no alias 'tty'",
    );
}

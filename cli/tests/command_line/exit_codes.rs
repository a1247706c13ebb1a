//! The binary's exit codes and messages, on a machine that has no Bulkhead.

use std::process::{Command, Output};

use crate::support::{board, cell, good_but};

fn bulkhead(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_bulkhead"))
        .args(arguments)
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn without_the_module_everything_says_so() {
    let every: [&[&str]; 13] = [
        &["enable"],
        &["disable"],
        &["status"],
        &["cell", "create", "x.dts"],
        &["cell", "load", "rtos", "x"],
        &["cell", "start", "rtos"],
        &["cell", "stop", "rtos"],
        &["cell", "destroy", "rtos"],
        &["cell", "list"],
        &["cell", "show", "rtos"],
        &["log"],
        &["map"],
        &["top", "--once"],
    ];
    for arguments in every {
        let output = bulkhead(arguments);
        assert_eq!(output.status.code(), Some(4), "{arguments:?}");
        assert_eq!(
            said(&output),
            "bulkhead: the kernel module is not loaded: modprobe bulkhead\n"
        );
    }
}

#[test]
fn errors_are_json_where_json_is_wanted() {
    let output = bulkhead(&["--json", "cell", "list"]);
    let error: serde_json::Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!(error["error"]["code"], 4);
    let output = bulkhead(&["cell", "strat", "rtos", "--json"]);
    assert_eq!(output.status.code(), Some(2));
    let error: serde_json::Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!(error["error"]["code"], 2);
    let message = error["error"]["message"].as_str().unwrap();
    assert!(
        message.starts_with("error: unrecognized subcommand 'strat'"),
        "{message}"
    );
}

/// What the README promises that can be typed.
const COMMANDS: &str = "\
    enable disable status doctor run log top map cell config \
    cell-create cell-load cell-start cell-stop cell-restart cell-destroy cell-list cell-show cell-stats \
    config-check config-explain config-dtb config-new";

#[test]
fn every_command_is_there_says_what_it_does_and_takes_json() {
    for command in COMMANDS.split(' ') {
        let mut arguments: Vec<&str> = command.split('-').collect();
        arguments.extend(["--json", "--help"]);
        let output = bulkhead(&arguments);
        assert_eq!(output.status.code(), Some(0), "{command}");
        let help = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(help.contains("Usage: bulkhead "), "{help}");
        assert!(help.contains("--json"), "{help}");
    }
}

#[test]
fn the_readme_has_the_exit_codes() {
    let readme = include_str!("../../README.md");
    for code in [0, 1, 2, 3, 4, 5, 70, 130] {
        assert!(readme.contains(&format!("\n| {code} | ")), "{code}");
    }
}

#[test]
fn wrong_usage_is_two() {
    for arguments in [
        &["frobnicate"][..],
        &["cell"],
        &["enable", "--memory", "lots"],
        &["cell", "start"],
    ] {
        assert_eq!(bulkhead(arguments).status.code(), Some(2), "{arguments:?}");
    }
    assert!(
        said(&bulkhead(&["enable", "--memory", "lots"]))
            .contains("want a size such as 64M, 512K or 0x100000")
    );
}

#[test]
fn a_wrong_cell_is_three() {
    let path = cell(&good_but("cpus = <9>"));
    let board = board("virt");
    let output = bulkhead(&[
        "config",
        "check",
        path.to_str().unwrap(),
        "--board",
        board.to_str().unwrap(),
    ]);
    assert_eq!(output.status.code(), Some(3));
    assert!(
        said(&output).contains("property 'cpus': <9> CPUs wanted"),
        "{}",
        said(&output)
    );
}

#[test]
fn a_missing_file_is_five() {
    let output = bulkhead(&["config", "check", "/no/such.dts", "--board", "/no/such.dtb"]);
    assert_eq!(output.status.code(), Some(5));
    assert_eq!(
        said(&output),
        "bulkhead: cannot read /no/such.dts: No such file or directory (os error 2)\n"
    );
}

#[test]
fn what_never_ends_is_not_read() {
    let output = bulkhead(&["config", "check", "/dev/zero"]);
    assert_eq!(output.status.code(), Some(5));
    assert_eq!(
        said(&output),
        "bulkhead: cannot read /dev/zero: not a regular file\n"
    );
}

#[test]
fn without_dtc_the_remedy_is_said() {
    let path = cell(&good_but(""));
    let mut command = Command::new(env!("CARGO_BIN_EXE_bulkhead"));
    let output = command
        .args(["config", "check", path.to_str().unwrap()])
        .env("PATH", "/nowhere")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(5));
    assert!(
        said(&output).contains("apt-get install device-tree-compiler"),
        "{}",
        said(&output)
    );
}

#[test]
fn a_good_cell_is_zero_and_json() {
    let path = cell(&good_but(""));
    let board = board("virt");
    let output = bulkhead(&[
        "--json",
        "config",
        "check",
        path.to_str().unwrap(),
        "--board",
        board.to_str().unwrap(),
    ]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["name"], "rtos");
}

#[test]
fn alone_it_says_what_can_be_done_next() {
    let output = bulkhead(&[]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "The kernel module is not loaded.\n\nNext:\n  bulkhead doctor          find out what this machine lacks\n  \
         modprobe bulkhead        load the kernel module\n  bulkhead run FILE IMAGE  do all of it at once\n  \
         bulkhead help            all commands\n"
    );
}

#[test]
fn a_reader_that_has_gone_is_no_failure() {
    use std::process::Stdio;
    let mut child = Command::new(env!("CARGO_BIN_EXE_bulkhead"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(
        (output.status.code(), said(&output)),
        (Some(0), String::new())
    );
}

#[test]
fn completions_and_man_pages_are_written() {
    let folder = crate::support::folder();
    let output = bulkhead(&["generate", folder.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let bash = std::fs::read_to_string(folder.join("completions/bulkhead.bash")).unwrap();
    assert!(bash.contains("restart") && bash.contains("--hv-memory"));
    for shell in ["bulkhead.bash", "_bulkhead", "bulkhead.fish"] {
        let text = std::fs::read_to_string(folder.join("completions").join(shell)).unwrap();
        for hidden in ["debug", "inject", "generate"] {
            assert!(!text.contains(hidden), "{shell} offers {hidden}");
        }
    }
    let man = std::fs::read_to_string(folder.join("man/bulkhead-run.1")).unwrap();
    assert!(man.contains("Ctrl\\-C"), "{man}");
}

#[test]
fn a_cell_is_explained_written_and_its_tree_made() {
    let (folder, board) = (crate::support::folder(), board("virt"));
    let (file, tree) = (folder.join("new.dts"), folder.join("new.dtb"));
    let (file, tree, board) = (
        file.to_str().unwrap(),
        tree.to_str().unwrap(),
        board.to_str().unwrap(),
    );
    let new = [
        "config",
        "new",
        "--name",
        "plc",
        "--cpus",
        "/cpus/cpu@2",
        "--memory",
        "2M",
        "--devices",
        "serial1,/timer",
        "--console",
        "serial1",
        "--board",
        board,
        "--output",
        file,
    ];
    let output = bulkhead(&new);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let again = bulkhead(&new);
    assert_eq!(again.status.code(), Some(1));
    assert!(said(&again).contains("exists already: remove it, or choose another name"));
    let output = bulkhead(&["config", "explain", file, "--board", board]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    for wanted in [
        "affinity 0x2",
        "0x40000000-0x401fffff (2 MiB)",
        "SPI 8 (INTID 40), level high",
        "devices: \"serial1\" is /pl011@9040000, reg",
    ] {
        assert!(text.contains(wanted), "{text}");
    }
    let output = bulkhead(&["config", "dtb", file, "--board", board, "-o", tree]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(
        std::fs::read(tree)
            .unwrap()
            .starts_with(&[0xd0, 0x0d, 0xfe, 0xed])
    );
    let json = bulkhead(&["--json", "config", "dtb", file, "--board", board]);
    assert_eq!(json.status.code(), Some(1));
}

#[test]
fn a_bug_is_one_line_to_be_reported() {
    let output = bulkhead(&["debug", "bug"]);
    assert_eq!(output.status.code(), Some(70));
    let text = said(&output);
    assert!(text.starts_with("bug in bulkhead 0."), "{text}");
    assert!(
        text.ends_with(": as was asked for; please report this line and the command\n"),
        "{text}"
    );
    assert_eq!(text.lines().count(), 1);
}

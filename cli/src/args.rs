//! What can be typed. `--help` is made of the comments here.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Partitions this machine: cells with their own CPUs, memory and devices beside the running Linux.
#[derive(Debug, Parser)]
#[command(name = "bulkhead", version)]
#[command(
    after_help = "Without a command it says what state the machine is in, and what can be done next.\n\n\
    Exit codes: 0 done; 1 refused, or doctor or status found a problem; 2 usage; 3 a cell file or a board's tree is \
    wrong; 4 the module is not loaded or Bulkhead is not enabled; 5 a file, a device or a tool failed; 70 a bug of \
    bulkhead itself; 130 interrupted, what was done has been undone."
)]
pub struct Cli {
    /// Print JSON instead of text
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Slide the hypervisor under the running Linux
    Enable(Enable),
    /// Take it out again; all cells must be destroyed before
    Disable,
    /// Show whether Bulkhead is enabled, and its memory
    Status,
    /// Find out whether this machine can run Bulkhead, and what is not isolated on it
    Doctor(Doctor),
    /// Run a cell in one go: enable if needed, create, load, start; Ctrl-C undoes it
    Run(Run),
    /// Make and watch cells, step by step
    #[command(subcommand)]
    Cell(Cell),
    /// Attach to the console of a cell that prints into memory: what it printed before, then what it prints
    Console(Console),
    /// Show the hypervisor's log
    Log(Log),
    /// Watch cells, CPUs and exits as they happen, which costs no exit
    Top(Top),
    /// Show who has which memory, CPU, device and interrupt
    Map {
        /// Draw it into this file instead
        #[arg(long, value_name = "FILE")]
        svg: Option<PathBuf>,
    },
    /// Write, check and explain cell files
    #[command(subcommand)]
    Config(Config),
    /// What tests need: blobs past the command line's own checks
    #[command(subcommand, hide = true)]
    Debug(Debug),
    /// Write completions for shells and man pages below a folder
    #[command(hide = true)]
    Generate {
        /// The folder
        folder: PathBuf,
    },
}

/// What the causes of exits are called.
const CAUSES: &str = "Causes: hvc, smc: calls of the guest's; sgi: an interrupt sent to CPUs; gicd, gicr: accesses to distributor and \
    redistributors; sysreg: system registers; retry: an access met an entry that was just being replaced; abort: an access to what \
    is not there; kick: the hypervisor wanted the CPU; irq: an interrupt, with listed delivery; part: an access to a page of which \
    the cell has a part (share-page); other: anything else.";

/// Arguments of `top`.
#[derive(Args, Debug)]
#[command(after_help = CAUSES)]
pub struct Top {
    /// Show it once, as text
    #[arg(long)]
    pub once: bool,
    /// Seconds between two looks
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0)]
    pub interval: f64,
}

/// Sizes of what is taken from Linux.
#[derive(Args, Clone, Copy, Debug)]
pub struct Memory {
    /// Memory for cells, taken from Linux; a reserved `bulkhead,memory` node is used whole instead
    #[arg(long = "memory", value_name = "SIZE", value_parser = size)]
    pub pool: Option<u64>,
    /// Memory for the hypervisor itself; unless said, as much as the board's CPUs need (512K for 4)
    #[arg(long = "hv-memory", value_name = "SIZE", value_parser = size)]
    pub hv: Option<u64>,
}

/// Arguments of `enable`.
#[derive(Args, Debug)]
pub struct Enable {
    /// Sizes
    #[command(flatten)]
    pub memory: Memory,
    /// Fail at this step, at the CPU of this affinity (for tests)
    #[arg(long, value_name = "STEP[@MPIDR]", hide = true, value_parser = inject)]
    pub inject: Option<(u64, u64)>,
}

/// Arguments of `run`.
#[derive(Args, Debug)]
pub struct Run {
    /// The cell's file (.dts or .dtb)
    pub file: PathBuf,
    /// What it runs: an ELF file, a Linux kernel (Image, packed by gzip or not) or a raw binary
    pub image: PathBuf,
    /// Guest address of a raw binary; the start of the cell's memory when left out
    #[arg(long, value_parser = number)]
    pub address: Option<u64>,
    /// Initial RAM disk of a Linux; its place is in /chosen of the cell's device tree
    #[arg(long, value_name = "FILE")]
    pub initrd: Option<PathBuf>,
    /// Stay until the cell stops or Ctrl-C, then destroy it and undo what was done for it
    #[arg(long)]
    pub rm: bool,
    /// Sizes, where Bulkhead has yet to be enabled
    #[command(flatten)]
    pub memory: Memory,
}

/// Arguments of `doctor`.
#[derive(Args, Debug)]
pub struct Doctor {
    /// Look at this board's tree instead of this machine's
    #[arg(long, value_name = "FILE")]
    pub board: Option<PathBuf>,
}

/// What to do with cells.
#[derive(Debug, Subcommand)]
pub enum Cell {
    /// Make a cell from its device-tree file (.dts or .dtb)
    Create {
        /// The cell's file
        file: PathBuf,
    },
    /// Put software into a cell: an ELF file, a Linux kernel (Image, packed by gzip or not) or a raw binary
    Load {
        /// The cell
        name: String,
        /// The image
        image: PathBuf,
        /// Guest address of a raw binary; the start of the cell's memory when left out
        #[arg(long, value_parser = number)]
        address: Option<u64>,
        /// Initial RAM disk of a Linux; its place is in /chosen of the cell's device tree
        #[arg(long, value_name = "FILE")]
        initrd: Option<PathBuf>,
    },
    /// Let a cell run; one that has run before gets its image anew
    Start {
        /// The cell
        name: String,
    },
    /// Stop a cell
    Stop {
        /// The cell
        name: String,
    },
    /// Stop a cell if it runs, load its image anew and start it
    Restart {
        /// The cell
        name: String,
    },
    /// Stay with a cell until it stops; load it anew and start it whenever it wants a restart that needs that
    Attend {
        /// The cell
        name: String,
    },
    /// Give everything of a cell back to Linux
    Destroy {
        /// The cell
        name: String,
    },
    /// List the cells
    List,
    /// Show all about a cell, its last fault too
    Show {
        /// The cell
        name: String,
    },
    /// Count the exits to the hypervisor by CPU and cause
    #[command(after_help = CAUSES)]
    Stats {
        /// Only this cell
        name: Option<String>,
    },
}

/// Arguments of `console`.
#[derive(Args, Debug)]
#[command(
    after_help = "On a terminal what is typed goes to the cell, Ctrl-C too; Ctrl-] ends. Without a terminal the cell gets \
    standard input, and Ctrl-C ends. It goes on when the cell stops or starts anew, and ends when the cell is destroyed."
)]
pub struct Console {
    /// The cell
    pub name: String,
    /// Only show what it prints; Ctrl-C ends
    #[arg(long)]
    pub no_input: bool,
    /// Show what it has printed so far, and end
    #[arg(long, conflicts_with = "no_input")]
    pub once: bool,
}

/// Arguments of `log`.
#[derive(Args, Debug)]
pub struct Log {
    /// Wait for more
    #[arg(long, short)]
    pub follow: bool,
    /// The hypervisor's ELF file, which has the texts of the log
    #[arg(
        long,
        value_name = "FILE",
        default_value = "/usr/lib/bulkhead/bulkhead.elf"
    )]
    pub elf: PathBuf,
}

/// What to do with cell files.
#[derive(Debug, Subcommand)]
pub enum Config {
    /// Check cells' files against a board, together, and show what they come to
    Check {
        /// The cells' files, in the order in which they would be created
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// The board's tree (.dtb or .dts); this machine's when left out
        #[arg(long, value_name = "FILE")]
        board: Option<PathBuf>,
        /// Write the (last) cell's own device tree there
        #[arg(long, value_name = "FILE")]
        guest_tree: Option<PathBuf>,
    },
    /// Say what a cell gets and from where: each CPU, range and interrupt
    Explain {
        /// The cell's file
        file: PathBuf,
        /// The board's tree (.dtb or .dts); this machine's when left out
        #[arg(long, value_name = "FILE")]
        board: Option<PathBuf>,
    },
    /// Write the device tree that the cell's software gets
    Dtb {
        /// The cell's file
        file: PathBuf,
        /// The board's tree (.dtb or .dts); this machine's when left out
        #[arg(long, value_name = "FILE")]
        board: Option<PathBuf>,
        /// Where to; standard output when left out
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Write a cell's file with comments; on a terminal it asks when nothing is said
    New(New),
}

/// Arguments of `config new`.
#[derive(Args, Debug)]
pub struct New {
    /// Name of the cell
    #[arg(long)]
    pub name: Option<String>,
    /// CPUs: how many, or their paths with commas in between
    #[arg(long, value_name = "NUMBER|PATHS")]
    pub cpus: Option<String>,
    /// Memory, such as 16M
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub memory: Option<u64>,
    /// Devices by alias or path, with commas in between
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub devices: Vec<String>,
    /// The device that it prints on, one of these
    #[arg(long, value_name = "NAME")]
    pub console: Option<String>,
    /// Arguments for its software
    #[arg(long, value_name = "TEXT")]
    pub bootargs: Option<String>,
    /// The board's tree (.dtb or .dts); this machine's when left out
    #[arg(long, value_name = "FILE")]
    pub board: Option<PathBuf>,
    /// Where to; standard output when left out
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// What tests need.
#[derive(Debug, Subcommand)]
pub enum Debug {
    /// Write a cell's blob to standard output, with words of it changed
    Blob {
        /// The cell's file
        file: PathBuf,
        /// The board's tree
        #[arg(long)]
        board: Option<PathBuf>,
        /// Set a word, by its index or as magic, version, length, cpus.N, memory.N.{gpa,fixed,hpa,size},
        /// devices.N.{gpa,hpa,size}, spis.N
        #[arg(long, value_name = "WORD=VALUE")]
        set: Vec<String>,
        /// Cut or pad the blob to this length, bytes
        #[arg(long, value_parser = number)]
        size: Option<u64>,
    },
    /// Write the system's blob to standard output
    SystemBlob {
        /// The board's tree
        #[arg(long)]
        board: Option<PathBuf>,
        /// Set a word by its index
        #[arg(long, value_name = "INDEX=VALUE")]
        set: Vec<String>,
        /// Cut or pad the blob to this length, bytes
        #[arg(long, value_parser = number)]
        size: Option<u64>,
    },
    /// Send a cell's blob to EL2 as it is
    CreateBlob {
        /// The blob
        file: PathBuf,
        /// Linux's numbers of the CPUs to take, one bit each
        #[arg(long, value_name = "MASK", value_parser = number)]
        linux_cpus: u64,
    },
    /// Enable with this system blob as it is
    EnableBlob {
        /// The blob
        file: PathBuf,
        /// Sizes
        #[command(flatten)]
        memory: Memory,
    },
    /// Copy a file to a guest address of a cell, by id
    Load {
        /// The cell's id
        cell: u64,
        /// Guest physical address
        #[arg(value_parser = number)]
        gpa: u64,
        /// The bytes
        file: PathBuf,
    },
    /// Say that a cell, by id, is loaded
    Loaded {
        /// The cell's id
        cell: u64,
        /// Entry point
        #[arg(value_parser = number)]
        entry: u64,
        /// x0
        #[arg(value_parser = number)]
        argument: u64,
    },
    /// Meet a bug of bulkhead's own
    Bug,
    /// Send start, stop or destroy to a cell, by id
    Command {
        /// `start`, `stop` or `destroy`
        #[arg(value_parser = ["start", "stop", "destroy"])]
        what: String,
        /// The cell's id
        #[arg(value_parser = number)]
        cell: u64,
    },
}

/// Reads a number, decimal or with `0x`.
///
/// # Errors
/// It is neither.
pub fn number(text: &str) -> Result<u64, String> {
    let digits = text.replace('_', "");
    let value = match digits.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => digits.parse(),
    };
    value.map_err(|error| format!("{error}: want a number such as 4096 or 0x1000"))
}

/// Reads a size: a number, or one with K, M or G behind it.
///
/// # Errors
/// It is neither.
pub fn size(text: &str) -> Result<u64, String> {
    let (digits, shift) = match text.char_indices().next_back() {
        Some((at, 'K' | 'k')) => (&text[..at], 10),
        Some((at, 'M' | 'm')) => (&text[..at], 20),
        Some((at, 'G' | 'g')) => (&text[..at], 30),
        _ => (text, 0),
    };
    let value =
        number(digits).map_err(|_| "want a size such as 64M, 512K or 0x100000".to_owned())?;
    value
        .checked_mul(1 << shift)
        .ok_or_else(|| "larger than any memory".to_owned())
}

fn inject(text: &str) -> Result<(u64, u64), String> {
    match text.split_once('@') {
        Some((step, mpidr)) => Ok((number(step)?, number(mpidr)?)),
        None => Ok((number(text)?, 0)),
    }
}

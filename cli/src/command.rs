//! What each command does, a file each.

pub mod attend;
pub mod cell;
pub mod check;
pub mod console;
pub mod create;
pub mod debug;
pub mod doctor;
pub mod enable;
pub mod explain;
pub mod generate;
pub mod load;
pub mod log;
pub mod map;
pub mod new;
pub mod overview;
pub mod run;
pub mod show;
pub mod top;

use std::io::Write as _;

use bulkhead_abi::code;
use bulkhead_abi::info::Info;
use bulkhead_model::blob::SystemConfig;
use bulkhead_model::refused::Refused;

use crate::args::{Cell, Cli, Command, Config};
use crate::board::{Board, BoardCpu};
use crate::error::Error;
use crate::linux::Linux;
use crate::live;
use crate::report::Report;
use crate::store::Store;

/// What commands work with besides the device.
#[derive(Clone, Debug)]
pub struct Context {
    /// The running Linux.
    pub linux: Linux,
    /// What is remembered.
    pub store: Store,
    /// JSON is wanted.
    pub is_json: bool,
}

/// Does what was typed.
///
/// # Errors
/// Why it was not done.
pub fn run(cli: Cli) -> Result<Report, Error> {
    let context = Context {
        linux: Linux::this(),
        store: Store::this(),
        is_json: cli.json,
    };
    let Some(command) = cli.command else {
        return overview::overview(&context);
    };
    match command {
        Command::Enable(args) => enable::enable(&context, &args),
        Command::Disable => enable::disable(&context),
        Command::Status => enable::status(),
        Command::Doctor(args) => doctor::doctor(&context, args.board.as_deref()),
        Command::Run(args) => run::run(&context, &args),
        Command::Cell(cell) => run_cell(&context, cell),
        Command::Console(args) => console::console(&context, &args),
        Command::Log(args) => log::log(&context, &args),
        Command::Top(args) => top::top(&context, &args),
        Command::Map { svg } => map::map(&context, svg.as_deref()),
        Command::Config(config) => run_config(&context, config),
        Command::Generate { folder } => generate::generate(&folder),
        Command::Debug(debug) => debug::run(&context, debug),
    }
}

fn run_config(context: &Context, config: Config) -> Result<Report, Error> {
    match config {
        Config::Check {
            files,
            board,
            guest_tree,
        } => check::check(context, &files, board.as_deref(), guest_tree.as_deref()),
        Config::Explain { file, board } => explain::explain(context, &file, board.as_deref()),
        Config::Dtb {
            file,
            board,
            output,
        } => explain::dtb(context, &file, board.as_deref(), output.as_deref()),
        Config::New(args) => new::new(context, &args),
    }
}

fn run_cell(context: &Context, cell: Cell) -> Result<Report, Error> {
    match cell {
        Cell::Create { file } => create::create(context, &file),
        Cell::Load {
            name,
            image,
            address,
            initrd,
        } => load::load(context, &name, &image, address, initrd.as_deref()),
        Cell::Start { name } => cell::start(context, &name),
        Cell::Stop { name } => cell::stop(&name),
        Cell::Restart { name } => cell::restart(context, &name),
        Cell::Destroy { name } => cell::destroy(context, &name),
        Cell::Attend { name } => attend::attend(context, &name),
        Cell::List => show::list(),
        Cell::Show { name } => show::show(context, &name),
        Cell::Stats { name } => show::stats(name.as_deref()),
    }
}

impl Context {
    /// Says something on the side, to people only.
    pub fn note(&self, text: &str) {
        if !self.is_json {
            // Nothing can be done about a closed standard error.
            drop(writeln!(std::io::stderr(), "{text}"));
        }
    }

    /// Describes the machine that this runs on.
    ///
    /// # Errors
    /// Its tree lacks something.
    pub fn system(&self, board: &Board) -> Result<SystemConfig, Error> {
        let cpus = self.linux.cpus();
        let mut ram = board.ram()?;
        if ram.is_empty() {
            ram = self.linux.system_ram();
        }
        let is_online = |mpidr| cpus.iter().any(|cpu| cpu.mpidr == mpidr && cpu.is_online);
        let mut system = board.system(&ram, is_online)?;
        // Those that Linux has touched wait in its own pen, out of our reach.
        let all = board.cpus()?;
        let untouched = |cpu: &&BoardCpu<'_>| cpus.iter().all(|linux| linux.mpidr != cpu.mpidr);
        for cpu in all.iter().filter(untouched) {
            let mut entry = system.cpus.iter_mut();
            if let Some(entry) = entry.find(|entry| entry.mpidr == cpu.mpidr) {
                entry.release = board.release(cpu);
            }
        }
        Ok(system)
    }
}

/// Says why something was refused; `what` was wanted.
pub(crate) fn refusal(what: &str, refused: Refused) -> Error {
    match refused.code() {
        code::NOT_ENABLED => Error::NotEnabled,
        _ => Error::Refused(format!("{what}: {refused}")),
    }
}

/// Tells whether `b` of a refusal is the id of the cell that has what was wanted.
fn names_cell(refused: Refused) -> bool {
    let codes = [
        code::MEMORY_OF_CELL,
        code::CPU_OF_CELL,
        code::SPI_OF_CELL,
        code::DEVICE_OF_CELL,
    ];
    codes.contains(&refused.code())
}

/// Names the cell that a refusal speaks of.
pub(crate) fn with_cell_name(refused: Refused, info: &Info, text: String) -> String {
    if !names_cell(refused) {
        return text;
    }
    let id = refused.b;
    format!("{text} (cell {id} is '{}')", live::cell_name(info, id))
}

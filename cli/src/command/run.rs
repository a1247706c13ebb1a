//! `run`: from a cell's file and an image to a running cell, in one go; what fails in the middle is undone.

use std::process::Command;

use bulkhead_abi::info::state;
use bulkhead_model::addr::{Gpa, Hpa};
use bulkhead_model::blob::{MemoryConfig, Placement};
use serde_json::{Value, json};

use super::attend::{self, Ending};
use super::create::BLOCK_SIZE;
use super::{Context, cell, create, enable, load, show};
use crate::args;
use crate::cell_file::CellFile;
use crate::device::Device;
use crate::error::Error;
use crate::file;
use crate::image;
use crate::interruption::Interruption;
use crate::journal::{Done, Journal, Of};
use crate::live::{self, state_name};
use crate::report::Report;
use crate::tree::compile;

struct Run<'a> {
    context: &'a Context,
    args: &'a args::Run,
    cell: CellFile,
    journal: Journal,
    interruption: Interruption,
}

/// Runs a cell.
///
/// # Errors
/// A step was refused or the user interrupted it; nothing is left of what was done.
pub fn run(context: &Context, args: &args::Run) -> Result<Report, Error> {
    let interruption = Interruption::listen()?;
    let file = args.file.display().to_string();
    let cell = CellFile::read(&compile::read(&args.file)?, &file)?;
    // Before anything is done: a wrong path, or a wrong file, is the most likely mistake.
    image::read(&args.image, &memory(&cell), args.address)?;
    let initrd = args.initrd.clone();
    let initrd = initrd.or_else(|| create::initrd(&cell, &args.file));
    initrd.as_deref().map(file::read).transpose()?;
    let mut run = Run {
        journal: Journal::open(&context.store, cell.name.as_str(), Of::Run)?,
        context,
        args,
        cell,
        interruption,
    };
    match run.begin().and_then(|()| run.attend()) {
        Ok(report) => Ok(report),
        Err(error) => {
            let has_done = run.journal.done() != Done::default();
            let more = match run.undo() {
                Ok(()) if has_done => "; what was done has been undone".to_owned(),
                Ok(()) => String::new(),
                Err(undo) => format!("; undoing it: {undo}"),
            };
            Err(error.and(&more))
        }
    }
}

fn memory(cell: &CellFile) -> Vec<MemoryConfig> {
    let region = |memory: &crate::cell_file::Memory| MemoryConfig {
        gpa: Gpa(memory.gpa),
        placement: memory
            .hpa
            .map_or(Placement::Pool, |hpa| Placement::At(Hpa(hpa))),
        size: memory.size,
    };
    cell.memory.iter().map(region).collect()
}

impl Run<'_> {
    fn name(&self) -> &str {
        self.cell.name.as_str()
    }

    /// Says what is done next; an end that is wanted comes here.
    fn step(&self, number: u32, what: &str) -> Result<(), Error> {
        if self.interruption.is_wanted() {
            let text = format!("interrupted before {what}");
            return Err(Error::Interrupted(text));
        }
        self.context
            .note(&format!("{}: {number}/4 {what}", self.name()));
        Ok(())
    }

    /// Notes what will be done, before it is.
    fn will(&mut self, change: impl FnOnce(&mut Done)) -> Result<(), Error> {
        let mut done = self.journal.done();
        change(&mut done);
        self.journal.note(done)
    }

    fn begin(&mut self) -> Result<(), Error> {
        let device = self.module()?;
        self.enable(&device)?;
        self.make_way(&device)?;
        self.step(2, "creating the cell")?;
        self.will(|done| done.cell = true)?;
        let created = create::create(self.context, &self.args.file)?;
        for line in created.text.lines().skip(1) {
            self.context.note(line);
        }
        self.step(3, "loading the image")?;
        load::load(
            self.context,
            self.name(),
            &self.args.image,
            self.args.address,
            self.args.initrd.as_deref(),
        )?;
        self.step(4, "starting it")?;
        cell::start(self.context, self.name())?;
        Ok(())
    }

    fn module(&mut self) -> Result<Device, Error> {
        match Device::open() {
            Err(Error::NoModule) => {}
            other => return other,
        }
        self.step(1, "loading the kernel module")?;
        self.will(|done| done.module = true)?;
        modprobe(&["bulkhead"])?;
        Device::open()
    }

    fn enable(&mut self, device: &Device) -> Result<(), Error> {
        let status = device.status()?;
        if status.enabled != 0 {
            return Ok(());
        }
        // Gone with the hypervisor, whatever an earlier run has noted.
        self.will(|done| done.cell = false)?;
        let mut memory = self.args.memory;
        if memory.pool.is_none() && status.reserved_size == 0 {
            memory.pool = Some(pool_for(&self.cell));
        }
        self.step(1, "enabling Bulkhead")?;
        self.will(|done| done.enabled = true)?;
        let args = args::Enable {
            memory,
            inject: None,
        };
        enable::enable(self.context, &args).map(drop)
    }

    /// Takes away what a run that was killed has left of the cell.
    fn make_way(&self, device: &Device) -> Result<(), Error> {
        let info = live::read(device)?;
        let Ok(there) = live::cell(&info, self.name()) else {
            return Ok(());
        };
        let (name, state) = (self.name().to_owned(), state_name(there.info.state));
        if !self.journal.done().cell {
            return Err(Error::Refused(format!(
                "cell '{name}' exists already, it is {state}: `bulkhead cell restart {name}` starts it anew, \
                 `bulkhead cell destroy {name}` takes it away"
            )));
        }
        self.context.note(&format!(
            "{name}: an earlier run was cut short and left it {state}: beginning anew"
        ));
        cell::remove(self.context, &name).map(drop)
    }

    /// Stays with the running cell until its end, if that is wanted.
    fn attend(&mut self) -> Result<Report, Error> {
        let name = self.name().to_owned();
        if !self.args.rm {
            if self.interruption.is_wanted() {
                return Err(Error::Interrupted("interrupted after its start".to_owned()));
            }
            let done = self.journal.end()?;
            let json = json!({ "cell": name, "state": "running", "enabled": done.enabled });
            return Ok(Report::new(format!("cell '{name}' is running"), json));
        }
        self.context
            .note(&format!("{name}: running; Ctrl-C ends and destroys it"));
        let ending = attend::wait(self.context, &name, &self.interruption)?;
        let shown = show::show(self.context, &name);
        self.undo()?;
        Ok(report(&name, &ending, shown.ok()))
    }

    /// Undoes all that was done, the last first; what cannot be undone stays noted.
    fn undo(&mut self) -> Result<(), Error> {
        let name = self.name().to_owned();
        if self.journal.done().cell {
            let is_there = cell::exists(&Device::open()?, &name)?;
            if is_there || self.context.store.get(&name).is_some() {
                cell::remove(self.context, &name)?;
            }
            self.will(|done| done.cell = false)?;
        }
        if self.journal.done().enabled {
            match enable::off(self.context) {
                Ok(()) | Err(Error::NotEnabled) => {}
                Err(Error::Refused(reason)) => self
                    .context
                    .note(&format!("Bulkhead stays enabled: {reason}")),
                Err(error) => return Err(error),
            }
            self.will(|done| done.enabled = false)?;
        }
        if self.journal.done().module {
            let is_needed = Device::open()
                .and_then(|device| device.status())
                .is_ok_and(|status| status.enabled != 0);
            if !is_needed {
                modprobe(&["-r", "bulkhead"])?;
            }
        }
        self.journal.end().map(drop)
    }
}

/// Memory for cells to take from Linux: as much as `enable` takes, or as the cell wants, with all of it mapped by blocks: the
/// pool begins anywhere in one.
fn pool_for(cell: &CellFile) -> u64 {
    let wanted = cell.memory.iter().filter(|memory| memory.hpa.is_none());
    let sizes = wanted.map(|memory| memory.size.checked_next_multiple_of(BLOCK_SIZE));
    let size = sizes.fold(BLOCK_SIZE, |sum, size| {
        sum.saturating_add(size.unwrap_or(u64::MAX / BLOCK_SIZE * BLOCK_SIZE))
    });
    size.max(enable::DEFAULT_POOL)
}

fn modprobe(arguments: &[&str]) -> Result<(), Error> {
    let output = Command::new("modprobe").args(arguments).output();
    match output {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            Err(Error::System(format!(
                "modprobe {}: {}",
                arguments.join(" "),
                said.trim()
            )))
        }
        Err(_) => Err(Error::NoModule),
    }
}

fn report(name: &str, ending: &Ending, shown: Option<Report>) -> Report {
    let (said, state, has_problem) = match ending {
        Ending::Interrupted => ("interrupted".to_owned(), "running", false),
        Ending::Gone => ("another command has destroyed it".to_owned(), "gone", false),
        Ending::State(state::STOPPED) => ("it has stopped".to_owned(), "stopped", false),
        Ending::State(state) => {
            let text = shown.as_ref().map(|shown| shown.text.clone());
            (
                format!(
                    "its state was {}\n{}",
                    state_name(*state),
                    text.unwrap_or_default()
                ),
                state_name(*state),
                true,
            )
        }
    };
    let last = shown.map_or(Value::Null, |shown| shown.json);
    Report {
        has_problem,
        ..Report::new(
            format!("cell '{name}' is destroyed: {said}"),
            json!({ "cell": name, "state": "destroyed", "ended": state, "last": last }),
        )
    }
}

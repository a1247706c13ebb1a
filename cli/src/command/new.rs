//! `config new`: asks the board and the user, and writes a cell's file with comments.

use std::fs::File;
use std::io::{self, BufRead, IsTerminal as _, Write};
use std::path::Path;

use serde_json::json;

use super::{Context, check};
use crate::args::{self, size};
use crate::board::Board;
use crate::error::Error;
use crate::offer::{Offer, Wish};
use crate::report::Report;

/// Writes a cell's file; on a terminal it asks for what was not given.
///
/// # Errors
/// The board has not what was asked for, or the file exists already.
pub fn new(context: &Context, args: &args::New) -> Result<Report, Error> {
    let board = Board::read(args.board.as_deref())?;
    let offer = Offer::of(&board)?;
    let mut wish = Wish {
        name: args.name.clone(),
        cpus: args.cpus.clone(),
        memory: args.memory,
        devices: args.devices.clone(),
        console: args.console.clone(),
        bootargs: args.bootargs.clone(),
    };
    if io::stdin().is_terminal() && !context.is_json && wish == Wish::default() {
        ask(
            &offer,
            &mut wish,
            &mut io::stdin().lock(),
            &mut io::stderr(),
        )
        .map_err(|error| Error::System(format!("cannot ask: {error}")))?;
    }
    let text = wish.write(&offer);
    let Some(path) = &args.output else {
        return Ok(Report::new(text.trim_end(), json!({ "text": text })));
    };
    put(path, &text)?;
    // It stays there, to be put right, when it is wrong.
    check::check(
        context,
        std::slice::from_ref(path),
        args.board.as_deref(),
        None,
    )?;
    Ok(Report::new(
        format!(
            "{0} is written, and good for {1}. Next: bulkhead config explain {0}, bulkhead run {0} IMAGE",
            path.display(),
            board.file
        ),
        json!({ "file": path, "text": text }),
    ))
}

fn put(path: &Path, text: &str) -> Result<(), Error> {
    match File::create_new(path) {
        Ok(mut file) => file
            .write_all(text.as_bytes())
            .map_err(|error| Error::file("write", path, &error)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(Error::Refused(format!(
            "{} exists already: remove it, or choose another name",
            path.display()
        ))),
        Err(error) => Err(Error::file("write", path, &error)),
    }
}

/// Asks for everything; an empty answer takes what stands in brackets.
///
/// # Errors
/// The terminal has gone.
pub fn ask(
    offer: &Offer,
    wish: &mut Wish,
    from: &mut impl BufRead,
    to: &mut impl Write,
) -> io::Result<()> {
    let mut question = |text: &str, default: &str| -> io::Result<Option<String>> {
        write!(to, "{text} [{default}]: ")?;
        to.flush()?;
        let mut answer = String::new();
        from.read_line(&mut answer)?;
        let answer = answer.trim();
        Ok((!answer.is_empty()).then(|| answer.to_owned()))
    };
    wish.name = question("Name of the cell", Wish::NAME)?;
    let cpus = format!(
        "CPUs: a number up to {}, or of {}",
        offer.cpus.len(),
        offer.cpus.join(" ")
    );
    wish.cpus = question(&cpus, "1")?;
    wish.memory = loop {
        match question("Memory, such as 64M", Wish::MEMORY)?.map(|answer| size(&answer)) {
            None => break None,
            Some(Ok(bytes)) => break Some(bytes),
            Some(Err(_)) => {}
        }
    };
    let list: Vec<String> = offer
        .devices
        .iter()
        .map(|device| format!("  {}\n", device.describe()))
        .collect();
    let devices = format!(
        "Devices that can be given:\n{}Devices, with commas in between",
        list.concat()
    );
    let devices = question(&devices, "none")?;
    wish.devices = devices.map(|list| split(&list)).unwrap_or_default();
    let first = wish.devices.first().cloned().unwrap_or_default();
    if !first.is_empty() {
        wish.console = question("Console: one of them, or a dash", &first)?.or(Some(first));
        wish.console = wish.console.take().filter(|console| console != "-");
    }
    wish.bootargs = question("Arguments for its software", "none")?;
    Ok(())
}

fn split(list: &str) -> Vec<String> {
    let names = list.split(',').map(str::trim);
    names
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

//! `config new`: asks the board and the user, and writes a cell's file with comments.

use std::fs::File;
use std::io::{self, BufRead, IsTerminal as _, Write};
use std::path::Path;

use serde_json::json;

use super::{Context, check};
use crate::args::{self, size};
use crate::board::Board;
use crate::cell_file::CellFile;
use crate::error::Error;
use crate::offer::{Offer, Wish};
use crate::report::Report;
use crate::tree::compile;

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
        let is_live = args.board.is_none();
        ask(
            &offer,
            &mut wish,
            &mut io::stdin().lock(),
            &mut io::stderr(),
            |wish| judge(context, &wish.write(&offer), &board, is_live),
        )
        .map_err(|error| Error::System(format!("cannot ask: {error}; nothing is written")))?;
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

/// Says what is wrong with a cell so far.
///
/// # Errors
/// That, without the file's name: there is none yet.
fn judge(context: &Context, text: &str, board: &Board, is_live: bool) -> Result<(), String> {
    let said = |error: Error| match error {
        Error::Config(error) => error.reason,
        other => other.to_string(),
    };
    let tree = compile::source(text, "the cell").map_err(said)?;
    let cell = CellFile::read(&tree, "the cell").map_err(|error| error.reason)?;
    check::together(context, &[cell], board, is_live)
        .map(drop)
        .map_err(said)
}

/// Asks for everything; an empty answer takes what stands in brackets. What cannot be is said, and asked for again.
///
/// # Errors
/// The answers end, or the terminal has gone.
pub fn ask(
    offer: &Offer,
    wish: &mut Wish,
    from: &mut impl BufRead,
    to: &mut impl Write,
    judge: impl Fn(&Wish) -> Result<(), String>,
) -> io::Result<()> {
    let mut interview = Interview {
        wish,
        from,
        to,
        judge,
    };
    interview.question("Name of the cell", Wish::NAME, |wish, answer| {
        wish.name = answer;
        Ok(())
    })?;
    let cpus = format!(
        "CPUs: a number up to {}, or of {}",
        offer.cpus.len(),
        offer.cpus.join(" ")
    );
    interview.question(&cpus, "1", |wish, answer| {
        wish.cpus = answer;
        Ok(())
    })?;
    interview.question("Memory, such as 64M", Wish::MEMORY, |wish, answer| {
        wish.memory = answer.as_deref().map(size).transpose()?;
        Ok(())
    })?;
    writeln!(interview.to, "Devices that can be given:")?;
    for device in &offer.devices {
        writeln!(interview.to, "  {}", device.describe())?;
    }
    interview.question("Devices, with commas in between", "none", |wish, answer| {
        wish.devices = answer.as_deref().map(split).unwrap_or_default();
        Ok(())
    })?;
    let first = interview.wish.devices.first().cloned();
    let usual = first.as_deref().unwrap_or("-").to_owned();
    let text = "Console: one of these, ring (memory that `bulkhead console` shows), or a dash";
    interview.question(text, &usual, |wish, answer| {
        wish.console = answer.or(first.clone()).filter(|console| console != "-");
        Ok(())
    })?;
    interview.question("Arguments for its software", "none", |wish, answer| {
        wish.bootargs = answer;
        Ok(())
    })
}

struct Interview<'a, R, W, J> {
    wish: &'a mut Wish,
    from: &'a mut R,
    to: &'a mut W,
    judge: J,
}

impl<R: BufRead, W: Write, J: Fn(&Wish) -> Result<(), String>> Interview<'_, R, W, J> {
    /// Asks until the answer is one that can be.
    fn question(
        &mut self,
        text: &str,
        usual: &str,
        take: impl Fn(&mut Wish, Option<String>) -> Result<(), String>,
    ) -> io::Result<()> {
        loop {
            write!(self.to, "{text} [{usual}]: ")?;
            self.to.flush()?;
            let mut answer = String::new();
            if self.from.read_line(&mut answer)? == 0 {
                writeln!(self.to)?;
                let text = "the answers end here";
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, text));
            }
            let answer = answer.trim();
            let answer = (!answer.is_empty()).then(|| answer.to_owned());
            match take(self.wish, answer).and_then(|()| (self.judge)(self.wish)) {
                Ok(()) => return Ok(()),
                Err(reason) => writeln!(self.to, "  {reason}")?,
            }
        }
    }
}

fn split(list: &str) -> Vec<String> {
    let names = list.split(',').map(str::trim);
    names
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

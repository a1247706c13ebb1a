//! `console`: a terminal on a cell that prints into memory shared with root. The cell pays no exit for it.

use std::fs::File;
use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use bulkhead_abi::info::{CellInfo, cause, state};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use serde_json::json;

use super::Context;
use crate::args;
use crate::console::{Memory, Reader, offset_of_cell, send};
use crate::device::Device;
use crate::error::Error;
use crate::interruption::Interruption;
use crate::live::{self, state_name};
use crate::report::Report;
use crate::tree::Tree;

/// Ends a terminal: Ctrl-].
const ESCAPE: u8 = 0x1d;
/// How often to look.
const PERIOD_MS: i64 = 20;
/// How often to look at the cell itself, and at most to complain.
const SELDOM: Duration = Duration::from_millis(200);
/// What is typed ahead of a cell that does not read, bytes; the rest is dropped.
const AHEAD: usize = 4096;

/// The console of one cell, in the device.
struct Ring<'d> {
    device: &'d Device,
    at: u64,
}

impl Memory for Ring<'_> {
    type Error = Error;
    fn read(&self, offset: u64, bytes: &mut [u8]) -> Result<(), Error> {
        self.device.read(self.at + offset, bytes)
    }
    fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        self.device.write(self.at + offset, bytes)
    }
}

/// Attaches to a cell's console.
///
/// # Errors
/// There is no such cell, or it prints elsewhere.
pub fn console(context: &Context, args: &args::Console) -> Result<Report, Error> {
    let device = Device::open()?;
    let info = live::read(&device)?;
    let cell = live::cell(&info, &args.name)?;
    let at = match (cell.info.console, offset_of_cell(cell.id)) {
        (u64::MAX, _) | (_, None) => return Err(elsewhere(context, &args.name)),
        (_, Some(offset)) => device.status()?.shared_size + offset,
    };
    let ring = Ring {
        device: &device,
        at,
    };
    if args.once || context.is_json {
        return once(&ring, &args.name);
    }
    let interruption = Interruption::listen()?;
    let mut attached = Attached {
        name: &args.name,
        ring,
        reader: Reader::default(),
        known: cell.info.into(),
        keys: Keys::take(context, args)?,
        id: cell.id,
        complained: None,
    };
    match attached.follow(&interruption) {
        Err(Error::NoConsole) => attached.say("is destroyed"),
        other => other?,
    }
    Ok(Report::new("", json!(null)))
}

/// Says where a cell prints that has no ring.
fn elsewhere(context: &Context, name: &str) -> Error {
    let record = context.store.get(name);
    let tree = record.and_then(|record| Tree::parse(&record.guest_tree).ok());
    let path = tree.and_then(|tree| Some(tree.find("/chosen")?.str("stdout-path")?.to_owned()));
    Error::Refused(match path {
        Some(path) => format!(
            "cell '{name}' prints on {path}, a device of its own: attach a terminal to that line; \
             console = \"ring\" in its file would give it one here"
        ),
        None => format!("cell '{name}' has no console: say console = \"ring\" in its file"),
    })
}

fn once(ring: &Ring<'_>, name: &str) -> Result<Report, Error> {
    let output = Reader::default().look(ring)?;
    let text = String::from_utf8_lossy(&output.bytes);
    let json = json!({ "cell": name, "text": text, "cut": output.is_cut });
    Ok(Report::new(text.trim_end(), json))
}

/// What is known of the life of the cell that one is attached to.
#[derive(Clone, Copy, Eq, PartialEq)]
struct Known {
    generation: u32,
    state: u32,
    restarts: u32,
    cause: u32,
}

impl From<&CellInfo> for Known {
    fn from(info: &CellInfo) -> Self {
        Self {
            generation: info.generation,
            state: info.state,
            restarts: info.restarts,
            cause: info.cause,
        }
    }
}

impl Known {
    fn is_over(self, now: Self) -> bool {
        let ends = [state::FREE, state::DESTROYING];
        self.generation != now.generation || ends.contains(&now.state)
    }

    /// Puts what has changed into words.
    fn change(self, now: Self) -> Option<String> {
        if self.restarts < now.restarts {
            let by = cause::NAMES.get(now.cause as usize).unwrap_or(&"unknown");
            return Some(format!("has started anew, by {by}"));
        }
        let is = |state| now.state == state && self.state != state;
        if is(state::RUNNING) {
            Some("runs".to_owned())
        } else if is(state::STOPPED) {
            let by = cause::NAMES.get(now.cause as usize).unwrap_or(&"unknown");
            Some(format!("has stopped, by {by}"))
        } else if is(state::FAILED) {
            Some("was stopped for a fault: see `bulkhead cell show`".to_owned())
        } else if is(state::FENCED) {
            Some(format!("is {}", state_name(now.state)))
        } else {
            None
        }
    }
}

struct Attached<'a> {
    name: &'a str,
    id: usize,
    ring: Ring<'a>,
    reader: Reader,
    known: Known,
    keys: Keys,
    /// When something last went wrong that may go on for long.
    complained: Option<Instant>,
}

impl Attached<'_> {
    fn follow(&mut self, interruption: &Interruption) -> Result<(), Error> {
        let mut looked = Instant::now();
        let mut is_first = true;
        loop {
            if !self.show(is_first)? || interruption.is_wanted() {
                return Ok(());
            }
            is_first = false;
            if looked.elapsed() >= SELDOM {
                looked = Instant::now();
                if !self.look_at_cell()? {
                    return Ok(());
                }
            }
            if self.keys.wait()? == Typed::End {
                return Ok(());
            }
            if !self.keys.pass_on(&self.ring)? {
                self.complain("does not read what is typed");
            }
        }
    }

    /// Shows what is new. Says when nobody reads it any more.
    fn show(&mut self, is_first: bool) -> Result<bool, Error> {
        let output = self.reader.look(&self.ring)?;
        let mut bytes = output.bytes.as_slice();
        if output.is_cut && is_first {
            // History begins with a whole line.
            let end = bytes.iter().position(|byte| *byte == b'\n');
            bytes = &bytes[end.map_or(0, |end| end + 1)..];
        } else if output.is_cut {
            self.complain("prints faster than this shows: some of it is lost");
        }
        let mut stdout = io::stdout().lock();
        Ok(stdout
            .write_all(bytes)
            .and_then(|()| stdout.flush())
            .is_ok())
    }

    /// Says how the cell is, if that has changed; and whether it is still there.
    fn look_at_cell(&mut self) -> Result<bool, Error> {
        let info = match live::read(self.ring.device) {
            Err(Error::NotEnabled) => {
                self.say("is gone: Bulkhead is disabled");
                return Ok(false);
            }
            other => other?,
        };
        let now = Known::from(&info.cells[self.id]);
        if self.known.is_over(now) {
            if self.known.generation == now.generation {
                self.show(false)?; // Its last words, as long as they are there.
            }
            self.say("is destroyed");
            return Ok(false);
        }
        if let Some(change) = self.known.change(now) {
            self.say(&change);
        }
        self.known = now;
        Ok(true)
    }

    fn complain(&mut self, what: &str) {
        let is_new = self.complained.is_none_or(|at| at.elapsed() > 5 * SELDOM);
        if is_new {
            self.complained = Some(Instant::now());
            self.say(what);
        }
    }

    /// Says something about the cell beside what it prints.
    fn say(&self, what: &str) {
        let end = if self.keys.is_raw() { "\r\n" } else { "\n" };
        // Nothing can be done about a closed standard error.
        drop(write!(
            io::stderr(),
            "{end}[bulkhead: cell '{}' {what}]{end}",
            self.name
        ));
    }
}

/// What came of a look at the keyboard.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Typed {
    Something,
    End,
}

/// What is typed, or read from standard input.
struct Keys {
    /// Held while input is taken: the ring has one writer. None when nothing is passed on.
    lock: Option<File>,
    /// How the terminal was.
    before: Option<Termios>,
    waiting: Vec<u8>,
}

impl Keys {
    /// Takes the keyboard, if it is wanted and nobody else's.
    fn take(context: &Context, args: &args::Console) -> Result<Self, Error> {
        let mut keys = Self {
            lock: None,
            before: None,
            waiting: Vec::new(),
        };
        if args.no_input {
            return Ok(keys);
        }
        let path = context.store.path(&args.name, "console");
        let file = File::create(&path).map_err(|error| Error::file("write", &path, &error))?;
        if file.try_lock().is_err() {
            let name = &args.name;
            context.note(&format!(
                "[bulkhead: another console of cell '{name}' has the keyboard: this one only shows]"
            ));
            return Ok(keys);
        }
        keys.lock = Some(file);
        if io::stdin().is_terminal() {
            let failed = |errno| Error::System(format!("cannot use the terminal: {errno}"));
            let before = tcgetattr(io::stdin()).map_err(failed)?;
            let mut raw = before.clone();
            raw.make_raw();
            tcsetattr(io::stdin(), OptionalActions::Now, &raw).map_err(failed)?;
            keys.before = Some(before);
            context.note(&format!(
                "[bulkhead: console of cell '{}'; Ctrl-] ends]\r",
                args.name
            ));
        }
        Ok(keys)
    }

    fn is_raw(&self) -> bool {
        self.before.is_some()
    }

    /// Waits a little, and takes what is typed meanwhile.
    fn wait(&mut self) -> Result<Typed, Error> {
        let timeout = Timespec {
            tv_sec: 0,
            tv_nsec: PERIOD_MS * 1_000_000,
        };
        // A file or a pipe waits until there is room; keys are read always, for the escape is one of them.
        let is_reading = self.lock.is_some() && (self.is_raw() || self.waiting.is_empty());
        let stdin = io::stdin();
        let mut watched = [PollFd::new(&stdin, PollFlags::IN)];
        let watched = if is_reading {
            &mut watched[..]
        } else {
            &mut []
        };
        // A signal ends the wait early, which the caller sees.
        let is_ready = matches!(poll(watched, Some(&timeout)), Ok(ready) if ready > 0);
        if !is_ready {
            return Ok(Typed::Something);
        }
        let mut bytes = [0; 256];
        // Not by the buffer of the standard library, into which `poll` does not see.
        let count = match rustix::io::read(&stdin, &mut bytes) {
            Ok(count) => count,
            Err(Errno::INTR | Errno::AGAIN) => return Ok(Typed::Something),
            Err(_) => 0,
        };
        match (count, self.is_raw()) {
            // The terminal has gone.
            (0, true) => return Ok(Typed::End),
            // Nothing more is passed on.
            (0, false) => self.lock = None,
            (_, true) if bytes[..count].contains(&ESCAPE) => return Ok(Typed::End),
            _ => self.waiting.extend(&bytes[..count]),
        }
        Ok(Typed::Something)
    }

    /// Gives the cell what it has room for. Says whether it keeps up.
    fn pass_on(&mut self, ring: &Ring<'_>) -> Result<bool, Error> {
        if !self.waiting.is_empty() {
            let sent = send(ring, &self.waiting)?;
            self.waiting.drain(..sent);
        }
        let keeps_up = self.waiting.len() <= AHEAD;
        self.waiting.truncate(AHEAD);
        Ok(keeps_up)
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            // Nothing can be done about a terminal that has gone.
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, before);
        }
    }
}

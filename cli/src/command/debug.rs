//! `debug`: hostile blobs and calls for the tests, straight to EL2 past every check of the command line.

use std::io::{self, Write as _};
use std::path::Path;

use bulkhead_abi::MAX_CPUS;
use bulkhead_model::blob::{CellConfig, MAX_SIZE};
use serde_json::json;

use super::{Context, check, enable, refusal};
use crate::args::{Debug, number};
use crate::board::Board;
use crate::cell_file::CellFile;
use crate::device::{Command, Device};
use crate::error::Error;
use crate::file::read;
use crate::report::Report;
use crate::resolve::resolve;
use crate::tree::compile;

/// Does what was typed.
///
/// # Errors
/// As usual; here mostly the refusal that a test wants to see.
pub fn run(context: &Context, debug: Debug) -> Result<Report, Error> {
    match debug {
        Debug::Blob {
            file,
            board,
            set,
            size,
        } => {
            let config = config(&file, board.as_deref())?;
            let mut blob = [0; MAX_SIZE];
            let length = config
                .encode(&mut blob)
                .map_err(|refused| refusal("cell blob", refused))?;
            write(change(blob[..length].to_vec(), &set, size, |name| {
                word(&config, name)
            })?)
        }
        Debug::SystemBlob { board, set, size } => {
            let system = context.system(&Board::read(board.as_deref())?)?;
            let mut blob = [0; MAX_SIZE];
            let length = system
                .encode(&mut blob)
                .map_err(|refused| refusal("system blob", refused))?;
            write(change(blob[..length].to_vec(), &set, size, |_| None)?)
        }
        Debug::CreateBlob { file, linux_cpus } => {
            let id = Device::open()?
                .create(&read(&file)?, linux_cpus)?
                .map_err(|r| refusal("create", r))?;
            Ok(Report::new(
                format!("created: id {id}"),
                json!({ "id": id }),
            ))
        }
        Debug::Bug => panic!("as was asked for"),
        Debug::EnableBlob { file, memory } => {
            let device = Device::open()?;
            enable::send(
                &device,
                &read(&file)?,
                enable::request(&device.status()?, memory, MAX_CPUS)?,
            )?;
            Ok(done())
        }
        Debug::Load { cell, gpa, file } => Device::open()?
            .load(cell, gpa, &read(&file)?)?
            .map_err(|r| refusal("load", r))
            .map(|()| done()),
        Debug::Loaded {
            cell,
            entry,
            argument,
        } => Device::open()?
            .loaded(cell, entry, argument)?
            .map_err(|r| refusal("loaded", r))
            .map(|()| done()),
        Debug::Command { what, cell } => {
            let command = match what.as_str() {
                "start" => Command::Start,
                "stop" => Command::Stop,
                _ => Command::Destroy,
            };
            Device::open()?
                .command(command, cell)?
                .map_err(|r| refusal(&what, r))
                .map(|()| done())
        }
    }
}

fn done() -> Report {
    Report::new("done", json!({ "done": true }))
}

fn write(blob: Vec<u8>) -> Result<Report, Error> {
    io::stdout()
        .write_all(&blob)
        .map_err(|error| Error::System(format!("cannot write the blob: {error}")))?;
    Ok(Report::new("", json!({})))
}

fn config(file: &Path, board: Option<&Path>) -> Result<CellConfig, Error> {
    let cell = CellFile::read(&compile::read(file)?, &file.display().to_string())?;
    let board = Board::read(board)?;
    Ok(resolve(&cell, &board, &check::spare(&board)?)?.config)
}

/// Sets words of a blob, each `WORD=VALUE`, then its length; `find` knows words by name.
fn change(
    mut blob: Vec<u8>,
    set: &[String],
    size: Option<u64>,
    find: impl Fn(&str) -> Option<usize>,
) -> Result<Vec<u8>, Error> {
    for change in set {
        let wrong = || {
            Error::System(format!(
                "--set {change}: want INDEX=VALUE or the name of a word there is"
            ))
        };
        let (name, value) = change.split_once('=').ok_or_else(wrong)?;
        let index = find(name).or_else(|| {
            number(name)
                .ok()
                .and_then(|index| usize::try_from(index).ok())
        });
        let value = number(value).map_err(|_| wrong())?;
        let at = index
            .and_then(|index| index.checked_mul(8))
            .ok_or_else(wrong)?;
        let word = blob
            .get_mut(at..)
            .and_then(|rest| rest.first_chunk_mut::<8>())
            .ok_or_else(wrong)?;
        *word = value.to_le_bytes();
    }
    if let Some(size) = size.and_then(|size| usize::try_from(size).ok()) {
        blob.resize(size.min(1 << 20), 0);
    }
    Ok(blob)
}

/// Returns the index of a word of a cell's blob by its name; the layout is `model::blob`'s.
fn word(config: &CellConfig, name: &str) -> Option<usize> {
    let delivery = 3 + bulkhead_abi::NAME_SIZE / 8;
    let cpus = delivery + 1;
    let memory = cpus + 1 + config.cpus.len();
    let devices = memory + 1 + 4 * config.memory.len();
    let spis = devices + 1 + 3 * config.devices.len();
    let mut parts = name.split('.');
    let (list, index, field) = (parts.next()?, parts.next(), parts.next());
    let index = index.and_then(|index| index.parse::<usize>().ok());
    let field = |names: &[&str]| names.iter().position(|name| Some(*name) == field);
    match (list, index) {
        ("magic", None) => Some(0),
        ("version", None) => Some(1),
        ("length", None) => Some(2),
        ("name", None) => Some(3),
        ("delivery", None) => Some(delivery),
        ("cpus", None) => Some(cpus),
        ("cpus", Some(n)) => Some(cpus + 1 + n),
        ("memory", None) => Some(memory),
        ("memory", Some(n)) => Some(memory + 1 + 4 * n + field(&["gpa", "fixed", "hpa", "size"])?),
        ("devices", None) => Some(devices),
        ("devices", Some(n)) => Some(devices + 1 + 3 * n + field(&["gpa", "hpa", "size"])?),
        ("spis", None) => Some(spis),
        ("spis", Some(n)) => Some(spis + 1 + n),
        _ => None,
    }
}
